"""The pipeline as it is deployed, its schedule, its image, and who promotes what it registers."""

import io
import json
import subprocess
import sys
import tarfile
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from cdk.settings import DEV
from cdk.xgboost_image import ACCOUNTS, REPOSITORY, TAG
from local.patterns import compile_pattern
from tests.infra.assembly import ROOT, Assembly, Json, resolved
from tests.infra.conftest import synthesised


def definition(assembly: Assembly) -> Json:
    body: Json = json.loads(
        resolved(assembly.one("SageMaker::Pipeline")["PipelineDefinition"]["PipelineDefinitionBody"])
    )
    return body


def test_the_deployed_pipeline_trains_weighs_and_registers(dev: Assembly) -> None:
    pipeline = definition(dev)

    assert [step["Name"] for step in pipeline["Steps"]] == ["Snapshot", "Train", "Gate", "Choose"]
    registered = pipeline["Steps"][-1]["Arguments"]["IfSteps"][0]["Arguments"]
    assert registered["ModelPackageGroupName"] == dev.one("SageMaker::ModelPackageGroup")["ModelPackageGroupName"]


def test_jobs_read_the_lake_that_the_archive_writes_and_run_the_bundled_program(dev: Assembly) -> None:
    snapshot, train = (step["Arguments"] for step in definition(dev)["Steps"][:2])
    archive = resolved(dev.functions["archive_bars"]["Properties"]["Environment"]["Variables"])

    words = snapshot["AppSpecification"]["ContainerArguments"]
    assert words[words.index("--bars") + 1] == f"s3://{archive['LAKE_BUCKET']}/bars/venue=kraken/symbol=BTC-USD/"
    assert train["HyperParameters"]["sagemaker_submit_directory"].endswith(".gz")
    assert train["HyperParameters"]["sagemaker_program"] == "train.py"


