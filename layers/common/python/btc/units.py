"""Prices and sizes are exact integers in units of 1e-8; floats begin in `btc.features`."""

from decimal import Decimal
from typing import Final

SCALE: Final = 8
UNIT: Final = 10**SCALE
"""One whole coin or dollar in units."""


class TooFineError(ValueError):
    """A number has more decimals than the units can hold; rounding it would falsify the bar."""

    def __init__(self, number: object) -> None:
        super().__init__(f"{number} is finer than 1e-{SCALE}: this feed needs finer units before its bars can be exact")


def to_units(number: str | Decimal) -> int:
    """The exact integer in 1e-8 units; raises TooFineError where decimals would be lost, ValueError on no number."""
    try:
        scaled = Decimal(number).scaleb(SCALE)
        units = int(scaled)
    except (ArithmeticError, ValueError) as error:
        raise ValueError(f"{number!r} is not a finite decimal number") from error
    if units != scaled:
        raise TooFineError(number)
    return units


def from_units(units: int, scale: int = SCALE) -> Decimal:
    """The decimal number `units` stands for; `scale=16` for turnover."""
    return Decimal(units).scaleb(-scale)
