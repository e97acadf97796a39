"""How good live forecasts have been: what became of each, and sums of that which may be cut and merged anywhere.

Losses are those of training.evaluate: pinball losses of the log return in basis points, averaged over LEVELS. Sums are
integers, so that they come out the same in whatever order and parts they are taken.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from math import log
from typing import Final, NamedTuple

from btc.bars import Bar, Source
from btc.forecasts import LEVELS, Forecast, Outcome, Scored
from btc.times import DAY, HOUR, MINUTE, day_of
from btc.units import UNIT

BASIS_POINTS: Final = 1e4
WINDOWS: Final = (1, 7, 30)
"""Whole UTC days that live scores are told over, beside the current day so far."""

SETTLED: Final = 2 * MINUTE
"""After an hour nothing more is forecast for it: forecasts are of times to come, and written within a minute."""

_MICRO: Final = 1_000_000
_QUARTILES: Final = (LEVELS.index(0.25), LEVELS.index(0.75))


def realised(bar: Bar) -> float | None:
    """The last price of a minute, once nothing that is missing can change it: proven complete, or the venue's own."""
    return bar.close / UNIT if bar.closed and (bar.complete or bar.source is Source.KLINES) else None


def outcome(forecast: Forecast, price: float) -> Outcome:
    """What the price at the target time says of a forecast."""
    low, high = (forecast.quantiles[column] for column in _QUARTILES)
    moved, said = (_sign(value - forecast.reference_price) for value in (price, forecast.predicted_price))
    return Outcome(
        realised_price=price,
        pinball_loss=pinball(forecast.quantiles, price),
        below=bisect_left(forecast.quantiles, price),
        covered=forecast.quantiles[0] <= price <= forecast.quantiles[-1],
        covered_50=low <= price <= high,
        direction=moved == said if moved and said else None,
        baseline_losses={name: pinball(prices, price) for name, prices in forecast.baselines.items()},
    )


def pinball(quantiles: Sequence[float], price: float) -> float:
    """Mean pinball loss over LEVELS in basis points, to a millionth of one (Koenker and Bassett 1978).

    It is the log return's: the price that returns are counted from drops out of each error.
    """
    errors = (log(price / quantile) for quantile in quantiles)
    losses = (max(level * error, (level - 1) * error) for level, error in zip(LEVELS, errors, strict=True))
    return round(BASIS_POINTS * sum(losses) / len(LEVELS), 6)


def settled(held: Iterable[Scored], bars: Iterable[Bar]) -> list[Scored]:
    """The forecasts with the outcomes these minutes tell; one whose minute is not here or not proven stays as it is."""
    prices = {bar.end: price for bar in bars if (price := realised(bar)) is not None}
    return [
        Scored(each.forecast, outcome(each.forecast, prices[each.forecast.target_time]))
        if each.forecast.target_time in prices
        else each
        for each in held
    ]


