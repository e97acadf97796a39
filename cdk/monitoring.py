"""What an operator sees: a dashboard, and an alarm for each way in which forecasts stop being made."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

FIVE_MINUTES = Duration.minutes(5)


class Monitoring(Construct):
    """Alarms say what to do; nobody is told yet unless a subscriber is added to them."""

    def __init__(  # noqa: PLR0913 - one argument a part it is joined to
        self,
        scope: Construct,
        construct_id: str,
        *,
        trades: kinesis.IStream,
        functions: Mapping[str, lambda_.IFunction],
        streamed: Mapping[str, lambda_.IFunction],
        api: apigateway.RestApi,
        scores: Sequence[cloudwatch.IWidget],
    ) -> None:
        super().__init__(scope, construct_id)
        incoming = trades.metric_incoming_records(statistic="Sum", period=FIVE_MINUTES)
        ages = {
            name: function.metric("IteratorAge", statistic="Maximum", period=FIVE_MINUTES)
            for name, function in streamed.items()
        }
        errors = {name: function.metric_errors(period=FIVE_MINUTES) for name, function in functions.items()}
        failed = api.metric_server_error(period=FIVE_MINUTES)
        self._alarm(
            "FeedSilent",
            incoming,
            "No record reached the stream for 10 minutes: look at the ingest log and at the venue's status.",
            threshold=1,
            periods=2,
            below=True,
        )
        for name, age in ages.items():
            self._alarm(
                f"{name}Late",
                age,
                f"{name} is more than 5 minutes behind its stream: look at its errors, then at throttles and duration.",
                threshold=5 * 60 * 1000,
            )
        for name, error in errors.items():
            self._alarm(
                f"{name}Fails",
                error,
                f"{name} failed: its log tells why; what no retry could deliver lies in the failures bucket.",
                threshold=1,
                periods=2,
            )
        self._alarm(
            "ApiAnswers5xx", failed, "The API answered 5xx: look for the request's id in the log of `api`.", threshold=5
        )
        cloudwatch.Dashboard(self, "Dashboard").add_widgets(
            cloudwatch.GraphWidget(title="Records into the stream", left=[incoming]),
            cloudwatch.GraphWidget(title="Behind the stream (ms)", left=list(ages.values())),
            cloudwatch.GraphWidget(title="Errors", left=[*errors.values(), failed]),
            cloudwatch.GraphWidget(title="API", left=[api.metric_count()], right=[api.metric_latency(statistic="p99")]),
            *scores,
        )

    def _alarm(  # noqa: PLR0913 - an alarm has that many sides
        self,
        construct_id: str,
        metric: cloudwatch.IMetric,
        description: str,
        *,
        threshold: float,
        periods: int = 1,
        below: bool = False,
    ) -> None:
        operators = cloudwatch.ComparisonOperator
        missing = cloudwatch.TreatMissingData
        cloudwatch.Alarm(
            self,
            construct_id,
            metric=metric,
            alarm_description=description,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=(
                operators.LESS_THAN_THRESHOLD if below else operators.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
            ),
            treat_missing_data=missing.BREACHING if below else missing.NOT_BREACHING,
        )
