"""``AwsClient`` over boto3, for the command line and tests, where start-up time does not matter.

Functions use ``HttpAwsClient``: this module imports botocore, so nothing a function loads may import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)

from dialplane.aws.retries import AwsError, RetryPolicy, call_with_retries

# The retries of AwsClient are the only ones: botocore's own would repeat an unconditional UpdateItem.
_CONFIG = Config(retries={"total_max_attempts": 1, "mode": "standard"}, connect_timeout=5, read_timeout=10)


class _Session(Protocol):
    """The part of boto3.Session used here."""

    def client(self, service_name: Any, *, config: Any) -> Any: ...


class BotoAwsClient:
    """``AwsClient`` on the clients of ``session``, or on ready ``clients`` by service name.

    Clients handed in keep their own configuration; they need ``total_max_attempts=1`` for ``AwsClient``'s promises.
    """

    def __init__(
        self,
        session: _Session | None = None,
        *,
        clients: Mapping[str, Any] | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        self._session = session
        self._clients: dict[str, Any] = dict(clients or {})
        self._retries = retries or RetryPolicy()

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request and return its result. Raises ``AwsError``; the promises are those of ``AwsClient``."""
        client = self._client(service)

        def send(current: Mapping[str, Any]) -> dict[str, Any]:
            return _send(client, service, operation, current)

        return call_with_retries(send, operation, params, self._retries)

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            if self._session is None:
                raise KeyError(f"no client for {service!r} was given and no session to make one; pass one of the two")
            self._clients[service] = self._session.client(service, config=_CONFIG)
        return self._clients[service]


def _send(client: Any, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
    try:
        # The method that client.put_item and the others call; it takes the operation by its AWS name.
        result: dict[str, Any] = client._make_api_call(operation, dict(params))
    except ClientError as error:
        raise _to_aws_error(service, operation, error) from error
    except (EndpointConnectionError, ConnectTimeoutError) as error:
        raise AwsError(service=service, operation=operation, code="ConnectionFailed", message=str(error)) from error
    except (ReadTimeoutError, ConnectionClosedError, HTTPClientError) as error:
        raise AwsError(service=service, operation=operation, code="ReplyLost", message=str(error)) from error
    except BotoCoreError as error:  # NoCredentialsError, ParamValidationError and their like: nothing was sent
        raise AwsError(service=service, operation=operation, code=type(error).__name__, message=str(error)) from error
    result.pop("ResponseMetadata", None)
    return result


def _to_aws_error(service: str, operation: str, error: ClientError) -> AwsError:
    response: dict[str, Any] = dict(error.response)
    details = response.get("Error", {})
    return AwsError(
        service=service,
        operation=operation,
        # SQS keeps its pre-JSON codes in Code; QueryErrorCode is the one of the JSON protocol.
        code=str(details.get("QueryErrorCode") or details.get("Code") or ""),
        message=str(details.get("Message") or ""),
        http_status=int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0),
        cancellation_reasons=tuple(response.get("CancellationReasons") or ()),
        item=response.get("Item"),
    )
