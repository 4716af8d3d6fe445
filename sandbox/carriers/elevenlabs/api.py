"""ElevenLabs' API over HTTP: routes, authentication, replies, and the control endpoint that configures the webhook."""

import hmac
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from sandbox.carriers.carrier import JOURNAL_ENTRY, Account, Surroundings
from sandbox.carriers.elevenlabs import errors
from sandbox.carriers.elevenlabs.errors import ElevenLabsError
from sandbox.carriers.elevenlabs.parameters import parse_list_query, parse_outbound_call
from sandbox.carriers.elevenlabs.simulator import SimulatedElevenLabs
from sandbox.carriers.elevenlabs.workspaces import Workspace
from sandbox.carriers.placing import SpoiledPlacing
from sandbox.carriers.twilio.api import TwilioApi

Handler = Callable[[web.Request, Workspace], Awaitable[web.StreamResponse]]

PATH_PREFIX = "/v1/convai/"
_OUTBOUND_CALL = f"{PATH_PREFIX}twilio/outbound-call"
_CONVERSATIONS = f"{PATH_PREFIX}conversations"
_WEBHOOK = "/_elevenlabs/webhook"


class _Refusals:
    """How ElevenLabs refuses what a scenario spoils."""

    def invalid_number(self, number: str) -> Exception:
        return errors.call_refused(f"Twilio error 21211: The phone number {number} is not valid.")

    def rate_limited(self) -> Exception:
        return errors.rate_limited()

    def server_error(self) -> Exception:
        return errors.server_error()


class ElevenLabsApi:
    """The simulated ElevenLabs as the server serves it; for what an account may have see `workspaces.workspace_of`."""

    name = "elevenlabs"

    def __init__(self, accounts: Sequence[Account], surroundings: Surroundings) -> None:
        self._elevenlabs = SimulatedElevenLabs(accounts, surroundings)
        self._placing = SpoiledPlacing(_Refusals(), self._elevenlabs.background)
        self._twilio = surroundings.carrier(TwilioApi).simulator
        for workspace in self._elevenlabs.workspaces.values():
            if workspace.twilio_auth_token is not None:
                # Whose legs can be ended at Twilio is known there, whether or not it serves the account otherwise.
                self._twilio.accounts.setdefault(workspace.twilio_account_sid, workspace.twilio_auth_token)

    def owns(self, path: str) -> bool:
        """Everything about agents."""
        return path.startswith(PATH_PREFIX)

    async def reset(self) -> None:
        """Stop and forget every conversation."""
        await self._elevenlabs.reset()
        self._placing.reset()

    def routes(self) -> list[web.RouteDef]:
        """What the server has to route here."""
        return [
            web.post(_OUTBOUND_CALL, self._guarded(self._create)),
            web.get(_CONVERSATIONS, self._guarded(self._list)),
            web.get(f"{_CONVERSATIONS}/{{id}}", self._guarded(self._fetch)),
            web.put(_WEBHOOK, self._guarded(self._set_webhook)),
            web.route("*", _OUTBOUND_CALL, self._guarded(self._wrong_method)),
            web.route("*", f"{_CONVERSATIONS}{{rest:(/[^/]+)?}}", self._guarded(self._wrong_method)),
            web.route("*", f"{PATH_PREFIX}{{rest:.*}}", self._guarded(self._unknown)),
        ]

    def _guarded(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request, self._authenticate(request))
            except ElevenLabsError as error:
                return web.json_response(error.document, status=error.http_status)

        return guarded

    def _authenticate(self, request: web.Request) -> Workspace:
        given = request.headers.get("xi-api-key", "").encode()
        for key, workspace in self._elevenlabs.workspaces.items():
            if hmac.compare_digest(key.encode(), given):
                return workspace
        raise errors.invalid_api_key()

    async def _create(self, request: web.Request, workspace: Workspace) -> web.StreamResponse:
        call = parse_outbound_call(await _json(request))

        async def place() -> web.StreamResponse:
            conversation = self._elevenlabs.place(self._twilio, workspace, call)
            request[JOURNAL_ENTRY].call_id = conversation.id
            reply = {"success": True, "message": "Success", "conversation_id": conversation.id}
            return web.json_response({**reply, "callSid": conversation.leg.sid})

        return await self._placing.answer(request, workspace.api_key, call.to_number, place)

    async def _list(self, request: web.Request, workspace: Workspace) -> web.StreamResponse:
        page, cursor = self._elevenlabs.conversations.page(workspace.api_key, parse_list_query(request.query))
        summaries = [conversation.summary() for conversation in page]
        return web.json_response({"conversations": summaries, "next_cursor": cursor, "has_more": cursor is not None})

    async def _fetch(self, request: web.Request, workspace: Workspace) -> web.StreamResponse:
        name = request.match_info["id"]
        conversation = self._elevenlabs.conversations.find(workspace.api_key, name)
        if conversation is None:
            raise errors.not_found("conversation", name)
        request[JOURNAL_ENTRY].call_id = conversation.id
        return web.json_response(conversation.to_json())

    async def _set_webhook(self, request: web.Request, workspace: Workspace) -> web.StreamResponse:
        """Not ElevenLabs': there, people set the address in their workspace's settings."""
        body = await _json(request)
        url = body.get("url") if isinstance(body, dict) else None
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise errors.invalid(["body", "url"], 'Send {"url": "https://…"}')
        workspace.webhook_url = url
        return web.json_response({"url": url})

    async def _wrong_method(self, _request: web.Request, _workspace: Workspace) -> web.StreamResponse:
        raise errors.method_not_allowed()

    async def _unknown(self, _request: web.Request, _workspace: Workspace) -> web.StreamResponse:
        raise errors.no_such_path()


async def _json(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError:
        raise errors.invalid(["body"], "JSON decode error", "json_invalid") from None
