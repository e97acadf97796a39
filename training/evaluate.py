"""How good the forecasts are on rows nobody has seen, beside the baselines on the same rows.

Losses are pinball losses in basis points of the price, averaged over LEVELS: half the CRPS but for the tails. Skill is
1 - loss / baseline's loss; its interval comes from a paired bootstrap of whole blocks of time, since neighbouring
minutes share their future.

    python -m training.evaluate --bars FILE.parquet --train-until DATE --test-from DATE --test-until DATE --out DIR

trains and evaluates on any file of minute bars, and prints the figures as a JSON object on its last line; DIR receives
the model, evaluation.json and report.html.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from btc import labels
from btc.forecasts import HORIZONS, MEDIAN
from btc.minutes import Floats, Ints
from btc.models import Taught
from btc.times import DAY, MINUTE, iso, parse_iso
from training import (
    baselines,
    dataset,
    fit,
    growth,
    insights,
    issue,
    leaks,
    measures,
    publish,
    report,
    split,
    tracking,
    tune,
)
from training.baselines import Garch
from training.dataset import Dataset, UnreadableBarsError
from training.leaks import LeakError
from training.losses import BASIS_POINTS, CANDIDATE, Losses, pinball
from training.split import FOLDS, Split, TooLittleDataError
from training.tracking import Watched


def evaluate(
    data: Dataset, train: Ints, test: Ints, quantiles: Mapping[int, Floats], seed: int
) -> tuple[dict[str, Any], Losses]:
    """Metrics by horizon (JSON-able) of log return quantiles (n, levels), and the losses they come from.

    Empirical baselines learn from `train`.
    """
    garch = Garch.fitted(data.minutes, train)
    last, first = measures.last_moves(data.minutes)[test], labels.returns(data.minutes, 1)[test]
    metrics, losses = {}, {}
    for horizon, predicted in quantiles.items():
        truth = labels.returns(data.minutes, horizon)[test]
        known = np.isfinite(truth)
        begun = first[known] if horizon > 1 else np.zeros(known.sum())
        others = baselines.quantiles(data, train, test, horizon, garch)
        lost = {
            name: np.where(known, BASIS_POINTS * pinball(truth, values), np.nan)
            for name, values in {CANDIDATE: predicted, **others}.items()
        }
        losses[horizon] = lost
        metrics[str(horizon)] = {
            "rows": int(known.sum()),
            **measures.skills(lost, seed),
            **measures.shape(truth[known], predicted[known], data.scale[test][known], seed),
            **measures.signs(truth[known], predicted[known, MEDIAN], last=last[known], first=begun, seed=seed),
            "garch": asdict(garch),
        }
    return metrics, Losses(data.minutes.start[test] // MINUTE, losses)


def line(horizon: int, measured: Mapping[str, Any]) -> str:
    """One horizon's metrics as a line for the log; the job's metric definitions read `crps_skill_<horizon>=` there."""
    return (
        f"crps_skill_{horizon}={measured['crps_skill']:.4f} against {measured['best_baseline']} "
        f"({measured['crps_skill_low']:+.4f} … {measured['crps_skill_high']:+.4f}), "
        f"90 % interval covers {measured['coverage_90']:.1%}, direction {measured['direction']:.1%}, "
        f"{measured['rows']} rows"
    )


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Trains before `--train-until`, forecasts the test, and prints what came of it."""
    told = _told(arguments)
    with tracking.begun(os.environ, f"evaluation from {told.test_from}", _say) as run:
        figures = _run(told, run)
    print(json.dumps(figures), flush=True)  # trackers may say something as they end, and this is the last line
    return figures


