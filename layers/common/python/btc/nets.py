"""A small neural network over features: what bends smoothly, where trees go in steps."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

Singles = npt.NDArray[np.float32]

REACH: Final = np.float32(4)
"""Widths from its centre beyond which nothing was learnt of a feature."""


class Layer(NamedTuple):
    """An affine map of rows (n, inputs) to (n, outputs)."""

    weights: Singles
    bias: Singles

    def of(self, rows: Singles) -> Singles:
        return np.asarray(rows @ self.weights + self.bias)


def sigmoid(values: Singles) -> Singles:
    """1 / (1 + e⁻ᵛ), without overflow."""
    return np.asarray(1 / (1 + np.exp(-np.maximum(values, np.float32(-80)))))


class Net(NamedTuple):
    """Layers bent by SiLU (Elfwing, Uchibe, Doya 2018), and beside them a linear way from features to outputs."""

    centre: Singles
    width: Singles
    hidden: tuple[Layer, ...]
    last: Layer
    direct: Singles
    """Weights (features, outputs) of the way beside the layers."""

    def inputs(self, rows: npt.NDArray[Any]) -> Singles:
        """Distances (n, features) from the centre in widths; a feature that is unknown stands there."""
        distances = (rows - self.centre) / self.width
        np.clip(distances, -REACH, REACH, out=distances)
        return np.asarray(np.nan_to_num(distances, copy=False), dtype=np.float32)

    def outputs(self, rows: npt.NDArray[Any]) -> Singles:
        """What the network gives (n, outputs) for features (n, features)."""
        # Each row is a matrix of its own: the order of a product's sums depends on where in a matrix a row stands, and
        # a row alone shall come out bit for bit as it does among others.
        inputs = self.inputs(rows)[:, None, :]
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

    def arrays(self) -> dict[str, Singles]:
        """Its parts by name, as `of_arrays` takes them."""
        layers = {f"layer_{number}": layer for number, layer in enumerate((*self.hidden, self.last))}
        parts = {f"{name}_{part}": getattr(layer, part) for name, layer in layers.items() for part in Layer._fields}
        return {"centre": self.centre, "width": self.width, "direct": self.direct, **parts}

    @classmethod
    def of_arrays(cls, parts: Mapping[str, Singles]) -> Self:
        """Raises KeyError where a part is missing, ValueError where parts do not fit one another."""
        count = sum(name.endswith("_bias") for name in parts)
        layers = [
            Layer(*(np.asarray(parts[f"layer_{number}_{part}"], dtype=np.float32) for part in Layer._fields))
            for number in range(count)
        ]
        centre, width, direct = (np.asarray(parts[name], dtype=np.float32) for name in ("centre", "width", "direct"))
        _refuse_misfit(centre, width, direct, layers)
        return cls(centre, width, tuple(layers[:-1]), layers[-1], direct)


def _refuse_misfit(centre: Singles, width: Singles, direct: Singles, layers: Sequence[Layer]) -> None:
    inputs = len(centre)
    for number, layer in enumerate(layers):
        if layer.weights.shape != (inputs, len(layer.bias)):
            raise ValueError(f"layer {number} of the network takes {layer.weights.shape}, not ({inputs}, outputs)")
        inputs = len(layer.bias)
    if width.shape != centre.shape or direct.shape != (len(centre), inputs):
        raise ValueError(f"the network's direct way takes {direct.shape}, not ({len(centre)}, {inputs})")
