"""What the API tells, made from what is stored; prices of bars are exact decimals, times ISO 8601."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from btc import answers, intervals, requests
from btc.bars import Bar
from btc.champions import Promoted, card
from btc.forecasts import LEVELS, Forecast, Outcome, Scored
from btc.requests import Span
from btc.scores import WINDOWS, Hours, Sums, merge, since
from btc.tape import Watermark
from btc.times import FOREVER, SECOND, iso, minute_of, parse_iso
from btc.trades import Market
from btc.units import from_units

STALE_S: Final = 180
"""A feed not known to be alive for longer than this is not healthy."""

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_LEVELS: Final = tuple(f"{level:.2f}" for level in LEVELS)


def to_json(value: object) -> bytes:
    return _ENCODER.encode(value)


def forecasts(market: Market, found: Sequence[Forecast], last: Bar | None, now: int) -> answers.Forecasts:
    """The newest forecast of each horizon that has one; `last` is the bar whose close they start from."""
    as_of = max((forecast.as_of for forecast in found), default=None)
    return answers.Forecasts(
        symbol=market.symbol,
        venue=market.venue,
        as_of=_iso(as_of),
        staleness_s=_age_s(as_of, now),
        complete=last.complete if last else None,
        forecasts=[answers.Forecast(**_told(each)) for each in found],
    )


def live(market: Market, channel_url: str, ticket: str, expires_s: int, now: int) -> answers.Live:
    """Where to listen, as of now."""
    url = f"{channel_url}?{requests.TICKET}={ticket}"
    return answers.Live(
        symbol=market.symbol, venue=market.venue, as_of=iso(now), staleness_s=0.0, url=url, expires_s=expires_s
    )


def history(
    market: Market, horizon: int, found: Sequence[Scored], next_cursor: str | None, now: int
) -> answers.History:
    """Forecasts of one horizon, newest first, each with its outcome once that is known."""
    as_of = found[0].forecast.as_of if found else None
    return answers.History(
        symbol=market.symbol,
        venue=market.venue,
        as_of=_iso(as_of),
        staleness_s=_age_s(as_of, now),
        horizon=horizon,
        forecasts=[answers.PastForecast(**_told(each.forecast), outcome=_outcome(each.outcome)) for each in found],
        next_cursor=next_cursor,
    )


def _told(forecast: Forecast) -> dict[str, Any]:
    """The fields of answers.Forecast."""
    return {
        "market": str(forecast.market),
        "symbol": forecast.market.symbol,
        "as_of": iso(forecast.as_of),
        "horizon": forecast.horizon,
        "target_time": iso(forecast.target_time),
        "reference_price": forecast.reference_price,
        "predicted_price": forecast.predicted_price,
        "quantiles": dict(zip(_LEVELS, forecast.quantiles, strict=True)),
        "probability_up": forecast.probability_up,
        "model_version": forecast.model_version,
        "baseline": forecast.baseline,
        "baseline_reason": forecast.baseline_reason,
    }


def _outcome(outcome: Outcome | None) -> answers.Outcome | None:
    if outcome is None:
        return None
    return answers.Outcome(
        realised_price=outcome.realised_price,
        loss_bp=outcome.pinball_loss,
        baseline_loss_bp=dict(outcome.baseline_losses),
        covered_90=outcome.covered,
        covered_50=outcome.covered_50,
        direction=outcome.direction,
    )


def scores(market: Market, latest: Mapping[int, Forecast], found: Mapping[int, Hours], now: int) -> answers.LiveScores:
    """How the forecasts of each horizon have done over each window: those of the model that serves, and all.

    `found` may hold sums by day instead of hour: windows begin with a day.
    """
    everything = (sums for hours in found.values() for by_version in hours.values() for sums in by_version.values())
    as_of = max((sums.until for sums in everything), default=0) or None
    return answers.LiveScores(
        symbol=market.symbol,
        venue=market.venue,
        as_of=_iso(as_of),
        staleness_s=_age_s(as_of, now),
        horizons=[
            answers.HorizonScores(horizon, version, _windows(hours, version, now))
            for horizon, hours in found.items()
            for version in [latest[horizon].model_version if horizon in latest else None]
        ],
    )


def _windows(hours: Hours, version: str | None, now: int) -> list[answers.Window]:
    """Each window out of the one before it and what lies between, so that every hour is added once."""
    windows = []
    whole: dict[str, Sums] = {}
    until = FOREVER
    for days in WINDOWS:
        start = since(now, days)
        parts: dict[str, list[Sums]] = {name: [sums] for name, sums in whole.items()}
        for hour, by_version in hours.items():
            if start <= hour < until:
                for name, sums in by_version.items():
                    parts.setdefault(name, []).append(sums)
        whole, until = {name: merge(sums) for name, sums in parts.items()}, start
        model, overall = whole.get(version or "", Sums()), merge(whole.values())
        windows.append(answers.Window(days, iso(start), _scores(model), _scores(overall)))
    return windows


def _scores(sums: Sums) -> answers.Scores:
    return answers.Scores(
        forecasts=sums.forecasts,
        loss_bp=_rounded(sums.loss_bp),
        baseline_loss_bp={name: _rounded(duel.baseline_bp) for name, duel in sums.duels.items()},
        skill={name: _rounded(duel.skill) for name, duel in sums.duels.items()},
        best_baseline=sums.best_baseline,
        coverage_90=_share(sums.covered, sums.forecasts),
        coverage_50=_share(sums.covered_50, sums.forecasts),
        coverage={level: round(share, 6) for level, share in zip(_LEVELS, sums.coverage or (), strict=False)},
        direction=_share(sums.hits, sums.sided),
        direction_forecasts=sums.sided,
    )


def bars(market: Market, span: Span, minutes: Sequence[Bar], alive: Watermark | None, now: int) -> answers.Bars:
    """Bars of the span out of its minute bars, oldest first, as of the time up to which the feed is known to be alive,
    or the end of a span that is over: time passes, and what is said of that span stays the same.

    Complete where every minute of the span that is over is there and proven: a page does not hide what is absent.
    """
    as_of = alive.time if alive else None
    if as_of is not None and span.end <= now:
        as_of = min(as_of, span.end)
    return answers.Bars(
        symbol=market.symbol,
        venue=market.venue,
        as_of=_iso(as_of),
        staleness_s=_age_s(as_of, now),
        interval=span.interval,
        complete=intervals.proven(minutes, span.start, min(span.end, minute_of(now))),
        bars=[_bar(bar) for bar in intervals.resample(minutes, span.minutes)],
    )


def _bar(bar: Bar) -> answers.Bar:
    return answers.Bar(
        start=iso(bar.start),
        open=_decimal(bar.open),
        high=_decimal(bar.high),
        low=_decimal(bar.low),
        close=_decimal(bar.close),
        volume=_decimal(bar.volume),
        buy_volume=None if bar.buy_volume is None else _decimal(bar.buy_volume),
        turnover=None if bar.turnover is None else _decimal(bar.turnover, 16),
        trade_count=bar.trade_count,
        first_trade_id=bar.first_id,
        last_trade_id=bar.last_id,
        closed=bar.closed,
        complete=bar.closed and bar.complete,
        source=bar.source,
    )


def model(promoted: Promoted | None, now: int) -> answers.Model:
    """The model that serves with what its training told of it, or that the baseline does."""
    if promoted is None:
        return answers.Model(as_of=None, staleness_s=None, model_version=None, baseline=True, age_s=None)
    champion = promoted.champion
    age = _age_s(parse_iso(champion.trained_until), now)
    return answers.Model(
        as_of=champion.trained_until,
        staleness_s=age,
        baseline=False,
        age_s=age,
        **champion._asdict(),
        **card(promoted.card),
    )


def health(alive: Mapping[Market, Watermark | None], now: int) -> answers.Health:
    """How far each feed is known to be alive, and whether that is recent."""
    feeds = {str(market): _age_s(mark.time if mark else None, now) for market, mark in alive.items()}
    fresh = all(age is not None and age <= STALE_S for age in feeds.values())
    known = [mark.time for mark in alive.values() if mark]
    as_of = min(known) if len(known) == len(alive) and known else None
    return answers.Health(
        as_of=_iso(as_of), staleness_s=_age_s(as_of, now), status="ok" if fresh else "stale", feed_age_s=feeds
    )


def _share(part: int, whole: int) -> float | None:
    return _rounded(part / whole) if whole else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _iso(time: int | None) -> str | None:
    return None if time is None else iso(time)


def _age_s(time: int | None, now: int) -> float | None:
    return None if time is None else round((now - time) / SECOND, 3)


def _decimal(units: int, scale: int = 8) -> Decimal:
    """Without trailing zeros, and never in exponents."""
    number = from_units(units, scale).normalize()
    return number.quantize(Decimal(1)) if number.as_tuple().exponent > 0 else number  # type: ignore[operator]
