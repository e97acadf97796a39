"""Growing: gradients are those of the losses, modes are ways of the density, and what is unknown weighs nothing."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xgboost as xgb
from scipy.stats import norm

from btc.forecasts import LEVELS
from training import growth
from training.growth import FINE, MODES, Laplace, Pinball

GENERATOR = np.random.default_rng(5)
SHAPE = norm.ppf(LEVELS)
ROWS = GENERATOR.normal(size=(4_000, 3)).astype(np.float32)
TRUTH = GENERATOR.normal(size=len(ROWS)) * np.where(ROWS[:, 0] > 0, 1.5, 0.5) + 0.3 * (ROWS[:, 1] > 0)
NOTHING = xgb.QuantileDMatrix(ROWS)


def slope(losses, predicted, step=1e-6):
    """The finite difference of the summed losses in each prediction."""
    return (losses(predicted + step) - losses(predicted - step)) / (2 * step)


def test_laplaces_gradient_is_that_of_its_loss():
    objective, predicted = Laplace(np.abs(TRUTH)), GENERATOR.normal(scale=0.5, size=len(ROWS))
    gradient, curvature = objective(predicted, NOTHING)

    np.testing.assert_allclose(gradient, slope(objective.losses, predicted), atol=1e-4)
    assert (curvature == 1).all()


@pytest.mark.parametrize("mode", range(MODES))
def test_pinballs_gradient_is_that_of_its_loss(mode):
    modes = growth.modes(SHAPE)
    objective = Pinball(TRUTH, SHAPE, modes)
    amounts = GENERATOR.normal(scale=0.05, size=(len(ROWS), MODES))
    gradient, _ = objective(amounts.astype(np.float32), NOTHING)

    def losses(amount):
        return len(LEVELS) * objective.losses(np.column_stack([amounts[:, :mode], amount, amounts[:, mode + 1 :]]))

    # Where a quantile lies on the truth the loss has a corner: leave those few rows out.
    apart = np.abs(TRUTH[:, None] - (SHAPE + amounts @ modes)).min(axis=1) > 1e-4
    np.testing.assert_allclose(gradient[apart, mode], slope(losses, amounts[:, mode])[apart], atol=1e-3)


def test_modes_are_orthonormal_under_the_density_and_begin_with_a_shift_and_the_width():
    modes, fine = growth.modes(SHAPE), growth.modes(SHAPE, FINE)
    density = np.minimum(1 / np.gradient(SHAPE, LEVELS), 2.5 * np.median(1 / np.gradient(SHAPE, LEVELS)))

    np.testing.assert_allclose((modes * density) @ modes.T, np.eye(MODES), atol=1e-9)
    np.testing.assert_allclose((fine * density) @ fine.T, np.eye(FINE), atol=1e-9)
    np.testing.assert_allclose(fine[:MODES], modes, atol=1e-9)
    np.testing.assert_allclose(modes[0], modes[0, 0])
    assert abs(np.corrcoef(modes[1], SHAPE)[0, 1]) == pytest.approx(1)


def test_what_is_unknown_weighs_nothing():
    unknown = np.where(np.arange(len(TRUTH)) % 2, TRUTH, np.nan)
    for objective, outputs in ((Laplace(np.abs(unknown)), 1), (Pinball(unknown, SHAPE, growth.modes(SHAPE)), MODES)):
        gradient, curvature = objective(np.zeros((len(ROWS), outputs) if outputs > 1 else len(ROWS)), NOTHING)
        assert not gradient[::2].any()
        assert not curvature[::2].any()
        assert np.isfinite(gradient).all()


def test_trees_find_what_moves_the_quantiles_and_how_wide_they_are():
    params = growth.booster_params({"max_depth": 2, "eta": 0.3, "min_child_share": 0.01}, len(ROWS), 1, 1)
    matrix, modes = growth.quantised(ROWS, 1), growth.modes(SHAPE)
    objective = Pinball(TRUTH, SHAPE, modes)
    quantiles = SHAPE + growth.grow(params, matrix, objective, rounds=40).inplace_predict(ROWS) @ modes
    width = quantiles[:, -1] - quantiles[:, 0]

    assert width[ROWS[:, 0] > 0].mean() > 2 * width[ROWS[:, 0] <= 0].mean()
    assert quantiles[ROWS[:, 1] > 0, 9].mean() > quantiles[ROWS[:, 1] <= 0, 9].mean() + 0.15
    spread = np.exp(growth.grow(params, matrix, Laplace(np.abs(TRUTH)), rounds=40).inplace_predict(ROWS))
    assert spread[ROWS[:, 0] > 0].mean() > 2 * spread[ROWS[:, 0] <= 0].mean()


def sharded(count, monkeypatch):
    monkeypatch.setattr(growth, "SHARD", len(ROWS) // count)
    return growth.Shards.of(lambda part: ROWS[part], len(ROWS), 1)


def test_shards_hold_every_row_once(monkeypatch):
    shards = sharded(3, monkeypatch)

    assert [each.num_row() for each in shards.matrices] == [len(ROWS[part]) for part in shards.parts]
    held = np.concatenate([np.arange(len(ROWS))[part] for part in shards.parts])
    assert sorted(held) == list(range(len(ROWS)))
    assert shards.num_row() == len(ROWS)


def test_what_is_absent_is_told_by_the_rows_that_lend_their_cuts(monkeypatch):
    def held(matrix):
        return matrix.num_nonmissing()

    partly, never = ROWS.copy(), ROWS.copy()
    partly[2_000:, 1] = np.nan
    never[:, 1] = np.nan
    monkeypatch.setattr(growth, "SHARD", len(ROWS))
    known, unknown = (
        growth.Shards.of(lambda part, rows=rows: rows[part], len(rows), 1) for rows in (partly[:3_000], never[:3_000])
    )
    judged = {
        name: growth.Shards.of(lambda part: partly[3_000:][part], 1_000, 1, like)
        for name, like in {"known": known, "unknown": unknown}.items()
    }

    assert held(unknown.matrices[0]) == 9_000, "a value that never comes is none that is missing"
    assert held(judged["unknown"].matrices[0]) == 3_000
    assert held(known.matrices[0]) == 8_000
    assert held(judged["known"].matrices[0]) == 2_000, "here it is missing, as it will be where it is served"


def test_trees_that_take_turns_on_shards_tell_what_one_matrix_tells(monkeypatch):
    params = growth.booster_params({"max_depth": 2, "eta": 0.2, "min_child_share": 0.01}, 1_000, 1, 1)
    shards, start = sharded(4, monkeypatch), np.where(ROWS[:, 2] > 0, 0.2, -0.2)
    whole, turns = (
        growth.grow(params, matrix, Laplace(np.abs(TRUTH)), start=start, rounds=60).inplace_predict(ROWS)
        for matrix in (growth.quantised(ROWS, 1), shards)
    )

    assert np.corrcoef(whole, turns)[0, 1] > 0.95
    # What the start says too much the trees take back: each shard's rows begin where those rows do.
    assert abs(turns[start > 0].mean() - turns[start < 0].mean() + 0.4) < 0.1


def test_boosters_that_grow_at_a_time_come_out_as_one_after_the_other(monkeypatch):
    shards, modes = sharded(2, monkeypatch), growth.modes(SHAPE)
    objective = Pinball(TRUTH, SHAPE, modes)

    def grown(depth):
        params = growth.booster_params({"max_depth": depth, "eta": 0.2, "min_child_share": 0.01}, 2_000, 1, 1)
        return bytes(growth.grow(params, shards, objective, rounds=30).save_raw("ubj"))

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(grown, (2, 3, 4, 5)))
    assert together == [grown(depth) for depth in (2, 3, 4, 5)]


def test_trees_grow_on_the_processor_unless_there_is_a_card():
    built = bool(xgb.build_info()["USE_CUDA"])

    assert growth.device("cuda") == "cuda"
    assert growth.device("auto") == "cpu" or built
    assert "device" not in growth.booster_params({"min_child_share": 0.01}, 100, 1, 1)
    assert growth.booster_params({"min_child_share": 0.01}, 100, 1, 1, "cuda")["device"] == "cuda"


def test_growing_stops_where_the_validation_gains_no_more():
    params = growth.booster_params({"max_depth": 6, "eta": 0.5, "min_child_share": 0.0}, len(ROWS), 1, 1)
    modes = growth.modes(SHAPE)
    fit = growth.quantised(ROWS[:3_000], 1)
    validate = growth.quantised(ROWS[3_000:], 1, fit)
    judge = (validate, Pinball(TRUTH[3_000:], SHAPE, modes))
    booster = growth.grow(params, fit, Pinball(TRUTH[:3_000], SHAPE, modes), validation=judge)

    assert booster.num_boosted_rounds() < growth.MAX_ROUNDS
    assert booster.best_iteration < booster.num_boosted_rounds()
