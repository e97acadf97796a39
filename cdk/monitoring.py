"""What an operator sees: a dashboard, one topic that all alarms tell, and a budget."""

from collections.abc import Mapping
from typing import NamedTuple

from aws_cdk import Aws
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from cdk.alarms import FIVE_MINUTES, LATE_S, Alarms, watch_feed, watch_forecasts
from cdk.settings import Stage

REFUSED = 20
"""Requests in five minutes: one that was too fast is no fault."""
SLOW_MS = 2000
"""How long one request in a hundred may take."""
SHOWN = 100
"""Alarms in one widget: CloudWatch refuses a dashboard with more in one."""


class Reader(NamedTuple):
    """A function that reads a stream, and how long (s) records wait for others before it is called."""

    function: lambda_.IFunction
    window_s: int
    made_good: bool = False
    """Whether what comes next makes good what it is behind with: a day's object is written whole, who hears
    no forecast asks. Then its age is on the dashboard alone; a batch that it cannot deliver is told of all the same."""
    never_idle: bool = False
    """Whether it is given something as long as the feed lives, so that its silence is a fault."""


class Watched(NamedTuple):
    """What is watched beside what the functions say of themselves."""

    trades: kinesis.IStream
    readers: Mapping[str, Reader]
    """By name."""
    api: apigateway.RestApi
    access_logs: logs.LogGroup
    """What the API was asked."""
    admission: lambda_.IFunction | None
    """The one that lets in who would listen; None where nothing is pushed."""
    failures: s3.Bucket
    undelivered: sqs.IQueue
    pipeline_arn: str
    feed_logs: logs.ILogGroup
    score_logs: logs.ILogGroup


