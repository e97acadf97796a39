"""A stack's end: what trains is stopped, development's registry goes whole, production's stays."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import boto3
import pytest
from botocore.stub import Stubber

from cdk import end_training
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


def asked(kind: str, url: str, **named: str) -> Json:
    told = {"StackId": "stack", "RequestId": "request", "LogicalResourceId": "Ended"}
    named = named or {"Group": "models"}
    properties = {"ServiceToken": "function", **named}
    return {**told, "RequestType": kind, "ResponseURL": url, "ResourceProperties": properties}


def runs(registry: Stubber, **statuses: str) -> None:
    """What the pipeline is said to have run, by id."""
    told = [
        {"PipelineExecutionArn": execution(each), "PipelineExecutionStatus": status}
        for each, status in statuses.items()
    ]
    registry.add_response(
        "list_pipeline_executions", {"PipelineExecutionSummaries": told}, {"PipelineName": "trainings"}
    )


def execution(number: str) -> str:
    return f"arn:aws:sagemaker:us-east-1:123456789012:pipeline/trainings/execution/{number}"


def stops(registry: Stubber, number: str) -> None:
    expected = {"PipelineExecutionArn": execution(number)}
    registry.add_response("stop_pipeline_execution", {}, expected)


class Invocation:
    """Lambda's context, with so much time left."""

    def __init__(self, left_s: int) -> None:
        self._left_s = left_s

    def get_remaining_time_in_millis(self) -> int:
        return 1000 * self._left_s


@pytest.mark.usefixtures("goes")
def test_every_model_of_the_group_goes(registry: Stubber, cloudformation: tuple[str, list[Json]]) -> None:
    url, answers = cloudformation
    pages: list[tuple[list[int], Json, Json]] = [([1, 2], {}, {"NextToken": "a"}), ([3], {"NextToken": "a"}, {})]
    for numbers, told, more in pages:
        page = {"ModelPackageSummaryList": [package(number) for number in numbers], **more}
        registry.add_response("list_model_packages", page, {"ModelPackageGroupName": "models", **told})
    for number in (1, 2, 3):
        registry.add_response("delete_model_package", {}, {"ModelPackageName": package(number)["ModelPackageArn"]})

    end_training.handler(asked("Delete", url), None)

    assert [(each["Status"], each["RequestId"]) for each in answers] == [("SUCCESS", "request")]


