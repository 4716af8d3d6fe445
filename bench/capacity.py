"""DynamoDB's published arithmetic: what a read or a write of an item of known size costs.

Source: the DynamoDB developer guide, "Read and write operations" and "Item sizes and formats". Nothing else is here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Index:
    """A secondary index: its key attributes, and whether it projects all attributes or only keys."""

    keys: tuple[str, ...]
    projects_all: bool


def index_units(before: Item | None, after: Item | None, indexes: Iterable[Index]) -> float:
    """Return the write request units that projecting one change into the indexes costs.

    An entry whose key changes is removed and written anew: two writes. One that stays as it is costs nothing. An item
    without all of an index's keys has no entry there. Index writes never cost the transactional double.
    """
    units = 0.0
    for index in indexes:
        old, new = _entry(before, index), _entry(after, index)
        if old == new:
            continue
        is_moved = old is not None and (new is None or any(old[key] != new[key] for key in index.keys))
        if old is not None and is_moved:
            units += _blocks(item_size(old), WRITE_BLOCK_BYTES)
        if new is not None:
            units += _blocks(item_size(new), WRITE_BLOCK_BYTES)
    return units


def _entry(item: Item | None, index: Index) -> Item | None:
    if item is None or any(key not in item for key in index.keys):
        return None
    return item if index.projects_all else {key: item[key] for key in ("pk", "sk", *index.keys) if key in item}