class Monitoring(Construct):
    """Each alarm says what has happened and what to do, and tells the topic."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage, watched: Watched) -> None:
        super().__init__(scope, construct_id)
        self.topic = self._topic(stage)
        self._namespace = stage.metrics
        self._redrive = f"`.venv/bin/python -m functions.redrive --stack {stage.stack_name}`"
        self._alarms = Alarms(self, self.topic, namespace=stage.metrics)
        watch_feed(self._alarms, stage.markets, stage.stack_name)
        watch_forecasts(self._alarms, stage.markets, stage.model_warning_days)
        late = self._streams(watched.readers)
        self._api(watched)
        if not stage.emulated:
            self._events(watched)
            self._budget(stage)
        if stage.dashboard:
            self._dashboard(watched, late)

    def _topic(self, stage: Stage) -> sns.Topic:
        topic = sns.Topic(self, "Topic", display_name=f"Alarms of {stage.prefix}", enforce_ssl=True)
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sns:Publish"],
                principals=[
                    iam.ServicePrincipal("cloudwatch.amazonaws.com"),
                    iam.ServicePrincipal("budgets.amazonaws.com"),
                ],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        if stage.alarm_email:
            topic.add_subscription(subscriptions.EmailSubscription(stage.alarm_email))
        return topic

    def _streams(self, readers: Mapping[str, Reader]) -> list[cloudwatch.IMetric]:
        ages = {
            name: reader.function.metric("IteratorAge", statistic="Maximum", period=FIVE_MINUTES)
            for name, reader in readers.items()
        }
        for name, age in ages.items():
            _, window_s, made_good, never_idle = readers[name]
            if made_good:
                continue
            # A lone record waits for the whole of its window, and that is no fault.
            late_s = LATE_S + 2 * window_s
            self._alarms.add(
                f"{name}Late",
                age,
                f"{name} is more than {late_s // 60} minutes behind its stream, whose records are kept for a day"
                + (", or reads nothing" if never_idle else ""),
                "its log tells its errors; without errors look at its throttles and duration"
                + (", at its event source, and at FeedSilent." if never_idle else "."),
                threshold=late_s * 1000,
                periods=3 if never_idle else 1,  # a window may lie across a period
                missed=never_idle,
            )
        return list(ages.values())

    def _api(self, watched: Watched) -> None:
        self._alarms.add(
            "ApiFails",
            watched.api.metric_server_error(period=FIVE_MINUTES),
            "The API answered 5xx at least five times in five minutes",
            "look for `request failed` in the log of api; the answer's request_id finds the request.",
            threshold=5,
        )
        self._alarms.add(
            "ApiSlow",
            watched.api.metric_latency(statistic="p99", period=FIVE_MINUTES),
            f"One request in a hundred took more than {SLOW_MS / 1000:g} s for a quarter of an hour",
            "compare with the integration's latency and the function's duration; cold starts come with rare requests, "
            "throttled tables with many.",
            threshold=SLOW_MS,
            periods=3,
        )
        self._alarms.add(
            "ApiThrottled",
            self._refused(watched.access_logs),
            f"Callers were refused with 429 at least {REFUSED} times in five minutes",
            "the access log tells whose requests: a key that asks too fast or has used up its day, or all of them, and "
            "then `total_rate_per_s` is too low. What Lambda refuses is among ApiFails.",
            threshold=REFUSED,
        )
        if watched.admission:
            self._alarms.add(
                "ListenersRefused",
                watched.admission.metric_errors(period=FIVE_MINUTES),
                "Who would listen is turned away, for connect_listeners failed at least five times in five minutes",
                "its log tells why. Pages and clients ask meanwhile, so that forecasts reach them later, and the API "
                "has more to answer.",
                threshold=5,
            )

    def _refused(self, access_logs: logs.LogGroup) -> cloudwatch.Metric:
        """What the gateway and the function refuse; a metric that is paid for in the hours in which somebody is."""
        found = access_logs.add_metric_filter(
            "Refused",
            metric_namespace=self._namespace,
            metric_name="RequestsRefused",
            # The gateway writes the number as text.
            filter_pattern=logs.FilterPattern.string_value("$.status", "=", "429"),
        )
        return found.metric(statistic="Sum", period=FIVE_MINUTES)

    def _events(self, watched: Watched) -> None:
        """What AWS says happened goes to the topic at once, and is counted by the rule it matched."""
        bucket = watched.failures.node.default_child
        assert isinstance(bucket, s3.CfnBucket)
        bucket.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
        )
        self._rule(
            "BatchFailed",
            events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={"bucket": {"name": [watched.failures.bucket_name]}},
            ),
            "A batch or event that no retry could deliver lies in the failures bucket",
            "its key names the function, whose log tells the cause; once that is mended, deliver it again with "
            f"{self._redrive}.",
        )
        self._alarms.add(
            "ApprovalUndelivered",
            watched.undelivered.metric_approximate_number_of_messages_visible(statistic="Maximum", period=FIVE_MINUTES),
            "EventBridge could not hand a model's approval to promote_model, so that the champion before serves on",
            "see that the function is there, that the rule Approved may invoke it, and that Lambda is not throttled; "
            f"then deliver it with {self._redrive}, within the queue's 14 days, or approve the model anew.",
        )
        self._rule(
            "PipelineFailed",
            events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Model Building Pipeline Execution Status Change"],
                detail={"pipelineArn": [watched.pipeline_arn], "currentPipelineExecutionStatus": ["Failed"]},
            ),
            "A training failed; the champion serves on",
            "list the execution's steps in SageMaker: the failed step's reason and log tell why; start the pipeline "
            "again once it is mended.",
        )

    def _rule(self, construct_id: str, pattern: events.EventPattern, happened: str, to_do: str) -> None:
        rule = events.Rule(self, f"{construct_id}Rule", description=happened, event_pattern=pattern)
        # By AWS's documents a topic's policy can hold EventBridge to no condition, neither account nor rule.
        rule.add_target(targets.SnsTopic(self.topic))
        metric = cloudwatch.Metric(
            namespace="AWS/Events",
            metric_name="TriggeredRules",
            dimensions_map={"RuleName": rule.rule_name},
            statistic="Sum",
            period=FIVE_MINUTES,
        )
        self._alarms.add(construct_id, metric, happened, to_do)

    def _budget(self, stage: Stage) -> None:
        """Spending told by AWS Budgets, which is no alarm of CloudWatch's and costs nothing."""
        if not stage.monthly_budget_usd:
            return
        subscriber = budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=self.topic.topic_arn)
        budgets.CfnBudget(
            self,
            "Spend",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=stage.monthly_budget_usd, unit="USD"),
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        comparison_operator="GREATER_THAN", notification_type=kind, threshold=share
                    ),
                    subscribers=[subscriber],
                )
                for kind, share in (("ACTUAL", 80), ("FORECASTED", 100))
            ],
        )

    def _dashboard(self, watched: Watched, late: list[cloudwatch.IMetric]) -> None:
        def of_log(title: str, group: logs.ILogGroup, *lines: str) -> cloudwatch.LogQueryWidget:
            """Drawn from the log: what a metric would cost by the month costs nothing here until somebody looks."""
            return cloudwatch.LogQueryWidget(
                title=title,
                log_group_names=[group.log_group_name],
                view=cloudwatch.LogQueryVisualizationType.LINE,
                query_lines=list(lines),
            )

        incoming = watched.trades.metric_incoming_records(statistic="Sum", period=FIVE_MINUTES)
        errors = [reader.function.metric_errors(period=FIVE_MINUTES) for reader in watched.readers.values()]
        api = watched.api
        cloudwatch.Dashboard(self, "Dashboard").add_widgets(
            *(
                cloudwatch.AlarmStatusWidget(title="Alarms", alarms=self._alarms.made[first : first + SHOWN], width=24)
                for first in range(0, len(self._alarms.made), SHOWN)
            ),
            cloudwatch.GraphWidget(title="Records into the stream", left=[incoming]),
            cloudwatch.GraphWidget(title="Behind the stream (ms)", left=late),
            cloudwatch.GraphWidget(title="Errors", left=[*errors, api.metric_server_error(period=FIVE_MINUTES)]),
            cloudwatch.GraphWidget(
                title="API", left=[api.metric_count()], right=[api.metric_latency(statistic="p99", period=FIVE_MINUTES)]
            ),
            of_log(
                "What the feed brought",
                watched.feed_logs,
                "filter message = 'ingested'",
                "stats max(trades) - min(trades), max(gaps) - min(gaps), max(connections) by bin(5m)",
            ),
            of_log(
                "Live coverage and skill",
                watched.score_logs,
                "filter message = 'live'",
                "stats latest(LiveCoverage), latest(LiveSkill) by bin(1h), horizon",
            ),
        )
