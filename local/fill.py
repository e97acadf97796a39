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
    """The command's exit status. Raises NotRunningError where no stack runs."""
    try:
        stack = running(place)
    except NotRunningError as error:
        raise NotRunningError("no local stack runs that could be filled: start one with `make local`") from error
    names = dict(pair.split("=", 1) for pair in stack.outputs[OUTPUT].split())
    credentials = {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": stack.endpoint,
    }
    return subprocess.run(
        [*interpreter(), "-m", "functions.fill_history", *arguments],
        env={**os.environ, **credentials, **names},
        check=False,
    ).returncode
