"""Klines and files of minutes stand in where nobody has the trades, and give way to them."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from btc.aws import clients
from btc.bars import Bar, Source
from btc.tape import Watermark
from btc.times import DAY, MINUTE, SECOND, date, day_of, to_datetime
from tests.unit.aws import aws, fold
from tests.unit.dumping import (
    BINANCE,
    MARCH,
    FileServer,
    daily_trades,
    kline_rows,
    minutes,
    published,
    serving_files,
)
from tests.unit.filling import BTC, EVENING, KILLS, Doom, KilledError, dumps, fill, folded, forget, log, stored, truth
from tests.unit.ingesting import Sink

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]


def klines_of(told: list[Bar]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for day in sorted({day_of(bar.start) for bar in told}):
        path = f"data/spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-{date(day)}.zip"
        files |= published(path, kline_rows(bar for bar in told if day_of(bar.start) == day))
    return files


@pytest.fixture
def klines() -> Iterator[FileServer]:
    with serving_files(klines_of(minutes(EVENING))) as running:
        yield running


def test_klines_stand_in_where_nobody_has_the_trades_and_never_over_them(klines: FileServer) -> None:
    fold(EVENING[50:80], Watermark(BINANCE, EVENING[79].time, EVENING[79].trade_id))
    traded = stored(BINANCE)

    assert fill(Sink(), *dumps(klines, "--kind", "klines")) == 0

    held = {bar.start: bar for bar in stored(BINANCE)}
    assert [held[bar.start] for bar in traded] == traded
    assert {bar.source for bar in held.values() if bar not in traded} == {Source.KLINES}
    assert held.keys() == {bar.start for bar in [*minutes(EVENING), *traded]}
    assert not any(bar.complete for bar in held.values() if bar.source is Source.KLINES)


def test_klines_give_way_to_the_trades_of_their_minutes(klines: FileServer) -> None:
    sink = Sink()
    klines.files |= daily_trades(EVENING)
    fill(sink, *dumps(klines, "--kind", "klines"))
    fill(sink, *dumps(klines))

    assert folded(sink, BINANCE) == truth(EVENING, MARCH + DAY)


def test_the_same_klines_again_change_nothing_and_newer_ones_replace_them(klines: FileServer) -> None:
    def items() -> list[dict[str, Any]]:
        return sorted(clients.dynamodb().scan(TableName="bars")["Items"], key=lambda item: item["start"]["S"])

    command = dumps(klines, "--kind", "klines", "--again")
    fill(Sink(), *command)
    before = items()
    fill(Sink(), *command)
    assert items() == before

    klines.files = klines_of(minutes([trade._replace(size=2) for trade in EVENING]))
    fill(Sink(), *command)
    assert all(bar.volume == 2 * (bar.trade_count or 0) for bar in stored(BINANCE))


@settings(deadline=None, max_examples=6, suppress_health_check=list(HealthCheck))
@given(KILLS)
def test_klines_killed_at_any_moment_are_all_there_in_the_end(
    klines: FileServer, kills: list[tuple[int, bool]]
) -> None:
    forget()
    command = dumps(klines, "--kind", "klines")
    for calls, answered in kills:
        with suppress(KilledError):
            fill(Sink(), *command, doom=Doom(10 * calls, answered=answered))
    assert fill(Sink(), *command) == 0

    assert {bar.start for bar in stored(BINANCE)} == {bar.start for bar in minutes(EVENING)}


def files_of(form: str, folder: Path, rows: list[str]) -> tuple[str, ...]:
    path = folder / f"{form}.csv"
    path.write_text("".join(f"{row}\n" for row in rows))
    return ("files", "--market", str(BTC), "--format", form, str(path))


def test_krakens_time_and_sales_become_klines(tmp_path: Path) -> None:
    rows = [f"{t.time // SECOND}.{t.time % SECOND:06d},{t.price / 1e8:.5f},{t.size / 1e8:.8f}" for t in EVENING]
    sink = Sink()

    assert fill(sink, *files_of("kraken-trades", tmp_path, rows)) == 0

    result = stored(BTC)
    assert not sink.entries
    assert [(bar.start, bar.open, bar.close, bar.volume, bar.trade_count) for bar in result] == [
        (bar.start, bar.open, bar.close, bar.volume, bar.trade_count) for bar in minutes(EVENING)
    ]
    assert {bar.source for bar in result} == {Source.KLINES}


def test_rows_of_a_file_are_chosen_by_their_time_and_none_that_is_not_over(tmp_path: Path) -> None:
    starts = [MARCH // SECOND, MARCH // SECOND + 60, MARCH // SECOND + 120, 4_000_000_000 // 60 * 60]
    command = files_of("kraken-ohlcvt", tmp_path, [f"{start},1,1,1,1,1,1" for start in starts])

    fill(Sink(), *command, "--from", "2024-03-01T00:01:00Z", "--until", "2024-03-01T00:02:00Z")
    assert [bar.start for bar in stored(BTC)] == [MARCH + MINUTE]
    fill(Sink(), *command)
    assert [bar.start for bar in stored(BTC)] == [MARCH, MARCH + MINUTE, MARCH + 2 * MINUTE]


def test_a_file_of_minutes_is_filled_but_for_its_bad_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = ["start,open,high,low,close,volume"]
    rows += [f"{to_datetime(MARCH) + timedelta(minutes=row):%Y-%m-%dT%H:%M:%SZ},1,2,1,2,3" for row in range(100)]
    rows[50] = "n/a"
    command = files_of("minutes", tmp_path, rows)

    assert fill(Sink(), *command) == 0
    told = log(caplog)
    assert len(stored(BTC)) == 99
    assert (told["set aside"]["line"], told["filled"]["bars"], told["filled"]["set aside"]) == (51, 99, 1)

    assert fill(Sink(), *command, "--strict", "--again") == 1
    assert log(caplog)["stopped"]["cause"] == "line 51 'n/a': 1 columns where the header has 6"


def test_a_file_that_has_grown_is_another(tmp_path: Path) -> None:
    rows = [f"{MARCH // SECOND + 60 * minute},1,1,1,1,1,1" for minute in range(3)]
    for count in (1, 1, 3):
        assert fill(Sink(), *files_of("kraken-ohlcvt", tmp_path, rows[:count])) == 0
        assert len(stored(BTC)) == count


def test_a_file_may_lie_at_an_address(tmp_path: Path) -> None:
    with serving_files({"XBTUSD_1.csv": f"{MARCH // SECOND},1,1,1,1,1,1\n".encode()}) as server:
        address = f"{server.url}/XBTUSD_1.csv?signature=x"
        assert fill(Sink(), "files", "--market", BTC, "--format", "kraken-ohlcvt", address) == 0

    assert [bar.start for bar in stored(BTC)] == [MARCH]


def test_a_file_without_one_row_that_reads_is_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert fill(Sink(), *files_of("kraken-ohlcvt", tmp_path, ["time,open,high,low,close,volume,trades"])) == 1
    assert "not one row" in log(caplog)["stopped"]["cause"]
