"""The API's description is the API: valid OpenAPI 3.1, every route and no other, and answers that have its shapes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from dialplane.domain.accounts import Scope
from dialplane.runtime.api_docs import OPENAPI
from dialplane.runtime.entry import serve
from functions.initiate import app as initiate_app
from functions.manage import app as manage_app
from tests.fakes import event_world
from tests.fakes.event_files import EXAMPLES
from tests.fakes.template import ROOT, resources
from tests.fakes.world import BASE_URL, Reply, World
from tests.functional.expectations import SEED2, a_caller, a_key, an_assistant, assert_problem, unchanged
from tools.openapi import refusals
from tools.openapi.document import text
from tools.openapi.operations import BURKI_EXAMPLES, HMS_EXAMPLES, KLEN_EXAMPLES, TESTER_EXAMPLES

DOCUMENT: dict[str, Any] = json.loads(OPENAPI.read_text())
OPERATIONS: dict[str, dict[str, Any]] = {
    f"{method.upper()} {path}": operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}


def check(schema: Mapping[str, Any], value: Any) -> None:
    """Raise ValidationError unless the value has this shape."""
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def check_answer(route: str, reply: Reply) -> None:
    """The reply is one that the description has for this route."""
    responses = OPERATIONS[route]["responses"]
    assert str(reply.status) in responses, f"{route} does not answer {reply.status}: {reply.body}"
    content = responses[str(reply.status)].get("content")
    if content is None:
        assert reply.body == ""
        return
    kind = reply.headers["content-type"]
    assert kind in content, f"{route} {reply.status} has no {kind}"
    check(content[kind]["schema"], reply.json)


# ---- the description itself -----------------------------------------------------------------------------------------


def test_the_description_is_what_the_code_says() -> None:
    assert OPENAPI.read_text() == text(), "run: python -m tools.openapi"


def test_the_tool_notices_a_description_that_is_old() -> None:
    command = [sys.executable, "-m", "tools.openapi", "--check"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")


def test_every_route_of_the_stack_is_described_and_no_other() -> None:
    routes = {
        resource["Properties"]["RouteKey"]
        for resource in resources().values()
        if resource["Type"] == "AWS::ApiGatewayV2::Route"
    }
    assert set(OPERATIONS) == {route for route in routes if not route.startswith("$")}


def test_every_schema_is_json_schema_2020_12_as_openapi_3_1_asks() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    for name, schema in DOCUMENT["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)


def test_the_description_has_the_structure_of_openapi_3_1() -> None:
    """By the rules of https://spec.openapis.org/oas/v3.1.0, one by one."""
    assert set(DOCUMENT) <= {"openapi", "info", "servers", "tags", "paths", "components"}
    assert {"title", "version"} <= set(DOCUMENT["info"])
    tags = [tag["name"] for tag in DOCUMENT["tags"]]
    assert len(tags) == len(set(tags))
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(ids) == len(set(ids))
    for route, operation in OPERATIONS.items():
        _check_operation(route, operation, tags)


def _check_operation(route: str, operation: dict[str, Any], tags: list[str]) -> None:
    known = {"tags", "operationId", "summary", "description", "parameters", "security", "responses", "requestBody"}
    assert set(operation) <= known, route
    assert set(operation["tags"]) <= set(tags)
    in_path = re.findall(r"{(\w+)}", route)
    parameters = [(each["in"], each["name"]) for each in operation.get("parameters", [])]
    assert len(parameters) == len(set(parameters))
    assert [name for place, name in parameters if place == "path"] == in_path
    for parameter in operation.get("parameters", []):
        assert set(parameter) <= {"name", "in", "required", "schema", "description"}
        assert parameter["in"] in {"path", "query", "header"}
        assert parameter["in"] != "path" or parameter["required"] is True
        Draft202012Validator.check_schema(parameter["schema"])
    for requirement in operation["security"]:
        assert set(requirement) <= set(DOCUMENT["components"]["securitySchemes"])
    assert operation["responses"]
    for status, response in operation["responses"].items():
        assert re.fullmatch(r"[1-5][0-9]{2}", status)
        assert set(response) <= {"description", "headers", "content"}
        assert response["description"]
        for media in response.get("content", {}).values():
            assert set(media) <= {"schema", "examples"}


def test_somebody_elses_models_of_openapi_take_it() -> None:
    """A second opinion on all but the schemas: Powertools' models know one type for a schema, JSON Schema many."""
    models = pytest.importorskip("aws_lambda_powertools.event_handler.openapi.models")
    models.OpenAPI.model_validate(_without_schemas(DOCUMENT))


