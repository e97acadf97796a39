"""The faults, and which of them a seed draws: how often each strikes, until the schedule's calm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

RATES: Final[Mapping[str, float]] = {
    "late trade": 0.05,
    "ids missing": 0.15,
    "reordering": 0.3,
    "malformed frame": 0.06,
    "REST 429": 0.3,
    "REST 5xx": 0.3,
    "REST short page": 0.5,
    "REST broken connection": 0.3,
    "REST behind": 0.4,
    "Kinesis throttling": 0.3,
    "Kinesis partial failure": 0.4,
    "Kinesis answer lost": 0.2,
    "Kinesis unreachable": 0.2,
    "DynamoDB throttling": 0.15,
    "DynamoDB error": 0.1,
    "DynamoDB answer lost": 0.1,
    "DynamoDB slow": 0.04,
    "another writer": 0.2,
    "Lambda crash before its write": 0.25,
    "Lambda crash after its write": 0.25,
    "Lambda timeout": 0.35,
    "two invocations at once": 0.5,
    "bisection": 0.4,
    "delivered again": 0.15,
}
"""Faults of a request, a frame or an invocation, and their chance each time."""

MOMENTS: Final = (
    "socket cut",
    "silent stall",
    "repeated snapshot",
    "maintenance",
    "poison record",
    "a loader beside it",
    "kill -9",
    "two tasks",
)
"""Faults that come a few times a schedule, each at a moment of its own."""

KINDS: Final = (*RATES, *MOMENTS)
MOST: Final = 12
"""Times a fault strikes in one schedule: however bad, it ends."""


class Faults:
    """Those that one schedule draws; `struck` counts them."""

    def __init__(self, random: Random, clock: Callable[[], float], calm: float) -> None:
        self.random = random
        self.calm = calm
        """From this moment (s) on nothing strikes any more."""
        self.drawn = frozenset(random.sample(KINDS, random.randint(6, 15)))
        self.struck: Counter[str] = Counter()
        self._clock = clock
        self._moments = {
            kind: sorted(random.uniform(0.02, 0.95) * calm for _ in range(random.randint(1, 3))) for kind in MOMENTS
        }

    def strikes(self, kind: str) -> bool:
        """Whether this fault strikes here and now."""
        if kind not in self.drawn or self._clock() >= self.calm or self.struck[kind] >= MOST:
            return False
        struck = self.random.random() < RATES[kind]
        self.struck[kind] += struck
        return struck

    def moments(self, kind: str) -> list[float]:
        """When (s) this fault comes, in order; never, where it is not drawn."""
        return list(self._moments[kind]) if kind in self.drawn else []
