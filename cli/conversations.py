"""Do the parts that an organization's calls are put together from fit together? Looks at entities, reads nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dialplane.carriers.registry import ENGINES
from dialplane.domain.accounts import Assistant, CallerNumber, CarrierAccount, ConversationFlow, Organization
from dialplane.domain.admission import missing_setup
from dialplane.usecases.provision import Entity


@dataclass(frozen=True, slots=True)
class Conversations:
    """Who speaks on which number, and with which engine."""

    organization: Organization
    assistants: dict[int, Assistant]
    flows: dict[int, ConversationFlow]
    numbers: dict[str, CallerNumber]
    carrier_accounts: frozenset[str]

    @classmethod
    def of(cls, entities: Sequence[Entity]) -> Conversations:
        """Those of an organization with these entities, itself included."""
        return cls(
            organization=next(each for each in entities if isinstance(each, Organization)),
            assistants={each.id: each for each in entities if isinstance(each, Assistant)},
            flows={each.id: each for each in entities if isinstance(each, ConversationFlow)},
            numbers={each.number: each for each in entities if isinstance(each, CallerNumber)},
            carrier_accounts=frozenset(each.id for each in entities if isinstance(each, CarrierAccount)),
        )

    def faults(self) -> list[str]:
        """What calls would be refused for, a sentence each."""
        return [*self._assistant_faults(), *self._flow_faults(), *self._engine_faults(), *self._default_faults()]

    def _assistant_faults(self) -> Iterator[str]:
        for assistant in self.assistants.values():
            number = assistant.caller_number
            if number is not None and number not in self.numbers:
                yield f"assistant {assistant.id} calls from {number}, which the organization does not have"
            if assistant.engine == "agent" and assistant.agent_id is None:
                yield f'assistant {assistant.id} has the engine "agent" and no agent_id'

    def _flow_faults(self) -> Iterator[str]:
        for flow in self.flows.values():
            if flow.base_assistant_id not in self.assistants:
                yield f"flow {flow.id} is based on assistant {flow.base_assistant_id}, which does not exist"

    def _engine_faults(self) -> Iterator[str]:
        for number, speaker, engine in sorted(set(self._speakers())):
            carrier = self.numbers[number].carrier
            if engine not in ENGINES.get(carrier, ()):
                yield f'{speaker} speaks with the engine "{engine}", which numbers of {carrier} ({number}) cannot'

    def _speakers(self) -> Iterator[tuple[str, str, str]]:
        """Number, who speaks on calls from it, and with which engine."""
        for number in self.numbers.values():
            if number.flow_id in self.flows:
                yield number.number, f"flow {number.flow_id}", self.flows[number.flow_id].engine
            if number.assistant_id in self.assistants:
                yield number.number, f"assistant {number.assistant_id}", self.assistants[number.assistant_id].engine
        for assistant in self.assistants.values():
            if assistant.caller_number in self.numbers:
                yield assistant.caller_number, f"assistant {assistant.id}", assistant.engine

    def _default_faults(self) -> Iterator[str]:
        default = self.organization.default_assistant_id
        if default is None:
            return
        assistant = self.assistants.get(default)
        number = self.numbers.get((assistant and assistant.caller_number) or "")
        if missing := missing_setup(assistant, number, self.carrier_accounts):
            yield f"the default assistant {default} has no {', no '.join(missing)}"
