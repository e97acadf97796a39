"""Each alarm on what the code prints goes off by that metric when its fault is caused, and stays off without it.

What AWS itself measures (streams, the API, rules) no code prints: see tests/infra/test_monitoring.py and
tests/infra/test_alarms_of_aws.py.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from btc import forecasts, settings
from btc.aws import clients
from btc.aws.forecasts import ForecastTable
from btc.aws.scores import ScoreTable
from btc.aws.state import StateTable
from btc.aws.tables import BarTable, bar_item
from btc.champions import Champion
from btc.feeds.kraken import Kraken
from btc.scores import Duel, Sums
from btc.tape import Watermark
from btc.times import DAY, HOUR, MINUTE, SECOND, day_of, iso
from btc.trades import Trade, Trades
from cdk.settings import Stage
from functions.ingest_trades import __main__ as task
from functions.ingest_trades import report
from tests.infra.alarming import Sample, alarms, samples, state
from tests.infra.assembly import Assembly, resolved
from tests.unit import ingesting
from tests.unit.aws import CONTEXT, aws, fold, kinesis_event, load
from tests.unit.market import BTC, NOON
from tests.unit.rest_server import serving
from tests.unit.test_feeds_halts import ACK, HEARTBEAT, status, update
from tests.unit.test_forecast import artefact
from training import pipeline

__all__ = ["aws"]
CAUSED = (
    *("FeedSilent", "VenueHalted", "RecordsUnreadable", "BTCUSDUnproven"),
    *("BTCUSDForecastsLate", "ModelOld", "ModelUnreadable", "CoverageDrifts", "SkillDrifts"),
)
MIDNIGHT = day_of(NOON)
TIMED = SimpleNamespace(**vars(CONTEXT), get_remaining_time_in_millis=lambda: 45_000)
NAMES = {"BARS_TABLE": "bars", "FORECASTS_TABLE": "forecasts", "SCORES_TABLE": "scores", "STATE_TABLE": "state"}
VERSION = "2025-11-01-abc"

Printed = Callable[[Callable[[], object]], list[Sample]]


@dataclass
class Deployed:
    """A function under the environment that the template gives it, tables apart, and what it prints."""

    assembly: Assembly
    capsys: pytest.CaptureFixture[str]

    def load(self, name: str, kind: type[settings.Settings], **other: str) -> ModuleType:
        told = resolved(self.assembly.functions[name]["Properties"]["Environment"]["Variables"])
        os.environ.update({**told, **{key: value for key, value in NAMES.items() if key in told}, **other})
        return load(name, kind.from_env(os.environ))

    def printed(self, run: Callable[[], object]) -> list[Sample]:
        """The metrics that `run` prints; none is an accident of an earlier one."""
        self.capsys.readouterr()
        run()
        return samples(self.capsys.readouterr().out)


@pytest.fixture
def deployed(aws: None, dev: Assembly, capsys: pytest.CaptureFixture[str]) -> Deployed:
    return Deployed(dev, capsys)


def of(name: str, deployed: Deployed) -> Callable[..., str]:
    """The alarm's state after its periods, each of which brought these samples."""
    alarm = alarms(deployed.assembly)[name]

    def after(found: list[Sample]) -> str:
        return state(alarm, [found] * alarm["EvaluationPeriods"])

    return after


# --- the feed


def fed(deployed: Deployed, monkeypatch: pytest.MonkeyPatch, *frames: bytes, lasts: float) -> list[Sample]:
    """What the ingest task tells after these frames of Kraken's and silence until `lasts` (s)."""
    container = deployed.assembly.task("ingest_trades")["ContainerDefinitions"][0]
    environment = {each["Name"]: resolved(each["Value"]) for each in container["Environment"]}
    for name in ("DETAILED_METRICS", "POWERTOOLS_METRICS_NAMESPACE"):
        monkeypatch.setenv(name, environment[name])
    ingestion, _ = ingesting.ingest(Kraken(), BTC, frames, ingesting.Past(BTC, [1]), lasts)
    monkeypatch.setattr(report, "time", SimpleNamespace(monotonic=ingestion.clock))
    return deployed.printed(report.Report(ingestion, task.logger).send)


def test_a_feed_that_falls_silent_is_told_and_so_is_a_task_that_does_not_run(deployed, monkeypatch):
    goes = of("FeedSilent", deployed)

    assert goes(fed(deployed, monkeypatch, ACK, update(2), *[HEARTBEAT] * 100, lasts=6)) == "OK"
    assert goes(fed(deployed, monkeypatch, ACK, update(2), HEARTBEAT, lasts=90)) == "ALARM"
    assert goes([]) == "ALARM"


