"""What score_forecasts is tested with: the function, forecasts to score, and trades that tell what became of them."""

import json
from collections.abc import Iterable
from types import SimpleNamespace

import pytest

from btc import forecasts
from btc.aws import clients
from btc.aws.forecasts import ForecastTable
from btc.aws.tables import BarTable
from btc.bars import Bar
from btc.champions import Champion
from btc.forecasts import HORIZONS, LEVELS
from btc.settings import ScoreForecasts
from btc.tape import Watermark
from btc.times import DAY, MINUTE, SECOND, iso
from btc.trades import Market, Trade
from tests.unit.aws import CONTEXT, fold, load
from tests.unit.market import BTC, NOON

CHAMPION = Champion("2025-11-01-abc", "bitcoin/1", "s3://models/1", iso(NOON - 9 * DAY), iso(NOON - 9 * DAY))
ETH = Market("kraken", "ETH-USD")
QUANTILES = {horizon: [0.002 * (level - 0.5) for level in LEVELS] for horizon in HORIZONS}
TIMED = SimpleNamespace(**vars(CONTEXT), get_remaining_time_in_millis=lambda: 240_000)
RIVALS = {"naive": QUANTILES, "ewma": {horizon: [0.004 * (level - 0.5) for level in LEVELS] for horizon in HORIZONS}}


@pytest.fixture
def score(aws, monkeypatch, capsys):
    """Runs the function two seconds after that minute after noon; its metrics by name."""
    told = ScoreForecasts(
        bars_table="bars",
        forecasts_table="forecasts",
        scores_table="scores",
        state_table="state",
        markets=(str(BTC), str(ETH)),
        retention_days=7,
        catch_up_hours=3,
        least_forecasts=1000,
        coverage_low=0.85,
        coverage_high=0.95,
        skill_low=0.0,
        pipeline="predict-bitcoin-test",
        retrain_pause_hours=24,
    )
    module = load("score_forecasts", told)

    def run(minute: float, *, later: int = 0) -> dict[str, list[dict]]:
        now = NOON + round(minute * MINUTE) + 2 * SECOND + later
        monkeypatch.setattr(module.time, "time_ns", lambda: now * 1000)
        capsys.readouterr()
        module.handler({}, TIMED)
        found: dict[str, list[dict]] = {}
        for line in capsys.readouterr().out.splitlines():
            told = json.loads(line)
            for metric in (
                each["Name"] for group in told.get("_aws", {}).get("CloudWatchMetrics", ()) for each in group["Metrics"]
            ):
                found.setdefault(metric, []).append({**told, "value": told[metric][0]})
        return found

    return run


def forecast(
    *minutes: int, version: str = CHAMPION.model_version, baseline: bool = False, market: Market = BTC
) -> None:
    """Forecasts as of these minutes after noon."""
    for minute in minutes:
        made = forecasts.of(
            market,
            NOON + minute * MINUTE,
            100_000.0,
            QUANTILES,
            model_version=version,
            baseline=baseline,
            baselines=RIVALS,
        )
        assert all(ForecastTable("forecasts", clients.dynamodb()).add(each, 30) for each in made)


def trade(minutes: Iterable[int], until: int, price: float = 100_010.0, market: Market = BTC) -> list[Bar]:
    """A trade in each of these minutes after noon, and the feed alive up to minute `until`; all bars."""
    tape = [Trade(market, 1000 + row, NOON + row * MINUTE, round(price * 1e8), 10**7, True) for row in minutes]
    fold(tape, Watermark(market, NOON + until * MINUTE, tape[-1].trade_id) if tape else None)
    return BarTable("bars", clients.dynamodb()).between(market, NOON - DAY, NOON + 2 * DAY)
