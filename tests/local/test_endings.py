"""A run of the whole system that is ended early leaves no process and no file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.template import ROOT
from tests.local.living import alive, children

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("endings"), pytest.mark.timeout(900)]


def streaming(folder: Path) -> tuple[subprocess.Popen[str], set[int]]:
    """A run that writes into this folder and has just started its feed, and the processes it started."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-m", "local", "--history-days", "1"],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "✓ start the feed" in line:
            break
    return process, children(process.pid)


def test_what_is_interrupted_leaves_nothing_behind(tmp_path: Path) -> None:
    process, started = streaming(tmp_path)
    process.terminate()
    process.communicate(timeout=120)

    assert process.returncode == 0
    assert started
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    assert not list(tmp_path.glob("predict-bitcoin-*"))


def test_a_parent_that_is_killed_takes_its_processes_along(tmp_path: Path) -> None:
    process, started = streaming(tmp_path)
    process.kill()
    process.communicate(timeout=120)

    until = time.monotonic() + 10
    while left := [pid for pid in started if alive(pid)]:
        assert time.monotonic() < until, f"{left} live on"
        time.sleep(0.1)
