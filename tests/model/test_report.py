"""The page made for people: it says what was measured, and needs no other file."""

import base64
import io
import re
from dataclasses import replace
from html import unescape

import pytest
from matplotlib.image import imread
from optuna.trial import TrialState, create_trial

from training import baselines, figures, report


@pytest.fixture(scope="module")
def page(run):
    return (run.output_dir / report.NAME).read_text("utf-8")


def test_it_tells_the_verdict_first_then_every_figure_and_what_the_model_was_made_of(page, run):
    told, words = run.model.description, unescape(re.sub(r"<[^>]+>", " ", page))

    assert words.index("every baseline at") < words.index("Skill against each baseline") < words.index("Parameters")
    for horizon, measured in told["metrics"].items():
        assert f"{horizon} minute" in words
        for name in baselines.NAMES:
            assert f"{100 * measured['against'][name]['crps_skill']:+.2f} %" in words
        for name in ("coverage_90", "coverage_90_calm", "coverage_90_wild"):
            assert f"{100 * measured[name]:.1f} %" in words
    for name in ("dataset", "code", "model_version"):
        assert told[name] in words
    for name in ("trained_from", "tested_from"):
        assert told[name][:16] in words
    assert set(told["params"]) <= set(words.split())


def test_it_needs_no_other_file(page):
    assert set(re.findall(r'(?:src|href)="([^,"]*)', page)) == {"data:image/png;base64"}
    assert not re.search(r"<script|@import|url\(|https?:", page)


def test_its_pictures_are_the_files_beside_it(page, run):
    inside = [base64.b64decode(data) for data in re.findall(r'base64,([^"]+)"', page)]
    beside = {file.stem: file.read_bytes() for file in (run.output_dir / "figures").iterdir()}

    assert set(beside) == set(figures.ALL)
    assert sorted(inside) == sorted(beside.values())
    for picture in inside:
        assert imread(io.BytesIO(picture)).std() > 0.01


def better(story, lows):
    """The story with these lower edges, the same against all baselines of a horizon."""
    metrics = {
        horizon: {**told, "against": {name: {**each, "crps_skill_low": low} for name, each in told["against"].items()}}
        for (horizon, told), low in zip(story.metrics.items(), lows, strict=True)
    }
    return replace(story, metrics=metrics)


@pytest.mark.parametrize(
    ("lows", "said"),
    [
        ((0.1, 0.1, 0.1, 0.1), "Better than every baseline at 1, 5, 15 and 60 minutes."),
        ((0.1, 0.1, 0.1, 0.0), "Better than every baseline at 1, 5 and 15 minutes; not proven at 60."),
        ((-0.1, 0.0, -0.1, 0.0), "Not proven better than every baseline at any horizon (1, 5, 15 and 60 minutes)."),
    ],
)
def test_the_verdict_calls_proven_only_what_is(story, lows, said):
    assert report.verdict(better(story, lows)) == said


def test_one_baseline_that_is_not_beaten_is_enough_to_say_so(story):
    told = better(story, (0.1,) * 4)
    told.metrics["5"]["against"]["garch"]["crps_skill_low"] = -0.01

    assert report.verdict(told) == "Better than every baseline at 1, 15 and 60 minutes; not proven at 5."


def test_intervals_that_do_not_hold_are_named(story):
    held = {"coverage_90": 0.9, "coverage_90_calm": 0.88, "coverage_90_wild": 0.92}
    metrics = {horizon: {**told, **held} for horizon, told in story.metrics.items()}

    assert "intervals hold" in report.covers(replace(story, metrics=metrics))
    metrics["15"]["coverage_90_wild"] = 0.86
    assert "86.0 % at 15 minutes in the wildest fifth" in report.covers(replace(story, metrics=metrics))


def test_the_search_is_drawn_trial_by_trial_with_the_best_until_then(story):
    made = [
        create_trial(value=0.02, params={}, distributions={}),
        create_trial(state=TrialState.PRUNED, intermediate_values={1: 0.03, 2: 0.01}),
        create_trial(value=0.01, params={}, distributions={}),
        create_trial(value=0.04, params={}, distributions={}),
    ]
    for number, trial in enumerate(made):
        trial.number = number
    [axes] = figures.trials(replace(story, trials=made)).axes
    points = {
        float(each.get_xdata()[0]): float(each.get_ydata()[0]) for each in axes.lines if len(each.get_xdata()) == 1
    }
    [best] = [each.get_ydata() for each in axes.lines if len(each.get_xdata()) > 1]

    assert points == pytest.approx({1: 2.0, 2: 1.0, 3: 1.0, 4: 4.0})
    assert list(best) == pytest.approx([2.0, 2.0, 2.0, 4.0])
