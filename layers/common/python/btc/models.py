"""A trained model as one artefact: boosters by horizon, how they were calibrated, and rows that prove it unharmed.

Each horizon has two heads: one predicts how far the price goes, the other the quantiles of the return in units of that.
"""

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from btc import baselines, features, forecasts
from btc.forecasts import LEVELS, Forecast
from btc.minutes import Floats, Minutes
from btc.times import MINUTE
from btc.trades import Market

DESCRIPTION: Final = "model.json"
FORMAT: Final = "model/1"

_TOLERANCE: Final = 1e-4
"""Scaled units: float32 sums differ a little between processors, a damaged tree differs a lot."""


UNREADABLE: Final = (
    *(OSError, EOFError, tarfile.TarError, zlib.error),  # the archive
    *(KeyError, TypeError, ValueError, xgb.core.XGBoostError),  # what lies in it
)
"""What reading a damaged artefact may raise."""


class ModelError(ValueError):
    """An artefact that must not be served: unreadable, damaged, or made for other features; the message says which."""


class Heads(NamedTuple):
    """The boosters of one horizon."""

    spread: xgb.Booster
    """The logarithm of the scaled return's size."""
    quantiles: xgb.Booster
    """Quantiles (levels,) of the scaled return over the exponential of `spread`."""


@dataclass(frozen=True, eq=False)
class Model:
    """Boosters that predict the quantiles of scaled returns, and the description they were written with."""

    description: Mapping[str, Any]
    heads: Mapping[int, Heads]
    """By horizon in minutes."""

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """The model in a folder or a model.tar.gz; raises ModelError where it cannot be read or fits other features."""
        path = Path(path)
        try:
            files = _folder(path) if path.is_dir() else unpacked(path)
            description = json.loads(files[DESCRIPTION])
            heads = {
                horizon: Heads(*(_booster(files, name, description["sha256"]) for name in _names(horizon)))
                for horizon in description["horizons"]
            }
        except UNREADABLE as error:
            raise ModelError(f"{path} is no model artefact: {type(error).__name__}: {error}") from error
        model = cls(description, heads)
        model._check(path)
        return model

    @property
    def version(self) -> str:
        return str(self.description["model_version"])

    @property
    def horizons(self) -> tuple[int, ...]:
        return tuple(self.heads)

    def predict(self, rows: npt.NDArray[np.float32]) -> dict[int, Floats]:
        """Quantiles (n, levels) of the scaled return by horizon, calibrated, never crossing; features (n, f) in."""
        return {
            horizon: np.sort(raw(heads.quantiles, rows) + self._offsets[horizon], axis=1) * spread(heads.spread, rows)
            for horizon, heads in self.heads.items()
        }

    def verify(self) -> None:
        """Recomputes the sample rows; raises ModelError naming the largest difference beyond tolerance."""
        rows = np.array(self.description["samples"]["rows"], dtype=np.float32)
        for horizon, values in self.predict(rows).items():
            expected = np.array(self.description["samples"]["quantiles"][str(horizon)])
            if expected.shape != values.shape:
                raise ModelError(f"{self.version}: samples at {horizon} min have shape {expected.shape}")
            difference = np.abs(values - expected).max()
            if not difference <= _TOLERANCE:
                raise ModelError(
                    f"{self.version}: at {horizon} min the sample rows come out {difference:.2g} away from what they "
                    "were at training: the artefact is damaged or this xgboost reads it differently"
                )

    @cached_property
    def _offsets(self) -> dict[int, Floats]:
        return {horizon: np.array(self.description["calibration"][str(horizon)]) for horizon in self.heads}

    def _check(self, path: Path) -> None:
        told = {
            "format": (self.description.get("format"), FORMAT),
            "features": (tuple(self.description.get("features", ())), features.NAMES),
            "levels": (tuple(self.description.get("levels", ())), LEVELS),
        }
        for name, (found, needed) in told.items():
            if found != needed:
                raise ModelError(f"{path} was made with other {name}: {found}; this code has {needed}: train anew")
        sizes = {len(offsets) for offsets in self._offsets.values()}
        if sizes != {len(LEVELS)}:
            raise ModelError(f"{path}: calibration has {sizes} values a horizon, not {len(LEVELS)}")


