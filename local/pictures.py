"""A picture of the API's answers: the last minutes, and the forecast's fan ahead of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.dates import DateFormatter
from matplotlib.figure import Figure

BANDS: Final = (("0.05", "0.95"), ("0.10", "0.90"), ("0.25", "0.75"), ("0.40", "0.60"))
UP, DOWN, FAN = "#26a69a", "#ef5350", "#3b82f6"


def draw(bars: Mapping[str, Any], forecasts: Mapping[str, Any], path: Path) -> None:
    """Candles of `/v1/bars` and the quantiles of `/v1/forecasts`, into an image of the kind `path` ends with."""
    with mpl.rc_context({"svg.hashsalt": "forecast", "font.size": 9}):
        figure = Figure(figsize=(9, 4), layout="constrained")
        axes = figure.add_subplot()
        for bar in bars["bars"]:
            _candle(axes, bar)
        _fan(axes, forecasts)
        axes.set_title(
            f"{forecasts['symbol']} at {forecasts['venue']}, forecast as of {forecasts['as_of']}", loc="left"
        )
        axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))  # type: ignore[no-untyped-call] # matplotlib declares none
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.2)
        axes.legend(loc="upper left", frameon=False)
        figure.savefig(path, dpi=140, metadata={"Date": None} if path.suffix == ".svg" else None)


def _candle(axes: Any, bar: Mapping[str, Any]) -> None:
    middle = datetime.fromisoformat(bar["start"]) + timedelta(seconds=30)
    colour = UP if bar["close"] >= bar["open"] else DOWN
    axes.vlines(middle, bar["low"], bar["high"], color=colour, linewidth=0.7)
    half = timedelta(seconds=21)
    axes.bar(middle, abs(bar["close"] - bar["open"]), 2 * half, min(bar["open"], bar["close"]), color=colour)
    axes.hlines(bar["close"], middle - half, middle + half, color=colour, linewidth=1)


def _fan(axes: Any, answer: Mapping[str, Any]) -> None:
    """Bands from the last price, where all quantiles meet, through each horizon's."""
    made = sorted(answer["forecasts"], key=lambda forecast: forecast["horizon"])
    last = made[0]["reference_price"]
    places = [datetime.fromisoformat(text) for text in (made[0]["as_of"], *(each["target_time"] for each in made))]
    for low, high in BANDS:
        below, above = ([last, *(each["quantiles"][level] for each in made)] for level in (low, high))
        share = round(100 * (float(high) - float(low)))
        axes.fill_between(places, below, above, color=FAN, alpha=0.16, linewidth=0, label=f"{share} %")
    axes.plot(places, [last, *(each["predicted_price"] for each in made)], color=FAN, linewidth=1.2, label="median")
