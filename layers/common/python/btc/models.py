"""A trained model as one artefact: heads by horizon, how they were calibrated, and rows that prove it unharmed."""

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

from btc import features
from btc.baselines import Har
from btc.conformal import REGIMES, Offsets
from btc.forecasts import LEVELS
from btc.heads import Heads, Line, predicted
from btc.minutes import Floats
from btc.nets import Net
from btc.times import parse_iso

DESCRIPTION: Final = "model.json"
FORMAT: Final = "model/9"
_PREDICTING: Final = (
    *("features", "horizons", "levels", "lines", "shapes", "modes", "nets", "weights", "calibration"),
    *("rolling", "har", "sha256"),
)

_TOLERANCE: Final = 1e-4
"""Scaled units: float32 sums differ a little between processors, a damaged tree differs a lot."""


UNREADABLE: Final = (
    *(OSError, EOFError, tarfile.TarError, zlib.error),  # the archive
    *(KeyError, TypeError, ValueError, xgb.core.XGBoostError),  # what lies in it
)
"""What reading a damaged artefact may raise."""


class ModelError(ValueError):
    """An artefact that must not be served: unreadable, damaged, or made for other features; the message says which."""


class Taught(NamedTuple):
    """What a training leaves of a model, each by horizon in minutes."""

    heads: Mapping[int, Heads]
    calibration: Mapping[int, Floats]
    """Offsets (levels,) added to the quantile heads'."""
    rolling: Mapping[int, Offsets]
    """What the rolling calibration has learnt by the end of the training."""
    har: Mapping[int, Har]
    """The baseline that the model was judged beside, for the record of its life."""


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
            _require_format(path, description)
            heads = {horizon: _heads(files, description, horizon) for horizon in description["horizons"]}
            model = cls(description, heads)
            model._check(path)
        except ModelError:
            raise
        except UNREADABLE as error:
            raise ModelError(f"{path} is no model artefact: {type(error).__name__}: {error}") from error
        return model

    @property
    def version(self) -> str:
        return str(self.description["model_version"])

    @property
    def horizons(self) -> tuple[int, ...]:
        return tuple(self.heads)

    def predict(self, rows: npt.NDArray[np.float32]) -> dict[int, Floats]:
        """Quantiles (n, levels) of the scaled return by horizon, calibrated, never crossing; features (n, f) in."""
        return {horizon: self.quantiles(horizon, rows) for horizon in self.heads}

    def quantiles(self, horizon: int, rows: npt.NDArray[np.float32]) -> Floats:
        """`predict` for one horizon."""
        standardised, spread = predicted(self.heads[horizon], rows)
        return np.asarray(np.sort(standardised + self._offsets[horizon], axis=1) * spread)

    @property
    def trained_until(self) -> int:
        """The close (µs) of the last minute that was learnt from; what came of the forecasts made by then is learnt too
        as far as it was known."""
        return parse_iso(str(self.description["trained_until"]))

    def offsets(self) -> dict[int, Offsets]:
        """What `predict` is off by, as rolling calibration had learnt by `trained_until`, by horizon; copies."""
        rolling = self.description["rolling"]
        return {
            horizon: Offsets(np.array(rolling["edges"]), np.array(rolling["values"][str(horizon)], dtype=np.float64))
            for horizon in self.heads
        }

    @cached_property
    def har(self) -> dict[int, Har]:
        """The baseline that it was judged beside, by horizon."""
        return {horizon: Har.from_dict(self.description["har"][str(horizon)]) for horizon in self.heads}

    def verify(self) -> None:
        """Recomputes the sample rows; raises ModelError naming the largest difference beyond tolerance."""
        try:
            rows = np.array(self.description["samples"]["rows"], dtype=np.float32)
            known = {
                horizon: np.array(self.description["samples"]["quantiles"][str(horizon)]) for horizon in self.heads
            }
        except UNREADABLE as error:
            raise ModelError(f"{self.version} has no sample rows to prove it by: {error!r}") from error
        if rows.ndim != 2 or not len(rows):
            raise ModelError(f"{self.version} has sample rows of the shape {rows.shape}")
        for horizon, values in self.predict(rows).items():
            expected = known[horizon]
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
            "features": (tuple(self.description.get("features", ())), features.NAMES),
            "levels": (tuple(self.description.get("levels", ())), LEVELS),
        }
        for name, (found, needed) in told.items():
            if found != needed:
                raise ModelError(f"{path} was made with other {name}: {found}; this code has {needed}: train anew")
        sizes = {len(offsets) for offsets in self._offsets.values()}
        if sizes != {len(LEVELS)}:
            raise ModelError(f"{path}: calibration has {sizes} values a horizon, not {len(LEVELS)}")
        _ = self.har  # raises where one is missing or misshapen
        shapes = {offsets.values.shape for offsets in self.offsets().values()}
        if shapes != {(REGIMES, len(LEVELS))}:
            raise ModelError(f"{path}: rolling calibration has the shapes {shapes}, not {(REGIMES, len(LEVELS))}")
        if not self.version.endswith(_identity(self.description, self.description["trained_until"])):
            raise ModelError(f"{path}: {DESCRIPTION} is not what {self.version} was written with: fetch it again")


