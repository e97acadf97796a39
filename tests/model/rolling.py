"""Every feature once more, in pandas rolling calls: the oracle of the tests and the rival of the benchmark."""

from dataclasses import fields

import numpy as np
import pandas as pd

from btc.minutes import Minutes
from btc.paths import LOOK_BACK, VARIANCE_FLOOR

PRICES = ("open", "high", "low", "close")


def features(minutes: Minutes) -> pd.DataFrame:
    """The columns of `btc.features.NAMES` (n,), in any order; the first LOOK_BACK rows mean nothing."""
    frame = pd.DataFrame({field.name: getattr(minutes, field.name) for field in fields(Minutes)})
    logs = np.log(frame[list(PRICES)])
    steps = logs.close.diff().fillna(0.0)
    weights = {5: 0.15, 15: 0.2, 60: 0.3, 240: 0.2, 1440: 0.15}
    squares = steps**2
    variance = {span: mean(squares, span) for span in (2, 5, 10, 15, 30, 60, 120, 240, 480, 1200, 1440)}
    scale = np.sqrt(VARIANCE_FLOOR + sum(weight * variance[span] for span, weight in weights.items()))
    return pd.DataFrame(
        {
            **{f"return_{span}": steps.rolling(span).sum() / (scale * span**0.5) for span in RETURNS},
            **volatilities(logs, steps, variance, scale),
            **jumps(steps, variance),
            **extremes(logs, scale),
            **volumes(frame, logs, steps),
            **means(frame, logs, scale),
            **wicks(logs, scale),
            **flows(frame),
            **rests(frame, steps, scale),
            **rhythms(frame),
        }
    )


RETURNS = (1, 2, 3, 5, 7, 10, 15, 30, 60, 120, 240, 480, 1440)


def mean(column: pd.Series, span: int) -> pd.Series:
    return column.rolling(span).mean()


def level(variance: pd.Series, scale: pd.Series) -> pd.Series:
    return 0.5 * np.log(variance.clip(lower=0) / scale**2 + 0.01)


def volatilities(
    logs: pd.DataFrame, steps: pd.Series, variance: dict[int, pd.Series], scale: pd.Series
) -> dict[str, pd.Series]:
    ranges, body, moves = logs.high - logs.low, logs.close - logs.open, steps.abs()
    parkinson = ranges**2 / (4 * np.log(2))
    garman_klass = 0.5 * ranges**2 - (2 * np.log(2) - 1) * body**2
    return {
        "scale_level": np.log(scale),
        **{f"volatility_{span}": level(each, scale) for span, each in variance.items() if span != 1200},
        **{f"volatility_yesterday_{span}": level(variance[span].shift(LOOK_BACK - span), scale) for span in (15, 60)},
        **{f"range_{span}": level(mean(parkinson, span), scale) for span in (1, 2, 5, 15, 30, 60, 240, 480, 1440)},
        **{f"candle_{span}": level(mean(garman_klass, span), scale) for span in (5, 15, 60, 240, 1440)},
        **{f"move_{span}": np.log(mean(moves, span) / scale + 0.05) for span in (5, 15, 60, 240, 1440)},
    }


def jumps(steps: pd.Series, variance: dict[int, pd.Series]) -> dict[str, pd.Series]:
    product, falling, found = steps * steps.shift(1), -np.sign(steps) * steps**2, {}
    bipower, floored = product.abs(), {span: each + VARIANCE_FLOOR for span, each in variance.items()}
    for span in (15, 60, 240, 1200):
        found[f"bipower_{span}"] = mean(bipower, span) / floored[span]
        found[f"autocorrelation_{span}"] = mean(product, span) / floored[span]
    for step, spans in ((5, (60, 240, 1200)), (15, (240, 1200))):
        squares = steps.rolling(step).sum() ** 2
        for span in spans:
            found[f"variance_ratio_{step}_{span}"] = np.log(mean(squares, span) / step / floored[span] + 0.05)
    for span in (15, 60, 240, 1440):
        found[f"down_{span}"] = mean(falling, span) / floored[span]
    return found


def extremes(logs: pd.DataFrame, scale: pd.Series) -> dict[str, pd.Series]:
    found = {}
    for span in (1, 5, 15, 60, 240, 1440):
        high, low = logs.high.rolling(span).max(), logs.low.rolling(span).min()
        unit, height = scale * span**0.5, high - low
        found[f"to_high_{span}"], found[f"to_low_{span}"] = (high - logs.close) / unit, (logs.close - low) / unit
        found[f"height_{span}"] = np.log(height / unit + 0.05)
        found[f"close_in_range_{span}"] = ((2 * logs.close - high - low) / height.where(height > 0)).fillna(0.0)
    return found


