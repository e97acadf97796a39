"""The functions that forecast, and that decide which model may."""

import io
import math
import tarfile
from collections.abc import Mapping
from pathlib import Path

import boto3
import numpy as np
import pytest
import xgboost as xgb

from btc import bars, baselines, models, serving
from btc.aws import clients
from btc.aws.forecasts import ForecastTable
from btc.aws.models import NotPromotableError
from btc.aws.state import StateTable
from btc.aws.tables import BarTable, bar_item
from btc.conformal import Offsets
from btc.features import LOOK_BACK, NAMES
from btc.forecasts import HORIZONS, LEVELS, Reason
from btc.heads import Heads
from btc.minutes import Minutes
from btc.models import Model, Taught
from btc.settings import Forecast, PromoteModel
from btc.tape import Watermark
from btc.times import DAY, FOREVER, MINUTE, SECOND, iso
from btc.trades import Trade, Trades
from tests.model.rivals import FIXED
from tests.unit.aws import CONTEXT, aws, load
from tests.unit.market import BTC, NOON

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]
LAST = NOON + LOOK_BACK * MINUTE
NOW = LAST + MINUTE + 2 * SECOND


def artefact(folder: Path, trained_until: int) -> bytes:
    """A small real model as it lies in S3."""
    generator = np.random.default_rng(7)
    rows = generator.normal(size=(500, len(NAMES))).astype(np.float32)
    parameters = {"objective": "reg:quantileerror", "quantile_alpha": LEVELS, "max_depth": 2, "nthread": 1}
    matrix = xgb.QuantileDMatrix(rows, generator.normal(size=500))
    size = xgb.train({"max_depth": 2, "nthread": 1}, matrix, num_boost_round=3)
    heads = {horizon: Heads(size, xgb.train(parameters, matrix, num_boost_round=3)) for horizon in HORIZONS}
    offsets = {horizon: np.zeros(len(LEVELS)) for horizon in HORIZONS}
    rolling = dict.fromkeys(HORIZONS, Offsets.none(np.linspace(1e-4, 1e-3, 100)))
    models.write(folder, Taught(heads, offsets, rolling, FIXED), rows[:3], {"trained_until": iso(trained_until)})
    return packed({file.name: file.read_bytes() for file in sorted(folder.iterdir())})


