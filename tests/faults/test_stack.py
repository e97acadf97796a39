"""The same law with real processes: the ingest task and the function killed, the exchange cut, the wire torn."""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.faults import stack
from tests.faults.grounds import Grounds
from tests.faults.schedules import Outcome

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("faults on the stack")]

STACK = int(os.environ.get("STACK") or 2)
SEED = int(os.environ.get("SEED") or 1)
SEEDS = range(SEED, SEED + STACK)
AT_ONCE = 2
"""They mostly wait."""


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[int, Future[Outcome]]]:
    with Grounds() as grounds, ThreadPoolExecutor(AT_ONCE) as pool:
        yield {seed: pool.submit(stack.run, grounds, seed) for seed in SEEDS}


@pytest.mark.parametrize("seed", SEEDS)
def test_once_quiet_the_bars_are_those_of_the_exchange_whatever_was_killed(
    outcomes: dict[int, Future[Outcome]], seed: int
) -> None:
    outcome = outcomes[seed].result()

    assert outcome.verdict.holds, "\n".join(outcome.verdict.notes)
