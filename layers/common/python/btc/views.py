"""What the API tells, as JSON-able values; prices are exact decimals, times ISO 8601."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from btc.bars import Bar
from btc.champions import Champion
from btc.forecasts import Forecast
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


def _age_s(time: int | None, now: int) -> float | None:
    return None if time is None else round((now - time) / SECOND, 3)


def _decimal(units: int, scale: int = 8) -> Decimal:
    """Without trailing zeros, and never in exponents."""
    number = from_units(units, scale).normalize()
    return number.quantize(Decimal(1)) if number.as_tuple().exponent > 0 else number  # type: ignore[operator]
