"""Trainings as MLflow and Comet keep them, read back from a real database and real archives."""

import json
import sys
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import boto3
import mlflow
import pytest
from mlflow import MlflowClient
from moto import mock_aws

from btc.aws import clients
from training import figures, report, tracking
from training.mlflow_runs import EXPERIMENT


def kept(database):
    """The client of a database, the training's run and its trials', in the order they began."""
    client = MlflowClient(tracking_uri=f"sqlite:///{database}")
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = sorted(client.search_runs([experiment.experiment_id]), key=lambda each: each.info.start_time)
    [training] = [each for each in runs if "mlflow.parentRunId" not in each.data.tags]
    trials = [each for each in runs if each.data.tags.get("mlflow.parentRunId") == training.info.run_id]
    assert len(trials) == len(runs) - 1
    return client, training, trials


def archives(folder):
    """What Comet's archives hold, by run: the messages by type, and the files' contents."""
    found = {}
    for archive in Path(folder).glob("*.zip"):
        with zipfile.ZipFile(archive) as opened:
            told = [json.loads(line) for line in opened.read("messages.json").splitlines()]
            files = [opened.read(name) for name in opened.namelist() if not name.endswith(".json")]
        payloads = [(each["type"], each["payload"]) for each in told]
        found[archive.stem] = {
            "others": {told["key"]: told["value"] for kind, told in payloads if kind == "log_other"},
            "params": {
                told["param"]["paramName"]: told["param"]["paramValue"]
                for kind, told in payloads
                if kind == "parameter_msg"
            },
            "metrics": [
                (told["metric"]["metricName"], told["metric"]["step"], told["metric"]["metricValue"])
                for kind, told in payloads
                if kind == "metric_msg"
            ],
            "files": files,
        }
    return found


def test_mlflow_keeps_a_training_with_its_trials_nested_in_it(run):
    _, training, trials = kept(run.tracked / "mlflow.db")
    about = run.model.description

    assert training.info.status == "FINISHED"
    assert training.data.params["model_version"] == run.model.version
    assert training.data.params["dataset"] == about["dataset"]
    for name, value in about["params"].items():
        assert float(training.data.params[name]) == value
    assert [each.info.run_name for each in trials] == ["trial 1"]
    assert trials[0].data.params["state"] == "complete"
    assert trials[0].data.metrics["skill"] == pytest.approx(about["validation_skill"])


def test_mlflow_keeps_the_metrics_and_the_learning_curves_by_round(run, story):
    client, training, trials = kept(run.tracked / "mlflow.db")

    for horizon, measured in story.metrics.items():
        assert training.data.metrics[f"crps_skill_{horizon}"] == pytest.approx(measured["crps_skill"])
        assert training.data.metrics[f"coverage_90_wild_{horizon}"] == pytest.approx(measured["coverage_90_wild"])
        assert training.data.metrics[f"skill_har_{horizon}"] == pytest.approx(measured["against"]["har"]["crps_skill"])
    curve = story.curves["spread"][5]
    history = client.get_metric_history(training.info.run_id, "loss_5_spread")
    assert {each.step: each.value for each in history} == pytest.approx(
        dict(zip(curve.rounds, curve.losses, strict=True))
    )
    so_far = client.get_metric_history(trials[0].info.run_id, "skill_so_far")
    assert [each.step for each in sorted(so_far, key=lambda each: each.step)] == [1, 2, 3, 4]


def test_mlflow_keeps_the_report_and_its_pictures(run, tmp_path):
    client, training, _ = kept(run.tracked / "mlflow.db")
    names = {each.path for each in client.list_artifacts(training.info.run_id)}

    assert names == {report.NAME, *(f"{name}.png" for name in figures.ALL)}
    for name, original in ((report.NAME, report.NAME), ("skill.png", "figures/skill.png")):
        fetched = Path(client.download_artifacts(training.info.run_id, name, str(tmp_path)))
        assert fetched.read_bytes() == (run.output_dir / original).read_bytes()


def test_comets_archives_hold_the_same(run):
    found = archives(run.tracked / "comet")
    [training] = [name for name, told in found.items() if told["others"]["training"] == name]
    [trial] = [told for name, told in found.items() if name != training]
    kept_of = found[training]

    assert trial["others"] == {**trial["others"], "training": training, "Name": "trial 1"}
    assert trial["params"]["state"] == "complete"
    assert [step for name, step, _ in trial["metrics"] if name == "skill_so_far"] == [1, 2, 3, 4]
    assert kept_of["params"]["model_version"] == run.model.version
    assert ("crps_skill_5", pytest.approx(run.model.description["metrics"]["5"]["crps_skill"])) in [
        (name, value) for name, _, value in kept_of["metrics"]
    ]
    assert (run.output_dir / report.NAME).read_bytes() in kept_of["files"]
    assert (run.output_dir / "figures/skill.png").read_bytes() in kept_of["files"]


