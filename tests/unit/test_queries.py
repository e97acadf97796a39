"""The named queries answer what the trades say: run over the lake that the functions wrote, in DuckDB."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest
import sqlglot
from sqlglot import exp

from btc import lake, parquet
from btc.aws import clients
from btc.aws.tables import BarTable, bar_item
from btc.bars import Bar, Source
from btc.lake import TABLES
from btc.settings import AggregateBars, ArchiveBars, ArchiveForecasts, ArchiveTrades
from btc.tape import Watermark
from btc.times import DAY, HOUR, MINUTE, SECOND, date, day_of, iso, minute_of, to_datetime
from btc.trades import Market, Trade, Trades
from btc.units import from_units
from tests.unit.aws import CONTEXT, aws, kinesis_event, load
from tests.unit.market import BTC, NOON
from tests.unit.test_archive_forecasts import key, say, score

__all__ = ["aws"]
QUERIES = Path(__file__).parents[2] / "cdk" / "queries"
COINBASE = Market("coinbase", "BTC-USD")
TODAY = day_of(NOON)
NOW = TODAY + 3 * HOUR + 30 * SECOND


def tape(market: Market, first_id: int, start: int, steps: list[int]) -> list[Trade]:
    """Trades whose prices, sizes and sides all differ in some way, at these minutes after `start`."""
    return [
        Trade(
            market,
            first_id + row,
            start + minute * MINUTE + row * SECOND,
            6_000_000_000_001 + (row * 7919) % 1000 * 10**7,
            10**7 + row * 12_345,
            row % 3 == 0,
        )
        for row, minute in enumerate(steps)
    ]


TAPES = {
    # Two hours; then nothing that is known for a day and a half; then all from the last minute before midnight on.
    BTC: [
        *tape(BTC, 100, TODAY - 3 * DAY + 22 * HOUR, [0, 0, 1, 3, 3, 60, 119]),
        *tape(BTC, 200, TODAY, [-1, 3, 3, 20, 125, 176, 178, 180]),
    ],
    COINBASE: tape(COINBASE, 5000, TODAY + HOUR, [0, 1, 2, 2, 4, 5, 30]),
}
LOST = {5003}
"""Trades that never came, so that their minutes cannot be proven."""
KLINE = Bar(
    Market("binance", "BTC-USDT"),
    TODAY + HOUR,
    *(61 * 10**11, 62 * 10**11, 60 * 10**11, 61 * 10**11),
    5 * 10**8,
    None,
    None,
    None,
    closed=True,
    source=Source.KLINES,
)


@dataclass(frozen=True)
class Athena:
    """The lake's tables in a folder of hive partitions, asked in Athena's dialect at a time of our choosing."""

    database: Any

    def rows(self, query: str) -> list[dict[str, Any]]:
        tree = sqlglot.parse_one(query, read="athena").transform(_at_now)
        cursor = self.database.execute(tree.sql(dialect="duckdb"))
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def named(self, name: str) -> list[dict[str, Any]]:
        return self.rows((QUERIES / f"{name}.sql").read_text())


def _at_now(node: exp.Expression) -> exp.Expression:
    if isinstance(node, exp.CurrentDate):
        return exp.cast(exp.Literal.string(date(NOW)), "date")
    if isinstance(node, exp.CurrentTimestamp):
        return exp.cast(exp.Literal.string(iso(NOW).rstrip("Z")), "timestamp")
    return node


@pytest.fixture(scope="module")
def athena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Athena]:
    folder = tmp_path_factory.mktemp("lake")
    # The account is a fixture of each test: here it lives as long as it takes to fill the lake and fetch it.
    for _ in aws.__wrapped__():
        fill()
        fetch(folder)
    import duckdb  # noqa: PLC0415 - whatever still refers to it when Python ends makes it complain of leaks

    database = duckdb.connect()
    for name in TABLES:
        place = str(folder / name / "**" / "*.parquet")
        types = "{'venue': VARCHAR, 'symbol': VARCHAR, 'date': VARCHAR}"
        database.execute(
            f"CREATE VIEW {name} AS"  # noqa: S608 - our own folder
            f" SELECT * FROM read_parquet('{place}', hive_partitioning = true, hive_types = {types})"
        )
    yield Athena(database)
    database.close()


def fill() -> None:
    """Trades through the functions that are deployed, in two deliveries, one of them twice."""
    told = {"bars_table": "bars", "lake_bucket": "lake"}
    aggregate = load("aggregate_bars", AggregateBars(bars_table="bars", state_table="state", retention_days=30))
    archive_trades = load("archive_trades", ArchiveTrades(lake_bucket="lake"))
    archive_bars = load("archive_bars", ArchiveBars(**told))
    archive_forecasts = load("archive_forecasts", ArchiveForecasts(forecasts_table="forecasts", lake_bucket="lake"))
    table = BarTable("bars", clients.dynamodb())
    for market, trades in TAPES.items():
        held = [trade for trade in trades if trade.trade_id not in LOST]
        first, second = Trades.of(market, held[:4]), Trades.of(market, held[3:])
        for entries in [first], [first], [second, Watermark(market, minute_of(NOW), trades[-1].trade_id)]:
            aggregate.handler(kinesis_event(entries), CONTEXT)
            archive_trades.handler(kinesis_event(entries), CONTEXT)
    table.replace([KLINE], {}, NOW + DAY)
    markets = [*TAPES, KLINE.market]
    changed = [bar for market in markets for bar in table.between(market, 0, NOW)]
    archive_bars.handler({"Records": [{"dynamodb": {"NewImage": bar_item(bar)}} for bar in changed]}, CONTEXT)
    made = say(NOON)
    score(made[0])
    archive_forecasts.handler({"Records": [{"dynamodb": {"NewImage": key(each)}} for each in made]}, CONTEXT)


def fetch(folder: Path) -> None:
    client = boto3.client("s3")
    for item in client.list_objects_v2(Bucket="lake")["Contents"]:
        target = folder / item["Key"]
        target.parent.mkdir(parents=True, exist_ok=True)
        client.download_file("lake", item["Key"], str(target))


def held(market: Market) -> list[Trade]:
    """The market's trades that came, in minutes that have closed."""
    return [trade for trade in TAPES[market] if trade.trade_id not in LOST and trade.time < minute_of(NOW)]