def due(now: int, last: int, catch_up_hours: int, kept_days: int) -> list[int]:
    """The hours (µs of their start) to look at for forecasts to score; `last` is when (µs) that was last done.

    They are the one under way and the one before it. Once an hour, what bars that were proven late may have changed is
    looked for too: in the last `catch_up_hours`, and in a share of all days that forecasts are kept, so that within
    a day each comes round. What is about to expire is left alone.
    """
    hour = now - now % HOUR
    found = {hour, hour - HOUR}
    if last < hour:
        found |= {hour - back * HOUR for back in range(catch_up_hours + 1)}
        turn = (hour - day_of(hour)) // HOUR
        days = [day_of(now) - back * DAY for back in range(1, kept_days - 1)]
        found |= {day + row * HOUR for day in days if day // DAY % 24 == turn for row in range(24)}
    return sorted(found)


def mark(bars: Iterable[Bar]) -> str:
    """Of all that these minutes tell of outcomes: as long as it is the same, so is every outcome."""
    prices = sorted((bar.end, bar.close) for bar in bars if realised(bar) is not None)
    return sha256(repr(prices).encode()).hexdigest()[:16]


class Duel(NamedTuple):
    """Losses of forecasts and of a baseline on the same targets, in millionths of a basis point."""

    forecasts: int = 0
    own: int = 0
    baseline: int = 0

    @property
    def skill(self) -> float | None:
        """1 - own loss / the baseline's."""
        return 1 - self.own / self.baseline if self.baseline else None

    @property
    def baseline_bp(self) -> float | None:
        return self.baseline / _MICRO / self.forecasts if self.forecasts else None


@dataclass(frozen=True, slots=True)
class Sums:
    """Scored forecasts, added up; `merge` adds such sums."""

    forecasts: int = 0
    until: int = 0
    """The latest target time among them (µs)."""
    loss: int = 0
    """In millionths of a basis point."""
    duels: Mapping[str, Duel] = field(default_factory=dict)
    """By baseline: not every forecast was made beside each."""
    below: tuple[int, ...] = (0,) * (len(LEVELS) + 1)
    """How many realised prices lay above none, one, … all of their quantiles."""
    covered: int = 0
    covered_50: int = 0
    sided: int = 0
    """Forecasts that took a side and whose price moved."""
    hits: int = 0

    @property
    def loss_bp(self) -> float | None:
        return self.loss / _MICRO / self.forecasts if self.forecasts else None

    @property
    def best_baseline(self) -> str | None:
        """The hardest to beat: the one against which skill is least."""
        skills = {name: duel.skill for name, duel in self.duels.items() if duel.skill is not None}
        return min(skills, key=lambda name: (skills[name], name), default=None)

    @property
    def coverage(self) -> tuple[float, ...] | None:
        """The share of realised prices at or below the quantile at each of LEVELS."""
        if not self.forecasts:
            return None
        return tuple(sum(self.below[: column + 1]) / self.forecasts for column in range(len(LEVELS)))


Hours = Mapping[int, Mapping[str, Sums]]
"""Sums by hour (µs of its start) and model version."""


def sums(scored: Iterable[Scored]) -> dict[str, Sums]:
    """The sums of those that have an outcome, by model version."""
    by_version: dict[str, Sums] = {}
    for each in scored:
        if each.outcome:
            version = each.forecast.model_version
            by_version[version] = merge(
                (by_version.get(version, Sums()), _one(each.forecast.target_time, each.outcome))
            )
    return by_version


def merge(parts: Iterable[Sums]) -> Sums:
    """The sums of forecasts that were summed apart; no forecast may be in two parts."""
    rows = list(parts)
    if len(rows) <= 1:
        return rows[0] if rows else Sums()
    duels: dict[str, list[Duel]] = {}
    for row in rows:
        for name, duel in row.duels.items():
            duels.setdefault(name, []).append(duel)
    return Sums(
        forecasts=sum([row.forecasts for row in rows]),
        until=max([row.until for row in rows]),
        loss=sum([row.loss for row in rows]),
        duels={name: Duel(*map(sum, zip(*duels[name], strict=True))) for name in sorted(duels)},
        below=tuple(map(sum, zip(*[row.below for row in rows], strict=True))),
        covered=sum([row.covered for row in rows]),
        covered_50=sum([row.covered_50 for row in rows]),
        sided=sum([row.sided for row in rows]),
        hits=sum([row.hits for row in rows]),
    )


def by_day(hours: Hours) -> dict[int, dict[str, Sums]]:
    """The same sums by day (µs of its start) instead of hour, for as long as nobody asks for parts of a day."""
    days: dict[int, dict[str, list[Sums]]] = {}
    for hour, by_version in hours.items():
        for version, part in by_version.items():
            days.setdefault(day_of(hour), {}).setdefault(version, []).append(part)
    return {day: {version: merge(parts) for version, parts in told.items()} for day, told in days.items()}


def of_version(hours: Hours, version: str | None) -> dict[int, Sums]:
    """One model's sums by hour out of all, or everyone's without a version."""
    if version is None:
        return {hour: merge(by_version.values()) for hour, by_version in hours.items()}
    return {hour: by_version[version] for hour, by_version in hours.items() if version in by_version}


def since(now: int, days: int) -> int:
    """The start (µs) of a window of so many whole UTC days and the current one."""
    return day_of(now) - days * DAY


def _one(target_time: int, outcome: Outcome) -> Sums:
    loss = round(outcome.pinball_loss * _MICRO)
    return Sums(
        forecasts=1,
        until=target_time,
        loss=loss,
        duels={name: Duel(1, loss, round(other * _MICRO)) for name, other in outcome.baseline_losses.items()},
        below=tuple(int(place == outcome.below) for place in range(len(LEVELS) + 1)),
        covered=int(outcome.covered),
        covered_50=int(outcome.covered_50),
        sided=int(outcome.direction is not None),
        hits=int(outcome.direction is True),
    )


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