def _without_schemas(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_schemas(entry) for entry in value]
    if isinstance(value, dict):
        return {
            name: {} if name in ("schema", "schemas", "examples") else _without_schemas(entry)
            for name, entry in value.items()
        }
    return value


def test_every_reference_leads_somewhere() -> None:
    found = re.findall(r'"\$ref": "([^"]+)"', OPENAPI.read_text())
    assert found
    for reference in set(found):
        assert reference.removeprefix("#/components/schemas/") in DOCUMENT["components"]["schemas"], reference


def test_nothing_is_described_that_nothing_uses() -> None:
    names = set(DOCUMENT["components"]["schemas"])
    used = {each.rsplit("/", 1)[1] for each in re.findall(r'"\$ref": "([^"]+)"', OPENAPI.read_text())}
    assert names == used


def test_every_example_of_a_request_has_the_shape_it_is_an_example_of() -> None:
    seen = 0
    for operation in OPERATIONS.values():
        for media in operation.get("requestBody", {}).get("content", {}).values():
            for example in media.get("examples", {}).values():
                check(media["schema"], example["value"])
                seen += 1
    assert seen > 10


def test_every_example_of_an_answer_has_the_shape_it_is_an_example_of() -> None:
    seen = 0
    for operation in OPERATIONS.values():
        for response in operation["responses"].values():
            for media in response.get("content", {}).values():
                for example in media.get("examples", {}).values():
                    check(media["schema"], example["value"])
                    seen += 1
    assert seen > 100


def test_every_error_that_a_request_can_meet_has_a_specimen() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    assert set(refusals.SPECIMENS) == set(rows) - {"internal_error", "entity_not_found"}


def test_every_error_is_an_answer_of_some_operation() -> None:
    told = {
        name
        for operation in OPERATIONS.values()
        for response in operation["responses"].values()
        for media in response.get("content", {}).values()
        for name in media.get("examples", {})
    }
    for code in refusals.SPECIMENS:
        assert any(name == code or name.endswith(f"_{code}") for name in told), code


def _examples_of_errors(route: str) -> Iterator[tuple[str, Any]]:
    for status, response in OPERATIONS[route]["responses"].items():
        for media in response.get("content", {}).values() if status in ("400", "422") else ():
            yield from ((name, example["value"]) for name, example in media["examples"].items())


@pytest.mark.parametrize("route", ["POST /calls", "POST /calls/outbound", "POST /api/call", "POST /calls/initiate"])
def test_examples_of_refused_fields_are_about_fields_that_the_format_has(route: str) -> None:
    bodies = OPERATIONS[route]["requestBody"]["content"]["application/json"]["schema"]
    references = [each["$ref"] for each in bodies.get("anyOf", [bodies])]
    schemas = [DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]] for reference in references]
    fields = {name for schema in schemas for name in schema["properties"]}
    seen = 0
    for name, value in _examples_of_errors(route):
        if name.endswith(("_missing_field", "_invalid_phone_number", "_invalid_fields")):
            seen += 1
            assert any(re.search(rf"\b(missing_)?{field}\b", json.dumps(value)) for field in fields) or (
                value["error"].startswith(("Phone number", "Provide a business description"))
            ), value
    assert seen >= 3


def test_the_answer_to_deprecated_names_is_described_with_its_header() -> None:
    assert "Deprecation" in OPERATIONS["POST /calls/outbound"]["responses"]["200"]["headers"]


def test_each_route_says_the_scope_it_needs() -> None:
    for route, (scope, _) in manage_app._ROUTES.items():
        assert f"`{scope.value}`" in OPERATIONS[route]["description"], route
    for route in ("POST /calls/initiate", "POST /calls", "POST /calls/outbound", "POST /api/call"):
        assert f"`{Scope.INITIATE_CALLS.value}`" in OPERATIONS[route]["description"]


def test_the_documentation_alone_needs_no_key() -> None:
    public = {route for route, operation in OPERATIONS.items() if operation["security"] == []}
    assert public == {"GET /openapi.json", "GET /docs", "GET /docs/{file}"}


# ---- answers have its shapes ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def example_world(world: World) -> World:
    """The world that the recorded examples are about, beside the demo organizations."""
    event_world.fill(world.aws, world.tables, carrier_url="https://carrier.example.test")
    return world


