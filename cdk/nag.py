"""cdk-nag's AwsSolutions over the app, and what is known of its findings: each with the reason why it stays."""

import json
from typing import NamedTuple

from aws_cdk import Acknowledgment, App, Stack, Validations
from cdk_nag import AwsSolutionsChecks
from constructs import IConstruct

from cdk.removal import lasting_name
from cdk.settings import Stage


class Known(NamedTuple):
    """A finding that stays."""

    where: str
    """The construct's path within the stack; those beneath it are meant as well."""
    rule: str
    reason: str


FAILED_BATCHES = "Lambda names the object by function, shard and time; only adding objects is allowed"
OWN_PREFIX = "The objects are named by market and day; the right ends at this prefix of this bucket"
NO_RESOURCE = "The call knows no resource: "
MLFLOW = "The managed app's own role, on its own folder: it reads, writes and deletes what is kept there"
JOBS = "A pipeline names its jobs, and SageMaker their logs, after an execution that is yet to come"

WRITERS = (
    "Bars/AggregateBarsRole",
    "Forecasts/ForecastRole",
    "Archive/ArchiveTradesRole",
    "Archive/ArchiveBarsRole",
    "Archive/ArchiveForecastsRole",
    "Scores/ScoreForecastsRole",
    "Live/PushForecastsRole",
    "Training/PromoteModelRole",
)
TRACED = (*WRITERS, "Audits/AuditBarsRole", "Api/FunctionRole", "Live/ConnectListenersRole")
LISTERS = (
    "Forecasts/ForecastRole",
    "Archive/ArchiveBarsRole",
    "Archive/ArchiveForecastsRole",
    "Live/PushForecastsRole",
)


def known(stack: Stack, stage: Stage) -> list[Known]:
    """What is acknowledged in a stage."""
    sagemaker = "Resource::arn:<AWS::Partition>:sagemaker:<AWS::Region>:<AWS::AccountId>"
    logs = "Resource::arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>:log-group:/aws/sagemaker"
    failures, lake, models = (
        f"Resource::<{_logical_id(stack, path)}.Arn>" for path in ("Failures/Bucket", "Lake/Bucket", "Training/Models")
    )
    packages = f"{sagemaker}:model-package/{_spelt(stack, lasting_name(stage))}/*"
    rights = [
        *((role, f"{failures}/*", FAILED_BATCHES) for role in WRITERS),
        *((role, "Resource::*", NO_RESOURCE + "an event source lists streams first") for role in LISTERS),
        ("Archive/ArchiveTradesRole", f"{lake}/tape/*", OWN_PREFIX),
        ("Archive/ArchiveBarsRole", f"{lake}/bars/*", OWN_PREFIX),
        ("Archive/ArchiveForecastsRole", f"{lake}/forecasts/*", OWN_PREFIX),
        ("Forecasts/ForecastRole", f"{models}/models/*", "Which model serves is decided later: any of them may"),
        ("Training/PromoteModelRole", f"{models}/models/*", "Which model is approved is decided later"),
        ("Training/PromoteModelRole", packages, "Packages are numbered as they come; the group is this stage's own"),
        ("Training/Role", packages, "Packages are numbered as they come; the group is this stage's own"),
        (
            "Training/Role",
            "Resource::*",
            NO_RESOURCE + "a registry's token, and metrics, held to SageMaker's namespace",
        ),
        ("Training/Role", f"{lake}/bars/*", "It trains on all bars, and reads no other table of the lake"),
        ("Training/Role", f"{models}/models/*", "Each training makes a model of a name of its own"),
        *(("Training/Role", f"{sagemaker}:{kind}-job/pipelines-*", JOBS) for kind in ("processing", "training")),
        *(("Training/Role", f"{logs}/{kind}Jobs*", JOBS) for kind in ("Processing", "Training")),
        *((f"{task}/ExecutionRole", "Resource::*", NO_RESOURCE + "a registry's token") for task in TASKS),
    ]
    executions = f"{sagemaker}:pipeline/{stage.prefix}/execution/*"
    rights.append(("Training/Endings/Role", executions, "Executions bear ids that are drawn when they start"))
    if not stage.keep_data:
        rights.append(("Training/Endings/Role", packages, "All of the group's packages go with it"))
    if stage.tracing:
        rights += [(role, "Resource::*", NO_RESOURCE + "a trace's segments") for role in TRACED if role not in LISTERS]
    if stage.live:
        connections = (
            "Resource::arn:<AWS::Partition>:execute-api:<AWS::Region>:<AWS::AccountId>:"
            f"<{_logical_id(stack, 'Live/Api')}>/live/POST/@connections/*"
        )
        rights.append(("Live/PushForecastsRole", connections, "The gateway names connections as they come"))
    if stage.mlflow:
        kept = ("Training/Tracking/Role", "Training/Role")
        rights += [(role, f"{models}/mlflow/*", "MLflow names a folder after each training to come") for role in kept]
        actions = ("Abort", "DeleteObject", "GetBucket", "GetObject", "List")
        rights += [("Training/Tracking/Role", f"Action::s3:{each}*", MLFLOW) for each in actions]
    return [
        *(Known(where, f"AwsSolutions-IAM5[{what}]", reason) for where, what, reason in rights),
        *PLAIN,
        Known(
            "Live/Listeners", "AwsSolutions-DDB3", "Who listens has gone within two hours, and comes back by themselves"
        ),
        *([] if stage.keep_data else [Known("", "AwsSolutions-DDB3", "A development's tables can be filled anew")]),
    ]


