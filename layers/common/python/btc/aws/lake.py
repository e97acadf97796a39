"""The bucket of the lake: objects rewritten over what was read of them, and the tape's, which are only added."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import awswrangler as wr
import pandas as pd
from botocore.exceptions import ClientError

from btc import lake, parquet
from btc.times import day_of
from btc.trades import Trades

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PATIENCE: Final = 10
"""How often an object may turn out rewritten by others before the batch is left to be delivered again."""

_OUTRUN: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"})
"""What a conditional write is answered when the object is no longer the one that was read."""


class ContendedError(RuntimeError):
    """Other writers kept rewriting the same object; the batch should be delivered again."""


class _Stored(NamedTuple):
    content: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Lake:
    """The lake's bucket."""

    bucket: str
    client: "S3Client"

    def rewrite(self, key: str, remake: Callable[[bytes | None], bytes | None]) -> bool:
        """Put what `remake` makes of the object's content in its place; whether anything had to be written.

        `remake` is given None where there is no object, and gives None where nothing changes. It is called after the
        object was read and again for each later version of it, so whoever writes over an object has read the other
        store later than the one who wrote that. Raises ContendedError where others are always first.
        """
        for _ in range(PATIENCE):
            stored = self._read(key)
            content = remake(stored.content if stored else None)
            if content is None:
                return False
            if self._put_over(key, content, stored):
                return True
        raise ContendedError(f"{key}: other writers rewrote it {PATIENCE} times in a row")

    def add_trades(self, trades: Trades) -> list[str]:
        """One object a day of them, each trade once; returns their keys. The same trades leave the same objects."""
        return [self._put_tape(day, part) for day, part in _by_day(trades.in_order())]

    def _put_tape(self, day: int, trades: Trades) -> str:
        key = lake.tape_key(trades.market, day, trades.ids)
        wr.s3.to_parquet(
            parquet.trades(trades).to_pandas(types_mapper=pd.ArrowDtype),
            path=f"s3://{self.bucket}/{key}",
            index=False,
            dtype=dict(lake.TAPE),
            compression="zstd",
            # Its defaults would round times to milliseconds and write them in a format that Parquet has given up.
            pyarrow_additional_kwargs={"coerce_timestamps": "us", "flavor": None, "version": "2.6"},
        )
        return key

    def _read(self, key: str) -> _Stored | None:
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        return _Stored(answer["Body"].read(), answer["ETag"])

    def _put_over(self, key: str, content: bytes, stored: _Stored | None) -> bool:
        """Whether the object was still the one that was read; else nothing is written.

        Not by awswrangler: after a refusal it puts the object again when it is collected.
        """
        condition: dict[str, Any] = {"IfMatch": stored.etag} if stored else {"IfNoneMatch": "*"}
        try:
            self.client.put_object(Bucket=self.bucket, Key=key, Body=content, **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] in _OUTRUN:
                return False
            raise
        return True


def _by_day(trades: Trades) -> Iterator[tuple[int, Trades]]:
    """Trades keep their order; a clock that steps back over midnight leaves two days all the same."""
    rows: dict[int, list[int]] = {}
    for row, time in enumerate(trades.times):
        rows.setdefault(day_of(time), []).append(row)
    return ((day, trades.take(rows[day])) for day in sorted(rows))
