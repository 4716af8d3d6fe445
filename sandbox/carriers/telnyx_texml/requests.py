"""What TeXML says to an application: the standard parameters, status callbacks, results of machine detection."""

from datetime import UTC, datetime

from sandbox.carriers.background import Spawn
from sandbox.carriers.delivery import DeliveryOrder
from sandbox.carriers.telnyx.webhooks import TelnyxSender, form_content
from sandbox.carriers.telnyx_texml.calls import TexmlCall
from sandbox.carriers.webhooks import Form, WebhookReply

# Unlike Twilio's, these count the steps of a call's life and not the callbacks that were asked for.
SEQUENCE_NUMBERS = {"initiated": 0, "ringing": 1, "answered": 2, "completed": 3}
_NO_QUALITY_STATS = '{"inbound":{"mos":"4.50","jitter_max_variance":"0.00"}}'


def call_time(moment: datetime) -> str:
    """A time as TeXML writes it: `2024-01-15T10:30:26.028Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def standard_parameters(call: TexmlCall, *, status: str | None = None) -> Form:
    """The parameters that every request carries; `status` overrides the call's own."""
    form = [
        ("AccountSid", call.account_sid),
        ("CallSid", call.call_control_id),
        ("CallSidLegacy", call.call_control_id),
        ("CallControlId", call.call_control_id),
        ("CallLegId", call.call_leg_id),
        ("CallSessionId", call.call_session_id),
        ("ConnectionId", call.application_id),
        ("CallStatus", status or call.status),
        ("From", call.from_),
        ("To", call.to),
        ("CallerId", call.parameters.caller_id),
        ("Direction", "outbound"),
    ]
    if call.answered_by is not None:
        form.append(("AnsweredBy", call.answered_by))
    return tuple(form)


async def ask(sender: TelnyxSender, call: TexmlCall, url: str, method: str, form: Form) -> WebhookReply:
    """Ask for a document, once. Never raises."""
    if method == "GET":
        return await sender.get(call.account.signer, url, form, call.call_control_id)
    return await sender.post(call.account.signer, url, form_content(form), call.call_control_id)


async def tell(sender: TelnyxSender, call: TexmlCall, url: str, method: str, form: Form) -> None:
    """Deliver a callback, posted until it is answered 2xx."""
    if method == "GET":
        await sender.get(call.account.signer, url, form, call.call_control_id)
        return
    content = form_content(form)
    await sender.deliver(call.account.signer, url, lambda _attempt: content, call.call_control_id)


class StatusCallbacks:
    """Raises a call's progress events; each requested one becomes a request of its own, sent beside the call."""

    def __init__(self, call: TexmlCall, sender: TelnyxSender, spawn: Spawn) -> None:
        self._call = call
        self._sender = sender
        self._spawn = spawn
        self._order: DeliveryOrder[Form] = DeliveryOrder(call.scenario.delivery)

    def raise_event(self, event: str) -> None:
        """Report initiated, ringing, answered or completed; its CallStatus is the call's."""
        parameters = self._call.parameters
        if parameters.status_callback is None or event not in parameters.status_callback_events:
            return
        departing = self._order.departing(
            self._form(event), terminal=event == "completed", overtaken=event == "ringing"
        )
        if departing:
            self._spawn(self._deliver(parameters.status_callback, parameters.status_callback_method, departing))

    def raise_beside(self, url: str, method: str, form: Form) -> None:
        """Report what is told at an address of its own and in words of its own: who answered, a recording."""
        departing = self._order.beside(form)
        if departing:
            self._spawn(self._deliver(url, method, departing))

    def _form(self, event: str) -> Form:
        call = self._call
        form = [
            *standard_parameters(call),
            ("CallbackSource", "call-progress-events"),
            ("SequenceNumber", str(SEQUENCE_NUMBERS[event])),
            ("Timestamp", call_time(call.timeline.now())),
            ("CallInitiatedAt", call_time(call.start_time or call.created_at)),
        ]
        if event == "completed":
            assert call.hangup is not None
            assert call.end_time is not None
            form += [
                ("CallDuration", str(call.duration)),
                ("StartTime", call_time(call.start_time or call.created_at)),
                ("EndTime", call_time(call.end_time)),
                ("HangupCause", call.hangup.cause),
                ("HangupSource", call.hangup.source),
                ("SipHangupCause", call.hangup.sip_cause),
                ("CallQualityStats", _NO_QUALITY_STATS),
            ]
            if call.answered_at is not None:
                form.append(("AnsweredTime", call_time(call.answered_at)))
        return tuple(form)

    async def _deliver(self, url: str, method: str, forms: list[Form]) -> None:
        for form in forms:
            await tell(self._sender, self._call, url, method, form)
