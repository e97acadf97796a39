"""What a process that answers requests need not read again: it lives for hours, and most of it stays as it is."""

from dataclasses import dataclass, field
from typing import NamedTuple

from btc.aws.forecasts import ForecastTable
from btc.aws.scores import ScoreTable
from btc.aws.tables import BarTable
from btc.bars import Bar
from btc.forecasts import HORIZONS, Forecast
from btc.scores import WINDOWS, Hours, by_day, since
from btc.times import DAY, HOUR, MINUTE, day_of, minute_of
from btc.trades import Market


class Found(NamedTuple):
    """The newest forecast of each horizon that has one, and the bar whose close they start from."""

    forecasts: list[Forecast]
    last: Bar | None

    @property
    def as_of(self) -> int:
        return max((forecast.as_of for forecast in self.forecasts), default=0)

    @property
    def whole(self) -> bool:
        """All horizons are of the same minute, and its bar is proven: nothing of it will come later."""
        same = {forecast.as_of for forecast in self.forecasts} == {self.as_of}
        return same and len(self.forecasts) == len(HORIZONS) and self.last is not None and bool(self.last.complete)


@dataclass(frozen=True, slots=True)
class NewestForecasts:
    """A published forecast never changes, and the next one is made of the next minute: until then memory answers."""

    table: ForecastTable
    bars: BarTable
    consistent: bool = False
    """For those who have heard that there is a newer one."""
    _held: dict[Market, Found] = field(default_factory=dict)

    def of(self, market: Market, now: int) -> Found:
        held = self._held.get(market)
        if held and held.whole and held.as_of >= minute_of(now):
            return held
        forecasts = self.table.newest(market, consistent=self.consistent)
        as_of = Found(forecasts, None).as_of
        last = self.bars.between(market, as_of - MINUTE, as_of) if forecasts else []
        self._held[market] = found = Found(forecasts, last[0] if last else None)
        return found


@dataclass(frozen=True, slots=True)
class LiveScores:
    """Sums over the longest window: of today and yesterday as they are, of the days before as they were this hour.

    Those change only where a bar is proven days late.
    """

    table: ScoreTable
    _held: dict[Market, tuple[int, dict[int, Hours]]] = field(default_factory=dict)

    def of(self, market: Market, now: int) -> dict[int, Hours]:
        """Of each horizon, by hour (µs of its start), and by day before yesterday, and model version."""
        hour, before = now - now % HOUR, day_of(now) - 2 * DAY
        held = self._held.get(market)
        if not held or held[0] != hour:
            past = {each: self.table.between(market, each, since(now, max(WINDOWS)), before) for each in HORIZONS}
            held = self._held[market] = hour, {horizon: by_day(hours) for horizon, hours in past.items()}
        recent = self.table.recent(market, now)
        return {horizon: {**held[1][horizon], **recent[horizon]} for horizon in HORIZONS}
