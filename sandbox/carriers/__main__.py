"""`python -m sandbox.carriers`: serve the simulated carriers, and the simulated language model, until interrupted."""

import argparse
import asyncio
import ipaddress
import json
import os
import signal
import sys

from sandbox import models
from sandbox.carriers.carrier import AccountError
from sandbox.carriers.clock import SpeedError
from sandbox.carriers.embedded import start_server
from sandbox.carriers.server import CarriersConfig


def main() -> None:
    """Parse the command line and serve."""
    arguments = _parser().parse_args()
    try:
        config = CarriersConfig(
            accounts=_accounts(arguments.accounts),
            speed=arguments.speed,
            calls_per_second=arguments.cps,
            owned_numbers=frozenset(arguments.owned_number) if arguments.owned_number else None,
        )
        asyncio.run(_serve(config, arguments.host, arguments.port))
    except (OSError, SpeedError, AccountError) as error:
        raise SystemExit(f"simulated carriers: {error}") from None


def _accounts(path: str) -> dict[str, list[dict[str, str]]]:
    """Read the accounts from a file of the user's own, or from standard input. Raises OSError, AccountError."""
    if path == "-":
        text = sys.stdin.read()
    else:
        with open(path) as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise AccountError(f"{path} holds secrets and others may read it: chmod 600 {path}")
            text = file.read()
    try:
        accounts = json.loads(text)
    except ValueError:
        accounts = None
    if not isinstance(accounts, dict) or not all(_is_list_of_objects(value) for value in accounts.values()):
        raise AccountError('accounts are JSON such as {"twilio": [{"account_sid": "AC…", "auth_token": "…"}]}')
    return accounts


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


async def _serve(config: CarriersConfig, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    runner, taken_port = await start_server(config, host, port, beside=models.routes())
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
        "--accounts",
        required=True,
        metavar="FILE",
        help="the accounts to serve: JSON, a list per carrier's name, readable by you alone; - is standard input",
    )
    parser.add_argument(
        "--owned-number",
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


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of calls per second")
    return value


if __name__ == "__main__":
    main()