def packed(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def register(data: bytes, name: str) -> str:
    """The ARN of a package in the registry whose artefact is `data`."""
    clients.s3().put_object(Bucket="lake", Key=name, Body=data)
    registry = clients.sagemaker()
    if not registry.list_model_package_groups()["ModelPackageGroupSummaryList"]:
        registry.create_model_package_group(ModelPackageGroupName="bitcoin")
    return registry.create_model_package(
        ModelPackageGroupName="bitcoin",
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [{"Image": "xgboost", "ModelDataUrl": f"s3://lake/{name}"}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )["ModelPackageArn"]


@pytest.fixture
def promote(aws):
    module = load("promote_model", PromoteModel(state_table="state", model_package_group="bitcoin"))

    def told(arn, approved_at=NOON):
        module.handler({"time": iso(approved_at), "detail": {"ModelPackageArn": arn}}, CONTEXT)

    return told


@pytest.fixture
def forecast(aws, monkeypatch):
    settings = Forecast(
        bars_table="bars",
        forecasts_table="forecasts",
        state_table="state",
        retention_days=30,
        max_bar_age_s=600,
        max_model_age_days=30,
    )
    module = load("forecast", settings)
    monkeypatch.setattr(module.time, "time_ns", lambda: NOW * 1000)

    def run(*changed):
        records = [{"eventName": "MODIFY", "dynamodb": {"NewImage": bar_item(bar)}} for bar in changed]
        module.handler({"Records": records}, CONTEXT)
        table = ForecastTable("forecasts", clients.dynamodb())
        kept = [table.between(BTC, horizon, NOON, FOREVER) for horizon in HORIZONS]
        return [each[-1].forecast if each else None for each in kept]

    return run


@pytest.fixture(scope="module")
def history() -> Trades:
    """A trade a minute over a whole look-back and the minute before it, which joins its first."""
    steps = np.random.default_rng(3).normal(scale=5e-4, size=LOOK_BACK + 2).cumsum()
    return Trades.of(
        BTC,
        [
            Trade(BTC, row, NOON + (row - 1) * MINUTE, round(1e13 * math.exp(step)), 10**7, row % 2 == 0)
            for row, step in enumerate(steps)
        ],
    )


def store(history: Trades):
    """The proven bars of these trades into the table, many at a time; the last of them."""
    made = bars.prove(bars.merge({}, history), [Watermark(BTC, LAST + MINUTE, LOOK_BACK + 1)])
    items = [{**bar_item(bar), "version": {"N": "1"}} for bar in made.values()]
    for first in range(0, len(items), 25):
        puts = [{"PutRequest": {"Item": item}} for item in items[first : first + 25]]
        clients.dynamodb().batch_write_item(RequestItems={"bars": puts})
    return made[LAST]


def forget_forecasts() -> None:
    client = clients.dynamodb()
    for item in client.scan(TableName="forecasts")["Items"]:
        client.delete_item(TableName="forecasts", Key={name: item[name] for name in ("series", "target_time")})


def test_a_closed_bar_brings_the_champions_forecast_for_every_horizon(forecast, promote, history, tmp_path):
    promote(register(artefact(tmp_path, NOON), "model.tar.gz"))
    made = forecast(store(history))

    assert [each.target_time for each in made] == [LAST + MINUTE + horizon * MINUTE for horizon in HORIZONS]
    assert {each.as_of for each in made} == {LAST + MINUTE}
    assert not any(each.baseline for each in made)
    assert all(list(each.quantiles) == sorted(each.quantiles) for each in made)
    assert {each.model_version for each in made} == {StateTable("state", clients.dynamodb()).champion().model_version}


def test_without_a_champion_the_baseline_is_served_and_says_so(forecast, history):
    made = forecast(store(history))

    assert {(each.baseline, each.model_version) for each in made} == {(True, baselines.VERSION)}
    assert {each.baseline_reason for each in made} == {Reason.NO_CHAMPION}


def test_a_champion_serves_until_its_last_day_and_then_gives_way_to_the_baseline(forecast, promote, history, tmp_path):
    bar = store(history)
    promote(register(artefact(tmp_path / "old", NOW - 30 * DAY - SECOND), "old.tar.gz"))
    assert {(each.baseline, each.baseline_reason) for each in forecast(bar)} == {(True, Reason.EXPIRED)}

    forget_forecasts()
    promote(register(artefact(tmp_path / "last-day", NOW - 30 * DAY), "last-day.tar.gz"))
    assert {(each.baseline, each.baseline_reason) for each in forecast(bar)} == {(False, None)}


@pytest.mark.parametrize("missing", [range(2), range(600, 602 + LOOK_BACK // 10)])
def test_where_the_look_back_is_not_whole_the_baseline_is_served_and_says_so(
    missing, forecast, promote, history, tmp_path
):
    promote(register(artefact(tmp_path, NOON), "model.tar.gz"))
    kept = [trade for row, trade in enumerate(history) if row not in missing]
    made = forecast(store(Trades.of(BTC, kept)))

    assert {(each.baseline, each.baseline_reason) for each in made} == {(True, Reason.INCOMPLETE)}


def test_where_not_even_a_baseline_has_history_enough_nothing_is_forecast_and_it_is_said(forecast, history, caplog):
    made = forecast(store(Trades.of(BTC, list(history)[-200:])))

    assert made == [None] * len(HORIZONS)
    [said] = [each for each in caplog.records if each.message == "too little history"]
    assert "a baseline needs 240" in said.cause


def test_what_every_baseline_says_is_kept_beside_the_forecast(forecast, promote, history, tmp_path):
    promote(register(artefact(tmp_path, NOON), "model.tar.gz"))
    bar = store(history)
    made = forecast(bar)
    minutes = Minutes.of_bars(BarTable("bars", clients.dynamodb()).between(BTC, NOON, bar.end))
    expected = serving.forecast(BTC, minutes, Model.open(tmp_path))
    served = serving.forecast(BTC, minutes, None)

    assert {tuple(each.baselines) for each in made} == {tuple(baselines.VOLATILITIES)}
    assert [each.baselines for each in made] == [each.baselines for each in expected]
    assert [each.baselines[baselines.SERVED] for each in made] == [each.quantiles for each in served]


def test_a_bar_that_closed_long_ago_is_history_and_gets_no_forecast(forecast, history):
    store(history)
    old = BarTable("bars", clients.dynamodb()).between(BTC, LAST - 60 * MINUTE, LAST - 59 * MINUTE)[0]

    assert forecast(old) == [None] * len(HORIZONS)


def test_a_new_champion_serves_without_a_deployment_and_an_older_one_again_after_a_rollback(promote, tmp_path):
    state = StateTable("state", clients.dynamodb())
    first = register(artefact(tmp_path / "1", NOON), "1.tar.gz")
    second = register(artefact(tmp_path / "2", NOON + DAY), "2.tar.gz")
    served = []
    for arn in (first, second, first):
        promote(arn)
        served.append(state.champion().artefact)

    assert served == ["s3://lake/1.tar.gz", "s3://lake/2.tar.gz", "s3://lake/1.tar.gz"]


def test_an_approval_that_comes_late_changes_nothing_of_a_later_one(promote, tmp_path, caplog):
    """As one that failed, and was delivered again once its cause was mended."""
    state = StateTable("state", clients.dynamodb())
    first, second = (register(artefact(tmp_path / name, NOON), f"{name}.tar.gz") for name in ("1", "2"))
    promote(second, NOON + SECOND)
    promote(first, NOON)
    assert state.champion().artefact == "s3://lake/2.tar.gz"
    assert [each.message for each in caplog.records][-1] == "overtaken"

    promote(first, NOON + MINUTE)
    assert state.champion().artefact == "s3://lake/1.tar.gz", "approved anew, it is a rollback"


@pytest.mark.parametrize("left", ["of an older format", "gone"])
def test_a_champion_that_this_version_cannot_read_gives_way_to_the_baseline_and_is_told(  # noqa: PLR0917
    left, forecast, promote, history, tmp_path, caplog
):
    bar = store(history)
    promote(register(artefact(tmp_path, NOON), "model.tar.gz"))
    older = (tmp_path / models.DESCRIPTION).read_text().replace(f'"{models.FORMAT}"', '"model/3"')
    clients.s3().put_object(Bucket="lake", Key="model.tar.gz", Body=packed({models.DESCRIPTION: older.encode()}))
    if left == "gone":
        clients.s3().delete_object(Bucket="lake", Key="model.tar.gz")
    made = forecast(bar)

    assert {(each.baseline, each.baseline_reason) for each in made} == {(True, Reason.UNREADABLE)}
    [told] = [each for each in caplog.records if each.message == "champion unreadable"]
    assert ("is not there" if left == "gone" else f"this code reads {models.FORMAT}: train anew") in told.cause


def test_a_damaged_artefact_is_refused_and_the_champion_stays(promote, tmp_path):
    good = artefact(tmp_path, NOON)
    promote(register(good, "good.tar.gz"))
    damaged = bytearray(good)
    damaged[len(good) // 2] ^= 0xFF

    with pytest.raises(models.ModelError):
        promote(register(bytes(damaged), "damaged.tar.gz"))
    assert StateTable("state", clients.dynamodb()).champion().artefact == "s3://lake/good.tar.gz"


def test_only_an_approved_package_of_the_own_group_is_promoted(promote, tmp_path):
    arn = register(artefact(tmp_path, NOON), "model.tar.gz")
    clients.sagemaker().update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Rejected")
    with pytest.raises(NotPromotableError, match="is Rejected: only an Approved model of bitcoin"):
        promote(arn)

    clients.sagemaker().update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    other = load("promote_model", PromoteModel(state_table="state", model_package_group="another"))
    with pytest.raises(NotPromotableError, match="only an Approved model of another"):
        other.handler({"time": iso(NOON), "detail": {"ModelPackageArn": arn}}, CONTEXT)
    assert StateTable("state", clients.dynamodb()).champion() is None


def test_a_package_without_a_model_is_refused_by_name(promote, aws):
    boto3.client("sagemaker").create_model_package_group(ModelPackageGroupName="bitcoin")
    arn = boto3.client("sagemaker").create_model_package(ModelPackageGroupName="bitcoin")["ModelPackageArn"]

    with pytest.raises(ValueError, match="no model data"):
        promote(arn)
