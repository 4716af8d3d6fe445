"""The simulated Twilio's API as the official SDK and a bare HTTP client see it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from sandbox.carriers import SimulatedCarriers
from tests.sandbox.voice_application import eventually, sdk_client

ACCOUNT = "AC" + "1" * 32
OTHER_ACCOUNT = "AC" + "2" * 32
TOKEN = "auth-token"
ACCOUNTS = {"twilio": [{"account_sid": ACCOUNT, "auth_token": TOKEN}]}
OWNED = "+15551234567"
CALLEE = "+15559876543"
SAY = "<Response><Say>Good morning</Say></Response>"
PAUSE = '<Response><Pause length="600"/></Response>'


@pytest.fixture(scope="module")
def carriers() -> Iterator[SimulatedCarriers]:
    with SimulatedCarriers(
        {"twilio": [*ACCOUNTS["twilio"], {"account_sid": OTHER_ACCOUNT, "auth_token": "other-token"}]},
        speed=200,
        calls_per_second=1000,
        owned_numbers=frozenset({OWNED}),
    ) as running:
        yield running


@pytest.fixture
def client(carriers: SimulatedCarriers) -> Client:
    requests.post(f"{carriers.url}/_reset", timeout=5)
    return sdk_client(carriers.url, ACCOUNT, TOKEN)


def wait_for_status(client: Client, sid: str, *statuses: str) -> Any:
    def reached() -> Any:
        call = client.calls(sid).fetch()
        return call if call.status in statuses else None

    return eventually(reached)


def journal(carriers: SimulatedCarriers) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = requests.get(f"{carriers.url}/_requests", timeout=5).json()
    return entries


def test_a_created_call_is_queued_and_shown_with_every_field_of_the_resource(
    carriers: SimulatedCarriers, client: Client
) -> None:
    reply = requests.post(
        f"{carriers.url}/2010-04-01/Accounts/{ACCOUNT}/Calls.json",
        data={"To": CALLEE, "From": OWNED, "Twiml": SAY},
        auth=(ACCOUNT, TOKEN),
        timeout=5,
    )
    assert reply.status_code == 201
    resource = reply.json()
    assert resource["status"] == "queued"
    assert resource["sid"].startswith("CA")
    assert len(resource["sid"]) == 34
    assert (resource["to"], resource["from_formatted"]) == (CALLEE, "(555) 123-4567")
    assert resource["direction"] == "outbound-api"
    assert [resource[name] for name in ("start_time", "end_time", "duration", "price")] == [None] * 4
    assert datetime.strptime(resource["date_created"], "%a, %d %b %Y %H:%M:%S %z").tzinfo == UTC
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{resource['sid']}"
    assert resource["uri"] == f"{path}.json"
    assert resource["subresource_uris"]["events"] == f"{path}/Events.json"
    assert set(resource) >= {
        *("account_sid", "answered_by", "api_version", "caller_name", "date_updated", "forwarded_from", "group_sid"),
        *("parent_call_sid", "phone_number_sid", "price_unit", "queue_time", "to_formatted", "trunk_sid"),
    }


def test_the_sdk_sees_a_call_through_to_its_late_price(client: Client) -> None:
    created = client.calls.create(to=CALLEE, from_=OWNED, twiml=SAY)
    call = wait_for_status(client, created.sid, "completed")
    assert call.duration != "0"
    assert call.end_time - call.start_time == timedelta(seconds=int(call.duration))
    assert call.date_created <= call.start_time
    assert eventually(lambda: client.calls(created.sid).fetch().price) == "-0.01400"


def test_lists_are_newest_first_and_filtered(client: Client) -> None:
    busy = client.calls.create(to="+15550100102", from_=OWNED, twiml=SAY)
    answered = client.calls.create(to=CALLEE, from_=OWNED, twiml=SAY)
    for sid in (busy.sid, answered.sid):
        wait_for_status(client, sid, "completed", "busy")

    def sids(**filters: Any) -> list[str]:
        return [call.sid for call in client.calls.list(**filters)]

    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    assert sids() == [answered.sid, busy.sid]
    assert sids(to=CALLEE) == [answered.sid]
    assert sids(from_=OWNED) == [answered.sid, busy.sid]
    assert sids(from_=CALLEE) == []
    assert sids(status="busy") == [busy.sid]
    assert sids(to=CALLEE, from_=OWNED, start_time_after=now - hour, start_time_before=now + hour) == [answered.sid]
    assert sids(start_time_after=now + hour) == []
    assert sids(start_time_before=now - hour) == []
    assert sids(end_time_before=now + hour) == [answered.sid, busy.sid]
    assert sids(start_time=client.calls(answered.sid).fetch().start_time, to=CALLEE) == [answered.sid]
    assert sids(parent_call_sid="CA" + "0" * 32) == []


def test_a_queued_call_has_no_start_time_and_matches_no_filter_on_it(carriers: SimulatedCarriers) -> None:
    with SimulatedCarriers(ACCOUNTS, speed=0.01) as slow:
        client = sdk_client(slow.url, ACCOUNT, TOKEN)
        first, second = (client.calls.create(to=CALLEE, from_=OWNED, twiml=SAY) for _ in range(2))
        assert first.queue_time == "0"
        assert 0 < int(second.queue_time) <= 1000
        listed = client.calls.list(to=CALLEE, start_time_after=datetime.now(UTC) - timedelta(days=1))
        assert second.sid not in [call.sid for call in listed]
        assert second.sid in [call.sid for call in client.calls.list(to=CALLEE, status="queued")]


def test_lists_are_paged(client: Client) -> None:
    created = [client.calls.create(to=CALLEE, from_=OWNED, twiml=SAY).sid for _ in range(5)]
    assert [call.sid for call in client.calls.list(to=CALLEE, page_size=2)] == created[::-1]
    first = client.calls.page(to=CALLEE, page_size=2)
    assert len(list(first)) == 2
    second = first.next_page()
    assert second is not None
    assert [call.sid for call in second] == created[1:3][::-1]


def test_a_single_date_means_that_day(client: Client, carriers: SimulatedCarriers) -> None:
    sid = client.calls.create(to=CALLEE, from_=OWNED, twiml=SAY).sid
    wait_for_status(client, sid, "completed")
    url = f"{carriers.url}/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
    today = client.calls(sid).fetch().start_time.date()
    for query, expected in [
        (f"StartTime={today}", 1),
        (f"StartTime>={today}", 1),
        (f"StartTime<={today - timedelta(days=1)}", 0),
        (f"StartTime>={today + timedelta(days=1)}", 0),
    ]:
        reply = requests.get(f"{url}?{query}", auth=(ACCOUNT, TOKEN), timeout=5).json()
        assert len(reply["calls"]) == expected, query


@pytest.mark.parametrize("query", ["Status=unknown", "StartTime>=yesterday", "PageSize=0", "PageSize=x", "Page=-1"])
def test_a_bad_list_parameter_is_refused(carriers: SimulatedCarriers, client: Client, query: str) -> None:
    url = f"{carriers.url}/2010-04-01/Accounts/{ACCOUNT}/Calls.json?{query}"
    reply = requests.get(url, auth=(ACCOUNT, TOKEN), timeout=5)
    assert (reply.status_code, reply.json()["code"]) == (400, 20001)


def test_completing_a_call_in_progress_hangs_up(client: Client) -> None:
    sid = client.calls.create(to=CALLEE, from_=OWNED, twiml=PAUSE).sid
    wait_for_status(client, sid, "in-progress")
    assert client.calls(sid).update(status="completed").status == "completed"
    assert 0 < int(client.calls(sid).fetch().duration) < 600


@pytest.mark.parametrize("asked", ["canceled", "completed"])
def test_a_ringing_call_is_canceled(client: Client, asked: str) -> None:
    sid = client.calls.create(to="+15550100103", from_=OWNED, twiml=SAY, timeout=600).sid
    wait_for_status(client, sid, "ringing")
    call = client.calls(sid).update(status=asked)
    assert (call.status, call.duration) == ("canceled", "0")


def test_canceling_leaves_a_call_in_progress_alone(client: Client) -> None:
    sid = client.calls.create(to=CALLEE, from_=OWNED, twiml=PAUSE).sid
    wait_for_status(client, sid, "in-progress")
    assert client.calls(sid).update(status="canceled").status == "in-progress"


def test_a_call_in_progress_follows_new_twiml(client: Client) -> None:
    sid = client.calls.create(to=CALLEE, from_=OWNED, twiml=PAUSE).sid
    wait_for_status(client, sid, "in-progress")
    client.calls(sid).update(twiml=SAY)
    assert int(wait_for_status(client, sid, "completed").duration) < 600


@pytest.mark.parametrize("update", [{"status": "completed"}, {"twiml": SAY}, {"url": "http://127.0.0.1:1/"}])
def test_an_ended_call_takes_no_update(client: Client, update: dict[str, str]) -> None:
    sid = client.calls.create(to="+15550100102", from_=OWNED, twiml=SAY).sid
    wait_for_status(client, sid, "busy")
    with pytest.raises(TwilioRestException) as refusal:
        client.calls(sid).update(**update)
    assert (refusal.value.status, refusal.value.code) == (400, 21220)


def test_a_ringing_call_cannot_be_redirected(client: Client) -> None:
    sid = client.calls.create(to="+15550100103", from_=OWNED, twiml=SAY, timeout=600).sid
    wait_for_status(client, sid, "ringing")
    with pytest.raises(TwilioRestException) as refusal:
        client.calls(sid).update(twiml=SAY)
    assert refusal.value.code == 21220


def test_a_lower_time_limit_applies_to_a_call_in_progress(client: Client) -> None:
    sid = client.calls.create(to=CALLEE, from_=OWNED, twiml=PAUSE).sid
    wait_for_status(client, sid, "in-progress")
    client.calls(sid).update(time_limit=300)
    assert int(wait_for_status(client, sid, "completed").duration) in range(300, 600)


def test_another_accounts_call_is_not_found(carriers: SimulatedCarriers, client: Client) -> None:
    sid = client.calls.create(to=CALLEE, from_=OWNED, twiml=SAY).sid
    stranger = sdk_client(carriers.url, OTHER_ACCOUNT, "other-token")
    assert stranger.calls.list() == []
    for attempt in (stranger.calls(sid).fetch, lambda: stranger.calls(sid).update(status="completed")):
        with pytest.raises(TwilioRestException) as refusal:
            attempt()
        assert (refusal.value.status, refusal.value.code) == (404, 20404)


@pytest.mark.parametrize(
    "credentials", [None, (ACCOUNT, "wrong"), ("AC" + "3" * 32, TOKEN), (OTHER_ACCOUNT, "other-token")]
)
def test_wrong_credentials_are_refused(
    carriers: SimulatedCarriers, client: Client, credentials: tuple[str, str] | None
) -> None:
    reply = requests.get(f"{carriers.url}/2010-04-01/Accounts/{ACCOUNT}/Calls.json", auth=credentials, timeout=5)
    assert (reply.status_code, reply.json()["code"], reply.json()["status"]) == (401, 20003, 401)
    assert reply.json()["more_info"] == "https://www.twilio.com/docs/errors/20003"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"to": "+155"}, 21211),
        ({"to": "+15550100107"}, 21211),
        ({"from_": "+15550000000"}, 21210),
        ({"url": "nonsense"}, 21205),
        ({"timeout": 601}, 21208),
        ({"machine_detection": "Sometimes"}, 20001),
    ],
)
def test_the_sdk_raises_twilios_error_codes(
    carriers: SimulatedCarriers, client: Client, change: dict[str, Any], code: int
) -> None:
    with pytest.raises(TwilioRestException) as refusal:
        client.calls.create(**{"to": CALLEE, "from_": OWNED, "url": "http://127.0.0.1:1/", **change})
    assert (refusal.value.status, refusal.value.code) == (400, code)
    assert client.calls.list() == []


def test_unknown_paths_and_methods_have_twilios_envelope(carriers: SimulatedCarriers, client: Client) -> None:
    base = f"{carriers.url}/2010-04-01/Accounts/{ACCOUNT}"
    for method, path, status, code in [
        ("GET", "/Messages.json", 404, 20404),
        ("GET", "/Calls/CA0/Streams.json", 404, 20404),
        ("DELETE", "/Calls.json", 405, 20004),
        ("PUT", "/Calls/CA0.json", 405, 20004),
    ]:
        reply = requests.request(method, base + path, auth=(ACCOUNT, TOKEN), timeout=5)
        assert (reply.status_code, reply.json()["code"]) == (status, code), path


def test_rate_limits_are_refused_and_place_nothing(client: Client) -> None:
    for _ in range(3):
        with pytest.raises(TwilioRestException) as refusal:
            client.calls.create(to="+15550100108", from_=OWNED, twiml=SAY)
        assert (refusal.value.status, refusal.value.code) == (429, 20429)
    assert client.calls.list() == []


def test_the_third_request_passes_when_the_rate_is_limited_twice(client: Client) -> None:
    for _ in range(2):
        with pytest.raises(TwilioRestException):
            client.calls.create(to="+15550100109", from_=OWNED, twiml=SAY)
    created = client.calls.create(to="+15550100109", from_=OWNED, twiml=SAY)
    assert [call.sid for call in client.calls.list()] == [created.sid]


@pytest.mark.parametrize(("number", "placed"), [("+15550100110", 1), ("+15550100111", 0)])
def test_a_server_error_may_hide_a_call(client: Client, number: str, placed: int) -> None:
    with pytest.raises(TwilioRestException) as refusal:
        client.calls.create(to=number, from_=OWNED, twiml=SAY)
    assert (refusal.value.status, refusal.value.code) == (500, 20500)
    assert len(client.calls.list(to=number)) == placed


@pytest.mark.parametrize(("number", "placed"), [("+15550100113", 0), ("+15550100114", 1)])
def test_a_broken_connection_may_hide_a_call(
    carriers: SimulatedCarriers, client: Client, number: str, placed: int
) -> None:
    with pytest.raises(requests.ConnectionError):
        client.calls.create(to=number, from_=OWNED, twiml=SAY)
    assert len(client.calls.list(to=number)) == placed
    assert journal(carriers)[0]["status"] is None


def test_no_reply_may_hide_a_call(carriers: SimulatedCarriers, client: Client) -> None:
    impatient = sdk_client(carriers.url, ACCOUNT, TOKEN, timeout=0.3)
    with pytest.raises(requests.ReadTimeout):
        impatient.calls.create(to="+15550100112", from_=OWNED, twiml=SAY)
    call = client.calls.list(to="+15550100112")[0]
    assert wait_for_status(client, call.sid, "completed")
    entry = journal(carriers)[0]
    assert (entry["status"], entry["call_id"]) == (None, call.sid)


def test_the_journal_shows_what_was_received_in_order_and_without_credentials(
    carriers: SimulatedCarriers, client: Client
) -> None:
    created = client.calls.create(
        to="+15550100102", from_=OWNED, twiml=SAY, status_callback_event=["initiated", "completed"]
    )
    client.calls(created.sid).fetch()
    first, second = [entry for entry in journal(carriers) if entry["direction"] == "in"]
    assert (first["carrier"], first["method"], first["status"], first["call_id"]) == (
        "twilio",
        "POST",
        201,
        created.sid,
    )
    assert first["path"] == f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
    assert first["form"]["StatusCallbackEvent"] == ["initiated", "completed"]
    assert first["headers"]["Authorization"] == "[redacted]"
    assert first["at"] <= second["at"]
    assert TOKEN not in json.dumps(journal(carriers))


def test_a_json_body_is_journaled_as_json(carriers: SimulatedCarriers, client: Client) -> None:
    url = f"{carriers.url}/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
    requests.post(url, json={"To": CALLEE}, auth=(ACCOUNT, TOKEN), timeout=5)
    entry = journal(carriers)[0]
    assert entry["json"] == {"To": CALLEE}
    assert "form" not in entry
    assert entry["status"] == 400


def test_reset_forgets_calls_and_journal(carriers: SimulatedCarriers, client: Client) -> None:
    client.calls.create(to=CALLEE, from_=OWNED, twiml=PAUSE)
    assert requests.post(f"{carriers.url}/_reset", timeout=5).status_code == 204
    assert journal(carriers) == []
    assert client.calls.list() == []


def test_control_requests_are_not_journaled(carriers: SimulatedCarriers, client: Client) -> None:
    for path in ("_scenarios", "_requests", "_speed"):
        assert requests.get(f"{carriers.url}/{path}", timeout=5).status_code == 200
    assert journal(carriers) == []


def test_scenarios_are_listed(carriers: SimulatedCarriers) -> None:
    rows = requests.get(f"{carriers.url}/_scenarios", timeout=5).json()
    assert len(rows) >= 22
    assert all(set(row) == {"number", "name", "proves"} and all(row.values()) for row in rows)


def test_the_speed_can_be_read_and_set_and_nonsense_is_refused(carriers: SimulatedCarriers) -> None:
    url = f"{carriers.url}/_speed"
    assert requests.post(url, json={"speed": 300}, timeout=5).json() == {"speed": 300}
    assert requests.get(url, timeout=5).json() == {"speed": 300}
    for body in ('{"speed": 0}', '{"speed": -1}', '{"speed": "fast"}', '{"speed": true}', '{"speed": NaN}', "[]", "x"):
        assert requests.post(url, data=body, timeout=5).status_code == 400, body
    assert requests.post(url, json={"speed": 200}, timeout=5).json() == {"speed": 200}


def accounts_file(folder: Path, mode: int = 0o600) -> str:
    path = folder / "accounts.json"
    path.write_text(json.dumps(ACCOUNTS))
    path.chmod(mode)
    return str(path)


def test_the_command_line_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sandbox.carriers", "--speed", "100", "--accounts", accounts_file(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": "."})
    try:
        assert process.stdout is not None
        url = process.stdout.readline().rpartition(" ")[2].strip()
        assert url.startswith("http://127.0.0.1:")
        assert sdk_client(url, ACCOUNT, TOKEN).calls.create(to=CALLEE, from_=OWNED, twiml=SAY).status == "queued"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()


def test_the_command_line_listens_on_this_machine_only(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sandbox.carriers", "--host", "0.0.0.0", "--accounts", accounts_file(tmp_path)]  # noqa: S104
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert ended.returncode == 2
    assert "not a loopback address" in ended.stderr


@pytest.mark.parametrize(
    ("accounts", "complaint"),
    [
        ("[]", "accounts are JSON"),
        ('{"acme": []}', "no simulated carrier is called acme"),
        ('{"twilio": [{"account_sid": "AC1"}]}', "an account of twilio lacks auth_token"),
    ],
)
def test_the_command_line_refuses_accounts_it_cannot_serve(accounts: str, complaint: str) -> None:
    command = [sys.executable, "-m", "sandbox.carriers", "--accounts", "-"]
    ended = subprocess.run(command, input=accounts, capture_output=True, text=True, check=False, timeout=20)
    assert (ended.returncode, complaint in ended.stderr) == (1, True), ended.stderr


def test_the_command_line_refuses_secrets_that_others_may_read(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sandbox.carriers", "--accounts", accounts_file(tmp_path, mode=0o640)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert (ended.returncode, "chmod 600" in ended.stderr) == (1, True), ended.stderr
