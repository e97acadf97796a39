"""What an operator is told: the alarms on what AWS measures, whom all alarms tell, and what is on the dashboard.

Of what AWS measures (streams, the API, rules) the metric's name, its dimensions and the threshold are held against what
AWS documents; tests/infra/test_alarms_of_aws.py causes their faults on the local stack.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from btc.times import MINUTE
from cdk.settings import DEV
from functions.fill_history.arguments import parse
from local.patterns import compile_pattern
from tests.infra.alarming import alarms, dimensions, rule
from tests.infra.assembly import Assembly, resolved
from tests.infra.conftest import synthesised
from tests.infra.test_alarms import CAUSED

STREAMED = ("aggregate_bars", "archive_trades")


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
    yield "ApiThrottled", ("PredictBitcoin", "RequestsRefused", "Sum", {}, 20)
    on = {"FunctionName": f"<{assembly.logical_id('connect_listeners')}>"}
    yield "ListenersRefused", ("AWS/Lambda", "Errors", "Sum", on, 5)
    [queue] = assembly.of_type("SQS::Queue")
    on = {"QueueName": f"<{queue}.QueueName>"}
    yield "ApprovalUndelivered", ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", on, 1)
    for name in ("BatchFailed", "PipelineFailed"):
        yield name, ("AWS/Events", "TriggeredRules", "Sum", {"RuleName": f"<{rule(assembly, name)[0]}>"}, 1)


def test_alarms_on_what_aws_measures_name_its_metrics_and_resources(dev: Assembly) -> None:
    found = alarms(dev)
    for name, expected in by_aws(dev):
        alarm = found[name]
        statistic = alarm.get("Statistic") or alarm["ExtendedStatistic"]
        told = (alarm["Namespace"], alarm["MetricName"], statistic, dimensions(alarm), alarm["Threshold"])
        assert told == expected, name
        assert alarm["TreatMissingData"] == ("breaching" if name == "ArchiveTradesLate" else "notBreaching")


def test_every_alarm_is_caused_or_named_above(dev: Assembly) -> None:
    assert sorted(alarms(dev)) == sorted([*CAUSED, *(name for name, _ in by_aws(dev))])


def test_who_is_refused_by_the_gateway_is_counted_from_its_log(dev: Assembly) -> None:
    counted = dev.one("Logs::MetricFilter")
    logged = resolved(dev.one("ApiGateway::Stage")["AccessLogSetting"])

    assert json.loads(logged["Format"])["status"] == "$context.status", "as text"
    assert counted["FilterPattern"] == '{ $.status = "429" }'
    assert logged["DestinationArn"].endswith(f":{resolved(counted['LogGroupName'])}")
    [metric] = counted["MetricTransformations"]
    assert (metric["MetricNamespace"], metric["MetricName"], metric["MetricValue"]) == (
        "PredictBitcoin",
        "RequestsRefused",
        "1",
    )
    assert "DefaultValue" not in metric, "it would be told, and paid for, each hour"


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


def test_commands_that_alarms_name_are_commands_that_there_are(dev: Assembly) -> None:
    said = " ".join(alarm["AlarmDescription"] for alarm in alarms(dev).values())
    filled = re.findall(r"`\.venv/bin/python -m functions\.fill_history ([^`]+)`", said)
    redriven = re.findall(r"`\.venv/bin/python -m functions\.redrive ([^`]+)`", said)

    for command in filled:
        for name, meant in {
            "MARKET": "kraken:BTC-USD",
            "A": "2026-11-24T10:52:00Z",
            "B": "2026-11-24T11:03:00Z",
        }.items():
            command = re.sub(rf" {name}\b", f" {meant}", command)  # noqa: PLW2901
        told = parse(command.split())
        assert (told.command, told.stack, str(told.market)) == ("rest", "PredictBitcoin", "kraken:BTC-USD")
        assert told.until - told.since == 11 * MINUTE
    assert (len(filled), {*redriven}) == (2, {"--stack PredictBitcoin"})
    assert "`python -m" not in said, "the project's own Python is in .venv"


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


def test_the_dashboard_of_a_hundred_symbols_shows_every_alarm_in_widgets_of_a_hundred_at_most(tmp_path) -> None:
    symbols = tuple(f"A{number:02}-USD" for number in range(100))
    many = synthesised(replace(DEV, symbols=symbols), tmp_path)
    widgets = json.loads(resolved(many.one("CloudWatch::Dashboard")["DashboardBody"]))["widgets"]
    shown = [each["properties"]["alarms"] for each in widgets if each["type"] == "alarm"]

    assert len(alarms(many)) > 200
    assert all(len(each) <= 100 for each in shown)
    assert len({alarm for each in shown for alarm in each}) == len(alarms(many))


def test_the_dashboard_shows_the_alarms_and_draws_details_from_the_logs(dev: Assembly) -> None:
    body = str(resolved(dev.one("CloudWatch::Dashboard")["DashboardBody"]))

    assert "LiveCoverage" in body
    assert "Alarms" in body
