"""`python -m sandbox.carriers`: serve the simulated carriers until interrupted."""

import argparse
import asyncio
import ipaddress
import signal

from sandbox.carriers.clock import SpeedError
from sandbox.carriers.embedded import start_server
from sandbox.carriers.server import CarriersConfig


def main() -> None:
    """Parse the command line and serve."""
    arguments = _parser().parse_args()
    accounts = dict(arguments.twilio_account)
    config = CarriersConfig(
        twilio_accounts=accounts,
        twilio_owned_numbers=frozenset(arguments.twilio_number) if arguments.twilio_number else None,
        twilio_calls_per_second=arguments.cps,
        speed=arguments.speed,
    )
    try:
        asyncio.run(_serve(config, arguments.host, arguments.port))
    except (OSError, SpeedError) as error:
        raise SystemExit(f"simulated carriers: {error}") from None


async def _serve(config: CarriersConfig, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    runner, taken_port = await start_server(config, host, port)
    print(f"simulated carriers: http://{host}:{taken_port}", flush=True)
    try:
        await stop.wait()
    finally:
        await runner.cleanup()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.carriers", description=__doc__)
    parser.add_argument("--host", type=_loopback, default="127.0.0.1", help="loopback address (default %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port and prints it (default)")
    parser.add_argument("--speed", type=float, default=20.0, help="simulated seconds per second (default %(default)s)")
    parser.add_argument("--cps", type=_positive, default=1.0, help="calls per simulated second (default %(default)s)")
    parser.add_argument(
        "--twilio-account",
        type=_account,
        action="append",
        required=True,
        metavar="SID:TOKEN",
        help="an account to serve; may be repeated",
    )
    parser.add_argument(
        "--twilio-number",
        action="append",
        metavar="NUMBER",
        help="a caller number the accounts own; may be repeated (default: every number)",
    )
    return parser


def _loopback(text: str) -> str:
    try:
        allowed = text == "localhost" or ipaddress.ip_address(text).is_loopback
    except ValueError:
        allowed = False
    if not allowed:
        # The control endpoints show every request without asking who is there.
        raise argparse.ArgumentTypeError(f"{text} is not a loopback address; the simulated carriers listen on no other")
    return text


def _account(text: str) -> tuple[str, str]:
    sid, _, token = text.partition(":")
    if not sid.startswith("AC") or not token:
        raise argparse.ArgumentTypeError("give the account as AC…:token")
    return sid, token


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of calls per second")
    return value


if __name__ == "__main__":
    main()
