"""What a running stack tells other commands of itself: a small file, there as long as the stack is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from local.template import ROOT

PLACE: Final = ROOT / "build" / "local" / "running.json"


class NotRunningError(RuntimeError):
    """No local stack runs that could be asked."""


@dataclass(frozen=True, slots=True)
class Running:
    """Where its AWS answers, the template's outputs (bucket and table names among them), and whose process it is."""

    endpoint: str
    invocations: str
    """Where its Lambda API answers, for `aws lambda invoke --endpoint-url`."""
    outputs: Mapping[str, str]
    process: int


@contextmanager
def announced(endpoint: str, invocations: str, outputs: Mapping[str, str], place: Path = PLACE) -> Iterator[None]:
    """Tell of a stack of this process for as long as the block runs. Of two stacks the later one is told of."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(asdict(Running(endpoint, invocations, dict(outputs), os.getpid())), indent=2))
    part.replace(place)
    try:
        yield
    finally:
        if place.exists() and json.loads(place.read_text())["process"] == os.getpid():
            place.unlink()


def running(place: Path = PLACE) -> Running:
    """The stack that runs; raises NotRunningError where none does, or where it was killed and left its file."""
    try:
        found = Running(**json.loads(place.read_text()))
        os.kill(found.process, 0)
    except (FileNotFoundError, ProcessLookupError, TypeError) as error:  # the last: left by another version
        raise NotRunningError("no local stack runs: start one with `make local`, or name a lake with --lake") from error
    return found
