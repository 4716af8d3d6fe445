"""A call's webhooks: what each event says, and how the scenario lets them arrive."""

from typing import Any, Final

from sandbox.carriers.background import Spawn
from sandbox.carriers.delivery import DeliveryOrder
from sandbox.carriers.recordings import Recording
from sandbox.carriers.telnyx.calls import Call
from sandbox.carriers.telnyx.leg import iso8601, new_uuid
from sandbox.carriers.telnyx.webhooks import Content, TelnyxSender, json_content

# Dollars per started minute, in millionths, by part of the call: Telnyx's prices for the United States when this was
# written.
COST_PARTS_MICROS: Final = {"call-control": 2_000, "sip-trunking": 5_000}
_NO_QUALITY_STATS: Final = {
    "inbound": {
        "jitter_max_variance": "0.00",
        "jitter_packet_count": "0",
        "mos": "4.50",
        "packet_count": "0",
        "skip_packet_count": "0",
    },
    "outbound": {"packet_count": "0", "skip_packet_count": "0"},
}


class CallEvents:
    """Raises a call's events; each becomes a webhook of its own, sent beside the call."""

    def __init__(self, call: Call, sender: TelnyxSender, spawn: Spawn) -> None:
        self._call = call
        self._sender = sender
        self._spawn = spawn
        self._order: DeliveryOrder[dict[str, Any]] = DeliveryOrder(call.scenario.delivery)

    def initiated(self) -> None:
        """The call was dialled."""
        self._raise("call.initiated", {"direction": "outgoing", "state": "bridging", **self._parties(), "tags": []})

    def answered(self) -> None:
        """The callee answered."""
        # Call Control tells of no ringing: what the end overtakes is the answer.
        self._raise("call.answered", {"state": "answered", **self._parties(), "tags": []}, overtaken=True)

    def machine(self, event: str, result: str) -> None:
        """Machine detection came to a result; `event` is what follows `call.machine.`."""
        self._raise(f"call.machine.{event}", {"result": result, **self._parties()})

    def speak(self, event: str, **about: str) -> None:
        """A speech `started` or `ended`."""
        self._raise(f"call.speak.{event}", about)

    def conversation_ended(self, conversation_id: str, reason: str) -> None:
        """A ConversationRelay session ended."""
        self._raise("call.conversation.ended", {"conversation_id": conversation_id, "reason": reason})

    def streaming(self, event: str, stream_url: str) -> None:
        """Media streaming `started`, `stopped` or `failed`."""
        self._raise(f"streaming.{event}", {"stream_url": stream_url})

    def bridged(self) -> None:
        """The call was connected with another one."""
        self._raise("call.bridged", self._parties())

    def hung_up(self) -> None:
        """The call is over; a cost follows when somebody had answered."""
        assert self._call.hangup is not None
        about = {
            "state": "hangup",
            "hangup_cause": self._call.hangup.cause,
            "hangup_source": self._call.hangup.source,
            "sip_hangup_cause": self._call.hangup.sip_cause,
            "call_quality_stats": _NO_QUALITY_STATS,
            **self._parties(),
            "tags": [],
        }
        self._raise("call.hangup", about, terminal=True, last=not self._call.billed_minutes)

    def recording_saved(self, recording: Recording, file_format: str) -> None:
        """A recording is there. Telnyx names neither the recording nor, but for its leg, the call."""
        assert recording.ended_at is not None
        about = {
            "recording_started_at": iso8601(recording.begun_at),
            "recording_ended_at": iso8601(recording.ended_at),
            "channels": "dual" if recording.channels == 2 else "single",
            "recording_urls": {file_format: recording.open_link(file_format)},
            "public_recording_urls": {},
        }
        self._raise("call.recording.saved", about, is_named=False)

    def cost(self) -> None:
        """What the call cost."""
        minutes = self._call.billed_minutes
        parts = [
            {
                "call_part": part,
                "cost": _dollars(micros * minutes),
                "currency": "USD",
                "rate": _dollars(micros),
                "billed_duration_secs": self._call.duration,
            }
            for part, micros in COST_PARTS_MICROS.items()
        ]
        about = {
            "status": "success",
            "billed_duration_secs": self._call.duration,
            "total_cost": _dollars(sum(COST_PARTS_MICROS.values()) * minutes),
            "cost_parts": parts,
            "occurred_at": iso8601(self._call.timeline.now()),
        }
        self._raise("call.cost", about, terminal=True, last=True)

    def _parties(self) -> dict[str, Any]:
        call = self._call
        start_time = iso8601(call.start_time) if call.start_time else None
        return {"from": call.from_, "to": call.to, "start_time": start_time}

    def _raise(
        self,
        event_type: str,
        about: dict[str, Any],
        *,
        terminal: bool = False,
        overtaken: bool = False,
        last: bool = False,
        is_named: bool = True,
    ) -> None:
        call = self._call
        payload = {
            "call_control_id": call.call_control_id,
            "call_leg_id": call.call_leg_id,
            "call_session_id": call.call_session_id,
            "connection_id": call.application_id,
            "client_state": call.client_state,
            **about,
        }
        if not is_named:
            del payload["call_control_id"]
        event = {
            "record_type": "event",
            "event_type": event_type,
            "id": new_uuid(),
            "occurred_at": iso8601(call.timeline.now()),
            "payload": payload,
        }
        call.events.append(event)
        departing = self._order.departing(event, terminal=terminal, overtaken=overtaken, last=last)
        if departing:
            self._spawn(self._deliver(departing))

    async def _deliver(self, events: list[dict[str, Any]]) -> None:
        call = self._call
        for event in events:
            event_type = event["event_type"]
            for url in call.parameters.urls_of(event_type):

                def content_of(attempt: int, event: dict[str, Any] = event, url: str = url) -> Content:
                    return json_content({"data": event, "meta": {"attempt": attempt, "delivered_to": url}})

                retries_ms = call.parameters.retries_of(event_type)
                await self._sender.deliver(call.account.signer, url, content_of, call.call_control_id, retries_ms)


def _dollars(micros: int) -> str:
    return f"{micros // 1_000_000}.{micros % 1_000_000:06d}"