def grouped(length: int) -> dict[tuple[Market, int], list[Trade]]:
    groups: dict[tuple[Market, int], list[Trade]] = defaultdict(list)
    for market in TAPES:
        for trade in held(market):
            groups[market, trade.time - trade.time % length].append(trade)
    return groups


def coins(units: int) -> Decimal:
    return from_units(units)


def volume(trades: list[Trade], *, bought: bool = False) -> Decimal:
    return coins(sum(trade.size for trade in trades if trade.taker_buys or not bought))


def test_a_day_is_what_its_trades_make_it(athena):
    rows = {(row["venue"], row["date"]): row for row in athena.named("daily_ohlc") if row["venue"] != "binance"}

    assert rows.keys() == {(market.venue, date(day)) for market, day in grouped(DAY)}
    for (market, day), trades in grouped(DAY).items():
        row = rows[market.venue, date(day)]
        prices = [coins(trade.price) for trade in trades]
        turnover = sum(trade.price * trade.size for trade in trades)
        assert [row[name] for name in ("open", "high", "low", "close")] == [
            prices[0],
            max(prices),
            min(prices),
            prices[-1],
        ]
        assert (row["volume"], row["trades"], row["proven"]) == (volume(trades), len(trades), False)
        assert row["vwap"] == pytest.approx(turnover / sum(trade.size for trade in trades) / 10**8)


def test_a_day_of_klines_has_prices_and_a_volume_and_is_never_proven(athena):
    [row] = [row for row in athena.named("daily_ohlc") if row["venue"] == "binance"]

    assert [row[name] for name in ("open", "high", "low", "close")] == [61_000, 62_000, 60_000, 61_000]
    assert (row["volume"], row["vwap"], row["trades"], row["proven"]) == (5, None, None, False)


