"""How networks learn: by stochastic gradient descent on the pinball loss of all horizons and levels at once.

Their outputs are those of the tree heads: what to add to a horizon's line, and how much of each mode to its shape. They
learn with AdamW (Loshchilov and Hutter 2019), dropout (Srivastava et al. 2014) and a rate that falls to nothing along
a cosine, so that no rows need be kept to tell it when to stop; what is learnt last, of the newer rows, stays most.

Each horizon has two, to which the same features look different: one sees how far a value lies from the mean, the other
where it stands among all. What either takes from a look that the other does not have is halved in the mean.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from btc.forecasts import LEVELS
from btc.heads import Line
from btc.minutes import Floats, Ints
from btc.nets import Bends, Layer, Net, Singles, sigmoid
from btc.times import DAY
from training.views import Views

EPOCHS: Final = 4
"""Of both views: each row is learnt from eight times."""
BATCH: Final = 1024
RECENT: Final = 180 * DAY
"""In the last round rows are drawn by chance, one as old as this (µs) e times as seldom as the newest."""
LEAST_STEPS: Final = 4000
"""Where there are fewer rows the batches are smaller instead."""
SMALLEST: Final = 256
RATE: Final = 1e-3
DECAY: Final = 0.3
DROPOUT: Final = 0.25
REACH: Final = 4.0
"""Standard deviations from the mean beyond which nothing is learnt of a feature."""

_SAMPLE: Final = 50_000
"""Rows that tell how the features are spread."""
_SHARES: Final = np.array([0.0005, *np.arange(1, 64) / 64, 0.9995])
"""Of the sample that lie below the knots of `ranked`."""
_WARM: Final = 0.05
"""The share of the steps in which the rate rises."""
_MOMENTS: Final = (0.9, 0.999)
_STEEPEST: Final = np.float32(4)
_AMOUNT: Final = 0.3
"""How far an output of 1 moves the quantiles by a mode, in the mean over levels: about a step of what is learnt."""
_LEVELS: Final = np.array(LEVELS, dtype=np.float32)


class Trunk(NamedTuple):
    """Hidden layers that some horizons share."""

    hidden: tuple[int, ...]
    learns: int
    """The longest horizon (minutes) that it learns from."""
    serves: int
    """The longest that it serves."""


TRUNKS: Final = (Trunk((512, 256), learns=15, serves=15), Trunk((256, 128), learns=60, serves=60))
"""What is near has more to learn, and more independent rows to learn it from. An hour's few overfit wide layers and
spoil them for the others, while the near horizons are a help to the narrow layers that serve it."""


class Plain(NamedTuple):
    """What a horizon's networks start from; see `btc.heads.Heads`."""

    line: Line
    shape: Floats
    modes: Floats


class _Learnt(NamedTuple):
    """Weights and biases, one array after the other, and how they are put together behind the bends."""

    bends: Bends
    arrays: list[Singles]

    def net(self) -> Net:
        *layers, direct = self.arrays
        pairs = [Layer(weights, bias) for weights, bias in zip(layers[::2], layers[1::2], strict=True)]
        return Net(self.bends, tuple(pairs[:-1]), pairs[-1], direct)


