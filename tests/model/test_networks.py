"""How networks learn: along the true slope, towards what there is to learn, and nothing where there is nothing."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from btc import features
from btc.features import LOOK_BACK
from btc.forecasts import LEVELS
from btc.heads import FLAT
from btc.nets import mean_outputs
from tests.model.walks import walk
from training import dataset, networks
from training.growth import modes
from training.losses import pinball
from training.networks import Plain
from training.views import Views

SHAPE = np.linspace(-1.6, 1.6, len(LEVELS))
PLAINS = {horizon: Plain(FLAT, SHAPE * stretch, modes(SHAPE)) for horizon, stretch in ((1, 1.0), (5, 1.1))}


@pytest.fixture(scope="module")
def data():
    """A market without a pattern in which one is planted: a minute's return follows the last one's, and the hour."""
    plain = dataset.build(walk(LOOK_BACK + 8_000, seed=9, quiet=0.0))
    source = np.random.default_rng(2)
    last = np.nan_to_num(plain.matrix[:, features.NAMES.index("return_1")])
    hour = np.nan_to_num(plain.matrix[:, features.NAMES.index("hour_1_sin")])
    drawn = np.exp(0.6 * hour) * (0.8 * np.tanh(last) + source.normal(size=len(last)))
    drawn[plain.rows[::50]] = np.nan
    return replace(plain, targets={1: drawn, 5: source.normal(size=len(last))})


@pytest.fixture(scope="module")
def nets(data):
    return networks.taught(Views.of_both((data, data.rows[:6_000])), PLAINS, seed=3, threads=2)


def gain(data, nets, horizon, rows):
    outputs, plain = mean_outputs(nets, data.matrix[rows]), PLAINS[horizon]
    moved = (plain.shape + outputs[:, 1:] @ plain.modes) * np.exp(outputs[:, :1])
    truth = data.targets[horizon][rows]
    return 1 - np.nanmean(pinball(truth, np.sort(moved, axis=1))) / np.nanmean(pinball(truth, plain.shape[None, :]))


def test_it_learns_what_there_is_and_on_rows_it_has_not_seen(data, nets):
    assert gain(data, nets[1], 1, data.rows[6_100:]) > 0.04
    assert gain(data, nets[5], 5, data.rows[6_100:]) < 0.03  # what the shape itself lacks


def test_it_learns_which_way_and_how_far(data, nets):
    rows = data.matrix[data.rows[6_100:]]
    outputs = mean_outputs(nets[1], rows)
    shift = outputs[:, 1:] @ PLAINS[1].modes[:, len(LEVELS) // 2]

    assert np.corrcoef(shift, np.tanh(rows[:, features.NAMES.index("return_1")]))[0, 1] > 0.6
    assert np.corrcoef(outputs[:, 0], rows[:, features.NAMES.index("hour_1_sin")])[0, 1] > 0.8


def test_in_the_last_round_alone_rows_of_half_a_year_ago_are_seldom(data):
    before = replace(data, minutes=replace(data.minutes, start=data.minutes.start - networks.RECENT))
    views = Views.of_both((data, data.rows[:6_000]), (before, data.rows[:6_000]))
    *rounds, last = networks._orders(views, np.random.default_rng(4))

    assert len(rounds) == networks.EPOCHS - 1
    assert all((np.sort(each) == np.arange(views.total)).all() for each in rounds)
    assert len(last) == views.total
    assert np.isin(last // 6_000, (1, 3)).mean() == pytest.approx(1 / (1 + np.e), abs=0.01)


def test_the_same_seed_learns_the_same_and_the_hidden_layers_are_shared(data, nets):
    again = networks.taught(Views.of_both((data, data.rows[:6_000])), PLAINS, seed=3, threads=1)

    for number, net in enumerate(nets[1]):
        layers = zip(again[1][number].hidden[0], net.hidden[0], strict=True)
        assert all(np.array_equal(one, other) for one, other in layers)
        assert net.hidden is nets[5][number].hidden


def test_one_looks_at_how_far_the_other_at_how_many():
    sample = np.arange(1_001.0)[:, None] ** 3
    far, many = (look(sample.astype(np.float32)).of(sample[[0, 500, 1_000]])[:, 0] for look in networks.LOOKS.values())

    assert far[2] - far[1] > 2 * (far[1] - far[0])
    assert many[2] - many[1] == pytest.approx(many[1] - many[0], rel=0.01)
    assert many[1] == pytest.approx(0, abs=0.01)


def test_what_is_equal_stands_in_the_middle_of_its_rank():
    values = np.repeat([0, 0, 0, 1], 1_000)[:, None].astype(np.float32)
    low, high = networks.ranked(values).of(np.array([[0], [1]], np.float32))[:, 0]

    assert low == pytest.approx(-0.47, abs=0.05)  # near the mean of the lower three quarters of a normal distribution
    assert high == pytest.approx(1.37, abs=0.05)
    assert not networks.straight(np.full((50_000, 1), 0.1, np.float32)).of(np.array([[7.0]])).any()
    assert not networks.ranked(np.full((100, 1), np.nan, np.float32)).of(values[:3]).any()


def test_a_feature_that_does_not_vary_says_nothing_later(data, nets):
    rows = data.matrix[data.rows[-5:]].copy()
    column = features.NAMES.index("unknown_1440")
    assert np.ptp(data.matrix[data.rows[:6_000], column]) == 0
    before, rows[:, column] = mean_outputs(nets[1], rows), 0.05

    assert mean_outputs(nets[1], rows).tobytes() == before.tobytes()


def test_its_slopes_are_those_of_the_loss(monkeypatch):
    monkeypatch.setattr(networks, "DROPOUT", 0.0)
    source = np.random.default_rng(0)
    returns, rows = (
        source.normal(size=(4_000, 2)).astype(np.float32),
        source.normal(size=(4_000, 12)).astype(np.float32),
    )
    loss = networks._Loss(PLAINS, returns)
    sizes = (12, 16, 8, loss.factors.size)
    arrays = []
    for inputs, outputs in pairwise(sizes):
        arrays += [0.2 * source.normal(size=(inputs, outputs)), 0.2 * source.normal(size=outputs)]
    arrays = [array.astype(np.float32) for array in (*arrays, 0.05 * source.normal(size=(12, sizes[-1])))]
    learnt = networks._Learnt(networks.straight(rows), arrays)

    def value():
        outputs = learnt.net().outputs(rows).astype(np.float64).reshape(len(rows), 2, -1)
        quantiles = np.exp(outputs[..., :1]) * (loss.shapes + np.einsum("nhk,hkl->nhl", outputs[..., 1:], loss.modes))
        lost = [pinball(returns[:, at], quantiles[:, at]).mean() / loss.size[at] for at in range(2)]
        return np.mean(lost)

    for array, slope in zip(
        arrays, networks._slopes(learnt.net(), rows, np.arange(len(rows)), loss, source), strict=True
    ):
        kept, way = array.copy(), source.normal(size=array.shape).astype(np.float32)
        sides = []
        for step in (5e-3, -5e-3):
            array[...] = kept + step * way
            sides.append(value())
        array[...] = kept
        assert (sides[0] - sides[1]) / 1e-2 == pytest.approx(float((slope * way).sum()), rel=0.05, abs=1e-4)
