"""Recorded captures go through the real path, from the feed's parser to the table, and come out as the venue's bars."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from local.__main__ import main

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack")]


def test_krakens_trades_become_krakens_own_bars(market_data: Path, tmp_path: Path) -> None:
    oracle, out = market_data / "oracle", tmp_path / "bars.parquet"

    arguments = ["replay", "--venue", "kraken", "--symbol", "BTC-USDT", "--bars", str(out)]
    status = main([*arguments, str(oracle / "kraken_rest_trades_first.json")], {})

    assert status == 0
    bars = {int(bar["start"].timestamp()): bar for bar in pq.ParquetFile(out).read().to_pylist()}
    [rows] = [
        rows
        for name, rows in json.loads((oracle / "kraken_rest_ohlc_first.json").read_text())["result"].items()
        if name != "last"
    ]
    first, last = min(bars), max(bars)
    # The page's edges cut the first and the last minute.
    theirs = {row[0]: row for row in rows if first < row[0] < last}
    assert len(theirs) > 200
    assert {start: _values(bars[start]) for start in theirs} == {start: _told(row) for start, row in theirs.items()}
    assert all(bars[start]["complete"] and bars[start]["closed"] for start in theirs)
    assert sum(row[7] == 0 for row in theirs.values()) == sum(not bars[start]["ranges"] for start in theirs) > 50


def test_a_live_capture_passes_with_all_foreign_frames_ignored(
    market_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture, out = market_data / "wire" / "kraken_live_20260707.ndjson.gz", tmp_path / "bars.parquet"

    status = main(["replay", "--venue", "kraken", "--symbol", "BTC-USD", "--bars", str(out), str(capture)], {})

    assert status == 0
    bars = pq.ParquetFile(out).read().to_pylist()
    assert sum(bar["trade_count"] for bar in bars) == 12
    assert (bars[0]["first_id"], bars[-1]["last_id"]) == (103436768, 103436779)
    told = capsys.readouterr().err
    assert "malformed" in told
    assert "2,964" in told


def test_two_days_of_binance_are_one_run_of_proven_bars_across_midnight(market_data: Path, tmp_path: Path) -> None:
    wire, out = market_data / "wire", tmp_path / "bars.parquet"
    captures = [str(wire / f"binance_spot_btcusdt_{day}.gz") for day in ("20240808", "20240809")]

    status = main(["replay", "--venue", "binance", "--symbol", "BTC-USDT", "--bars", str(out), *captures], {})

    assert status == 0
    bars = pq.ParquetFile(out).read().to_pylist()
    assert sum(bar["trade_count"] for bar in bars) == 19_904
    assert (bars[0]["first_id"], bars[-1]["last_id"]) == (3_735_683_259, 3_735_703_162)
    assert {bar["start"].day for bar in bars} == {8, 9}
    # The captures' edges cut the first and the last minute.
    assert [bar["complete"] and bar["closed"] for bar in bars] == [False, *[True] * (len(bars) - 2), False]


def test_a_minute_of_coinbase_passes_with_other_products_and_the_book_told_apart(
    market_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture, out = market_data / "wire" / "coinbase_live_20260707.ndjson.gz", tmp_path / "bars.parquet"

    status = main(["replay", "--venue", "coinbase", "--symbol", "BTC-USD", "--bars", str(out), str(capture)], {})

    assert status == 0
    bars = pq.ParquetFile(out).read().to_pylist()
    # 344 matches, and the one before them.
    assert sum(bar["trade_count"] for bar in bars) == 345
    assert len({bar["ranges"] for bar in bars}) == len(bars)
    told = capsys.readouterr().err
    assert "1,900" in told


def test_an_unknown_venue_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = tmp_path / "capture"
    capture.touch()

    status = main(["replay", "--venue", "mtgox", "--symbol", "BTC-USD", "--bars", "out", str(capture)], {})

    assert status == 1
    assert "mtgox" in capsys.readouterr().err


def _values(bar: dict[str, float]) -> tuple[float, ...]:
    return tuple(bar[name] for name in ("open", "high", "low", "close", "volume", "trade_count"))


def _told(row: list[str]) -> tuple[float, ...]:
    """Kraken's row: time, open, high, low, close, vwap, volume, count."""
    return (*(float(Decimal(value)) for value in [*row[1:5], row[6]]), int(row[7]))


@pytest.mark.parametrize(
    ("symbol", "content", "why"),
    [
        ("BANANA", b"x", "is no symbol of kraken"),
        ("", b"x", "is no symbol of kraken"),
        ("BTC-USD", b"", "nothing at all"),
        ("BTC-USD", b"not a frame", "1 malformed"),
        ("BTC-USD", b'{"error":["EQuery:Unknown asset pair"]}', "EQuery:Unknown asset pair"),
        ("BTC-USD", gzip.compress(b'{"channel":"heartbeat"}', mtime=0)[:-6], "cannot be read"),
        ("BTC-USD", b'{"channel":"heartbeat"}', "no trade of kraken:BTC-USD"),
    ],
)
def test_what_holds_no_trades_of_the_market_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], symbol: str, content: bytes, why: str
) -> None:
    capture, target = tmp_path / "capture", tmp_path / "bars.parquet"
    capture.write_bytes(content)
    status = main(["replay", "--venue", "kraken", "--symbol", symbol, str(capture), "--bars", str(target)])

    assert status == 1
    assert why in capsys.readouterr().err.replace("\n", "")
    assert not target.exists()


def test_a_place_that_cannot_be_written_is_told_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture, nowhere = tmp_path / "capture", tmp_path / "nowhere" / "bars.parquet"
    capture.write_bytes(b"x")

    assert main(["replay", "--venue", "kraken", "--symbol", "BTC-USD", str(capture), "--bars", str(nowhere)]) == 1
    assert "cannot be written" in capsys.readouterr().err
