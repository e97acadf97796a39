"""One small training run, made once and read by every test of this suite; and the program as a job is given it."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from btc.models import Model
from local.streams import Emulator
from tests.local.delivering import emulator_process
from tests.model.walks import save, walk
from training import dataset, growth, insights, networks, publish, split, train
from training.dataset import Dataset
from training.insights import Story
from training.losses import Losses
from training.split import Split

ROOT = Path(__file__).parents[2]
TEST_DAYS = 1.5
PATIENCE, ETA = 8, 0.08
HIDDEN, LEAST_STEPS = (64, 32), 1_000
"""In the place of those of `growth` and `networks`: a few trees and a small network tell as much where nothing is told
of their number."""


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps a file's tests on one worker, and on another all that read the run: what they share is made once."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            shared = "the run" if "run" in item.fixturenames else f"model {item.path.stem}"
            item.add_marker(pytest.mark.xdist_group(shared))


class Run(NamedTuple):
    bars: Path
    model_dir: Path
    output_dir: Path
    archive: Path
    tracked: Path
    model: Model


@pytest.fixture(scope="session", autouse=True)
def hasty() -> Iterator[None]:
    """Boosters grow in larger steps, and stop sooner; networks are narrow and learn from larger batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growth, "PATIENCE", PATIENCE)
        patch.setattr(growth, "ETA", ETA)
        patch.setattr(networks, "LEAST_STEPS", LEAST_STEPS)
        patch.setattr(networks, "TRUNKS", tuple(trunk._replace(hidden=HIDDEN) for trunk in networks.TRUNKS))
        yield


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("training")
    bars, archive = folder / "bars.parquet", folder / "model.tar.gz"
    save(walk(9_800, seed=11, unknown=0.01), str(bars))
    told = {
        "--bars": bars,
        "--model-dir": folder / "model",
        "--output-dir": folder / "output",
        "--checkpoints": folder / "checkpoints",
        "--archive": archive,
        "--trials": 1,
        "--test-days": TEST_DAYS,
        "--threads": 1,
    }
    tracked = folder / "tracked"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tracked}/mlflow.db")
        patch.setenv("COMET_OFFLINE_DIRECTORY", str(tracked / "comet"))
        model = train.main([str(word) for pair in told.items() for word in pair])
    return Run(bars, folder / "model", folder / "output", archive, tracked, model)


@pytest.fixture(scope="session")
def data(run: Run) -> Dataset:
    return dataset.load(run.bars)


@pytest.fixture(scope="session")
def parts(data: Dataset) -> Split:
    return split.split(data, split.newest(data, TEST_DAYS))


@pytest.fixture(scope="session")
def story(run: Run, data: Dataset, parts: Split) -> Story:
    """What the run told its report and its trackers, gathered again from what it left."""
    evidence = publish.read_evidence(run.model_dir)
    losses = Losses(evidence.rows, evidence.losses)
    return insights.story(
        data, parts, run.model, metrics=run.model.description["metrics"], losses=losses, trials=(), seed=7
    )


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with emulator_process(tmp_path_factory.mktemp("emulator")) as emulator:
        emulator.client("s3").create_bucket(Bucket="models")
        emulator.client("sagemaker").create_model_package_group(ModelPackageGroupName="bitcoin")
        emulator.client("dynamodb").create_table(
            TableName="state",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
        )
        yield emulator


@pytest.fixture(scope="session")
def bundle() -> bytes:
    """The source bundle as training/train.py's docstring lays it out, in haste as all here."""
    in_haste = {
        "training/growth.py": f"{PATIENCE = }; {ETA = }",
        "training/networks.py": f"{LEAST_STEPS = }; TRUNKS = tuple(each._replace(hidden={HIDDEN}) for each in TRUNKS)",
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(ROOT / "training/train.py", "train.py")
        tar.add(ROOT / "training/requirements.txt", "requirements.txt")
        for folder, name in ((ROOT / "training", "training"), (ROOT / "layers/common/python/btc", "btc")):
            for file in sorted(folder.rglob("*.py")):
                entry = tarfile.TarInfo(f"{name}/{file.relative_to(folder)}")
                source = f"{file.read_text()}\n{in_haste.get(entry.name, '')}".encode()
                entry.size = len(source)
                tar.addfile(entry, io.BytesIO(source))
    return buffer.getvalue()
