"""The API's answers: what was stored, problem details for all else."""

import json
from typing import Any

import pytest

from btc import forecasts, scores
from btc.aws import clients
from btc.aws.forecasts import ForecastTable
from btc.aws.scores import ScoreTable
from btc.aws.state import StateTable
from btc.champions import Champion
from btc.forecasts import HORIZONS, LEVELS, Scored
from btc.scores import Sums
from btc.settings import Api
from btc.tape import Watermark
from btc.times import DAY, MINUTE, iso
from btc.trades import Trade
from tests.unit.aws import CONTEXT, aws, fold, load
from tests.unit.market import BTC, NOON

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]
NOW = NOON + 10 * MINUTE + 1_500_000


@pytest.fixture
def get(aws, monkeypatch):
    settings = Api(
        bars_table="bars",
        forecasts_table="forecasts",
        scores_table="scores",
        state_table="state",
        markets=("kraken:BTC-USD",),
    )
    module = load("api", settings)
    monkeypatch.setattr(module, "now", lambda: NOW)

    def request(path: str, **query: str) -> tuple[int, str, dict[str, Any]]:
        event = {
            "resource": path,
            "path": path,
            "httpMethod": "GET",
            "headers": {"Accept": "application/json"},
            "multiValueHeaders": {"Accept": ["application/json"]},
            "queryStringParameters": query or None,
            "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} or None,
            "pathParameters": None,
            "requestContext": {"requestId": "request-1", "stage": "v1", "identity": {}},
            "body": None,
            "isBase64Encoded": False,
        }
        answer = module.handler(event, CONTEXT)
        return answer["statusCode"], answer["multiValueHeaders"]["Content-Type"][0], json.loads(answer["body"])

    return request


def store_bars(minutes: int) -> None:
    tape = [Trade(BTC, row, NOON + row * MINUTE, 10_543_360_000_000 + row, 150, True) for row in range(minutes)]
    mark = Watermark(BTC, NOON + minutes * MINUTE, minutes - 1)
    fold(tape, mark)


def test_the_newest_forecast_of_each_horizon_comes_back_with_every_field(get):
    table = ForecastTable("forecasts", clients.dynamodb())
    quantiles = {horizon: [0.001 * (level - 0.5) for level in LEVELS] for horizon in HORIZONS}
    for as_of in (NOON, NOON + MINUTE):
        for made in forecasts.of(BTC, as_of, 100_000.0, quantiles, model_version="2026-11-21-abc", baseline=False):
            assert table.add(made, 30)
    status, _, body = get("/v1/forecasts/BTC-USD")

    assert status == 200
    assert body["staleness_s"] == pytest.approx(9 * 60 + 1.5)
    assert [forecast["horizon"] for forecast in body["forecasts"]] == list(HORIZONS)
    assert body["forecasts"][1] == {
        "market": "kraken:BTC-USD",
        "symbol": "BTC-USD",
        "as_of": iso(NOON + MINUTE),
        "horizon": 5,
        "target_time": iso(NOON + 6 * MINUTE),
        "reference_price": 100_000.0,
        "predicted_price": 100_000.0,
        "quantiles": {
            f"{level:.2f}": pytest.approx(100_000 * (1 + 0.001 * (level - 0.5)), rel=1e-6) for level in LEVELS
        },
        "probability_up": 0.5,
        "model_version": "2026-11-21-abc",
        "baseline": False,
        "baseline_reason": None,
    }


def test_a_forecast_once_made_is_never_rewritten(get):
    table = ForecastTable("forecasts", clients.dynamodb())
    quantiles = {1: [0.0] * len(LEVELS)}
    first, second = (
        forecasts.of(BTC, NOON, price, quantiles, model_version="m", baseline=True)[0] for price in (100.0, 200.0)
    )

    assert table.add(first, 30)
    assert not table.add(second, 30)
    assert table.latest(BTC, 1) == first


def score(market_moves: float, hour: int, version: str = "m") -> Sums:
    """One forecast for each horizon into the sums of that hour, which is returned; it was made beside two baselines."""
    quantiles = {horizon: [0.001 * (level - 0.5) for level in LEVELS] for horizon in HORIZONS}
    wider = {horizon: [2 * value for value in values] for horizon, values in quantiles.items()}
    rivals = {"naive": wider, "ewma": quantiles}
    made = forecasts.of(BTC, hour, 100_000.0, quantiles, model_version=version, baseline=False, baselines=rivals)
    for each in made:
        assert ForecastTable("forecasts", clients.dynamodb()).add(each, 30)
        sums = scores.sums([Scored(each, scores.outcome(each, 100_000.0 * (1 + market_moves)))])
        ScoreTable("scores", clients.dynamodb()).put(BTC, each.horizon, hour, sums, 60)
    return sums[version]


