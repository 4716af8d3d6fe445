"""One address for everything: `python -m sandbox.front_door` forwards requests and WebSockets to the emulator's APIs.

It stands where custom domains stand on AWS. It knows HTTP and WebSockets and nothing of calls; it never changes a body,
a query string or a frame, because carriers sign what they send.
"""

import argparse
import asyncio

import aiohttp
from aiohttp import WSMsgType, web
from multidict import CIMultiDict
from yarl import URL

from sandbox.processes import LOOPBACK

# API Gateway refuses bigger bodies with the same status.
BODY_BYTES_MAX = 10 * 1024 * 1024
# Meant for one connection, not for the next (RFC 9110 §7.6.1); Host and Content-Length are written anew.
HOP_BY_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade".split()  # noqa: SIM905
) | {"host", "content-length"}
CARRIER_PATHS = ("/twiml/", "/status/")
# The emulator starts one process per request in flight, and its cold start is a second of a core. A few warm ones serve
# a burst sooner than dozens that start; whoever has to wait, waits here. Carriers have places of their own: a call
# waiting for its carrier must not keep that carrier's callback waiting, and they give up after 15 seconds.
CUSTOMERS_IN_FLIGHT_MAX = 8
CARRIERS_IN_FLIGHT_MAX = 4
HANDSHAKES_IN_FLIGHT_MAX = 2

SOCKET_PATH = "/socket"
SOCKET_STAGE = "live"
# API Gateway closes a WebSocket with 1009 for a bigger frame. It would take a message of 128 KB in several frames; here
# a message is one frame, as the simulated carriers send them.
FRAME_BYTES_MAX = 32 * 1024
HANDSHAKE_ONLY = frozenset(f"sec-websocket-{name}" for name in ("extensions", "key", "protocol", "version"))
UNSENDABLE = frozenset({1004, 1005, 1006, 1015})  # RFC 6455 §7.4.1

HTTP = web.AppKey("HTTP", aiohttp.ClientSession)


class FrontDoor:
    """Forwards to one HTTP API and one WebSocket API of one emulator."""

    def __init__(self, emulator_url: str, api_id: str, socket_api_id: str) -> None:
        emulator = URL(emulator_url)
        self._emulator_url = emulator_url
        self._api_host = f"{api_id}.execute-api.localhost:{emulator.port}"
        self._stage_url = f"{emulator_url.replace('http', 'ws', 1)}/_aws/execute-api/{socket_api_id}/{SOCKET_STAGE}"
        self._handshakes = asyncio.Semaphore(HANDSHAKES_IN_FLIGHT_MAX)
        self._customers = asyncio.Semaphore(CUSTOMERS_IN_FLIGHT_MAX)
        self._carriers = asyncio.Semaphore(CARRIERS_IN_FLIGHT_MAX)

    async def forward(self, request: web.Request) -> web.Response:
        """Send the request on and its answer back; 502 when the emulator does not answer."""
        # `raw_path` as it came: decoding and encoding again would change what functions see and carriers sign. The
        # stage in front keeps the emulator from taking paths such as /health for its own.
        url = URL(f"{self._emulator_url}/$default{request.raw_path}", encoded=True)
        headers = _forwarded_headers(request)
        headers["Host"] = self._api_host
        body = await request.read()
        in_flight = self._carriers if request.path.startswith(CARRIER_PATHS) else self._customers
        async with in_flight:
            try:
                async with request.app[HTTP].request(
                    request.method, url, headers=headers, data=body or None, allow_redirects=False
                ) as answer:
                    content = await answer.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                return web.json_response({"message": f"the emulator did not answer: {error!r}"}, status=502)
        kept = CIMultiDict((name, value) for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP)
        return web.Response(status=answer.status, reason=answer.reason, headers=kept, body=content)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Open a WebSocket to the API, then let the client in; who is refused there is refused here with its status."""
        downstream = web.WebSocketResponse(compress=False, max_msg_size=FRAME_BYTES_MAX + 1)
        if not downstream.can_prepare(request):
            return web.json_response({"message": "this address is for WebSockets"}, status=426)
        headers = _forwarded_headers(request)
        for name in HANDSHAKE_ONLY:
            headers.popall(name, None)
        # As it came, for the same reason as a path.
        url = URL(f"{self._stage_url}?{request.raw_path.partition('?')[2]}", encoded=True)
        try:
            async with self._handshakes:
                upstream = await request.app[HTTP].ws_connect(url, headers=headers, max_msg_size=0)
        except aiohttp.WSServerHandshakeError as error:
            return web.json_response({"message": "the handshake was refused"}, status=error.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            return web.json_response({"message": f"the emulator did not answer: {error!r}"}, status=502)
        try:
            await downstream.prepare(request)
            ways = {asyncio.create_task(_pass_on(*way)) for way in ((downstream, upstream), (upstream, downstream))}
            await asyncio.wait(ways)
        finally:
            await upstream.close()
        return downstream


Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _pass_on(source: Socket, target: Socket) -> None:
    """Hand on frames until the source closes, then the reason that it gave or was given."""
    refused: int | None = None
    async for message in source:
        try:
            if message.type is WSMsgType.TEXT:
                await target.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await target.send_bytes(message.data)
            elif isinstance(message.data, aiohttp.WebSocketError):  # a frame that is too big, for one
                refused = message.data.code
        except ConnectionError:  # it is closing: what is still on its way reaches nobody
            break
    code = refused or source.close_code
    # Who vanished without a code that may be sent on has gone away.
    await target.close(code=aiohttp.WSCloseCode.GOING_AWAY if code is None or code in UNSENDABLE else code)


def _forwarded_headers(request: web.Request) -> CIMultiDict[str]:
    headers = CIMultiDict((name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP)
    headers["X-Forwarded-For"] = request.remote or LOOPBACK
    headers["X-Forwarded-Proto"] = request.scheme
    return headers


def build_app(emulator_url: str, api_id: str, socket_api_id: str) -> web.Application:
    """The front door as an aiohttp application."""

    async def open_http(app: web.Application) -> None:
        app[HTTP] = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0),
            # HTTP APIs give up on an integration after 30 seconds.
            timeout=aiohttp.ClientTimeout(total=35),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    async def close_http(app: web.Application) -> None:
        await app[HTTP].close()

    front_door = FrontDoor(emulator_url, api_id, socket_api_id)
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.on_startup.append(open_http)
    app.on_cleanup.append(close_http)
    app.router.add_get(SOCKET_PATH, front_door.connect)
    app.router.add_route("*", "/{path:.*}", front_door.forward)
    return app


def main() -> None:
    """Parse the command line and serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.front_door", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--emulator-url", required=True)
    parser.add_argument("--api-id", required=True)
    parser.add_argument("--socket-api-id", required=True)
    options = parser.parse_args()
    # Loopback only, and not an option: whoever reaches this port can spend the demo wallets.
    app = build_app(options.emulator_url, options.api_id, options.socket_api_id)
    # Clients keep connections open; without the last argument the end would wait a minute for them.
    web.run_app(app, host=LOOPBACK, port=options.port, print=None, shutdown_timeout=1.0)


if __name__ == "__main__":
    main()
