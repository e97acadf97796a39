"""Alarms: what each watches, and in its description what has happened and what to do. The runbook is made of these."""

from collections.abc import Iterable

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from btc.trades import Market

MINUTE = Duration.minutes(1)
FIVE_MINUTES = Duration.minutes(5)
HOUR = Duration.hours(1)
DAY = Duration.days(1)

LATE_S = 5 * 60
"""How far a function may be behind its stream, and a forecast behind the bar it is made from."""
FEED_SILENT_S = 60
"""Without a frame from the venue; every venue sends one a second."""


class Alarms:
    """Makes alarms in `scope` that tell `topic` when they go off and when all is well again; `namespace` is where the
    stage's own metrics are.
    """

    def __init__(self, scope: Construct, topic: sns.ITopic, *, namespace: str) -> None:
        self._scope = scope
        self._namespace = namespace
        self._action = actions.SnsAction(topic)
        self.made: list[cloudwatch.Alarm] = []

    def add(  # noqa: PLR0913 - an alarm has that many sides
        self,
        construct_id: str,
        metric: cloudwatch.IMetric,
        happened: str,
        to_do: str,
        *,
        threshold: float = 1,
        periods: int = 1,
        missed: bool = False,
    ) -> None:
        """Goes off where `metric` reaches `threshold` for `periods`, or, with `missed`, where nobody tells it."""
        missing = cloudwatch.TreatMissingData
        alarm = cloudwatch.Alarm(
            self._scope,
            construct_id,
            metric=metric,
            alarm_description=f"{happened}: {to_do}",
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=missing.BREACHING if missed else missing.NOT_BREACHING,
        )
        alarm.add_alarm_action(self._action)
        alarm.add_ok_action(self._action)
        self.made.append(alarm)

    def told(self, name: str, service: str, statistic: str, period: Duration, **dimensions: str) -> cloudwatch.Metric:
        """A metric that the stage's code sends itself."""
        return cloudwatch.Metric(
            namespace=self._namespace,
            metric_name=name,
            dimensions_map={"service": service, **dimensions},
            statistic=statistic,
            period=period,
        )


def fetch(stack: str, market: object) -> str:
    """The command that has a span of bars made of the venue's trades; without an end it fills one minute at the most,
    where there are bars behind it."""
    return (
        f"`.venv/bin/python -m functions.fill_history rest --stack {stack} --market {market} --from A --until B` "
        "(times as in 2026-11-24T10:52:00Z; with `--again` where the same span was filled before)"
    )


def watch_feed(alarms: Alarms, markets: Iterable[Market], stack: str) -> None:
    """Trades in, bars that are proven."""
    alarms.add(
        "FeedSilent",
        alarms.told("FeedAge", "ingest_trades", "Maximum", MINUTE),
        "No frame came from the venue for a minute, or the ingest task does not run",
        "look at the service's events and its log in group Ingestion, then at the venue's status page; what is missed "
        "meanwhile is fetched by itself once the feed is back. A first start that fills a long history counts too.",
        threshold=FEED_SILENT_S,
        periods=3,
        missed=True,
    )
    alarms.add(
        "VenueHalted",
        alarms.told("VenueHalted", "ingest_trades", "Maximum", FIVE_MINUTES),
        "The venue says that it does not match orders",
        "read its status page and wait; forecasts stay baselines of an unmoving price until it goes on.",
    )
    alarms.add(
        "RecordsUnreadable",
        alarms.told("UnreadableRecords", "aggregate_bars", "Sum", FIVE_MINUTES),
        "The stream holds a record that aggregate_bars cannot read and delivers it again and again",
        "find `unreadable record` in its log; if a newer ingest task wrote it, deploy the functions of the same "
        f"version, else let it expire into the failures bucket and fetch its minutes by {fetch(stack, 'MARKET')}.",
    )
    for market in markets:
        alarms.add(
            f"{market.symbol}Unproven",
            alarms.told("RepairableMinutes", "audit_bars", "Minimum", HOUR, venue=market.venue, symbol=market.symbol),
            f"Bars of {market} stayed unproven for an hour though the venue may have their trades, or nobody looked",
            "the log of audit_bars tells the oldest and what the venue said; if the audit does not get on by itself, "
            f"fetch from the oldest on, to beyond the last, by {fetch(stack, market)}.",
            missed=True,
        )


def watch_forecasts(alarms: Alarms, markets: Iterable[Market], model_warning_days: int) -> None:
    """Made in time, by a model that still does what it was promoted for."""
    for market in markets:
        alarms.add(
            f"{market.symbol}ForecastsLate",
            alarms.told("ForecastAge", "forecast", "Maximum", FIVE_MINUTES, market=str(market)),
            f"The newest forecast of {market} is more than {LATE_S // 60} minutes old, or none is made",
            "if FeedSilent or AggregateBarsLate is on, mend that first; else the log of forecast tells why.",
            threshold=LATE_S,
            periods=2,
            missed=True,
        )
    alarms.add(
        "ModelOld",
        alarms.told("ModelAge", "score_forecasts", "Maximum", DAY),
        f"In {model_warning_days} days no model came that learnt from them, not even a first one; or nobody looked",
        "look why none was promoted: PipelineFailed, ApprovalUndelivered, or the gate's decision beside each run in "
        "the models bucket; approve anew what was approved and does not serve, for SageMaker need not tell of each; "
        "start the pipeline by hand if its schedule did not. Nobody looks where score_forecasts does not run: see its "
        "schedule.",
        threshold=model_warning_days,
        missed=True,
    )
    alarms.add(
        "ModelUnreadable",
        alarms.told("ModelUnreadable", "forecast", "Sum", FIVE_MINUTES),
        "The baseline serves, since the deployed version does not read the champion's format or the champion is gone",
        "start the pipeline, whose model this version reads; or deploy the version before, or approve a package of "
        "the format that the log of forecast names.",
    )
    alarms.add(
        "CoverageDrifts",
        alarms.told("DriftDetected", "score_forecasts", "Maximum", HOUR, cause="coverage"),
        "The 90 % interval no longer covers what it promises, by more than chance over a week",
        "see coverage by horizon in /v1/scores; `drifted` in the log of score_forecasts names the retraining that it "
        "started, or none where it has lately, so look whether the gate passes the new model, and roll back to an "
        "older one if not.",
    )
    alarms.add(
        "SkillDrifts",
        alarms.told("DriftDetected", "score_forecasts", "Maximum", HOUR, cause="skill"),
        "The champion is no better than the best baseline, by more than chance over a week",
        "see skill by horizon in /v1/scores; `drifted` in the log of score_forecasts names the retraining that it "
        "started, or none where it has lately, so look whether the gate passes the new model, and promote none if the "
        "baseline is better.",
    )
