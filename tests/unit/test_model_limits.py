"""What holds for every model that is asked over a connection: nobody waits for too long, reads too much, or leaks."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

import pytest

from dialplane.domain.language_model import TEXT_LENGTH_MAX, ModelFailed, ModelRequest, ToolCall
from dialplane.models.limits import Answer, Line, Sign, within_limits

REQUEST = ModelRequest("", (), first_token_seconds=5.0, total_seconds=10.0)


def answering(*pieces: Any) -> Answer:
    """Give these pieces; an exception is raised where it stands."""

    def answer(_: ModelRequest, __: Line) -> Generator[str | ToolCall | Sign, None, None]:
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    return answer


def test_pieces_come_as_they_are_and_signs_and_empty_tokens_do_not() -> None:
    call = ToolCall("1", "end_call")
    pieces = within_limits(answering("a", "", Sign.OF_LIFE, " ", call), REQUEST)
    assert list(pieces) == ["a", " ", call]


def test_nobody_waits_for_what_follows_the_end() -> None:
    is_over = threading.Event()

    def answer(_: ModelRequest, __: Line) -> Generator[str | ToolCall | Sign, None, None]:
        yield "a"
        yield Sign.OF_THE_END
        is_over.wait(30)

    assert list(within_limits(answer, REQUEST)) == ["a"]
    is_over.set()


def test_a_failure_keeps_its_reason_and_any_other_error_only_its_name() -> None:
    with pytest.raises(ModelFailed) as failed:
        list(within_limits(answering(ModelFailed("HTTP 429")), REQUEST))
    assert failed.value.reason == "HTTP 429"
    with pytest.raises(ModelFailed) as failed:
        list(within_limits(answering(LookupError("the prompt")), REQUEST))
    assert failed.value.reason == "LookupError"
    assert failed.value.__context__ is None, "nor does it come along as the cause of another"


def test_what_was_given_before_a_failure_was_given() -> None:
    pieces = within_limits(answering("Hello", ModelFailed("it broke off")), REQUEST)
    assert next(pieces) == "Hello"
    with pytest.raises(ModelFailed):
        next(pieces)


@pytest.mark.parametrize("length", [TEXT_LENGTH_MAX - 1, TEXT_LENGTH_MAX, TEXT_LENGTH_MAX + 1])
def test_so_much_text_and_no_more(length: int) -> None:
    pieces = within_limits(answering("a", "x" * (length - 1), "y", ToolCall("1", "never")), REQUEST)
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    assert text == ("a" + "x" * (length - 1) + "y")[:TEXT_LENGTH_MAX]


@pytest.mark.parametrize("listens", [0, 1, 3])
def test_a_thread_ends_when_nobody_listens_any_more(listens: int) -> None:
    was_closed = threading.Event()

    def answer(_: ModelRequest, __: Line) -> Generator[str | ToolCall | Sign, None, None]:
        try:
            yield from ("blah ", "blah ", "blah ")
            while True:
                yield Sign.OF_LIFE
                threading.Event().wait(0.001)
        finally:
            was_closed.set()

    pieces = within_limits(answer, REQUEST)
    for _ in range(listens):
        assert next(pieces) == "blah "
    pieces.close()  # type: ignore[attr-defined] # an iterator that can be closed
    assert was_closed.wait(5 if listens else 0) == (listens > 0), "who never asked for a piece has started nothing"


def test_a_thread_that_reads_is_interrupted_whenever_the_line_is_closed() -> None:
    line, interrupted = Line(), []
    line.hold(lambda: interrupted.append("first"))
    line.close()
    line.hold(lambda: interrupted.append("too late"))
    assert interrupted == ["first", "too late"]
    assert not line.let_go()


def test_who_has_let_go_is_not_interrupted() -> None:
    line, interrupted = Line(), []
    line.hold(lambda: interrupted.append("never"))
    assert line.let_go()
    line.close()
    assert interrupted == []


def test_an_interruption_that_fails_is_none() -> None:
    line = Line()
    line.hold(lambda: 1 / 0)
    line.close()
    assert line.is_closed()
