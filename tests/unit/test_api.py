"""The API's answers: what was stored, with its age and whether it is proven."""

import pytest

from btc import forecasts, scores
from btc.aws import clients
from btc.aws.forecasts import ForecastTable
from btc.aws.scores import ScoreTable
from btc.aws.state import StateTable
from btc.champions import Champion
from btc.forecasts import HORIZONS, LEVELS, Scored
from btc.intervals import INTERVALS
from btc.scores import Sums
from btc.times import DAY, HOUR, MINUTE, iso
from tests.unit.asking import ask, clock, forecast_minutes, store_bars
from tests.unit.aws import aws, called
from tests.unit.market import BTC, NOON

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["ask", "aws", "clock"]


def test_the_newest_forecast_of_each_horizon_comes_back_with_every_field(ask):
    table = ForecastTable("forecasts", clients.dynamodb())
    quantiles = {horizon: [0.001 * (level - 0.5) for level in LEVELS] for horizon in HORIZONS}
    for as_of in (NOON, NOON + MINUTE):
        for made in forecasts.of(BTC, as_of, 100_000.0, quantiles, model_version="2026-11-21-abc", baseline=False):
            assert table.add(made, 30)
    store_bars(3)
    reply = ask("/v1/forecasts/BTC-USD")
    body = reply.body

    assert reply.status == 200
    assert body["complete"] is False, "the first bar there is joins none before it"
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


def test_a_forecast_once_made_is_never_rewritten(ask):
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


def test_past_forecasts_come_newest_first_with_what_came_of_them(ask):
    forecast_minutes(3)
    body = ask("/v1/forecasts/BTC-USD/history", horizon="5").body

    assert (body["symbol"], body["venue"], body["horizon"], body["next_cursor"]) == ("BTC-USD", "kraken", 5, None)
    assert body["as_of"] == iso(NOON + 2 * MINUTE)
    assert [each["target_time"] for each in body["forecasts"]] == [iso(NOON + row * MINUTE) for row in (7, 6, 5)]
    newest, _, oldest = body["forecasts"]
    assert newest["outcome"] is None
    outcome = oldest.pop("outcome")
    assert (outcome["realised_price"], outcome["covered_90"], outcome["covered_50"]) == (100_010.0, True, True)
    assert outcome["loss_bp"] > 0
    assert {**newest, "outcome": None} == ask("/v1/forecasts/BTC-USD").body["forecasts"][1] | {"outcome": None}


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_hold_every_forecast_once(ask, limit):
    forecast_minutes(6)
    cursor: dict[str, str] = {}
    targets = []
    while True:
        body = ask("/v1/forecasts/BTC-USD/history", horizon="1", limit=str(limit), **cursor).body
        assert len(body["forecasts"]) <= limit
        targets += [each["target_time"] for each in body["forecasts"]]
        if body["next_cursor"] is None:
            break
        cursor = {"cursor": body["next_cursor"]}

    assert targets == [iso(NOON + row * MINUTE) for row in (6, 5, 4, 3, 2, 1)]


def test_a_cursor_belongs_to_the_request_that_it_came_from(ask):
    forecast_minutes(2)
    cursor = ask("/v1/forecasts/BTC-USD/history", horizon="1", limit="1").body["next_cursor"]
    reply = ask("/v1/forecasts/BTC-USD/history", horizon="5", limit="1", cursor=cursor)

    assert (reply.status, reply.body["detail"]) == (400, "cursor belongs to another request: start again without one")


def test_scores_tell_skill_and_coverage_of_the_model_that_serves_and_of_all(ask):
    today = score(0.0003, NOON)
    score(-0.0002, NOON - 2 * DAY)
    score(0.01, NOON - 20 * DAY, version="before")
    body = ask("/v1/scores/BTC-USD").body
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


def test_where_nothing_has_been_scored_yet_scores_say_so(ask):
    body = ask("/v1/scores/BTC-USD").body
    windows = [window for each in body["horizons"] for window in each["windows"]]

    assert body["as_of"] is None
    assert {window["model"]["forecasts"] for window in windows} == {0}
    assert {window["overall"]["coverage_90"] for window in windows} == {None}
    assert {each["model_version"] for each in body["horizons"]} == {None}


