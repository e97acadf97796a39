"""What a strict reviewer looks for: transport, exposure, keys, secrets, backups, images, names, and what runs."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from cdk.settings import DEV, PROD, Stage
from tests.infra.assembly import ROOT, Assembly, resolved
from tests.infra.conftest import synthesised

STAGES = pytest.mark.parametrize("stage", ["dev", "prod"])
NAMED = {
    "AWS::ApiGateway::RestApi": {"Name"},  # a name twice is allowed
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


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return synthesised(replace(PROD, own_key=True), tmp_path_factory.mktemp("own"))


@STAGES
def test_no_bucket_answers_without_tls_or_in_public(stage: str, request: pytest.FixtureRequest) -> None:
    assembly: Assembly = request.getfixturevalue(stage)
    policies = {
        each["Properties"]["Bucket"]["Ref"]: resolved(each["Properties"]["PolicyDocument"]["Statement"])
        for each in assembly.of_type("S3::BucketPolicy").values()
    }
    for name, bucket in assembly.of_type("S3::Bucket").items():
        assert all(bucket["Properties"]["PublicAccessBlockConfiguration"].values())
        [refusal] = [each for each in policies[name] if each["Effect"] == "Deny"]
        assert refusal["Action"] == "s3:*"
        assert refusal["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert refusal["Resource"] == [f"<{name}.Arn>", f"<{name}.Arn>/*"]


@STAGES
def test_a_queue_or_topic_would_have_to_refuse_plain_http(stage: str, request: pytest.FixtureRequest) -> None:
    assembly: Assembly = request.getfixturevalue(stage)
    refusing = json.dumps(
        [
            each["Properties"]["PolicyDocument"]
            for kind in ("SQS::QueuePolicy", "SNS::TopicPolicy")
            for each in assembly.of_type(kind).values()
            if "aws:SecureTransport" in json.dumps(each)
        ]
    )
    for name in (*assembly.of_type("SQS::Queue"), *assembly.of_type("SNS::Topic")):
        assert name in refusing


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
    arn = {"Fn::GetAtt": [name, "Arn"]}

    assert key["EnableKeyRotation"]
    assert own.of_type("KMS::Key")[name]["DeletionPolicy"] == "Retain", "data that stays needs its key"
    assert name in json.dumps(own.one("Kinesis::Stream")["StreamEncryption"]["KeyId"])
    for table in own.of_type("DynamoDB::Table").values():
        assert table["Properties"]["SSESpecification"] == {
            "KMSMasterKeyId": arn,
            "SSEEnabled": True,
            "SSEType": "KMS",
        }
    for bucket in own.of_type("S3::Bucket").values():
        [rule] = bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule == {
            "BucketKeyEnabled": True,
            "ServerSideEncryptionByDefault": {"KMSMasterKeyID": arn, "SSEAlgorithm": "aws:kms"},
        }


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


def test_a_second_stage_lives_beside_the_first(dev: Assembly, prod: Assembly) -> None:
    def names(assembly: Assembly) -> set[str]:
        found = [
            each["Properties"].get(field)
            for each in assembly.template["Resources"].values()
            for field in {field for fields in NAMED.values() for field in fields}
            if each["Type"] in NAMED and each["Type"] not in ("AWS::Athena::NamedQuery", "AWS::Glue::Table")
        ]
        return {name for name in found if isinstance(name, str)}

    assert names(dev)
    assert not names(dev) & names(prod)
    assert {path.name for path in dev.folder.glob("*.template.json")} != {
        path.name for path in prod.folder.glob("*.template.json")
    }


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
def test_the_task_stops_in_its_own_time_over_a_root_that_stays_as_it_is(
    stage: str, request: pytest.FixtureRequest
) -> None:
    [container] = request.getfixturevalue(stage).task("ingest_trades")["ContainerDefinitions"]

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
