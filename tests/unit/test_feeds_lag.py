"""How long watermarks wait, beside how late recorded trades came."""

import gzip
import json
from pathlib import Path

import pytest

from cdk.settings import DEV


@pytest.mark.parametrize("day", ["20240808", "20240809"])
def test_no_recorded_trade_came_half_as_late_as_watermarks_wait(day: str, market_data: Path) -> None:
    """Against the quickest, for the recorder's clock is not the venue's."""
    took = []
    recording = gzip.decompress((market_data / f"wire/binance_spot_btcusdt_{day}.gz").read_bytes())
    for line in recording.splitlines():
        received, _, frame = line.partition(b" ")
        told = json.loads(frame)
        told = told.get("data", told)
        if told.get("e") == "trade":
            took.append(int(received) / 1e6 - told["T"])

    assert len(took) > 9_000
    assert max(took) - min(took) < DEV.watermark_lag_ms / 2
