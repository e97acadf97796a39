"""The past becomes the bars that its trades make, however often its fill is killed; klines stand in and give way."""

import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools import Logger
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from btc import bars
from btc.aws import clients
from btc.aws.state import StateTable
from btc.bars import Bar, Source
from btc.tape import Watermark, encode
from btc.times import DAY, HOUR, MINUTE, SECOND, date, day_of, iso, to_datetime
from btc.trades import Market, Trade, Trades
from functions.fill_history.arguments import parse
from functions.fill_history.progress import Progress
from tests.unit.aws import aws, fold
from tests.unit.dumping import (
    BINANCE,
    MARCH,
    FileServer,
    daily_trades,
    fixed,
    kline_rows,
    minutes,
    published,
    serving_files,
    tape,
    trade_rows,
)
from tests.unit.filling import SETTINGS, Doom, KilledError, fill, folded, forget, log, made, stored
from tests.unit.ingesting import Sink
from tests.unit.rest_server import Server, serving

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]

BTC = Market("kraken", "BTC-USD")
TRADES = tape(600, 3 * DAY)
EVENING = tape(150, HOUR, start=MARCH + 23 * HOUR)
"""Few minutes, for what goes through the tables."""
SPAN = ("--from", "2024-03-01", "--until", "2024-03-04")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving_files(daily_trades(TRADES)) as running:
        yield running


def dumps(server: FileServer, *options: object) -> tuple[object, ...]:
    return ("dumps", "--market", BINANCE, *SPAN, "--url", server.url, *options)


def truth(trades: list[Trade], until: int) -> list[Bar]:
    """What the trades make of the days whose end is `until`."""
    marks = [Watermark(BINANCE, until, trades[-1].trade_id)]
    return list(bars.prove(bars.merge({}, Trades.of(BINANCE, trades)), marks).values())


def test_the_bars_of_a_dump_are_those_of_its_trades_all_closed_and_proven_but_the_first(server: FileServer) -> None:
    sink = Sink()
    assert fill(sink, *dumps(server), block=2000) == 0

    result = made(sink)
    assert result == truth(TRADES, MARCH + 3 * DAY)
    assert all(bar.closed for bar in result)
    # Nobody knows what lay before the first trade.
    assert [bar.complete for bar in result] == [False, *[True] * (len(result) - 1)]


def test_watermarks_follow_the_trades_they_speak_of(server: FileServer) -> None:
    sink = Sink()
    fill(sink, *dumps(server), block=2000)

    sent, marked = 0, 0
    for entry in sink.entries:
        if isinstance(entry, Trades):
            sent = max(sent, entry.ids[-1])
            continue
        by_then = [
            trade.trade_id
            for trade in TRADES
            if trade.time < entry.time or (trade.time % DAY and trade.time <= entry.time)
        ]
        assert entry.last_id == by_then[-1] <= sent
        assert entry.time > marked
        marked = entry.time
    assert marked == MARCH + 3 * DAY


@pytest.mark.parametrize(("alive", "claims"), [(-1, False), (0, True), (DAY, True)])
def test_no_watermark_leaps_over_what_the_live_feed_has_still_to_fetch(
    server: FileServer, alive: int, claims: bool
) -> None:
    state = StateTable("state", clients.dynamodb())
    state.advance(Watermark(BINANCE, MARCH + alive, 1), MARCH + alive)
    sink = Sink()

    assert fill(sink, *dumps(server)) == 0
    assert bool(sink.marks()) == claims
    assert sum(len(entry) for entry in sink.trades()) == len(TRADES)


def test_times_in_microseconds_from_2025_on_are_told_apart_by_their_digits() -> None:
    trades = [trade._replace(time=trade.time + 366 * DAY + 7) for trade in TRADES]
    sink = Sink()
    with serving_files(daily_trades(trades, micros=True)) as server:
        span = ("--from", "2025-03-02", "--until", "2025-03-05")
        assert fill(sink, "dumps", "--market", BINANCE, *span, "--url", server.url) == 0

    assert made(sink) == truth(trades, MARCH + 369 * DAY)


