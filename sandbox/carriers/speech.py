"""What a carrier speaks to a callee and how much of it was heard by when. Pure: times are given, nothing waits here.

Times are seconds on the call's own time line. Text comes in tokens of any size; tokens up to one that is the last make
an utterance (Twilio: a talk cycle), and utterances are spoken one after the other.
"""

from collections import deque
from dataclasses import dataclass, field

CHARACTERS_PER_SECOND = 15.0
STARTS_AFTER_SECONDS = 0.3
"""What a voice needs to its first sound."""
AUDIO_SECONDS = 5.0

SPEECH, KEYS = "speech", "dtmf"
"""By what speech may be interrupted."""


def speaking_seconds(text: str) -> float:
    """How long it takes to say a text."""
    return len(text) / CHARACTERS_PER_SECOND


@dataclass
class Utterance:
    """Text that is, was or will be spoken. `cut_by` says what interrupts it; closed, its last token has come."""

    begins_at: float
    cut_by: frozenset[str]
    is_closed: bool = False
    is_audio: bool = False
    _pieces: list[tuple[float, str]] = field(default_factory=list)
    _ends_at: float = 0.0

    @property
    def text(self) -> str:
        """All of it that has come."""
        return "".join(text for _, text in self._pieces)

    @property
    def ends_at(self) -> float:
        """When all that has come will have been heard."""
        return max(self._ends_at, self.begins_at)

    def add(self, text: str, *, at: float, seconds: float | None = None) -> None:
        """More text; it is spoken when it is there and what is before it was spoken."""
        starts_at = max(at, self.ends_at)
        self._pieces.append((starts_at, text))
        self._ends_at = starts_at + (speaking_seconds(text) if seconds is None else seconds)

    def heard(self, at: float) -> str:
        """What was heard by then, in whole words."""
        if at >= self.ends_at:
            return self.text
        if self.is_audio:
            return ""
        heard = ""
        for starts_at, text in self._pieces:
            characters = int(max(at - starts_at, 0.0) * CHARACTERS_PER_SECOND + 1e-3)
            heard += text[:characters]
            if characters < len(text):
                break
        rest = self.text[len(heard) :]
        if rest[:1].strip() and heard[-1:].strip():
            # In the middle of a word.
            heard = heard[: max(heard.rfind(" "), heard.rfind("\n")) + 1]
        return heard.rstrip()

    def when_heard(self, words: int) -> float | None:
        """When so many words will have been heard; None as long as they have not come."""
        position, seen = 0, 0
        text = self.text
        while seen < words:
            while position < len(text) and text[position].isspace():
                position += 1
            if position >= len(text):
                return None
            while position < len(text) and not text[position].isspace():
                position += 1
            seen += 1
        if position == len(text) and not self.is_closed:
            return None  # the word may go on
        for starts_at, piece in self._pieces:
            if position <= len(piece):
                return starts_at + position / CHARACTERS_PER_SECOND
            position -= len(piece)
        return None


@dataclass(frozen=True)
class Cut:
    """What an interruption has left of the utterance that was being spoken."""

    heard: str
    unheard: str
    duration_ms: int


class Playback:
    """All that is to be spoken to one callee, in order."""

    def __init__(self) -> None:
        self._utterances: deque[Utterance] = deque()

    @property
    def current(self) -> Utterance | None:
        """What is being spoken, or was and may go on."""
        return self._utterances[0] if self._utterances else None

    @property
    def is_hesitating(self) -> bool:
        """Whether more is to come of what was said last; see `ends_at` for when its silence begins."""
        return bool(self._utterances) and not self._utterances[-1].is_closed

    @property
    def ends_at(self) -> float | None:
        """When all that has come will have been heard; None when nothing is being spoken."""
        return self._utterances[-1].ends_at if self._utterances else None

    def add(self, text: str, *, at: float, cut_by: frozenset[str], is_last: bool) -> None:
        """A token."""
        if not self.is_hesitating:
            if not text:
                return
            self._utterances.append(Utterance(self._free_at(at) + STARTS_AFTER_SECONDS, cut_by))
        utterance = self._utterances[-1]
        if text:
            utterance.add(text, at=at)
        utterance.is_closed = is_last

    def add_audio(self, source: str, *, at: float, cut_by: frozenset[str]) -> None:
        """A recording to be played; it is a talk cycle of its own."""
        self.close()
        audio = Utterance(self._free_at(at), cut_by, is_closed=True, is_audio=True)
        audio.add(f"[audio {source}]", at=audio.begins_at, seconds=AUDIO_SECONDS)
        self._utterances.append(audio)

    def close(self) -> None:
        """No more is to come of what was said last."""
        if self._utterances:
            self._utterances[-1].is_closed = True

    def advance(self, now: float) -> list[Utterance]:
        """The utterances that were heard whole by now; they are over."""
        done = []
        while self._utterances and self._utterances[0].is_closed and self._utterances[0].ends_at <= now:
            done.append(self._utterances.popleft())
        return done

    def interrupt(self, now: float, by: str) -> Cut | None:
        """The callee breaks in. None when nothing is being spoken or it cannot be interrupted by that.

        What waits behind is dropped too, except for what cannot be interrupted, which is spoken next.
        """
        if not self.is_speaking(now) or by not in self._utterances[0].cut_by:
            return None
        cut = _cut(self._utterances.popleft(), now)
        kept = [each for each in self._utterances if by not in each.cut_by]
        self._utterances.clear()
        for each in kept:
            again = Utterance(self._free_at(now) + STARTS_AFTER_SECONDS, each.cut_by, each.is_closed, each.is_audio)
            again.add(each.text, at=now, seconds=AUDIO_SECONDS if each.is_audio else None)
            self._utterances.append(again)
        return cut

    def end(self, now: float) -> list[Cut]:
        """The line is cut: what was not heard, utterance by utterance."""
        cuts = [_cut(each, now) for each in self._utterances]
        self._utterances.clear()
        return cuts

    def is_speaking(self, now: float) -> bool:
        """Whether anything can be heard, or is about to be."""
        return bool(self._utterances) and now < self._utterances[0].ends_at

    def _free_at(self, at: float) -> float:
        return max(at, self.ends_at or at)


def _cut(utterance: Utterance, now: float) -> Cut:
    heard = utterance.heard(now)
    milliseconds = round(max(min(now, utterance.ends_at) - utterance.begins_at, 0.0) * 1000)
    return Cut(heard, utterance.text[len(heard) :].strip(), milliseconds)
