"""A version that is deployed over another reads what that one left; what it cannot read it refuses by name.

Items stand here with the attributes that earlier versions' code gave them, written out by hand; records are today's
bytes, which later versions have to read. (Objects of the lake: tests/unit/test_parquet.py; artefacts:
tests/unit/test_models.py, and what serves then: tests/unit/test_forecast.py.)
"""

from binascii import a2b_hex
from typing import Any

import pytest

from btc import tape
from btc.aws import clients
from btc.aws.forecasts import ForecastTable
from btc.aws.scores import ScoreTable
from btc.aws.state import StateTable
from btc.aws.tables import BarTable, bar_item, bar_of
from btc.bars import Bar, Source
from btc.champions import Promoted
from btc.forecasts import LEVELS
from btc.formats import UnknownFormatError
from btc.scores import Duel, Sums
from btc.tape import UnreadableError, Watermark
from btc.times import DAY, HOUR, MINUTE, day_of
from btc.trades import Trade, Trades
from tests.unit.aws import aws
from tests.unit.market import BTC, NOON

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]

START = "2025-11-10T12:00:00Z"
FIRST_BAR: dict[str, Any] = {
    "market": {"S": "kraken:BTC-USD"},
    "start": {"S": START},
    **{name: {"N": "100"} for name in ("open", "high", "low", "close", "volume", "turnover", "buy_volume")},
    "trade_count": {"N": "2"},
    "closed": {"BOOL": True},
    "complete": {"BOOL": True},
    "ranges": {"S": "7-8"},
    "prior_id": {"N": "6"},
    "next_id": {"N": "9"},
    "version": {"N": "3"},
    "expires": {"N": "9999999999"},
}
"""Before bars had a source."""
FIRST_FORECAST: dict[str, Any] = {
    "series": {"S": "kraken:BTC-USD:5"},
    "target_time": {"S": "2025-11-10T12:05:00Z"},
    "as_of": {"S": START},
    "reference_price": {"N": "100000.5"},
    "predicted_price": {"N": "100001.0"},
    "quantiles": {"L": [{"N": str(100_000 + 10 * level)} for level in LEVELS]},
    "probability_up": {"N": "0.51"},
    "model_version": {"S": "2025-11-01-abc"},
    "baseline": {"BOOL": False},
    "expires": {"N": "9999999999"},
}
"""Before forecasts were made beside baselines, and told why they are one's."""
RECORDS = {
    "trades": (
        "97a87472616465732f31ae6b72616b656e3a4254432d55534492070292cf0006433c454c700001"
        "92cf000000174876e8000192ce05f5e100ce05f5e101c4020100"
    ),
    "watermark": "94ab77617465726d61726b2f31ae6b72616b656e3a4254432d555344cf0006433c50cd624008",
}


def put(table: str, item: dict[str, Any]) -> None:
    clients.dynamodb().put_item(TableName=table, Item=item)


def test_bars_of_the_first_version_are_read_and_written_over():
    put("bars", FIRST_BAR)
    table = BarTable("bars", clients.dynamodb())
    [bar] = table.between(BTC, NOON, NOON + MINUTE)

    assert bar == Bar(BTC, NOON, *[100] * 7, 2, ((7, 8),), 6, 9, closed=True, source=Source.TRADES)
    assert bar.complete
    assert table.replace([bar], table.around(BTC, NOON, NOON), NOON) == [bar]
    assert clients.dynamodb().scan(TableName="bars")["Items"][0]["source"] == {"S": "trades"}


def test_forecasts_of_the_first_version_are_read_without_baselines():
    put("forecasts", FIRST_FORECAST)
    [scored] = ForecastTable("forecasts", clients.dynamodb()).between(BTC, 5, NOON, NOON + HOUR)

    assert scored.forecast.predicted_price == 100_001.0
    assert (scored.forecast.baselines, scored.forecast.baseline_reason, scored.outcome) == ({}, None, None)


def test_state_of_earlier_versions_is_read_as_what_it_meant_then():
    until = {"N": str(NOON)}
    put("state", {"name": {"S": f"watermark:{BTC}"}, "alive_until": until, "last_id": {"N": "9"}})
    names = ("model_version", "package", "artefact", "trained_until", "promoted_at")
    put("state", {"name": {"S": "champion"}, **{name: {"S": name} for name in names}})
    state = StateTable("state", clients.dynamodb())

    assert state.reached(BTC) == (Watermark(BTC, NOON, 9), NOON), "its bars were closed before it was kept"
    assert state.promoted() == Promoted(state.champion(), {}), "promoted before there were cards"


def test_scores_that_lack_a_sum_or_have_one_more_are_read():
    day = day_of(NOON)
    sums = '{"m": {"forecasts": 2, "covered": 1, "duels": {"har": [2, 5, 9]}, "invented_later": [1, 2]}}'
    put("scores", {"series": {"S": f"{BTC}:5"}, "day": {"S": START[:10]}, "h12": {"S": sums}})

    found = ScoreTable("scores", clients.dynamodb()).between(BTC, 5, day, day + DAY)
    assert found == {NOON: {"m": Sums(2, covered=1, duels={"har": Duel(2, 5, 9)})}}


def test_records_of_this_layout_stay_readable_and_those_of_an_unknown_one_refused():
    trades = [Trade(BTC, 7 + row, NOON + row, 10**11 + row, 10**8 + row, row == 0) for row in range(2)]

    assert tape.decode(a2b_hex(RECORDS["trades"])) == Trades.of(BTC, trades)
    assert tape.decode(a2b_hex(RECORDS["watermark"])) == Watermark(BTC, NOON + 193_000_000, 8)
    with pytest.raises(UnreadableError, match="trades/2"):
        tape.decode(a2b_hex(RECORDS["trades"]).replace(b"trades/1", b"trades/2"))


def test_what_a_later_version_adds_is_passed_over_after_a_rollback():
    added = {"invented_later": {"S": "?"}}
    put("forecasts", {**FIRST_FORECAST, **added, "baseline_reason": {"S": "a reason invented later"}})
    [scored] = ForecastTable("forecasts", clients.dynamodb()).between(BTC, 5, NOON, NOON + HOUR)

    assert bar_of({**FIRST_BAR, **added}) == bar_of(FIRST_BAR)
    assert scored.forecast.baseline_reason == "a reason invented later"


@pytest.mark.parametrize("changed", [{"closed": None}, {"ranges": {"S": "seven"}}, {"source": {"S": "candles"}}])
def test_a_bar_that_cannot_be_read_is_refused_by_its_minute(changed):
    item = {name: value for name, value in {**FIRST_BAR, **changed}.items() if value}

    with pytest.raises(UnknownFormatError, match=rf"kraken:BTC-USD.*{START}.*deploy the version that wrote it"):
        bar_of(item)


def test_a_forecast_that_cannot_be_read_is_refused_by_its_target():
    put("forecasts", {**FIRST_FORECAST, "quantiles": {"L": [{"S": "many"}]}})

    with pytest.raises(UnknownFormatError, match=r"kraken:BTC-USD:5.*12:05"):
        ForecastTable("forecasts", clients.dynamodb()).between(BTC, 5, NOON, NOON + HOUR)


def test_todays_bar_holds_all_that_the_first_did():
    assert FIRST_BAR.keys() - bar_item(bar_of(FIRST_BAR)).keys() == {"version", "expires"}
