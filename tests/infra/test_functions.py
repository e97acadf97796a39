"""What is true of every function: it is told what it asks for, fits, loads, and loses nothing it could not handle."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from btc import settings
from cdk.settings import stage_named
from tests.infra.assembly import ROOT, Assembly, place, resolved

SETTINGS: dict[str, type[settings.Settings]] = {
    "aggregate_bars": settings.AggregateBars,
    "archive_bars": settings.ArchiveBars,
    "archive_forecasts": settings.ArchiveForecasts,
    "archive_trades": settings.ArchiveTrades,
    "audit_bars": settings.AuditBars,
    "connect_listeners": settings.ConnectListeners,
    "forecast": settings.Forecast,
    "push_forecasts": settings.PushForecasts,
    "score_forecasts": settings.ScoreForecasts,
    "promote_model": settings.PromoteModel,
    "api": settings.Api,
}
NAMES = sorted(SETTINGS)
UNPACKED_LIMIT = 250_000_000
RUNTIME = ROOT / "build" / "layers" / "local" / "runtime"


def test_every_folder_with_a_handler_is_a_function_of_the_stack(dev: Assembly) -> None:
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")}

    assert set(dev.functions) == folders == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stage", ["dev", "prod", "local"])
def test_a_function_can_read_the_settings_it_is_given(name: str, stage: str, request: pytest.FixtureRequest) -> None:
    assembly: Assembly = request.getfixturevalue(stage)
    environment = resolved(assembly.functions[name]["Properties"]["Environment"]["Variables"])

    told = SETTINGS[name].from_env(environment)

    of_all = {key for key in environment if key.startswith("POWERTOOLS_")} | {"DETAILED_METRICS"}
    assert {key: value for key, value in environment.items() if key not in of_all} == told.to_env()
    assert environment["POWERTOOLS_METRICS_NAMESPACE"] == stage_named(stage).metrics


@pytest.mark.parametrize("name", NAMES)
def test_a_function_and_its_layers_fit_into_lambda(name: str, dev: Assembly) -> None:
    parts = [place(dev.functions[name]), *map(place, dev.layers(name))]
    size = sum(path.stat().st_size for part in parts for path in part.rglob("*") if path.is_file())

    assert size < UNPACKED_LIMIT, f"{name} takes {size / 1e6:.0f} MB with {[part.name for part in parts]}"


@pytest.mark.parametrize("name", NAMES)
def test_a_handler_loads_from_its_asset_its_layers_and_the_runtime_alone(name: str, local: Assembly) -> None:
    function = local.functions[name]
    path = [place(function), *(place(layer) / "python" for layer in local.layers(name)), RUNTIME]
    module, attribute = function["Properties"]["Handler"].split(".")
    program = f"""
