"""The gate: a candidate passes where it is better than every baseline, and not worse than the champion.

    python -m training.gate --model FOLDER_OR_TAR --bars SNAPSHOT --output DIR
        [--champion FOLDER_OR_TAR | --state-table NAME]

writes decision.json, metrics.json and model_card.json. A rejection is a result, not a failure: the exit status is 0
with either. Candidate and champion are weighed as they would be served: calibrated by what became of each one's own
earlier forecasts. They are weighed on the rows that are new to the champion, which half of the test must be.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from btc import labels
from btc.minutes import Floats
from btc.models import Model, ModelError
from btc.serving import REACH
from btc.times import MINUTE
from training import card, dataset, issue, leaks, publish
from training.baselines import NAMES as BASELINES
from training.card import Verdict
from training.dataset import Dataset
from training.losses import BASIS_POINTS, CANDIDATE, block_bootstrap, pinball
from training.pipeline import APPROVED, REJECTED
from training.publish import Evidence
from training.split import FEWEST

CONFIDENCE: Final = 0.95
COVERAGE: Final = (0.8, 0.98)
"""What the 90 % interval may cover on the test rows, each horizon."""


@dataclass(frozen=True)
class Decision(Verdict):
    """Whether the candidate may be served; `reasons` say why in words, `skills` what was measured.

    A skill is the mean over the horizons, with the edges of its one-sided 95 % intervals.
    """

    model_version: str

    @property
    def approved(self) -> bool:
        return self.status == APPROVED


@dataclass(frozen=True, eq=False)
class Champion:
    """The model that serves, and what it would have lost in the candidate's place."""

    version: str
    losses: Mapping[int, Floats]
    """In basis points (n,) on the evidence's rows by horizon; NaN on those it has learnt from."""

    @classmethod
    def on(cls, evidence: Evidence, data: Dataset, model: Model) -> "Champion":
        """Raises ModelError where the evidence's rows are not the dataset's."""
        rows = (evidence.rows * MINUTE - data.minutes.start[0]) // MINUTE
        if not np.isin(rows, data.rows).all():
            raise ModelError("the evidence tells of minutes that the snapshot lacks: it is another run's")
        unseen = data.minutes.start[rows] >= model.trained_until
        losses = {horizon: np.full(len(rows), np.nan) for horizon in model.horizons}
        issued = issue.issued(data, rows[unseen], model) if unseen.any() else {}
        for horizon, quantiles in issued.items():
            truth = labels.returns(data.minutes, horizon)[rows[unseen]]
            losses[horizon][unseen] = BASIS_POINTS * pinball(truth, quantiles)
        return cls(model.version, losses)