def test_nothing_is_kept_where_nothing_is_configured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    with tracking.begun({}, "a run", said.append) as run:
        run.metrics({"skill": 0.1})

    assert not said
    assert not list(tmp_path.iterdir())


def test_an_error_that_ends_the_training_ends_its_run_as_failed(tmp_path):
    told = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    with pytest.raises(ZeroDivisionError), tracking.begun(told, "a run", print):
        raise ZeroDivisionError

    assert kept(tmp_path / "mlflow.db")[1].info.status == "FAILED"


def test_a_tracker_that_breaks_is_said_once_and_the_others_go_on(tmp_path):
    database, said = tmp_path / "mlflow.db", []
    told = {"MLFLOW_TRACKING_URI": f"sqlite:///{database}", "COMET_OFFLINE_DIRECTORY": str(tmp_path / "comet")}
    with tracking.begun(told, "a run", said.append) as run:
        database.write_bytes(b"no database any more")
        run.params({"eta": 0.1})
        run.metrics({"skill": 0.1})
        with run.child("trial 1") as trial:
            trial.metrics({"skill": 0.1})

    assert [line.partition(":")[0] for line in said] == ["goes on without MLflow"]
    assert "not a database" in said[0]
    assert len(archives(tmp_path / "comet")) == 2


@pytest.mark.parametrize(
    "uri", ["sqlite:////proc/nowhere/mlflow.db", "http://127.0.0.1:9"], ids=["no folder", "no server"]
)
def test_a_tracker_that_cannot_be_reached_is_said_once(uri):
    said = []
    with tracking.begun({"MLFLOW_TRACKING_URI": uri}, "a run", said.append) as run:
        run.metrics({"skill": 0.1})

    assert [line.partition(":")[0] for line in said] == ["goes on without MLflow"]


def test_a_tracker_that_is_not_installed_is_said_with_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "comet_ml", None)  # as Python marks what cannot be imported
    said = []
    with tracking.begun({"COMET_OFFLINE_DIRECTORY": str(tmp_path)}, "a run", said.append):
        pass

    assert said == ["goes on without Comet: TrackingError: comet_ml is not installed: pip install comet-ml>=3.50,<4"]


def test_comets_key_is_read_from_its_secret_and_never_told(monkeypatch):
    key, said = "k3yOfNobody0123456789abcd", []
    monkeypatch.setenv("COMET_URL_OVERRIDE", "http://127.0.0.1:9/clientlib/")
    for name, value in (("DEFAULT_REGION", "us-east-1"), ("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test")):
        monkeypatch.setenv(f"AWS_{name}", value)
    clients.secrets.cache_clear()
    with mock_aws():
        boto3.client("secretsmanager").create_secret(Name="comet", SecretString=key)
        with tracking.begun({"COMET_API_KEY_SECRET": "comet"}, "a run", said.append) as run:
            assert run._runs["Comet"]._key == key

    assert [line.partition(":")[0] for line in said] == ["goes on without Comet"]
    assert key not in said[0]


@pytest.fixture
def listener():
    """A server that refuses all it is asked, and what it was asked with: (path, headers)."""
    heard = []

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append((self.path, dict(self.headers)))
            self.send_error(403)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", heard
        server.shutdown()


def test_an_apps_arn_is_asked_with_signed_requests(listener, monkeypatch):
    (url, heard), said = listener, []
    arn = "arn:aws:sagemaker:eu-central-1:123456789012:mlflow-app/app-ABCDEFGHIJKL"
    monkeypatch.setenv("SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT", url)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", arn)  # restored afterwards: MLflow writes there too
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "test")
    try:
        with tracking.begun({"MLFLOW_TRACKING_URI": arn}, "a run", said.append):
            pass
    finally:
        mlflow.set_tracking_uri(None)

    [(path, headers)] = heard
    assert path.startswith("/api/2.0/mlflow/experiments/get-by-name")
    assert "/eu-central-1/sagemaker/aws4_request" in headers["Authorization"]
    assert arn in headers.values()
    assert "403" in said[0]
