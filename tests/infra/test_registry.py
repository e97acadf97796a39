"""The registry's end: development's goes whole, production's stays."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import boto3
import pytest
from botocore.stub import Stubber

from cdk import empty_registry
from tests.infra.assembly import Assembly, Json, resolved


@pytest.fixture
def cloudformation() -> Iterator[tuple[str, list[Json]]]:
    """Where the answers go, and what they were."""
    answers: list[Json] = []

    class Listener(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Listener)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/answer", answers
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Stubber]]:
    """SageMaker and CloudFormation as their models have them: moto deletes no packages and ends in no time."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    its_models, its_stack = boto3.client("sagemaker", "us-east-1"), boto3.client("cloudformation", "us-east-1")
    monkeypatch.setattr(boto3, "client", {"sagemaker": its_models, "cloudformation": its_stack}.__getitem__)
    with Stubber(its_models) as sagemaker, Stubber(its_stack) as cloudformation:
        yield {"sagemaker": sagemaker, "cloudformation": cloudformation}
        sagemaker.assert_no_pending_responses()
        cloudformation.assert_no_pending_responses()


@pytest.fixture
def registry(aws: dict[str, Stubber]) -> Stubber:
    return aws["sagemaker"]


@pytest.fixture
def goes(aws: dict[str, Stubber]) -> None:
    """All of the stack does."""
    is_(aws, "DELETE_IN_PROGRESS")


def is_(aws: dict[str, Stubber], status: str) -> None:
    stack = {"StackName": "PredictBitcoin", "CreationTime": datetime.now(UTC), "StackStatus": status}
    aws["cloudformation"].add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": "stack"})


def package(number: int) -> Json:
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:model-package/models/{number}"
    return {"ModelPackageArn": arn, "CreationTime": datetime.now(UTC), "ModelPackageStatus": "Completed"}


def asked(kind: str, url: str, group: str = "models") -> Json:
    named = {"StackId": "stack", "RequestId": "request", "LogicalResourceId": "Emptied"}
    return {**named, "RequestType": kind, "ResponseURL": url, "ResourceProperties": {"Group": group}}


@pytest.mark.usefixtures("goes")
def test_every_model_of_the_group_goes(registry: Stubber, cloudformation: tuple[str, list[Json]]) -> None:
    url, answers = cloudformation
    pages: list[tuple[list[int], Json, Json]] = [([1, 2], {}, {"NextToken": "a"}), ([3], {"NextToken": "a"}, {})]
    for numbers, told, more in pages:
        page = {"ModelPackageSummaryList": [package(number) for number in numbers], **more}
        registry.add_response("list_model_packages", page, {"ModelPackageGroupName": "models", **told})
    for number in (1, 2, 3):
        registry.add_response("delete_model_package", {}, {"ModelPackageName": package(number)["ModelPackageArn"]})

    empty_registry.handler(asked("Delete", url), None)

    assert [(each["Status"], each["RequestId"]) for each in answers] == [("SUCCESS", "request")]


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_nothing_goes_before_the_stack_does(
    kind: str, registry: Stubber, cloudformation: tuple[str, list[Json]]
) -> None:
    url, answers = cloudformation

    empty_registry.handler(asked(kind, url), None)

    assert answers[0]["Status"] == "SUCCESS"


@pytest.mark.parametrize(
    "status", ["UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"]
)
def test_an_update_that_keeps_the_data_from_now_on_deletes_no_model(
    status: str, aws: dict[str, Stubber], cloudformation: tuple[str, list[Json]]
) -> None:
    url, answers = cloudformation
    is_(aws, status)

    empty_registry.handler(asked("Delete", url), None)

    assert answers[0]["Status"] == "SUCCESS"


@pytest.mark.usefixtures("goes")
def test_what_fails_is_answered_with_the_cause(registry: Stubber, cloudformation: tuple[str, list[Json]]) -> None:
    url, answers = cloudformation
    registry.add_client_error("list_model_packages", "AccessDeniedException", "not yours")

    empty_registry.handler(asked("Delete", url), None)

    assert answers[0]["Status"] == "FAILED"
    assert answers[0]["Reason"].endswith("not yours")


def test_development_empties_its_registry_between_the_pipelines_end_and_the_groups(dev: Assembly) -> None:
    [group], [emptied] = dev.of_type("SageMaker::ModelPackageGroup"), emptying(dev)
    [pipeline] = dev.of_type("SageMaker::Pipeline").values()

    assert group in dev.template["Resources"][emptied]["DependsOn"]
    assert emptied in pipeline["DependsOn"]
    assert (
        dev.template["Resources"][emptied]["Properties"]["Group"]
        == dev.one("SageMaker::ModelPackageGroup")["ModelPackageGroupName"]
    )


def test_its_function_may_delete_this_groups_models_and_no_more(dev: Assembly) -> None:
    [policy] = [each for name, each in dev.of_type("IAM::Policy").items() if name.startswith("TrainingEmptyRegistry")]
    prefix = "arn:<AWS::Partition>:sagemaker:<AWS::Region>:<AWS::AccountId>"

    rights = {
        str(each["Action"]): each["Resource"]
        for each in resolved(policy["Properties"]["PolicyDocument"]["Statement"])
        if not str(each["Action"]).startswith("['logs:")
    }

    assert rights == {
        "cloudformation:DescribeStacks": "<AWS::StackId>",
        "sagemaker:DeleteModelPackage": f"{prefix}:model-package/predict-bitcoin-dev/*",
        "sagemaker:ListModelPackages": [
            f"{prefix}:model-package-group/predict-bitcoin-dev",
            f"{prefix}:model-package/predict-bitcoin-dev/*",
        ],
    }


def test_production_keeps_its_registry(prod: Assembly) -> None:
    [group] = prod.of_type("SageMaker::ModelPackageGroup").values()

    assert group["DeletionPolicy"] == "Retain"
    assert not emptying(prod)


def emptying(assembly: Assembly) -> list[str]:
    resources = assembly.template["Resources"].items()
    return [name for name, each in resources if each["Type"] == "Custom::EmptyModelRegistry"]