def _require_format(path: Path, description: Mapping[str, Any]) -> None:
    """Before anything else of it is read: each format has other parts."""
    if (found := description.get("format")) != FORMAT:
        raise ModelError(f"{path} is of the format {found}; this code reads {FORMAT}: train anew, or deploy the other")


def write(folder: Path, taught: Taught, samples: npt.NDArray[np.float32], about: Mapping[str, Any]) -> Model:
    """The artefact's files in `folder`, as `Model.open` reads them; returns the model it then is.

    `samples` (n, features) are rows to prove it by later; `about` goes into the description and must tell
    `trained_until` (ISO date or time): the version is that date and a hash of all that predicts.
    """
    heads = taught.heads
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        name: bytes(booster.save_raw("ubj"))
        for horizon, boosters in heads.items()
        for name, booster in zip(_names(horizon), (boosters.spread, boosters.quantiles), strict=True)
    }
    files |= {
        _net(horizon, number): _bytes(net) for horizon, head in heads.items() for number, net in enumerate(head.nets)
    }
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    predicting = {
        "features": list(features.NAMES),
        "horizons": list(heads),
        "levels": list(LEVELS),
        "lines": {str(horizon): head.line.to_dict() for horizon, head in heads.items()},
        "shapes": {str(horizon): head.shape.tolist() for horizon, head in heads.items()},
        "modes": {str(horizon): head.modes.tolist() for horizon, head in heads.items()},
        "nets": {str(horizon): len(head.nets) for horizon, head in heads.items()},
        "weights": {str(horizon): head.weight for horizon, head in heads.items()},
        "calibration": {str(horizon): np.asarray(each).tolist() for horizon, each in taught.calibration.items()},
        "rolling": {
            "edges": next(iter(taught.rolling.values())).edges.tolist(),
            "values": {str(horizon): each.values.tolist() for horizon, each in taught.rolling.items()},
        },
        "har": {str(horizon): each.to_dict() for horizon, each in taught.har.items()},
        "sha256": hashes,
    }
    description = {
        "format": FORMAT,
        "model_version": f"{str(about['trained_until'])[:10]}-{_identity(predicting, about['trained_until'])}",
        **predicting,
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


def _identity(description: Mapping[str, Any], trained_until: Any) -> str:
    """A hash of all that predicts; from when on the rolling calibration follows the bars is a part of it."""
    predicting = {name: description[name] for name in _PREDICTING}
    told = json.dumps({**predicting, "since": str(trained_until)}, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:8]


def _names(horizon: int) -> tuple[str, str]:
    return f"spread_{horizon}.ubj", f"quantiles_{horizon}.ubj"


def _net(horizon: int, number: int) -> str:
    return f"net_{horizon}_{number}.npz"


def _heads(files: Mapping[str, bytes], description: Mapping[str, Any], horizon: int) -> Heads:
    size, quantiles = (_booster(files, name, description["sha256"]) for name in _names(horizon))
    line = Line.from_dict(description["lines"][str(horizon)])
    shape, modes = (np.array(description[name][str(horizon)], dtype=np.float64) for name in ("shapes", "modes"))
    names = (_net(horizon, number) for number in range(description["nets"][str(horizon)]))
    nets = tuple(_network(_proven(files, name, description["sha256"])) for name in names)
    return Heads(size, quantiles, line, shape, modes, nets, float(description["weights"][str(horizon)]))


def _booster(files: Mapping[str, bytes], name: str, hashes: Mapping[str, str]) -> xgb.Booster:
    return xgb.Booster(params={"nthread": 1}, model_file=bytearray(_proven(files, name, hashes)))


def _network(data: bytes) -> Net:
    with np.load(io.BytesIO(data), allow_pickle=False) as parts:
        return Net.of_arrays(dict(parts))


def _proven(files: Mapping[str, bytes], name: str, hashes: Mapping[str, str]) -> bytes:
    if hashlib.sha256(files[name]).hexdigest() != hashes[name]:
        raise ValueError(f"{name} is not the file that was written: fetch the artefact again")
    return files[name]


def _bytes(net: Net) -> bytes:
    written = io.BytesIO()
    np.savez(written, **net.arrays())  # type: ignore[arg-type]  # its stub takes the names for its own options
    return written.getvalue()


def _folder(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir() if file.suffix in {".json", ".ubj", ".npz"}}


def unpacked(path: Path) -> dict[str, bytes]:
    """The files of a tar.gz by name, in memory: the whole archive's checksum is proven, and no name is written to."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(path.read_bytes()))) as archive:
        readers = {Path(entry.name).name: archive.extractfile(entry) for entry in archive if entry.isfile()}
        return {name: reader.read() for name, reader in readers.items() if reader}