def test_bars_are_told_exactly_and_longer_ones_merged(ask):
    store_bars(10)
    minutes = ask("/v1/bars/BTC-USD", start=iso(NOON), end=iso(NOON + 10 * MINUTE)).body
    longer = ask("/v1/bars/BTC-USD", interval="5m", start=iso(NOON), end=iso(NOON + 10 * MINUTE)).body

    assert [bar["open"] for bar in minutes["bars"][:2]] == [105433.6, 105433.60000001]
    assert minutes["bars"][0]["volume"] == 0.0000015
    assert [(bar["start"], bar["trade_count"], bar["complete"]) for bar in longer["bars"]] == [
        (iso(NOON), 5, False),
        (iso(NOON + 5 * MINUTE), 5, True),
    ]


@pytest.mark.parametrize("interval", ["1m", "5m", "15m", "1h", "4h"])
def test_no_page_and_no_longer_bar_is_complete_over_a_hole(ask, clock, interval):
    clock.now = NOON + 4 * HOUR + 1
    store_bars(4 * 60 + 1, since=NOON - MINUTE)  # the first bar joins none before it
    asked = {"interval": interval, "start": iso(NOON), "end": iso(NOON + 4 * HOUR)}
    whole = ask("/v1/bars/BTC-USD", **asked).body
    absent = NOON + 2 * HOUR + 7 * MINUTE
    clients.dynamodb().delete_item(TableName="bars", Key={"market": {"S": str(BTC)}, "start": {"S": iso(absent)}})
    holed = ask("/v1/bars/BTC-USD", **asked).body

    assert (whole["complete"], {bar["complete"] for bar in whole["bars"]}) == (True, {True})
    assert not holed["complete"]
    incomplete = [bar["start"] for bar in holed["bars"] if not bar["complete"]]
    assert incomplete == ([] if interval == "1m" else [iso(absent - absent % (INTERVALS[interval] * MINUTE))])


@pytest.mark.parametrize(
    ("start", "end", "complete"),
    [
        (NOON + MINUTE, NOON + 20 * MINUTE, True),  # one is still running
        (NOON, NOON + 9 * MINUTE, False),  # the first bar joins none before it
        (NOON + 10 * MINUTE, NOON + 11 * MINUTE, False),  # nothing of it is over
        (NOON + 20 * MINUTE, NOON + 30 * MINUTE, False),
        (NOON - 5 * MINUTE, NOON + 9 * MINUTE, False),
    ],
)
def test_a_page_is_complete_where_every_minute_of_it_that_is_over_is_proven(ask, start, end, complete):
    store_bars(11)

    assert ask("/v1/bars/BTC-USD", start=iso(start), end=iso(end)).body["complete"] is complete


def test_a_page_is_not_complete_where_the_feed_ended_before_it_does(ask):
    store_bars(8)

    assert not ask("/v1/bars/BTC-USD", start=iso(NOON + MINUTE), end=iso(NOON + 10 * MINUTE)).body["complete"]


def test_an_interval_still_running_is_no_complete_bar_though_its_minutes_so_far_are(ask):
    store_bars(11)
    body = ask("/v1/bars/BTC-USD", interval="5m", start=iso(NOON + 5 * MINUTE)).body
    [whole, running] = body["bars"]

    assert body["complete"]
    assert (whole["closed"], whole["complete"]) == (True, True)
    assert (running["closed"], running["complete"]) == (False, False)


def test_the_default_is_the_last_hour_and_says_how_old_it_is(ask):
    store_bars(10)
    body = ask("/v1/bars/BTC-USD").body

    assert len(body["bars"]) == 10
    assert body["staleness_s"] == 1.5


def test_the_model_is_the_champion_with_its_card_or_says_that_there_is_none(ask):
    nobody = ask("/v1/models/current").body
    assert (nobody["model_version"], nobody["baseline"], nobody["age_s"]) == (None, True, None)
    champion = Champion("2025-11-10-abc", "group/1", "s3://models/1", iso(NOON), iso(NOON))
    card = {"metrics": {"5": {"rows": 10, "skill": {"naive": 0.1}}}, "rows": {"fit": 3}, "tested_from": iso(NOON)}
    StateTable("state", clients.dynamodb()).promote(champion, card)
    body = ask("/v1/models/current").body

    assert body.items() >= {**champion._asdict(), **card, "baseline": False, "age_s": 601.5}.items()
    assert (body["as_of"], body["staleness_s"], body["tested_until"]) == (iso(NOON), 601.5, None)


