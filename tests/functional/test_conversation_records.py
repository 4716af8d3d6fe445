"""What is kept of a conversation beside its call, and what the table's indexes make of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dialplane.dynamodb.calls import CallStore
from dialplane.dynamodb.tables import BY_CARRIER_CALL_ID_INDEX
from tests.fakes.phones import Exchange, an_exchange
from tests.fakes.world import World


@pytest.fixture(scope="module")
def exchange(world: World) -> Iterator[Exchange]:
    with an_exchange(world) as exchange:
        yield exchange


def test_a_call_is_found_by_the_carriers_name_while_its_conversation_goes_on(exchange: Exchange) -> None:
    phone = exchange.phone().answer()
    world = exchange.world
    reply = world.aws.call("dynamodb", "Scan", {"TableName": world.tables.calls, "IndexName": BY_CARRIER_CALL_ID_INDEX})

    found = CallStore(world.aws, world.tables).find_by_carrier_call_id(
        phone.call.organization_id, phone.carrier_call_id
    )

    assert found == phone.call
    assert [item["sk"]["S"] for item in reply["Items"] if item["carrier_call_id"]["S"] == phone.carrier_call_id] == [
        "CALL"
    ]
    assert phone.conversation.carrier_call_id == phone.carrier_call_id
