"""`python -m local fill …`: functions.fill_history against the stack that runs on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from local.processes import interpreter
from local.running import PLACE, NotRunningError, running

OUTPUT: Final = "FillHistoryEnvironment"


def fill(arguments: Sequence[str], place: Path = PLACE) -> int:
    """The command's exit status. Raises NotRunningError where no stack runs and more than its help is asked for."""
    asks = {"-h", "--help"} & set(arguments)
    environment = {} if asks else _environment(place)
    command = [*interpreter(), "-m", "functions.fill_history", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode


def _environment(place: Path) -> dict[str, str]:
    """Where the running stack's AWS answers, and what its tables and stream are called."""
    try:
        stack = running(place)
    except NotRunningError as error:
        raise NotRunningError("no local stack runs that could be filled: start one with `make local`") from error
    credentials = {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": stack.endpoint,
    }
    return {**credentials, **dict(pair.split("=", 1) for pair in stack.outputs[OUTPUT].split())}
