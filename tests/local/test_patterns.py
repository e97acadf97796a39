"""Event patterns choose what EventBridge and Lambda's filters would choose."""

from __future__ import annotations

from typing import Any

import pytest

from local.patterns import PatternError, any_of, compile_pattern

EVENT = {
    "source": "aws.sagemaker",
    "detail": {
        "status": "Approved",
        "attempt": 3,
        "tags": ["champion", "hourly"],
        "models": [{"name": "a"}, {"name": "b"}],
        "none": None,
        "flag": True,
        "empty": [],
    },
}


@pytest.mark.parametrize(
    ("detail", "matches"),
    [
        ({"status": ["Approved"]}, True),
        ({"status": ["Rejected", "Approved"]}, True),
        ({"status": ["approved"]}, False),
        ({"status": [{"equals-ignore-case": "approved"}]}, True),
        ({"status": [{"prefix": "App"}]}, True),
        ({"status": [{"suffix": "App"}]}, False),
        ({"status": [{"wildcard": "A*o*d"}]}, True),
        ({"status": [{"wildcard": "A.*"}]}, False),
        ({"status": [{"anything-but": ["Rejected"]}]}, True),
        ({"status": [{"anything-but": {"prefix": "App"}}]}, False),
        ({"absent": [{"anything-but": "x"}]}, False),
        ({"attempt": [3]}, True),
        ({"attempt": ["3"]}, False),
        ({"attempt": [{"numeric": [">", 2, "<=", 3]}]}, True),
        ({"attempt": [{"numeric": ["=", 4]}]}, False),
        ({"flag": [True]}, True),
        ({"flag": [1]}, False),
        ({"none": [None]}, True),
        ({"absent": [None]}, False),
        ({"status": [{"exists": True}]}, True),
        ({"status": [{"exists": False}]}, False),
        ({"absent": [{"exists": False}]}, True),
        ({"absent": {"deeper": [{"exists": False}]}}, True),
        ({"absent": {"deeper": [{"exists": True}]}}, False),
        ({"empty": [{"exists": True}]}, False),
        ({"tags": ["hourly"]}, True),
        ({"tags": ["daily"]}, False),
        ({"models": {"name": ["b"]}}, True),
        ({"models": {"name": ["c"]}}, False),
        ({"status": ["Approved"], "attempt": [4]}, False),
        ({"$or": [{"status": ["Rejected"]}, {"attempt": [3]}]}, True),
        ({"$or": [{"status": ["Rejected"]}, {"attempt": [4]}]}, False),
    ],
)
def test_a_pattern_matches_as_on_aws(detail: dict[str, Any], matches: bool) -> None:
    assert compile_pattern({"source": ["aws.sagemaker"], "detail": detail})(EVENT) is matches


def test_one_matching_filter_is_enough_and_none_lets_everything_through() -> None:
    approved, rejected = '{"detail":{"status":["Approved"]}}', '{"detail":{"status":["Rejected"]}}'

    assert any_of([rejected, approved])(EVENT)
    assert not any_of([rejected])(EVENT)
    assert any_of([])(EVENT)


@pytest.mark.parametrize(
    "pattern",
    [
        {"detail": "Approved"},
        {"detail": []},
        {"detail": [{"sounds-like": "x"}]},
        {"detail": [{"prefix": 1}]},
        {"detail": [{"exists": "yes"}]},
        {"detail": [{"numeric": [">"]}]},
        {"detail": [{"numeric": ["~", 1]}]},
        {"detail": [{"prefix": "a", "suffix": "b"}]},
        {"$or": {"detail": ["x"]}},
        "[]",
    ],
)
def test_a_pattern_that_cannot_be_honoured_is_refused(pattern: Any) -> None:
    with pytest.raises(PatternError):
        compile_pattern(pattern)