def decide(model: Model, evidence: Evidence, champion: Champion | None, seed: int = 7) -> Decision:
    """Weighs the candidate by its losses on the test rows, paired row by row with its rivals'."""
    skills = {name: _skill(evidence.losses, name, seed) for name in BASELINES}
    faults = [
        f"not better than {name}: skill {skill['skill']:+.2%}, 95 % sure only of {skill['low']:+.2%}"
        for name, skill in skills.items()
        if not skill["low"] > 0
    ]
    if champion:
        rival = {
            horizon: {**lost, "champion": champion.losses[horizon]}
            for horizon, lost in evidence.losses.items()
            if horizon in champion.losses
        }
        rows = int(_known(rival, "champion").sum())
        needed = max(FEWEST, len(evidence.rows) // 2)
        if rows < needed:
            faults.append(
                f"not shown to be as good as the champion {champion.version}: only {rows} of the test's rows are new "
                f"to it, {needed} are needed"
            )
        else:
            skills["champion"] = _skill(rival, "champion", seed)
            if not skills["champion"]["high"] >= 0:
                faults.append(
                    f"worse than the champion {champion.version}: skill {skills['champion']['skill']:+.2%}, "
                    f"at best {skills['champion']['high']:+.2%}"
                )
    faults += _suspicions(model.description["metrics"], model.horizons)
    passed = [f"better than {name}: skill {skills[name]['skill']:+.2%}" for name in BASELINES]
    if "champion" in skills:
        passed.append(f"not worse than the champion: skill {skills['champion']['skill']:+.2%}")
    return Decision(
        status=REJECTED if faults else APPROVED,
        reasons=tuple(faults or passed),
        skills=skills,
        model_version=model.version,
        champion_version=champion.version if champion else None,
    )


def _known(by_horizon: Mapping[int, Mapping[str, Floats]], rival: str) -> npt.NDArray[np.bool_]:
    """Rows (n,) on which both have a loss at every horizon."""
    both = [np.isfinite(lost[CANDIDATE]) & np.isfinite(lost[rival]) for lost in by_horizon.values()]
    return np.asarray(np.all(both, axis=0))


def _skill(by_horizon: Mapping[int, Mapping[str, Floats]], rival: str, seed: int) -> dict[str, float]:
    """Skill of the candidate with each horizon weighing the same, on rows whose future is known at all of them."""
    known = _known(by_horizon, rival)
    units = {horizon: lost[rival][known].mean() for horizon, lost in by_horizon.items()}
    mine, theirs = (
        np.mean([lost[name][known] / units[horizon] for horizon, lost in by_horizon.items()], axis=0)
        for name in (CANDIDATE, rival)
    )
    low, high = np.quantile(block_bootstrap(mine, theirs, seed), [1 - CONFIDENCE, CONFIDENCE])
    return {"skill": float(1 - mine.mean() / theirs.mean()), "low": float(low), "high": float(high)}


def _suspicions(metrics: Mapping[str, Any], horizons: Sequence[int]) -> list[str]:
    """What speaks against the candidate whatever its mean: one horizon worse, intervals that do not hold, a leak."""
    if not all(set(metrics.get(str(horizon), {})) >= leaks.JUDGED for horizon in horizons):
        return [f"its metrics do not tell {', '.join(sorted(leaks.JUDGED))}: train anew"]
    faults = []
    for name, measured in metrics.items():
        horizon, covered = int(name), measured["coverage_90"]
        if not COVERAGE[0] <= covered <= COVERAGE[1]:
            faults.append(f"at {horizon} min the 90 % interval covers {covered:.1%}")
        if measured["crps_skill_high"] < 0:
            faults.append(f"at {horizon} min worse than {measured['best_baseline']}: {measured['crps_skill']:+.2%}")
    return faults + leaks.too_good(metrics)


def _champion(arguments: argparse.Namespace) -> Model | None:
    if arguments.champion:
        return Model.open(arguments.champion)
    if not arguments.state_table:
        return None
    from btc.aws import clients  # noqa: PLC0415 - by hand the gate needs no AWS
    from btc.aws.models import NoArtefactError, download  # noqa: PLC0415
    from btc.aws.state import StateTable  # noqa: PLC0415

    champion = StateTable(arguments.state_table, clients.dynamodb()).champion()
    if champion is None:
        return None
    with TemporaryDirectory() as folder:
        try:
            return Model.open(download(clients.s3(), champion.artefact, Path(folder)))
        except NoArtefactError as error:
            raise ModelError(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> Decision:
    """Decides, writes decision.json and metrics.json, and tells the decision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", type=Path, required=True, help="the candidate: a folder, model.tar.gz, or its folder"
    )
    parser.add_argument("--bars", type=Path, required=True, help="the snapshot that the candidate was trained on")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--champion", type=Path)
    parser.add_argument("--state-table", default="", help="where the champion is named, if it is not given")
    told = parser.parse_args(arguments)
    told.output.mkdir(parents=True, exist_ok=True)
    artefact = told.model / "model.tar.gz" if (told.model / "model.tar.gz").is_file() else told.model
    model = Model.open(artefact)
    model.verify()
    evidence, notes = publish.read_evidence(artefact), list[str]()
    champion = None
    minutes, _ = dataset.read(told.bars)
    if model.description["dataset"] != dataset.digest(minutes):
        raise ModelError(f"{model.version} was not trained on {told.bars}: give its own snapshot")
    try:
        if rival := _champion(told):
            begin = min(rival.trained_until, int(evidence.rows[0]) * MINUTE) - REACH
            first = int(np.searchsorted(minutes.start, begin))
            champion = Champion.on(evidence, dataset.build(minutes[first:]), rival)
    except ModelError as error:
        notes.append(f"the champion cannot be compared: {error}")
    decision = decide(model, evidence, champion)
    decision = replace(decision, reasons=(*decision.reasons, *notes))
    told_card = card.of(model, decision)
    files = {
        "metrics": {"horizons": model.description["metrics"], "skills": decision.skills},
        "model_card": told_card,
        # The registry takes the card as a text, and a pipeline hands on texts only.
        "decision": {
            **asdict(decision),
            "notes": notes,
            "dataset": model.description["dataset"],
            "model_card": json.dumps(told_card),
        },
    }
    for name, content in files.items():
        (told.output / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    print(f"{decision.model_version} {decision.status}: {'; '.join(decision.reasons)}", flush=True)
    return decision


if __name__ == "__main__":
    main()
