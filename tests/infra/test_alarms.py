"""Each alarm goes off by the metric that the code prints when its fault is caused, and stays off without it.

What AWS itself measures (streams, the API, rules) no code prints: of those alarms the metric's name, its dimensions
and the threshold are held against what AWS documents, and tests/infra/test_alarms_of_aws.py causes their faults on the
local stack.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from btc import settings
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
from functions.ingest_trades import __main__ as task
from functions.ingest_trades import report
from local.patterns import compile_pattern
from tests.infra.alarming import Sample, dimensions, samples, state
from tests.infra.assembly import Assembly, Json, resolved
from tests.unit import ingesting
from tests.unit.aws import CONTEXT, aws, fold, kinesis_event, load
from tests.unit.market import BTC, NOON
from tests.unit.rest_server import serving
from tests.unit.test_feeds_halts import ACK, HEARTBEAT, status, update
from tests.unit.test_forecast import artefact

__all__ = ["aws"]
MIDNIGHT = day_of(NOON)
NAMES = {"BARS_TABLE": "bars", "FORECASTS_TABLE": "forecasts", "SCORES_TABLE": "scores", "STATE_TABLE": "state"}
VERSION = "2025-11-01-abc"

Printed = Callable[[Callable[[], object]], list[Sample]]


def alarms(assembly: Assembly) -> dict[str, Json]:
    """By what the alarm is called, without what the CDK puts around it."""
    found = assembly.of_type("CloudWatch::Alarm").items()
    return {name.removeprefix("Monitoring")[:-8]: resource["Properties"] for name, resource in found}


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
    context = SimpleNamespace(**vars(CONTEXT), get_remaining_time_in_millis=lambda: 45_000)
    tape = [Trade(BTC, 10 + row, NOON + row * MINUTE, 10**13, 10**8, True) for row in range(6)]

    def audited(url: str) -> list[Sample]:
        module = deployed.load("audit_bars", settings.AuditBars, STREAM="trades", REST_URL=url)
        monkeypatch.setattr(module.time, "time_ns", lambda: (NOON + 20 * MINUTE) * 1000)
        return deployed.printed(lambda: module.handler({}, context))

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


@pytest.mark.parametrize(("days", "expected"), [(15, "OK"), (17, "ALARM")])
def test_a_model_that_has_grown_old_is_told_once_a_day(days, expected, deployed, monkeypatch, tmp_path):
    goes, trained = of("ModelOld", deployed), MIDNIGHT - days * DAY
    clients.s3().put_object(Bucket="lake", Key="1", Body=artefact(tmp_path, trained))
    champion = Champion(VERSION, "bitcoin/1", "s3://lake/1", iso(trained), iso(trained))
    StateTable("state", clients.dynamodb()).promote(champion, {})

    told = forecast_from(deployed, monkeypatch, MIDNIGHT - MINUTE)
    assert goes(told) == expected
    assert not [each for each in forecast_from(deployed, monkeypatch, MIDNIGHT) if each[1] == "ModelAge"]


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
    module = deployed.load("score_forecasts", settings.ScoreForecasts)
    clients.sagemaker().create_pipeline(
        PipelineName="predict-bitcoin-dev", PipelineDefinition="{}", ClientRequestToken="t" * 32, RoleArn="r" * 20
    )
    StateTable("state", clients.dynamodb()).promote(
        Champion(VERSION, "bitcoin/1", "s3://models/1", iso(NOON - 9 * DAY), iso(NOON - 9 * DAY)),
        {},
    )
    lived(**week)
    [scored] = said_and_come()
    monkeypatch.setattr(module, "time", SimpleNamespace(time_ns=lambda: (scored.end + 2 * SECOND) * 1000))
    event = {"Records": [{"eventName": "MODIFY", "dynamodb": {"NewImage": bar_item(scored)}}]}
    told = deployed.printed(lambda: module.handler(event, CONTEXT))

    for name in ("CoverageDrifts", "SkillDrifts"):
        assert of(name, deployed)(told) == ("ALARM" if name == gone else "OK")


def lived(covered: int = 54, skill: float = 0.02) -> None:
    """Two days of sixty forecasts an hour."""
    sums = Sums(60, covered=covered, duels={"har": Duel(60, round(1e6 * (1 - skill)), 1_000_000)})
    for hour in range(48):
        ScoreTable("scores", clients.dynamodb()).put(BTC, 5, MIDNIGHT - 2 * DAY + hour * HOUR, {VERSION: sums}, 60)


def said_and_come() -> list[Any]:
    """One forecast, and the bar it was for."""
    from btc import forecasts  # noqa: PLC0415

    quantiles = {1: [0.002 * (level - 0.5) for level in forecasts.LEVELS]}
    [made] = forecasts.of(BTC, NOON, 100_000.0, quantiles, model_version=VERSION, baseline=False)
    assert ForecastTable("forecasts", clients.dynamodb()).add(made, 60)
    tape = [Trade(BTC, 10 + row, NOON + (row - 1) * MINUTE, 10**13, 10**8, True) for row in range(2)]
    fold(tape, Watermark(BTC, NOON + MINUTE, 11))
    return BarTable("bars", clients.dynamodb()).between(BTC, NOON, NOON + MINUTE)


# --- what AWS measures

STREAMED = ("aggregate_bars", "archive_trades")
CAUSED = (
    *("FeedSilent", "VenueHalted", "RecordsUnreadable", "BTCUSDUnproven"),
    *("BTCUSDForecastsLate", "ModelOld", "ModelUnreadable", "CoverageDrifts", "SkillDrifts"),
)


def by_aws(assembly: Assembly) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The alarms on AWS's own metrics: namespace, metric, statistic, dimensions, threshold."""
    for function in STREAMED:
        on = {"FunctionName": f"<{assembly.logical_id(function)}>"}
        name = function.title().replace("_", "") + "Late"
        window_s = assembly.event_source(function)["MaximumBatchingWindowInSeconds"]
        yield name, ("AWS/Lambda", "IteratorAge", "Maximum", on, 1000 * (300 + 2 * window_s))
    api = {"ApiName": "predict-bitcoin-dev"}
    yield "ApiFails", ("AWS/ApiGateway", "5XXError", "Sum", api, 5)
    yield "ApiSlow", ("AWS/ApiGateway", "Latency", "p99", api, 2000)
    on = {"FunctionName": f"<{assembly.logical_id('api')}>"}
    yield "ApiThrottled", ("AWS/Lambda", "Throttles", "Sum", on, 1)
    for name in ("BatchFailed", "PipelineFailed"):
        yield name, ("AWS/Events", "TriggeredRules", "Sum", {"RuleName": f"<{rule(assembly, name)[0]}>"}, 1)


