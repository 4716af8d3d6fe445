"""A TeXML call as following a document sees it."""

from dataclasses import dataclass

from sandbox.carriers.telnyx.session import TelnyxSession
from sandbox.carriers.telnyx_texml.calls import TexmlCall
from sandbox.carriers.telnyx_texml.requests import ask, standard_parameters
from sandbox.carriers.webhooks import Form, WebhookReply


@dataclass
class TexmlSession(TelnyxSession):
    """One call being lived out; `detection` is what machine detection says besides AnsweredBy."""

    detection: Form = ()

    async def request(self, url: str, method: str, parameters: Form, *, status: str | None = None) -> WebhookReply:
        """Ask the application."""
        assert isinstance(self.leg, TexmlCall)
        form = (*standard_parameters(self.leg, status=status), *self.detection, *parameters)
        return await ask(self.sender, self.leg, url, method, form)