TASKS = ("Ingestion", "History")
PLAIN = (
    *(
        Known(
            path, "AwsSolutions-S1", "Roles of this stack alone reach it; who wants to know each access has CloudTrail"
        )
        for path in ("Failures/Bucket", "Lake/Bucket", "Training/Models")
    ),
    Known(
        "Failures/Undelivered", "AwsSolutions-SQS3", "It is what a rule leaves its dead letters in; nothing reads it"
    ),
    Known("", "AwsSolutions-L1", "Layers are built and tested for Python 3.13, which Lambda supports"),
    Known("Api/Rest/Resource", "AwsSolutions-APIG2", "The function checks what it is asked, and says what is wrong"),
    Known(
        "Api/Rest/CloudWatchRole",
        "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
        "AmazonAPIGatewayPushToCloudWatchLogs]",
        "The policy that API Gateway itself asks an account to have",
    ),
    Known(
        "Api/Rest/DeploymentStage.live",
        "AwsSolutions-APIG3",
        "A web ACL costs more a month than all of the API; keys, "
        "quotas and the stage's throttle bound what a caller can cost",
    ),
    Known(
        "Api/Rest/DeploymentStage.live",
        "AwsSolutions-APIG6",
        "Each request is in the access log, and the function "
        "logs what it does: logging the gateway's own steps would pay twice",
    ),
    Known("Api/Rest/Default", "AwsSolutions-APIG4", "Callers are known by an API key and a usage plan; health is open"),
    Known("Api/Rest/Default", "AwsSolutions-COG4", "Machines call, with keys; there are no users who could sign in"),
    Known("Live/Api/$disconnect-Route", "AwsSolutions-APIG4", "Who leaves was let in: only $connect can be authorised"),
    Known("Ingestion/Network", "AwsSolutions-VPC7", "One task, which nothing can reach; flow logs would cost as much"),
    *(
        Known(f"{task}/Task", "AwsSolutions-ECS2", "The variables are names and numbers; none of them is a secret")
        for task in TASKS
    ),
    Known(
        "Ingestion/Cluster", "AwsSolutions-ECS4", "One task tells its own metrics; Container Insights bill by metric"
    ),
)


def check(app: App, stack: Stack, stage: Stage) -> None:
    """Have the app's synthesis look for findings that are not known."""
    for each in known(stack, stage):
        scope: IConstruct | None = stack
        for name in filter(None, each.where.split("/")):
            scope = scope.node.try_find_child(name) if scope else None
        if scope:  # not every stage has every part
            Validations.of(scope).acknowledge(Acknowledgment(id=each.rule, reason=each.reason))
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def _spelt(stack: Stack, text: str) -> str:
    """As a finding's id has it: what CloudFormation has to work out stands there as its JSON."""
    told = stack.resolve(text)
    parts = [told] if isinstance(told, str) else told["Fn::Join"][1]
    return "".join(part if isinstance(part, str) else json.dumps(part, separators=(",", ":")) for part in parts)


def _logical_id(stack: Stack, path: str) -> str:
    construct: IConstruct = stack
    for name in path.split("/"):
        construct = construct.node.find_child(name)
    default = construct.node.default_child
    assert default is not None
    return str(stack.resolve(stack.get_logical_id(default)))  # type: ignore[arg-type] # a bucket's is a CfnElement
