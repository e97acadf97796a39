"""Trades into the deployed stream, and what comes back: bars in the table, answers over the REST API, objects in S3."""

import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import reduce
from typing import Any, Final

from btc import bars, tape
from btc.tape import Watermark
from btc.times import MINUTE, date, iso
from btc.trades import Market, Trade, Trades
from btc.units import UNIT, from_units
from tests.rehearsal.emulator import Emulator, RehearsalError, get

MARKET: Final = Market("kraken", "BTC-USD")
MINUTES: Final = 300
"""More than the baselines look back."""
FIRST_ID: Final = 1000
WITHIN_S: Final = 90


class Trip:
    """One market's trades through one deployment."""

    def __init__(self, emulator: Emulator, outputs: Mapping[str, str], now: int) -> None:
        """`now` in µs: the trades are of the minutes before it, wherever they are asked for."""
        self._emulator = emulator
        self._outputs = outputs
        self._begin = now // MINUTE * MINUTE - MINUTES * MINUTE
        self._trades = [self._trade(number) for number in range(MINUTES)]
        rest = outputs["ApiUrl"].removeprefix("https://").partition(".")[0]
        self._api = f"{emulator.endpoint}/restapis/{rest}/live/_user_request_"
        key = emulator.client("apigateway").get_api_key(apiKey=outputs["ApiKeyId"], includeValue=True)["value"]
        self._key = {"x-api-key": key}

    def elsewhere(self, outputs: Mapping[str, str]) -> "Trip":
        """The same trades, asked of another deployment."""
        return Trip(self._emulator, outputs, self._begin + MINUTES * MINUTE)

    @property
    def first_day(self) -> str:
        return date(self._begin)

    def _trade(self, number: int) -> Trade:
        """One a minute, half a minute after it began."""
        price = (60_000 + number * 7 % 50) * UNIT
        return Trade(MARKET, FIRST_ID + number, self._begin + number * MINUTE + MINUTE // 2, price, UNIT // 100, True)

    def send(self) -> str:
        """Put the trades, and the mark that closes their minutes."""
        self._put(Watermark(MARKET, self._begin, FIRST_ID - 1), Trades.of(MARKET, self._trades), self._mark())
        return f"{len(self._trades)} trades into {self._outputs['StreamName']}"

    def send_one_more(self) -> str:
        """Another trade of the last minute, which changes a bar that has been told."""
        last = self._trades[-1]
        late = last._replace(trade_id=last.trade_id + 1, time=last.time + 1, price=61_000 * UNIT)
        self._trades.append(late)
        self._put(Trades.of(MARKET, [late]), self._mark())
        return f"trade {late.trade_id}"

    def expect_bars(self) -> str:
        """The API's bars, number by number those of the trades. Raises RehearsalError."""
        made = reduce(bars.merge, [Trades.of(MARKET, self._trades)], {})
        expected = [
            {
                "start": iso(bar.start),
                "close": from_units(bar.close),
                "volume": from_units(bar.volume),
                "trade_count": bar.trade_count,
                "first_trade_id": bar.first_id,
                "last_trade_id": bar.last_id,
            }
            for _, bar in sorted(made.items())
        ]
        path = f"/v1/bars/BTC-USD?start={iso(self._begin)}"
        self._until(path, lambda told: _same(told.get("bars", []), expected), f"{len(expected)} equal bars")
        return f"{len(expected)} bars, equal to those of the trades"

    def expect_forecasts(self) -> str:
        """Of every horizon that was still to come when the last bar was read. Raises RehearsalError."""

        def horizons(told: Any) -> set[int]:
            return {forecast["horizon"] for forecast in told.get("forecasts", [])}

        told = self._until("/v1/forecasts/BTC-USD", lambda told: horizons(told) >= {5, 15, 60}, "forecasts")
        if not all(forecast["baseline"] for forecast in told["forecasts"]):
            raise RehearsalError("there is no model, and a forecast that does not say it is the baseline's")
        return f"horizons {sorted(horizons(told))} as of {told['as_of']}, the baseline's, as nothing is trained"

    def expect_refusals(self) -> str:
        """The gateway's own answers. Raises RehearsalError."""
        refused = {"/v1/bars/BTC-USD": ({}, 403), "/nowhere": (self._key, 404)}
        for path, (headers, status) in refused.items():
            told, problem = get(self._api + path, headers)
            if (told, problem["status"]) != (status, status):
                raise RehearsalError(f"{path}: {told} with {problem}, expected {status}")
        status, health = get(f"{self._api}/health")
        if (status, health["status"]) != (200, "ok"):
            raise RehearsalError(f"/health: {status} with {health}")
        return "no key 403, no path 404, health ok"

    def expect_objects(self) -> str:
        """The day's tape and bars in the lake. Raises RehearsalError."""
        s3, bucket = self._emulator.client("s3"), self._outputs["LakeBucket"]

        def there() -> set[str]:
            found = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
            return {entry["Key"].partition("/")[0] for entry in found}

        wanted = {"bars", "forecasts", "tape"}
        _wait(lambda: there() >= wanted, lambda: f"the lake holds {sorted(there())}, not yet {sorted(wanted)}")
        return ", ".join(sorted(wanted))

    def _mark(self) -> Watermark:
        return Watermark(MARKET, self._begin + MINUTES * MINUTE, self._trades[-1].trade_id)

    def _put(self, *entries: Trades | Watermark) -> None:
        records = [{"Data": tape.encode(entry), "PartitionKey": str(MARKET)} for entry in entries]
        kinesis = self._emulator.client("kinesis")
        if kinesis.put_records(StreamName=self._outputs["StreamName"], Records=records)["FailedRecordCount"]:
            raise RehearsalError("the stream refused records")

    def _until(self, path: str, right: Callable[[Any], bool], wanted: str) -> Any:
        last: list[Any] = [None]

        def answered() -> bool:
            status, last[0] = get(self._api + path, self._key)
            return status == 200 and right(last[0])

        _wait(answered, lambda: f"{path}: waited for {wanted}, and was told {str(last[0])[:1000]}")
        return last[0]


def _same(told: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    chosen = [{key: bar.get(key) for key in expected[0]} for bar in told]
    return [_exact(bar) for bar in chosen] == expected


def _exact(bar: dict[str, Any]) -> dict[str, Any]:
    return {key: Decimal(str(value)) if isinstance(value, float) else value for key, value in bar.items()}


def _wait(done: Callable[[], bool], why: Callable[[], str]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not done():
        if time.monotonic() > deadline:
            raise RehearsalError(f"after {WITHIN_S} s: {why()}")
        time.sleep(0.5)
