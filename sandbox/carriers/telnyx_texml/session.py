"""A TeXML call as following a document sees it."""

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.carriers import relay_attributes
from sandbox.carriers.relay_attributes import find_fault
from sandbox.carriers.telnyx.session import TelnyxSession
from sandbox.carriers.telnyx_texml.calls import TexmlCall
from sandbox.carriers.telnyx_texml.requests import ask, standard_parameters
from sandbox.carriers.webhooks import Form, WebhookReply


@dataclass
class TexmlSession(TelnyxSession):
    """One call being lived out; `detection` is what machine detection says besides AnsweredBy."""

    detection: Form = ()

    def find_relay_fault(self, attributes: Mapping[str, str]) -> tuple[int, str] | None:
        """What TeXML does not take about a `<ConversationRelay>`."""
        return find_fault(attributes, relay_attributes.TEXML, relay_attributes.TEXML_VOICES_NOT)

    async def request(self, url: str, method: str, parameters: Form, *, status: str | None = None) -> WebhookReply:
        """Ask the application."""
        assert isinstance(self.leg, TexmlCall)
        form = (*standard_parameters(self.leg, status=status), *self.detection, *parameters)
        return await ask(self.sender, self.leg, url, method, form)
