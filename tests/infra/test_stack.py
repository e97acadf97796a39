"""The stack as a whole: rights, stages, lint."""

import json
import os
import subprocess
import sys
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
    for kind in ("DynamoDB::Table", "S3::Bucket", "Logs::LogGroup"):
        assert {resource["DeletionPolicy"] for resource in prod.of_type(kind).values()} == {"Retain"}
    for table in prod.of_type("DynamoDB::Table").values():
        assert table["Properties"]["DeletionProtectionEnabled"]
        assert table["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]


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
