"""Following TwiML: fetches documents and does what their verbs say, one after the other.

TeXML is the same language as far as the simulated carriers speak it. The two sides of a WebSocket are in
`conversations`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin
from xml.etree import ElementTree

from sandbox.carriers.callee import wait_for_answer
from sandbox.carriers.conversations import SessionReport, begin_report, converse_over_relay, converse_over_stream
from sandbox.carriers.faults import TWIML_CONTENT_TYPE, TWIML_UNREADABLE, WEBHOOK_UNREACHABLE
from sandbox.carriers.line import CallEnds, Ending, Line, LineInterrupted
from sandbox.carriers.relay import RelaySettings
from sandbox.carriers.scenarios import find_scenario
from sandbox.carriers.session import CallSession
from sandbox.carriers.webhooks import Form, WebhookReply

Element = ElementTree.Element

APOLOGY_SECONDS = 4.0
WORDS_PER_SECOND = 2.5
SAY_OVERHEAD_SECONDS = 0.5
PLAY_SECONDS = 5.0
PAUSE_SECONDS_DEFAULT = 1.0
GATHER_TIMEOUT_SECONDS_DEFAULT = 5.0
DIAL_TIMEOUT_SECONDS_DEFAULT = 30.0
DIAL_TIME_LIMIT_SECONDS_DEFAULT = 14_400.0
# Of the endings, those that happen to the party dialled and not to the call that dials.
_DIAL_STATUSES: Final = {
    Ending.BUSY: "busy",
    Ending.DECLINED: "busy",
    Ending.NO_ANSWER: "no-answer",
    Ending.UNREACHABLE: "failed",
}
_XML_TYPES = frozenset({"text/xml", "application/xml", "text/html"})


@dataclass(frozen=True)
class Instructions:
    """Where a call's document comes from: a URL, or the document itself."""

    url: str | None = None
    method: str = "POST"
    twiml: str | None = None
    extra_parameters: Form = ()
    is_fallback: bool = False


class CallRedirected(LineInterrupted):
    """The application gave the call new instructions."""

    def __init__(self, instructions: Instructions) -> None:
        super().__init__("redirected")
        self.instructions = instructions


