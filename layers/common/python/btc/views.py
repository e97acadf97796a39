"""What the API tells, as JSON-able values; prices are exact decimals, times ISO 8601."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from btc.bars import Bar
from btc.champions import Champion
from btc.forecasts import LEVELS, Forecast, Outcome, Scored
from btc.scores import WINDOWS, Hours, Sums, merge, of_version, since
from btc.tape import Watermark
from btc.times import SECOND, iso, parse_iso
from btc.trades import Market
from btc.units import from_units

STALE_S: Final = 180
"""A feed not known to be alive for longer than this is not healthy."""

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def to_json(value: Any) -> str:
    return _ENCODER.encode(value).decode()


def forecasts(market: Market, found: Sequence[Forecast | None], now: int) -> dict[str, Any]:
    """The newest forecast of each horizon that has one."""
    made = [forecast for forecast in found if forecast]
    as_of = max((forecast.as_of for forecast in made), default=None)
    return {
        "symbol": market.symbol,
        "venue": market.venue,
        "as_of": iso(as_of) if as_of else None,
        "staleness_s": _age_s(as_of, now),
        "forecasts": [forecast.to_dict() for forecast in made],
    }


def history(market: Market, horizon: int, found: Sequence[Scored], next_cursor: str | None, now: int) -> dict[str, Any]:
    """Forecasts of one horizon, newest first, each with its outcome once that is known."""
    as_of = found[0].forecast.as_of if found else None
    return {
        "symbol": market.symbol,
        "venue": market.venue,
        "horizon": horizon,
        "as_of": iso(as_of) if as_of else None,
        "staleness_s": _age_s(as_of, now),
        "forecasts": [{**each.forecast.to_dict(), "outcome": _outcome(each.outcome)} for each in found],
        "next_cursor": next_cursor,
    }


def _outcome(outcome: Outcome | None) -> dict[str, Any] | None:
    """Losses in basis points, averaged over the quantiles."""
    if outcome is None:
        return None
    return {
        "realised_price": outcome.realised_price,
        "loss_bp": outcome.pinball_loss,
        "baseline_loss_bp": dict(outcome.baseline_losses),
        "covered_90": outcome.covered,
        "covered_50": outcome.covered_50,
        "direction": outcome.direction,
    }


def scores(
    market: Market, latest: Mapping[int, Forecast | None], found: Mapping[int, Hours], now: int
) -> dict[str, Any]:
    """How the forecasts of each horizon have done over each window: those of the model that serves, and all."""
    everything = (sums for hours in found.values() for sums in of_version(hours, None).values())
    as_of = merge(everything).until or None
    return {
        "symbol": market.symbol,
        "venue": market.venue,
        "as_of": iso(as_of) if as_of else None,
        "staleness_s": _age_s(as_of, now),
        "horizons": [
            {
                "horizon": horizon,
                "model_version": newest.model_version if newest else None,
                "windows": [
                    _window(found[horizon], newest.model_version if newest else None, days, now) for days in WINDOWS
                ],
            }
            for horizon, newest in latest.items()
        ],
    }


def _window(hours: Hours, version: str | None, days: int, now: int) -> dict[str, Any]:
    start = since(now, days)
    inside = {hour: by_version for hour, by_version in hours.items() if hour >= start}
    return {
        "days": days,
        "since": iso(start),
        "model": sums_view(merge(of_version(inside, version or "").values())),
        "overall": sums_view(merge(of_version(inside, None).values())),
    }


def sums_view(sums: Sums) -> dict[str, Any]:
    """Losses in basis points, averaged over the quantiles; skill is 1 - loss / the baseline's on the same forecasts."""
    coverage = sums.coverage
    return {
        "forecasts": sums.forecasts,
        "loss_bp": _rounded(sums.loss_bp),
        "baseline_loss_bp": {name: _rounded(duel.baseline_bp) for name, duel in sums.duels.items()},
        "skill": {name: _rounded(duel.skill) for name, duel in sums.duels.items()},
        "best_baseline": sums.best_baseline,
        "coverage_90": _share(sums.covered, sums.forecasts),
        "coverage_50": _share(sums.covered_50, sums.forecasts),
        "coverage": {f"{level:.2f}": _rounded(share) for level, share in zip(LEVELS, coverage or (), strict=False)},
        "direction": _share(sums.hits, sums.sided),
        "direction_forecasts": sums.sided,
    }


def bars(market: Market, interval: str, found: Sequence[Bar], alive: Watermark | None, now: int) -> dict[str, Any]:
    """Bars, oldest first, as of the time up to which the market's feed is known to be alive."""
    as_of = alive.time if alive else None
    return {
        "symbol": market.symbol,
        "venue": market.venue,
        "interval": interval,
        "as_of": iso(as_of) if as_of else None,
        "staleness_s": _age_s(as_of, now),
        "complete": bool(found) and all(bar.complete for bar in found if bar.closed),
        "bars": [bar_view(bar) for bar in found],
    }


def bar_view(bar: Bar) -> dict[str, Any]:
    return {
        "start": iso(bar.start),
        **{name: _decimal(getattr(bar, name)) for name in ("open", "high", "low", "close", "volume")},
        "buy_volume": None if bar.buy_volume is None else _decimal(bar.buy_volume),
        "turnover": None if bar.turnover is None else _decimal(bar.turnover, 16),
        "trade_count": bar.trade_count,
        "first_trade_id": bar.first_id,
        "last_trade_id": bar.last_id,
        "closed": bar.closed,
        "complete": bar.complete,
        "source": bar.source,
    }


def model(champion: Champion | None, now: int) -> dict[str, Any]:
    """The model that serves, or that the baseline does."""
    if champion is None:
        return {"model_version": None, "baseline": True, "age_s": None}
    age = _age_s(parse_iso(champion.trained_until), now)
    return {**champion._asdict(), "baseline": False, "age_s": age}


def health(alive: Mapping[Market, Watermark | None], now: int) -> dict[str, Any]:
    """How far each feed is known to be alive, and whether that is recent."""
    feeds = {str(market): _age_s(mark.time if mark else None, now) for market, mark in alive.items()}
    fresh = all(age is not None and age <= STALE_S for age in feeds.values())
    return {"status": "ok" if fresh else "stale", "feed_age_s": feeds}


def _share(part: int, whole: int) -> float | None:
    return _rounded(part / whole) if whole else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _age_s(time: int | None, now: int) -> float | None:
    return None if time is None else round((now - time) / SECOND, 3)


def _decimal(units: int, scale: int = 8) -> Decimal:
    """Without trailing zeros, and never in exponents."""
    number = from_units(units, scale).normalize()
    return number.quantize(Decimal(1)) if number.as_tuple().exponent > 0 else number  # type: ignore[operator]
