"""How everything here is measured: rivals in turns in one process, CPU time, the best of several rounds."""

import time
from collections.abc import Callable
from typing import NamedTuple


class Row(NamedTuple):
    """One figure, beside what a user would pick instead, both taken in this run."""

    name: str
    value: float
    unit: str
    against: str
    ratio: float | None
    """How many times better than `against`; None where the figure stands alone."""


def best_seconds(
    *rivals: Callable[[], object], rounds: int = 5, clock: Callable[[], float] = time.process_time
) -> list[float]:
    """Seconds of CPU, or of another clock, of each rival's best round; they take turns: a noisy moment meets all."""
    best = [float("inf")] * len(rivals)
    for _ in range(rounds):
        for row, rival in enumerate(rivals):
            began = clock()
            rival()
            best[row] = min(best[row], clock() - began)
    return best
