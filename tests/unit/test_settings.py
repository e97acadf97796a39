"""What the infrastructure writes is what a function reads."""

import pytest

from btc.settings import AggregateBars, Api, IngestTrades, ScoreForecasts, SettingsError
from btc.trades import Market

INGEST = IngestTrades(
    stream="trades",
    state_table="state",
    venue="kraken",
    symbols=("BTC-USD", "ETH-USD"),
    history_days=7,
    batch_ms=250,
    watermark_lag_ms=2000,
    websocket_url="",
    rest_url="",
)
SCORE = ScoreForecasts(
    bars_table="bars",
    forecasts_table="forecasts",
    scores_table="scores",
    state_table="state",
    markets=("kraken:BTC-USD",),
    retention_days=60,
    catch_up_hours=24,
    least_forecasts=1000,
    coverage_low=0.85,
    coverage_high=0.95,
    skill_low=-0.01,
    pipeline="predict-bitcoin-dev",
    retrain_pause_hours=24,
)


@pytest.mark.parametrize(
    "settings",
    [
        INGEST,
        AggregateBars(bars_table="bars", state_table="state", retention_days=60),
        Api(
            bars_table="bars",
            forecasts_table="forecasts",
            scores_table="scores",
            state_table="state",
            markets=("kraken:BTC-USD",),
            cors_origin="https://example.org",
            signed=True,
            channel_url="wss://channel.example.org/live",
            listeners_table="listeners",
        ),
        SCORE,
    ],
)
def test_settings_come_back_from_the_environment_they_were_written_to(settings):
    assert type(settings).from_env(settings.to_env()) == settings


def test_every_missing_or_unreadable_variable_is_named_at_once():
    with pytest.raises(SettingsError, match=r"STATE_TABLE is not set; RETENTION_DAYS='soon'"):
        AggregateBars.from_env({"BARS_TABLE": "bars", "RETENTION_DAYS": "soon"})


def test_the_ingest_task_knows_its_markets():
    assert INGEST.markets == (Market("kraken", "BTC-USD"), Market("kraken", "ETH-USD"))
