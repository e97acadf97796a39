"""Filling the past: how far a fill has come, told so that whoever is killed at it goes on from there."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Cursor:
    """What is safely delivered of one fill. It is kept only behind what it tells of, and so never tells too much."""

    until: int
    """Where the fill ends (µs), as found at its first start: where the bars begin moves as they are filled."""
    since: int
    """All before (µs) is done: the start of the piece under way."""
    piece: str = ""
    """The file under way; empty between two, or where there are none."""
    digest: str = ""
    """SHA-256 of that file: another one under its name is begun anew."""
    rows: int = 0
    """The first rows of it that are done."""
    last_id: int | None = None
    """The last trade up to which ids have no hole that may still close."""
    time: int = 0
    """That trade's time (µs) or later."""
    absent: int = 0
    """The first day (µs) that was asked for before it was published; 0 without any."""
    done: bool = False


class Fault(NamedTuple):
    """A row of a file that was set aside."""

    line: int
    """From 1, the header counted."""
    cause: str
    text: str
