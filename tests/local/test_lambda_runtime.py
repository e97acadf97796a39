"""Functions run as Lambda runs them: alone, in time, one event at a time, and their words are kept."""

from __future__ import annotations

import dataclasses
import itertools
import os
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from local.lambdas import Function, FunctionSpec, FunctionStoppedError, PayloadTooLargeError
from local.runtime import managed_runtime

Build = Callable[..., Function]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return managed_runtime(tmp_path_factory.mktemp("runtime"))


@pytest.fixture
def build(tmp_path: Path, runtime: Path) -> Iterator[Build]:
    functions: list[Function] = []

    def make(
        code: str, *, timeout_s: float = 5.0, concurrency: int = 2, environment: Mapping[str, str] | None = None
    ) -> Function:
        asset, layer = tmp_path / "asset", tmp_path / "layer"
        asset.mkdir()
        (layer / "python").mkdir(parents=True)
        (layer / "python" / "from_layer.py").write_text("VALUE = 42\n")
        (asset / "handler.py").write_text(textwrap.dedent(code))
        spec = FunctionSpec(
            name="subject",
            arn="arn:aws:lambda:eu-west-1:123456789012:function:subject",
            asset=asset,
            handler="handler.handler",
            runtime=runtime,
            layers=(layer,),
            environment=environment or {},
            timeout_s=timeout_s,
            memory_mb=256,
            endpoint_url="http://127.0.0.1:9",
        )
        functions.append(Function(spec, tmp_path / "subject.log", concurrency).start())
        return functions[-1]

    yield make
    for function in functions:
        function.stop()


def test_an_event_goes_in_and_the_return_value_comes_out_warm_after_the_first(build: Build) -> None:
    function = build(
        """
        calls = 0
        def handler(event, context):
            global calls
            calls += 1
            return {"echo": event, "calls": calls, "arn": context.invoked_function_arn, "id": context.aws_request_id,
                    "left": context.get_remaining_time_in_millis()}
        """
    )
    first, second = function.invoke({"a": "ü"}), function.invoke({"a": 2})

    assert first.payload["echo"] == {"a": "ü"}
    assert [first.payload["calls"], second.payload["calls"]] == [1, 2]
    assert [first.cold, second.cold] == [True, False]
    assert first.payload["arn"] == function.spec.arn
    assert first.payload["id"] == first.request_id != second.request_id
    assert 4_000 < first.payload["left"] <= 5_000
    assert second.duration_ms < 500


def test_a_function_sees_its_asset_its_layers_the_managed_runtime_and_nothing_else(build: Build) -> None:
    function = build(
        """
        import importlib, os, sys
        def handler(event, context):
            def can(name):
                try:
                    importlib.import_module(name)
                except ImportError:
                    return False
                return True
            return {"imports": {name: can(name) for name in event}, "path": sys.path, "cwd": os.getcwd()}
        """
    )
    names = ["from_layer", "boto3", "awslambdaric", "pytest", "moto", "numpy", "local", "btc"]
    payload = function.invoke(dict.fromkeys(names, 1)).payload

    assert [name for name in names if payload["imports"][name]] == ["from_layer", "boto3", "awslambdaric"]
    assert payload["path"][0] == payload["cwd"] == str(function.spec.asset.resolve())
    assert not [path for path in payload["path"] if "site-packages" in path]


def test_a_function_sees_the_variables_it_declares_and_those_lambda_sets(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_CALLER", "secret")
    monkeypatch.setenv("AWS_PROFILE", "production")
    function = build(
        "import os\ndef handler(event, context):\n    return dict(os.environ)\n",
        environment={"TABLE": "bars", "AWS_REGION": "declared-in-vain"},
    )
    seen = function.invoke({}).payload

    assert seen["TABLE"] == "bars"
    assert seen["AWS_REGION"] == "eu-west-1"
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == "subject"
    assert seen["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert seen["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9"
    assert seen["_HANDLER"] == "handler.handler"
    assert "OF_THE_CALLER" not in seen
    assert "AWS_PROFILE" not in seen
    assert seen["HOME"] != os.environ.get("HOME")


def test_what_a_handler_raises_is_the_result_and_the_process_lives_on(build: Build) -> None:
    function = build(
        """
        import os
        def handler(event, context):
            if event.get("fail"):
                raise KeyError("no such symbol")
            return os.getpid()
        """
    )
    before, failed, after = function.invoke({}), function.invoke({"fail": 1}), function.invoke({})

    assert failed.payload is None
    assert failed.error is not None
    assert (failed.error.error_type, failed.error.message) == ("KeyError", "'no such symbol'")
    assert 'raise KeyError("no such symbol")' in failed.error.trace[-1]
    assert before.payload == after.payload


def test_a_process_over_its_time_is_ended_and_the_next_event_starts_cold(build: Build, tmp_path: Path) -> None:
    function = build(
        """
        import os, time
        def handler(event, context):
            print("working on", event, flush=True)
            time.sleep(event["seconds"])
            return os.getpid()
        """,
        timeout_s=0.5,
    )
    first, late, after = (
        function.invoke({"seconds": 0}),
        function.invoke({"seconds": 60}),
        function.invoke({"seconds": 0}),
    )

    assert late.error is not None
    assert late.error.error_type == "Sandbox.Timedout"
    assert late.error.message == f"RequestId: {late.request_id} Error: Task timed out after 0.50 seconds"
    assert 500 <= late.duration_ms < 5_000
    assert after.cold
    assert after.payload != first.payload
    with pytest.raises(ProcessLookupError):
        os.kill(first.payload, 0)
    assert "working on {'seconds': 60}" in (tmp_path / "subject.log").read_text()


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("os._exit(3)", "exit status 3"),
        ("sys.exit(1)", "exit status 1"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "signal: SIGSEGV"),
    ],
)
def test_a_process_that_dies_fails_its_event_and_the_next_starts_cold(build: Build, end: str, reason: str) -> None:
    function = build(
        f"""
        import os, signal, sys
        def handler(event, context):
            if event.get("die"):
                {end}
            return "alive"
        """
    )
    died, after = function.invoke({"die": True}), function.invoke({})

    assert died.error is not None
    assert died.error.error_type == "Runtime.ExitError"
    assert died.error.message == f"RequestId: {died.request_id} Error: Runtime exited with error: {reason}"
    assert (after.payload, after.cold) == ("alive", True)


