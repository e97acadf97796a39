"""What a training run leaves: the artefact's files, with the evidence the gate weighs, and metrics to read."""

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

import btc
from btc import models
from btc.minutes import Floats, Ints
from btc.models import Model, ModelError, Taught
from btc.times import MINUTE, iso
from training.losses import Losses

if TYPE_CHECKING:
    from training.dataset import Dataset
    from training.split import Split
    from training.tune import Tuned

EVIDENCE: Final = "evidence.npz"
SAMPLES: Final = 5


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the candidate and the baselines lost on the test rows."""

    rows: Ints
    """Minutes since the epoch (n,)."""
    losses: Mapping[int, Mapping[str, Floats]]


def description(data: "Dataset", parts: "Split", tuned: "Tuned") -> dict[str, Any]:
    """What a model tells of how it came to be (JSON-able); `metrics` are to be filled in."""
    start = data.minutes.start
    return {
        "trained_from": iso(int(start[parts.fit[0]])),
        "trained_until": iso(int(start[parts.calibrate[-1]]) + MINUTE),
        "tested_from": iso(int(start[parts.test[0]])),
        "tested_until": iso(int(start[parts.test[-1]]) + MINUTE),
        "dataset": data.digest,
        "code": _code_version(),
        "rows": {name: len(getattr(parts, name)) for name in ("fit", "validate", "calibrate", "test")},
        "params": dict(tuned.params),
        "rounds": {str(horizon): rounds for horizon, rounds in tuned.rounds.items()},
        "spread_rounds": {str(horizon): rounds for horizon, rounds in tuned.spread_rounds.items()},
        "validation_skill": tuned.skill,
        "trials": tuned.trials,
        "repairs": list(data.repairs),
        "metrics": {},
    }


def write_model(folder: Path, taught: Taught, rows: npt.NDArray[np.float32], about: Mapping[str, Any]) -> Model:
    """The artefact in `folder`, with a few of the rows (n, features), far apart, to prove it by."""
    samples = rows[np.linspace(0, len(rows) - 1, SAMPLES).astype(np.int64)]
    return models.write(folder, taught, samples, about)


def write_evidence(folder: Path, losses: Losses) -> None:
    columns: dict[str, npt.NDArray[Any]] = {"rows": losses.rows}
    for horizon, lost in losses.by_horizon.items():
        columns |= {f"losses/{horizon}/{name}": values.astype(np.float32) for name, values in lost.items()}
    with (folder / EVIDENCE).open("wb") as file:
        np.savez_compressed(file, **columns)  # type: ignore[arg-type]  # its stub takes a column for a flag


def read_evidence(path: Path) -> Evidence:
    """The evidence in an artefact's folder or model.tar.gz; raises ModelError where there is none or it is damaged."""
    try:
        data = (path / EVIDENCE).read_bytes() if path.is_dir() else models.unpacked(path)[EVIDENCE]
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            columns = {name: file[name] for name in file.files}
    except (*models.UNREADABLE, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} holds no whole {EVIDENCE}: {error}") from error
    losses: dict[int, dict[str, Floats]] = {}
    for name, values in columns.items():
        if name.startswith("losses/"):
            _, horizon, forecaster = name.split("/")
            losses.setdefault(int(horizon), {})[forecaster] = values.astype(np.float64)
    return Evidence(columns["rows"], losses)


def archive(folder: Path, target: Path) -> None:
    """The folder's files as model.tar.gz, as SageMaker packs SM_MODEL_DIR: for runs that are not SageMaker's."""
    with tarfile.open(target, "w:gz") as tar:
        for file in sorted(folder.iterdir()):
            if file != target:
                tar.add(file, arcname=file.name)


def write_metrics(folder: Path, model: Model) -> None:
    """metrics.json: the description without the sample rows."""
    folder.mkdir(parents=True, exist_ok=True)
    readable = {name: value for name, value in model.description.items() if name != "samples"}
    (folder / "metrics.json").write_text(json.dumps(readable, indent=1) + "\n")


def _code_version() -> str:
    """A hash of the program's own source files: the artefact tells which code made it."""
    digest = hashlib.sha256()
    for package in (Path(btc.__file__).parent, Path(__file__).parent):
        for file in sorted(package.glob("*.py")):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]