def test_a_venue_that_halts_is_told_until_it_goes_on(deployed, monkeypatch):
    goes = of("VenueHalted", deployed)

    assert goes(fed(deployed, monkeypatch, ACK, status("maintenance"), lasts=5)) == "ALARM"
    assert goes(fed(deployed, monkeypatch, ACK, status("maintenance"), status("online"), lasts=5)) == "OK"


def test_a_record_that_cannot_be_read_is_told(deployed):
    goes, module = of("RecordsUnreadable", deployed), deployed.load("aggregate_bars", settings.AggregateBars)
    trades = Trades.of(BTC, [Trade(BTC, 1, NOON, 10**13, 10**8, True)])

    def given(*entries: Any) -> list[Sample]:
        return deployed.printed(lambda: module.handler(kinesis_event(entries), CONTEXT))

    assert goes(given(trades)) == "OK"
    assert goes(given(trades, b"poison")) == "ALARM"


def test_minutes_that_stay_unproven_are_told_and_so_is_an_audit_that_does_not_run(deployed, monkeypatch):
    goes = of("BTCUSDUnproven", deployed)
    clients.kinesis().create_stream(StreamName="trades", ShardCount=1)
    tape = [Trade(BTC, 10 + row, NOON + row * MINUTE, 10**13, 10**8, True) for row in range(6)]

    def audited(url: str) -> list[Sample]:
        module = deployed.load("audit_bars", settings.AuditBars, STREAM="trades", REST_URL=url)
        monkeypatch.setattr(module.time, "time_ns", lambda: (NOON + 20 * MINUTE) * 1000)
        return deployed.printed(lambda: module.handler({}, TIMED))

    with serving(lambda *_: {"error": ["EQuery:Unknown asset pair"]}) as refusing:
        fold([tape[0], *tape[3:]], Watermark(BTC, NOON + 6 * MINUTE, 15))
        assert goes(audited(refusing.url)) == "ALARM"
        fold(tape)
        assert goes(audited(refusing.url)) == "OK"
    assert goes([]) == "ALARM"


# --- the forecasts