def test_a_process_that_dies_while_idle_fails_no_event(build: Build) -> None:
    function = build(
        """
        import os, threading
        def handler(event, context):
            threading.Timer(0.3, os._exit, (9,)).start()
            return "answered"
        """
    )
    for _ in range(3):
        result = function.invoke({})
        assert (result.payload, result.cold) == ("answered", True)
        time.sleep(0.6)


def test_a_handler_that_cannot_be_loaded_says_why(build: Build) -> None:
    result = build("import pandas_of_the_future\ndef handler(event, context): ...\n").invoke({})

    assert result.error is not None
    assert result.error.error_type == "Runtime.ImportModuleError"
    assert "No module named 'pandas_of_the_future'" in result.error.message


def test_no_line_is_lost_however_the_process_ends_and_lines_stay_whole(build: Build, tmp_path: Path) -> None:
    function = build(
        """
        import os, sys
        def handler(event, context):
            for line in range(2_000):
                print("line", event["call"], line, file=(sys.stdout, sys.stderr)[line % 2])
            if event["call"] % 2:
                os._exit(1)
        """
    )
    threads = [threading.Thread(target=function.invoke, args=({"call": call},)) for call in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    function.stop()

    lines = [line for line in (tmp_path / "subject.log").read_text().splitlines() if line.startswith("line")]
    assert sorted(lines) == sorted(f"line {call} {line}" for call in range(4) for line in range(2_000))


def test_a_process_takes_one_event_at_a_time_and_the_pool_no_more_than_its_size(build: Build) -> None:
    function = build(
        """
        import os, time
        def handler(event, context):
            began = time.time()
            time.sleep(0.2)
            return [os.getpid(), began, time.time()]
        """,
        concurrency=2,
    )
    results: list[list[float]] = []
    threads = [threading.Thread(target=lambda: results.append(function.invoke({}).payload)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 6
    assert len({process for process, _, _ in results}) == 2
    for process in {process for process, _, _ in results}:
        spans = sorted((began, ended) for owner, began, ended in results if owner == process)
        assert all(ended <= following for (_, ended), (following, _) in itertools.pairwise(spans))


def test_events_and_answers_beyond_lambdas_limit_are_refused(build: Build) -> None:
    function = build("def handler(event, context):\n    return 'x' * event['size']\n")

    with pytest.raises(PayloadTooLargeError):
        function.invoke({"filler": "x" * 7_000_000})
    assert len(function.invoke({"size": 6_000_000}).payload) == 6_000_000
    error = function.invoke({"size": 6_300_000}).error
    assert error is not None
    assert error.error_type == "Function.ResponseSizeTooLarge"


def test_stop_ends_what_runs_and_leaves_no_process_behind(build: Build, tmp_path: Path) -> None:
    function = build(
        """
        import os, time
        def handler(event, context):
            if event.get("sleep"):
                print("asleep", flush=True)
                time.sleep(60)
            return os.getpid()
        """
    )
    process = function.invoke({}).payload
    errors: list[object] = []
    sleeper = threading.Thread(target=lambda: errors.append(function.invoke({"sleep": 1}).error))
    sleeper.start()
    while "asleep" not in (tmp_path / "subject.log").read_text():
        time.sleep(0.01)
    function.stop()
    sleeper.join(5)

    assert "SIGKILL" in str(errors)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    with pytest.raises(FunctionStoppedError):
        function.invoke({})


def test_a_function_without_its_code_does_not_start(build: Build, tmp_path: Path) -> None:
    spec = build("def handler(event, context): ...").spec
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Function(dataclasses.replace(spec, asset=tmp_path / "nowhere"), tmp_path / "log").start()
