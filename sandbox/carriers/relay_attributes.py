"""What `<ConversationRelay>` may say, checked as the carriers check it; an attribute that they do not know is nothing.

Sources: https://www.twilio.com/docs/voice/twiml/connect/conversationrelay and
https://developers.telnyx.com/docs/voice/programmable-voice/texml-verbs/conversationrelay.
"""

import re
from collections.abc import Mapping
from typing import Final

from sandbox.carriers.faults import RELAY_ARGUMENT_UNSUPPORTED, RELAY_ATTRIBUTE_INVALID

_BOOLEAN = "true|false"
_INTERRUPTIONS = f"none|dtmf|speech|any|{_BOOLEAN}"
_LANGUAGE = "[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}"

TWILIO: Final[Mapping[str, str]] = {
    "welcomeGreetingInterruptible": _INTERRUPTIONS,
    "interruptible": _INTERRUPTIONS,
    "reportInputDuringAgentSpeech": _INTERRUPTIONS,
    "interruptSensitivity": "low|medium|high",
    "dtmfDetection": _BOOLEAN,
    "preemptible": _BOOLEAN,
    "ignoreBackchannel": _BOOLEAN,
    "partialPrompts": _BOOLEAN,
    "profanityFilter": _BOOLEAN,
    "deepgramSmartFormat": _BOOLEAN,
    "language": f"{_LANGUAGE}|multi",
    "ttsLanguage": f"{_LANGUAGE}|multi",
    "transcriptionLanguage": f"{_LANGUAGE}|multi",
    "ttsProvider": "Google|Amazon|ElevenLabs",
    "transcriptionProvider": "Google|Deepgram",
    "speechModel": "[a-z0-9][a-z0-9_.-]*",
    "elevenlabsTextNormalization": "on|off|auto",
    "speechTimeout": "auto|[6-9][0-9]{2}|[1-4][0-9]{3}|5000",
    "eotThreshold": r"0\.[5-9][0-9]*",
    "debug": "((debugging|speaker-events|tokens-played)( |$))*",
    "events": "((speaker-events|tokens-played)( |$))*",
}
TEXML: Final[Mapping[str, str]] = {
    "welcomeGreetingInterruptible": _INTERRUPTIONS,
    "interruptible": _INTERRUPTIONS,
    "dtmfDetection": _BOOLEAN,
    "language": _LANGUAGE,
    "transcriptionProvider": "deepgram|google|telnyx",
}
# Names of <Say>, which a conversation does not have; and, at Telnyx, a voice that needs a key no attribute can name.
_NO_VOICES: Final = r"(Polly|Google)\..*|man|woman|alice"
TWILIO_VOICES_NOT: Final = rf"{_NO_VOICES}|(AWS|Telnyx|Azure|ElevenLabs)\..*"
TEXML_VOICES_NOT: Final = rf"{_NO_VOICES}|ElevenLabs\..*"


def find_fault(attributes: Mapping[str, str], values: Mapping[str, str], voices_not: str) -> tuple[int, str] | None:
    """The code and text of the first fault: a value that is none, a voice that nobody has."""
    for name, value in attributes.items():
        if name in values and not re.fullmatch(values[name], value):
            return RELAY_ATTRIBUTE_INVALID, f"Invalid value {value!r} for {name}"
    voice = attributes.get("voice", "")
    if re.fullmatch(voices_not, voice):
        return RELAY_ARGUMENT_UNSUPPORTED, f"Invalid argument: there is no voice {voice!r}"
    return None