def _run(told: argparse.Namespace, run: Watched) -> dict[str, Any]:
    began = time.monotonic()
    data = dataset.load(told.bars)
    start = data.minutes.start
    _say(f"{len(start)} minutes from {iso(int(start[0]))} to {iso(int(start[-1]))}, {len(data.rows)} of them usable")
    parts = split.split(
        data, _day(told.test_from), _day(told.test_until) + DAY, train_until=_day(told.train_until) + DAY
    )
    tested = start[parts.test]
    _say(f"testing on {len(tested)} of them, from {iso(int(tested[0]))} to {iso(int(tested[-1]))}")
    for name in ("fit", "validate", "calibrate", "test"):
        _refuse_stillness(data, getattr(parts, name), f"to {name} on")
    beside = _beside(told.pretrain, data, int(start[parts.calibrate[0]]) - split.EMBARGO * MINUTE)
    checked = leaks.refuse_leaks(data, parts, seed=told.seed, threads=told.threads)
    repairs = [repair for each in (data, *beside) for repair in each.repairs]
    for repair in repairs:
        _say(f"repaired: {repair}")
    taught, about = _trained(data, parts, beside, told, run)
    about |= {"repairs": repairs}
    draft = publish.write_model(told.out / "model", taught, data.matrix[parts.test], about)
    metrics, losses = evaluate(data, parts.learnt, parts.test, issue.issued(data, parts.test, draft), told.seed)
    if reason := metrics[str(HORIZONS[0])]["garch"]["fallback"]:
        _say(f"garch: {reason}")
    leaks.refuse_too_good(metrics)
    measured = {**about, "metrics": metrics, "seconds": round(time.monotonic() - began, 1)}
    model = publish.write_model(told.out / "model", taught, data.matrix[parts.test], measured)
    for horizon in HORIZONS:
        _say(line(horizon, metrics[str(horizon)]))
    story = insights.story(data, parts, model, metrics=metrics, losses=losses, trials=run.trials, seed=told.seed)
    run.story(story, report.write(told.out, story))
    figures = {
        "horizons": metrics,
        "model_version": model.version,
        **{name: model.description[name] for name in ("tested_from", "tested_until", "rows", "trials", "params")},
        "pretrained_on": [each.digest for each in beside],
        "repairs": repairs,
        "controls": checked,
        "seconds": round(time.monotonic() - began, 1),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    (told.out / "evaluation.json").write_text(json.dumps(figures, indent=1) + "\n")
    return figures


def _beside(paths: Sequence[Path], data: Dataset, until: int) -> list[Dataset]:
    """The minutes of other files until then, each of a market that moves and none the file that is judged."""
    found = []
    for path in paths:
        each = dataset.before(path, until)
        if each.digest == data.digest:
            raise UnreadableBarsError(f"{path} holds the minutes of --bars: what is learnt anyhow needs no pretraining")
        _refuse_stillness(each, each.rows, f"of {path}")
        try:
            leaks.refuse_early_volume(each.minutes)
        except LeakError as error:
            raise LeakError(f"{path}: {error}") from error
        found.append(each)
    return found


def _refuse_stillness(data: Dataset, rows: Ints, which: str) -> None:
    if not any(np.nan_to_num(target[rows]).any() for target in data.targets.values()):
        raise UnreadableBarsError(f"the price never moves in the {len(rows)} minutes {which}: no market")


def _trained(
    data: Dataset, parts: Split, beside: Sequence[Dataset], told: argparse.Namespace, run: Watched
) -> tuple[Taught, dict[str, Any]]:
    """What the search and the fit came to, and what there is to tell of it."""
    tuned = tune.tune(
        data,
        split.folds(data, parts, FOLDS if told.trials > 1 else 1),
        beside,
        trials=told.trials,
        seconds=told.train_seconds,
        seed=told.seed,
        threads=told.threads,
        checkpoints=told.out / "study",
        device=growth.device(told.device),
        say=_say,
        observe=run.trial,
    )
    rows = len(parts.train) + sum(len(each.rows) for each in beside)
    _say(f"fitting on {rows} rows, of each market {fit.ROWS} at the most; rounds found {tuned.rounds}")
    means = fit.Means(told.seed, told.threads, growth.device(told.device))
    return fit.taught(data, parts, tuned, means, beside), publish.description(data, parts, tuned)


def _told(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--bars",
        type=Path,
        required=True,
        help="Parquet file or folder of minute bars: start (UTC, or µs since 1970), open, high, low, close, volume",
    )
    parser.add_argument("--train-until", required=True, help="the last date to learn from")
    parser.add_argument("--test-from", required=True, help="the first date to test on")
    parser.add_argument("--test-until", required=True, help="the last date to test on")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the model, the study, evaluation.json and report.html"
    )
    parser.add_argument("--trials", type=int, default=4, help="hyperparameters to try")
    parser.add_argument("--train-seconds", type=float, default=1800, help="no trial begins after these")
    parser.add_argument("--pretrain", type=Path, nargs="*", default=(), help="bars of other venues or years to add")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where trees grow")
    told = parser.parse_args(arguments)
    for name in ("train_until", "test_from", "test_until"):
        try:
            _day(getattr(told, name))
        except ValueError:
            parser.error(f"--{name.replace('_', '-')} is a date like 2019-01-31, not {getattr(told, name)}")
    if not _day(told.train_until) < _day(told.test_from) <= _day(told.test_until):
        parser.error("training ends before the test begins, and the test before it ends")
    if told.trials < 1 or told.threads < 1 or told.seed < 0:
        parser.error("--trials and --threads are 1 at the least, --seed is 0 at the least")
    try:
        told.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out {told.out} can be no folder: {error.strerror}")
    return told


def _day(date: str) -> int:
    return parse_iso(f"{date}T00:00Z")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    try:
        main()
    except (UnreadableBarsError, TooLittleDataError, LeakError) as error:
        sys.exit(f"cannot evaluate: {error}")
