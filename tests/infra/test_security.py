"""What a strict reviewer looks for: transport, exposure, keys, secrets, backups, images, names, and what runs."""

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdk.__main__ import installed
from cdk.bootstrap import UnknownTemplateError, scanned
from cdk.settings import DEV, PROD, Stage
from tests.infra.assembly import ROOT, Assembly, Json, resolved
from tests.infra.conftest import synthesised
from tests.infra.rules import answers_plain_http, logs_for_good, not_by_the_key, open_to_the_public

Rule = Callable[[Json], list[str]]
RULES: tuple[Rule, ...] = (answers_plain_http, open_to_the_public, logs_for_good)

STAGES = pytest.mark.parametrize("stage", ["dev", "prod"])
NAMED = {
    "AWS::ApiGateway::RestApi": {"Name"},  # a name twice is allowed
    "AWS::ApiGatewayV2::Api": {"Name"},  # the same
    "AWS::ApiGatewayV2::Authorizer": {"Name"},
    "AWS::Athena::NamedQuery": {"Name"},
    "AWS::Athena::WorkGroup": {"Name"},
    "AWS::Glue::Table": {"Name"},
    "AWS::SageMaker::MlflowApp": {"Name"},
    "AWS::SageMaker::ModelPackageGroup": {"ModelPackageGroupName"},
    "AWS::SageMaker::Pipeline": {"PipelineName"},
}
"""What people and the service ask for by name. None of these fields' neighbours can force a replacement but the name
itself, or, for a table of Glue and a query, the database's."""
BLOCKING = (
    "BucketName",
    "TableName",
    "FunctionName",
    "RoleName",
    "PolicyName",
    "QueueName",
    "TopicName",
    "LogGroupName",
)
BLOCKING += ("ClusterName", "ServiceName", "AlarmName", "DashboardName", "Name", "ManagedPolicyName", "Family")


def statement(policy: Json) -> Json:
    """The only one of a stream's policy."""
    [only] = policy["ResourcePolicy"]["Statement"]
    found: Json = only
    return found


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return synthesised(replace(PROD, own_key=True), tmp_path_factory.mktemp("own"))


@STAGES
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_resource_breaks_a_rule(rule: Rule, stage: str, request: pytest.FixtureRequest) -> None:
    assembly: Assembly = request.getfixturevalue(stage)

    assert rule(assembly.template) == []


PLANTED: list[tuple[Rule, str, Callable[[Json], Any]]] = [
    (answers_plain_http, "S3::BucketPolicy", lambda each: each["PolicyDocument"].update(Statement=[])),
    (answers_plain_http, "Kinesis::ResourcePolicy", lambda each: each["ResourcePolicy"].update(Statement=[])),
    (answers_plain_http, "Kinesis::ResourcePolicy", lambda each: statement(each).update(Action="kinesis:PutRecord")),
    (answers_plain_http, "Kinesis::ResourcePolicy", lambda each: statement(each).update(Effect="Allow")),
    (answers_plain_http, "Kinesis::ResourcePolicy", lambda each: statement(each).pop("Condition")),
    (answers_plain_http, "SQS::QueuePolicy", lambda each: each["PolicyDocument"].update(Statement=[])),
    (answers_plain_http, "SNS::TopicPolicy", lambda each: each["PolicyDocument"].update(Statement=[])),
    (open_to_the_public, "S3::Bucket", lambda each: each.pop("PublicAccessBlockConfiguration")),
    (open_to_the_public, "S3::Bucket", lambda each: each["PublicAccessBlockConfiguration"].pop("BlockPublicAcls")),
    (logs_for_good, "Logs::LogGroup", lambda each: each.pop("RetentionInDays")),
    (logs_for_good, "Lambda::Function", lambda each: each.pop("LoggingConfig")),
    (logs_for_good, "ECS::TaskDefinition", lambda each: each["ContainerDefinitions"][0].pop("LogConfiguration")),
    (logs_for_good, "ApiGateway::Stage", lambda each: each.update(MethodSettings=[{"LoggingLevel": "INFO"}])),
    (not_by_the_key, "Logs::LogGroup", lambda each: each.pop("KmsKeyId")),
    (not_by_the_key, "S3::Bucket", lambda each: each.pop("BucketEncryption")),
    (not_by_the_key, "DynamoDB::Table", lambda each: each.pop("SSESpecification")),
    (not_by_the_key, "Kinesis::Stream", lambda each: each["StreamEncryption"].update(KeyId="alias/aws/kinesis")),
    (not_by_the_key, "Athena::WorkGroup", lambda each: each.pop("WorkGroupConfiguration")),
]


