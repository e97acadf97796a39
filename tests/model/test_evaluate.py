"""The evaluation's command: any file of minute bars in, figures as JSON on the last line out."""

import io
import json
import re
import runpy
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from btc.features import NAMES
from btc.forecasts import HORIZONS
from btc.models import Model
from btc.times import DAY, iso
from tests.model.walks import MONDAY, busy, save, walk
from training import baselines, dataset, evaluate, growth, leaks, networks, split, tracking
from training.dataset import UnreadableBarsError
from training.split import TooLittleDataError
from training.tracking import Watched


class Evaluation(NamedTuple):
    """What a run of the command leaves and says."""

    folder: Path
    figures: dict[str, Any]
    said: list[str]


def date(day: int) -> str:
    return iso(MONDAY + day * DAY)[:10]


def arguments(bars, out, *, train=6, test=(7, 8), more=()):
    dates = {"--train-until": date(train), "--test-from": date(test[0]), "--test-until": date(test[1])}
    told = {"--bars": bars, **dates, "--out": out, "--trials": 1, "--threads": 1}
    return [*(str(word) for pair in told.items() for word in pair), *map(str, more)]


@pytest.fixture(scope="module", autouse=True)
def hastier():
    """What is told here of figures is told of any model's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growth, "ETA", 0.3)
        patch.setattr(networks, "EPOCHS", 1)
        yield


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    path = tmp_path_factory.mktemp("bars") / "bars.parquet"
    save(walk(9 * 1440, seed=12, unknown=0.01), str(path))
    return path


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Bars of another venue, out of order."""
    path = tmp_path_factory.mktemp("other") / "other.parquet"
    save(walk(9 * 1440, seed=13, flows=False), str(path))
    table = pq.ParquetFile(path).read()
    pq.write_table(pa.concat_tables([table.slice(1), table.slice(0, 1)]), path)
    return path


@pytest.fixture(scope="module")
def evaluation(bars, other, tmp_path_factory):
    folder, said = tmp_path_factory.mktemp("evaluation"), io.StringIO()
    with redirect_stdout(said):
        figures = evaluate.main(arguments(bars, folder, more=["--pretrain", other]))
    return Evaluation(folder, figures, said.getvalue().splitlines())


def test_it_tells_every_figure_of_every_horizon_on_its_last_line(evaluation):
    figures = json.loads(evaluation.said[-1])

    assert figures == evaluation.figures == json.loads((evaluation.folder / "evaluation.json").read_text())
    assert set(figures["horizons"]) == {str(horizon) for horizon in HORIZONS}
    for measured in figures["horizons"].values():
        assert measured["crps_skill_low"] <= measured["crps_skill"] <= measured["crps_skill_high"]
        assert set(measured["against"]) == set(baselines.NAMES)
        for name in ("coverage_90", "coverage_90_calm", "coverage_90_wild"):
            assert 0.7 < measured[name] <= 1
        for name in ("coverage_90", "coverage_90_calm", "coverage_90_wild", "mae_skill", "direction"):
            assert measured[f"{name}_low"] <= measured[name] <= measured[f"{name}_high"]
        assert set(measured["garch"]) == {"constant", "shock", "memory", "fallback"}
        assert 2_000 < measured["rows"] < 2_880
    assert set(figures["controls"]) == set(leaks.HIGHEST)
    assert figures["trials"] == 1
    assert figures["params"]["max_depth"] == 6
    assert figures["seconds"] > 0
    assert figures["peak_memory_bytes"] > 1e7
    assert figures["tested_from"][:10] == date(7)
    assert iso(MONDAY + 8 * DAY) < figures["tested_until"] <= iso(MONDAY + 9 * DAY)


def test_the_model_it_leaves_tells_what_its_report_shows(evaluation):
    model = Model.open(evaluation.folder / "model")
    model.verify()

    assert model.version == evaluation.figures["model_version"]
    assert model.description["metrics"] == evaluation.figures["horizons"]
    assert model.description["repairs"] == evaluation.figures["repairs"]
    report = (evaluation.folder / "report.html").read_text()
    assert model.description["code"] in report
    assert "rows out of order were sorted" in report


