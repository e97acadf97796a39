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


def best_seconds(*rivals: Callable[[], object], rounds: int = 5) -> list[float]:
    """CPU seconds of each rival's best round; they take turns, so that a noisy moment meets all of them."""
    best = [float("inf")] * len(rivals)
    for _ in range(rounds):
        for row, rival in enumerate(rivals):
            began = time.process_time()
            rival()
            best[row] = min(best[row], time.process_time() - began)
    return best