def forecast_minutes(count: int) -> None:
    """A forecast of every horizon each minute from NOON on, the first of each with its outcome."""
    table = ForecastTable("forecasts", clients.dynamodb())
    quantiles = {horizon: [0.001 * (level - 0.5) for level in LEVELS] for horizon in HORIZONS}
    for row in range(count):
        for made in forecasts.of(BTC, NOON + row * MINUTE, 100_000.0, quantiles, model_version="m", baseline=False):
            assert table.add(made, 30)
            if row == 0:
                assert table.settle(made, scores.outcome(made, 100_010.0))


def test_past_forecasts_come_newest_first_with_what_came_of_them(get):
    forecast_minutes(3)
    _, _, body = get("/v1/forecasts/BTC-USD/history", horizon="5")

    assert (body["symbol"], body["venue"], body["horizon"], body["next_cursor"]) == ("BTC-USD", "kraken", 5, None)
    assert body["as_of"] == iso(NOON + 2 * MINUTE)
    assert [each["target_time"] for each in body["forecasts"]] == [iso(NOON + row * MINUTE) for row in (7, 6, 5)]
    newest, _, oldest = body["forecasts"]
    assert newest["outcome"] is None
    outcome = oldest.pop("outcome")
    assert (outcome["realised_price"], outcome["covered_90"], outcome["covered_50"]) == (100_010.0, True, True)
    assert outcome["loss_bp"] > 0
    assert {**newest, "outcome": None} == get("/v1/forecasts/BTC-USD")[2]["forecasts"][1] | {"outcome": None}


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_hold_every_forecast_once(get, limit):
    forecast_minutes(6)
    cursor: dict[str, str] = {}
    targets = []
    while True:
        _, _, body = get("/v1/forecasts/BTC-USD/history", horizon="1", limit=str(limit), **cursor)
        assert len(body["forecasts"]) <= limit
        targets += [each["target_time"] for each in body["forecasts"]]
        if body["next_cursor"] is None:
            break
        cursor = {"cursor": body["next_cursor"]}

    assert targets == [iso(NOON + row * MINUTE) for row in (6, 5, 4, 3, 2, 1)]


def test_a_cursor_belongs_to_the_request_that_it_came_from(get):
    forecast_minutes(2)
    cursor = get("/v1/forecasts/BTC-USD/history", horizon="1", limit="1")[2]["next_cursor"]
    status, _, body = get("/v1/forecasts/BTC-USD/history", horizon="5", limit="1", cursor=cursor)

    assert (status, body["detail"]) == (400, "cursor belongs to another request: start again without one")


def test_scores_tell_skill_and_coverage_of_the_model_that_serves_and_of_all(get):
    today = score(0.0003, NOON)
    score(-0.0002, NOON - 2 * DAY)
    score(0.01, NOON - 20 * DAY, version="before")
    _, _, body = get("/v1/scores/BTC-USD")
    five = next(each for each in body["horizons"] if each["horizon"] == 5)

    assert (body["symbol"], body["venue"], body["as_of"]) == ("BTC-USD", "kraken", iso(NOON + 60 * MINUTE))
    assert [each["horizon"] for each in body["horizons"]] == list(HORIZONS)
    assert five["model_version"] == "m"
    assert [(window["days"], window["since"]) for window in five["windows"]] == [
        (1, "2025-11-09T00:00:00Z"),
        (7, "2025-11-03T00:00:00Z"),
        (30, "2025-10-11T00:00:00Z"),
    ]
    assert [window["model"]["forecasts"] for window in five["windows"]] == [1, 2, 2]
    assert [window["overall"]["forecasts"] for window in five["windows"]] == [1, 2, 3]
    day, _, month = (window["overall"] for window in five["windows"])
    assert day["loss_bp"] == today.loss_bp
    assert day["skill"] == {"ewma": 0.0, "naive": pytest.approx(today.duels["naive"].skill, abs=1e-6)}
    assert day["skill"]["naive"] > 0
    assert day["best_baseline"] == "ewma"
    assert (day["coverage_90"], day["coverage_50"], day["direction"]) == (1.0, 0.0, None)
    assert month["coverage_90"] == pytest.approx(2 / 3, abs=1e-6)
    assert list(month["coverage"]) == [f"{level:.2f}" for level in LEVELS]
    assert month["coverage"]["0.95"] == pytest.approx(2 / 3, abs=1e-6)


def test_where_nothing_has_been_scored_yet_scores_say_so(get):
    _, _, body = get("/v1/scores/BTC-USD")
    windows = [window for each in body["horizons"] for window in each["windows"]]

    assert body["as_of"] is None
    assert {window["model"]["forecasts"] for window in windows} == {0}
    assert {window["overall"]["coverage_90"] for window in windows} == {None}
    assert {each["model_version"] for each in body["horizons"]} == {None}


