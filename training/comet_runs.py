"""Runs that Comet keeps, in a workspace or in archives to upload later.

Comet has no nested runs and lets a process have one at a time: a run is written when it ends, and those of trials name
that of their training.
"""

import logging
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import comet_ml
from comet_ml.exceptions import CometException

from training.tracking import TrackingError

PROJECT: Final = "predict-bitcoin-price"


class CometError(TrackingError):
    """Comet did not take a run; the message says what it answered, without the key."""


class CometRun:
    """A run that is gathered, and written when it ends."""

    def __init__(self, name: str, *, key: str | None, folder: Path | None, parent: str | None = None) -> None:
        self._name, self._key, self._folder, self._parent = name, key, folder, parent
        self._params: dict[str, object] = {}
        self._points: list[tuple[str, float, int | None]] = []
        self._files: list[Path] = []
        self.id: str = uuid.uuid4().hex

    @classmethod
    def online(cls, key: str, name: str) -> "CometRun":
        return cls(name, key=key, folder=None)

    @classmethod
    def offline(cls, folder: Path, name: str) -> "CometRun":
        """A run that becomes `id`.zip in the folder: `comet upload` takes it."""
        return cls(name, key=None, folder=folder)

    def child(self, name: str) -> "CometRun":
        return CometRun(name, key=self._key, folder=self._folder, parent=self.id)

    def params(self, values: Mapping[str, object]) -> None:
        self._params |= values

    def metrics(self, values: Mapping[str, float]) -> None:
        self._points += [(name, float(value), None) for name, value in values.items()]

    def curve(self, name: str, points: Mapping[int, float]) -> None:
        self._points += [(name, float(value), step) for step, value in points.items()]

    def artefact(self, path: Path) -> None:
        self._files.append(path)

    def end(self, *, failed: bool) -> None:
        """Writes the run; raises CometError."""
        try:
            experiment = self._experiment()
            experiment.set_name(self._name)
            experiment.add_tag("failed" if failed else "finished")
            experiment.log_other("training", self._parent or self.id)
            experiment.log_parameters(self._params)
            # Comet lets a metric without a step stand at the last one told: those come first.
            for name, value, step in sorted(self._points, key=lambda point: point[2] is not None):
                experiment.log_metric(name, value, step=step)
            for file in self._files:
                _log_file(experiment, file)
            experiment.end()
        except (CometException, OSError, ValueError, TypeError) as error:
            # Comet's own words may hold the key, which no log may.
            told = str(error).replace(self._key, "…") if self._key else str(error)
            raise CometError(f"{type(error).__name__}: {told}") from None

    def _experiment(self) -> Any:
        logging.getLogger("comet_ml").setLevel(logging.CRITICAL)  # its words may hold the key; what fails is raised
        folder = None if self._folder is None else str(self._folder)
        experiment = comet_ml.start(
            api_key=self._key,
            project_name=PROJECT,
            experiment_key=self.id,
            mode="create",
            online=self._folder is None,
            experiment_config=comet_ml.ExperimentConfig(
                offline_directory=folder,
                parse_args=False,
                display_summary_level=0,
                # Nothing leaves the machine but what a run is told.
                auto_output_logging="",
                auto_param_logging=False,
                auto_metric_logging=False,
                auto_log_co2=False,
                log_code=False,
                log_graph=False,
                log_git_metadata=False,
                log_git_patch=False,
                log_env_details=False,
                log_env_gpu=False,
                log_env_host=False,
                log_env_cpu=False,
                log_env_network=False,
                log_env_disk=False,
            ),
        )
        if not experiment.alive:
            raise CometError("Comet refused the run: is its key right, and is it reachable from here?")
        return experiment


def _log_file(experiment: Any, file: Path) -> None:
    if file.suffix == ".png":
        experiment.log_image(str(file), name=file.name)
    else:
        experiment.log_asset(str(file), file_name=file.name)