@pytest.mark.usefixtures("goes")
def test_what_trains_is_stopped_and_waited_for(
    registry: Stubber, cloudformation: tuple[str, list[Json]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, answers = cloudformation
    monkeypatch.setattr(end_training, "PAUSE_S", 0)
    runs(registry, a="Executing", b="Succeeded", c="Stopping")
    stops(registry, "a")
    runs(registry, a="Stopping", b="Succeeded", c="Stopped", d="Executing")
    stops(registry, "d")
    runs(registry, a="Stopping", b="Succeeded", c="Stopped", d="Stopping")
    runs(registry, a="Stopped", b="Succeeded", c="Stopped", d="Failed")

    end_training.handler(asked("Delete", url, Pipeline="trainings"), Invocation(left_s=600))

    assert [(each["Status"], each["PhysicalResourceId"]) for each in answers] == [("SUCCESS", "trainings")], answers


@pytest.mark.usefixtures("goes")
def test_a_training_that_does_not_end_in_time_is_named_and_what_to_do(
    registry: Stubber, cloudformation: tuple[str, list[Json]]
) -> None:
    url, answers = cloudformation
    runs(registry, a="Stopping")

    end_training.handler(asked("Delete", url, Pipeline="trainings"), Invocation(left_s=20))

    assert answers[0]["Status"] == "FAILED"
    assert "execution/a still stops: delete the stack again" in answers[0]["Reason"]


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_nothing_goes_before_the_stack_does(
    kind: str, registry: Stubber, cloudformation: tuple[str, list[Json]]
) -> None:
    url, answers = cloudformation

    end_training.handler(asked(kind, url), None)

    assert answers[0]["Status"] == "SUCCESS"


@pytest.mark.parametrize("named", [{"Group": "models"}, {"Pipeline": "trainings"}], ids=lambda named: next(iter(named)))
@pytest.mark.parametrize("status", ["UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS"])
def test_an_update_that_keeps_the_data_from_now_on_deletes_no_model_and_stops_nothing(
    status: str, named: dict[str, str], aws: dict[str, Stubber], cloudformation: tuple[str, list[Json]]
) -> None:
    url, answers = cloudformation
    is_(aws, status)

    end_training.handler(asked("Delete", url, **named), None)

    assert answers[0]["Status"] == "SUCCESS"


@pytest.mark.usefixtures("goes")
def test_what_fails_is_answered_with_the_cause(registry: Stubber, cloudformation: tuple[str, list[Json]]) -> None:
    url, answers = cloudformation
    registry.add_client_error("list_model_packages", "AccessDeniedException", "not yours")

    end_training.handler(asked("Delete", url), None)

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


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_who_starts_trainings_goes_first_then_what_trains_then_the_pipeline(
    stage: str, request: pytest.FixtureRequest
) -> None:
    assembly: Assembly = request.getfixturevalue(stage)
    resources = assembly.template["Resources"]
    [stopped] = of_kind(assembly, "Custom::StopTrainings")
    [pipeline] = assembly.of_type("SageMaker::Pipeline")
    starters = {
        name
        for name, each in assembly.of_type("Scheduler::Schedule").items()
        if name.startswith(("TrainingWeekly", "ScoresSchedule"))
    }

    assert len(starters) == 2
    assert all(stopped in resources[name]["DependsOn"] for name in starters)
    assert pipeline in resources[stopped]["DependsOn"]
    assert resources[stopped]["Properties"]["Pipeline"] == resources[pipeline]["Properties"]["PipelineName"]


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_its_function_may_stop_this_pipeline_and_delete_this_groups_models_and_no_more(
    stage: str, request: pytest.FixtureRequest
) -> None:
    assembly: Assembly = request.getfixturevalue(stage)
    policies = assembly.of_type("IAM::Policy").items()
    [policy] = [each for name, each in policies if name.startswith("TrainingEndings")]
    prefix = "arn:<AWS::Partition>:sagemaker:<AWS::Region>:<AWS::AccountId>"
    models = {
        "sagemaker:DeleteModelPackage": f"{prefix}:model-package/predict-bitcoin-dev/*",
        "sagemaker:ListModelPackages": [
            f"{prefix}:model-package-group/predict-bitcoin-dev",
            f"{prefix}:model-package/predict-bitcoin-dev/*",
        ],
    }

    rights = {
        str(each["Action"]): each["Resource"]
        for each in resolved(policy["Properties"]["PolicyDocument"]["Statement"])
        if not str(each["Action"]).startswith("['logs:")
    }

    assert rights == {
        "cloudformation:DescribeStacks": "<AWS::StackId>",
        "sagemaker:ListPipelineExecutions": f"{prefix}:pipeline/predict-bitcoin-{stage}",
        "sagemaker:StopPipelineExecution": f"{prefix}:pipeline/predict-bitcoin-{stage}/execution/*",
        **(models if stage == "dev" else {}),
    }


def test_production_keeps_its_registry(prod: Assembly) -> None:
    [group] = prod.of_type("SageMaker::ModelPackageGroup").values()

    assert group["DeletionPolicy"] == "Retain"
    assert not emptying(prod)


def emptying(assembly: Assembly) -> list[str]:
    return of_kind(assembly, "Custom::EmptyModelRegistry")


def of_kind(assembly: Assembly, kind: str) -> list[str]:
    return [name for name, each in assembly.template["Resources"].items() if each["Type"] == kind]
