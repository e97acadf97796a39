"""The lines of a bill: what is charged, and what is taken off because every account has it for nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from cdk.costs.prices import ALLOWANCES, PRICES, Source

ALLOWANCE: Final = "allowance"
"""In the place of a row's type: a part of the bill that no resource makes."""


@dataclass(frozen=True)
class Row:
    """One line of the bill."""

    resource: str
    type: str
    item: str
    quantity: float
    price: str
    """Its name in PRICES."""
    share: float = 1.0
    """Of the price: what Spot leaves of it."""

    @property
    def usd(self) -> float:
        return self.quantity * PRICES[self.price].usd * self.share

    @property
    def free(self) -> bool:
        """Whether this is what AWS takes off the bill."""
        return self.type == ALLOWANCE

    @property
    def source(self) -> Source:
        return ALLOWANCES[self.price].source if self.free else PRICES[self.price].source

    def to_dict(self) -> dict[str, Any]:
        price = PRICES[self.price]
        told = {"unit": price.unit, "price_usd": price.usd, "usd": self.usd}
        read = {"source": self.source.page, "read": self.source.read, "verified": bool(self.source.read)}
        return {**asdict(self), **told, **read}


def allowances(rows: Sequence[Row]) -> Iterator[Row]:
    """What is taken off these rows: no more of a price than they use, and as if nothing else in the account did."""
    for price, allowance in ALLOWANCES.items():
        used = sum(row.quantity for row in rows if row.price == price)
        if used:
            yield Row(
                "always free, once an account", ALLOWANCE, PRICES[price].unit, -min(used, allowance.quantity), price
            )
