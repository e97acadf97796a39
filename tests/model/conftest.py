"""One small training run, made once and read by every test of this suite; and the program as a job is given it."""

import io
import tarfile
from pathlib import Path
from typing import NamedTuple

import pytest

from btc.models import Model
from tests.model.walks import save, walk
from training import train

ROOT = Path(__file__).parents[2]


class Run(NamedTuple):
    bars: Path
    model_dir: Path
    output_dir: Path
    archive: Path
    model: Model


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("training")
    bars, archive = folder / "bars.parquet", folder / "model.tar.gz"
    save(walk(8_600, seed=11, unknown=0.01), str(bars))
    told = {
        "--bars": bars,
        "--model-dir": folder / "model",
        "--output-dir": folder / "output",
        "--checkpoints": folder / "checkpoints",
        "--archive": archive,
        "--trials": 1,
        "--test-days": 0.7,
        "--threads": 1,
    }
    model = train.main([str(word) for pair in told.items() for word in pair])
    return Run(bars, folder / "model", folder / "output", archive, model)


@pytest.fixture(scope="session")
def bundle() -> bytes:
    """The source bundle as training/train.py's docstring lays it out."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(ROOT / "training/train.py", "train.py")
        tar.add(ROOT / "training/requirements.txt", "requirements.txt")
        for folder, name in ((ROOT / "training", "training"), (ROOT / "layers/common/python/btc", "btc")):
            for file in sorted(folder.rglob("*.py")):
                tar.add(file, f"{name}/{file.relative_to(folder)}")
    return buffer.getvalue()