def forecast_from(deployed: Deployed, monkeypatch: pytest.MonkeyPatch, start: int, late_s: int = 2) -> list[Sample]:
    """What the function tells of a minute's bar that reaches it so long after its close."""
    module = deployed.load("forecast", settings.Forecast)
    monkeypatch.setattr(module, "time", SimpleNamespace(time_ns=lambda: (start + MINUTE + late_s * SECOND) * 1000))
    rows = range(start // MINUTE - 241, start // MINUTE + 1)
    fold([Trade(BTC, row, row * MINUTE, 10**13 + row % 7, 10**8, True) for row in rows])
    fold([], Watermark(BTC, start + MINUTE, rows[-1]))
    [bar] = BarTable("bars", clients.dynamodb()).between(BTC, start, start + MINUTE)
    event = {"Records": [{"eventName": "MODIFY", "dynamodb": {"NewImage": bar_item(bar)}}]}
    return deployed.printed(lambda: module.handler(event, CONTEXT))


def test_forecasts_that_are_late_are_told_and_so_are_forecasts_that_are_not_made(deployed, monkeypatch):
    goes = of("BTCUSDForecastsLate", deployed)

    assert goes(forecast_from(deployed, monkeypatch, NOON)) == "OK"
    assert goes(forecast_from(deployed, monkeypatch, NOON + MINUTE, late_s=301)) == "ALARM"
    assert goes(forecast_from(deployed, monkeypatch, NOON + 2 * MINUTE, late_s=3600)) == "ALARM", (
        "history is not forecast"
    )
    assert goes([]) == "ALARM"


def looked(deployed: Deployed, monkeypatch: pytest.MonkeyPatch, now: int = MIDNIGHT) -> list[Sample]:
    """What the function that scores tells when it runs then."""
    module = deployed.load("score_forecasts", settings.ScoreForecasts)
    monkeypatch.setattr(module, "time", SimpleNamespace(time_ns=lambda: now * 1000))
    return deployed.printed(lambda: module.handler({}, TIMED))


def test_no_day_between_two_weekly_trainings_is_an_alarm_and_a_missed_one_is_told_before_the_model_expires():
    stage = Stage(name="any")
    resources = ("role", "region", "image", "source", "bars", "models", "group", "state_table")
    parameters = pipeline.definition(**dict.fromkeys(resources, "any"))["Parameters"]
    [tested] = [int(each["DefaultValue"]) for each in parameters if each["Name"] == "TestDays"]

    assert tested + 7 + 1 < stage.model_warning_days < stage.max_model_age_days


@pytest.mark.parametrize(("days", "expected"), [(22, "OK"), (24, "ALARM")])
def test_a_model_that_has_grown_old_is_told_once_a_day(days, expected, deployed, monkeypatch):
    goes, trained = of("ModelOld", deployed), MIDNIGHT - days * DAY
    champion = Champion(VERSION, "bitcoin/1", "s3://lake/1", iso(trained), iso(trained))
    StateTable("state", clients.dynamodb()).promote(champion, {})

    assert goes(looked(deployed, monkeypatch)) == expected
    assert not looked(deployed, monkeypatch, MIDNIGHT + 5 * MINUTE)
    assert goes(looked(deployed, monkeypatch, MIDNIGHT + 5 * DAY)) == "ALARM"


@pytest.mark.parametrize(("days", "expected"), [(22, "OK"), (24, "ALARM")])
def test_a_first_model_that_never_comes_is_told_and_so_is_that_nobody_looks(days, expected, deployed, monkeypatch):
    goes = of("ModelOld", deployed)
    assert goes(looked(deployed, monkeypatch, MIDNIGHT - 30 * DAY)) == "OK", "nothing has been forecast yet"
    for day in range(days + 1):
        said(MIDNIGHT - day * DAY - HOUR, horizon=60)

    assert goes(looked(deployed, monkeypatch)) == expected
    assert goes([]) == "ALARM"


def test_a_champion_that_the_deployed_version_cannot_read_is_told(deployed, monkeypatch, tmp_path):
    goes = of("ModelUnreadable", deployed)
    clients.s3().put_object(Bucket="lake", Key="1", Body=artefact(tmp_path, NOON))
    champion = Champion(VERSION, "bitcoin/1", "s3://lake/1", iso(NOON), iso(NOON))
    StateTable("state", clients.dynamodb()).promote(champion, {})

    assert goes(forecast_from(deployed, monkeypatch, NOON)) == "OK"
    StateTable("state", clients.dynamodb()).promote(champion._replace(artefact="s3://lake/gone"), {})
    assert goes(forecast_from(deployed, monkeypatch, NOON + MINUTE)) == "ALARM"


@pytest.mark.parametrize(
    ("week", "gone"),
    [({}, None), ({"covered": 48}, "CoverageDrifts"), ({"skill": -0.01}, "SkillDrifts")],
    ids=["as promised", "covers too little", "no better than a baseline"],
)
def test_a_model_that_has_drifted_is_told_by_what_it_has_lost(week, gone, deployed, monkeypatch):
    clients.sagemaker().create_pipeline(
        PipelineName="predict-bitcoin-dev", PipelineDefinition="{}", ClientRequestToken="t" * 32, RoleArn="r" * 20
    )
    StateTable("state", clients.dynamodb()).promote(
        Champion(VERSION, "bitcoin/1", "s3://models/1", iso(NOON - 9 * DAY), iso(NOON - 9 * DAY)),
        {},
    )
    lived(**week)
    [scored] = said_and_come()
    told = looked(deployed, monkeypatch, scored.end + 2 * SECOND)

    for name in ("CoverageDrifts", "SkillDrifts"):
        assert of(name, deployed)(told) == ("ALARM" if name == gone else "OK")


def lived(covered: int = 54, skill: float = 0.02) -> None:
    """Two days of sixty forecasts an hour."""
    sums = Sums(60, covered=covered, duels={"har": Duel(60, round(1e6 * (1 - skill)), 1_000_000)})
    for hour in range(48):
        ScoreTable("scores", clients.dynamodb()).put(BTC, 5, MIDNIGHT - 2 * DAY + hour * HOUR, {VERSION: sums}, 60)


def said(as_of: int, horizon: int) -> None:
    """One forecast."""
    quantiles = {horizon: [0.002 * (level - 0.5) for level in forecasts.LEVELS]}
    [made] = forecasts.of(BTC, as_of, 100_000.0, quantiles, model_version=VERSION, baseline=False)
    assert ForecastTable("forecasts", clients.dynamodb()).add(made, 60)


def said_and_come() -> list[Any]:
    """One forecast, and the bar it was for."""
    said(NOON, horizon=1)
    tape = [Trade(BTC, 10 + row, NOON + (row - 1) * MINUTE, 10**13, 10**8, True) for row in range(2)]
    fold(tape, Watermark(BTC, NOON + MINUTE, 11))
    return BarTable("bars", clients.dynamodb()).between(BTC, NOON, NOON + MINUTE)