class _Loss:
    """The mean pinball loss of standardised returns (n, horizons), each horizon in units of its returns' size."""

    def __init__(self, plains: Mapping[int, Plain], returns: Singles) -> None:
        self.returns = returns
        self.shapes = np.stack([plain.shape for plain in plains.values()]).astype(np.float32)
        modes = np.stack([plain.modes for plain in plains.values()]).astype(np.float32)
        self.units = (_AMOUNT / np.sqrt((modes**2).mean(axis=2))).astype(np.float32)
        self.modes = modes * self.units[:, :, None]
        self.size = np.nanmean(np.abs(returns), axis=0) + np.float32(1e-9)

    @property
    def factors(self) -> Singles:
        """From what the network gives while it learns to the outputs of the tree heads."""
        return np.concatenate([np.ones((len(self.units), 1), dtype=np.float32), self.units], axis=1).ravel()

    def slope(self, outputs: Singles, rows: Ints) -> Singles:
        """By the outputs (n, horizons · (1 + modes))."""
        truth = self.returns[rows]
        told = outputs.reshape(len(rows), len(self.shapes), -1)
        stretch = np.exp(np.clip(told[..., :1], -_STEEPEST, _STEEPEST))
        quantiles = self.shapes + np.einsum("nhk,hkl->nhl", told[..., 1:], self.modes, optimize=True)
        quantiles *= stretch
        steep = (truth[..., None] < quantiles) - _LEVELS
        steep[~np.isfinite(truth)] = 0
        steep /= (self.size * np.float32(steep[..., 0].size * len(LEVELS)))[:, None]
        found = np.empty_like(told)
        found[..., 0] = (steep * quantiles).sum(axis=2)
        steep *= stretch
        found[..., 1:] = np.einsum("nhl,hkl->nhk", steep, self.modes, optimize=True)
        return found.reshape(outputs.shape)


class _Adam:
    """AdamW over some arrays, changed in place; matrices decay, biases do not."""

    def __init__(self, arrays: list[Singles], steps: int) -> None:
        self.arrays, self.steps, self.step = arrays, steps, 0
        self.moments = [(np.zeros_like(array), np.zeros_like(array)) for array in arrays]

    def move(self, slopes: list[Singles]) -> None:
        self.step += 1
        warm = max(1, int(_WARM * self.steps))
        fallen = 0.5 + 0.5 * np.cos(np.pi * min(1.0, (self.step - warm) / max(1, self.steps - warm)))
        rate = RATE * (self.step / warm if self.step <= warm else fallen)
        first, second = _MOMENTS
        for number, slope in enumerate(slopes):
            array, (mean, square) = self.arrays[number], self.moments[number]
            mean += (1 - first) * (slope - mean)
            square += (1 - second) * (slope * slope - square)
            change = mean / (1 - first**self.step) / (np.sqrt(square / (1 - second**self.step)) + 1e-8)
            if array.ndim > 1:
                change = change + DECAY * array
            array -= np.float32(rate) * change


