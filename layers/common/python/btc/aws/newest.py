"""The newest forecasts of a market, read again only when newer ones may be there."""

from dataclasses import dataclass, field
from typing import NamedTuple

from btc.aws.forecasts import ForecastTable
from btc.aws.tables import BarTable
from btc.bars import Bar
from btc.forecasts import Forecast
from btc.times import MINUTE, minute_of
from btc.trades import Market


class Found(NamedTuple):
    """The newest forecast of each horizon that has one, and the bar whose close they start from."""

    forecasts: list[Forecast]
    last: Bar | None

    @property
    def as_of(self) -> int:
        return max((forecast.as_of for forecast in self.forecasts), default=0)


@dataclass(frozen=True, slots=True)
class NewestForecasts:
    """A published forecast never changes, and the next one is made of the next minute: until then memory answers."""

    table: ForecastTable
    bars: BarTable
    _held: dict[Market, Found] = field(default_factory=dict)

    def of(self, market: Market, now: int) -> Found:
        held = self._held.get(market)
        if held and held.as_of >= minute_of(now) and held.last and held.last.complete:
            return held
        forecasts = self.table.newest(market)
        as_of = Found(forecasts, None).as_of
        last = self.bars.between(market, as_of - MINUTE, as_of) if forecasts else []
        self._held[market] = found = Found(forecasts, last[0] if last else None)
        return found
