"""Bars that somebody else made, a venue's own or a file's: without ids they prove nothing, and say so."""

from typing import Final

from btc.bars import Bar, Source
from btc.times import MINUTE, iso
from btc.trades import Market

_LARGEST: Final = 2**63


def kline(  # noqa: PLR0913 - a bar's own fields
    market: Market,
    start: int,
    prices: tuple[int, int, int, int],
    volume: int,
    *,
    turnover: int | None = None,
    buy_volume: int | None = None,
    trade_count: int | None = None,
) -> Bar:
    """The closed bar of open, high, low and close in 1e-8 units (`turnover` 1e-16); None: its source does not tell.

    Raises ValueError where the numbers contradict each other: nothing is mended.
    """
    opened, high, low, closed = prices
    if start % MINUTE:
        raise ValueError(f"{iso(start)} is no whole minute")
    if not (0 < low <= min(opened, closed) and max(opened, closed) <= high < _LARGEST):
        raise ValueError("open and close do not lie between low and high, or low is not above zero")
    if not 0 <= volume < _LARGEST:
        raise ValueError("the volume is below zero or fits no bar")
    if buy_volume is not None and not 0 <= buy_volume <= volume:
        raise ValueError("the buyers' volume does not lie between zero and the whole volume")
    if turnover is not None and turnover < 0:
        raise ValueError("the turnover is below zero")
    if trade_count is not None and (trade_count < 0 or (volume > 0 and trade_count == 0)):
        raise ValueError(f"{trade_count} trades made that volume")
    return Bar(
        market,
        start,
        *prices,
        volume=volume,
        turnover=turnover,
        buy_volume=buy_volume,
        trade_count=trade_count,
        closed=True,
        source=Source.KLINES,
    )
