"""`python -m local rebuild`: a day's bars made again from the tape alone, and compared with those in the lake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import boto3
import pyarrow as pa
from botocore.exceptions import BotoCoreError, ClientError

from btc import lake, parquet
from btc.aws.lake import Lake
from btc.rebuild import Comparison, compare
from btc.times import DAY, MINUTE
from btc.trades import Market
from local.running import running
from local.streams import Emulator

SETTLED: Final = 15 * MINUTE
"""How long after midnight the last objects of a day may still be on their way."""

Objects = Callable[[str], Iterator[bytes]]
"""The contents of all Parquet objects below a prefix."""


class LakeError(RuntimeError):
    """The lake cannot be read, or holds nothing of that day; the message says which."""


def rebuild(place: str | None, market: Market, day: int, now: int) -> Comparison:
    """Compare the day's object in the lake (`s3://BUCKET`, a folder, or None for the running stack's) with its tape.

    Raises LakeError, and NotRunningError where no stack runs.
    """
    objects = _objects(place)
    try:
        stored = [
            bar for content in objects(lake.folder("bars", market, day)) for bar in parquet.bars_of(content, market)
        ]
        tape = [
            content for each in (day - DAY, day, day + DAY) for content in objects(lake.folder("tape", market, each))
        ]
        trades = parquet.trades_of(tape, market)
    except (BotoCoreError, ClientError, OSError, pa.ArrowException) as error:
        raise LakeError(f"{place or 'the running stack'}: {error}") from error
    comparison = compare(trades, stored, day, over=now >= day + DAY + SETTLED)
    if not comparison.minutes and comparison.equal:
        raise LakeError(f"{place or 'the running stack'} holds nothing of {market} on that day that could be compared")
    return comparison


def _objects(place: str | None) -> Objects:
    if place is None:
        stack = running()
        return Lake(stack.outputs["LakeBucket"], Emulator(stack.endpoint).client("s3")).objects
    if place.startswith("s3://"):
        return Lake(place.removeprefix("s3://").rstrip("/"), boto3.client("s3")).objects
    folder = Path(place)
    if not folder.is_dir():
        raise LakeError(f"{place}: no such folder; a bucket is named s3://BUCKET")
    return partial(_in_folder, folder)


def _in_folder(folder: Path, prefix: str) -> Iterator[bytes]:
    return (path.read_bytes() for path in sorted((folder / prefix).glob("*.parquet")))
