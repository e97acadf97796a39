"""Kinesis and DynamoDB in memory, as far as the product uses them: what moto answers, a hundred times faster."""

from __future__ import annotations

import base64
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Item = dict[str, dict[str, Any]]
Document = dict[str, Any]

_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_BETWEEN: Final = re.compile(r"(\S+) BETWEEN (\S+) AND (\S+)")
_CALL: Final = re.compile(r"attribute_(not_)?exists\((\S+)\)")


class RefusedError(Exception):
    """The service says no: the error's code."""


class Shard:
    """A stream of one shard: its records, (partition key, data), the newest last."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes]] = []

    def put_records(self, request: Document, failing: Callable[[], bool] = lambda: False) -> Document:
        """PutRecords; each record for which `failing` says so is refused alone."""
        results = []
        for entry in request["Records"]:
            if failing():
                results.append({"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow down"})
                continue
            self.records.append((entry["PartitionKey"], base64.b64decode(entry["Data"])))
            results.append({"SequenceNumber": str(len(self.records)), "ShardId": "shardId-000000000000"})
        failed = sum("ErrorCode" in result for result in results)
        return {"FailedRecordCount": failed, "Records": results}


class Tables:
    """Tables by name; each is told by the attributes of its key. All reads are strongly consistent."""

    def __init__(self, keys: Mapping[str, tuple[str, ...]]) -> None:
        self.keys = keys
        self.items: dict[str, dict[tuple[str, ...], Item]] = {name: {} for name in keys}

    def __call__(self, operation: str, request: Document) -> Document:
        """The answer; raises RefusedError, and KeyError for what the product does not do."""
        answer = {"PutItem": self._put, "GetItem": self._get, "Query": self._query}[operation]
        return answer(request)

    def _put(self, request: Document) -> Document:
        table, item = request["TableName"], request["Item"]
        key = self._key(table, item)
        condition = request.get("ConditionExpression")
        if condition and not _holds(condition, self.items[table].get(key, {}), request):
            raise RefusedError("ConditionalCheckFailedException")
        self.items[table][key] = item
        return {}

    def _get(self, request: Document) -> Document:
        assert request["ConsistentRead"], "a read that may be stale: fold needs the newest"
        item = self.items[request["TableName"]].get(self._key(request["TableName"], request["Key"]))
        return {"Item": item} if item else {}

    def _query(self, request: Document) -> Document:
        assert request["ConsistentRead"], "a read that may be stale: fold needs the newest"
        table, forward = request["TableName"], request.get("ScanIndexForward", True)
        after = request.get("ExclusiveStartKey")
        page: list[Item] = []
        for key, item in sorted(self.items[table].items(), reverse=not forward):
            if not _holds(request["KeyConditionExpression"], item, request):
                continue
            if after and not (operator.gt if forward else operator.lt)(key, self._key(table, after)):
                continue
            page.append(item)
            if len(page) == request.get("Limit"):
                last = {name: item[name] for name in self.keys[table]}
                return {"Items": page, "Count": len(page), "ScannedCount": len(page), "LastEvaluatedKey": last}
        return {"Items": page, "Count": len(page), "ScannedCount": len(page)}

    def _key(self, table: str, item: Item) -> tuple[str, ...]:
        return tuple(item[name]["S"] for name in self.keys[table])


def _holds(expression: str, item: Item, request: Document) -> bool:
    """Whether the item meets the expression: comparisons, BETWEEN, attribute_exists, joined by OR over AND."""
    names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})

    def told(word: str) -> Any:
        typed = values[word] if word in values else item.get(names.get(word, word))
        if typed is None:
            return None
        [(kind, value)] = typed.items()
        return int(value) if kind == "N" else value

    def term(text: str) -> bool:
        if call := _CALL.fullmatch(text):
            return (told(call[2]) is None) == bool(call[1])
        left, compare, right = text.split()
        return told(left) is not None and _COMPARE[compare](told(left), told(right))

    whole = _BETWEEN.sub(r"\1 >= \2 AND \1 <= \3", expression)
    return any(all(map(term, part.split(" AND "))) for part in whole.split(" OR "))