def taught(
    views: Views, plains: Mapping[int, Plain], seed: int, threads: int, say: Callable[[str], None] = lambda _: None
) -> dict[int, tuple[Net, ...]]:
    """Networks a horizon that have learnt from the views, one a look at the features; see TRUNKS."""
    sample, _ = views.drawn(np.arange(0, views.total, 1 + views.total // _SAMPLE))
    looks = {name: look(sample) for name, look in LOOKS.items()}
    returns = {
        horizon: (views.targets(horizon) / np.exp(views.of(plain.line))).astype(np.float32)
        for horizon, plain in plains.items()
    }

    def learnt(trunk: Trunk, look: str) -> dict[int, Net]:
        chosen = {horizon: plain for horizon, plain in plains.items() if horizon <= trunk.learns}
        loss = _Loss(chosen, np.stack([returns[horizon] for horizon in chosen], axis=1))
        name = f"network to {max(chosen)} min, {look}"
        source = np.random.default_rng([seed, works.index((trunk, look))])  # chance is halved in the mean as well
        begun = _begun(looks[look], (*trunk.hidden, loss.factors.size), source)
        net = _taught(views, loss, begun, source, lambda told: say(f"{name}: {told}"))
        return dict(zip(chosen, net.parted(len(chosen)), strict=True))

    trunks = {horizon: next(trunk for trunk in TRUNKS if horizon <= trunk.serves) for horizon in plains}
    works = [(trunk, look) for trunk in dict.fromkeys(trunks.values()) for look in looks]
    # One on a core each wait for each other less than all cores do for one.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        nets = dict(zip(works, pool.map(learnt, *zip(*works, strict=True)), strict=True))
    return {horizon: tuple(nets[trunk, look][horizon] for look in looks) for horizon, trunk in trunks.items()}


def straight(sample: Singles) -> Bends:
    """Distances from the mean of the sample (n, features) in standard deviations; of what does not vary nothing."""
    known = np.isfinite(sample)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, sample, 0).sum(axis=0, dtype=np.float64) / count
    width = np.sqrt(np.where(known, (sample - centre) ** 2, 0).sum(axis=0) / count)
    edge = np.array([-REACH, REACH])
    return Bends(centre[:, None] + width[:, None] * edge, np.where(width[:, None] > 0, edge, 0.0))


def ranked(sample: Singles) -> Bends:
    """The quantiles of a normal distribution at the shares of the sample (n, features) that lie below."""
    normal = np.array([NormalDist().inv_cdf(share) for share in _SHARES])
    knots, heights = np.zeros((2, sample.shape[1], len(_SHARES)))
    for column, values in enumerate(sample.T):
        if len(known := values[np.isfinite(values)]):
            knots[column] = np.quantile(known, _SHARES)
            _, place = np.unique(knots[column], return_inverse=True)  # what is equal stands in the middle of it
            heights[column] = (np.bincount(place, normal) / np.bincount(place))[place]
    return Bends(knots, heights)


LOOKS: Final = {"straight": straight, "ranked": ranked}
"""By each of them a network learns, of the features of a sample."""


def _taught(views: Views, loss: _Loss, learnt: _Learnt, source: np.random.Generator, say: Callable[[str], None]) -> Net:
    """With the outputs of all horizons of the loss, one after the other."""
    batch = int(np.clip(views.total * EPOCHS // LEAST_STEPS, SMALLEST, BATCH))
    batches = max(1, views.total // batch)
    mover = _Adam(learnt.arrays, EPOCHS * batches)
    for epoch, order in enumerate(_orders(views, source)):
        for number in range(batches):
            rows, places = views.drawn(order[number * batch : (number + 1) * batch])
            mover.move(_slopes(learnt.net(), rows, places, loss, source))
        say(f"{epoch + 1} of {EPOCHS} rounds of {batches} steps")
    return learnt.net().scaled(loss.factors)


def _orders(views: Views, source: np.random.Generator) -> Iterator[Ints]:
    """The places of rows in the order in which they are learnt from, round by round."""
    for _ in range(EPOCHS - 1):
        yield source.permutation(views.total)
    starts = views.starts
    weights = np.exp((starts - starts.max()) / RECENT)
    yield source.choice(views.total, views.total, p=weights / weights.sum())


def _begun(bends: Bends, outputs: tuple[int, ...], source: np.random.Generator) -> _Learnt:
    """Layers of so many outputs, the hidden ones first."""
    sizes = (len(bends.knots), *outputs)
    arrays = []
    for number, (inputs, into) in enumerate(pairwise(sizes)):
        spread = (2 / inputs) ** 0.5 * (1 if number < len(outputs) - 1 else 0.1)
        arrays += [(spread * source.standard_normal((inputs, into))).astype(np.float32), np.zeros(into, np.float32)]
    arrays.append(np.zeros((sizes[0], sizes[-1]), np.float32))
    return _Learnt(bends, arrays)


def _slopes(net: Net, rows: Singles, places: Ints, loss: _Loss, source: np.random.Generator) -> list[Singles]:
    """The loss's slopes by every array, back through the layers."""
    inputs = net.bends.of(rows)
    values: list[Singles] = [inputs]
    steepness: list[Singles] = []
    for layer in net.hidden:
        value = layer.of(values[-1])
        passed = sigmoid(value)
        value *= passed
        rise = 1 - passed
        rise *= value
        rise += passed
        drawn = np.frombuffer(source.bytes(value.size), np.uint8).reshape(value.shape)
        kept = (drawn >= 256 * DROPOUT) * np.float32(1 / (1 - DROPOUT))
        values.append(np.multiply(value, kept, out=value))
        steepness.append(np.multiply(rise, kept, out=rise))
    steep = loss.slope(net.last.of(values[-1]) + inputs @ net.direct, places)
    slopes = [inputs.T @ steep]
    for number, layer in reversed(list(enumerate((*net.hidden, net.last)))):
        slopes += [steep.sum(axis=0), values[number].T @ steep]
        if number:
            steep = steep @ layer.weights.T
            steep *= steepness[number - 1]
    return slopes[::-1]
