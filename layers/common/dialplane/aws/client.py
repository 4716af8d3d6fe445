"""A small AWS client for functions on the hot path: four services, the AWS JSON protocol, SigV4, keep-alive.

boto3 costs a cold start about 200 ms more than this (docs/decisions). Only the protocol belongs here: how requests
travel is in ``aws.transport``, what may be repeated in ``aws.retries``, what the calls mean is with the callers.
Nothing heavier than http.client may be imported.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dialplane.aws.retries import AwsClient, AwsError, RetryPolicy, call_with_retries
from dialplane.aws.transport import AwsRequest, AwsTransport, region_of

__all__ = ["AwsClient", "AwsError", "HttpAwsClient", "RetryPolicy"]


@dataclass(frozen=True, slots=True)
class _Service:
    signing_name: str  # also the first label of the host name
    target_prefix: str
    content_type: str
    endpoint_variable: (
        str  # the AWS SDKs' name: https://docs.aws.amazon.com/sdkref/latest/guide/ss-endpoints-table.html
    )


_SERVICES = {
    "dynamodb": _Service("dynamodb", "DynamoDB_20120810", "application/x-amz-json-1.0", "AWS_ENDPOINT_URL_DYNAMODB"),
    "sqs": _Service("sqs", "AmazonSQS", "application/x-amz-json-1.0", "AWS_ENDPOINT_URL_SQS"),
    "secretsmanager": _Service(
        "secretsmanager", "secretsmanager", "application/x-amz-json-1.1", "AWS_ENDPOINT_URL_SECRETS_MANAGER"
    ),
    "stepfunctions": _Service("states", "AWSStepFunctions", "application/x-amz-json-1.0", "AWS_ENDPOINT_URL_SFN"),
}
_DNS_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "eusc-": "amazonaws.eu",
}


class HttpAwsClient:
    """``AwsClient`` over http.client. Safe to share between threads; each keeps its own connection per host.

    Reads AWS_REGION, the credentials and the endpoint variables at each call, as the environment may be completed
    after import (tests, SnapStart). ``requests_sent`` counts HTTP requests, retries included.
    """

    def __init__(
        self,
        *,
        connect_timeout_seconds: float = 1.0,
        # Shorter than the budget for retries, so that a reply which never comes leaves time for a second try.
        read_timeout_seconds: float = 1.5,
        retries: RetryPolicy | None = None,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._retries = retries or RetryPolicy()
        self._environ = environ
        self._transport = AwsTransport(
            connect_timeout_seconds=connect_timeout_seconds,
            read_timeout_seconds=read_timeout_seconds,
            environ=environ,
            clock=clock,
        )

    @property
    def requests_sent(self) -> int:
        """How many HTTP requests were sent."""
        return self._transport.requests_sent

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request and return its result. Raises ``AwsError``; the promises are those of ``AwsClient``."""

        def send(current: Mapping[str, Any]) -> dict[str, Any]:
            return self._send(service, operation, current)

        return call_with_retries(send, operation, params, self._retries)

    def _send(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        request = self._request(service, operation, json.dumps(params, separators=(",", ":")).encode())
        reply = self._transport.exchange(request)
        if reply.status >= 300:
            raise reply.to_error(request)
        try:
            result = json.loads(reply.body or b"{}")
        except ValueError:
            result = None
        if not isinstance(result, dict):
            raise AwsError(
                service=service,
                operation=operation,
                code="ReplyLost",
                message="the reply was HTTP success without a JSON object; check the endpoint",
                http_status=reply.status,
            )
        return result

    def _request(self, service: str, operation: str, body: bytes) -> AwsRequest:
        spec = _SERVICES[service]
        region = region_of(self._environ, service, operation)
        url = self._environ.get(spec.endpoint_variable) or self._environ.get("AWS_ENDPOINT_URL")
        endpoint = urlsplit(url or f"https://{spec.signing_name}.{region}.{_dns_suffix(region)}")
        return AwsRequest(
            service=service,
            operation=operation,
            signing_name=spec.signing_name,
            region=region,
            endpoint=endpoint,
            path=endpoint.path or "/",
            headers={"Content-Type": spec.content_type, "X-Amz-Target": f"{spec.target_prefix}.{operation}"},
            body=body,
        )


def _dns_suffix(region: str) -> str:
    return next((suffix for prefix, suffix in _DNS_SUFFIXES.items() if region.startswith(prefix)), "amazonaws.com")
