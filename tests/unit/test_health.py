"""The ingest task is healthy while its watermarks go on, and only then."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from btc.aws.streams import Counters
from functions.ingest_trades import health
from functions.ingest_trades.health import Health


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def stream() -> SimpleNamespace:
    return SimpleNamespace(counters=Counters())


def test_a_task_is_not_healthy_before_its_first_watermark(stream: SimpleNamespace) -> None:
    stream.counters.trades = 100
    Health(stream).tick()

    assert health.main() == 1


def test_a_watermark_makes_it_healthy(stream: SimpleNamespace) -> None:
    stream.counters.watermarks = 1
    Health(stream).tick()

    assert health.main() == 0


def test_it_is_no_longer_healthy_when_watermarks_stay_away(stream: SimpleNamespace) -> None:
    watch = Health(stream)
    stream.counters.watermarks = 1
    watch.tick()
    long_ago = time.time() - health.STALE_S - 1
    os.utime(health.place(), (long_ago, long_ago))

    watch._next = 0.0
    watch.tick()  # the process runs on, and nothing came
    assert health.main() == 1

    stream.counters.watermarks = 2
    watch.tick()
    assert health.main() == 0


def test_the_command_that_ecs_runs_answers_with_its_status(folder: Path) -> None:
    command = [sys.executable, "-m", "functions.ingest_trades.health"]
    environment = {**os.environ, "TMPDIR": str(folder)}

    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 1
    health.place().touch()
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
