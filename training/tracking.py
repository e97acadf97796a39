"""Where trainings are kept to be compared: MLflow, Comet, both or none, behind one small protocol.

The environment names them, and nothing else does:

    MLFLOW_TRACKING_URI      a database (sqlite:///build/mlflow.db), a server, or the ARN of an MLflow app
    COMET_API_KEY            a key of Comet's, or
    COMET_API_KEY_SECRET     the secret of AWS Secrets Manager that holds it, or
    COMET_OFFLINE_DIRECTORY  a folder for archives to upload later, which needs no key
    TRACKING_INSTALL         where not empty, pip may add a tracker's client that is missing

A tracker is an onlooker: whatever befalls it is said once, and the training goes on without it.
"""

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from optuna.trial import FrozenTrial

from training.insights import Story

CLIENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "mlflow": ("mlflow-skinny>=3.8,<4", "sagemaker-mlflow>=0.5"),
    "comet_ml": ("comet-ml>=3.50,<4",),
}
"""What pip is told to add, by the module that is missing: clients, without the servers they talk to."""

OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "mlflow": {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    },
    "comet_ml": {
        "COMET_TIMEOUT_CLEANING": "60",
        "COMET_TIMEOUT_UPLOAD": "60",
        "COMET_INTERNAL_SENTRY_DSN": "",
        "COMET_DISABLE_AUTO_LOGGING": "1",
    },
}
"""What the clients read from the process's environment alone, where nothing else is told: a server that is away costs a
minute at the most, and nobody is told of what they do but the server."""

_INSTALL_S: Final = 180
_T = TypeVar("_T")


class TrackingError(RuntimeError):
    """A tracker cannot be used; the message says why and what to do."""


_LOSSES: Final = (TrackingError, OSError, ImportError, subprocess.SubprocessError, BotoCoreError, ClientError)
"""What a tracker may be lost by: its own refusal, the network's or the disk's, pip's, or its secret's."""


class Run(Protocol):
    """One training, or one of its trials, as one tracker keeps it."""

    def child(self, name: str) -> "Run": ...

    def params(self, values: Mapping[str, object]) -> None: ...

    def metrics(self, values: Mapping[str, float]) -> None: ...

    def curve(self, name: str, points: Mapping[int, float]) -> None:
        """A metric's values by step."""

    def artefact(self, path: Path) -> None: ...

    def end(self, *, failed: bool) -> None: ...


class Watched:
    """A run as every tracker that still works keeps it; as a context it has failed where an error leaves it."""

    def __init__(self, runs: Mapping[str, Run], say: Callable[[str], None], lost: set[str] | None = None) -> None:
        self.trials: list[FrozenTrial] = []
        """Those that `trial` was shown."""
        self._runs, self._say = runs, say
        self._lost = set() if lost is None else lost
        self._one = threading.Lock()

    @classmethod
    def begun(cls, openers: Mapping[str, Callable[[], Run]], say: Callable[[str], None]) -> Self:
        """A run with each tracker that can be opened."""
        none = cls({}, say)
        return cls(none._each(openers, lambda opener: opener()), say, none._lost)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._each(self._runs, lambda run: run.end(failed=kind is not None))

    def child(self, name: str) -> "Watched":
        return Watched(self._each(self._runs, lambda run: run.child(name)), self._say, self._lost)

    def params(self, values: Mapping[str, object]) -> None:
        self._each(self._runs, lambda run: run.params(values))

    def metrics(self, values: Mapping[str, float]) -> None:
        self._each(self._runs, lambda run: run.metrics(values))

    def curve(self, name: str, points: Mapping[int, float]) -> None:
        self._each(self._runs, lambda run: run.curve(name, points))

    def artefact(self, path: Path) -> None:
        self._each(self._runs, lambda run: run.artefact(path))

    def trial(self, trial: FrozenTrial) -> None:
        """Keeps a finished trial as a child: what it tried, how its mean skill went, and how it ended.

        May be called by several threads.
        """
        with self._one:
            self.trials.append(trial)
            with self.child(f"trial {trial.number + 1}") as run:
                run.params({**trial.params, "state": trial.state.name.lower()})
                run.curve("skill_so_far", trial.intermediate_values)
                if trial.values:
                    run.metrics({"skill": trial.values[0]})

    def story(self, story: Story, files: Sequence[Path]) -> None:
        """Keeps what a training came to, and the files that tell it."""
        self.params(_params(story))
        self.metrics(_metrics(story))
        for head, by_horizon in story.curves.items():
            for horizon, curve in by_horizon.items():
                self.curve(f"loss_{horizon}_{head}", dict(zip(curve.rounds, curve.losses, strict=True)))
        for file in files:
            self.artefact(file)

    def _each(self, each: Mapping[str, _T], act: Callable[[_T], Any]) -> dict[str, Any]:
        """What came of each tracker's; one that fails is lost to this run and to its family."""
        done = {}
        for tracker, value in each.items():
            if tracker in self._lost:
                continue
            try:
                done[tracker] = act(value)
            except _LOSSES as error:
                self._lost.add(tracker)
                self._say(f"goes on without {tracker}: {type(error).__name__}: {error}")
        return done


