"""A call's instructions in TeXML: Twilio's document, with what Telnyx wants beside it.

https://developers.telnyx.com/docs/voice/programmable-voice/texml-verbs
"""

from __future__ import annotations

from dialplane.carriers.contract import Document
from dialplane.carriers.twilio import instructions as twiml
from dialplane.domain.instructions import Instructions

__all__ = ["hang_up", "render"]

hang_up = twiml.hang_up


def render(instructions: Instructions) -> Document:
    """Word the instructions as a TeXML document.

    Raises ValueError for the engine ``agent``, and when the engine needs a ``url`` and there is none.
    """
    # Both ways: without it Telnyx takes nothing but whole MP3 files from the media server.
    return twiml.render(instructions, stream_attributes={"bidirectional_mode": "rtp"})
