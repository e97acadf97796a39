"""The features of two and a half years of minutes, against the same matrix by pandas rolling calls.

The rival (`tests.model.rolling`) is what a notebook holds: one expression a feature over whole columns, a rolling call
a window, what features plainly share (log prices, returns, their variances, the scale) made once; no Python loop over
rows and no apply. It also is the tests' oracle, so that both make the same numbers. Both end in what boosters and
networks take: rows of float32.
"""

import time

import numpy as np

from btc import features
from tests.bench.measure import Row, best_seconds
from tests.bench.recordings import BARS
from tests.model import rolling
from tests.model.walks import walk
from training import dataset

DAYS = 889
"""As long as the recorded bars are."""
THREADS = 2
ROUNDS = 5


def rows() -> list[Row]:
    minutes = dataset.read(BARS)[0] if BARS.is_dir() else walk(DAYS * 1440, seed=3)
    source = "recorded" if BARS.is_dir() else "drawn: no recorded bars are there"

    def rival() -> None:
        np.ascontiguousarray(rolling.features(minutes).to_numpy(dtype=np.float32))

    alone, pandas = best_seconds(lambda: features.matrix(minutes), rival, rounds=ROUNDS)
    threaded, waited = best_seconds(
        lambda: features.matrix(minutes, THREADS), rival, rounds=ROUNDS, clock=time.perf_counter
    )
    number = len(minutes)
    return [
        Row(
            "features_vs_pandas",
            1e6 * alone / number,
            f"µs of CPU a minute, of {number} {source}",
            "pandas rolling, the same matrix of float32",
            pandas / alone,
        ),
        Row(
            "features_vs_pandas_wall",
            1e6 * threaded / number,
            f"µs a minute, {THREADS} threads",
            "pandas rolling, which takes one thread, the same matrix of float32",
            waited / threaded,
        ),
    ]