def test_minutes_of_another_venue_are_learnt_from_only_where_they_end_before_the_test(evaluation, bars, other):
    [told] = [line for line in evaluation.said if line.startswith("fitting on")]
    rows, own = int(told.split()[2]), evaluation.figures["rows"]
    repair = f"{other}: rows out of order were sorted"

    assert repair in evaluation.figures["repairs"]
    assert f"repaired: {repair}" in evaluation.said
    assert evaluation.figures["pretrained_on"] == [dataset.load(other).digest]
    data, first = dataset.load(bars), MONDAY + 7 * DAY
    alone = split.split(data, first, first + 2 * DAY)
    assert own == {name: len(getattr(alone, name)) for name in own}
    assert 4 * 1440 < rows - own["fit"] - own["validate"] <= 7 * 1440 - 61


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train": 7, "test": (7, 8)}, "training ends before"),
        ({"test": (8, 7)}, "the test before it ends"),
    ],
)
def test_dates_in_no_order_are_refused(bars, tmp_path, capsys, changes, said):
    with pytest.raises(SystemExit):
        evaluate.main(arguments(bars, tmp_path, **changes))
    assert said in capsys.readouterr().err


def test_what_is_no_date_is_said(bars, tmp_path, capsys):
    told = arguments(bars, tmp_path)
    told[told.index("--test-from") + 1] = "soon"
    with pytest.raises(SystemExit):
        evaluate.main(told)
    assert "--test-from is a date like" in capsys.readouterr().err


def test_too_little_data_and_contradicting_repeats_get_a_clear_error(bars, tmp_path):
    with pytest.raises(TooLittleDataError, match="usable minutes"):
        evaluate.main(arguments(bars, tmp_path, train=1, test=(2, 3)))
    table = pq.ParquetFile(bars).read()
    again = table.slice(100, 1).set_column(table.column_names.index("close"), "close", [[1e9]])
    again = again.set_column(table.column_names.index("high"), "high", [[1e9]])
    with pq.ParquetWriter(tmp_path / "twice.parquet", table.schema) as writer:
        writer.write_table(table)
        writer.write_table(again.cast(table.schema))
    with pytest.raises(UnreadableBarsError, match="there twice"):
        evaluate.main(arguments(tmp_path / "twice.parquet", tmp_path))


def ended(told, monkeypatch):
    """What the program exits with."""
    monkeypatch.setattr(sys, "argv", ["training.evaluate", *told])
    monkeypatch.delitem(sys.modules, "training.evaluate")
    with pytest.raises(SystemExit) as end:
        runpy.run_module("training.evaluate", run_name="__main__")
    return end.value.code


def opening_with(minutes, ahead):
    """Bars whose open is the close so many minutes later: a mistake of whoever made the file."""
    opened = minutes.close.copy()
    opened[:-ahead] = minutes.close[ahead:]
    high, low = np.maximum(minutes.high, opened), np.minimum(minutes.low, opened)
    return replace(minutes, open=opened, high=high, low=low)


def test_a_file_whose_bars_hold_the_next_minutes_price_stops_the_program_before_it_trains(tmp_path, monkeypatch):
    save(opening_with(walk(9 * 1440, seed=12), 1), str(tmp_path / "bars.parquet"))
    said = ended(arguments(tmp_path / "bars.parquet", tmp_path), monkeypatch)

    assert re.match(r"cannot evaluate: the next_minute control has a skill of [89]\d", said)
    assert not (tmp_path / "model").exists()


def test_a_result_too_good_to_be_true_stops_the_program_with_the_reason_and_no_figures(tmp_path, monkeypatch, capsys):
    save(opening_with(walk(6 * 1440, seed=12), 60), str(tmp_path / "bars.parquet"))
    said = ended(arguments(tmp_path / "bars.parquet", tmp_path, train=4, test=(5, 5)), monkeypatch)

    assert re.match(r"cannot evaluate: at (1|5|15|60) min the (direction.*|skill) is", said)
    assert not (tmp_path / "evaluation.json").exists()
    assert "crps_skill" not in capsys.readouterr().out


