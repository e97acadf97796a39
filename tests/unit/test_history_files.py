"""Files of the past: what a row says, what is set aside with its line and its cause, and nothing guessed."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btc.bars import Bar, Source
from btc.feeds.binance_dumps import read_kline, read_trades
from btc.feeds.lines import Block, FileError, LineFile
from btc.feeds.minute_files import Minutes, Rows, epoch, read_minutes
from btc.history import Fault
from btc.times import DAY, MINUTE, SECOND, parse_iso
from btc.trades import Market, Trades
from tests.unit.dumping import BINANCE, MARCH, kline_rows, minutes, tape, trade_rows, zipped

BTC = Market("kraken", "BTC-USD")
TRADES = tape(300, DAY)


def block(rows: Sequence[str], first: int = 1) -> Block:
    return Block(first, "".join(f"{row}\n" for row in rows).encode())


def read(form: str, rows: Sequence[str], *, utc: bool = False, cut: int = 3) -> tuple[list[Bar], list[Fault]]:
    """Through blocks of `cut` rows."""
    blocks = (block(rows[first : first + cut], first + 1) for first in range(0, len(rows), cut))
    parts: list[Minutes] = list(read_minutes(form, BTC, blocks, utc=utc))
    assert parts[-1].rows == len(rows)
    return [bar for part in parts for bar in part.bars], [fault for part in parts for fault in part.faults]


@pytest.mark.parametrize("micros", [False, True])
def test_a_dumps_trades_are_the_trades_in_either_unit_of_time(micros: bool) -> None:
    assert read_trades(block(trade_rows(TRADES, micros=micros)), BINANCE) == (Trades.of(BINANCE, TRADES), [])


UNUSUAL = (
    "7,60000.5,1,60000.5,1709251200123,False,True",
    "7,60000.50000000,1.00000000,60000.50000000,1709251200123000,False,True",
    "7,60000,0.00000001,0.0006,1709251200123,True,True",
)


@pytest.mark.parametrize("row", UNUSUAL)
def test_a_row_written_otherwise_is_read_all_the_same(row: str) -> None:
    rows = trade_rows(TRADES)
    trades, faults = read_trades(block([*rows, row]), BINANCE)

    assert not faults
    assert trades.ids == [*(trade.trade_id for trade in TRADES), 7]
    assert trades.times[-1] == 1709251200123000
    assert trades.prices[-1] in (6_000_050_000_000, 6_000_000_000_000)


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ("id,price,qty,quote_qty,time,is_buyer_maker,is_best_match", "is no id or no time"),
        ("1,60000.00000000,0.10000000,6000.00000000,1709251200123,true,true", "does not tell who was the maker"),
        ("1,60000.00000000,0.10000000,6000.00000000,1709251200123,True", "6 columns, not 7"),
        ("1,60000.00000000,0.10000000,6000.00000000,1709251200123,True,True,1", "8 columns, not 7"),
        ("1,60000.000000001,0.10000000,6000.00000000,1709251200123,True,True", "finer than 1e-8"),
        ("1,60_000.00000000,0.10000000,6000.00000000,1709251200123,True,True", "not a finite decimal number"),
        ("1,-60000.00000000,0.10000000,6000.00000000,1709251200123,True,True", "above zero"),
        ("1,60000.00000000,0.00000000,6000.00000000,1709251200123,True,True", "above zero"),
        ("1,nan,0.10000000,6000.00000000,1709251200123,True,True", "not a finite decimal number"),
        ("-1,60000.00000000,0.10000000,6000.00000000,1709251200123,True,True", "is no id or no time"),
        ("1,60000.00000000,0.10000000,6000.00000000,17092512001230000000,True,True", "is no id or no time"),
        ("9223372036854775808,60000.00000000,0.10000000,6000.00000000,1709251200123,True,True", "is no id"),
        ("1,99999999999999.00000000,0.10000000,6000.00000000,1709251200123,True,True", "fit a record"),
        ("\u0661,60000.00000000,0.10000000,6000.00000000,1709251200123,True,True", ""),
        ("\x00\x01 not a row", "columns"),
    ],
)
def test_a_row_that_is_no_trade_is_set_aside_with_its_line_and_the_others_count(row: str, cause: str) -> None:
    rows = trade_rows(TRADES)
    trades, faults = read_trades(block([*rows[:5], row, *rows[5:]], first=11), BINANCE)

    assert trades == Trades.of(BINANCE, TRADES)
    assert [(fault.line, fault.text) for fault in faults] == [(16, row)]
    assert cause in faults[0].cause


@given(st.lists(st.text("0123456789.,-eTrueFals\n", max_size=60), max_size=8))
def test_the_quick_way_reads_what_the_careful_one_reads(rows: list[str]) -> None:
    mixed = [*trade_rows(TRADES[:2]), *rows, *trade_rows(TRADES[2:4])]
    whole = block(mixed)
    one_by_one = [read_trades(block([line], number), BINANCE) for number, line in whole.lines()]

    trades, faults = read_trades(whole, BINANCE)

    assert list(trades) == [trade for part, _ in one_by_one for trade in part]
    assert faults == [fault for _, part in one_by_one for fault in part]


@pytest.mark.parametrize("micros", [False, True])
def test_a_dumps_kline_is_the_bar_of_its_trades_but_for_the_ids(micros: bool) -> None:
    bars = minutes(TRADES)
    [part] = Rows(lambda line: read_kline(BINANCE, line)).of([block(kline_rows(bars, micros=micros))])

    names = ("start", "open", "high", "low", "close", "volume", "buy_volume", "trade_count")
    assert [[getattr(bar, name) for name in names] for bar in part.bars] == [
        [getattr(bar, name) for name in names] for bar in bars
    ]
    # The venue's sum has eight decimals; these amounts have no more.
    assert [bar.turnover for bar in part.bars] == [bar.turnover // 10**8 * 10**8 for bar in bars]
    assert {(bar.source, bar.closed, bar.complete, bar.ranges) for bar in part.bars} == {
        (Source.KLINES, True, False, ())
    }


def test_krakens_ohlcvt_tells_count_but_neither_turnover_nor_sides() -> None:
    bars, faults = read("kraken-ohlcvt", ["1381095240,122.0,122.5,121.9,122.1,0.1,2", "1381095360,123,123,123,123,5,1"])

    assert not faults
    assert [(bar.start, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trade_count) for bar in bars] == [
        (1381095240 * SECOND, 122 * 10**8, 12250 * 10**6, 12190 * 10**6, 12210 * 10**6, 10**7, 2),
        (1381095360 * SECOND, *[123 * 10**8] * 4, 5 * 10**8, 1),
    ]
    assert all(bar.source is Source.KLINES and bar.turnover is bar.buy_volume is None for bar in bars)


@given(st.integers(1, 400), st.integers(0, 3))
def test_time_and_sales_become_the_minutes_of_their_trades_wherever_blocks_end(cut: int, decimals: int) -> None:
    unit = 10 ** (6 - decimals)
    rows = [
        f"{trade.time // SECOND}{f'.{trade.time % SECOND // unit:0{decimals}d}' if decimals else ''},"
        f"{trade.price / 10**8},{trade.size / 10**8:.8f}"
        for trade in TRADES
    ]
    bars, faults = read("kraken-trades", rows, cut=cut)

    names = ("start", "open", "high", "low", "close", "volume", "turnover", "trade_count")
    assert not faults
    assert [[getattr(bar, name) for name in names] for bar in bars] == [
        [getattr(bar, name) for name in names] for bar in minutes(TRADES)
    ]
    assert {(bar.source, bar.buy_volume, bar.complete) for bar in bars} == {(Source.KLINES, None, False)}


def test_a_sale_before_the_minute_that_is_read_is_set_aside() -> None:
    bars, faults = read(
        "kraken-trades", ["1381095300,122,1", "1381095359.5,123,1", "1381095299,99,1", "1381095360,9,1"]
    )

    assert [(bar.low, bar.trade_count) for bar in bars] == [(122 * 10**8, 2), (9 * 10**8, 1)]
    assert [(fault.line, "before the minute" in fault.cause) for fault in faults] == [(3, True)]


@pytest.mark.parametrize("start", ["2024-03-01T00:00:00Z", "2024-03-01 01:00+01:00", "1709251200", "1709251200000000"])
def test_a_file_of_minutes_is_read_by_its_columns_names(start: str) -> None:
    header = '\ufeffSymbol,"Open",HIGH,low,close,Buy_Volume,volume,Timestamp,trade_count,turnover'
    [bar], faults = read("minutes", [header, f"x,100.5,102,100,101.25,0.5,1.5,{start},3,151.5000000000000001"])

    assert not faults
    assert bar == Bar(
        BTC,
        MARCH,
        10_050_000_000,
        10_200_000_000,
        10_000_000_000,
        10_125_000_000,
        volume=150_000_000,
        turnover=1_515_000_000_000_000_001,
        buy_volume=50_000_000,
        trade_count=3,
        closed=True,
        source=Source.KLINES,
    )


def test_what_a_file_does_not_tell_is_not_known() -> None:
    [bar, other], _ = read(
        "minutes",
        [
            "time,open,high,low,close,volume,trade_count",
            "1709251200000,1,1,1,1,0,",
            "1709251260000,1,1,1,1,2,2",
        ],
    )

    assert (bar.turnover, bar.buy_volume, bar.trade_count) == (None, None, None)
    assert other.trade_count == 2


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ("2024-03-01T00:01:00,1,1,1,1,1", "has no time zone"),
        ("2024-03-01T00:01:30Z,1,1,1,1,1", "no whole minute"),
        ("17092512600,1,1,1,1,1", "10 digits are seconds"),
        ("1709251260000000000,1,1,1,1,1", "10 digits are seconds"),
        ("yesterday,1,1,1,1,1", "Invalid isoformat"),
        ("1709251260,1,0.9,1,1,1", "between low and high"),
        ("1709251260,1,1,1.1,1,1", "between low and high"),
        ("1709251260,0,1,0,1,1", "not above zero"),
        ("1709251260,1,1,1,1,-1", "below zero"),
        ("1709251260,1,1,1,,1", "not a finite decimal number"),
        ("1709251260,1,1,1,1,0.30000000000000004", "finer than 1e-8"),
        ("1709251260,1,1,1,1", "5 columns where the header has 6"),
        ("1709251200,2,2,2,2,1", "comes again"),
        ("1709251140,1,1,1,1,1", "out of order"),
    ],
)
def test_a_row_that_is_no_minute_is_set_aside_with_its_line_and_its_cause(row: str, cause: str) -> None:
    good = [f"{1709251200 + 60 * minute},1,1,1,1,1" for minute in (-2, 0, 2)]
    bars, faults = read("minutes", ["start,open,high,low,close,volume", *good[:2], row, good[2]])

    assert [bar.start for bar in bars] == [MARCH - 2 * MINUTE, MARCH, MARCH + 2 * MINUTE]
    assert [(fault.line, fault.text) for fault in faults] == [(4, row)]
    assert cause in faults[0].cause


def test_times_without_a_zone_are_utc_only_where_that_is_said() -> None:
    rows = ["time,open,high,low,close,volume", "2024-03-01 00:00:00,1,1,1,1,1"]

    assert [bar.start for bar in read("minutes", rows, utc=True)[0]] == [MARCH]
    assert not read("minutes", rows)[0]


def test_minutes_may_come_newest_first() -> None:
    rows = [f"{1709251200 - 60 * minute},1,1,1,1,1" for minute in range(50)]
    bars, faults = read("minutes", ["time,open,high,low,close,volume", *rows])

    assert (len(bars), faults) == (50, [])


@pytest.mark.parametrize("step", [5, 60])
def test_longer_bars_are_not_taken_for_minutes(step: int) -> None:
    rows = [f"{1709251200 + 60 * step * row},1,1,1,1,1,1" for row in range(40)]

    with pytest.raises(FileError, match=f"{step} minutes apart"):
        read("kraken-ohlcvt", rows, cut=100)


@pytest.mark.parametrize(
    ("header", "cause"),
    [
        ("time,open,high,low,close", "volume absent"),
        ("1709251200,1,2,3,4,5", "open, high, low, close, volume absent"),
        ("open,high,low,close,volume", "one of start, time, timestamp is needed"),
        ("time,start,open,high,low,close,volume", "one of start, time, timestamp is needed"),
        ("time,open,high,low,close,volume,Volume", "volume twice"),
    ],
)
def test_a_header_must_name_each_column_once(header: str, cause: str) -> None:
    with pytest.raises(FileError, match=cause):
        read("minutes", [header])


def test_an_empty_file_is_no_file_of_minutes() -> None:
    with pytest.raises(FileError, match="empty"):
        list(read_minutes("minutes", BTC, iter(()), utc=False))


@given(st.lists(st.text("ab,é", max_size=12), max_size=30), st.integers(1, 40), st.sampled_from(["", "\n"]))
def test_every_line_comes_once_with_its_number_however_the_file_is_packed_and_cut(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str], size: int, end: str
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    text = "\r\n".join(rows) + end
    told = [(number, row) for number, row in enumerate(rows, 1) if row]
    for name, content in {
        "plain.csv": text.encode(),
        "packed.csv.gz": gzip.compress(text.encode()),
        "packed.zip": zipped("x.csv", [*rows]),
    }.items():
        (folder / name).write_bytes(content)
        file = LineFile(folder / name)
        assert [line for part in file.blocks(size) for line in part.lines()] == told
        assert file.share == 1.0


def test_however_long_a_file_is_little_of_it_is_held_at_once(tmp_path: Path) -> None:
    (tmp_path / "long.zip").write_bytes(zipped("x.csv", ["1,2,3"] * 1_000_000))

    assert max(len(part.data) for part in LineFile(tmp_path / "long.zip").blocks(10_000)) <= 10_006


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.csv.gz", gzip.compress(b"1,2,3\n" * 1000, mtime=0)[:-9]),
        ("damaged.zip", zipped("x.csv", ["1,2,3"] * 1000).replace(b"x.csv", b"y.csv", 1)),
        ("endless", b"\x00" * (3 << 20)),
        ("absent", None),
    ],
    ids=["cut", "damaged", "endless", "absent"],
)
def test_a_file_that_cannot_be_read_to_its_end_is_told_by_name(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises((FileError, OSError), match=name):
        list(LineFile(tmp_path / name).blocks())


def test_a_time_is_told_by_its_digits() -> None:
    assert epoch("1709251200") == epoch("1709251200000") == epoch("1709251200000000") == parse_iso("2024-03-01T00Z")