KILLS = st.lists(st.tuples(st.integers(1, 60), st.booleans()), max_size=6)


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(KILLS, st.integers(2_000, 40_000))
def test_a_fill_that_is_killed_at_any_moment_goes_on_and_leaves_the_same_bars(
    server: FileServer, kills: list[tuple[int, bool]], block: int
) -> None:
    forget()
    sink, command = Sink(), dumps(server)
    for calls, answered in kills:
        with suppress(KilledError):
            fill(sink, *command, doom=Doom(calls, answered=answered), block=block)
    assert fill(sink, *command, block=block) == 0

    assert made(sink) == truth(TRADES, MARCH + 3 * DAY)


def test_what_was_done_before_a_kill_is_not_done_again(server: FileServer, caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink()
    with suppress(KilledError):
        # Each block is trades, their watermark, and the cursor behind them.
        fill(sink, *dumps(server), doom=Doom(3 * 40), block=1000)
    before = sum(len(entry) for entry in sink.trades())
    server.asked.clear()
    fill(sink, *dumps(server), block=1000)

    assert 300 < before < 600
    assert log(caplog)["going on"]["fill"] == f"{BINANCE}:dumps:trades:2024-03-01T00:00:00Z/2024-03-04T00:00:00Z"
    # One block at most came twice, and files that were done were not fetched.
    assert sum(len(entry) for entry in sink.trades()) < 600 + 20
    assert not any("2024-03-01" in path for path in server.asked)


def test_a_fill_that_is_done_is_not_done_again_unless_that_is_asked_for(server: FileServer) -> None:
    sink = Sink()
    for options, rounds in (((), 1), ((), 1), (("--again",), 2)):
        assert fill(sink, *dumps(server, *options)) == 0
        assert sum(len(entry) for entry in sink.trades()) == rounds * len(TRADES)


def test_a_file_issued_anew_amid_its_fill_is_begun_again(server: FileServer, caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink()
    with suppress(KilledError):
        fill(sink, *dumps(server), doom=Doom(20), block=1000)
    first, *others = [trade for trade in TRADES if trade.time < MARCH + DAY]
    path = "data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2024-03-01.zip"
    server.files |= published(path, trade_rows([first._replace(size=first.size + 1), *others]))
    fill(sink, *dumps(server), block=1000)

    assert "issued anew since, begun again" in log(caplog)
    assert sum(len(entry) for entry in sink.trades()) > 600


def test_a_damaged_file_ends_the_fill_before_any_of_it_is_used(
    server: FileServer, caplog: pytest.LogCaptureFixture
) -> None:
    good = dict(server.files)
    path = "data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2024-03-02.zip"
    server.files[path] = server.files[path][:-1] + b"!"
    sink = Sink()

    assert fill(sink, *dumps(server)) == 1
    assert "BTCUSDT-trades-2024-03-02.zip is damaged, or issued anew" in log(caplog)["stopped"]["cause"]
    assert max(entry.times[-1] for entry in sink.trades()) < MARCH + DAY

    server.files = good
    assert fill(sink, *dumps(server)) == 0
    assert made(sink) == truth(TRADES, MARCH + 3 * DAY)


def test_a_day_that_is_not_published_is_told_and_its_minutes_stay_unproven(
    server: FileServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.files = {path: body for path, body in server.files.items() if "2024-03-02" not in path}
    sink = Sink()

    assert fill(sink, *dumps(server), block=2000) == 0
    told = log(caplog)
    absent = [trade for trade in TRADES if day_of(trade.time) == MARCH + DAY]
    assert told["not published"]["file"] == "BTCUSDT-trades-2024-03-02.zip"
    assert told["filled"]["missing"] == len(absent)
    result = made(sink)
    assert not [bar for bar in result if day_of(bar.start) == MARCH + DAY]
    assert not next(bar for bar in result if bar.start >= MARCH + 2 * DAY).complete


def test_a_day_published_since_is_filled_by_the_same_command(server: FileServer) -> None:
    whole = dict(server.files)
    server.files = {path: body for path, body in whole.items() if "2024-03-02" not in path}
    sink = Sink()
    fill(sink, *dumps(server))
    server.files = whole
    fill(sink, *dumps(server))
    assert made(sink) == truth(TRADES, MARCH + 3 * DAY)

    server.asked.clear()
    assert fill(sink, *dumps(server)) == 0
    assert not server.asked


def test_rows_that_cannot_be_read_are_told_and_missed_by_the_bars(
    server: FileServer, caplog: pytest.LogCaptureFixture
) -> None:
    path = "data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2024-03-02.zip"
    rows = trade_rows(trade for trade in TRADES if day_of(trade.time) == MARCH + DAY)
    rows[100] = rows[100].replace(",True,True", ",yes,True").replace(",False,True", ",yes,True")
    server.files |= published(path, rows)
    sink = Sink()

    assert fill(sink, *dumps(server), block=2000) == 0
    told = log(caplog)
    assert (told["set aside"]["line"], told["filled"]["set aside"], told["filled"]["missing"]) == (101, 1, 1)
    assert sum(not bar.complete for bar in made(sink)) == 1 + 2

    assert fill(sink, *dumps(server, "--strict", "--again")) == 1
    assert log(caplog)["stopped"]["cause"].startswith("line 101 ")


@pytest.mark.parametrize("calls", range(3, 10))
def test_a_dump_out_of_order_loses_nothing_and_misses_nothing(calls: int, caplog: pytest.LogCaptureFixture) -> None:
    shuffled = [*EVENING[:20], *EVENING[60:63], *EVENING[20:60], *EVENING[63:]]
    sink = Sink()
    with serving_files(daily_trades(shuffled)) as server:
        command = ("dumps", "--market", BINANCE, *SPAN[:3], "2024-03-02", "--url", server.url)
        with suppress(KilledError):
            fill(sink, *command, doom=Doom(calls), block=3000)
        assert fill(sink, *command, block=3000) == 0

    assert made(sink) == truth(EVENING, MARCH + DAY)
    assert "missing" not in log(caplog)["filled"]


def test_the_stream_is_left_room_for_live_trades(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.filling.SETTINGS", replace(SETTINGS, bytes_per_s=20_000))
    sink, began = Sink(), time.monotonic()
    fill(sink, *dumps(server))

    sent = sum(len(encode(entry)) for entry in sink.entries)
    assert time.monotonic() - began >= sent / 20_000 > 0.3


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


KRAKEN = [trade._replace(market=BTC) for trade in EVENING]


def kraken(trades: list[Trade], most: int = 50) -> Callable[[str, dict[str, str]], Any]:
    """Kraken's REST history of these trades, in pages of `most`."""

    def well(path: str, query: dict[str, str]) -> Any:
        if path.endswith("/Time"):
            return {"error": [], "result": {"unixtime": trades[-1].time // SECOND + 1}}
        page = [trade for trade in trades if trade.time * 1000 > int(query["since"])][:most]
        rows = [
            [
                f"{t.price / 1e8:.5f}",
                f"{t.size / 1e8:.8f}",
                t.time / 1e6,
                "b" if t.taker_buys else "s",
                "m",
                "",
                t.trade_id,
            ]
            for t in page
        ]
        last = page[-1].time * 1000 if page else int(query["since"])
        return {"error": [], "result": {"XXBTZUSD": rows, "last": str(last)}}

    return well


@pytest.fixture
def venue() -> Iterator[Server]:
    with serving(kraken(KRAKEN)) as running:
        yield running


def rest(venue: Server, *options: object) -> tuple[object, ...]:
    return ("rest", "--market", BTC, "--from", "2024-03-01", "--url", venue.url, *options)


def test_rest_history_joins_the_bars_that_are_there(venue: Server) -> None:
    live = KRAKEN[100:]
    fold(live, Watermark(BTC, live[-1].time, live[-1].trade_id))
    sink = Sink()

    assert fill(sink, *rest(venue)) == 0

    # Not past the minute in which the bars began.
    assert max(entry.times[-1] for entry in sink.trades()) < minutes(live)[0].end
    result = folded(sink, BTC)
    assert [bar.complete for bar in result] == [False, *[True] * (len(result) - 2), False]
    assert sum(bar.trade_count or 0 for bar in result) == len(KRAKEN)


def test_rest_history_ends_where_it_is_told_to_with_the_minute_before_closed(venue: Server) -> None:
    sink, until = Sink(), MARCH + 23 * HOUR + 30 * MINUTE
    assert fill(sink, *rest(venue, "--until", "2024-03-01T23:30:00Z")) == 0

    early = [trade for trade in KRAKEN if trade.time < until]
    marks = [Watermark(BTC, until, early[-1].trade_id)]
    assert folded(sink, BTC) == list(bars.prove(bars.merge({}, Trades.of(BTC, early)), marks).values())


@settings(deadline=None, max_examples=4, suppress_health_check=list(HealthCheck))
@given(KILLS)
def test_rest_history_killed_at_any_moment_goes_on_to_where_the_bars_began_at_first(
    venue: Server, kills: list[tuple[int, bool]]
) -> None:
    forget()
    live = KRAKEN[100:]
    fold(live)
    sink = Sink()
    for calls, answered in kills[:2]:
        with suppress(KilledError):
            fill(sink, *rest(venue), doom=Doom(calls, answered=answered))
        # By the next start the bars begin where this one began.
        folded(sink, BTC)
    assert fill(sink, *rest(venue)) == 0

    result = folded(sink, BTC)
    assert sum(bar.trade_count or 0 for bar in result) == len(KRAKEN)
    assert [bar.complete for bar in result[:-1]] == [False, *[True] * (len(result) - 2)]


def binance(path: str, query: dict[str, str]) -> Any:
    """Binance's REST history of the same trades."""
    if path == "/api/v3/aggTrades":
        return [{"f": next(t.trade_id for t in EVENING if t.time // 1000 >= int(query["startTime"]))}]
    page = [trade for trade in EVENING if trade.trade_id >= int(query["fromId"])][:40]
    return [
        {
            "id": trade.trade_id,
            "price": fixed(trade.price),
            "qty": fixed(trade.size),
            "time": trade.time,
            "isBuyerMaker": not trade.taker_buys,
        }
        for trade in page
    ]


def coinbase(path: str, query: dict[str, str]) -> Any:
    """Coinbase's, newest first and by the maker's side."""
    page = [trade for trade in EVENING if trade.trade_id < int(query.get("after", "99999999"))]
    return [
        {
            "trade_id": trade.trade_id,
            "price": fixed(trade.price),
            "size": fixed(trade.size),
            "time": iso(trade.time),
            "side": "sell" if trade.taker_buys else "buy",
        }
        for trade in page[::-1][: int(query["limit"])]
    ]


@pytest.mark.parametrize(
    ("venue", "symbol", "well"), [("binance", "BTC-USDT", binance), ("coinbase", "BTC-USD", coinbase)]
)
def test_every_venues_own_history_will_do(venue: str, symbol: str, well: Callable[[str, dict[str, str]], Any]) -> None:
    market, sink = Market(venue, symbol), Sink()
    until = ("--until", "2024-03-02")
    with serving(well) as server:
        assert fill(sink, "rest", "--market", market, "--from", "2024-03-01", *until, "--url", server.url) == 0

    assert made(sink)[:50] == [replace(bar, market=market) for bar in truth(EVENING, MARCH + DAY)[:50]]


def test_a_market_goes_by_its_one_name(caplog: pytest.LogCaptureFixture) -> None:
    span = ("--from", "2024-03-01", "--until", "2024-03-02")

    assert fill(Sink(), "dumps", "--market", "binance:BTCUSDT", *span) == 1
    assert "symbols are written like BTC-USDT, not BTCUSDT" in log(caplog)["stopped"]["cause"]


def test_a_venue_that_throttles_is_waited_for(venue: Server) -> None:
    venue.script = [(200, {}, {"error": ["EGeneral:Too many requests"]}), (429, {}, b""), (503, {}, b"")]
    sink = Sink()

    assert fill(sink, *rest(venue)) == 0
    assert sum(bar.trade_count or 0 for bar in folded(sink, BTC)) == len(KRAKEN)


def test_a_venue_that_refuses_ends_the_fill_in_its_own_words(venue: Server, caplog: pytest.LogCaptureFixture) -> None:
    venue.script = [(200, {}, {"error": ["EQuery:Unknown asset pair"]})]

    assert fill(Sink(), *rest(venue, "--until", "2024-03-02")) == 1
    assert "EQuery:Unknown asset pair" in log(caplog)["stopped"]["cause"]


def test_a_deployed_stack_tells_where_to_write(server: FileServer, caplog: pytest.LogCaptureFixture) -> None:
    clients.cloudformation.cache_clear()
    told = " ".join(f"{name}={value}" for name, value in SETTINGS.to_env().items())
    for name, outputs in (("Deployed", {"FillHistoryEnvironment": {"Value": told}}), ("Older", {})):
        template = {"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}}, "Outputs": outputs}
        clients.cloudformation().create_stack(StackName=name, TemplateBody=json.dumps(template))
    sink = Sink()

    assert fill(sink, *dumps(server, "--stack", "Deployed"), environment={}) == 0
    assert made(sink) == truth(TRADES, MARCH + 3 * DAY)

    for options, cause in (
        (("--stack", "Older"), "has no output FillHistoryEnvironment"),
        (("--stack", "Nowhere"), "no stack 'Nowhere' in this account and region"),
        ((), "STREAM is not set"),
    ):
        assert fill(sink, *dumps(server, *options), environment={}) == 1
        assert cause in log(caplog)["stopped"]["cause"]


def test_what_aws_refuses_is_told_in_one_line(server: FileServer, caplog: pytest.LogCaptureFixture) -> None:
    clients.dynamodb().delete_table(TableName="state")

    assert fill(Sink(), *dumps(server)) == 1
    assert "ResourceNotFoundException" in log(caplog)["AWS refuses"]["cause"]


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ("dumps --market kraken:BTC-USD --from 2024-03-01 --until 2024-03-02", "the dumps are Binance's"),
        ("dumps --market binance:BTC-USDT --from 2024-03-01T00:00:00Z --until 2024-03-02", "is no day"),
        ("dumps --market binance:BTC-USDT --from 2024-03-02 --until 2024-03-02", "--until must lie behind --from"),
        ("rest --market BTC --from 2024-03-01", "names no market"),
        ("rest --market kraken:BTC-USD --from 2024-13-01", "is no time"),
        ("rest --market kraken:BTC-USD --from 2024-03-01T00:00:00", "has no time zone"),
        ("rest --market kraken:BTC-USD", "required: --from"),
        ("files --market kraken:BTC-USD --format xlsx x.csv", "invalid choice"),
        ("", "required: command"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_starts(
    arguments: str, cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments.split())

    assert ended.value.code == 2
    assert cause in capsys.readouterr().err


def test_progress_is_one_line_on_a_terminal_and_structured_lines_elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    terminal = io.StringIO()
    for place in (terminal, None):
        progress = Progress("fill", Logger(service="test"), place, clock=iter((100.0, 110.0, 120.0)).__next__)
        progress.begin(0.2)
        progress.tick(5_000, 0.3)
        progress.tick(5_000, 0.4)
        progress.end()

    begin = "\r\x1b[K"
    assert terminal.getvalue().split(begin) == [
        "",
        "fill   30.0 %  5,000 rows, 500/s, 70 s left",
        "fill   40.0 %  10,000 rows, 500/s, 60 s left",
        "",
    ]
    told = log(caplog)["filling"]
    assert (told["done_percent"], told["rows"], told["rows_per_s"], told["left_s"]) == (40.0, 10_000, 500, 60)
