"""The gate: better passes, worse is rejected with its reasons, damaged is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from btc.models import Model, ModelError
from btc.times import MINUTE, iso
from tests.model.walks import save, walk
from training import dataset, gate, publish
from training.baselines import NAMES as BASELINES
from training.dataset import Dataset
from training.gate import Champion
from training.losses import CANDIDATE


@pytest.fixture(scope="module")
def data(run) -> Dataset:
    return dataset.load(run.bars)


SOBER = {
    "coverage_90": 0.9,
    "direction": 0.5,
    "direction_later": 0.5,
    "crps_skill_low": 0.0,
    "crps_skill_high": 0.1,
}


def model_with(run, **metrics) -> Model:
    measured = {horizon: {**values, **SOBER, **metrics} for horizon, values in run.model.description["metrics"].items()}
    return Model({**run.model.description, "metrics": measured}, run.model.heads)


def evidence_of(run, factor: float):
    """The run's evidence as if the candidate had lost `factor` times what the best baseline lost."""
    evidence = publish.read_evidence(run.model_dir)
    noise = np.random.default_rng(2)
    losses = {
        horizon: {
            **lost,
            CANDIDATE: factor * np.min([lost[name] for name in BASELINES], axis=0)
            + noise.normal(scale=1e-4, size=len(evidence.rows)),
        }
        for horizon, lost in evidence.losses.items()
    }
    return replace(evidence, losses=losses)


def distorted(model: Model, width: float) -> Model:
    """The model with quantiles moved apart."""
    calibration = {
        horizon: (np.array(offsets) + width * np.linspace(-1, 1, len(offsets))).tolist()
        for horizon, offsets in model.description["calibration"].items()
    }
    return Model({**model.description, "calibration": calibration, "model_version": "distorted"}, model.heads)


def test_a_better_candidate_is_approved(run):
    decision = gate.decide(model_with(run), evidence_of(run, 0.97), None)

    assert decision.approved
    assert all(skill["low"] > 0 for skill in decision.skills.values())


def test_a_worse_candidate_is_rejected_with_a_reason_for_each_baseline(run):
    decision = gate.decide(model_with(run), evidence_of(run, 1.6), None)

    assert decision.status == "Rejected"
    assert [reason.split(":")[0] for reason in decision.reasons] == [f"not better than {name}" for name in BASELINES]


def test_a_candidate_worse_than_the_champion_is_rejected(run, data):
    evidence = publish.read_evidence(run.model_dir)
    worse = Champion.on(evidence, data, distorted(run.model, 1.5)).losses
    lost = {horizon: {**values, CANDIDATE: worse[horizon]} for horizon, values in evidence.losses.items()}
    champion = Champion.on(evidence, data, run.model)
    decision = gate.decide(model_with(run), replace(evidence, losses=lost), champion)

    assert not decision.approved
    assert any("worse than the champion" in reason for reason in decision.reasons)
    assert decision.champion_version == run.model.version


def test_a_candidate_better_than_a_poor_champion_is_approved(run, data):
    evidence = evidence_of(run, 0.97)
    decision = gate.decide(model_with(run), evidence, Champion.on(evidence, data, distorted(run.model, 1.5)))

    assert decision.approved
    assert decision.skills["champion"]["low"] > 0


def test_a_champion_is_judged_as_it_would_be_served_and_so_equals_itself(run, data):
    evidence = publish.read_evidence(run.model_dir)
    champion = Champion.on(evidence, data, run.model)
    decision = gate.decide(model_with(run), evidence, champion)

    for horizon, lost in evidence.losses.items():
        np.testing.assert_array_equal(champion.losses[horizon].astype(np.float32), lost[CANDIDATE].astype(np.float32))
    assert abs(decision.skills["champion"]["skill"]) < 1e-6
    assert not any("worse than the champion" in reason for reason in decision.reasons)


def test_a_champion_that_has_learnt_from_the_tests_rows_is_no_measure_and_nothing_passes_it(run, data):
    evidence = evidence_of(run, 0.97)
    until = int(evidence.rows[-100]) * MINUTE
    learnt = Model({**run.model.description, "trained_until": iso(until)}, run.model.heads)
    champion = Champion.on(evidence, data, learnt)
    decision = gate.decide(model_with(run), evidence, champion)

    assert np.isfinite(champion.losses[1]).sum() <= 100
    assert not decision.approved
    assert "rows are new to it" in decision.reasons[0]


