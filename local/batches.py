"""What becomes of one batch: delivered, delivered in part, split, retried or given up, by Lambda's rules alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from local.lambdas import EVENT_BYTES, Result
from local.mappings import Mapping
from local.streams import Record

_ENVELOPE_BYTES = len('{"Records":[]}')


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one shard, in order, that go into one event; `failures` counts its attempts that used up a retry."""

    records: Sequence[Record]
    failures: int = 0
    last: Result | None = None


def cut(records: Sequence[Record], batch_size: int, limit: int = EVENT_BYTES) -> list[Batch]:
    """Batches of at most `batch_size` records and `limit` bytes of event; a record beyond that limit goes alone."""
    batches: list[list[Record]] = []
    size = 0
    for record in records:
        size += record.size + 1
        if not batches or len(batches[-1]) == batch_size or size > limit:
            batches.append([])
            size = _ENVELOPE_BYTES + record.size + 1
        batches[-1].append(record)
    return [Batch(batch) for batch in batches]


def unfinished(batch: Batch, result: Result, mapping: Mapping) -> Sequence[Record]:
    """The records that a result leaves undone: none, all, or those from the first reported failure on.

    With ReportBatchItemFailures nothing, an empty object, or an empty or missing list is success; an identifier that
    is not in the batch, or anything else, is failure of the whole.
    """
    if result.error is not None:
        return batch.records
    if not mapping.report_failures or result.payload in (None, {}):
        return ()
    failures = result.payload.get("batchItemFailures") if isinstance(result.payload, dict) else "no report"
    return batch.records[_first_failure(batch.records, failures) :]


def _first_failure(records: Sequence[Record], failures: Any) -> int:
    """The place of the first reported record: past the end for none, 0 for a report that cannot be understood."""
    if failures is None:
        return len(records)
    if not isinstance(failures, list):
        return 0
    positions = {record.sequence: place for place, record in reversed(list(enumerate(records)))}
    identifiers = [item.get("itemIdentifier") if isinstance(item, dict) else None for item in failures]
    places = [positions.get(identifier, 0) if isinstance(identifier, str) else 0 for identifier in identifiers]
    return min(places, default=len(records))


def after_failure(batch: Batch, remaining: Sequence[Record], result: Result, mapping: Mapping) -> list[Batch] | None:
    """What to deliver next, in order, when `remaining` of the batch is undone; None when it is to be given up.

    A checkpoint that moved on starts a batch of its own at the reported record; a failed batch is split in two where
    the mapping bisects. Neither uses up a retry (splitting does not on AWS; for the checkpoint the documentation is
    silent, and so no record is given up before it has failed its full number of times).
    """
    if len(remaining) < len(batch.records):
        return [Batch(remaining, last=result)]
    if mapping.bisect and len(remaining) > 1:
        middle = len(remaining) // 2
        return [Batch(half, batch.failures, result) for half in (remaining[:middle], remaining[middle:])]
    if 0 <= mapping.retries <= batch.failures:
        return None
    return [Batch(remaining, batch.failures + 1, result)]


def expired(batch: Batch, mapping: Mapping, now: float) -> int:
    """How many records at the front of the batch are older than the mapping delivers; `now` is epoch seconds."""
    if mapping.max_age_s < 0:
        return 0
    fresh = (place for place, record in enumerate(batch.records) if now - record.arrived <= mapping.max_age_s)
    return next(fresh, len(batch.records))
