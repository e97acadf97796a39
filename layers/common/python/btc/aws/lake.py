"""The offline store: one Parquet object a day and market, rewritten whole, so that writing twice changes nothing."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import awswrangler as wr
import pandas as pd

from btc.bars import Bar
from btc.ranges import spell
from btc.times import date, to_datetime
from btc.trades import Market
from btc.units import from_units

BAR_TYPES: Final = {
    "start": "timestamp",
    **dict.fromkeys(("open", "high", "low", "close"), "decimal(18,8)"),
    **dict.fromkeys(("volume", "buy_volume"), "decimal(28,8)"),
    "turnover": "decimal(38,16)",
    "trade_count": "bigint",
    **dict.fromkeys(("first_id", "last_id", "prior_id", "next_id"), "bigint"),
    "ranges": "string",
    "closed": "boolean",
    "complete": "boolean",
    "source": "string",
}
"""Columns of `bars` and their Athena types; venue, symbol and date are its partitions."""


def bars_path(bucket: str, market: Market, day: int) -> str:
    """The object that holds a day of bars; `day` in µs."""
    return f"s3://{bucket}/bars/venue={market.venue}/symbol={market.symbol}/date={date(day)}/bars.parquet"


def write_bars(bucket: str, market: Market, day: int, bars: Sequence[Bar]) -> str:
    """Write a day's bars in place of what was there; returns the object's path."""
    path = bars_path(bucket, market, day)
    wr.s3.to_parquet(frame(bars), path=path, index=False, dtype=BAR_TYPES)
    return path


def frame(bars: Sequence[Bar]) -> pd.DataFrame:
    """Bars as a table with the columns of BAR_TYPES, exact decimals in them."""
    return pd.DataFrame(
        {
            # Athena's timestamps carry no zone; all times of the lake are UTC.
            "start": pd.Series([to_datetime(bar.start).replace(tzinfo=None) for bar in bars], dtype="datetime64[us]"),
            **{name: _decimals(bars, name, 8) for name in ("open", "high", "low", "close", "volume", "buy_volume")},
            "turnover": _decimals(bars, "turnover", 16),
            **{name: _counts(bars, name) for name in ("trade_count", "first_id", "last_id", "prior_id", "next_id")},
            "ranges": pd.Series([spell(bar.ranges) for bar in bars], dtype="string"),
            "closed": [bar.closed for bar in bars],
            "complete": [bar.complete for bar in bars],
            "source": pd.Series([str(bar.source) for bar in bars], dtype="string"),
        },
        columns=list(BAR_TYPES),
    )


def _decimals(bars: Sequence[Bar], name: str, scale: int) -> list[Decimal | None]:
    return [None if (units := getattr(bar, name)) is None else from_units(units, scale) for bar in bars]


def _counts(bars: Sequence[Bar], name: str) -> pd.Series:
    return pd.Series([getattr(bar, name) for bar in bars], dtype="Int64")
