"""What `make up` prints: the first call, word by word, and how to make the next. Uses the API like any customer."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sandbox.demo_data import CONVERSATION_NUMBERS
from sandbox.stack import SandboxState

# The called number is in no scenario list, so the simulated callee does what people do: answers, and then questions.
EXAMPLE_CALL = {"from_phone_number": CONVERSATION_NUMBERS[124], "to_phone_number": "+15559876543"}
CALL_SECONDS_MAX = 90
POLL_SECONDS = 0.2


class ShowcaseFailed(Exception):
    """The example call did not go as it should; the message says where it stopped."""


def place_example_call(state: SandboxState) -> None:
    """Place the example call and print its life until its money is settled. Raises ShowcaseFailed."""
    print(f"\nA call, {EXAMPLE_CALL['from_phone_number']} → {EXAMPLE_CALL['to_phone_number']}:")
    wallet_before = _get(state, "/wallet")
    placed, headers = _request(state, "POST", "/calls/initiate", EXAMPLE_CALL)
    location = headers["Location"]
    print(f"  {'':12}{placed['message']} ({placed['call_sid']})")
    for event in _story(state, location):
        print(f"  {_clock(event['at']):12}{_sentence(event)}")
    call = _get(state, location)
    _print_transcript(call, f"{state.api_url}{location}")
    wallet = _get(state, "/wallet")
    print(
        f"  {'':12}{call['status']}, {call['duration_seconds']} s; "
        f"wallet {_money(wallet_before['available'])} → {_money(wallet['available'])}, held {_money(wallet['held'])}"
    )


def print_summary(state: SandboxState) -> None:
    """Print where everything is and a command to copy."""
    body = json.dumps(EXAMPLE_CALL)
    print(
        f"\n  API                {state.api_url}"
        f"\n  key                {state.api_key}"
        f"\n  second tenant's    {state.second_api_key}"
        f"\n  carrier scenarios  {state.carrier_url}/_scenarios"
        f"\n  carrier traffic    {state.carrier_url}/_requests"
        f"\n  callees heard      {state.carrier_url}/_conversations"
        f"\n  emulated AWS       {state.aws_endpoint_url}"
        f"\n  all of this        .sandbox/state.json"
        f"\n\n  curl -X POST {state.api_url}/calls/initiate -H 'Authorization: Bearer {state.api_key}' \\"
        f"\n    -H 'Content-Type: application/json' -d '{body}'"
        f"\n\n  Be called yourself:  .venv/bin/dialplane talk"
        f"\n\n  For the command line, .venv/bin/dialplane:"
        f"\n    export AWS_ENDPOINT_URL={state.aws_endpoint_url} AWS_REGION={state.aws_region}"
        f" AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test"
        f"\n\n  make down stops it, make reset starts over."
    )


def _story(state: SandboxState, location: str) -> Iterator[dict[str, Any]]:
    """Each entry of the call's timeline and each turn of its conversation once, as it appears, until the settlement."""
    told: list[dict[str, Any]] = []
    deadline = time.monotonic() + CALL_SECONDS_MAX
    while time.monotonic() < deadline:
        # The turns first: whatever was said before the settlement is then there to be told before it.
        turns = _turns(_get(state, location))
        events = _get(state, f"{location}/events")["events"]
        # Not by position: a callback that waited in the queue takes its earlier place when it arrives.
        new = [event for event in (*turns, *events) if event not in told]
        new.sort(key=lambda event: datetime.fromisoformat(event["at"]))
        yield from new
        told += new
        if any(event["type"] == "settled" for event in events):
            return
        time.sleep(POLL_SECONDS)
    call = _get(state, location)
    raise ShowcaseFailed(
        f"the call was not settled within {CALL_SECONDS_MAX} s; its state is {call['status']}. "
        f"Look at {state.api_url}{location}/events and at .sandbox/logs."
    )


def _turns(call: dict[str, Any]) -> list[dict[str, Any]]:
    conversation = call["conversation"]
    return [{"type": "said", **turn} for turn in conversation["turns"]] if conversation is not None else []


def _print_transcript(call: dict[str, Any], address: str) -> None:
    """What remains of the conversation, as anybody may read it afterwards."""
    conversation = call["conversation"]
    if conversation is None:
        raise ShowcaseFailed("the call had no conversation; look at .sandbox/logs.")
    print(f"\n  Its transcript, in GET {address}:")
    for turn in conversation["turns"]:
        cut = " (interrupted)" if turn["interrupted"] else ""
        print(f"  {turn['speaker']:>12}  {turn['text']}{cut}")
    print(f"  {'ended by':>12}  {conversation['end_reason'] or 'the callee'}\n")


def _sentence(event: dict[str, Any]) -> str:
    match event["type"]:
        case "said":
            sentence = f"“{event['text']}” ({event['speaker']})"
        case "admitted":
            sentence = f"admitted: {len(event['gates'])} gates passed, {_money(event['hold'])} held"
        case "dial_placed":
            sentence = f"dialed: {event['carrier']} took the call as {event['carrier_call_id']}"
        case "instructions_served":
            sentence = f"answered: instructions served ({event['engine']})"
        case "carrier_event":
            sentence = f"{event['source']}: {event['carrier_status']} ({event['verdict']})"
        case "settled":
            sentence = f"settled: {_money(event['charge'])} charged, {_money(event['release'])} released"
        case other:
            sentence = str(other).replace("_", " ")
    return sentence


def _money(money: dict[str, str]) -> str:
    return f"{money['amount']} {money['currency']}"


def _clock(timestamp: str) -> str:
    return datetime.fromisoformat(timestamp).strftime("%H:%M:%S.%f")[:-4]


def _get(state: SandboxState, path: str) -> dict[str, Any]:
    return _request(state, "GET", path)[0]


def _request(
    state: SandboxState, method: str, path: str, body: dict[str, str] | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    request = urllib.request.Request(  # noqa: S310 - the sandbox's own loopback address
        state.api_url + path,
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Authorization": f"Bearer {state.api_key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=40) as answer:  # noqa: S310
            return json.loads(answer.read()), dict(answer.headers.items())
    except urllib.error.HTTPError as error:
        raise ShowcaseFailed(
            f"{method} {path} answered {error.code}: {error.read().decode(errors='replace')}"
        ) from error
    except OSError as error:
        raise ShowcaseFailed(f"{method} {path}: {error}") from error