def volumes(frame: pd.DataFrame, logs: pd.DataFrame, steps: pd.Series) -> dict[str, pd.Series]:
    day, height = mean(frame.volume, LOOK_BACK), logs.high - logs.low
    inside = ((2 * logs.close - logs.high - logs.low) / height.where(height > 0)).fillna(0.0)
    found = {f"volume_{span}": np.log(mean(frame.volume, span) / day + 0.01) for span in (1, 2, 5, 15, 60, 240)}
    rising, closing = np.sign(steps) * frame.volume, inside * frame.volume
    for span in (1, 3, 5, 15, 60, 240):
        whole = frame.volume.rolling(span).sum().clip(lower=1e-8)
        found[f"rising_volume_{span}"] = rising.rolling(span).sum() / whole
        found[f"closing_volume_{span}"] = closing.rolling(span).sum() / whole
    return found


def means(frame: pd.DataFrame, logs: pd.DataFrame, scale: pd.Series) -> dict[str, pd.Series]:
    typical, found = (logs.high + logs.low + logs.close) / 3, {}
    weighted = typical * frame.volume
    for span in (5, 15, 60, 240, 1440):
        volume = frame.volume.rolling(span).sum()
        vwap = (weighted.rolling(span).sum() / volume).where(volume > 1e-9, logs.close)
        found[f"from_vwap_{span}"] = (logs.close - vwap) / (scale * span**0.5)
        found[f"from_mean_{span}"] = (logs.close - mean(typical, span)) / (scale * span**0.5)
    return found


def wicks(logs: pd.DataFrame, scale: pd.Series) -> dict[str, pd.Series]:
    upper = logs.high - logs[["open", "close"]].max(axis=1)
    lower = logs[["open", "close"]].min(axis=1) - logs.low
    gap, both, apart = logs.open - logs.close.shift(1), upper + lower, upper - lower
    found = {"gap": gap / scale, "gaps_60": np.log(mean(gap.abs(), 60) / scale + 0.01)}
    for span in (1, 5, 15, 60):
        found[f"wick_{span}"] = mean(apart, span) / scale
        found[f"wicks_{span}"] = np.log(mean(both, span) / scale + 0.02)
    return found


def flows(frame: pd.DataFrame) -> dict[str, pd.Series]:
    recorded = frame.volume.where(frame.buy_volume.notna(), 0.0)
    signed = (2 * frame.buy_volume - frame.volume).fillna(0.0)
    now, day = (frame.trade_count.rolling(span, min_periods=1).mean() for span in (5, LOOK_BACK))
    found = {"trades_5": np.log(now / day + 0.01)}
    for span in (1, 5, 60):
        share = signed.rolling(span).sum() / recorded.rolling(span).sum().clip(lower=1e-8)
        found[f"buy_imbalance_{span}"] = share.where(frame.buy_volume.notna().rolling(span).sum() > 0)
    return found


def rests(frame: pd.DataFrame, steps: pd.Series, scale: pd.Series) -> dict[str, pd.Series]:
    smallest = steps.abs().where(steps != 0, 0.25)
    return {
        **{f"still_{span}": mean((steps == 0).astype(float), span) for span in (5, 60, 1440)},
        **{f"tick_{span}": np.log((smallest.rolling(span).min() / scale).clip(upper=3.0) + 1e-4) for span in (60, 240)},
        **{f"quiet_{span}": mean((frame.volume == 0).astype(float), span) for span in (60, 1440)},
        "unknown_1440": mean((~frame.known).astype(float), 1440),
    }


def rhythms(frame: pd.DataFrame) -> dict[str, pd.Series]:
    moment = pd.to_datetime(frame.start, unit="us")
    minute = moment.dt.hour * 60 + moment.dt.minute
    # The circles are counted from the epoch on, and that was a Thursday.
    week = (moment.dt.day_of_week - 3) % 7 * 1440 + minute
    laps = [
        ("hour", minute / 60, (1, 2, 3, 4, 6)),
        ("day", minute / 1440, (1, 2, 3, 4)),
        ("week", week / 10080, (1, 2, 3)),
    ]
    found = {
        f"{name}_{harmonic}_{part}": turn(2 * np.pi * harmonic * share)
        for name, share, harmonics in laps
        for harmonic in harmonics
        for part, turn in (("sin", np.sin), ("cos", np.cos))
    }
    close = moment + pd.Timedelta(minutes=1)
    strokes = [("hour", "60min", (1, 2, 8), (2, 8)), ("quarter", "15min", (2,), (2,)), ("five", "5min", (1,), ())]
    for name, stroke, decays, others in strokes:
        since = (close - close.dt.floor(stroke)).dt.total_seconds() / 60
        until = (close.dt.ceil(stroke) - close).dt.total_seconds() / 60
        found |= {f"{name}_since_{decay}": np.exp(-since / decay) for decay in decays}
        found |= {f"{name}_until_{decay}": np.exp(-until / decay) for decay in others}
    return found