@pytest.mark.parametrize("search_s", [1800, 7200])
def test_a_training_has_time_for_its_search_and_for_the_fit_of_two_years(search_s: int, tmp_path: Path) -> None:
    stage = replace(DEV, hyperparameters=(("train-seconds", str(search_s)),))
    told = definition(synthesised(stage, tmp_path))
    limits = told["Steps"][1]["Arguments"]["StoppingCondition"]

    assert {"Name": "TrainSeconds", "Type": "String", "DefaultValue": str(search_s)} in told["Parameters"]
    assert limits["MaxRuntimeInSeconds"] >= search_s + 2 * 26 * 60, "twice what it took on two busy cores"
    assert limits["MaxWaitTimeInSeconds"] > limits["MaxRuntimeInSeconds"]


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = spec_from_file_location("layers_build", ROOT / "layers" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_bundle_holds_the_program_at_its_root_and_the_domain_it_imports(build: ModuleType) -> None:
    with tarfile.open(fileobj=io.BytesIO(build.source_archive())) as archive:
        names = archive.getnames()

    assert {"train.py", "requirements.txt", "training/train.py", "training/gate.py", "btc/bars.py"} <= set(names)
    assert not [name for name in names if not name.endswith((".py", "requirements.txt"))]


def test_the_bundle_tells_nothing_of_when_and_by_whom_it_was_made(build: ModuleType) -> None:
    packed = build.source_archive()

    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        members = archive.getmembers()
    assert packed[4:8] == bytes(4), "gzip's own time"
    assert {(member.mtime, member.uid, member.uname, member.mode) for member in members} == {(0, 0, "", 0o644)}
    assert [member.name for member in members] == sorted(member.name for member in members)


def test_the_model_is_retrained_each_week_by_a_role_that_can_do_nothing_else(dev: Assembly) -> None:
    schedules = [resolved(each["Properties"]) for each in dev.of_type("Scheduler::Schedule").values()]
    [schedule] = [each for each in schedules if ":pipeline/" in each["Target"]["Arn"]]
    roles = {
        resolved(policy["Properties"]["Roles"])[0]: resolved(policy["Properties"]["PolicyDocument"]["Statement"])
        for policy in dev.of_type("IAM::Policy").values()
    }

    [allowed] = roles[schedule["Target"]["RoleArn"].replace(".Arn", "")]
    assert schedule["ScheduleExpression"] == "cron(0 3 ? * SUN *)"
    assert allowed["Action"] == "sagemaker:StartPipelineExecution"
    assert allowed["Resource"] == schedule["Target"]["Arn"]
    assert schedule["Target"]["Arn"].endswith(f":pipeline/{dev.one('SageMaker::Pipeline')['PipelineName']}")


JOBS = {f"sagemaker:{verb}{kind}Job" for verb in ("Create", "Describe", "Stop") for kind in ("Training", "Processing")}
RIGHTS = {
    *JOBS,
    *("sagemaker:AddTags", "sagemaker:CreateModelPackage", "sagemaker:DescribeModelPackage"),
    *("sagemaker:DescribeModelPackageGroup", "iam:PassRole", "dynamodb:GetItem", "cloudwatch:PutMetricData"),
    *("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListBucket", "s3:GetBucketLocation"),
    *(f"logs:{verb}" for verb in ("CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "PutLogEvents")),
    *("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"),
    "ecr:GetAuthorizationToken",
}
"""All that the pipeline and its jobs may do."""


def training_rights(assembly: Assembly) -> dict[str, set[str]]:
    """By action, on what."""
    given: dict[str, set[str]] = {}
    for name, policy in assembly.of_type("IAM::Policy").items():
        if name.startswith("TrainingRoleDefaultPolicy"):
            for each in resolved(policy["Properties"]["PolicyDocument"]["Statement"]):
                on = each["Resource"] if isinstance(each["Resource"], list) else [each["Resource"]]
                for action in [each["Action"]] if isinstance(each["Action"], str) else each["Action"]:
                    given.setdefault(action, set()).update(on)
    return given


@pytest.mark.parametrize(
    ("stage", "folders", "more"),
    [
        ("dev", ["models"], set()),
        ("prod", ["models", "mlflow"], {"sagemaker:CallMlflowAppApi"}),
    ],
)
def test_the_trainings_role_may_do_what_is_listed_here_and_no_more(
    stage: str, folders: list[str], more: set[str], request: pytest.FixtureRequest
) -> None:
    assembly: Assembly = request.getfixturevalue(stage)
    given = training_rights(assembly)
    [models] = [name for name in assembly.of_type("S3::Bucket") if name.startswith("TrainingModels")]

    assert {*given} == RIGHTS | more
    for action in ("s3:PutObject", "s3:AbortMultipartUpload"):
        assert given[action] == {f"<{models}.Arn>/{folder}/*" for folder in folders}


@pytest.mark.parametrize(
    ("group", "status", "promotes"),
    [
        ("predict-bitcoin-dev", "Approved", True),
        ("predict-bitcoin-dev", "Rejected", False),
        ("predict-bitcoin-prod", "Approved", False),
    ],
)
def test_an_approval_in_this_group_promotes(group: str, status: str, promotes: bool, dev: Assembly) -> None:
    rules = dev.of_type("Events::Rule").items()
    [rule] = [each["Properties"] for name, each in rules if name.startswith("Training")]
    event = {
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Model Package State Change",
        "detail": {"ModelPackageGroupName": group, "ModelApprovalStatus": status},
    }

    assert compile_pattern(rule["EventPattern"])(event) is promotes
    assert [target["Arn"]["Fn::GetAtt"][0] for target in rule["Targets"]] == [dev.logical_id("promote_model")]


@pytest.mark.xdist_group("infra with the SDK")
def test_the_image_is_the_one_the_sagemaker_sdk_names_in_every_region() -> None:
    program = f"""
import json, warnings
warnings.simplefilter("ignore")
from sagemaker.core import image_uris
regions = {sorted(ACCOUNTS)!r}
print(json.dumps({{region: image_uris.retrieve("xgboost", region, version={TAG!r}) for region in regions}}))
"""
    # A process of its own: the SDK takes seconds to import and configures logging as it does.
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    named: dict[str, str] = json.loads(said.splitlines()[-1])

    assert {region: (uri.split(".")[0], uri.split("/")[1]) for region, uri in named.items()} == {
        region: (account, f"{REPOSITORY}:{TAG}") for region, account in ACCOUNTS.items()
    }
