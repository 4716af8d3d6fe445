"""DynamoDB's published arithmetic: what a read or a write of an item of known size costs.

Source: the DynamoDB developer guide, "Read and write operations" and "Item sizes and formats". Nothing else is here.
"""

from collections.abc import Iterable, Mapping
from typing import Any

Item = Mapping[str, Mapping[str, Any]]

READ_BLOCK_BYTES = 4096
WRITE_BLOCK_BYTES = 1024


def item_size(item: Item) -> int:
    """Return an item's size in bytes as DynamoDB counts it (attribute names and values, UTF-8)."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    (kind, content), *_ = value.items()
    if kind in {"S", "B"}:
        return len(str(content).encode())
    if kind == "N":
        return (len(str(content).strip("-").replace(".", "")) + 1) // 2 + 1
    if kind in {"BOOL", "NULL"}:
        return 1
    if kind == "M":
        return 3 + sum(len(name.encode()) + _value_size(inner) + 1 for name, inner in content.items())
    if kind == "L":
        return 3 + sum(_value_size(inner) + 1 for inner in content)
    return sum(len(str(inner).encode()) for inner in content)  # SS, NS, BS


def _blocks(size: int, block: int) -> int:
    return max(1, -(-size // block))


def read_units(item: Item | None, *, consistent: bool) -> float:
    """Return the read request units of one item; a missing one costs as much as a small one."""
    return _blocks(item_size(item or {}), READ_BLOCK_BYTES) * (1.0 if consistent else 0.5)


def query_units(items: Iterable[Item], *, consistent: bool) -> float:
    """Return the read request units of one Query page: sizes are summed before rounding up."""
    return _blocks(sum(map(item_size, items)), READ_BLOCK_BYTES) * (1.0 if consistent else 0.5)


def write_units(item: Item | None, *, transactional: bool) -> float:
    """Return the write request units of one item's table write; a transaction prepares and commits, so twice."""
    return _blocks(item_size(item or {}), WRITE_BLOCK_BYTES) * (2.0 if transactional else 1.0)


def index_units(before: Item | None, after: Item | None, index_keys: Mapping[str, tuple[str, ...]]) -> float:
    """Return the write request units that projecting one change (ALL attributes) into the indexes costs.

    `index_keys` gives each index's key attributes. An index entry whose key changes is removed and written anew: two
    writes. An item without all of an index's keys has no entry there. Index writes never cost the transactional double.
    """
    units = 0.0
    for keys in index_keys.values():
        old, new = ({key: item[key] for key in keys if key in item} if item else {} for item in (before, after))
        had, has = len(old) == len(keys), len(new) == len(keys)
        if had and (not has or old != new):
            units += _blocks(item_size(before or {}), WRITE_BLOCK_BYTES)
        if has:
            units += _blocks(item_size(after or {}), WRITE_BLOCK_BYTES)
    return units
