"""The gate: better passes, worse is rejected with its reasons, damaged is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from btc.models import Model, ModelError
from training import gate, publish
from training.baselines import NAMES as BASELINES
from training.losses import CANDIDATE


def model_with(run, **metrics) -> Model:
    measured = {
        horizon: {**values, "coverage_90": 0.9, "direction": 0.5, "crps_skill_high": 0.1, **metrics}
        for horizon, values in run.model.description["metrics"].items()
    }
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


def test_a_candidate_worse_than_the_champion_is_rejected(run):
    worse = distorted(run.model, 1.5)
    evidence = publish.read_evidence(run.model_dir)
    lost = {
        horizon: {**values, CANDIDATE: gate.losses_of(worse, evidence, horizon)}
        for horizon, values in evidence.losses.items()
    }
    decision = gate.decide(model_with(run), replace(evidence, losses=lost), run.model)

    assert not decision.approved
    assert any("worse than the champion" in reason for reason in decision.reasons)
    assert decision.champion_version == run.model.version


def test_a_candidate_better_than_a_poor_champion_is_approved(run):
    decision = gate.decide(model_with(run), evidence_of(run, 0.97), distorted(run.model, 1.5))

    assert decision.approved
    assert decision.skills["champion"]["low"] > 0


def test_a_candidate_equal_to_its_champion_is_not_worse(run):
    evidence = publish.read_evidence(run.model_dir)
    decision = gate.decide(model_with(run), evidence, run.model)

    assert abs(decision.skills["champion"]["skill"]) < 1e-4
    assert not any("champion" in reason for reason in decision.reasons if "worse" in reason and "not" not in reason)


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"coverage_90": 0.6}, "covers 60"),
        ({"direction": 0.75, "rows": 9000}, "leak"),
        ({"crps_skill": -0.05, "crps_skill_high": -0.01}, "at 60 min worse than"),
    ],
)
def test_one_horizon_worse_intervals_that_do_not_hold_and_results_too_good_are_rejected(run, metrics, said):
    decision = gate.decide(model_with(run, **metrics), evidence_of(run, 0.97), None)

    assert not decision.approved
    assert any(said in reason for reason in decision.reasons)


def test_the_decision_is_written_for_the_pipeline_to_read(run, tmp_path):
    decision = gate.main(["--model", str(run.archive.parent), "--output", str(tmp_path)])
    written = json.loads((tmp_path / "decision.json").read_text())

    assert written["status"] == decision.status in {"Approved", "Rejected"}
    assert written["reasons"] == list(decision.reasons)
    assert written["model_version"] == run.model.version
    assert json.loads((tmp_path / "metrics.json").read_text()) == run.model.description["metrics"]


def test_a_champion_that_cannot_be_read_is_noted_and_the_baselines_decide(run, tmp_path):
    (tmp_path / "old.tar.gz").write_bytes(b"not an archive")
    gate.main(
        ["--model", str(run.archive), "--output", str(tmp_path / "out"), "--champion", str(tmp_path / "old.tar.gz")]
    )

    assert "cannot be compared" in json.loads((tmp_path / "out/decision.json").read_text())["notes"][0]


@pytest.mark.parametrize("share", [0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98])
def test_a_candidate_damaged_anywhere_is_refused(run, tmp_path, share):
    damaged = bytearray(run.archive.read_bytes())
    damaged[int(len(damaged) * share)] ^= 0xFF
    (tmp_path / "model.tar.gz").write_bytes(damaged)

    with pytest.raises(ModelError):
        gate.main(["--model", str(tmp_path), "--output", str(tmp_path / "out")])


def test_a_candidate_cut_short_is_refused(run, tmp_path):
    (tmp_path / "model.tar.gz").write_bytes(run.archive.read_bytes()[:-2000])

    with pytest.raises(ModelError):
        gate.main(["--model", str(tmp_path), "--output", str(tmp_path / "out")])
