"""One training job: tune, fit, evaluate, publish. Runs unchanged in SageMaker's XGBoost container and by hand.

    python -m training.train --bars FOLDER_OR_FILE --model-dir DIR --output-dir DIR

The container is given a source bundle (tar.gz) whose root holds `train.py` (this very file, copied),
`requirements.txt` (training/requirements.txt) and the packages `training/` and `btc/`. It installs the requirements,
runs `train.py --trials 20 --test-days 14 …` there, hyperparameters being arguments, and names folders by SM_ variables.
"""

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from btc.forecasts import HORIZONS
from btc.models import Model
from btc.times import DAY, iso, parse_iso
from training import dataset, evaluate, fit, growth, insights, issue, leaks, publish, report, split, tracking, tune
from training.dataset import Dataset
from training.split import Split
from training.tracking import Watched

ROWS_A_THREAD: Final = 20_000
"""With fewer rows a thread spends its time waiting for the others."""
CHECKPOINTS: Final = Path("/opt/ml/checkpoints")


def train(  # noqa: PLR0913 - what a run is told
    data: Dataset,
    parts: Split,
    model_dir: Path,
    *,
    trials: int,
    seconds: float,
    seed: int,
    threads: int,
    checkpoints: Path | None,
    run: Watched,
    report_dir: Path,
) -> Model:
    """Tunes, fits, calibrates, evaluates, and writes the artefact with its evidence into `model_dir`.

    The report goes into `report_dir`, and with all else that is worth comparing to the trackers.
    """
    began = time.monotonic()
    leaks.refuse_leaks(data, parts, seed=seed, threads=threads)
    device = growth.device("auto")
    tuned = tune.tune(
        data,
        split.folds(data, parts, split.FOLDS if trials > 1 else 1),
        trials=trials,
        seconds=seconds,
        seed=seed,
        threads=threads,
        checkpoints=checkpoints,
        device=device,
        say=_say,
        observe=run.trial,
    )
    _say(f"fitting on {len(parts.train)} rows with rounds {tuned.rounds}")
    taught = fit.taught(data, parts, tuned, fit.Means(seed, threads, device, _say))
    about = publish.description(data, parts, tuned)
    draft = publish.write_model(model_dir, taught, data.matrix[parts.test], about)
    metrics, losses = evaluate.evaluate(data, parts.learnt, parts.test, issue.issued(data, parts.test, draft), seed)
    measured = {**about, "metrics": metrics, "seconds": round(time.monotonic() - began, 1)}
    model = publish.write_model(model_dir, taught, data.matrix[parts.test], measured)
    publish.write_evidence(model_dir, losses)
    model.verify()
    for horizon in HORIZONS:
        _say(evaluate.line(horizon, metrics[str(horizon)]))
    story = insights.story(data, parts, model, metrics=metrics, losses=losses, trials=run.trials, seed=seed)
    run.story(story, report.write(report_dir, story))
    return model


def main(arguments: Sequence[str] | None = None) -> Model:
    """Reads the bars, trains, writes metrics.json, report.html and, by hand, model.tar.gz."""
    told = _told(arguments, os.environ)
    with tracking.begun(os.environ, os.environ.get("TRAINING_JOB_NAME", "training"), _say) as run:
        return _run(told, run)


def _run(told: argparse.Namespace, run: Watched) -> Model:
    _say(f"reading {told.bars}")
    data = dataset.load(told.bars)
    for repair in data.repairs:
        _say(f"repaired: {repair}")
    test_from = parse_iso(f"{told.test_from}T00:00Z") if told.test_from else split.newest(data, told.test_days)
    until = parse_iso(f"{told.test_until}T00:00Z") + DAY if told.test_until else None
    parts = split.split(data, test_from, until)
    _say(
        f"{len(data.minutes)} minutes, {len(data.rows)} usable; rows to fit {len(parts.fit)}, validate "
        f"{len(parts.validate)}, calibrate {len(parts.calibrate)}, test {len(parts.test)} from {iso(test_from)}"
    )
    model = train(
        data,
        parts,
        told.model_dir,
        trials=told.trials,
        seconds=told.train_seconds,
        seed=told.seed,
        threads=max(1, min(told.threads, len(parts.train) // ROWS_A_THREAD)),
        checkpoints=told.checkpoints,
        run=run,
        report_dir=told.output_dir,
    )
    publish.write_metrics(told.output_dir, model)
    if told.archive:
        publish.archive(told.model_dir, told.archive)
    _say(f"wrote {model.version} to {told.model_dir} after {model.description['seconds']} s")
    return model


def _told(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> argparse.Namespace:
    """Arguments win over the container's variables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, variable in (
        ("--bars", "SM_CHANNEL_BARS"),
        ("--model-dir", "SM_MODEL_DIR"),
        ("--output-dir", "SM_OUTPUT_DATA_DIR"),
    ):
        told = environment.get(variable)
        parser.add_argument(option, type=Path, default=told and Path(told), required=told is None, help=variable)
    parser.add_argument("--archive", type=Path, help="also pack the model's folder into this tar.gz")
    parser.add_argument(
        "--checkpoints",
        type=Path,
        default=CHECKPOINTS if CHECKPOINTS.is_dir() else None,
        help="folder of the study, to go on with after an interruption",
    )
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--train-seconds", type=float, default=1800, help="no trial begins after these")
    parser.add_argument("--test-days", type=float, default=14, help="the newest days, kept for the test")
    parser.add_argument("--test-from", default="", help="date; instead of --test-days")
    parser.add_argument("--test-until", default="", help="the last date to test on; what comes after it is not used")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--threads",
        type=int,
        default=int(environment.get("SM_NUM_CPUS", os.cpu_count() or 1)),
        help=f"at the most; one for {ROWS_A_THREAD} rows",
    )
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
