"""ElevenLabs' REST API for agents that call: create, read; and, through Twilio, end.

One method, one question; nothing is repeated here, because only the caller knows what a repetition would do.
https://elevenlabs.io/docs/api-reference/twilio/outbound-call
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import quote, urlencode

from dialplane.carriers.contract import CarrierApi, CarrierCredentials, InvalidCallback
from dialplane.carriers.elevenlabs.events import duration_seconds, parse_time
from dialplane.carriers.elevenlabs.webhooks import call_id_of, conversation_fields, has_variables
from dialplane.carriers.http import CarrierHttp, Reply, to_body, unavailable
from dialplane.carriers.twilio import api as twilio
from dialplane.domain.carrier import CarrierCall, CreateOutcome, DialRequest, Placed, Rejected, RejectionCause, Unknown
from dialplane.domain.errors import ControlUnsupported

_BASE_URL = "https://api.elevenlabs.io"
_CONVERSATIONS = "/v1/convai/conversations"
_PAGE_SIZE = 100
_PAGES_MAX = 25
_ENDED = ("done", "failed")
_CALL_SID = re.compile(r"CA[0-9a-fA-F]{32}")
# The longest that a phone can be told to ring.
_RINGS_AT_MOST = timedelta(minutes=10)
_REJECTION_CAUSES: dict[int, RejectionCause] = {401: "credentials", 403: "credentials", 429: "rate_limited"}
_unavailable = partial(unavailable, "elevenlabs")


class ElevenLabsApi:
    """The calls of one ElevenLabs account. Safe to share between threads.

    ``timeout_seconds`` bounds each request: at most two seconds of it to connect, the rest to wait for the answer.
    """

    list_keeps: timedelta | None = None

    def __init__(
        self,
        api_key: str,
        base_url: str = _BASE_URL,
        timeout_seconds: float = 5.0,
        twilio_api: CarrierApi | None = None,
    ) -> None:
        self._http = CarrierHttp("elevenlabs", base_url, timeout_seconds, {"xi-api-key": api_key})
        self._twilio = twilio_api

    def create_call(self, request: DialRequest) -> CreateOutcome:
        """Ask once for a call. ElevenLabs has no request key, so this is never sent twice."""
        if not request.instructions.agent_id or not request.carrier_number_id:
            missing = "carrier_number_id (of the caller number)" if request.instructions.agent_id else "agent_id"
            return Rejected(cause="other", code="not_sent", message=f"ElevenLabs cannot call without {missing}.")
        reply = self._http.dial("/v1/convai/twilio/outbound-call", to_body(_create_content(request)))
        return _to_outcome(reply) if isinstance(reply, Reply) else reply

    def fetch_call(self, carrier_call_id: str) -> CarrierCall | None:
        """One call, or None when the account has none of this id. Raises CarrierUnavailable."""
        conversation = self._conversation(carrier_call_id)
        return None if conversation is None else _to_carrier_call(conversation)

    def list_calls(self, *, destination: str, caller_number: str, created_after: datetime) -> Sequence[CarrierCall]:
        """The account's outbound conversations since ``created_after``. Raises CarrierUnavailable.

        A list tells neither numbers nor why a call failed. So this has more than the calls between the two, and those
        that failed count as under way: whoever recognizes one as his reads the whole of it next, by its id.
        """
        del destination, caller_number
        # No call is answered before it is made: what started earlier, whatever that means, is none of them.
        threshold = created_after.replace(microsecond=0)
        # "After": whether that has the second itself in it is not documented.
        filters = {"call_start_after_unix": str(int(threshold.timestamp()) - 1)}
        return [
            _to_carrier_call(item if item.get("status") != "failed" else {**item, "status": "initiated"})
            for item in self._conversations(filters)
            if item.get("direction") != "inbound" and not _started_before(threshold, item)
        ]

    def requested_urls(self, carrier_call_id: str) -> Sequence[str]:
        """Our call id as the conversation has it, after a slash; for one that is not ours, its own id.

        Nothing while it has not ended and shows no id of ours: it may yet. Raises CarrierUnavailable, also for a
        conversation that ended and shows nothing at all of what was given along: an agent can be set up to keep
        nothing of the kind, and then nobody can say whose it was.
        """
        conversation = self._conversation(carrier_call_id)
        if conversation is None:
            return []
        if call_id := call_id_of(conversation):
            return [f"user_id/{call_id}"]
        if conversation.get("status") not in _ENDED:
            return []
        if not has_variables(conversation):
            raise _unavailable("a conversation that does not show what was given along")
        return [f"conversation/{carrier_call_id}"]

    def end_call(self, carrier_call_id: str) -> None:
        """Hang up, through the Twilio account that carries the call; one that has ended or is gone is success.

        Raises ControlUnsupported for an account without Twilio credentials, and CarrierUnavailable.
        """
        if self._twilio is None:
            raise ControlUnsupported(
                "ElevenLabs has no request that ends a call. Add twilio_account_sid and twilio_auth_token to the "
                "carrier account: its calls are then ended at Twilio."
            )
        if _CALL_SID.fullmatch(carrier_call_id):
            self._twilio.end_call(carrier_call_id)
            return
        conversation = self._conversation(carrier_call_id)
        if conversation is not None and conversation.get("status") in (*_ENDED, "processing"):
            return
        call_sid = _call_sid(conversation) if conversation is not None else None
        if call_sid is None:  # also for a conversation that is not found: while it rings nobody may be told it is over
            raise _unavailable("it does not show the call at Twilio yet")
        self._twilio.end_call(call_sid)

    def transfer_call(
        self, carrier_call_id: str, *, destination: str, caller_number: str, message: str | None, status_url: str
    ) -> None:
        """Not through Twilio either: ElevenLabs would report the end of its conversation as the end of the call, and
        nobody the minutes after it. Raises ControlUnsupported.
        """
        del carrier_call_id, destination, caller_number, message, status_url
        raise ControlUnsupported(
            "ElevenLabs has no request that transfers a call. Give the agent its tool transfer_to_number instead."
        )

    def start_recording(self, carrier_call_id: str, *, status_url: str) -> None:
        """ElevenLabs keeps the audio of its agents as their own settings say. Raises ControlUnsupported."""
        raise ControlUnsupported("ElevenLabs records calls as its agent is set up, and not on request.")

    def _conversation(self, carrier_call_id: str) -> Mapping[str, Any] | None:
        """The conversation of this id, or of this call at Twilio."""
        if not _CALL_SID.fullmatch(carrier_call_id):
            return self._get(f"{_CONVERSATIONS}/{quote(carrier_call_id, safe='')}")
        found = self._conversations({"dynamic_variable_params": f"system__call_sid:eq:{carrier_call_id}"})
        for item in islice(found, _PAGE_SIZE):
            conversation = self._get(f"{_CONVERSATIONS}/{quote(str(item.get('conversation_id')), safe='')}")
            if conversation is not None and _call_sid(conversation) == carrier_call_id:
                return conversation
        return None

    def _conversations(self, filters: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        cursor: dict[str, str] = {}
        for _ in range(_PAGES_MAX):
            page = self._get(f"{_CONVERSATIONS}?{urlencode({**filters, 'page_size': _PAGE_SIZE, **cursor})}")
            items = page.get("conversations") if page is not None else None
            if page is None or not isinstance(items, list):
                raise _unavailable("no page of conversations")
            yield from (item for item in items if isinstance(item, dict))
            if not page.get("has_more"):
                return
            cursor = {"cursor": str(page.get("next_cursor") or "")}
            if not cursor["cursor"]:
                raise _unavailable("a next page without a cursor")
        # Half a list would be taken for proof that a call is not there.
        raise _unavailable(f"more than {_PAGES_MAX} pages")

    def _get(self, path: str) -> Mapping[str, Any] | None:
        reply = self._http.send("GET", path)
        if reply.status == 404:
            return None
        content = reply.json_object(partial(json.loads, parse_float=str))  # amounts stay the texts they are
        if reply.status != 200 or content is None:
            raise _unavailable(f"HTTP {reply.status}")
        return content


def open_api(credentials: CarrierCredentials, *, timeout_seconds: float) -> ElevenLabsApi:
    """The API of an ElevenLabs account. Raises ValueError when the secret lacks something."""
    return ElevenLabsApi(
        credentials["api_key"],
        credentials.get("api_base_url") or _BASE_URL,
        timeout_seconds,
        _open_twilio(credentials, timeout_seconds=timeout_seconds),
    )


def _open_twilio(credentials: CarrierCredentials, *, timeout_seconds: float) -> CarrierApi | None:
    if not {"twilio_account_sid", "twilio_auth_token"} & credentials.keys():
        return None
    secret = {
        "account_sid": credentials["twilio_account_sid"],
        "auth_token": credentials["twilio_auth_token"],
        "api_base_url": credentials.get("twilio_api_base_url") or "",
    }
    return twilio.open_api(CarrierCredentials(secret), timeout_seconds=timeout_seconds)


def _create_content(request: DialRequest) -> dict[str, Any]:
    """The body of ElevenLabs' own SDK for this call, in its order.

    What is not overridden is not sent: an agent must allow each override in its security settings, or the call fails.
    So the time limit is the agent's own. Our call id is there twice, because either may be what a webhook echoes.
    """
    instructions = request.instructions
    agent: dict[str, Any] = {"prompt": {"prompt": instructions.prompt}} if instructions.prompt else {}
    agent |= {"first_message": instructions.welcome_message} if instructions.welcome_message else {}
    agent |= {"language": instructions.language} if instructions.language else {}
    return {
        "agent_id": instructions.agent_id,
        "agent_phone_number_id": request.carrier_number_id,
        "to_number": request.destination,
        "conversation_initiation_client_data": {
            **({"conversation_config_override": {"agent": agent}} if agent else {}),
            "user_id": request.call_id,
            "dynamic_variables": {**instructions.parameters, "call_id": request.call_id},
        },
        "telephony_call_config": {"ringing_timeout_secs": request.ring_timeout_seconds},
    }


def _to_outcome(reply: Reply) -> CreateOutcome:
    content = reply.json_object()
    detail = _detail(content or {}) or reply.reason
    if reply.status == 200 and content is not None:
        # Both spellings are about: ElevenLabs writes conversation_id and callSid.
        names = [content.get(name) for name in ("conversation_id", "conversationId", "callSid", "call_sid")]
        name = next((name for name in names if isinstance(name, str) and name), None)
        if content.get("success") is True and name is not None:
            return Placed(carrier_call_id=name, reply=content)
        if content.get("success") is False and name is None:
            return Rejected(cause="other", code="200", message=str(content.get("message") or detail))
    if not reply.proves_rejection:
        return Unknown(reason=f"HTTP {reply.status}: {detail}")
    cause = _REJECTION_CAUSES.get(reply.status, "other")
    if reply.status == 422 and "to_number" in detail:
        cause = "invalid_destination"
    return Rejected(cause, str(reply.status), detail, reply.retry_after_seconds)


def _detail(content: Mapping[str, Any]) -> str:
    """What an error says: a text, an object with a message, or a list of fields with what is wrong with each."""
    detail = content.get("detail") or content.get("error")
    if isinstance(detail, list):
        return "; ".join(_field_error(item) for item in detail)
    if isinstance(detail, dict):
        detail = detail.get("message") or detail.get("status") or json.dumps(detail)
    return str(detail or "")


def _field_error(item: object) -> str:
    if not isinstance(item, dict):
        return str(item)
    place = item.get("loc")
    name = ".".join(str(part) for part in place if part != "body") if isinstance(place, list) else ""
    return ": ".join(text for text in (name, str(item.get("msg") or "")) if text)


def _to_carrier_call(conversation: Mapping[str, Any]) -> CarrierCall:
    try:
        fields = conversation_fields(conversation)
    except InvalidCallback as error:
        raise _unavailable(str(error)) from error
    started_at, seconds = parse_time(fields.get("start_time_unix_secs")), duration_seconds(fields) or 0
    has_ended = conversation.get("status") in _ENDED
    ended_at = started_at + timedelta(seconds=seconds) if has_ended and started_at is not None else None
    # ElevenLabs does not say whether a conversation starts when it is asked for or when somebody answers: the earliest
    # that this one can have been made.
    created_at = started_at - _RINGS_AT_MOST if started_at is not None else None
    return CarrierCall(fields.get("conversation_id") or fields["call_sid"], created_at, fields, ended_at)


def _started_before(moment: datetime, conversation: Mapping[str, Any]) -> bool:
    started = conversation.get("start_time_unix_secs")
    return isinstance(started, int) and 0 < started < moment.timestamp()


def _call_sid(conversation: Mapping[str, Any]) -> str | None:
    metadata = conversation.get("metadata")
    phone_call = metadata.get("phone_call") if isinstance(metadata, dict) else None
    call_sid = phone_call.get("call_sid") if isinstance(phone_call, dict) else None
    return call_sid if isinstance(call_sid, str) and _CALL_SID.fullmatch(call_sid) else None
