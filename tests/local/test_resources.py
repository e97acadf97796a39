"""The template's intrinsics resolve as CloudFormation's, and what it declares exists in the emulator afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local import declarations
from local.intrinsics import Created, Resolver, TemplateError
from local.processes import Process, interpreter
from local.resources import deploy
from local.streams import Emulator
from local.template import ROOT, Assembly

PSEUDO = {"AWS::Region": "eu-west-1", "AWS::Partition": "aws"}


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    process = Process.start(
        "emulator",
        [*interpreter(), "-m", "local.emulator"],
        log=tmp_path_factory.mktemp("emulator") / "log",
        environment={"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"},
        folder=ROOT,
        announces=True,
    )
    yield Emulator(json.loads(process.announcement())["endpoint"])
    process.stop()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"Ref": "AWS::Region"}, "eu-west-1"),
        ({"Ref": "Bucket"}, "bucket-name"),
        ({"Fn::GetAtt": ["Bucket", "Arn"]}, "arn:bucket-name"),
        ({"Fn::GetAtt": "Bucket.Arn"}, "arn:bucket-name"),
        ({"Fn::Join": ["/", ["s3:/", {"Ref": "Bucket"}, "bars"]]}, "s3://bucket-name/bars"),
        (
            {"Fn::Sub": "${AWS::Region}-${Bucket}-${Bucket.Arn}-${!Kept}"},
            "eu-west-1-bucket-name-arn:bucket-name-${Kept}",
        ),
        ({"Fn::Sub": ["${Mine}", {"Mine": {"Ref": "Bucket"}}]}, "bucket-name"),
        ({"Fn::Select": [1, {"Fn::Split": ["-", {"Ref": "Bucket"}]}]}, "name"),
        ({"Fn::FindInMap": ["Images", {"Ref": "AWS::Region"}, "image"]}, "image:1"),
        ({"Fn::If": ["Here", "yes", "no"]}, "yes"),
        ({"kept": 1, "left out": {"Ref": "AWS::NoValue"}}, {"kept": 1}),
    ],
)
def test_an_intrinsic_resolves_to_what_cloudformation_makes_of_it(given: Any, meant: Any) -> None:
    template = {
        "Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}},
        "Mappings": {"Images": {"eu-west-1": {"image": "image:1"}}},
        "Conditions": {"Here": {"Fn::Not": [{"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]}]}},
    }
    resolver = Resolver(template, PSEUDO, {}, lambda _: Created("bucket-name", {"Arn": "arn:bucket-name"}))

    assert resolver.value(given) == meant


def test_an_unknown_attribute_is_named() -> None:
    template = {"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}}}
    resolver = Resolver(template, PSEUDO, {}, lambda _: Created("bucket-name"))

    with pytest.raises(TemplateError, match="AWS::S3::Bucket Bucket has no attribute Arn"):
        resolver.value({"Fn::GetAtt": ["Bucket", "Arn"]})


def test_what_is_declared_exists_whatever_the_order_of_its_references(emulator: Emulator) -> None:
    deployed = deploy(
        _assembly(
            {
                "Mapping": {
                    "Type": "AWS::Lambda::EventSourceMapping",
                    "Properties": {
                        "FunctionName": {"Ref": "Reader"},
                        "EventSourceArn": {"Fn::GetAtt": ["Bars", "StreamArn"]},
                        "StartingPosition": "TRIM_HORIZON",
                    },
                },
                "Reader": {"Type": "AWS::Lambda::Function", "Properties": {"Handler": "handler.handler"}},
                "Bars": {
                    "Type": "AWS::DynamoDB::Table",
                    "Properties": {
                        "AttributeDefinitions": [{"AttributeName": "market", "AttributeType": "S"}],
                        "KeySchema": [{"AttributeName": "market", "KeyType": "HASH"}],
                        "BillingMode": "PAY_PER_REQUEST",
                        "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
                        "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
                    },
                },
            }
        ),
        emulator,
    )

    table = emulator.client("dynamodb").describe_table(TableName=deployed.resources["Bars"].created.ref)["Table"]
    [mapping] = declarations.mappings(deployed)
    assert mapping.source_arn == table["LatestStreamArn"]
    assert mapping.function_arn == deployed.resources["Reader"].created.attributes["Arn"]


def test_a_type_that_is_new_to_the_template_fails_by_name(emulator: Emulator) -> None:
    assembly = _assembly({"Robot": {"Type": "AWS::RoboMaker::Fleet"}})

    with pytest.raises(TemplateError, match="AWS::RoboMaker::Fleet"):
        deploy(assembly, emulator)


def test_references_in_a_circle_fail_by_name(emulator: Emulator) -> None:
    assembly = _assembly(
        {
            "One": {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": {"source": [{"Ref": "Two"}]}}},
            "Two": {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": {"source": [{"Ref": "One"}]}}},
        }
    )

    with pytest.raises(TemplateError, match="One → Two"):
        deploy(assembly, emulator)


def _assembly(resources: dict[str, Any]) -> Assembly:
    return Assembly("Stack", {"Resources": resources}, {})
