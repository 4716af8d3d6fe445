"""`dialplane talk`: be called by the sandbox and hold the conversation in the terminal.

The call is placed through the API like any other. Its callee is the simulated carriers' person, who hears and speaks
over a WebSocket of theirs; nothing of this exists outside of a sandbox.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from cli.output import CommandFailed

if TYPE_CHECKING:
    from sandbox.stack import SandboxState

_ENDED_BY = {"application": "the assistant", "callee": "you", "socket": "a lost connection", "carrier": "the carrier"}
_HELP = "Type what you say. /9 presses a key, /hang hangs up."


def talk(
    caller_number: Annotated[
        str | None, typer.Option("--from", help="Be called from this number, by whoever speaks on it.")
    ] = None,
    assistant: Annotated[int | None, typer.Option(help="Be called by this assistant.")] = None,
    variable: Annotated[list[str] | None, typer.Option(help="A variable of the call, as name=value.")] = None,
    sandbox: Annotated[Path, typer.Option(help="The sandbox's folder.")] = Path(".sandbox"),
) -> None:
    """Be the callee of a call in the sandbox: read what is said, and type what you say.

    /9 presses a key, /hang hangs up. When the input is no terminal, each line is said when it is your turn.
    """
    try:
        from sandbox.carriers.scenarios import PERSON_NUMBER  # noqa: PLC0415 - is not there where only AWS is used
        from sandbox.demo_data import CONVERSATION_NUMBERS  # noqa: PLC0415 - as above
        from sandbox.stack import Sandbox  # noqa: PLC0415 - as above
    except ImportError as error:
        raise CommandFailed(f"The sandbox is not installed here ({error.name} is missing); run make up once.") from None
    state = Sandbox(sandbox).state()
    if state is None:
        raise CommandFailed(f"No sandbox runs in {sandbox}: start one with make up, or name its folder with --sandbox.")
    wanted: dict[str, Any] = {"assistant_id": assistant} if assistant is not None else {}
    if caller_number is not None or assistant is None:
        wanted["from_phone_number"] = caller_number or CONVERSATION_NUMBERS[124]
    values = _variables(variable or ())
    body = {**wanted, "to_phone_number": PERSON_NUMBER, **({"variables": values} if values else {})}
    asyncio.run(hold(state, body, sys.stdin, Screen(_print)))


def _print(text: str) -> None:
    print(text, end="", flush=True)


def _variables(given: list[str] | tuple[str, ...]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    if wrong := next((name for name, equals, _ in pairs if not equals or not name), None):
        raise CommandFailed(f"A variable is written name=value, not {wrong!r}.")
    return {name: value for name, _, value in pairs}


class Screen:
    """What the person sees: the other side's words as they come, one line for each thing said."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._shown: str | None = None

    def show(self, event: Mapping[str, Any]) -> None:
        """Show what the carrier tells of the call."""
        match event:
            case {"event": "answered", "from": number}:
                self._line(f"You are called from {number}. {_HELP}")
            case {"event": "hearing", "text": str(text)}:
                self._show_words(text)
            case {"event": "heard", "text": str(text)}:
                self._show_words(text)
                self._write(" –\n" if event.get("is_cut") else "\n")
                self._shown = None
            case {"event": "ended", "by": by}:
                self._line(f"The call was ended by {_ENDED_BY.get(by, by)}.")

    def show_own(self, line: str) -> None:
        """Show what the person says, where nobody has seen it being typed."""
        self._line(f"you: {line}")

    def complain(self, line: str) -> None:
        """Say that a line is not understood."""
        self._line(f"{line} is no command. {_HELP}")

    def _show_words(self, text: str) -> None:
        begins = self._shown is None
        known = self._shown or ""
        self._write(("assistant: " if begins else "") + text[len(known) :])
        # What was shown stays: a space at its end may not be in what comes next.
        self._shown = max(known, text, key=len)

    def _line(self, text: str) -> None:
        self._write(("\n" if self._shown else "") + f"{text}\n")
        self._shown = None


def move_of(line: str) -> dict[str, Any] | None:
    """What a typed line asks the carrier for; None when it is no command that there is."""
    text = line.strip()
    if not text.startswith("/"):
        return {"say": text}
    if text == "/hang":
        return {"hang_up": True}
    keys = text[1:]
    return {"press": keys} if keys and set(keys) <= set("0123456789*#") else None


async def hold(state: SandboxState, body: Mapping[str, Any], lines: TextIO, screen: Screen) -> None:
    """Wait for a call, place it, and be its callee to the end. Raises CommandFailed."""
    import aiohttp  # noqa: PLC0415 - of the sandbox

    is_typed = lines.isatty()
    async with aiohttp.ClientSession() as http:
        try:
            line = await http.ws_connect(f"{state.carrier_url}/_talk")
            await line.receive_json()
            await _place(http, state, body)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise CommandFailed(f"The sandbox does not answer: {error}") from error
        typed: asyncio.Queue[str | None] = asyncio.Queue()
        its_turn = asyncio.Event()
        _read_beside(lines, typed)

        async def speak() -> None:
            while True:
                if not is_typed:
                    await its_turn.wait()
                said = await typed.get()
                its_turn.clear()
                move = {"hang_up": True} if said is None else move_of(said) if said.strip() else {}
                if move is None:
                    screen.complain(str(said).strip())
                    its_turn.set()
                elif move:
                    if not is_typed and said is not None:
                        screen.show_own(said.strip())
                    await line.send_json(move)
                elif not is_typed:
                    its_turn.set()

        speaking = asyncio.ensure_future(speak())
        try:
            async for message in line:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                event = message.json()
                if event.get("event") == "turn":
                    its_turn.set()
                screen.show(event)
        finally:
            speaking.cancel()
            await line.close()


async def _place(http: Any, state: SandboxState, body: Mapping[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {state.api_key}"}
    async with http.post(f"{state.api_url}/calls/initiate", json=dict(body), headers=headers) as answer:
        if answer.status >= 400:
            problem = await answer.json()
            refusal = f"The call was refused: {problem.get('detail') or problem}"
            if problem.get("code") == "do_not_call":  # who has asked for it in the call before wants to try on
                refusal += (
                    f" To be called again: dialplane admin dnc remove {body['to_phone_number']} "
                    f"--organization {state.organization_id}"
                )
            raise CommandFailed(refusal)


def _read_beside(lines: TextIO, typed: asyncio.Queue[str | None]) -> None:
    """Read lines without making anybody wait: in a thread that the program does not wait for when it ends."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in iter(lines.readline, ""):
            loop.call_soon_threadsafe(typed.put_nowait, line)
        loop.call_soon_threadsafe(typed.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
