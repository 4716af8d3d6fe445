"""A call's callbacks: which events were asked for, in which words, and how the scenario lets them arrive."""

import uuid
from dataclasses import dataclass

from sandbox.carriers.background import Spawn
from sandbox.carriers.delivery import DeliveryOrder
from sandbox.carriers.faults import WEBHOOK_UNREACHABLE
from sandbox.carriers.twilio.calls import Call, rfc2822
from sandbox.carriers.twilio.errors import STATUS_CALLBACK_REFUSED
from sandbox.carriers.twilio.webhooks import WebhookSender, standard_parameters
from sandbox.carriers.webhooks import Form


@dataclass(frozen=True)
class _Callback:
    event: str
    url: str
    method: str
    form: Form
    token: str


class StatusCallbacks:
    """Raises a call's progress events; each requested one becomes a request of its own, sent beside the call."""

    def __init__(self, call: Call, sender: WebhookSender, spawn: Spawn) -> None:
        self._call = call
        self._sender = sender
        self._spawn = spawn
        self._sequence_number = 0
        self._order: DeliveryOrder[_Callback] = DeliveryOrder(call.scenario.delivery)

    def raise_event(self, event: str, status: str) -> None:
        """Report initiated, ringing, answered or completed; `status` is the CallStatus to say."""
        parameters = self._call.parameters
        if parameters.status_callback is None or event not in (parameters.status_callback_events or ()):
            return
        callback = _Callback(
            event,
            parameters.status_callback,
            parameters.status_callback_method,
            self._form(event, status),
            str(uuid.uuid4()),
        )
        self._sequence_number += 1
        departing = self._order.departing(callback, terminal=event == "completed", overtaken=event == "ringing")
        if departing:
            self._spawn(self._deliver(departing))

    def raise_beside(self, event: str, url: str, method: str, form: Form) -> None:
        """Report what is told at an address of its own and in words of its own: who answered, a recording."""
        departing = self._order.beside(_Callback(event, url, method, form, str(uuid.uuid4())))
        if departing:
            self._spawn(self._deliver(departing))

    def _form(self, event: str, status: str) -> Form:
        call = self._call
        form = [
            *standard_parameters(call, status=status),
            ("CallbackSource", "call-progress-events"),
            # Counts the events of this subscription, not the steps of the call's life.
            ("SequenceNumber", str(self._sequence_number)),
            ("Timestamp", rfc2822(call.timeline.now())),
        ]
        if event == "completed":
            form += [("CallDuration", str(call.duration or 0)), ("Duration", str(call.billed_minutes))]
            if call.sip_response_code is not None:
                form.append(("SipResponseCode", str(call.sip_response_code)))
        if call.answered_by is not None:
            form.append(("AnsweredBy", call.answered_by))
        return tuple(form)

    async def _deliver(self, callbacks: list[_Callback]) -> None:
        for callback in callbacks:
            reply = await self._sender.send(
                self._call, callback.url, callback.method, callback.form, token=callback.token
            )
            if not reply.succeeded:
                unreachable = reply.status is None
                self._call.notify(
                    WEBHOOK_UNREACHABLE if unreachable else STATUS_CALLBACK_REFUSED,
                    f"Status callback answered {reply.status}" if not unreachable else "Status callback not reachable",
                    url=callback.url,
                    method=callback.method,
                    body=reply.body,
                )
