"""The tape in the lake: objects that are only ever added, named by the trades they hold."""

from collections.abc import Iterator
from dataclasses import dataclass

import awswrangler as wr
import pandas as pd

from btc import lake, parquet
from btc.times import day_of
from btc.trades import Trades


@dataclass(frozen=True, slots=True)
class Tape:
    """The tape in the lake's bucket."""

    bucket: str

    def add(self, trades: Trades) -> list[str]:
        """One object a day of them, each trade once; returns their keys. The same trades leave the same objects."""
        return [self._put(day, part) for day, part in _by_day(trades.in_order())]

    def _put(self, day: int, trades: Trades) -> str:
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


def _by_day(trades: Trades) -> Iterator[tuple[int, Trades]]:
    """Trades keep their order; a clock that steps back over midnight leaves two days all the same."""
    rows: dict[int, list[int]] = {}
    for row, time in enumerate(trades.times):
        rows.setdefault(day_of(time), []).append(row)
    return ((day, trades.take(rows[day])) for day in sorted(rows))
