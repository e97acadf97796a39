"""The online store's days into the lake: joined with what the lake holds, so that nothing it alone holds is lost."""

from btc import lake, parquet
from btc.aws.forecasts import ForecastTable
from btc.aws.lake import Lake
from btc.aws.tables import BarTable
from btc.forecasts import HORIZONS
from btc.times import DAY
from btc.trades import Market


def archive_bars(target: Lake, table: BarTable, market: Market, day: int) -> bool:
    """Join the day's closed bars into its object; whether that changed."""

    def remake(content: bytes | None) -> bytes | None:
        older = [] if content is None else parquet.bars_of(content, market)
        closed = [bar for bar in table.between(market, day, day + DAY) if bar.closed]
        joined = lake.join_bars(closed, older)
        return None if joined == older else parquet.bars(joined)

    return target.rewrite(lake.bars_key(market, day), remake)


def archive_forecasts(target: Lake, table: ForecastTable, market: Market, day: int, hours: tuple[int, int]) -> bool:
    """Join the forecasts for those hours of the day (from, to), of all horizons, into its object; whether that changed.

    What the table holds of the other hours was joined when it changed: a day is read by the megabyte.
    """

    def remake(content: bytes | None) -> bytes | None:
        older = [] if content is None else parquet.forecasts_of(content, market)
        newer = [each for horizon in HORIZONS for each in table.between(market, horizon, *hours)]
        joined = lake.join_forecasts(newer, older)
        return None if joined == older else parquet.forecasts(joined)

    return target.rewrite(lake.forecasts_key(market, day), remake)
