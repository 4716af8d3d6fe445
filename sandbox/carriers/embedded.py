"""Running the simulated carriers inside another program: a thread with its own event loop, on a port of its own."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from sandbox.carriers.carrier import Account
from sandbox.carriers.server import SHUTDOWN_SECONDS, CarriersConfig, build_app


class SimulatedCarriers:
    """`with SimulatedCarriers({"twilio": [{"account_sid": "AC…", "auth_token": "…"}]}, speed=50) as carriers`.

    Their base URL is `carriers.url`.
    """

    def __init__(
        self,
        accounts: Mapping[str, Sequence[Account]],
        *,
        speed: float = 1.0,
        calls_per_second: float = 1.0,
        owned_numbers: frozenset[str] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """As `server.CarriersConfig`; port 0 takes a free one. Starts with `start` or `with`."""
        self._config = CarriersConfig(accounts, speed, calls_per_second, owned_numbers)
        self._host = host
        self._port = port
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="simulated-carriers", daemon=True)

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        return f"http://{self._host}:{self._port}"

    def start(self) -> Self:
        """Start and wait until requests are served. Raises what `start_server` does."""
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def stop(self) -> None:
        """Stop every call, close the server and wait for its thread."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            # Handed to the thread that waits in start().
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runner, self._port = await start_server(self._config, self._host, self._port)
        self._started.set()
        try:
            await self._stop.wait()
        finally:
            await runner.cleanup()


async def start_server(
    config: CarriersConfig, host: str, port: int, *, beside: Sequence[web.RouteDef] = ()
) -> tuple[web.AppRunner, int]:
    """Serve on host and port (0: a free one); the runner to clean up and the port taken.

    `beside` are routes of others that are served along. Raises OSError, SpeedError, AccountError.
    """
    app = await build_app(config)
    app.add_routes(beside)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    address: Any = runner.addresses[0]
    return runner, int(address[1])
