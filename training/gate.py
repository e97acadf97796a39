"""The gate: a candidate passes where it is better than every baseline, and not worse than the champion.

    python -m training.gate --model FOLDER_OR_TAR --output DIR [--champion FOLDER_OR_TAR | --state-table NAME]

writes decision.json and metrics.json. A rejection is a result, not a failure: the exit status is 0 with either.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from btc.minutes import Floats
from btc.models import Model, ModelError
from training import publish
from training.baselines import NAMES as BASELINES
from training.losses import BASIS_POINTS, CANDIDATE, block_bootstrap, pinball
from training.pipeline import APPROVED, REJECTED
from training.publish import Evidence

CONFIDENCE: Final = 0.95
COVERAGE: Final = (0.8, 0.98)
"""What the 90 % interval may cover on the test rows, each horizon."""
DIRECTION: Final = 0.56
"""A median that is right about the sign more often than this, five minutes or more ahead, has seen the future."""


@dataclass(frozen=True)
class Decision:
    """Whether the candidate may be served; `reasons` say why in words, `skills` what was measured."""

    status: str
    reasons: tuple[str, ...]
    skills: Mapping[str, Mapping[str, float]]
    """Mean CRPS skill over the horizons against each rival, with the edges of its one-sided 95 % intervals."""
    model_version: str
    champion_version: str | None

    @property
    def approved(self) -> bool:
        return self.status == APPROVED


def decide(model: Model, evidence: Evidence, champion: Model | None, seed: int = 7) -> Decision:
    """Weighs the candidate by its losses on the test rows, paired row by row with its rivals'."""
    skills = {name: _skill(evidence.losses, name, seed) for name in BASELINES}
    faults = [
        f"not better than {name}: skill {skill['skill']:+.2%}, 95 % sure only of {skill['low']:+.2%}"
        for name, skill in skills.items()
        if not skill["low"] > 0
    ]
    if champion:
        rival = {
            horizon: {**lost, "champion": losses_of(champion, evidence, horizon)}
            for horizon, lost in evidence.losses.items()
            if horizon in champion.horizons
        }
        skills["champion"] = _skill(rival, "champion", seed)
        if not skills["champion"]["high"] >= 0:
            faults.append(
                f"worse than the champion {champion.version}: skill {skills['champion']['skill']:+.2%}, "
                f"at best {skills['champion']['high']:+.2%}"
            )
    faults += _suspicions(model.description["metrics"])
    passed = [f"better than {name}: skill {skills[name]['skill']:+.2%}" for name in BASELINES]
    if champion:
        passed.append(f"not worse than the champion: skill {skills['champion']['skill']:+.2%}")
    return Decision(
        status=REJECTED if faults else APPROVED,
        reasons=tuple(faults or passed),
        skills=skills,
        model_version=model.version,
        champion_version=champion.version if champion else None,
    )


def losses_of(model: Model, evidence: Evidence, horizon: int) -> Floats:
    """Pinball losses (n,) in basis points of another model on the evidence's rows."""
    scaled = model.predict(evidence.matrix)[horizon]
    return BASIS_POINTS * pinball(evidence.truth[horizon], scaled * (evidence.scale * horizon**0.5)[:, None])


def _skill(by_horizon: Mapping[int, Mapping[str, Floats]], rival: str, seed: int) -> dict[str, float]:
    """Skill of the candidate with each horizon weighing the same, on rows whose future is known at all of them."""
    known = np.all([np.isfinite(lost[CANDIDATE]) for lost in by_horizon.values()], axis=0)
    units = {horizon: lost[rival][known].mean() for horizon, lost in by_horizon.items()}
    mine, theirs = (
        np.mean([lost[name][known] / units[horizon] for horizon, lost in by_horizon.items()], axis=0)
        for name in (CANDIDATE, rival)
    )
    low, high = np.quantile(block_bootstrap(mine, theirs, seed), [1 - CONFIDENCE, CONFIDENCE])
    return {"skill": float(1 - mine.mean() / theirs.mean()), "low": float(low), "high": float(high)}


def _suspicions(metrics: Mapping[str, Any]) -> list[str]:
    """What speaks against the candidate whatever its mean: one horizon worse, intervals that do not hold, a leak."""
    faults = []
    for name, measured in metrics.items():
        horizon, covered = int(name), measured["coverage_90"]
        if not COVERAGE[0] <= covered <= COVERAGE[1]:
            faults.append(f"at {horizon} min the 90 % interval covers {covered:.1%}")
        if measured["crps_skill_high"] < 0:
            faults.append(f"at {horizon} min worse than {measured['best_baseline']}: {measured['crps_skill']:+.2%}")
        luck = 3 * 0.5 / (max(measured["rows"] / horizon, 1) ** 0.5)  # three standard errors of a coin
        if horizon >= 5 and measured["direction"] > DIRECTION + luck:
            faults.append(f"at {horizon} min the direction is right {measured['direction']:.1%}: look for a leak")
    return faults


def _champion(arguments: argparse.Namespace) -> Model | None:
    if arguments.champion:
        return Model.open(arguments.champion)
    if not arguments.state_table:
        return None
    from btc.aws import clients  # noqa: PLC0415 - by hand the gate needs no AWS
    from btc.aws.models import download  # noqa: PLC0415
    from btc.aws.state import StateTable  # noqa: PLC0415

    champion = StateTable(arguments.state_table, clients.dynamodb()).champion()
    if champion is None:
        return None
    with TemporaryDirectory() as folder:
        return Model.open(download(clients.s3(), champion.artefact, Path(folder)))


def main(arguments: Sequence[str] | None = None) -> Decision:
    """Decides, writes decision.json and metrics.json, and tells the decision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", type=Path, required=True, help="the candidate: a folder, model.tar.gz, or its folder"
    )
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--champion", type=Path)
    parser.add_argument("--state-table", default="", help="where the champion is named, if it is not given")
    told = parser.parse_args(arguments)
    told.output.mkdir(parents=True, exist_ok=True)
    artefact = told.model / "model.tar.gz" if (told.model / "model.tar.gz").is_file() else told.model
    model = Model.open(artefact)
    model.verify()
    notes: tuple[str, ...] = ()
    try:
        champion = _champion(told)
    except ModelError as error:
        champion, notes = None, (f"the champion cannot be compared: {error}",)
    decision = decide(model, publish.read_evidence(artefact), champion)
    (told.output / "metrics.json").write_text(json.dumps(model.description["metrics"], indent=1) + "\n")
    (told.output / "decision.json").write_text(json.dumps({**asdict(decision), "notes": notes}, indent=1) + "\n")
    print(f"{decision.model_version} {decision.status}: {'; '.join((*decision.reasons, *notes))}", flush=True)
    return decision


if __name__ == "__main__":
    main()
