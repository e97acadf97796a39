"""Runs that MLflow keeps: a training is a run, its trials are runs nested in it."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final, Self, TypeVar

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from training.tracking import TrackingError

EXPERIMENT: Final = "predict-bitcoin-price"

_MOST_PARAMS: Final = 100
_MOST_METRICS: Final = 1000
_LONGEST: Final = 6000
"""What one call of MLflow's API takes, and one parameter holds."""
_T = TypeVar("_T")


@contextmanager
def _named() -> Iterator[None]:
    """What MLflow and the network to it raise, as a TrackingError."""
    try:
        yield
    except (MlflowException, OSError) as error:
        raise TrackingError(f"{type(error).__name__}: {error}") from error


class MlflowRun:
    """A run, by its id: no run is MLflow's active one, so that threads may write to several. Raises TrackingError."""

    def __init__(self, client: MlflowClient, experiment: str, name: str, tags: Mapping[str, str] | None = None) -> None:
        self._client, self._experiment = client, experiment
        self.id: str = client.create_run(experiment, run_name=name, tags=dict(tags or {})).info.run_id

    @classmethod
    @_named()
    def begun(cls, uri: str, name: str) -> Self:
        """A training's run; the experiment is made with the first. A database's artefacts lie beside it."""
        for chatty in ("mlflow", "alembic"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        place = None
        if uri.startswith("sqlite:///"):
            database = Path(uri.removeprefix("sqlite:///")).absolute()
            database.parent.mkdir(parents=True, exist_ok=True)
            place = (database.parent / "mlruns").as_uri()
        if uri.startswith("arn:"):
            mlflow.set_tracking_uri(uri)  # the plugin that signs requests asks for no client's, but for the process's
        client = MlflowClient(tracking_uri=uri)
        known = client.get_experiment_by_name(EXPERIMENT)
        experiment = known.experiment_id if known else client.create_experiment(EXPERIMENT, artifact_location=place)
        return cls(client, experiment, name)

    @_named()
    def child(self, name: str) -> "MlflowRun":
        return MlflowRun(self._client, self._experiment, name, {MLFLOW_PARENT_RUN_ID: self.id})

    @_named()
    def params(self, values: Mapping[str, object]) -> None:
        told = [Param(name, str(value)[:_LONGEST]) for name, value in values.items()]
        for some in _batches(told, _MOST_PARAMS):
            self._client.log_batch(self.id, params=some)

    def metrics(self, values: Mapping[str, float]) -> None:
        self._log([Metric(name, float(value), _now(), 0) for name, value in values.items()])

    def curve(self, name: str, points: Mapping[int, float]) -> None:
        self._log([Metric(name, float(value), _now(), step) for step, value in points.items()])

    @_named()
    def artefact(self, path: Path) -> None:
        self._client.log_artifact(self.id, str(path))

    @_named()
    def end(self, *, failed: bool) -> None:
        self._client.set_terminated(self.id, "FAILED" if failed else "FINISHED")

    @_named()
    def _log(self, told: Sequence[Metric]) -> None:
        for some in _batches(told, _MOST_METRICS):
            self._client.log_batch(self.id, metrics=some)


def _batches(values: Sequence[_T], most: int) -> Iterator[list[_T]]:
    rest = iter(values)
    while some := list(islice(rest, most)):
        yield some


def _now() -> int:
    return time.time_ns() // 1_000_000
