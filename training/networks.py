"""How the network learns: by stochastic gradient descent on the pinball loss of all horizons and levels at once.

Its outputs are those of the tree heads: what to add to a horizon's line, and how much of each mode to its shape. It
learns with AdamW (Loshchilov and Hutter 2019), dropout (Srivastava et al. 2014) and a rate that falls to nothing along
a cosine, so that no rows need be kept to tell it when to stop; what is learnt last, of the newer rows, stays most.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from btc.forecasts import LEVELS
from btc.heads import Line
from btc.minutes import Floats, Ints
from btc.nets import Layer, Net, Singles, sigmoid
from btc.times import DAY
from training.views import Views

EPOCHS: Final = 4
"""Of both views: each row is learnt from eight times."""
BATCH: Final = 1024
RECENT: Final = 365 * DAY
"""In the last round rows are drawn by chance, one as old as this (µs) e times as seldom as the newest."""
LEAST_STEPS: Final = 4000
"""Where there are fewer rows the batches are smaller instead."""
SMALLEST: Final = 256
RATE: Final = 1e-3
DECAY: Final = 0.3
DROPOUT: Final = 0.25

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
    """What a horizon's network starts from; see `btc.heads.Heads`."""

    line: Line
    shape: Floats
    modes: Floats


class _Learnt(NamedTuple):
    """Weights and biases, one array after the other, and how they are put together."""

    centre: Singles
    width: Singles
    arrays: list[Singles]

    def net(self) -> Net:
        *layers, direct = self.arrays
        pairs = [Layer(weights, bias) for weights, bias in zip(layers[::2], layers[1::2], strict=True)]
        return Net(self.centre, self.width, tuple(pairs[:-1]), pairs[-1], direct)


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
    views: Views, plains: Mapping[int, Plain], seed: int, say: Callable[[str], None] = lambda _: None
) -> dict[int, Net]:
    """A network a horizon that has learnt from the views; see TRUNKS."""
    found: dict[int, Net] = {}
    for trunk in TRUNKS:
        served = [horizon for horizon in plains if horizon <= trunk.serves and horizon not in found]
        if served:
            learnt = {horizon: plain for horizon, plain in plains.items() if horizon <= trunk.learns}
            nets = _taught(views, learnt, trunk.hidden, seed, say)
            found |= {horizon: nets[horizon] for horizon in served}
    return found


def _taught(
    views: Views, plains: Mapping[int, Plain], hidden: tuple[int, ...], seed: int, say: Callable[[str], None]
) -> dict[int, Net]:
    source = np.random.default_rng(seed)
    returns = np.stack(
        [views.targets(horizon) / np.exp(views.of(plain.line)) for horizon, plain in plains.items()], axis=1
    ).astype(np.float32)
    loss = _Loss(plains, returns)
    learnt = _begun(views, (*hidden, loss.factors.size), source)
    batch = int(np.clip(views.total * EPOCHS // LEAST_STEPS, SMALLEST, BATCH))
    batches = max(1, views.total // batch)
    mover = _Adam(learnt.arrays, EPOCHS * batches)
    for epoch, order in enumerate(_orders(views, source)):
        for number in range(batches):
            rows, places = views.drawn(order[number * batch : (number + 1) * batch])
            mover.move(_slopes(learnt.net(), rows, places, loss, source))
        say(f"network to {max(plains)} min: {epoch + 1} of {EPOCHS} rounds of {batches} steps")
    net = learnt.net().scaled(loss.factors)
    return dict(zip(plains, net.parted(len(plains)), strict=True))


def _orders(views: Views, source: np.random.Generator) -> Iterator[Ints]:
    """The places of rows in the order in which they are learnt from, round by round."""
    for _ in range(EPOCHS - 1):
        yield source.permutation(views.total)
    starts = views.starts
    weights = np.exp((starts - starts.max()) / RECENT)
    yield source.choice(views.total, views.total, p=weights / weights.sum())


def _begun(views: Views, outputs: tuple[int, ...], source: np.random.Generator) -> _Learnt:
    """Layers of so many outputs, the hidden ones first."""
    sample, _ = views.drawn(np.arange(0, views.total, 1 + views.total // 50_000))
    known = np.isfinite(sample)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, sample, 0).sum(axis=0) / count
    width = np.sqrt(np.where(known, (sample - centre) ** 2, 0).sum(axis=0) / count)
    varies = width > 0
    width[~varies] = 1.0
    sizes = (sample.shape[1], *outputs)
    arrays = []
    for number, (inputs, into) in enumerate(pairwise(sizes)):
        spread = (2 / inputs) ** 0.5 * (1 if number < len(outputs) - 1 else 0.1)
        arrays += [(spread * source.standard_normal((inputs, into))).astype(np.float32), np.zeros(into, np.float32)]
    arrays[0][~varies] = 0  # nothing is learnt of what does not vary, so that it shall say nothing later
    arrays.append(np.zeros((sample.shape[1], outputs[-1]), np.float32))
    return _Learnt(centre.astype(np.float32), width.astype(np.float32), arrays)


def _slopes(net: Net, rows: Singles, places: Ints, loss: _Loss, source: np.random.Generator) -> list[Singles]:
    """The loss's slopes by every array, back through the layers."""
    inputs = net.inputs(rows)
    bends, values = [], [inputs]
    for layer in net.hidden:
        found = layer.of(values[-1])
        passed = sigmoid(found)
        kept = (source.random(found.shape, dtype=np.float32) >= DROPOUT) * np.float32(1 / (1 - DROPOUT))
        values.append(found * passed * kept)
        bends.append(passed * (1 + found * (1 - passed)) * kept)
    steep = loss.slope(net.last.of(values[-1]) + inputs @ net.direct, places)
    slopes = [inputs.T @ steep]
    for layer, value, bend in zip((net.last, *net.hidden[::-1]), values[::-1], (*bends[::-1], None), strict=True):
        slopes += [steep.sum(axis=0), value.T @ steep]
        if bend is not None:
            steep = (steep @ layer.weights.T) * bend
    return slopes[::-1]