@pytest.mark.parametrize(
    ("rule", "kind", "break_it"), PLANTED, ids=[f"{rule.__name__}-{place}" for place, (rule, *_) in enumerate(PLANTED)]
)
def test_a_resource_that_breaks_a_rule_is_found(
    rule: Rule, kind: str, break_it: Callable[[Json], Any], own: Assembly
) -> None:
    broken = copy.deepcopy(own.template)
    one = next(each for each in broken["Resources"].values() if each["Type"] == f"AWS::{kind}")
    break_it(one["Properties"])

    assert rule(own.template) == []
    assert rule(broken)


def test_a_streams_policy_says_what_kinesis_takes(dev: Assembly) -> None:
    """It refuses wildcards among the actions, and any resource but the stream."""
    policy = dev.one("Kinesis::ResourcePolicy")

    for each in policy["ResourcePolicy"]["Statement"]:
        assert each["Resource"] == policy["ResourceArn"]
        assert all(re.fullmatch(r"kinesis:[A-Za-z]+", action) for action in each["Action"])


def test_images_are_scanned_when_they_are_pushed() -> None:
    """By the repository that `make bootstrap` makes: no stack's template can see to it (cdk/bootstrap.py)."""
    own = (installed().parents[1] / "lib/api/bootstrap/bootstrap-template.yaml").read_text()

    before, line, after = scanned(own).partition("      ImageScanningConfiguration: { ScanOnPush: true }\n")

    assert before + after == own
    assert before.endswith("  ContainerAssetsRepository:\n    Type: AWS::ECR::Repository\n    Properties:\n")
    assert line
    for changed in (own.replace("AWS::ECR::Repository", "AWS::ECR::PublicRepository"), scanned(own)):
        with pytest.raises(UnknownTemplateError):
            scanned(changed)


@STAGES
def test_nothing_is_secret_in_the_template(stage: str, request: pytest.FixtureRequest) -> None:
    assembly: Assembly = request.getfixturevalue(stage)
    told = [
        *(each["Properties"].get("Environment", {}) for each in assembly.of_type("Lambda::Function").values()),
        *(each["Properties"]["ContainerDefinitions"] for each in assembly.of_type("ECS::TaskDefinition").values()),
        assembly.template["Outputs"],
    ]

    assert not re.search(r"(?i)password|secret|token|credential|apikey_?value|AKIA[0-9A-Z]{16}", json.dumps(told))
    for key in assembly.of_type("ApiGateway::ApiKey").values():
        assert "Value" not in key["Properties"], "API Gateway makes the key; it is in no template"
    assert not assembly.of_type("SSM::Parameter"), "what is secret belongs in Secrets Manager"