def test_a_champion_that_has_learnt_from_most_of_the_tests_rows_is_no_measure(run, data, monkeypatch):
    monkeypatch.setattr(gate, "FEWEST", 60)
    evidence = evidence_of(run, 0.97)
    share = {}
    for new in (0.4, 0.6):
        until = int(evidence.rows[-int(new * len(evidence.rows))]) * MINUTE
        learnt = Model({**run.model.description, "trained_until": iso(until)}, run.model.heads)
        decision = gate.decide(model_with(run), evidence, Champion.on(evidence, data, learnt))
        share[new] = any("rows are new to it" in reason for reason in decision.reasons)

    assert share == {0.4: True, 0.6: False}


def test_a_candidate_whose_metrics_are_of_an_older_training_is_rejected_in_words(run):
    metrics = {
        horizon: {name: value for name, value in values.items() if name != "reversal"}
        for horizon, values in model_with(run).description["metrics"].items()
    }
    decision = gate.decide(
        Model({**run.model.description, "metrics": metrics}, run.model.heads), evidence_of(run, 0.97), None
    )

    assert not decision.approved
    assert "train anew" in decision.reasons[-1]


def test_evidence_of_another_run_is_refused(run, data):
    evidence = publish.read_evidence(run.model_dir)
    with pytest.raises(ModelError, match="another run"):
        Champion.on(replace(evidence, rows=evidence.rows + 100_000), data, run.model)


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"coverage_90": 0.6}, "covers 60"),
        ({"direction_later": 0.75, "rows": 9000}, "at 60 min the direction is right 75"),
        ({"crps_skill": 0.3, "crps_skill_low": 0.2}, "at 1 min the skill is 30"),
        ({"crps_skill": -0.05, "crps_skill_high": -0.01}, "at 60 min worse than"),
    ],
)
def test_one_horizon_worse_intervals_that_do_not_hold_and_results_too_good_are_rejected(run, metrics, said):
    decision = gate.decide(model_with(run, **metrics), evidence_of(run, 0.97), None)

    assert not decision.approved
    assert any(said in reason for reason in decision.reasons)


def test_the_decision_is_written_for_the_pipeline_to_read(run, tmp_path):
    decision = gate.main(["--model", str(run.archive.parent), "--bars", str(run.bars), "--output", str(tmp_path)])
    written = json.loads((tmp_path / "decision.json").read_text())

    assert written["status"] == decision.status in {"Approved", "Rejected"}
    assert written["reasons"] == list(decision.reasons)
    assert written["model_version"] == run.model.version
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics == {"horizons": run.model.description["metrics"], "skills": written["skills"]}
    assert json.loads(written["model_card"]) == json.loads((tmp_path / "model_card.json").read_text())
    assert written["dataset"] == run.model.description["dataset"]


def test_a_candidate_of_other_bars_is_refused(run, tmp_path):
    save(walk(3_000, seed=5), str(tmp_path / "bars.parquet"))
    with pytest.raises(ModelError, match="was not trained on"):
        gate.main(["--model", str(run.archive), "--bars", str(tmp_path), "--output", str(tmp_path / "out")])


def test_a_champion_that_cannot_be_read_is_noted_and_the_baselines_decide(run, tmp_path):
    (tmp_path / "old.tar.gz").write_bytes(b"not an archive")
    told = {"--model": run.archive, "--bars": run.bars, "--output": tmp_path / "out"}
    told["--champion"] = tmp_path / "old.tar.gz"
    gate.main([str(word) for pair in told.items() for word in pair])

    written = json.loads((tmp_path / "out/decision.json").read_text())
    assert "cannot be compared" in written["notes"][0]
    assert written["notes"][0] in written["reasons"]
    assert "cannot be compared" in written["model_card"]


def test_a_candidate_whose_metrics_lack_a_horizon_is_rejected(run):
    model = model_with(run)
    del model.description["metrics"]["5"]
    decision = gate.decide(model, evidence_of(run, 0.97), None)

    assert any("its metrics do not tell" in reason for reason in decision.reasons)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98])
def test_a_candidate_damaged_anywhere_is_refused(run, tmp_path, share):
    damaged = bytearray(run.archive.read_bytes())
    damaged[int(len(damaged) * share)] ^= 0xFF
    (tmp_path / "model.tar.gz").write_bytes(damaged)

    with pytest.raises(ModelError):
        gate.main(["--model", str(tmp_path), "--bars", str(run.bars), "--output", str(tmp_path / "out")])


def test_a_candidate_cut_short_is_refused(run, tmp_path):
    (tmp_path / "model.tar.gz").write_bytes(run.archive.read_bytes()[:-2000])

    with pytest.raises(ModelError):
        gate.main(["--model", str(tmp_path), "--bars", str(run.bars), "--output", str(tmp_path / "out")])
