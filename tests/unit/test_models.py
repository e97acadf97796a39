"""The artefact: what is written is what is read, and what is damaged is refused."""

import json
import tarfile

import numpy as np
import pytest
import xgboost as xgb

from btc import features, models
from btc.conformal import Offsets
from btc.features import LOOK_BACK, NAMES
from btc.forecasts import HORIZONS, LEVELS
from btc.heads import Heads
from btc.models import Model, ModelError, Taught
from tests.model.rivals import FIXED
from tests.model.walks import walk

MINUTES = walk(LOOK_BACK + 400)
ROWS = features.matrix(MINUTES)[LOOK_BACK:]
ABOUT = {"trained_until": "2026-11-01T00:00:00Z", "metrics": {}}
ROLLING = dict.fromkeys(HORIZONS, Offsets.none(np.linspace(1e-4, 1e-3, 100)))


@pytest.fixture(scope="module")
def heads():
    generator = np.random.default_rng(5)
    shared = {"max_depth": 3, "nthread": 1, "seed": 1}
    quantile = {"objective": "reg:quantileerror", "quantile_alpha": LEVELS, "multi_strategy": "multi_output_tree"}
    matrix = xgb.QuantileDMatrix(ROWS, generator.normal(size=len(ROWS)))
    return {
        horizon: Heads(xgb.train(shared, matrix, 2), xgb.train({**shared, **quantile}, matrix, 4))
        for horizon in HORIZONS
    }


@pytest.fixture
def folder(tmp_path, heads):
    offsets = {horizon: np.linspace(-0.1, 0.1, len(LEVELS)) for horizon in HORIZONS}
    models.write(tmp_path / "model", Taught(heads, offsets, ROLLING, FIXED), ROWS[:4], ABOUT)
    return tmp_path / "model"


def describe(folder, **changes):
    path = folder / models.DESCRIPTION
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_model_predicts_the_same_from_a_folder_and_from_an_archive(folder, tmp_path):
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=".")
    read, unpacked = Model.open(folder), Model.open(archive)
    unpacked.verify()

    assert unpacked.version == read.version == read.description["model_version"]
    assert read.version.startswith("2026-11-01-")
    for horizon, values in read.predict(ROWS).items():
        assert values.tobytes() == unpacked.predict(ROWS)[horizon].tobytes()


def test_quantiles_are_sorted_and_one_row_predicts_as_in_the_matrix(folder):
    model = Model.open(folder)
    whole = model.predict(ROWS)
    alone = model.predict(ROWS[7:8])

    assert model.horizons == HORIZONS
    for horizon in HORIZONS:
        assert whole[horizon].shape == (len(ROWS), len(LEVELS))
        assert (np.diff(whole[horizon], axis=1) >= 0).all()
        np.testing.assert_array_equal(alone[horizon][0], whole[horizon][7])


def test_samples_with_unrecorded_features_are_proven_too(tmp_path, heads):
    rows = ROWS[:2].copy()
    rows[:, NAMES.index("trades_5")] = np.nan
    offsets = {horizon: np.zeros(len(LEVELS)) for horizon in HORIZONS}

    models.write(tmp_path, Taught(heads, offsets, ROLLING, FIXED), rows, ABOUT).verify()


def test_a_sample_that_comes_out_otherwise_is_refused_by_its_difference(folder):
    samples = Model.open(folder).description["samples"]
    samples["quantiles"]["5"][0][3] += 0.25
    describe(folder, samples=samples)

    with pytest.raises(ModelError, match=r"at 5 min .* 0\.25 away"):
        Model.open(folder).verify()


