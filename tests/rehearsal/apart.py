"""What the emulator's CloudFormation does not do, asked of its services instead, with what the template says."""

import json
from collections.abc import Mapping
from typing import Any, Final

from tests.rehearsal.emulator import Emulator, RehearsalError

Json = dict[str, Any]
NOWHERE: Final = ("AWS::SageMaker::", "Custom::EmptyModelRegistry", "Custom::StopTrainings")
"""The emulator has no such service, and refuses a template that names it."""
UNKNOWN: Final = (
    "AWS::Athena::NamedQuery",
    "AWS::Budgets::Budget",
    "AWS::ECS::ClusterCapacityProviderAssociations",
    "AWS::Kinesis::ResourcePolicy",
)


def refused(resource: Json) -> bool:
    """Whether the emulator's CloudFormation does not know the type, or this use of it."""
    if resource["Type"] == "AWS::CloudWatch::Alarm":
        return "Metrics" in resource["Properties"]
    return bool(resource["Type"].startswith((*NOWHERE, *UNKNOWN)))


class Apart:
    """Resources made beside a deployment, that end before it does."""

    def __init__(self, emulator: Emulator, template: Json, physical: Mapping[str, str]) -> None:
        """`template` is whole, `physical` the names of what was deployed, by logical id."""
        self._emulator = emulator
        self._resources = template["Resources"]
        self._physical = physical
        self._queries: list[str] = []
        self._alarms: list[str] = []
        self._budgets: list[str] = []

    def create(self) -> int:
        """How many were made. Raises RehearsalError where one cannot be found afterwards."""
        makers = {
            "AWS::Athena::NamedQuery": self._query,
            "AWS::Budgets::Budget": self._budget,
            "AWS::ECS::ClusterCapacityProviderAssociations": self._capacity,
            "AWS::CloudWatch::Alarm": self._alarm,
            "AWS::Kinesis::ResourcePolicy": self._stream_policy,
        }
        made = 0
        for name, resource in self._resources.items():
            if refused(resource) and not resource["Type"].startswith(NOWHERE):
                makers[resource["Type"]](name, self._resolved(resource["Properties"]))
                made += 1
        return made

    def tag_buckets(self) -> int:
        """Put the tags that buckets are declared with: without theirs, nothing empties them when they go."""
        s3 = self._emulator.client("s3")
        buckets = {name: each for name, each in self._resources.items() if each["Type"] == "AWS::S3::Bucket"}
        for name, bucket in buckets.items():
            s3.put_bucket_tagging(Bucket=self._physical[name], Tagging={"TagSet": bucket["Properties"]["Tags"]})
        return len(buckets)

    def delete(self) -> None:
        for identity in self._queries:
            self._emulator.client("athena").delete_named_query(NamedQueryId=identity)
        self._emulator.client("cloudwatch").delete_alarms(AlarmNames=self._alarms)
        for name in self._budgets:
            self._emulator.client("budgets").delete_budget(AccountId=self._account, BudgetName=name)

    def _query(self, _: str, properties: Json) -> None:
        athena = self._emulator.client("athena")
        made = athena.create_named_query(**properties)["NamedQueryId"]
        if athena.get_named_query(NamedQueryId=made)["NamedQuery"]["QueryString"] != properties["QueryString"]:
            raise RehearsalError(f"the query {properties['Name']!r} is not kept as it was given")
        self._queries.append(made)

    def _budget(self, name: str, properties: Json) -> None:
        budgets, told = self._emulator.client("budgets"), properties["Budget"]
        limit = {**told["BudgetLimit"], "Amount": str(told["BudgetLimit"]["Amount"])}
        budgets.create_budget(
            AccountId=self._account,
            Budget={**told, "BudgetName": name, "BudgetLimit": limit},
            NotificationsWithSubscribers=properties["NotificationsWithSubscribers"],
        )
        kept = budgets.describe_budget(AccountId=self._account, BudgetName=name)["Budget"]
        if float(kept["BudgetLimit"]["Amount"]) != float(limit["Amount"]):
            raise RehearsalError(f"the budget is {kept['BudgetLimit']}")
        self._budgets.append(name)

    @property
    def _account(self) -> str:
        return str(self._emulator.client("sts").get_caller_identity()["Account"])

    def _capacity(self, _: str, properties: Json) -> None:
        ecs, cluster = self._emulator.client("ecs"), properties["Cluster"]
        ecs.put_cluster_capacity_providers(
            cluster=cluster,
            capacityProviders=properties["CapacityProviders"],
            defaultCapacityProviderStrategy=properties["DefaultCapacityProviderStrategy"],
        )
        [kept] = ecs.describe_clusters(clusters=[cluster])["clusters"]
        if kept["capacityProviders"] != properties["CapacityProviders"]:
            raise RehearsalError(f"the cluster has {kept['capacityProviders']}")

    def _stream_policy(self, _: str, properties: Json) -> None:
        kinesis = self._emulator.client("kinesis")
        stream = self._physical[properties["ResourceArn"]["Fn::GetAtt"][0]]
        arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
        [statement] = properties["ResourcePolicy"]["Statement"]
        policy = json.dumps({**properties["ResourcePolicy"], "Statement": [{**statement, "Resource": arn}]})
        kinesis.put_resource_policy(ResourceARN=arn, Policy=policy)
        if json.loads(kinesis.get_resource_policy(ResourceARN=arn)["Policy"]) != json.loads(policy):
            raise RehearsalError(f"the stream {stream} keeps another policy")

    def _alarm(self, name: str, properties: Json) -> None:
        cloudwatch = self._emulator.client("cloudwatch")
        metrics = [_metric(metric) for metric in properties.pop("Metrics")]
        properties.pop("Tags", None)
        cloudwatch.put_metric_alarm(AlarmName=name, Metrics=metrics, **properties)
        if not cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]:
            raise RehearsalError(f"the alarm {name} is not kept")
        self._alarms.append(name)

    def _resolved(self, value: Any) -> Any:
        match value:
            case {"Ref": str(name)} if name in self._physical:
                return self._physical[name]
            case dict():
                return {key: self._resolved(part) for key, part in value.items()}
            case list():
                return [self._resolved(part) for part in value]
        return value


def _metric(metric: Json) -> Json:
    """CloudFormation's metric as the API takes it, which is the same but for where it says the account."""
    return {key: value for key, value in metric.items() if key != "AccountId"}
