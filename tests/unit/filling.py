"""fill_history in this process: moto's tables, a stream that keeps what it is given, and a death at a chosen call."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any
from unittest import mock

import pytest
from hypothesis import strategies as st

from btc import bars
from btc.aws import clients, folding
from btc.aws.state import StateTable
from btc.aws.tables import BarTable
from btc.bars import Bar
from btc.settings import FillHistory
from btc.tape import Watermark
from btc.times import FOREVER, HOUR
from btc.trades import Market, Trade, Trades
from functions.fill_history import sources
from functions.fill_history.__main__ import main
from tests.unit.dumping import BINANCE, MARCH, FileServer, tape
from tests.unit.ingesting import Sink

SETTINGS = FillHistory(stream="trades", bars_table="bars", state_table="state", retention_days=60, bytes_per_s=0)

BTC = Market("kraken", "BTC-USD")
EVENING = tape(150, HOUR, start=MARCH + 23 * HOUR)
"""Few minutes, for what goes through the tables."""
SPAN = ("--from", "2024-03-01", "--until", "2024-03-04")
KILLS = st.lists(st.tuples(st.integers(1, 60), st.booleans()), max_size=6)


class KilledError(BaseException):
    """What no handler catches, as SIGKILL."""


class Mortal:
    """A client whose process dies at the `calls`-th call from now: before it is made, or before its answer comes."""

    def __init__(self, client: Any, doom: "Doom") -> None:
        self._client, self._doom = client, doom

    def __getattr__(self, name: str) -> Any:
        return self._doom.around(getattr(self._client, name))


class Doom:
    def __init__(self, calls: int | None = None, *, answered: bool = False) -> None:
        self.calls, self.answered = calls, answered

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def mortal(**arguments: Any) -> Any:
            if self.calls is not None:
                self.calls -= 1
            if self.calls == 0 and not self.answered:
                raise KilledError
            answer = call(**arguments)
            if self.calls == 0:
                raise KilledError
            return answer

        return mortal


def fill(
    sink: Sink,
    *arguments: object,
    doom: Doom | None = None,
    block: int = 1 << 20,
    environment: Mapping[str, str] | None = None,
) -> int:
    """The command's exit status; raises KilledError where it was doomed. `block`: how much is read at once."""
    fate = doom or Doom()
    dynamodb = Mortal(clients.dynamodb(), fate)
    with (
        mock.patch.object(clients, "kinesis", return_value=Mortal(sink, fate)),
        mock.patch.object(clients, "dynamodb", return_value=dynamodb),
        mock.patch.object(sources, "BLOCK", block),
        mock.patch("signal.signal"),
    ):
        return main(
            [str(argument) for argument in arguments], SETTINGS.to_env() if environment is None else environment
        )


def made(sink: Sink) -> list[Bar]:
    """The bars that all records together make."""
    merged = reduce(bars.merge, sink.trades(), dict[int, Bar]())
    return list(bars.prove(merged, sink.marks()).values())


def folded(sink: Sink, market: Market) -> list[Bar]:
    """The bars once aggregate_bars has had every record since the last time, one delivery each."""
    table, state = BarTable("bars", clients.dynamodb()), StateTable("state", clients.dynamodb())
    entries, sink.entries = sink.entries, []
    for entry in entries:
        trades, marks = ([entry], []) if isinstance(entry, Trades) else ([], [entry])
        folding.fold(table, state, trades, marks, FOREVER)
    return stored(market)


def stored(market: Market) -> list[Bar]:
    return BarTable("bars", clients.dynamodb()).between(market, 0, FOREVER)


def forget() -> None:
    """Empty tables again."""
    for name, keys in (("bars", ("market", "start")), ("state", ("name",))):
        for item in clients.dynamodb().scan(TableName=name)["Items"]:
            clients.dynamodb().delete_item(TableName=name, Key={key: item[key] for key in keys})


def log(told: pytest.LogCaptureFixture) -> dict[str, dict[str, Any]]:
    """The last line of each message, with its figures."""
    return {record.getMessage(): vars(record) for record in told.records}


def dumps(server: FileServer, *options: object) -> tuple[object, ...]:
    return ("dumps", "--market", BINANCE, *SPAN, "--url", server.url, *options)


def truth(trades: list[Trade], until: int) -> list[Bar]:
    """What the trades make of the days whose end is `until`."""
    marks = [Watermark(BINANCE, until, trades[-1].trade_id)]
    return list(bars.prove(bars.merge({}, Trades.of(BINANCE, trades)), marks).values())
