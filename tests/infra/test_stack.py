"""The stack as a whole: rights, stages, lint."""

import ast
import json
import os
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from cdk.settings import STAGES, stage_named
from tests.infra.assembly import ROOT, Assembly, Json, resolved

WITHOUT_A_RESOURCE = {
    "ecr:GetAuthorizationToken",  # a token is for all registries
    "cloudwatch:PutMetricData",  # a metric is in no ARN; held to a namespace
    "dynamodb:ListStreams",  # the event source lists before it reads
}


def statements(assembly: Assembly) -> list[Json]:
    policies = assembly.of_type("IAM::Policy").values()
    return [
        resolved(statement) for policy in policies for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_no_right_is_wider_than_a_reason_says(stage: str, request: pytest.FixtureRequest) -> None:
    for statement in statements(request.getfixturevalue(stage)):
        actions = as_list(statement["Action"])
        assert not {action for action in actions if action in ("*", "s3:*", "dynamodb:*", "kinesis:*", "sagemaker:*")}
        if "*" in as_list(statement["Resource"]):
            assert set(actions) <= WITHOUT_A_RESOURCE


def test_a_role_is_passed_to_sagemaker_alone(dev: Assembly) -> None:
    passing = [statement for statement in statements(dev) if "iam:PassRole" in as_list(statement["Action"])]

    assert [statement["Condition"] for statement in passing] == [
        {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    ]


def test_production_keeps_its_data(prod: Assembly) -> None:
    tables = {name for name in prod.of_type("DynamoDB::Table") if not name.startswith("LiveListeners")}
    kept = {*tables, *prod.of_type("S3::Bucket"), *prod.of_type("Logs::LogGroup")}
    assert {prod.template["Resources"][name]["DeletionPolicy"] for name in kept} == {"Retain"}
    for name in tables:
        table = prod.template["Resources"][name]["Properties"]
        assert table["DeletionProtectionEnabled"]
        assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]


def test_production_keeps_nothing_that_is_paid_for_by_the_hour_or_has_passed(prod: Assembly) -> None:
    [stream], [listeners] = (
        [each for name, each in prod.of_type(kind).items() if name.startswith(start)]
        for kind, start in (("Kinesis::Stream", ""), ("DynamoDB::Table", "LiveListeners"))
    )

    assert stream["DeletionPolicy"] == listeners["DeletionPolicy"] == "Delete"
    assert not listeners["Properties"]["DeletionProtectionEnabled"]


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_parts_of_uploads_that_nobody_ended_are_not_paid_for_long(stage: str, request: pytest.FixtureRequest) -> None:
    for bucket in request.getfixturevalue(stage).of_type("S3::Bucket").values():
        rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
        assert [rule["AbortIncompleteMultipartUpload"] for rule in rules if rule["Id"] == "torn uploads"]


def test_development_leaves_nothing_behind(dev: Assembly) -> None:
    kept = {
        name for name, each in dev.template["Resources"].items() if each.get("DeletionPolicy", "Delete") != "Delete"
    }
    assert not kept
    emptied = [each for each in dev.template["Resources"].values() if each["Type"] == "Custom::S3AutoDeleteObjects"]
    assert len(emptied) == len(dev.of_type("S3::Bucket"))


def test_stages_differ_in_every_name_they_choose() -> None:
    assert len({stage.prefix for stage in STAGES.values()}) == len(STAGES)


def test_a_stage_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ValueError, match="choose one of dev, prod, local"):
        stage_named("staging")


def test_cfn_lint_finds_nothing(prod: Assembly) -> None:
    [template] = prod.folder.glob("*.template.json")

    linted = subprocess.run(
        [str(Path(sys.executable).with_name("cfn-lint")), str(template)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert linted.returncode == 0, linted.stdout


@pytest.mark.xdist_group("infra without anything")
def test_no_docker_no_node_and_no_credentials_are_asked_for(tmp_path: Path) -> None:
    bare = {"PATH": str(tmp_path), "CDK_CONTEXT_JSON": json.dumps({"stage": "prod"})}
    bare |= {
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    bare |= {name: os.environ[name] for name in ("HOME", "XDG_CACHE_HOME") if name in os.environ}  # the unpacked CDK
    command = [sys.executable, "-m", "cdk.app", "--output", str(tmp_path / "out")]

    done = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "PredictBitcoin-prod.template.json").exists()


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_no_tables_stream_has_more_readers_than_a_shard_of_it_bears(stage, request) -> None:
    """Two at most: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html."""
    mappings = request.getfixturevalue(stage).of_type("Lambda::EventSourceMapping").values()
    readers = Counter(str(resolved(each["Properties"]["EventSourceArn"])) for each in mappings)
    tables = {arn: count for arn, count in readers.items() if arn.endswith(".StreamArn>")}

    assert tables
    assert max(tables.values()) <= 2


NAMED = {
    "ApiGateway::RestApi": "names need not be unique; resource-based rights and metrics are by it",
    "ApiGatewayV2::Api": "names need not be unique",
    "ApiGatewayV2::Authorizer": "unique within its API, which is made with it",
    "Athena::WorkGroup": "replaced for its name alone",
    "Glue::Database": "replaced for its name or account alone",
    "SageMaker::ModelPackageGroup": "must have one",
    "SageMaker::MlflowApp": "must have one",
    "SageMaker::Pipeline": "replaced for its name alone",
}
"""What bears a name of the stage's, and why that blocks no replacement."""


def names(resource: Json) -> list[str]:
    """What the resource itself is called, where its template says so."""
    kind = resource["Type"].rpartition("::")[2]
    keys = ("Name", f"{kind}Name", "DatabaseName", "FunctionName", "RoleName", "TopicName", "KeyName", "AliasName")
    told = (resolved(resource.get("Properties", {})).get(key) for key in keys)
    return [name for name in told if isinstance(name, str) and "predict" in name]


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_what_bears_a_name_is_known(stage, request) -> None:
    assembly: Assembly = request.getfixturevalue(stage)
    named = {each["Type"].removeprefix("AWS::") for each in assembly.template["Resources"].values() if names(each)}

    assert named == {kind for kind in NAMED if assembly.of_type(kind)}


def test_what_outlives_its_stack_bears_the_stacks_own_id_so_that_another_may_be_deployed(prod: Assembly) -> None:
    kept = [each for each in prod.template["Resources"].values() if each.get("DeletionPolicy", "").startswith("Retain")]
    called = {name for each in kept for name in names(each)}

    assert len(kept) > len(called)
    assert called == {"predict-bitcoin-prod-<AWS::StackId|/2|-0>"}
    assert prod.of_type("SageMaker::ModelPackageGroup")


def test_mypy_looks_into_every_service_the_app_imports() -> None:
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    [followed] = (set(each["module"]) for each in overrides if each.get("follow_imports") == "normal")

    assert followed == {"aws_cdk", *services()}


def services() -> set[str]:
    """The submodules of aws_cdk that the app's sources name."""
    found = set()
    for source in (ROOT / "cdk").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aws_cdk."):
                found.add(node.module)
            elif isinstance(node, ast.ImportFrom) and node.module == "aws_cdk":
                found |= {f"aws_cdk.{each.name}" for each in node.names if each.name.startswith("aws_")}
    return found
