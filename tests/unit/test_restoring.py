"""A copy's items come back where the table lost them, and nowhere that something newer is."""

import json
import time
from dataclasses import replace

import boto3
import pytest

from btc import forecasts, scores
from btc.aws import clients
from btc.aws.forecasts import ForecastTable
from btc.aws.restoring import PutBack, put_back
from btc.aws.scores import ScoreTable
from btc.aws.state import StateTable
from btc.aws.tables import BarTable
from btc.bars import Bar
from btc.champions import Champion
from btc.forecasts import LEVELS, Forecast
from btc.history import Cursor
from btc.scores import Sums
from btc.settings import FillHistory
from btc.tape import Watermark
from btc.times import DAY, HOUR, MINUTE, SECOND, day_of, iso
from functions.restore.__main__ import main
from tests.unit.aws import aws, fold
from tests.unit.market import BTC, NOON
from tests.unit.test_tables import trade

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]


def copied(table: str) -> str:
    """As AWS restores a table to a point in time; moto's is of the moment it is asked in."""
    clients.dynamodb().restore_table_to_point_in_time(
        SourceTableName=table, TargetTableName=f"{table}-copy", UseLatestRestorableTime=True
    )
    return f"{table}-copy"


def bars() -> list[Bar]:
    return BarTable("bars", clients.dynamodb()).between(BTC, NOON, NOON + 60 * MINUTE)