def test_health_is_the_age_of_the_feed(ask):
    assert ask("/health").body == {
        "as_of": None,
        "staleness_s": None,
        "status": "stale",
        "feed_age_s": {"kraken:BTC-USD": None},
    }
    store_bars(9)

    assert ask("/health").body == {
        "as_of": iso(NOON + 9 * MINUTE),
        "staleness_s": 61.5,
        "status": "ok",
        "feed_age_s": {"kraken:BTC-USD": 61.5},
    }


def test_a_horizon_that_came_too_late_this_minute_tells_its_last(ask):
    forecast_minutes(2, horizons=(1, 5, 15, 60))
    for horizon in (15, 60):
        [made] = forecasts.of(BTC, NOON + 2 * MINUTE, 1.0, {horizon: [0.0] * 19}, model_version="m", baseline=True)
        ForecastTable("forecasts", clients.dynamodb()).add(made, 30)
    made = {each["horizon"]: each["as_of"] for each in ask("/v1/forecasts/BTC-USD").body["forecasts"]}

    assert made == {
        1: iso(NOON + MINUTE),
        5: iso(NOON + MINUTE),
        15: iso(NOON + 2 * MINUTE),
        60: iso(NOON + 2 * MINUTE),
    }


def test_without_the_longest_horizon_the_others_are_told(ask):
    forecast_minutes(2, horizons=(1, 15))

    assert [each["horizon"] for each in ask("/v1/forecasts/BTC-USD").body["forecasts"]] == [1, 15]


def test_memory_answers_until_the_next_minute_and_not_longer(ask, clock):
    forecast_minutes(11)
    store_bars(11)
    first = ask("/v1/forecasts/BTC-USD").body
    with called() as operations:
        assert ask("/v1/forecasts/BTC-USD").body == first
        assert not operations
        clock.now += MINUTE
        later = ask("/v1/forecasts/BTC-USD").body
        assert operations == {"Query", "BatchGetItem"}

    assert first["as_of"] == later["as_of"] == iso(NOON + 10 * MINUTE)
    assert later["staleness_s"] == first["staleness_s"] + 60


def test_memory_does_not_answer_until_the_bar_is_proven(ask):
    forecast_minutes(11)
    assert ask("/v1/forecasts/BTC-USD").body["complete"] is None
    store_bars(11)

    assert ask("/v1/forecasts/BTC-USD").body["complete"] is True


def test_sums_of_days_gone_by_are_read_once_an_hour_and_those_of_today_each_time(ask, clock):
    score(0.0003, NOON - 5 * DAY)
    windows = ask("/v1/scores/BTC-USD").body["horizons"][0]["windows"]
    assert [window["overall"]["forecasts"] for window in windows] == [0, 1, 1]
    score(0.0003, NOON - 6 * DAY)
    score(0.0003, NOON)
    windows = ask("/v1/scores/BTC-USD").body["horizons"][0]["windows"]
    assert [window["overall"]["forecasts"] for window in windows] == [1, 2, 2]
    clock.now += HOUR
    windows = ask("/v1/scores/BTC-USD").body["horizons"][0]["windows"]

    assert [window["overall"]["forecasts"] for window in windows] == [1, 3, 3]


def test_sums_of_a_table_too_busy_to_give_them_at_once_are_asked_for_again(ask):
    score(0.0003, NOON)
    asked = ask("/v1/scores/BTC-USD").body

    def too_busy(parsed, **_):
        if parsed["Responses"].pop("scores", None):
            parsed["UnprocessedKeys"] = {"scores": {"Keys": [{}]}}

    events = clients.dynamodb().meta.events
    events.register("after-call.dynamodb.BatchGetItem", too_busy, unique_id="busy")
    try:
        again = ask("/v1/scores/BTC-USD").body
    finally:
        events.unregister("after-call.dynamodb.BatchGetItem", unique_id="busy")

    assert asked["horizons"][0]["windows"][0]["overall"]["forecasts"] == 1
    assert again == asked


def test_each_horizon_has_its_own_sums_of_today_and_yesterday(ask):
    sums = score(0.0003, NOON)
    table = ScoreTable("scores", clients.dynamodb())
    for horizon, hour, times in ((5, NOON - DAY, 2), (15, NOON - DAY, 3), (15, NOON + HOUR, 1)):
        table.put(BTC, horizon, hour, {"m": scores.merge([sums] * times)}, 60)
    told = {
        each["horizon"]: each["windows"][0]["overall"]["forecasts"]
        for each in ask("/v1/scores/BTC-USD").body["horizons"]
    }

    assert told == {1: 1, 5: 3, 15: 5, 60: 1}