RECORDED = {example.name: example.event for example in EXAMPLES if example.name.startswith(("initiate_", "manage_"))}


@pytest.mark.parametrize("name", RECORDED)
def test_the_answer_of_every_recorded_example_has_its_shape(example_world: World, name: str) -> None:
    world, recorded = example_world, RECORDED[name]
    route = recorded["routeKey"]
    if name.startswith("initiate_"):
        endpoint = initiate_app.build(world.settings, world.aws, now=world.clock.now, sleep=world.clock.sleep)
        event = serve(recorded, endpoint.respond)
    else:
        api = manage_app.build(world.settings, world.aws, now=world.clock.now, sleep=world.clock.sleep)
        event = serve(recorded, lambda request: api.respond(route, request))
    reply = Reply(event["statusCode"], event["headers"], event["body"])
    if route not in ("GET /docs", "GET /docs/{file}", "$default"):  # pages, and what no operation answers
        check_answer(route, reply)


@pytest.fixture(scope="module")
def dialing_key(world: World) -> str:
    """A key of an organization that every seed's example can call with."""
    facts = {"allowed_countries": frozenset({"US", "NL"}), "model_providers": frozenset({"openai"})}
    organization_id, key = a_caller(world, number="+15551234567", **facts)
    world.stack.provision.update_organization(organization_id, default_assistant_id=1)
    for assistant_id, public_id in ((123, HMS_EXAMPLES["reference"]["assistant_id"]), (456, "reminder")):
        an_assistant(world, organization_id, assistant_id, caller_number="+15551234567", public_id=public_id)
    check_answer("POST /api/context", world.post("/api/context", {"description": "A dental practice."}, key=key))
    return key


def _dialect_requests() -> Iterator[tuple[str, Any]]:
    for path, examples in (
        ("/calls/initiate", BURKI_EXAMPLES),
        ("/calls", KLEN_EXAMPLES),
        ("/calls/outbound", HMS_EXAMPLES),
        ("/api/call", TESTER_EXAMPLES),
    ):
        for body in examples.values():
            yield path, body


@pytest.mark.parametrize(("path", "body"), list(_dialect_requests()), ids=str)
@pytest.mark.parametrize("query", [None, {"dry_run": "true"}], ids=["call", "dry_run"])
def test_the_seeds_examples_are_answered_in_the_shapes_described(
    world: World, dialing_key: str, path: str, body: Any, query: dict[str, str] | None
) -> None:
    reply = world.post(path, body, query=query, key=dialing_key)
    check_answer(f"POST {path}", reply)
    assert reply.status == 200, reply.body


@pytest.mark.parametrize("path", ["/calls/initiate", "/calls", "/calls/outbound", "/api/call", "/api/context"])
@pytest.mark.parametrize("body", [b"{", {}, {"phone_number": 5}, {"nonsense": []}, {"to_number": "x"}], ids=str)
def test_refusals_are_answered_in_the_shapes_described(world: World, path: str, body: Any) -> None:
    for key in ("", None):
        check_answer(f"POST {path}", world.post(path, body, key=key))


def test_lists_and_single_calls_of_every_dialect_have_the_shapes_described(world: World) -> None:
    call_id = world.initiate(SEED2).headers["location"].removeprefix("/calls/")
    for dialect in (None, "klen", "hms"):
        created = world.stack.provision.create_key(world.demo.organization_id, name="Key", dialect=dialect)
        for route, path in (
            ("GET /calls", "/calls"),
            ("GET /calls/{call_id}", f"/calls/{call_id}"),
            ("GET /calls/{call_id}", "/calls/nonsense"),
            ("GET /api/v1/calls", "/api/v1/calls"),
            ("POST /calls/{call_id}/control", f"/calls/{call_id}/control"),
            ("POST /calls/{call_id}/terminate", f"/calls/{call_id}/terminate"),
        ):
            body = {"type": "end-call"} if route.startswith("POST") else None
            check_answer(route, world.manage(route, path, key=created.text, body=body))


def test_a_whole_life_of_a_call_has_the_shapes_described(world: World) -> None:
    world.initiate(SEED2)
    call = world.last_call()
    world.live_through(call, "initiated", "ringing", "in-progress")
    control = "POST /calls/{call_id}/control"
    check_answer(control, world.manage(control, f"/calls/{call.id}/control", body={"type": "end-call"}))
    world.live_through(call, "completed")
    for route in ("GET /calls/{call_id}", "GET /calls/{call_id}/events"):
        check_answer(route, world.manage(route, route.split(" ")[1].replace("{call_id}", call.id)))


