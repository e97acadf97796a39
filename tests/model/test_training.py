"""A training run from end to end, and the artefact it leaves."""

import json

import numpy as np
import optuna
import pytest
from mlflow import MlflowClient

from btc import serving
from btc.forecasts import HORIZONS, LEVELS
from btc.models import Model
from btc.serving import Calibration
from btc.times import DAY
from tests.model.conftest import TEST_DAYS
from tests.unit.market import BTC
from training import baselines, dataset, issue, losses, publish, train, tune
from training.mlflow_runs import EXPERIMENT
from training.split import TooLittleDataError


def test_a_run_leaves_an_artefact_that_proves_itself(run):
    folder, packed = Model.open(run.model_dir), Model.open(run.archive)
    packed.verify()

    assert folder.version == packed.version == run.model.version
    for name in ("trained_from", "trained_until", "tested_from", "dataset", "code", "params", "rounds", "rows"):
        assert folder.description[name]


def test_metrics_tell_every_horizon_beside_every_baseline(run):
    told = json.loads((run.output_dir / "metrics.json").read_text())

    assert set(told["metrics"]) == {str(horizon) for horizon in HORIZONS}
    for measured in told["metrics"].values():
        assert set(measured["against"]) == set(baselines.NAMES)
        assert measured["crps_skill_low"] <= measured["crps_skill"] <= measured["crps_skill_high"]
        assert measured["baseline_loss_bp"][measured["best_baseline"]] == min(measured["baseline_loss_bp"].values())
        assert 0.7 < measured["coverage_90"] <= 1


def test_the_evidence_is_what_the_metrics_come_from(run):
    evidence = publish.read_evidence(run.archive)
    measured = run.model.description["metrics"]

    for horizon in HORIZONS:
        lost = evidence.losses[horizon]["model"]
        assert np.nanmean(lost) == pytest.approx(measured[str(horizon)]["loss_bp"])
        assert np.isfinite(lost).sum() == measured[str(horizon)]["rows"]


def test_the_model_serves_what_the_test_saw(run, monkeypatch):
    monkeypatch.setattr(serving, "CATCH_UP", 2 * DAY)  # no bar was served since the training
    data = dataset.load(run.bars)
    row = int(data.rows[-1])
    minutes = data.minutes[: row + 1]
    made = serving.forecast(BTC, minutes, run.model, Calibration.begun(run.model))
    tested = issue.issued(data, data.rows[-1:], run.model)

    assert not any(each.baseline for each in made)
    for each in made:
        prices = [float(f"{minutes.close[-1] * np.exp(value):.10g}") for value in tested[each.horizon][0]]
        assert list(each.quantiles) == prices


def test_the_same_run_gives_the_same_model(run, tmp_path):
    told = ["--bars", str(run.bars), "--model-dir", str(tmp_path / "m"), "--output-dir", str(tmp_path / "o")]
    again = train.main([*told, "--trials", "1", "--test-days", str(TEST_DAYS), "--threads", "1"])

    assert again.version == run.model.version


def test_an_interrupted_study_goes_on_where_it_stopped(run, tmp_path, capsys, monkeypatch):
    checkpoints = run.model_dir.parent / "checkpoints"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    told = ["--bars", str(run.bars), "--model-dir", str(tmp_path / "m"), "--output-dir", str(tmp_path / "o")]
    train.main(
        [*told, "--trials", "1", "--test-days", str(TEST_DAYS), "--threads", "1", "--checkpoints", str(checkpoints)]
    )

    assert " rounds, " not in capsys.readouterr().out  # no booster grew again
    study = optuna.load_study(study_name=None, storage=tune._storage(checkpoints))
    assert len(study.trials) == 1
    tracked = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    kept = tracked.search_runs([tracked.get_experiment_by_name(EXPERIMENT).experiment_id])
    assert {each.info.run_name for each in kept} == {"training", "trial 1"}


def test_the_containers_variables_name_the_folders(monkeypatch, tmp_path):
    for name in ("SM_CHANNEL_BARS", "SM_MODEL_DIR", "SM_OUTPUT_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    with pytest.raises(dataset.UnreadableBarsError, match="SM_CHANNEL_BARS"):
        train.main(["--trials", "5", "--train-seconds", "60", "--test-days", "2", "--seed", "3"])


def test_too_little_history_is_said(run, tmp_path):
    told = ["--bars", str(run.bars), "--model-dir", str(tmp_path / "m"), "--output-dir", str(tmp_path / "o")]
    with pytest.raises(TooLittleDataError):
        train.main([*told, "--test-days", "5"])


def test_pinball_loss_of_an_exact_forecast_is_zero_and_grows_with_distance():
    truth = np.array([0.3, -0.2])
    exact = np.repeat(truth[:, None], len(LEVELS), axis=1)

    np.testing.assert_array_equal(losses.pinball(truth, exact), 0)
    np.testing.assert_allclose(losses.pinball(truth, exact + 0.1), 0.05)


def test_the_bootstrap_finds_a_difference_and_no_difference():
    generator = np.random.default_rng(1)
    other = generator.gamma(2.0, size=20_000)
    better = other * 0.97 + generator.normal(scale=0.05, size=20_000)
    low, high = np.quantile(losses.block_bootstrap(better, other, seed=1), [0.025, 0.975])

    assert 0.02 < low < 0.03 < high < 0.04
    noise = losses.block_bootstrap(other + generator.normal(scale=0.05, size=20_000), other, seed=1)
    assert np.quantile(noise, 0.025) < 0 < np.quantile(noise, 0.975)


def test_a_random_walks_direction_is_a_coin_toss(run):
    rows = int(run.model.description["metrics"]["5"]["rows"])
    luck = 4 * 0.5 / (rows / 5) ** 0.5

    assert abs(run.model.description["metrics"]["5"]["direction"] - 0.5) < luck