class TwimlError(Exception):
    """A document could not be fetched or followed; `code` is one of `faults`."""

    def __init__(self, code: int, text: str, *, url: str = "", method: str = "POST", body: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.url = url
        self.method = method
        self.body = body


@dataclass(frozen=True)
class Document:
    """A TwiML document and where it came from (empty for one given with the request)."""

    response: Element
    source: Instructions

    def absolute(self, url: str) -> str:
        """Resolve a URL named in the document."""
        return urljoin(self.source.url or "", url.strip())


async def follow_instructions(
    instructions: Instructions,
    session: CallSession,
    *,
    fallback: Callable[[], Instructions | None],
    first: Callable[[], Awaitable[None]],
) -> None:
    """Fetch and follow one document after the other, until the verbs run out.

    `first` is awaited before a document is fetched, where a redirect may already break in; `fallback` is where to turn
    when a document fails. Raises CallEnds.
    """
    following: Instructions | None = instructions
    while following is not None:
        try:
            await first()
            following = await _follow_or_fall_back(following, session, fallback)
        except CallRedirected as redirected:
            following = redirected.instructions


async def _follow_or_fall_back(
    instructions: Instructions, session: CallSession, fallback: Callable[[], Instructions | None]
) -> Instructions | None:
    try:
        return await follow(await _obtain(instructions, session), session)
    except TwimlError as failure:
        session.notify(failure.code, failure.text, url=failure.url, method=failure.method, body=failure.body)
        turn_to = None if instructions.is_fallback else fallback()
        if turn_to is None or turn_to.url is None:
            # The callee is told that an application error has occurred, and the call ends.
            await session.line.wait(APOLOGY_SECONDS)
            raise CallEnds from None
        return Instructions(
            url=turn_to.url,
            method=turn_to.method,
            extra_parameters=(("ErrorCode", str(failure.code)), ("ErrorUrl", failure.url)),
            is_fallback=True,
        )


async def _obtain(instructions: Instructions, session: CallSession) -> Document:
    if instructions.url is None:
        return parse_document(instructions.twiml or "", instructions)
    asking = session.request(instructions.url, instructions.method, instructions.extra_parameters)
    return document_from_reply(await session.line.attend(asking), instructions)


def document_from_reply(reply: WebhookReply, source: Instructions) -> Document:
    """The document that a webhook answered with. Raises TwimlError."""
    url = source.url or ""
    if not reply.succeeded:
        got = "no reply" if reply.status is None else f"HTTP status {reply.status}"
        raise TwimlError(WEBHOOK_UNREACHABLE, f"Got {got} from {url}", url=url, method=source.method, body=reply.body)
    if reply.content_type in _XML_TYPES:
        return parse_document(reply.body, source)
    response = ElementTree.Element("Response")
    if reply.content_type == "text/plain":
        ElementTree.SubElement(response, "Say").text = reply.body
    elif reply.content_type.startswith("audio/"):
        ElementTree.SubElement(response, "Play").text = url
    else:
        raise TwimlError(
            TWIML_CONTENT_TYPE, f"Content type {reply.content_type!r} is not TwiML", url=url, method=source.method
        )
    return Document(response, source)


def parse_document(text: str, source: Instructions) -> Document:
    """Read TwiML. Raises TwimlError."""
    try:
        # The text comes from the application under test on this very machine, and expat bounds entity expansion.
        response = ElementTree.fromstring(text.strip())  # noqa: S314
    except ElementTree.ParseError as error:
        raise TwimlError(
            TWIML_UNREADABLE, f"Document parse failure: {error}", url=source.url or "", method=source.method, body=text
        ) from None
    if response.tag != "Response":
        raise TwimlError(
            TWIML_UNREADABLE, f"The root element must be Response, got {response.tag}", url=source.url or "", body=text
        )
    return Document(response, source)


async def follow(document: Document, session: CallSession) -> Instructions | None:
    """Follow the verbs; the instructions that a verb passed control to, or None when the verbs ran out.

    Raises TwimlError, LineInterrupted.
    """
    for verb in document.response:
        follow_verb = _VERBS.get(verb.tag)
        if follow_verb is None:
            raise TwimlError(
                TWIML_UNREADABLE, f"The simulated carriers follow no <{verb.tag}>", url=document.source.url or ""
            )
        next_instructions = await follow_verb(document, verb, session)
        if next_instructions is not None:
            return next_instructions
    return None


async def _say(_document: Document, verb: Element, session: CallSession) -> None:
    await _repeat(verb, speaking_seconds("".join(verb.itertext())), session.line)


async def _play(_document: Document, verb: Element, session: CallSession) -> None:
    await _repeat(verb, PLAY_SECONDS, session.line)


async def _pause(_document: Document, verb: Element, session: CallSession) -> None:
    await session.line.wait(_number(verb, "length", PAUSE_SECONDS_DEFAULT))


async def _hang_up(_document: Document, _verb: Element, _session: CallSession) -> None:
    raise CallEnds


async def _redirect(document: Document, verb: Element, _session: CallSession) -> Instructions:
    return Instructions(url=document.absolute(verb.text or ""), method=verb.get("method", "POST").upper())


async def _gather(document: Document, verb: Element, session: CallSession) -> Instructions | None:
    """The callee listens to the prompts and enters nothing."""
    prompts: Mapping[str, Callable[[Document, Element, CallSession], Awaitable[None]]] = {
        "Say": _say,
        "Play": _play,
        "Pause": _pause,
    }
    for prompt in verb:
        if prompt.tag not in prompts:
            raise TwimlError(TWIML_UNREADABLE, f"<{prompt.tag}> is not allowed within <Gather>")
        await prompts[prompt.tag](document, prompt, session)
    await session.line.wait(_number(verb, "timeout", GATHER_TIMEOUT_SECONDS_DEFAULT))
    if verb.get("actionOnEmptyResult", "false") != "true":
        return None
    return _action(document, verb, (("Digits", ""), ("FinishedOnKey", ""), ("msg", "Gather End")))


async def _connect(document: Document, verb: Element, session: CallSession) -> Instructions | None:
    """Hand the call to a WebSocket; afterwards the action URL, when given, takes over."""
    nouns = list(verb)
    if len(nouns) != 1 or nouns[0].tag not in ("ConversationRelay", "Stream"):
        raise TwimlError(TWIML_UNREADABLE, "<Connect> must hold exactly one <ConversationRelay> or <Stream>")
    noun, given = nouns[0], _custom_parameters(nouns[0])
    report = begin_report(session)
    try:
        if noun.tag == "Stream":
            await converse_over_stream(noun.get("url", ""), given, session, report)
        else:
            await _converse(noun, given, session, report)
    except CallEnds:
        # The callee is gone, but the application still learns how the session went; its answer has no one to hear it.
        action = _action(document, verb, report.parameters(session.line.timeline))
        if action is not None and action.url is not None:
            session.spawn(_tell(session, action.url, action.method, action.extra_parameters))
        raise
    return _action(document, verb, report.parameters(session.line.timeline))


async def _converse(
    noun: Element, custom_parameters: Mapping[str, str], session: CallSession, report: SessionReport
) -> None:
    url, fault = noun.get("url", ""), session.find_relay_fault(noun.attrib)
    if fault is not None:
        report.fail(*fault)
        session.notify(*fault, url=url, method="GET")
        return
    await converse_over_relay(url, RelaySettings.of_noun(noun.attrib, custom_parameters), session, report)


async def _dial(document: Document, verb: Element, session: CallSession) -> Instructions | None:
    """Connect the callee with somebody else, by that number's scenario; afterwards the action URL, when given."""
    destinations = [noun.text or "" for noun in verb if noun.tag in ("Number", "Sip")] or [verb.text or ""]
    if len(destinations) != 1 or len(verb) > 1:
        raise TwimlError(TWIML_UNREADABLE, "The simulated carriers dial one <Number> or <Sip> at a time")
    scenario, line = find_scenario(destinations[0].strip()), session.line
    status, talked_seconds = "completed", 0.0
    try:
        await wait_for_answer(line, scenario, ring_seconds_max=_number(verb, "timeout", DIAL_TIMEOUT_SECONDS_DEFAULT))
    except CallEnds as ended:
        if ended.ending not in _DIAL_STATUSES:
            # It is the call itself that ends, while it rings elsewhere.
            raise
        status = _DIAL_STATUSES[ended.ending]
    else:
        record = session.callees.journal.find(session.relay_facts()["callSid"])
        if record is not None:
            record.note(line.timeline.elapsed_seconds, "connected", destinations[0].strip())
        limit_seconds = _number(verb, "timeLimit", DIAL_TIME_LIMIT_SECONDS_DEFAULT)
        talked_seconds = min(scenario.talks_seconds, scenario.hangs_up_after_seconds, limit_seconds)
        await line.wait(talked_seconds)
    parameters = (("DialCallStatus", status), ("DialCallDuration", str(round(talked_seconds))))
    return _action(document, verb, parameters)


async def _tell(session: CallSession, url: str, method: str, parameters: Form) -> None:
    await session.request(url, method, parameters, status="completed")


def _custom_parameters(noun: Element) -> dict[str, str]:
    return {child.get("name", ""): child.get("value", "") for child in noun if child.tag == "Parameter"}


def _action(document: Document, verb: Element, parameters: Form) -> Instructions | None:
    action = verb.get("action")
    if action is None:
        return None
    return Instructions(
        url=document.absolute(action), method=verb.get("method", "POST").upper(), extra_parameters=parameters
    )


async def _repeat(verb: Element, seconds: float, line: Line) -> None:
    times = int(_number(verb, "loop", 1))
    if times == 0:
        # loop="0" repeats until somebody hangs up.
        while True:
            await line.wait(seconds)
    for _ in range(times):
        await line.wait(seconds)


def speaking_seconds(text: str) -> float:
    """How long it takes to say a text."""
    return len(text.split()) / WORDS_PER_SECOND + SAY_OVERHEAD_SECONDS


def _number(verb: Element, name: str, default: float) -> float:
    text = verb.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()):
        raise TwimlError(TWIML_UNREADABLE, f"{name}={text!r} of <{verb.tag}> is not a number")
    return float(text)


_VERBS: Final[Mapping[str, Callable[[Document, Element, CallSession], Awaitable[Instructions | None]]]] = {
    "Say": _say,
    "Play": _play,
    "Pause": _pause,
    "Hangup": _hang_up,
    # On an answered call there is nothing left to reject: Twilio ends it.
    "Reject": _hang_up,
    "Redirect": _redirect,
    "Gather": _gather,
    "Connect": _connect,
    "Dial": _dial,
}