import sys
sys.path[:0] = {[str(part) for part in path]!r}
import {module}
assert callable({module}.{attribute})
print({module}.__file__)
"""
    environment = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "POWERTOOLS_SERVICE_NAME": name}

    # -I and -S: neither this virtual environment nor the folder it is run from is on the path.
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], env=environment, capture_output=True, text=True, check=False
    )

    assert loaded.returncode == 0, loaded.stderr
    assert Path(loaded.stdout.strip()).parent == ROOT / "functions" / name


@pytest.mark.parametrize("name", NAMES)
def test_a_function_runs_the_python_and_the_machine_its_layers_were_built_for(name: str, dev: Assembly) -> None:
    properties = dev.functions[name]["Properties"]

    assert (properties["Runtime"], properties["Architectures"]) == ("python3.13", ["arm64"])
    for layer in dev.layers(name):
        assert layer["Properties"]["CompatibleArchitectures"] == ["arm64"]


STREAMED = [
    "aggregate_bars",
    "archive_bars",
    "archive_forecasts",
    "archive_trades",
    "forecast",
    "push_forecasts",
]


@pytest.mark.parametrize("name", STREAMED)
def test_a_batch_that_no_retry_delivers_is_kept(name: str, dev: Assembly) -> None:
    source = dev.event_source(name)

    bucket = source["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"][0]
    assert bucket == failures(dev)
    assert source["MaximumRetryAttempts"] > 0, "without a limit the bad batch holds up all that follow"
    assert source["BisectBatchOnFunctionError"]


@pytest.mark.parametrize("name", ["promote_model", "score_forecasts"])
def test_an_event_that_no_retry_delivers_is_kept(name: str, dev: Assembly) -> None:
    invoked = dev.invoked(name)

    assert invoked["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"][0] == failures(dev)


@pytest.mark.parametrize("stage", ["dev", "prod", "local"])
def test_an_event_that_reaches_no_function_is_kept_as_long_as_a_queue_keeps(
    stage: str, request: pytest.FixtureRequest
) -> None:
    """Of every rule that is for a function: a notice lost is told by its alarm, which counts events, not notices."""
    assembly: Assembly = request.getfixturevalue(stage)
    [(name, queue)] = assembly.of_type("SQS::Queue").items()
    functions = {assembly.logical_id(function) for function in NAMES}
    behind = {
        rule: target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]
        for rule, each in assembly.of_type("Events::Rule").items()
        for target in each["Properties"]["Targets"]
        if target["Arn"].get("Fn::GetAtt", [""])[0] in functions
    }

    assert set(behind.values()) == {name}
    assert (queue["Properties"]["MessageRetentionPeriod"], queue["Properties"]["SqsManagedSseEnabled"]) == (
        14 * 86_400,
        True,
    )
    sending = [
        (statement["Action"], statement["Principal"]["Service"], statement["Condition"]["ArnEquals"])
        for statement in resolved(assembly.one("SQS::QueuePolicy")["PolicyDocument"]["Statement"])
        if statement["Effect"] == "Allow"
    ]
    assert sending == [
        ("sqs:SendMessage", "events.amazonaws.com", {"aws:SourceArn": f"<{rule}.Arn>"}) for rule in behind
    ]


@pytest.mark.parametrize("stage", ["dev", "prod", "local"])
def test_logs_expire(stage: str, request: pytest.FixtureRequest) -> None:
    assembly: Assembly = request.getfixturevalue(stage)
    groups = assembly.of_type("Logs::LogGroup")

    assert all(group["Properties"]["RetentionInDays"] <= 90 for group in groups.values())
    for function in assembly.functions.values():
        assert function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"] in groups


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_no_function_can_make_logs_that_outlive_the_stack(stage: str, request: pytest.FixtureRequest) -> None:
    assembly: Assembly = request.getfixturevalue(stage)
    groups = assembly.of_type("Logs::LogGroup")
    policies = [*assembly.of_type("IAM::Policy").values(), *assembly.of_type("IAM::Role").values()]

    for function in assembly.of_type("Lambda::Function").values():  # the CDK's own among them
        assert function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"] in groups
    for role in assembly.of_type("IAM::Role").values():
        assert "AWSLambdaBasicExecutionRole" not in str(role["Properties"].get("ManagedPolicyArns"))
    pipeline = [policy for policy in policies if "logs:CreateLogGroup" in str(policy)]
    assert len(pipeline) == 1, "SageMaker's jobs log to groups of its own"


def test_traces_are_recorded_only_where_that_is_asked_for(dev: Assembly, guarded: Assembly) -> None:
    def modes(assembly: Assembly) -> set[str]:
        return {each["Properties"].get("TracingConfig", {}).get("Mode", "-") for each in assembly.functions.values()}

    assert (modes(dev), modes(guarded)) == ({"-"}, {"Active"})
    assert dev.one("ApiGateway::Stage")["TracingEnabled"] is False
    assert guarded.one("ApiGateway::Stage")["TracingEnabled"] is True
    assert "xray:" not in json.dumps(dev.template)


def failures(assembly: Assembly) -> str:
    [found] = [
        name
        for name, bucket in assembly.of_type("S3::Bucket").items()
        if "forget" in {rule["Id"] for rule in bucket["Properties"]["LifecycleConfiguration"]["Rules"]}
    ]
    return found