def begun(environment: Mapping[str, str], name: str, say: Callable[[str], None]) -> Watched:
    """The run `name` in the trackers that the environment names."""
    openers: dict[str, Callable[[], Run]] = {}
    if uri := environment.get("MLFLOW_TRACKING_URI"):
        openers["MLflow"] = lambda: _mlflow(uri, environment, name)
    if any(environment.get(each) for each in ("COMET_API_KEY", "COMET_API_KEY_SECRET", "COMET_OFFLINE_DIRECTORY")):
        openers["Comet"] = lambda: _comet(environment, name)
    return Watched.begun(openers, say)


def _mlflow(uri: str, environment: Mapping[str, str], name: str) -> Run:
    _provide("mlflow", environment)
    from training.mlflow_runs import MlflowRun  # noqa: PLC0415 - only where it is configured is it installed

    return MlflowRun.begun(uri, name)


def _comet(environment: Mapping[str, str], name: str) -> Run:
    _provide("comet_ml", environment)
    from training.comet_runs import CometRun  # noqa: PLC0415 - only where it is configured is it installed

    if key := environment.get("COMET_API_KEY"):
        return CometRun.online(key, name)
    if secret := environment.get("COMET_API_KEY_SECRET"):
        from btc.aws import clients  # noqa: PLC0415 - a key that is told needs no AWS

        return CometRun.online(clients.secrets().get_secret_value(SecretId=secret)["SecretString"], name)
    return CometRun.offline(Path(environment["COMET_OFFLINE_DIRECTORY"]), name)


def _provide(module: str, environment: Mapping[str, str]) -> None:
    """Installs a tracker's client where it is missing and may be; raises TrackingError where it then still is."""
    for option, value in OPTIONS[module].items():
        os.environ.setdefault(option, value)
    if importlib.util.find_spec(module):
        return
    wanted = CLIENTS[module]
    if not environment.get("TRACKING_INSTALL"):
        raise TrackingError(f"{module} is not installed: pip install {' '.join(wanted)}")
    command = [sys.executable, "-P", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_S)
    importlib.invalidate_caches()
    if done.returncode or not importlib.util.find_spec(module):
        raise TrackingError(f"pip could not install {' '.join(wanted)}: {done.stderr.strip()[-500:]}")


def _params(story: Story) -> dict[str, object]:
    about = story.about
    edges = ("first", "until", "rows")
    windows = {f"{each.use}_{edge}": getattr(each, edge) for each in story.windows for edge in edges}
    named = {name: about[name] for name in ("model_version", "dataset", "code") if name in about}
    rounds = {
        f"{name}_{horizon}": number
        for name in ("rounds", "spread_rounds")
        for horizon, number in about.get(name, {}).items()
    }
    return {**named, **about["params"], **rounds, **windows}


def _metrics(story: Story) -> dict[str, float]:
    told: dict[str, float] = {}
    for horizon, measured in story.metrics.items():
        plain = {name: value for name, value in measured.items() if isinstance(value, int | float)}
        told |= {f"{name}_{horizon}": float(value) for name, value in plain.items()}
        told |= {f"skill_{name}_{horizon}": each["crps_skill"] for name, each in measured["against"].items()}
    return told
