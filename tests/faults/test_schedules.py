"""No trade lost, none counted twice, every bar proven: under whatever faults a seed draws."""

import os
from collections import Counter

import pytest

from tests.faults import schedules
from tests.faults.faults import KINDS
from tests.faults.schedules import Scene

SCHEDULES = int(os.environ.get("SCHEDULES") or 200)
SEED = int(os.environ.get("SEED") or 1)
PARTS = 4
"""For as many cores."""


@pytest.mark.parametrize("part", range(PARTS))
def test_once_quiet_the_bars_are_those_of_the_tape_whatever_struck(part: int) -> None:
    outcomes = [schedules.run(seed) for seed in range(SEED + part, SEED + SCHEDULES, PARTS)]

    assert {outcome.seed: outcome.verdict.notes for outcome in outcomes if not outcome.verdict.holds} == {}


def test_a_seed_tells_everything() -> None:
    for seed in range(1, 4):
        assert schedules.run(seed) == schedules.run(seed)


def test_every_fault_strikes_somewhere() -> None:
    struck = sum((schedules.run(seed).struck for seed in range(1, 41)), Counter())

    assert {kind for kind in KINDS if not struck[kind]} == set()


def test_an_audit_may_look_before_the_verdict() -> None:
    seen: list[Scene] = []

    assert schedules.run(1, seen.append).verdict.holds
    assert seen
