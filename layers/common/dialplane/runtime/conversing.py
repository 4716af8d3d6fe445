"""Conversations, composed on AWS, the models, the customers' tools and the carriers' APIs: for the three functions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dialplane.aws.client import AwsClient, AwsError
from dialplane.domain.builtin_tools import customer_tools
from dialplane.domain.conversations import Conversation
from dialplane.domain.language_model import LanguageModel, ModelFailed, ToolCall
from dialplane.dynamodb.answers import AnswerStore
from dialplane.dynamodb.conversations import ConversationStore
from dialplane.dynamodb.destinations import DestinationStore
from dialplane.models.registry import open_model
from dialplane.runtime.conversation_tasks import ConversationTasks
from dialplane.runtime.organization_secrets import OrganizationSecrets
from dialplane.runtime.settings import Settings
from dialplane.usecases.converse import ConverseUseCase
from dialplane.usecases.sockets import Sockets

if TYPE_CHECKING:  # frames must not wait for what only tasks and analyses need
    from dialplane.carriers.contract import CarrierApi
    from dialplane.usecases.analyze_call import AnalyzeCallUseCase
    from dialplane.usecases.attend_conversations import AttendConversationsUseCase

CARRIER_TIMEOUT_SECONDS = 5.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _CustomerTools:
    """The customer's tools over HTTP, signed with the organization's key."""

    secrets: OrganizationSecrets

    def call(self, conversation: Conversation, tool: ToolCall, seconds: float) -> str | None:
        declared = customer_tools(conversation.settings).get(tool.name)
        if declared is None:
            return None
        from dialplane.tools.http_tool import HttpTools  # noqa: PLC0415 - most conversations use none

        try:
            secret = self.secrets.read(conversation.organization_id, "tools") or {}
        except (AwsError, ValueError):
            logger.exception("tool_key_not_read", extra={"call_id": conversation.call_id})
            return "The tool cannot be used now."
        result = HttpTools().call(
            declared,
            tool.arguments,
            call_id=conversation.call_id,
            organization_id=conversation.organization_id,
            signing_key=secret.get("signing_key"),
            deadline=time.monotonic() + seconds,
        )
        return result.text


def model_opener(secrets: OrganizationSecrets) -> Callable[[Conversation], LanguageModel]:
    """Opens the language model of a conversation. Raises ModelFailed."""

    def open_for(conversation: Conversation) -> LanguageModel:
        settings = conversation.settings

        def secret(provider: str) -> Mapping[str, str] | None:
            try:
                return secrets.read(conversation.organization_id, f"model-{provider}")
            except (AwsError, ValueError) as error:
                raise ModelFailed(f"its key cannot be read ({type(error).__name__})") from error

        return open_model(
            settings.llm,
            secret=secret,
            variables=settings.variables,
            language=settings.language,
        )

    return open_for


def build_converse(
    settings: Settings,
    client: AwsClient,
    *,
    sockets: Sockets,
    now: Callable[[], datetime],
    monotonic: Callable[[], float],
) -> ConverseUseCase:
    """The use case that takes in frames."""
    tables = settings.tables("calls", "destinations")
    secrets = OrganizationSecrets(client, settings.text("ORGANIZATION_SECRETS_PREFIX"))
    return ConverseUseCase(
        conversations=ConversationStore(client, tables),
        answers=AnswerStore(client, tables),
        destinations=DestinationStore(client, tables),
        sockets=sockets,
        tasks=ConversationTasks(client, settings.text("CONVERSATION_TASKS_QUEUE_URL")),
        open_model=model_opener(secrets),
        customer_tools=_CustomerTools(secrets),
        now=now,
        monotonic=monotonic,
        check_interval=settings.duration("CHECK_INTERVAL_SECONDS"),
    )


def build_attend(
    settings: Settings,
    client: AwsClient,
    *,
    sockets: Sockets,
    now: Callable[[], datetime],
    monotonic: Callable[[], float],
) -> AttendConversationsUseCase:
    """The use case that carries out tasks."""
    from dialplane.carriers.registry import open_carrier  # noqa: PLC0415 - frames ask no carrier
    from dialplane.domain.errors import CarrierUnavailable  # noqa: PLC0415
    from dialplane.dynamodb.calls import CallStore  # noqa: PLC0415
    from dialplane.dynamodb.commands import CommandStore  # noqa: PLC0415
    from dialplane.runtime.callback_urls import callback_urls  # noqa: PLC0415
    from dialplane.runtime.carrier_accounts import CarrierAccounts  # noqa: PLC0415
    from dialplane.usecases.attend_conversations import AttendConversationsUseCase  # noqa: PLC0415

    tables = settings.tables("calls", "destinations")
    accounts = CarrierAccounts(client, settings.text("CARRIER_SECRETS_PREFIX"))
    base_url = settings.public_base_url
    converse = build_converse(settings, client, sockets=sockets, now=now, monotonic=monotonic)
    commands = CommandStore(client, tables)

    def carrier_of(organization_id: str, carrier: str, carrier_account_id: str) -> CarrierApi:
        credentials = accounts.credentials(organization_id, carrier_account_id)
        if credentials is None:
            raise CarrierUnavailable(f"The carrier account {carrier_account_id} has no credentials.")
        return open_carrier(carrier, credentials, timeout_seconds=CARRIER_TIMEOUT_SECONDS)

    def finish_command(task: Mapping[str, Any], result: str) -> None:
        commands.finish(task["organization_id"], task["call_id"], task["command_id"], result=result)

    def command_result(task: Mapping[str, Any]) -> str | None:
        return commands.result(task["organization_id"], task["call_id"], task["command_id"])

    return AttendConversationsUseCase(
        converse=converse,
        conversations=converse.conversations,
        calls=CallStore(client, tables),
        destinations=DestinationStore(client, tables),
        sockets=sockets,
        open_carrier=carrier_of,
        status_url=lambda call: callback_urls(base_url, call)[1],
        finish_command=finish_command,
        command_result=command_result,
        now=now,
        monotonic=monotonic,
    )


def build_analyze(settings: Settings, client: AwsClient, *, now: Callable[[], datetime]) -> AnalyzeCallUseCase:
    """The use case that analyzes ended calls."""
    from dialplane.usecases.analyze_call import AnalyzeCallUseCase  # noqa: PLC0415 - frames need none

    secrets = OrganizationSecrets(client, settings.text("ORGANIZATION_SECRETS_PREFIX"))
    return AnalyzeCallUseCase(ConversationStore(client, settings.tables("calls")), model_opener(secrets), now)