def spoilt(bar: Bar) -> None:
    table = BarTable("bars", clients.dynamodb())
    stored = table.around(BTC, bar.start, bar.start)
    assert table.replace([replace(bar, close=1)], stored, time.time_ns() // 1000 + MINUTE)


def test_of_a_minute_that_is_proven_empty_there_is_one_bar_too():
    fold([trade(1, 0), trade(2, 2)], Watermark(BTC, NOON + 3 * MINUTE, 2))
    before, copy = bars(), copied("bars")
    assert before[1].complete
    assert not before[1].ranges
    spoilt(before[1])

    assert put_back(clients.dynamodb(), copy, "bars", now=time.time(), replace=True) == PutBack(0, 1, 2)
    assert bars() == before


def test_what_differs_is_put_over_only_where_that_is_asked_for():
    fold([trade(1, 0), trade(2, 1), trade(3, 2)], Watermark(BTC, NOON + 3 * MINUTE, 3))
    before, copy = bars(), copied("bars")
    spoilt(before[1])

    assert put_back(clients.dynamodb(), copy, "bars", now=time.time(), replace=False) == PutBack(0, 0, 3)
    assert bars()[1].close == 1
    assert put_back(clients.dynamodb(), copy, "bars", now=time.time(), replace=True) == PutBack(0, 1, 2)
    assert bars() == before
    fold([trade(4, 2)])  # the live path goes on from the version that was put back
    assert bars()[2].trade_count == 2


def test_a_minute_that_was_open_then_is_left_to_the_tape():
    fold([trade(1, 0)])
    copy = copied("bars")
    fold([trade(2, 0)])

    assert put_back(clients.dynamodb(), copy, "bars", now=time.time(), replace=True) == PutBack(0, 0, 1)
    assert bars()[0].ranges == ((1, 2),)


def test_a_bar_that_has_grown_or_was_proven_since_is_not_put_back():
    fold([trade(1, 0), trade(2, 1)], Watermark(BTC, NOON + 2 * MINUTE, 2))
    copy = copied("bars")
    fold([trade(3, 1), trade(4, 2)], Watermark(BTC, NOON + 3 * MINUTE, 4))
    after = bars()

    assert put_back(clients.dynamodb(), copy, "bars", now=time.time(), replace=True).replaced == 0
    assert bars() == after


def forecast() -> tuple[ForecastTable, Forecast]:
    levels = {1: [0.002 * (level - 0.5) for level in LEVELS]}
    [made] = forecasts.of(BTC, NOON + 50 * DAY * 365, 100_000.0, levels, model_version="m", baseline=False)
    table = ForecastTable("forecasts", clients.dynamodb())
    assert table.add(made, 30)
    return table, made


def outcomes() -> list[dict]:
    return [item for item in clients.dynamodb().scan(TableName="forecasts")["Items"] if "realised_price" in item]


def test_an_outcome_that_came_since_is_kept_and_one_that_was_lost_comes_back():
    table, made = forecast()
    unsettled = copied("forecasts")
    assert table.settle(made, scores.outcome(made, 100_010.0))
    assert put_back(clients.dynamodb(), unsettled, "forecasts", now=time.time(), replace=True) == PutBack(0, 0, 1)
    assert len(outcomes()) == 1

    clients.dynamodb().delete_table(TableName=unsettled)
    settled = copied("forecasts")
    clients.dynamodb().delete_item(TableName="forecasts", Key={n: outcomes()[0][n] for n in ("series", "target_time")})
    assert table.add(made, 30)
    assert put_back(clients.dynamodb(), settled, "forecasts", now=time.time(), replace=True) == PutBack(0, 1, 0)
    assert len(outcomes()) == 1


def test_of_two_outcomes_neither_is_newer_and_that_is_told(capsys):
    table, made = forecast()
    table.settle(made, scores.outcome(made, 100_010.0))
    copy = copied("forecasts")
    table.settle(made, scores.outcome(made, 99_000.0))
    before = outcomes()

    assert main(["items", "--table", "forecasts", "--copy", copy, "--replace"]) == 1
    assert outcomes() == before
    said = capsys.readouterr()
    assert said.out == "0 items added to forecasts, 0 replaced, 0 left as they are\n"
    assert said.err.startswith("undecided: kraken:BTC-USD:1 ")


def test_a_forecast_that_comes_back_is_scored_again(capsys):
    _, made = forecast()
    copy = copied("forecasts")
    [item] = clients.dynamodb().scan(TableName="forecasts")["Items"]
    clients.dynamodb().delete_item(TableName="forecasts", Key={name: item[name] for name in ("series", "target_time")})
    marks, hour = ScoreTable("scores", clients.dynamodb()), made.target_time - made.target_time % HOUR
    marks.mark(BTC, {hour: "as it was"}, 60)

    assert main(["items", "--table", "forecasts", "--copy", copy]) == 0
    assert marks.marks(BTC, day_of(hour)) == {}


def test_sums_of_more_forecasts_are_newer_and_so_is_a_state_of_a_later_time():
    table, state = ScoreTable("scores", clients.dynamodb()), StateTable("state", clients.dynamodb())
    day = NOON + 50 * DAY * 365
    few, many, far = Sums(3, NOON), Sums(60, NOON), 30
    table.put(BTC, 1, day, {"m": few}, far)
    champion = Champion("old", "bitcoin/1", "s3://models/1", iso(NOON), iso(NOON))
    state.promote(champion, {})
    state.keep_fill("a", Cursor(NOON, NOON))
    older = [copied("scores"), copied("state")]
    table.put(BTC, 1, day, {"m": many}, far)
    state.promote(champion._replace(model_version="new", promoted_at=iso(NOON + DAY)), {})
    state.keep_fill("a", Cursor(NOON, NOON, rows=9))

    undecided = [
        put_back(clients.dynamodb(), copy, name, now=time.time(), replace=True).undecided
        for copy, name in zip(older, ("scores", "state"), strict=True)
    ]
    assert undecided == [(), ("history:a",)], "a fill's cursor has no time"
    assert table.between(BTC, 1, day, day) == {day: {"m": many}}
    kept = state.champion()
    assert kept is not None
    assert kept.model_version == "new"


def test_what_has_expired_since_does_not_come_back():
    fold([trade(1, 0)], Watermark(BTC, NOON + MINUTE, 1), expires=int(time.time() - 60) * SECOND)
    copy = copied("bars")
    [item] = clients.dynamodb().scan(TableName="bars")["Items"]
    clients.dynamodb().delete_item(TableName="bars", Key={name: item[name] for name in ("market", "start")})

    assert put_back(clients.dynamodb(), copy, "bars", now=time.time(), replace=False) == PutBack(0, 0, 1)
    assert not bars()


def test_any_table_is_put_back_whatever_its_key_is_called(capsys):
    state = StateTable("state", clients.dynamodb())
    state.advance(Watermark(BTC, NOON, 7), NOON)
    copy = copied("state")
    clients.dynamodb().delete_item(TableName="state", Key={"name": {"S": f"watermark:{BTC}"}})

    assert main(["items", "--table", "state", "--copy", copy]) == 0
    assert state.watermark(BTC) == Watermark(BTC, NOON, 7)
    assert capsys.readouterr().out == "1 items added to state, 0 replaced, 0 left as they are\n"


def test_a_deployed_stack_tells_what_its_tables_and_lake_are_called(capsys):
    names = FillHistory(stream="trades", bars_table="bars", state_table="state", retention_days=9, bytes_per_s=1)
    told = {"FillHistoryEnvironment": " ".join(f"{name}={value}" for name, value in names.to_env().items())}
    outputs = {**told, "LakeBucket": "lake", "ForecastsTable": "forecasts"}
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    clients.cloudformation.cache_clear()
    clients.cloudformation().create_stack(StackName="Deployed", TemplateBody=json.dumps(template))

    day = ["--from", "2025-11-10", "--until", "2025-11-11"]
    assert main(["bars", "--stack", "Deployed", "--market", str(BTC), *day]) == 0
    assert main(["items", "--stack", "Deployed", "--table", "forecasts", "--copy", copied("forecasts")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "2025-11-10  0 bars of the lake, 0 from 0 trades of the tape"
    assert said[-2:] == ["0 writes to bars", "0 items added to forecasts, 0 replaced, 0 left as they are"]
    clients.cloudformation.cache_clear()


def test_a_copy_or_a_stack_that_is_not_there_is_told_in_one_line(capsys):
    assert boto3.client("dynamodb").list_tables()["TableNames"]

    assert main(["items", "--table", "bars", "--copy", "nowhere"]) == 1
    assert main(["items", "--table", "bars", "--copy", "nowhere", "--stack", "Another"]) == 1
    assert main(["bars", "--market", "kraken:BTC-USD"], {}) == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in said] == ["stopped"] * 3
    assert "LAKE_BUCKET is not set" in said[2]