def test_a_shape_that_drifted_is_noticed() -> None:
    """So that the tests above can fail."""
    with pytest.raises(ValidationError):
        check({"$ref": "#/components/schemas/CommandSent"}, {"success": True, "message": "Sent", "more": 1})
    with pytest.raises(ValidationError):
        check({"$ref": "#/components/schemas/CommandSent"}, {"success": True})


# ---- accounts -------------------------------------------------------------------------------------------------------


def test_carrier_accounts_and_numbers_are_shown_without_their_secrets(world: World) -> None:
    accounts = world.manage("GET /carrier-accounts", "/carrier-accounts")
    numbers = world.manage("GET /numbers", "/numbers")
    check_answer("GET /carrier-accounts", accounts)
    check_answer("GET /numbers", numbers)
    listed = {number for account in accounts.json["carrier_accounts"] for number in account["numbers"]}
    assert listed == {number["number"] for number in numbers.json["numbers"]}
    for secret in ("auth_token", "api_key", "AC" + "a" * 32, '12345"'):
        assert secret not in accounts.body + numbers.body


def test_accounts_of_one_organization_only_and_with_the_scope_only(world: World) -> None:
    key = a_key(world, world.demo.organization_id, "can_read_calls")
    for route in ("GET /carrier-accounts", "GET /numbers"):
        path = route.split(" ")[1]
        with unchanged(world):
            assert_problem(world.manage(route, path, key=key), 403, "permission_denied")
            assert_problem(world.manage(route, path, query={"x": "1"}), 400, "invalid_value")


# ---- what is served -------------------------------------------------------------------------------------------------


class _Page(HTMLParser):
    """What a page loads, and what it says inline."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self._tag = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        for name, value in attrs:
            if name in ("src", "href") and value:
                self.loaded.append(value)
            if name.startswith("on") or name == "style":
                self.inline.append(name)

    def handle_data(self, data: str) -> None:
        if self._tag in ("script", "style") and data.strip():
            self.inline.append(data)


def test_the_description_is_served_to_everybody_with_this_deployments_address(world: World) -> None:
    reply = world.manage("GET /openapi.json", "/openapi.json", key=None)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == DOCUMENT | {"servers": [{"url": BASE_URL}]}


def test_the_page_loads_nothing_but_our_own_files_and_says_nothing_inline(world: World) -> None:
    reply = world.manage("GET /docs", "/docs", key=None)
    page = _Page(reply.body)
    assert reply.headers["content-type"].startswith("text/html")
    assert page.inline == []
    files = [name for name in page.loaded if not name.startswith("data:")]
    assert files
    for name in files:
        file = name.removeprefix("docs/")
        assert world.manage("GET /docs/{file}", f"/docs/{file}", key=None).status == 200, name


def test_the_pages_policy_lets_nothing_in_from_any_network(world: World) -> None:
    policy = world.manage("GET /docs", "/docs", key=None).headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("swagger-ui.css", "text/css; charset=utf-8"),
        ("start.js", "text/javascript; charset=utf-8"),
    ],
)
def test_the_pages_files_are_the_packages_own_with_types_and_caching(world: World, name: str, kind: str) -> None:
    reply = world.manage("GET /docs/{file}", f"/docs/{name}", key=None)
    assert (reply.status, reply.headers["content-type"]) == (200, kind)
    assert "max-age" in reply.headers["cache-control"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    if name != "start.js":
        spec = find_spec("drf_spectacular_sidecar")
        assert spec is not None
        assert spec.submodule_search_locations is not None
        (source,) = Path(spec.submodule_search_locations[0]).rglob(name)
        assert reply.body == source.read_text(encoding="utf-8")
    again = {"if-none-match": reply.headers["etag"]}
    unchanged_reply = world.manage("GET /docs/{file}", f"/docs/{name}", key=None, headers=again)
    assert (unchanged_reply.status, unchanged_reply.body) == (304, "")


@pytest.mark.parametrize(
    "name", ["nothing.js", "../openapi.json", "..%2fopenapi.json", "swagger-ui-bundle.js.map", "redoc", ""]
)
def test_no_other_file_is_served(world: World, name: str) -> None:
    reply = world.manage("GET /docs/{file}", f"/docs/{name}", key=None)
    assert_problem(reply, 404, "route_not_found")
    check_answer("GET /docs/{file}", reply)
