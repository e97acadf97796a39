"""A venue's REST history joins the bars that are there, however often its fill is killed."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings

from btc import bars
from btc.bars import Bar
from btc.tape import Watermark
from btc.times import DAY, HOUR, MINUTE, SECOND, iso
from btc.trades import Market, Trade, Trades
from tests.unit.aws import aws, fold
from tests.unit.dumping import (
    MARCH,
    fixed,
    minutes,
)
from tests.unit.filling import BTC, EVENING, KILLS, Doom, KilledError, fill, folded, forget, log, made, truth
from tests.unit.ingesting import Sink
from tests.unit.rest_server import Server, serving

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]


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


HOLE = ("--from", iso(KRAKEN[39].time // MINUTE * MINUTE), "--until", iso(KRAKEN[110].time // MINUTE * MINUTE + MINUTE))
"""What an operator tells of it: the alarm on bars that stay unproven says so."""


def test_a_hole_in_the_middle_is_filled_by_the_command_that_its_alarm_names_and_by_none_without_an_end(
    venue: Server,
) -> None:
    fold([*KRAKEN[:40], *KRAKEN[110:]], Watermark(BTC, KRAKEN[-1].time, KRAKEN[-1].trade_id))
    sink = Sink()

    def command(*span: str) -> list[Bar]:
        assert fill(sink, "rest", "--market", BTC, *span, "--url", venue.url) == 0
        return folded(sink, BTC)

    assert not all(bar.complete for bar in command(*HOLE[:2])[1:-1]), "it ends with the bar before the hole"
    assert all(bar.complete for bar in command(*HOLE)[1:-1])
    assert sum(bar.trade_count or 0 for bar in folded(sink, BTC)) == len(KRAKEN)


@settings(deadline=None, max_examples=4, suppress_health_check=list(HealthCheck))
@given(KILLS)
@example([(4, True)])
@example([(5, True)])  # the first trades are sent, and no more is known of them
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
