"""Decimal text, as most venues send it, into exact units: digits are moved, nothing is rounded."""

from typing import Final

from btc.trades import Market, Trade
from btc.units import SCALE, to_units

_ZEROS: Final = "0" * SCALE
_LARGEST: Final = 2**63


def units_of(text: str) -> int:
    """The exact integer in 1e-8 units; raises TooFineError, a ValueError like that on anything that is no number."""
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if len(fraction) <= SCALE and whole and digits.isascii() and digits.isdigit():
        return int(digits + _ZEROS[len(fraction) :])
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is not a finite decimal number")
    return to_units(text)


def trade_of(market: Market, trade_id: int, time: int, price: str, size: str, *, taker_buys: bool) -> Trade:  # noqa: PLR0913 - a trade's own fields
    """The trade these texts tell; raises ValueError where its price or size is no amount a record can hold."""
    trade = Trade(market, trade_id, time, units_of(price), units_of(size), taker_buys)
    if not (0 < trade.price < _LARGEST and 0 < trade.size < _LARGEST):
        raise ValueError(f"trade {trade_id} of {size} at {price}: both must lie above zero and fit a record")
    return trade