def test_bars_are_told_exactly_and_longer_ones_merged(get):
    store_bars(10)
    _, _, minutes = get("/v1/bars/BTC-USD", start=iso(NOON), end=iso(NOON + 10 * MINUTE))
    _, _, longer = get("/v1/bars/BTC-USD", interval="5m", start=iso(NOON), end=iso(NOON + 10 * MINUTE))

    assert [bar["open"] for bar in minutes["bars"][:2]] == [105433.6, 105433.60000001]
    assert minutes["bars"][0]["volume"] == 0.0000015
    assert [(bar["start"], bar["trade_count"], bar["complete"]) for bar in longer["bars"]] == [
        (iso(NOON), 5, False),
        (iso(NOON + 5 * MINUTE), 5, True),
    ]


def test_the_default_is_the_last_hour_and_says_how_old_it_is(get):
    store_bars(10)
    _, _, body = get("/v1/bars/BTC-USD")

    assert len(body["bars"]) == 10
    assert body["staleness_s"] == 1.5


def test_the_model_is_the_champion_or_says_that_there_is_none(get):
    assert get("/v1/models/current")[2] == {"model_version": None, "baseline": True, "age_s": None}
    champion = Champion("2025-11-10-abc", "group/1", "s3://models/1", iso(NOON), iso(NOON))
    StateTable("state", clients.dynamodb()).promote(champion)

    assert get("/v1/models/current")[2] == {**champion._asdict(), "baseline": False, "age_s": 601.5}


def test_health_is_the_age_of_the_feed(get):
    assert get("/health")[2] == {"status": "stale", "feed_age_s": {"kraken:BTC-USD": None}}
    store_bars(9)

    assert get("/health")[2] == {"status": "ok", "feed_age_s": {"kraken:BTC-USD": 61.5}}


@pytest.mark.parametrize(
    ("path", "query", "status", "detail"),
    [
        ("/v1/forecasts/DOGE-USD", {}, 404, "DOGE-USD is not followed here; known: BTC-USD"),
        ("/v1/forecasts/BTC-USD", {"venue": "nowhere"}, 404, "BTC-USD at nowhere is not followed here"),
        ("/v1/forecasts/DOGE-USD/history", {"horizon": "5"}, 404, "DOGE-USD is not followed here"),
        ("/v1/forecasts/BTC-USD/history", {}, 400, "horizon is needed"),
        ("/v1/forecasts/BTC-USD/history", {"horizon": "7"}, 400, "horizon 7 is none of 1, 5, 15, 60"),
        ("/v1/forecasts/BTC-USD/history", {"horizon": "5", "limit": "0"}, 400, "ask for 1 to 200 forecasts"),
        ("/v1/forecasts/BTC-USD/history", {"horizon": "5", "limit": "9" * 30}, 400, "limit is needed"),
        ("/v1/forecasts/BTC-USD/history", {"horizon": "5", "limit": "٣"}, 400, "limit is needed"),
        ("/v1/forecasts/BTC-USD/history", {"horizon": "5", "cursor": "%"}, 400, "cursor is none"),
        ("/v1/forecasts/BTC-USD/history", {"horizon": "5", "cursor": "AAAA"}, 400, "cursor is none"),
        ("/v1/scores/DOGE-USD", {}, 404, "DOGE-USD is not followed here; known: BTC-USD"),
        ("/v1/nothing", {}, 404, "there is nothing at /v1/nothing"),
        ("/v1/bars/BTC-USD", {"interval": "7m"}, 400, "interval '7m' is none of 1m, 5m"),
        ("/v1/bars/BTC-USD", {"start": "yesterday"}, 400, "start is no ISO 8601 time"),
        ("/v1/bars/BTC-USD", {"end": "0001-01-01T00:00:00Z"}, 400, "end lies outside"),
        ("/v1/bars/BTC-USD", {"end": "9999-12-31T23:59:59+00:00"}, 400, "end lies outside"),
        ("/v1/bars/BTC-USD", {"end": "1970-01-01T00:00:00Z"}, 400, "start"),
        ("/v1/bars/BTC-USD", {"start": "2025-01-01T00:00:00Z"}, 400, "at most 1500 bars of 1m"),
        ("/v1/bars/BTC-USD", {"start": "2025-11-11T00:00:00Z", "end": "2025-11-10T00:00:00Z"}, 400, "not before end"),
    ],
)
def test_what_cannot_be_answered_is_told_as_problem_details(get, path, query, status, detail):
    answer, content_type, body = get(path, **query)

    assert (answer, content_type) == (status, "application/problem+json")
    assert detail in body["detail"]
    assert body["status"] == status
    assert body["instance"] == path
    assert body["request_id"] == "request-1"


def test_a_fault_of_ours_tells_nothing_of_itself(get):
    clients.dynamodb().delete_table(TableName="state")
    status, content_type, body = get("/v1/models/current")

    assert (status, content_type) == (500, "application/problem+json")
    assert "state" not in json.dumps(body)
    assert "Traceback" not in json.dumps(body)
