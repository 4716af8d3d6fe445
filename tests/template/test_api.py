"""Every documented path and every frame reaches its function, and API Gateway may call it."""

import fnmatch
import re
from typing import Any

import pytest

from dialplane.runtime.callback_urls import SOCKET_PARAMETER

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
    "GET /calls/{call_id}/transcript": "ManageFunction",
    "DELETE /calls/{call_id}/transcript": "ManageFunction",
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


HTTP, SOCKETS = {"Ref": "HttpApi"}, {"Ref": "SocketApi"}


@pytest.fixture(scope="module")
def routed(resources: Resources) -> dict[str, str]:
    """Function by route key of the HTTP API, followed through the integrations."""
    integrations = _of_type(resources, "AWS::ApiGatewayV2::Integration")
    return {
        route["RouteKey"]: integrations[route["Target"]["Fn::Sub"].removeprefix("integrations/${").removesuffix("}")][
            "IntegrationUri"
        ]["Fn::GetAtt"][0]
        for route in _of_type(resources, "AWS::ApiGatewayV2::Route").values()
        if route["ApiId"] == HTTP
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
    """WebSockets know one format only, and it has no name there."""
    for integration in _of_type(resources, "AWS::ApiGatewayV2::Integration").values():
        assert (
            integration.get("PayloadFormatVersion")
            == {"HttpApi": "2.0", "SocketApi": None}[integration["ApiId"]["Ref"]]
        )


# ---- the WebSocket API ----------------------------------------------------------------------------------------------


def _socket_routes(resources: Resources) -> dict[str, dict[str, Any]]:
    routes = _of_type(resources, "AWS::ApiGatewayV2::Route").values()
    return {route["RouteKey"]: route for route in routes if route["ApiId"] == SOCKETS}


def test_every_event_of_a_socket_reaches_the_conversation(resources: Resources) -> None:
    routes = _socket_routes(resources)
    assert set(routes) == {"$connect", "$default", "$disconnect"}
    assert {route["Target"]["Fn::Sub"] for route in routes.values()} == {"integrations/${ConversationIntegration}"}
    integration = resources["ConversationIntegration"]["Properties"]
    assert (integration["ApiId"], integration["IntegrationType"]) == (SOCKETS, "AWS_PROXY")
    assert _invoked(integration["IntegrationUri"]) == "ConversationFunction"


def test_no_frame_chooses_its_route(resources: Resources) -> None:
    """By what a frame says about itself it could name $connect, or a route that is added one day."""
    api = resources["SocketApi"]["Properties"]
    assert api["ProtocolType"] == "WEBSOCKET"
    name = api["RouteSelectionExpression"].removeprefix("$request.body.")
    frames = {"type", "voicePrompt", "lang", "last", "digit", "utteranceUntilInterrupt", "description", "sessionId"}
    assert name not in frames


def test_nobody_gets_a_socket_whom_the_conversation_function_has_not_let_in(resources: Resources) -> None:
    routes = _socket_routes(resources)
    connect = routes.pop("$connect")
    assert (connect["AuthorizationType"], connect["AuthorizerId"]) == ("CUSTOM", {"Ref": "SocketAuthorizer"})
    authorizer = resources["SocketAuthorizer"]["Properties"]
    assert (authorizer["ApiId"], authorizer["AuthorizerType"]) == (SOCKETS, "REQUEST")
    assert authorizer["IdentitySource"] == [f"route.request.querystring.{SOCKET_PARAMETER}"]
    assert _invoked(authorizer["AuthorizerUri"]) == "ConversationFunction"
    # AWS knows authorizers on $connect only; and none of a WebSocket's is cached, which a single-use token wants.
    assert not any("AuthorizerId" in route for route in routes.values())
    assert "AuthorizerResultTtlInSeconds" not in authorizer


@pytest.mark.parametrize("source", ["live/$connect", "live/$default", "live/$disconnect", "authorizers/abc123"])
def test_api_gateway_may_call_the_conversation_for_its_own_sockets_only(resources: Resources, source: str) -> None:
    (permission,) = [
        each
        for each in _of_type(resources, "AWS::Lambda::Permission").values()
        if each["FunctionName"] == {"Ref": "ConversationFunction"}
    ]
    arn = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${SocketApi}/"
    assert permission["SourceArn"]["Fn::Sub"].startswith(arn)
    assert fnmatch.fnmatchcase(arn + source, permission["SourceArn"]["Fn::Sub"])


def test_the_stage_of_the_sockets_is_the_one_that_addresses_and_permissions_name(resources: Resources) -> None:
    stage = resources["SocketStage"]["Properties"]
    assert (stage["ApiId"], stage["StageName"], stage["AutoDeploy"]) == (SOCKETS, "live", True)
    text = str(resources)
    assert text.count("${SocketApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/live") == text.count(
        "${SocketApi}.execute-api"
    )


def test_the_stage_of_the_sockets_wants_nothing_that_an_account_has_to_be_prepared_for(resources: Resources) -> None:
    """Access logs of WebSockets need a role in the account's API Gateway settings, or the deployment fails."""
    stage = resources["SocketStage"]["Properties"]
    assert "AccessLogSettings" not in stage
    assert "LoggingLevel" not in stage["DefaultRouteSettings"]


def test_sockets_are_throttled(resources: Resources) -> None:
    settings = resources["SocketStage"]["Properties"]["DefaultRouteSettings"]
    assert settings["ThrottlingRateLimit"] == {"Ref": "SocketFramesPerSecond"}
    assert settings["ThrottlingBurstLimit"] == {"Ref": "SocketFramesBurst"}


def _invoked(uri: dict[str, str]) -> str:
    """The function in the only spelling of an integration's URI that WebSocket APIs accept."""
    found = re.fullmatch(
        r"arn:\$\{AWS::Partition\}:apigateway:\$\{AWS::Region\}:lambda:path/2015-03-31/functions/"
        r"\$\{(\w+)\.Arn\}/invocations",
        uri["Fn::Sub"],
    )
    assert found is not None, uri
    return found[1]


def test_the_access_log_has_no_paths_because_they_contain_phone_numbers(resources: Resources) -> None:
    text = resources["HttpApiStage"]["Properties"]["AccessLogSettings"]["Format"]
    assert "$context.routeKey" in text
    assert "$context.path" not in text


def test_the_api_is_throttled(resources: Resources) -> None:
    settings = resources["HttpApiStage"]["Properties"]["DefaultRouteSettings"]
    assert settings["ThrottlingRateLimit"] == {"Ref": "ApiRequestsPerSecond"}
    assert settings["ThrottlingBurstLimit"] == {"Ref": "ApiRequestsBurst"}
