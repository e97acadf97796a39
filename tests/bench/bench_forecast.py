"""The forecast of one closed minute, all horizons: the handler's compute, its features against the same in pandas."""

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import xgboost as xgb

from btc import features, models, serving
from btc.bars import Bar
from btc.conformal import Offsets
from btc.features import LOOK_BACK, NAMES
from btc.forecasts import HORIZONS, LEVELS
from btc.heads import Heads
from btc.minutes import Minutes
from btc.models import Taught
from btc.nets import Layer, Net
from btc.serving import REACH, Calibration
from btc.times import MINUTE, iso
from btc.trades import Market
from tests.bench.measure import Row, best_seconds
from tests.model import rolling
from tests.model.rivals import FIXED
from training.growth import MAX_BIN, Pinball, booster_params, grow, modes, quantised
from training.matrices import WEIGHT
from training.networks import LOOKS, TRUNKS
from training.tune import FIRST

MARKET = Market("kraken", "BTC-USD")
REPEATS = 20
ROUNDS, SPREAD_ROUNDS = 700, 250
"""The most that a horizon took of two years."""


def history() -> list[Bar]:
    """What the function reads for a forecast: a random walk with volume."""
    source = np.random.default_rng(7)
    closes = 1e13 * np.exp(source.normal(scale=5e-4, size=REACH // MINUTE + 2).cumsum())
    rows = []
    for row in range(1, len(closes)):
        opened, closed = int(closes[row - 1]), int(closes[row])
        high, low = max(opened, closed) + 10**9, min(opened, closed) - 10**9
        start = 1_762_776_000_000_000 + row * MINUTE
        size = int(source.integers(10**6, 10**9))
        ids = ((row * 10, row * 10 + 9),)
        rows.append(
            Bar(
                MARKET,
                start,
                opened,
                high,
                low,
                closed,
                size,
                size * closed,
                size // 2,
                10,
                ids,
                row * 10 - 1,
                row * 10 + 10,
            )
        )
    return rows


def model(folder: Path, trained_until: int) -> models.Model:
    """As much as a training on years leaves behind: a horizon's heads of SPREAD_ROUNDS and ROUNDS, and the networks."""
    source = np.random.default_rng(7)
    rows = source.normal(size=(2000, len(NAMES))).astype(np.float32)
    matrix, shape = quantised(rows, 1), np.linspace(-1.6, 1.6, len(LEVELS))
    quantiles = grow(
        booster_params(FIRST, 1, 7, 1),
        matrix,
        Pinball(source.normal(size=len(rows)), shape, modes(shape)),
        rounds=ROUNDS,
    )
    matrix.set_info(label=source.normal(size=len(rows)), base_margin=np.zeros(len(rows)))
    spread = xgb.train({"max_depth": 4, "max_bin": MAX_BIN, "nthread": 1}, matrix, num_boost_round=SPREAD_ROUNDS)
    ways = modes(shape)
    heads = {
        horizon: Heads(
            spread, quantiles, shape=shape, modes=ways, nets=networks_of(source, horizon, 1 + len(ways)), weight=WEIGHT
        )
        for horizon in HORIZONS
    }
    offsets = {horizon: np.zeros(len(LEVELS)) for horizon in HORIZONS}
    known = dict.fromkeys(HORIZONS, Offsets.none(np.linspace(1e-4, 1e-3, 100)))
    told = {"trained_until": iso(trained_until)}
    return models.write(folder, Taught(heads, offsets, known, FIXED), rows[:2], told)


def networks_of(source: np.random.Generator, horizon: int, outputs: int) -> tuple[Net, ...]:
    """As many and as wide as those that serve the horizon."""
    sizes = (len(NAMES), *next(trunk.hidden for trunk in TRUNKS if horizon <= trunk.serves), outputs)
    layers = [
        Layer((0.1 * source.normal(size=pair)).astype(np.float32), np.zeros(pair[1], np.float32))
        for pair in pairwise(sizes)
    ]
    direct = np.zeros((len(NAMES), outputs), np.float32)
    sample = source.normal(size=(1000, len(NAMES))).astype(np.float32)
    return tuple(Net(look(sample), tuple(layers[:-1]), layers[-1], direct) for look in LOOKS.values())


def rows() -> list[Row]:
    bars = history()
    with TemporaryDirectory() as folder:
        champion = model(Path(folder), bars[-2].end)
    minutes = Minutes.of_bars(bars)[-(LOOK_BACK + 1) :]

    def bar() -> None:
        serving.forecast(MARKET, Minutes.of_bars(bars), champion, Calibration.begun(champion))

    whole, ours, pandas = best_seconds(
        lambda: [bar() for _ in range(REPEATS)],
        lambda: [features.matrix(minutes) for _ in range(REPEATS)],
        lambda: [rolling.features(minutes) for _ in range(REPEATS)],
    )
    return [
        Row(
            "forecast_ms",
            1000 * whole / REPEATS,
            "ms of CPU a closed bar",
            "all horizons and what the last outcomes teach, warm, without the tables",
            None,
        ),
        Row(
            "features_vs_pandas_one_bar",
            1000 * ours / REPEATS,
            "ms of CPU",
            "pandas rolling",
            pandas / ours,
        ),
    ]