def forecast(market: Market, minutes: Minutes, model: Model | None) -> list[Forecast]:
    """What is served as of the last minute: the model's forecasts, or the baseline's where it may not be used.

    The baseline answers without a model, and where the look-back is not whole enough (`features.usable`). Raises
    baselines.TooFewMinutesError where even that is impossible.
    """
    look_back = minutes[-(features.LOOK_BACK + 1) :]
    as_of, price = int(minutes.start[-1]) + MINUTE, float(minutes.close[-1])
    if model is None or not features.usable(look_back)[-1]:
        return forecasts.of(
            market, as_of, price, baselines.latest(look_back), model_version=baselines.VERSION, baseline=True
        )
    quantiles = {
        horizon: values[0] * (features.scale(look_back)[-1] * horizon**0.5)
        for horizon, values in model.predict(features.matrix(look_back)[-1:]).items()
    }
    return forecasts.of(market, as_of, price, quantiles, model_version=model.version, baseline=False)


def raw(booster: xgb.Booster, rows: npt.NDArray[np.float32]) -> Floats:
    """A booster's quantiles (n, levels) as they come: not calibrated, possibly crossing."""
    return np.asarray(booster.inplace_predict(rows), dtype=np.float64).reshape(len(rows), -1)


def spread(booster: xgb.Booster, rows: npt.NDArray[np.float32]) -> Floats:
    """The size of the scaled return (n, 1) that a spread head expects."""
    return np.exp(raw(booster, rows))


def write(
    folder: Path,
    heads: Mapping[int, Heads],
    calibration: Mapping[int, Floats],
    samples: npt.NDArray[np.float32],
    about: Mapping[str, Any],
) -> Model:
    """The artefact's files in `folder`, as `Model.open` reads them; returns the model it then is.

    `samples` (n, features) are rows to prove it by later; `about` goes into the description and must tell
    `trained_until` (ISO date or time): the version is that date and a hash of all that predicts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        name: bytes(booster.save_raw("ubj"))
        for horizon, boosters in heads.items()
        for name, booster in zip(_names(horizon), boosters, strict=True)
    }
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    offsets = {str(horizon): [float(value) for value in values] for horizon, values in calibration.items()}
    identity = hashlib.sha256(json.dumps([hashes, offsets, features.NAMES], sort_keys=True).encode()).hexdigest()
    description = {
        "format": FORMAT,
        "model_version": f"{str(about['trained_until'])[:10]}-{identity[:8]}",
        "features": list(features.NAMES),
        "horizons": list(heads),
        "levels": list(LEVELS),
        "calibration": offsets,
        "sha256": hashes,
        **about,
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    predicted = Model(description, heads).predict(samples)
    description["samples"] = {
        "rows": [[None if np.isnan(value) else float(value) for value in row] for row in samples],
        "quantiles": {str(horizon): values.tolist() for horizon, values in predicted.items()},
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1, allow_nan=False) + "\n")
    return Model.open(folder)


def _names(horizon: int) -> tuple[str, str]:
    return f"spread_{horizon}.ubj", f"quantiles_{horizon}.ubj"


def _booster(files: Mapping[str, bytes], name: str, hashes: Mapping[str, str]) -> xgb.Booster:
    if hashlib.sha256(files[name]).hexdigest() != hashes[name]:
        raise ValueError(f"{name} is not the file that was written: fetch the artefact again")
    return xgb.Booster(params={"nthread": 1}, model_file=bytearray(files[name]))


def _folder(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir() if file.suffix in (".json", ".ubj")}


def unpacked(path: Path) -> dict[str, bytes]:
    """The files of a tar.gz by name, in memory: the whole archive's checksum is proven, and no name is written to."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(path.read_bytes()))) as archive:
        readers = {Path(entry.name).name: archive.extractfile(entry) for entry in archive if entry.isfile()}
        return {name: reader.read() for name, reader in readers.items() if reader}