@pytest.mark.parametrize("name", ["calibration", "rolling", "weights", "shapes", "trained_until"])
def test_what_predicts_is_refused_where_it_is_not_what_was_written(folder, name):
    description = Model.open(folder).description
    told = json.loads(json.dumps(description[name]))
    if name in ("calibration", "shapes"):
        told["60"][3] += 0.01
    elif name == "rolling":
        told["values"]["5"][0][0] = float("nan")
    changed = {"weights": {"5": 0.5}, "trained_until": "2030-01-01T00:00:00Z"}.get(name, told)
    describe(folder, **{name: changed})

    with pytest.raises(ModelError, match=r"no model artefact|is not what"):
        Model.open(folder)


@pytest.mark.parametrize("name", ["rolling", "calibration", "trained_until", "modes", "har", "model_version"])
def test_what_is_missing_of_a_description_is_refused(folder, name):
    path = folder / models.DESCRIPTION
    description = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in description.items() if key != name}))

    with pytest.raises(ModelError, match=name):
        Model.open(folder)


@pytest.mark.parametrize("samples", [{}, {"rows": [], "quantiles": {}}])
def test_a_model_without_sample_rows_is_not_verified(folder, samples):
    describe(folder, samples=samples)

    with pytest.raises(ModelError, match="sample rows"):
        Model.open(folder).verify()


@pytest.mark.parametrize("name", ["quantiles_15.ubj", "spread_1.ubj"])
def test_a_damaged_booster_is_refused_by_name(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (folder / name).write_bytes(data)

    with pytest.raises(ModelError, match=name):
        Model.open(folder)


def test_what_is_missing_or_cut_is_refused(folder, tmp_path):
    (folder / "quantiles_1.ubj").unlink()
    with pytest.raises(ModelError, match=r"quantiles_1\.ubj"):
        Model.open(folder)
    with pytest.raises(ModelError, match="no model artefact"):
        Model.open(tmp_path / "nowhere.tar.gz")
    (tmp_path / "cut.tar.gz").write_bytes(b"\x1f\x8b\x08")
    with pytest.raises(ModelError, match="no model artefact"):
        Model.open(tmp_path / "cut.tar.gz")


@pytest.mark.parametrize(("name", "value"), [("features", ["return_1"]), ("levels", [0.5])])
def test_a_model_made_for_other_features_or_levels_is_refused(folder, name, value):
    describe(folder, **{name: value})

    with pytest.raises(ModelError, match=f"other {name}"):
        Model.open(folder)


@pytest.mark.parametrize("older", ["model/1", "model/2", "model/7", "model/8", None])
def test_a_model_of_another_format_is_refused_by_its_format_before_anything_of_it_is_read(folder, older):
    description = {"model_version": "2025-11-01-abc"} if older is None else {"format": older}
    (folder / models.DESCRIPTION).write_text(json.dumps(description))

    with pytest.raises(ModelError, match=f"of the format {older}; this code reads {models.FORMAT}: train anew"):
        Model.open(folder)


def test_what_the_rolling_calibration_has_learnt_is_kept_exactly_and_given_as_a_copy(tmp_path, heads):
    learnt = {horizon: Offsets.none(np.linspace(1e-4, 1e-3, 100)) for horizon in HORIZONS}
    for horizon, offsets in learnt.items():
        offsets.values[:] = np.random.default_rng(horizon).normal(size=offsets.values.shape)
    zeros = {horizon: np.zeros(len(LEVELS)) for horizon in HORIZONS}
    model = models.write(tmp_path, Taught(heads, zeros, learnt, FIXED), ROWS[:2], ABOUT)
    model.offsets()[5].values[:] = 0.0

    for horizon, offsets in model.offsets().items():
        assert offsets.values.tobytes() == learnt[horizon].values.tobytes()
        assert offsets.edges.tobytes() == learnt[horizon].edges.tobytes()


def test_a_rolling_calibration_of_another_shape_is_refused(folder):
    rolling = Model.open(folder).description["rolling"]
    describe(folder, rolling={**rolling, "values": {name: [[0.0]] for name in rolling["values"]}})

    with pytest.raises(ModelError, match=r"rolling calibration has the shapes \{\(1, 1\)\}"):
        Model.open(folder)
