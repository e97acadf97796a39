"""Where a stage's trainings are kept, and that a training may reach nothing else there."""

import json
from dataclasses import replace

import pytest

from cdk.settings import DEV
from tests.infra.assembly import Assembly, Json, resolved
from tests.infra.conftest import synthesised

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:comet-AbCdEf"


def environment(assembly: Assembly) -> Json:
    """Of the training job."""
    body = json.loads(resolved(assembly.one("SageMaker::Pipeline")["PipelineDefinition"]["PipelineDefinitionBody"]))
    [train] = [step for step in body["Steps"] if step["Name"] == "Train"]
    told: Json = train["Arguments"]["Environment"]
    return told


def allowed(assembly: Assembly, role: str) -> list[Json]:
    """What a role may do."""
    return [
        statement
        for policy in assembly.of_type("IAM::Policy").values()
        if resolved(policy["Properties"]["Roles"]) == [f"<{role}>"]
        for statement in resolved(policy["Properties"]["PolicyDocument"]["Statement"])
    ]


def pipelines_role(assembly: Assembly) -> str:
    role: str = resolved(assembly.one("SageMaker::Pipeline")["RoleArn"]).strip("<>").removesuffix(".Arn")
    return role


def test_a_stage_without_trackers_tells_its_trainings_of_none(dev: Assembly) -> None:
    assert not dev.of_type("SageMaker::MlflowApp")
    assert set(environment(dev)) == {"OMP_WAIT_POLICY"}
    assert "Mlflow" not in json.dumps(allowed(dev, pipelines_role(dev)))


def test_production_keeps_its_trainings_in_an_mlflow_app_that_its_trainings_alone_may_call(prod: Assembly) -> None:
    [(name, app)] = prod.of_type("SageMaker::MlflowApp").items()
    arn = environment(prod)["MLFLOW_TRACKING_URI"]

    assert arn == f"<{name}.Arn>"
    assert environment(prod)["TRACKING_INSTALL"]
    assert app["DeletionPolicy"] == "Retain"
    callers = {
        role
        for role in prod.of_type("IAM::Role")
        for statement in allowed(prod, role)
        if "sagemaker:CallMlflowAppApi" in statement["Action"]
    }
    assert callers == {pipelines_role(prod)}
    [call] = [each for each in allowed(prod, pipelines_role(prod)) if each["Action"] == "sagemaker:CallMlflowAppApi"]
    assert call["Resource"] == arn


def test_the_mlflow_app_reaches_its_own_files_alone(prod: Assembly) -> None:
    app = prod.one("SageMaker::MlflowApp")
    bucket = resolved(app["ArtifactStoreUri"]).removeprefix("s3://").removesuffix("/mlflow")
    [statement] = allowed(prod, resolved(app["RoleArn"]).strip("<>").removesuffix(".Arn"))

    assert all(action.startswith("s3:") for action in statement["Action"])
    assert set(statement["Resource"]) == {bucket.replace(">", ".Arn>"), bucket.replace(">", ".Arn>/mlflow/*")}


@pytest.fixture(scope="module")
def with_comet(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return synthesised(replace(DEV, comet_secret=SECRET), tmp_path_factory.mktemp("comet"))


def test_comets_key_stays_in_its_secret_which_the_training_alone_may_read(with_comet: Assembly) -> None:
    assert environment(with_comet)["COMET_API_KEY_SECRET"] == SECRET
    assert environment(with_comet)["AWS_DEFAULT_REGION"] == "<AWS::Region>"
    readers = {
        (role, statement["Resource"])
        for role in with_comet.of_type("IAM::Role")
        for statement in allowed(with_comet, role)
        if "secretsmanager:GetSecretValue" in statement["Action"]
    }
    assert readers == {(pipelines_role(with_comet), SECRET)}
