"""The events of tests/events, which SAM takes as well, through every function under the local runtime."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.stack import Stack
from local.template import ROOT, synthesised
from tests.sam import EVENTS, NO_RUNTIME, container_runtime, main

pytestmark = [pytest.mark.xdist_group("events"), pytest.mark.timeout(600)]

FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack() as made:
        made.start_emulator()
        made.deploy(synthesised())
        made.start_functions()
        yield made


def event(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return document


def test_every_function_has_an_event() -> None:
    assert FUNCTIONS
    assert {path.stem for path in EVENTS.glob("*.json")} >= set(FUNCTIONS)


@pytest.mark.parametrize(
    "name",
    [
        "aggregate_bars",
        "archive_bars",
        "archive_forecasts",
        "archive_trades",
        "score_forecasts",
        "audit_bars",
        "push_forecasts",
    ],
)
def test_a_function_takes_its_event(name: str, stack: Stack) -> None:
    result = stack.functions[name].invoke(event(name))

    assert result.error is None
    assert result.payload in (None, {"batchItemFailures": []})


def test_bars_come_of_the_event_of_the_stream(stack: Stack) -> None:
    stack.functions["aggregate_bars"].invoke(event("aggregate_bars"))

    table = stack.emulator.client("dynamodb").scan(TableName=stack.deployed.outputs["BarsTable"])
    assert table["Count"] > 0


def test_the_tape_holds_the_trades_of_the_event(stack: Stack) -> None:
    stack.functions["archive_trades"].invoke(event("archive_trades"))

    objects = stack.emulator.client("s3").list_objects_v2(Bucket=stack.deployed.outputs["LakeBucket"], Prefix="tape/")
    assert objects["KeyCount"] > 0


def test_nothing_is_forecast_from_a_bar_of_long_ago(stack: Stack) -> None:
    result = stack.functions["forecast"].invoke(event("forecast"))

    assert result.error is None
    assert stack.emulator.client("dynamodb").scan(TableName=stack.deployed.outputs["ForecastsTable"])["Count"] == 0


def test_a_model_that_the_registry_lacks_is_not_promoted(stack: Stack) -> None:
    result = stack.functions["promote_model"].invoke(event("promote_model"))

    assert result.error is not None
    assert "ModelPackage" in result.error.message
    champion = stack.emulator.client("dynamodb").scan(TableName=stack.deployed.outputs["StateTable"])
    assert not [item for item in champion["Items"] if "champion" in item["name"]["S"]]


def test_an_approval_that_fails_in_its_function_or_finds_none_is_kept_and_redriven(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the ends that the template gives it, by the command that people are told of."""
    bucket, url = (stack.deployed.outputs[name] for name in ("FailuresBucket", "UndeliveredQueue"))
    endpoint = stack.start_invocations()
    s3 = stack.emulator.client("s3")

    def redriven(*arguments: str) -> str:
        told = {"AWS_ENDPOINT_URL": stack.emulator.endpoint_url, "AWS_ENDPOINT_URL_LAMBDA": endpoint}
        told |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": "us-east-1"}
        command = [sys.executable, "-m", "functions.redrive", *arguments]
        return subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True, check=False).stdout

    [failed] = stack.bus.put(event("promote_model"))
    with monkeypatch.context() as patch:
        patch.delitem(stack.functions, "promote_model")
        assert stack.bus.put(event("promote_model")) == []

    assert failed.result.error
    [kept] = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert kept["Key"].startswith(f"aws/lambda/async/{failed.function_arn.split(':')[6]}/")
    for place in (["--bucket", bucket], ["--queue", url]):
        assert re.search(r"^1/1 .* refused: .*ModelPackage", redriven(*place)), "the registry lacks it still"


def test_a_ticket_that_was_never_issued_opens_nothing(stack: Stack) -> None:
    result = stack.functions["connect_listeners"].invoke(event("connect_listeners"))

    assert result.error is None
    assert result.payload["policyDocument"]["Statement"][0]["Effect"] == "Deny"


@pytest.mark.parametrize("name", sorted(path.stem for path in EVENTS.glob("api*.json")))
def test_the_api_answers_its_events(name: str, stack: Stack) -> None:
    result = stack.functions["api"].invoke(event(name))

    assert result.error is None
    assert result.payload["statusCode"] in ((200, 503) if name == "api_health" else (200,))
    assert json.loads(result.payload["body"])


def test_sam_is_refused_where_no_containers_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    template = tmp_path / "Stack.template.json"
    variables = {"Variables": {"POWERTOOLS_SERVICE_NAME": "api"}}
    function = {"Type": "AWS::Lambda::Function", "Properties": {"Environment": variables}}
    template.write_text(json.dumps({"Resources": {"Api": function}}))
    monkeypatch.setattr("tests.sam.SYNTHESISED", tmp_path)

    assert container_runtime() is None
    assert [main(["invoke", "api"]), main(["api"]), main(["invoke", "forecast"])] == [1, 1, 1]
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == [f"sam: {NO_RUNTIME}"] * 2
    assert told[2] == "sam: there is no function 'forecast': FUNCTION is one of api"