def rule(assembly: Assembly, name: str) -> tuple[str, Json]:
    [found] = [each for each in assembly.of_type("Events::Rule").items() if each[0].startswith(f"Monitoring{name}Rule")]
    return found[0], resolved(found[1]["Properties"])


def test_alarms_on_what_aws_measures_name_its_metrics_and_resources(dev: Assembly) -> None:
    found = alarms(dev)
    for name, expected in by_aws(dev):
        alarm = found[name]
        statistic = alarm.get("Statistic") or alarm["ExtendedStatistic"]
        told = (alarm["Namespace"], alarm["MetricName"], statistic, dimensions(alarm), alarm["Threshold"])
        assert told == expected, name
        assert alarm["TreatMissingData"] == "notBreaching"


def test_every_alarm_is_caused_or_named_above(dev: Assembly) -> None:
    assert sorted(alarms(dev)) == sorted([*CAUSED, *(name for name, _ in by_aws(dev))])


def test_a_batch_that_was_given_up_matches_its_rule(dev: Assembly) -> None:
    _, made = rule(dev, "BatchFailed")
    [bucket] = [name for name in dev.of_type("S3::Bucket") if name.startswith("Failures")]
    matches = compile_pattern(made["EventPattern"])
    event = {"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": f"<{bucket}>"}}}
    configuration = dev.of_type("S3::Bucket")[bucket]["Properties"]["NotificationConfiguration"]

    assert matches(event)
    assert not matches({**event, "detail": {"bucket": {"name": "another"}}})
    assert configuration == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}


@pytest.mark.parametrize(("status", "expected"), [("Failed", True), ("Succeeded", False)])
def test_a_pipeline_that_failed_matches_its_rule(status: str, expected: bool, dev: Assembly) -> None:
    _, made = rule(dev, "PipelineFailed")
    [arn] = made["EventPattern"]["detail"]["pipelineArn"]
    event = {
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Model Building Pipeline Execution Status Change",
        "detail": {"pipelineArn": arn, "currentPipelineExecutionStatus": status},
    }

    assert compile_pattern(made["EventPattern"])(event) is expected


# --- who is told


def test_every_alarm_says_what_to_do_and_tells_the_one_topic(dev: Assembly) -> None:
    [topic] = dev.of_type("SNS::Topic")
    for alarm in alarms(dev).values():
        happened, _, to_do = alarm["AlarmDescription"].partition(": ")
        assert happened
        assert to_do.endswith(".")
        assert resolved(alarm["AlarmActions"]) == resolved(alarm["OKActions"]) == [f"<{topic}>"]


def test_the_topic_takes_word_of_alarms_spending_and_events_and_of_nobody_else(dev: Assembly) -> None:
    statements = resolved(dev.one("SNS::TopicPolicy"))["PolicyDocument"]["Statement"]
    services = [each["Principal"]["Service"] for each in statements if each["Effect"] == "Allow"]

    assert services == [["budgets.amazonaws.com", "cloudwatch.amazonaws.com"], "events.amazonaws.com"]


def test_an_address_is_subscribed_where_one_is_set(tmp_path, dev: Assembly) -> None:
    from dataclasses import replace  # noqa: PLC0415

    from cdk.settings import DEV  # noqa: PLC0415
    from tests.infra.conftest import synthesised  # noqa: PLC0415

    told = synthesised(replace(DEV, alarm_email="operator@example.com"), tmp_path).one("SNS::Subscription")

    assert (told["Protocol"], told["Endpoint"]) == ("email", "operator@example.com")
    assert not dev.of_type("SNS::Subscription")


def test_spending_is_told_before_it_reaches_the_budget(dev: Assembly) -> None:
    budget = resolved(dev.one("Budgets::Budget"))
    [topic] = dev.of_type("SNS::Topic")

    assert budget["Budget"]["BudgetLimit"] == {"Amount": 40, "Unit": "USD"}
    kinds = [
        (each["Notification"]["NotificationType"], each["Notification"]["Threshold"], each["Subscribers"])
        for each in budget["NotificationsWithSubscribers"]
    ]
    to = [{"Address": f"<{topic}>", "SubscriptionType": "SNS"}]
    assert kinds == [("ACTUAL", 80, to), ("FORECASTED", 100, to)]


def test_the_dashboard_shows_the_alarms_and_draws_details_from_the_logs(dev: Assembly) -> None:
    body = str(resolved(dev.one("CloudWatch::Dashboard")["DashboardBody"]))

    assert "LiveCoverage" in body
    assert "Alarms" in body