def test_recorded_minutes_are_forecast_honestly(market_data, tmp_path):
    minutes, _ = dataset.read(market_data / "bars")
    save(minutes[-(9 * 1440) :], str(tmp_path / "bars.parquet"))
    last = int(minutes.start[-1]) // DAY
    told = arguments(tmp_path / "bars.parquet", tmp_path, train=last - 2 - MONDAY // DAY, test=(0, 0))
    for name, back in (("--test-from", 1), ("--test-until", 1)):
        told[told.index(name) + 1] = iso((last - back) * DAY)[:10]
    figures = evaluate.main(told)

    for measured in figures["horizons"].values():
        assert 0.8 < measured["coverage_90"] < 0.98
        assert measured["crps_skill"] > -0.05
    data = dataset.load(tmp_path / "bars.parquet")
    assert 0.9 < np.nanstd(data.targets[5]) < 1.6
    assert np.isfinite(data.matrix[data.rows][:, : NAMES.index("trades_5")]).all()


def test_what_trackers_say_as_they_end_comes_before_the_figures(monkeypatch, tmp_path, capsys):
    class Tracked(Watched):
        def __exit__(self, *_):
            print("View run at http://tracker")

    monkeypatch.setattr(tracking, "begun", lambda *_: Tracked({}, print))
    monkeypatch.setattr(evaluate, "_run", lambda *_: {"figure": 1})
    evaluate.main(arguments(tmp_path / "bars.parquet", tmp_path))

    assert capsys.readouterr().out.splitlines() == ["View run at http://tracker", '{"figure": 1}']


def test_the_program_says_what_is_wrong_and_exits_with_an_error(tmp_path):
    told = arguments(tmp_path / "none.parquet", tmp_path)
    ran = subprocess.run(
        [sys.executable, "-m", "training.evaluate", *told], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 1
    assert ran.stderr.splitlines() == [f"cannot evaluate: {tmp_path / 'none.parquet'}: there is no Parquet file"]


def test_a_market_that_never_moves_is_none(tmp_path, monkeypatch):
    still = walk(9 * 1440, quiet=1.0)
    save(still, str(tmp_path / "bars.parquet"))

    assert "the price never moves in the" in ended(arguments(tmp_path / "bars.parquet", tmp_path), monkeypatch)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (walk(9 * 1440, seed=12, unknown=0.01), "holds the minutes of --bars"),
        (walk(9 * 1440, quiet=1.0), "the price never moves in the"),
        (busy(walk(9 * 1440, seed=13), ahead=1), "volumes go with the next minute's move"),
    ],
    ids=["the same", "no market", "a leak"],
)
def test_what_is_no_honest_other_market_is_not_learnt_from(bars, tmp_path, monkeypatch, other, said):
    save(other, str(tmp_path / "other.parquet"))
    told = ended(arguments(bars, tmp_path, more=["--pretrain", tmp_path / "other.parquet"]), monkeypatch)

    assert said in told
    assert str(tmp_path / "other.parquet") in told


@pytest.mark.parametrize(
    ("more", "said"),
    [(["--trials", 0], "--trials and --threads are 1"), (["--out", "{bars}"], "can be no folder")],
    ids=["no trials", "a file for a folder"],
)
def test_what_cannot_be_asked_for_is_refused_before_anything_is_read(bars, tmp_path, capsys, more, said):
    with pytest.raises(SystemExit):
        evaluate.main(arguments(bars, tmp_path, more=[str(word).format(bars=bars) for word in more]))
    assert said in capsys.readouterr().err


def test_dates_beyond_the_file_are_too_little_data(bars, tmp_path, capsys):
    with pytest.raises(TooLittleDataError, match="only 0 usable minutes to test on"):
        evaluate.main(arguments(bars, tmp_path, test=(20, 30)))
    assert f"minutes from {date(0)}" in capsys.readouterr().out
