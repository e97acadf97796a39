"""The past becomes the bars that its trades make, however often its fill is killed."""

import io
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from aws_lambda_powertools import Logger
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from btc.aws import clients
from btc.aws.state import StateTable
from btc.tape import Watermark, encode
from btc.times import DAY, day_of
from btc.trades import Trades
from functions.fill_history.arguments import parse
from functions.fill_history.progress import Progress
from tests.unit.aws import aws
from tests.unit.dumping import (
    BINANCE,
    MARCH,
    FileServer,
    daily_trades,
    published,
    serving_files,
    tape,
    trade_rows,
)
from tests.unit.filling import (
    EVENING,
    KILLS,
    SETTINGS,
    SPAN,
    Doom,
    KilledError,
    dumps,
    fill,
    forget,
    log,
    made,
    truth,
)
from tests.unit.ingesting import Sink

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]

TRADES = tape(600, 3 * DAY)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving_files(daily_trades(TRADES)) as running:
        yield running


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
