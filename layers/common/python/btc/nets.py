"""A small neural network over features: what bends smoothly, where trees go in steps."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from btc.minutes import Floats

Singles = npt.NDArray[np.float32]


class Bends(NamedTuple):
    """A line of straight pieces for each feature, by which it is bent before it meets a layer."""

    knots: Floats
    """Values (features, knots) of the feature, ascending; beyond the first and the last nothing was learnt."""
    heights: Floats
    """What each becomes; an unknown feature becomes 0."""

    def of(self, rows: npt.NDArray[Any]) -> Singles:
        """Features (n, features), bent."""
        found = np.empty(rows.shape, dtype=np.float32)
        if self.knots.shape[1] == 2:
            self._ramp(rows, found)
        else:
            for column, (knots, heights) in enumerate(zip(*self, strict=True)):
                found[:, column] = np.interp(rows[:, column], knots, heights)
        return np.nan_to_num(found, copy=False)

    def _ramp(self, rows: npt.NDArray[Any], out: Singles) -> None:
        """What np.interp says where there is one piece a feature: all features at once, for a call costs more."""
        (low, high), (floor, ceiling) = self.knots.T, self.heights.T
        width = high - low
        values = np.clip(rows, low, high, dtype=np.float64)
        topped = values >= high
        values -= low
        values *= np.divide(ceiling - floor, width, out=np.zeros_like(width), where=width > 0)
        values += floor
        np.copyto(values, ceiling, where=topped)
        out[...] = values


class Layer(NamedTuple):
    """An affine map of rows (n, inputs) to (n, outputs)."""

    weights: Singles
    bias: Singles

    def of(self, rows: Singles) -> Singles:
        return np.asarray(rows @ self.weights + self.bias)


def sigmoid(values: Singles) -> Singles:
    """1 / (1 + e⁻ᵛ), without overflow."""
    found = np.maximum(values, np.float32(-80))
    np.exp(np.negative(found, out=found), out=found)
    found += 1
    return np.asarray(np.reciprocal(found, out=found))


class Net(NamedTuple):
    """Layers bent by SiLU (Elfwing, Uchibe, Doya 2018), and beside them a linear way from features to outputs."""

    bends: Bends
    hidden: tuple[Layer, ...]
    last: Layer
    direct: Singles
    """Weights (features, outputs) of the way beside the layers."""

    def outputs(self, rows: npt.NDArray[Any]) -> Singles:
        """What the network gives (n, outputs) for features (n, features)."""
        # Each row is a matrix of its own: the order of a product's sums depends on where in a matrix a row stands, and
        # a row alone shall come out bit for bit as it does among others.
        inputs = self.bends.of(rows)[:, None, :]
        values = inputs
        for layer in self.hidden:
            values = layer.of(values)
            values = values * sigmoid(values)
        return np.asarray((self.last.of(values) + inputs @ self.direct)[:, 0])

    def scaled(self, factors: Singles) -> Self:
        """The network whose outputs (…, outputs) are those of this one times the factors (outputs,)."""
        last = Layer(self.last.weights * factors, self.last.bias * factors)
        return self._replace(last=last, direct=self.direct * factors)

    def parted(self, count: int) -> list[Self]:
        """So many networks of equal outputs, which share all layers but the last."""
        whole = (self.last.weights, self.last.bias, self.direct)
        parts = zip(*(np.split(each, count, axis=-1) for each in whole), strict=True)
        return [self._replace(last=Layer(weights, bias), direct=direct) for weights, bias, direct in parts]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Its parts by name, as `of_arrays` takes them."""
        layers = {f"layer_{number}": layer for number, layer in enumerate((*self.hidden, self.last))}
        parts = {f"{name}_{part}": getattr(layer, part) for name, layer in layers.items() for part in Layer._fields}
        return {**self.bends._asdict(), "direct": self.direct, **parts}

    @classmethod
    def of_arrays(cls, parts: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Raises KeyError where a part is missing, ValueError where parts do not fit one another."""
        count = sum(name.endswith("_bias") for name in parts)
        layers = [
            Layer(*(np.asarray(parts[f"layer_{number}_{part}"], dtype=np.float32) for part in Layer._fields))
            for number in range(count)
        ]
        bends = Bends(*(np.asarray(parts[name], dtype=np.float64) for name in Bends._fields))
        direct = np.asarray(parts["direct"], dtype=np.float32)
        _refuse_unordered(bends)
        _refuse_misfit(len(bends.knots), direct, layers)
        return cls(bends, tuple(layers[:-1]), layers[-1], direct)


def mean_outputs(nets: Sequence[Net], rows: npt.NDArray[Any]) -> Floats:
    """What networks that learnt the same by different ways give (n, outputs) in the mean."""
    return np.asarray(sum(net.outputs(rows).astype(np.float64) for net in nets) / len(nets))


def _refuse_unordered(bends: Bends) -> None:
    knots, heights = bends
    if knots.ndim != 2 or not knots.size or heights.shape != knots.shape or not (np.diff(knots, axis=1) >= 0).all():
        raise ValueError(f"the network's bends have knots {knots.shape} that do not ascend, or heights {heights.shape}")


def _refuse_misfit(count: int, direct: Singles, layers: Sequence[Layer]) -> None:
    inputs = count
    for number, layer in enumerate(layers):
        if layer.weights.shape != (inputs, len(layer.bias)):
            raise ValueError(f"layer {number} of the network takes {layer.weights.shape}, not ({inputs}, outputs)")
        inputs = len(layer.bias)
    if direct.shape != (count, inputs):
        raise ValueError(f"the network's direct way takes {direct.shape}, not ({count}, {inputs})")
