"""Stages: what a deployment is that is told nothing, and how two of them live in one account."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cdk.settings import DEV, PROD, Stage
from tests.infra.assembly import ROOT, Assembly
from tests.infra.conftest import synthesised

ANYWHERE = {
    "AWS::ApiGateway::Stage": "of its own API",
    "AWS::ApiGatewayV2::Stage": "of its own API",
    "AWS::Athena::NamedQuery": "of its own workgroup",
    "AWS::CloudWatch::Alarm": "its metric's, in the stage's namespace or of a dimension of its own",
    "AWS::IAM::Policy": "of its own role",
}
"""Where a name may be another stage's too."""


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Another stage of the very same settings."""
    return synthesised(replace(DEV, name="second"), tmp_path_factory.mktemp("second"))


def chosen(assembly: Assembly) -> set[tuple[str, str, str]]:
    """Type, field and value of each name that is in the template as text."""
    return {
        (each["Type"], field, value)
        for each in assembly.template["Resources"].values()
        for field, value in each.get("Properties", {}).items()
        if field.endswith("Name") and isinstance(value, str) and each["Type"] not in ANYWHERE
    }


@pytest.mark.parametrize("stage", [DEV, PROD], ids=lambda stage: stage.name)
def test_makes_verbs_mean_the_stage_that_is_named_and_its_stack(stage: Stage) -> None:
    for verb, told in {
        "deploy": f"cdk deploy -c stage={stage.name}",
        "destroy": f"cdk destroy -c stage={stage.name}",
        "key": f"btc.aws.keys --stack {stage.stack_name} make",
        "keys": f"btc.aws.keys --stack {stage.stack_name} list",
        "revoke": f"btc.aws.keys --stack {stage.stack_name} revoke",
    }.items():
        words = [] if stage == DEV else [f"STAGE={stage.name}"]
        done = subprocess.run(
            ["make", "--dry-run", verb, *words],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
        )
        assert told in done.stdout, verb


def test_two_stages_choose_no_name_alike(dev: Assembly, second: Assembly) -> None:
    assert {kind for kind, _, _ in chosen(dev)} >= {
        "AWS::Athena::WorkGroup",
        "AWS::Glue::Database",
        "AWS::SageMaker::ModelPackageGroup",
        "AWS::SageMaker::Pipeline",
    }
    assert chosen(dev) & chosen(second) == set()
    [one], [other] = dev.folder.glob("*.template.json"), second.folder.glob("*.template.json")
    assert one.name != other.name
    assert not [name for name, each in dev.template["Outputs"].items() if "Export" in each]


def test_a_name_that_two_stages_share_is_found(dev: Assembly, second: Assembly) -> None:
    for assembly in (one := Assembly(dev.folder, {"Resources": {}}), two := Assembly(dev.folder, {"Resources": {}})):
        table = {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "bars"}}
        assembly.template["Resources"]["Table"] = table

    assert chosen(one) & chosen(two) == {("AWS::DynamoDB::Table", "TableName", "bars")}


def test_nothing_of_a_stage_speaks_of_another(second: Assembly) -> None:
    assert DEV.prefix not in json.dumps(second.template)


def test_no_stage_is_watched_by_what_another_measures(dev: Assembly, second: Assembly) -> None:
    """A feed that is silent must not be told of by a feed that is not."""

    def namespaces(assembly: Assembly) -> tuple[set[str], set[str]]:
        alarms = [
            each["Properties"].get("Namespace", "AWS/") for each in assembly.of_type("CloudWatch::Alarm").values()
        ]
        sent = {
            each["Properties"]["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"]
            for each in assembly.functions.values()
        }
        for name in ("ingest_trades", "fill_history"):
            [container] = assembly.task(name)["ContainerDefinitions"]
            told = {each["Name"]: each["Value"] for each in container["Environment"]}
            sent.add(told["POWERTOOLS_METRICS_NAMESPACE"])
        return {each for each in alarms if each and not each.startswith("AWS/")}, sent

    watched, sent = namespaces(dev)
    other_watched, other_sent = namespaces(second)

    assert watched == sent
    assert other_watched == other_sent
    assert not sent & other_sent


def test_a_deployment_that_is_told_nothing_is_development_wherever_the_credentials_lead(tmp_path: Path) -> None:
    from cdk.app import build  # noqa: PLC0415 - seconds

    assembly = build(output=tmp_path, in_place=True).synth()

    [stack] = assembly.stacks  # of one stack alone `cdk deploy` asks for no name
    assert stack.stack_name == DEV.stack_name
    assert DEV.prefix in json.dumps(stack.template)
    assert (stack.environment.account, stack.environment.region) == ("unknown-account", "unknown-region")
    assert not stack.template.get("Parameters", {}).keys() - {"BootstrapVersion"}