def test_every_minute_that_is_not_proven_is_counted_absent_ones_and_whole_days_too(athena):
    rows = {(row.pop("venue"), row.pop("date")): row for row in athena.named("unproven_minutes") if row.pop("symbol")}

    passed = (NOW - TODAY) // MINUTE
    names = ("minutes", "unproven", "absent", "klines", "incomplete")
    told = {which: tuple(row[name] for name in names) for which, row in rows.items()}
    assert told == {
        # Two hours, whose first minute joins nothing before it and whose last nothing after it.
        ("kraken", date(TODAY - 3 * DAY)): (1440, 1320 + 2, 1320, 0, 2),
        ("kraken", date(TODAY - 2 * DAY)): (1440, 1440, 1440, 0, 0),
        # The last minute, which joins nothing before it.
        ("kraken", date(TODAY - DAY)): (1440, 1440, 1439, 0, 1),
        # Every minute since midnight.
        ("kraken", date(TODAY)): (passed, 0, 0, 0, 0),
        # Two hours: the first minute joins nothing; without the lost trade the third and the fifth do not join, and
        # the fourth is not proven empty.
        ("coinbase", date(TODAY)): (passed, passed - 120 + 4, passed - 120 + 1, 0, 3),
        ("binance", date(TODAY)): (passed, passed, passed - 1, 1, 0),
    }


def test_volume_is_told_by_venue_and_as_a_share_of_all(athena):
    rows = {(row["venue"], row["date"]): row for row in athena.named("volume_by_venue")}
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for (_, day), trades in grouped(DAY).items():
        totals[date(day)] += volume(trades)
    totals[date(TODAY)] += 5

    for (market, day), trades in grouped(DAY).items():
        row = rows[market.venue, date(day)]
        assert (row["coin"], row["volume"], row["trades"]) == ("BTC", volume(trades), len(trades))
        assert row["share"] == pytest.approx(float(volume(trades) / totals[date(day)]))
    assert rows["binance", date(TODAY)]["volume"] == 5
    assert len(rows) == len(grouped(DAY)) + 1


def test_buy_pressure_is_the_takers_part_of_each_hour(athena):
    rows = {(row["venue"], row["hour"]): row for row in athena.named("buy_pressure")}

    for (market, hour), trades in grouped(HOUR).items():
        row = rows.pop((market.venue, to_datetime(hour).replace(tzinfo=None)))
        bought = volume(trades, bought=True)
        assert (row["bought"], row["sold"]) == (bought, volume(trades) - bought)
        assert row["buy_pressure"] == pytest.approx(float(bought / volume(trades)))
    assert {(row["bought"], row["buy_pressure"]) for row in rows.values()} == {(0, None)}


def test_the_tape_holds_every_trade_and_athena_counts_each_once(athena):
    [counted] = athena.rows("SELECT count(*) AS rows, count(DISTINCT (venue, symbol, trade_id)) AS trades FROM tape")
    one = "SELECT time, price, size, taker_buys FROM tape WHERE venue = 'kraken' AND trade_id = 103"

    every = sum(trade.trade_id not in LOST for trades in TAPES.values() for trade in trades)
    assert counted["trades"] == every < counted["rows"]
    row, again = athena.rows(one)
    [trade] = [trade for trade in TAPES[BTC] if trade.trade_id == 103]
    assert row == again
    assert row["time"] == to_datetime(trade.time).replace(tzinfo=None)
    assert (row["price"], row["size"], row["taker_buys"]) == (coins(trade.price), coins(trade.size), trade.taker_buys)


def test_forecasts_are_asked_for_with_their_outcomes(athena):
    rows = athena.rows(
        "SELECT horizon, cardinality(quantiles) AS levels, covered, realised_price FROM forecasts ORDER BY horizon"
    )

    assert [row["horizon"] for row in rows] == [1, 5, 15, 60]
    assert {row["levels"] for row in rows} == {19}
    assert [row["covered"] for row in rows] == [True, None, None, None]


DUCKDB = {
    "string": "varchar",
    "array<double>": "double[]",
    "map<string,double>": "map(varchar, double)",
    "map<string,array<double>>": "map(varchar, double[])",
}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_athenas_types_are_those_of_the_objects(name, athena):
    described = athena.database.execute(f"DESCRIBE {name}").fetchall()

    assert {row[0]: row[1].lower() for row in described if row[0] not in lake.PARTITIONS} == {
        column: DUCKDB.get(kind, kind) for column, kind in TABLES[name].items()
    }
    assert parquet.schema(TABLES[name]).names == [row[0] for row in described if row[0] not in lake.PARTITIONS]
