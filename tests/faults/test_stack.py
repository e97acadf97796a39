"""The same law with real processes: the ingest task and the function killed, the exchange cut, the wire torn."""

import os
from collections.abc import Iterator

import pytest

from tests.faults import stack
from tests.faults.grounds import Grounds

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("faults on the stack")]

STACK = int(os.environ.get("STACK") or 2)
SEED = int(os.environ.get("SEED") or 1)


@pytest.fixture(scope="module")
def grounds() -> Iterator[Grounds]:
    with Grounds() as shared:
        yield shared


@pytest.mark.parametrize("seed", range(SEED, SEED + STACK))
def test_once_quiet_the_bars_are_those_of_the_exchange_whatever_was_killed(grounds: Grounds, seed: int) -> None:
    outcome = stack.run(grounds, seed)

    assert outcome.verdict.holds, "\n".join(outcome.verdict.notes)
