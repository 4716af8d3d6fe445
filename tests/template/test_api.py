"""Every documented path reaches its function, and API Gateway may call it."""

import fnmatch
from typing import Any

import pytest

Resources = dict[str, dict[str, Any]]

ROUTES = {
    "POST /calls/initiate": "InitiateFunction",
    "POST /calls": "InitiateFunction",
    "POST /calls/outbound": "InitiateFunction",
    "POST /api/call": "InitiateFunction",
    "POST /api/context": "InitiateFunction",
    "POST /twiml/{carrier}/{organization_id}/{carrier_account_id}/{call_id}": "TwimlFunction",
    "POST /status/{carrier}/{organization_id}/{carrier_account_id}/{call_id}": "StatusWebhookFunction",
    "POST /status/{carrier}/{organization_id}/{carrier_account_id}": "StatusWebhookFunction",
    "GET /calls": "ManageFunction",
    "GET /calls/{call_id}": "ManageFunction",
    "GET /calls/{call_id}/events": "ManageFunction",
    "POST /calls/{call_id}/control": "ManageFunction",
    "POST /calls/{call_id}/terminate": "ManageFunction",
    "GET /api/v1/calls": "ManageFunction",
    "GET /wallet": "ManageFunction",
    "GET /wallet/ledger": "ManageFunction",
    "GET /wallet/reconcile": "ManageFunction",
    "POST /wallet/deposits": "ManageFunction",
    "PUT /dnc/{number}": "ManageFunction",
    "GET /dnc/{number}": "ManageFunction",
    "DELETE /dnc/{number}": "ManageFunction",
    "GET /carrier-accounts": "ManageFunction",
    "GET /numbers": "ManageFunction",
    "GET /openapi.json": "ManageFunction",
    "GET /docs": "ManageFunction",
    "GET /docs/{file}": "ManageFunction",
    "$default": "ManageFunction",
}


def _of_type(resources: Resources, kind: str) -> dict[str, dict[str, Any]]:
    return {name: r["Properties"] for name, r in resources.items() if r["Type"] == kind}


@pytest.fixture(scope="module")
def routed(resources: Resources) -> dict[str, str]:
    """Function by route key, followed through the integrations."""
    integrations = _of_type(resources, "AWS::ApiGatewayV2::Integration")
    return {
        route["RouteKey"]: integrations[route["Target"]["Fn::Sub"].removeprefix("integrations/${").removesuffix("}")][
            "IntegrationUri"
        ]["Fn::GetAtt"][0]
        for route in _of_type(resources, "AWS::ApiGatewayV2::Route").values()
    }


def test_every_route_reaches_its_function(routed: dict[str, str]) -> None:
    assert routed == ROUTES


def test_api_gateway_may_call_every_function_on_every_route(resources: Resources, routed: dict[str, str]) -> None:
    permissions = {
        permission["FunctionName"]["Ref"]: permission["SourceArn"]["Fn::Sub"].partition("${HttpApi}")[2]
        for permission in _of_type(resources, "AWS::Lambda::Permission").values()
    }
    for route, function in routed.items():
        method, _, path = route.partition(" ")
        # The source is /stage/method/path, where path parameters are written as they were sent.
        source = f"/$default/{method}{path}"
        assert fnmatch.fnmatchcase(source, permissions[function]), (route, permissions[function])


def test_integrations_speak_the_payload_format_the_handlers_read(resources: Resources) -> None:
    for integration in _of_type(resources, "AWS::ApiGatewayV2::Integration").values():
        assert integration["PayloadFormatVersion"] == "2.0"


def test_the_access_log_has_no_paths_because_they_contain_phone_numbers(resources: Resources) -> None:
    text = resources["HttpApiStage"]["Properties"]["AccessLogSettings"]["Format"]
    assert "$context.routeKey" in text
    assert "$context.path" not in text


def test_the_api_is_throttled(resources: Resources) -> None:
    settings = resources["HttpApiStage"]["Properties"]["DefaultRouteSettings"]
    assert settings["ThrottlingRateLimit"] == {"Ref": "ApiRequestsPerSecond"}
    assert settings["ThrottlingBurstLimit"] == {"Ref": "ApiRequestsBurst"}
