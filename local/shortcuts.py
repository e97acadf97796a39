"""The emulator's answers, sooner: moto is made for tests with ten items, and a fortnight of bars is twenty thousand.

Nothing is answered differently; each shortcut falls back to moto's own way wherever it does not plainly apply.
"""

from __future__ import annotations

import copy
import threading
from bisect import bisect_left, bisect_right
from functools import cache
from typing import Any, Final, cast

_SCALARS: Final = ("S", "N", "BOOL", "NULL")
_SPARE: Final = 8


@cache
def take() -> None:
    """Patch moto in this process, once."""
    from moto import backends  # noqa: PLC0415 - imports that only the emulator's process needs
    from moto.core import serialize  # noqa: PLC0415
    from moto.dynamodb.models.dynamo_type import Item  # noqa: PLC0415
    from moto.dynamodb.models.table import StreamShard, Table  # noqa: PLC0415
    from moto.kinesis.models import Shard  # noqa: PLC0415

    # moto lists its own folder at every request.
    services = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: services
    slow = serialize.BaseJSONSerializer
    setattr(slow, "_serialize_type_structure", _attributes_as_they_are(slow._serialize_type_structure))  # noqa: B010
    setattr(Table, "query", _among_neighbours(Table.query))  # noqa: B010 - mypy takes no assignment to a method
    setattr(Item, "project", _as_it_is(Item.project))  # noqa: B010
    alone = threading.RLock()
    setattr(StreamShard, "add", _one_at_a_time(StreamShard.add, alone))  # noqa: B010
    setattr(Shard, "put_record", _one_at_a_time(Shard.put_record, alone))  # noqa: B010
    setattr(Shard, "get_records", _one_at_a_time(_from_where_asked(Shard.get_records), alone))  # noqa: B010
    setattr(Shard, "get_max_sequence_number", _newest)  # noqa: B010


def _attributes_as_they_are(slow: Any) -> Any:
    """An attribute's value is its JSON already; moto tries ten types and their aliases for each one it returns."""
    from moto.dynamodb.models.dynamo_type import DynamoType  # noqa: PLC0415

    def plain(value: Any) -> dict[str, Any] | None:
        """None where moto is to say it."""
        content: Any
        kind, content = (
            (value.type, value.value) if isinstance(value, DynamoType) else next(iter(value.items()), ("", None))
        )
        if kind in _SCALARS:
            return {kind: content}
        if kind == "L":
            row = [plain(each) for each in content]
            return {kind: row} if None not in row else None
        if kind == "M":
            table = {name: plain(each) for name, each in content.items()}
            return {kind: table} if None not in table.values() else None
        return None

    def structure(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if key and shape.name == "AttributeValue" and (told := plain(value)):
            serialized[key] = told
            return
        slow(self, serialized, value, shape, key)

    return structure


def _among_neighbours(slow: Any) -> Any:
    """A query by a text range key looks at the items in that range; moto sorts and walks the whole table."""
    from moto.dynamodb.comparisons import OpDefault  # noqa: PLC0415

    def _filters(others: tuple[Any, ...]) -> bool:
        """Whether items are filtered after they are found; moto's way of not doing so is a filter that keeps all."""
        return any(not isinstance(other, OpDefault) for other in others)

    def query(  # noqa: PLR0913, PLR0917 - moto's own signature
        self: Any,
        hash_key: Any,
        range_comparison: str | None,
        range_objs: Any,
        limit: int,
        exclusive_start_key: Any,
        scan_index_forward: bool,  # noqa: FBT001
        projection_expressions: Any,
        index_name: str | None = None,
        consistent_read: bool = False,  # noqa: FBT001, FBT002
        *others: Any,
        **options: Any,
    ) -> Any:
        told = (hash_key, range_comparison, range_objs, limit, exclusive_start_key, scan_index_forward)
        rest = (projection_expressions, index_name, consistent_read, *others)
        items = self.items.get(hash_key) if hash_key is not None and not index_name else None
        if not items or range_comparison not in ("<", "<=", ">", ">=", "BETWEEN") or _filters(others):
            return slow(self, *told, *rest, **options)
        edges = [edge.value for edge in range_objs]
        keys = {key.value: key for key in list(items)}
        if any(key.type != "S" for key in [*items, *range_objs]):
            return slow(self, *told, *rest, **options)
        ordered = sorted(keys)
        # A few beyond each edge: whether there is more decides what moto tells of the next page.
        first = max(0, bisect_left(ordered, edges[0]) - _SPARE) if range_comparison in (">", ">=", "BETWEEN") else 0
        after = len(ordered) if range_comparison in (">", ">=") else bisect_right(ordered, edges[-1]) + _SPARE
        if exclusive_start_key:
            resumed = exclusive_start_key[self.range_key_attr]["S"]
            if scan_index_forward:
                first = max(first, bisect_left(ordered, resumed))
            else:
                after = min(after, bisect_right(ordered, resumed) + 1)
        if limit and scan_index_forward:
            after = min(after, first + limit + 3 * _SPARE)
        elif limit:
            first = max(first, after - limit - 3 * _SPARE)
        near = copy.copy(self)
        near.all_items = lambda: [items[keys[key]] for key in ordered[first:after]]
        return slow(near, *told, *rest, **options)

    return query


def _as_it_is(slow: Any) -> Any:
    """Whole attributes are passed on; moto translates all of an item for each one that is asked for, there and back."""
    from moto.dynamodb.models.dynamo_type import Item, LimitedSizeDict  # noqa: PLC0415

    def project(self: Any, projection_expressions: list[list[str]]) -> Any:
        if any(len(path) > 1 or "[" in path[0] for path in projection_expressions):
            return slow(self, projection_expressions)
        found: Any = Item.__new__(Item)
        found.hash_key, found.range_key, found.attrs = self.hash_key, self.range_key, LimitedSizeDict()
        for [name] in projection_expressions:
            if name in self.attrs:
                dict.__setitem__(found.attrs, name, self.attrs[name])  # without measuring it: it was when it came
        return found

    return project


def _from_where_asked(slow: Any) -> Any:
    """A shard's records are numbered one by one; moto walks from the first to the one that is asked for."""

    def get_records(self: Any, last_sequence_id: str, limit: int | None) -> tuple[list[Any], int, int]:
        last, newest = int(last_sequence_id), _newest(self)
        numbers = range(last + 1, min(newest, last + limit if limit else newest) + 1)
        if not numbers or numbers[0] not in self.records or len(self.records) != newest:
            return cast("tuple[list[Any], int, int]", slow(self, last_sequence_id, limit))
        told = [self.records[number] for number in numbers]
        behind = self.records[newest].created_at - told[-1].created_at
        return told, numbers[-1], int(behind * 1000)

    return get_records


def _newest(shard: Any) -> int:
    """A shard's last number; moto lists all of them for each record it takes."""
    return next(reversed(shard.records), 0)


def _one_at_a_time(method: Any, lock: threading.RLock) -> Any:
    """A stream's numbers come from its length, and a reader walks what a writer lengthens: neither bears another."""

    def method_alone(*told: Any) -> Any:
        with lock:
            return method(*told)

    return method_alone
