"""The id that leads through all logs: a market's minute."""

from btc import correlation
from btc.times import DAY, MINUTE
from btc.trades import Market
from tests.unit.market import BTC, NOON

ETHER = Market("kraken", "ETH-USD")


def test_each_minute_is_named_once_in_order():
    assert correlation.minutes([(ETHER, NOON), (BTC, NOON + MINUTE), (BTC, NOON), (BTC, NOON)]) == [
        "kraken:BTC-USD 2025-11-10T12:00:00Z",
        "kraken:BTC-USD 2025-11-10T12:01:00Z",
        "kraken:ETH-USD 2025-11-10T12:00:00Z",
    ]


def test_history_is_named_by_its_days():
    minutes = [(BTC, NOON + row * MINUTE) for row in range(correlation.MOST + 1)]

    assert correlation.minutes(minutes) == ["kraken:BTC-USD 2025-11-10"]
    assert len(correlation.minutes(minutes[1:])) == correlation.MOST
    assert correlation.minutes([*minutes, (BTC, NOON + DAY)])[-1] == "kraken:BTC-USD 2025-11-11"