def test_without_a_key_of_its_own_aws_encrypts_everything(prod: Assembly) -> None:
    assert not prod.of_type("KMS::Key")
    assert prod.one("Kinesis::Stream")["StreamEncryption"] == {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    for bucket in prod.of_type("S3::Bucket").values():
        [rule] = bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


def test_with_a_key_of_its_own_all_data_is_encrypted_by_it(own: Assembly) -> None:
    [name], key = own.of_type("KMS::Key"), own.one("KMS::Key")

    assert not_by_the_key(own.template) == []
    assert key["EnableKeyRotation"]
    assert own.of_type("KMS::Key")[name]["DeletionPolicy"] == "Retain", "data that stays needs its key"
    for bucket in own.of_type("S3::Bucket").values():
        [rule] = bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert (rule["BucketKeyEnabled"], rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"]) == (True, "aws:kms")


def test_logs_are_encrypted_for_groups_of_this_account_alone(own: Assembly) -> None:
    statements = resolved(own.one("KMS::Key")["KeyPolicy"]["Statement"])

    [logs] = [each for each in statements if "logs." in str(each["Principal"].get("Service"))]

    groups = "arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>:log-group:*"
    assert logs["Condition"] == {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}}
    assert "kms:*" not in logs["Action"]


def test_the_key_is_used_through_the_services_of_this_account_alone(own: Assembly) -> None:
    statements = own.one("KMS::Key")["KeyPolicy"]["Statement"]
    anyone = [each for each in statements if each["Principal"] == {"AWS": "*"}]

    for statement in anyone:
        assert set(statement["Condition"]["StringEquals"]) == {"kms:CallerAccount", "kms:ViaService"}
        assert "kms:*" not in statement["Action"]
    assert anyone


@STAGES
def test_no_name_stands_in_the_way_of_a_replacement(stage: str, request: pytest.FixtureRequest) -> None:
    assembly: Assembly = request.getfixturevalue(stage)
    chosen = {
        (resource["Type"], field)
        for resource in assembly.template["Resources"].values()
        for field in BLOCKING
        if isinstance(resource["Properties"].get(field), str)  # what refers to another is not chosen
        and resource["Type"] not in ("AWS::IAM::Policy", "AWS::ECS::TaskDefinition")  # the CDK's own, with a hash
    }

    assert {(kind, field) for kind, field in chosen if field not in NAMED.get(kind, set())} == set()


@STAGES
def test_nothing_is_paid_for_by_the_hour_but_the_one_task(stage: str, request: pytest.FixtureRequest) -> None:
    assembly: Assembly = request.getfixturevalue(stage)
    hourly = (
        "NatGateway",
        "VPCEndpoint",
        "EIP",
        "LoadBalancer",
        "SageMaker::Endpoint",
        "MSK",
        "DBInstance",
        "DBCluster",
    )
    kinds = {each["Type"] for each in assembly.template["Resources"].values()}

    assert not [kind for kind in kinds if kind.endswith(hourly)]
    assert len(assembly.of_type("ECS::Service")) == 1


@pytest.mark.parametrize(
    ("stage", "capacity"),
    [
        (DEV, ["FARGATE_SPOT"]),
        (replace(DEV, spot=False), ["FARGATE"]),
        (replace(DEV, on_demand_fallback=True), ["FARGATE_SPOT", "FARGATE"]),
    ],
    ids=["spot", "on-demand", "both"],
)
def test_the_task_runs_on_what_the_stage_says(stage: Stage, capacity: list[str], tmp_path: Path) -> None:
    service = synthesised(stage, tmp_path).one("ECS::Service")

    assert [each["CapacityProvider"] for each in service["CapacityProviderStrategy"]] == capacity
    assert service["DesiredCount"] == len(capacity)


@STAGES
@pytest.mark.parametrize("name", ["ingest_trades", "fill_history"])
def test_a_task_stops_in_its_own_time_over_a_root_that_stays_as_it_is(
    name: str, stage: str, request: pytest.FixtureRequest
) -> None:
    [container] = request.getfixturevalue(stage).task(name)["ContainerDefinitions"]

    assert container["StopTimeout"] == 30
    assert container["ReadonlyRootFilesystem"]


@STAGES
def test_the_task_is_healthy_by_its_own_watermarks(stage: str, request: pytest.FixtureRequest) -> None:
    task = request.getfixturevalue(stage).task("ingest_trades")
    [container] = task["ContainerDefinitions"]
    check = container["HealthCheck"]

    assert check["Command"] == ["CMD", "python", "-m", "functions.ingest_trades.health"]
    assert (ROOT / "functions" / "ingest_trades" / "health.py").is_file()
    assert check["StartPeriod"] == 300, "history comes first; each page of it is a watermark"
    [mount] = container["MountPoints"]
    assert (mount["ContainerPath"], mount["ReadOnly"]) == ("/tmp", False)
    assert task["Volumes"] == [{"Name": mount["SourceVolume"]}]


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_roles_of_services_that_tell_for_whom_they_act_trust_them_for_this_account_alone(stage, request) -> None:
    trusted = {f"{name}.amazonaws.com" for name in ("ecs-tasks", "sagemaker", "scheduler")}
    plain = {f"{name}.amazonaws.com" for name in ("apigateway", "lambda")}
    for name, role in request.getfixturevalue(stage).of_type("IAM::Role").items():
        [statement] = resolved(role["Properties"]["AssumeRolePolicyDocument"]["Statement"])
        assert statement["Principal"]["Service"] in trusted | plain
        if statement["Principal"]["Service"] in trusted:
            assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "<AWS::AccountId>"}}, name


def test_what_is_written_over_in_productions_lake_can_be_had_back_for_a_while(dev: Assembly, prod: Assembly) -> None:
    versioned = {
        name: each["Properties"]
        for assembly in (dev, prod)
        for name, each in assembly.of_type("S3::Bucket").items()
        if "VersioningConfiguration" in each["Properties"]
    }

    [(name, lake)] = versioned.items()
    assert name.startswith("Lake")
    rules = {rule["Id"]: rule for rule in lake["LifecycleConfiguration"]["Rules"]}
    assert rules["old versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 14}


def test_who_writes_state_writes_its_own_items_alone(dev: Assembly) -> None:
    state = f"<{next(name for name in dev.of_type('DynamoDB::Table') if name.startswith('BarsState'))}.Arn>"
    keys = {
        tuple(statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"])
        for policy in dev.of_type("IAM::Policy").values()
        for statement in resolved(policy["Properties"]["PolicyDocument"]["Statement"])
        if statement["Resource"] == state and statement["Action"] in ("dynamodb:PutItem", "dynamodb:UpdateItem")
        if not statement.get("Sid")
    }

    assert {("watermark:*",), ("calibration:*",), ("champion",), ("retraining",), ("scoring",)} <= keys
