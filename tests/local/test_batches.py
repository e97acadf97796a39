"""The rules of a batch: what a report leaves undone, where it is cut, and how large it may be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.batches import Batch, after_failure, cut, unfinished
from local.lambdas import FunctionError, Result
from local.mappings import Mapping
from local.streams import Record


def records_of(count: int) -> list[Record]:
    return [Record(str(n), 0.0, {}, 100, {}) for n in range(count)]


def result_of(payload: Any) -> Result:
    return Result("1", payload, None, 1.0, cold=False)


@pytest.mark.parametrize(
    ("payload", "left"),
    [
        (None, 0),
        ({}, 0),
        ({"batchItemFailures": []}, 0),
        ({"batchItemFailures": None}, 0),
        ({"batchItemFailures": [{"itemIdentifier": "3"}, {"itemIdentifier": "2"}]}, 3),
        ({"batchItemFailures": [{"itemIdentifier": "3"}, {"itemIdentifier": "unknown"}]}, 5),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, 5),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, 5),
        ({"batchItemFailures": [{"sequence": "3"}]}, 5),
        ({"batchItemFailures": ["3"]}, 5),
        ({"batchItemFailures": "3"}, 5),
        ("done", 5),
    ],
)
def test_what_a_report_leaves_undone(payload: Any, left: int) -> None:
    reporting = Mapping(uuid="1", function="f", source_arn="arn", report_failures=True)
    silent = Mapping(uuid="1", function="f", source_arn="arn")

    assert len(unfinished(Batch(records_of(5)), result_of(payload), reporting)) == left
    assert len(unfinished(Batch(records_of(5)), result_of(payload), silent)) == 0


@settings(deadline=None)
@given(
    count=st.integers(1, 40),
    size=st.integers(1, 12),
    retries=st.integers(0, 3),
    bisect=st.booleans(),
    report=st.booleans(),
    failures=st.lists(st.sampled_from(["ok", "error", "report"]), max_size=60),
    places=st.lists(st.integers(0, 11), min_size=60, max_size=60),
)
def test_whatever_fails_every_record_is_delivered_or_given_up_once_and_in_order(
    *, count: int, size: int, retries: int, bisect: bool, report: bool, failures: list[str], places: list[int]
) -> None:
    mapping = Mapping(uuid="1", function="f", source_arn="arn", retries=retries, bisect=bisect, report_failures=report)
    waiting = cut(records_of(count), size)
    settled: list[Record] = []
    faults = iter(zip(failures, places, strict=False))
    tried: dict[str, int] = {}
    while waiting:
        batch = waiting.pop(0)
        fault, place = next(faults, ("ok", 0))
        first = batch.records[place % len(batch.records)].sequence
        payload = {"batchItemFailures": [{"itemIdentifier": first}]} if fault == "report" else None
        error = FunctionError("ValueError", "") if fault == "error" else None
        result = Result("1", payload, error, 1.0, cold=False)
        remaining = unfinished(batch, result, mapping)
        settled += batch.records[: len(batch.records) - len(remaining)]
        if not remaining:
            continue
        tried[remaining[0].sequence] = tried.get(remaining[0].sequence, 0) + 1
        following = after_failure(batch, remaining, result, mapping)
        if following is None:
            assert tried[remaining[0].sequence] > retries
            settled += remaining
        else:
            waiting[:0] = following

    assert settled == records_of(count)


def test_batches_stay_under_lambdas_payload_limit() -> None:
    batches = cut(records_of(10), batch_size=100, limit=14 + 3 * 101)

    assert [len(batch.records) for batch in batches] == [3, 3, 3, 1]
