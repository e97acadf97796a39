"""Reading bars: the lake's own and plain files; what is repaired is said, what cannot be is refused."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from btc.bars import Bar
from btc.features import LOOK_BACK
from btc.forecasts import HORIZONS
from btc.minutes import Minutes
from btc.times import DAY, MINUTE, date
from btc.units import from_units
from tests.model.walks import MONDAY, walk
from tests.unit.market import BTC
from training import dataset
from training.dataset import UnreadableBarsError

SMALL = walk(200)


def write(path, **changes):
    columns = {name: getattr(SMALL, name) for name in ("open", "high", "low", "close", "volume")}
    columns = {"start": SMALL.start.astype("datetime64[us]"), **columns, **changes}
    pq.write_table(pa.table({name: column for name, column in columns.items() if column is not None}), path)
    return path


def test_a_plain_file_needs_no_flows(tmp_path):
    minutes, repairs = dataset.read(write(tmp_path / "bars.parquet"))

    np.testing.assert_array_equal(minutes.close, SMALL.close)
    assert minutes.known.all()
    assert np.isnan(minutes.buy_volume).all()
    assert repairs == ()


def test_the_lakes_decimals_become_the_floats_of_the_online_bars(tmp_path):
    prices = [5_123_456_789_123 + 1_234_567 * row for row in range(300)]
    bars = [
        Bar(
            BTC,
            MONDAY + (1300 + row) * MINUTE,
            price,
            price + 7,
            price - 3,
            price + 1,
            volume=3 * row + 1,
            buy_volume=row,
            trade_count=1,
            ranges=((row + 1, row + 1),),
            prior_id=row,
            next_id=row + 2 if row != 5 else None,
        )
        for row, price in enumerate(prices)
    ]
    for day in (MONDAY, MONDAY + DAY):
        folder = tmp_path / "venue=kraken" / "symbol=BTC-USD" / f"date={date(day)}"
        folder.mkdir(parents=True)
        part = [bar for bar in bars if day <= bar.start < day + DAY]
        decimals = {name: 28 if "volume" in name else 18 for name in (*dataset.PRICES, "volume", "buy_volume")}
        table = {
            "start": pa.array([bar.start for bar in part], pa.timestamp("us", "UTC")),
            **{
                name: pa.array([from_units(getattr(bar, name)) for bar in part], pa.decimal128(digits, 8))
                for name, digits in decimals.items()
            },
            "trade_count": [bar.trade_count for bar in part],
            "complete": [bar.complete for bar in part],
        }
        pq.write_table(pa.table(table), folder / "bars.parquet")
    offline, _ = dataset.read(tmp_path)
    online = Minutes.of_bars(bars)

    for name in ("start", "open", "high", "low", "close", "volume", "buy_volume", "trade_count", "known"):
        np.testing.assert_array_equal(getattr(offline, name), getattr(online, name), err_msg=name)
    assert not offline.known[5]


def test_disorder_and_equal_repeats_are_repaired_and_said(tmp_path):
    order = [*range(100, 200), *range(100), 7, 8]
    columns = {name: getattr(SMALL, name)[order] for name in ("open", "high", "low", "close", "volume")}
    path = write(tmp_path / "bars.parquet", start=SMALL.start[order].astype("datetime64[us]"), **columns)
    minutes, repairs = dataset.read(path)

    np.testing.assert_array_equal(minutes.close, SMALL.close)
    assert "sorted" in repairs[0]
    assert "2 repeated rows" in repairs[1]


def test_rows_without_a_price_are_absent_minutes(tmp_path):
    close = SMALL.close.copy()
    close[50:53] = np.nan
    minutes, repairs = dataset.read(write(tmp_path / "bars.parquet", close=close))

    assert not minutes.known[50:53].any()
    assert (minutes.close[50:53] == SMALL.close[49]).all()
    assert "3 rows without a price" in repairs[0]
    assert "3 absent minutes" in repairs[1]


def test_repeats_that_contradict_each_other_are_refused(tmp_path):
    start = SMALL.start.copy()
    start[9] = start[8]

    with pytest.raises(UnreadableBarsError, match="twice"):
        dataset.read(write(tmp_path / "bars.parquet", start=start.astype("datetime64[us]")))


def test_what_is_no_bars_is_refused(tmp_path):
    with pytest.raises(UnreadableBarsError, match="there is no Parquet file"):
        dataset.read(tmp_path)
    with pytest.raises(UnreadableBarsError, match="volume is missing"):
        dataset.read(write(tmp_path / "bars.parquet", volume=None))
    (tmp_path / "bars.parquet").write_text("start,open")
    with pytest.raises(UnreadableBarsError, match=r"bars.parquet: no readable Parquet \(.*convert other files"):
        dataset.read(tmp_path / "bars.parquet")


def test_a_source_of_the_files_own_means_nothing(tmp_path):
    minutes, repairs = dataset.read(write(tmp_path / "bars.parquet", source=np.arange(200)))

    assert minutes.known.all()
    assert repairs == ()


def test_volumes_may_be_counted_in_small_coins(tmp_path):
    minutes, _ = dataset.read(write(tmp_path / "bars.parquet", volume=SMALL.volume * 1e8, buy_volume=None))

    np.testing.assert_allclose(minutes.volume, SMALL.volume * 1e8)


def moments(unit, zone=None, factor=1):
    return pa.array(SMALL.start // 10**6 * factor, pa.timestamp(unit, zone))


@pytest.mark.parametrize(
    "start",
    [moments("s"), moments("ns", factor=10**9), moments("ms", "America/New_York", factor=1000), pa.array(SMALL.start)],
    ids=["seconds", "nanoseconds", "zone", "integers"],
)
def test_starts_are_read_in_every_unit_and_zone(tmp_path, start):
    minutes, repairs = dataset.read(write(tmp_path / "bars.parquet", start=start))

    np.testing.assert_array_equal(minutes.start, SMALL.start)
    assert repairs == ()


def one(column, value, row=77):
    changed = getattr(SMALL, column).copy()
    changed[row] = value
    return {column: changed}


@pytest.mark.parametrize(
    ("changes", "said", "absent"),
    [
        (one("close", -5.0), "1 rows without a price or volume", 1),
        (one("high", np.inf), "1 rows without a price or volume", 1),
        (one("volume", -1.0), "1 rows without a price or volume", 1),
        (one("high", 1.0), "1 rows with a price outside their high and low", 1),
        ({"buy_volume": 2 * SMALL.volume + 1}, "200 rows with impossible flows", 0),
        ({"trade_count": np.where(np.arange(200) < 3, -1, 5)}, "3 rows with impossible flows", 0),
    ],
    ids=["negative price", "infinite price", "negative volume", "high below low", "bought too much", "negative trades"],
)
def test_what_cannot_be_is_left_out_and_said(tmp_path, changes, said, absent):
    minutes, repairs = dataset.read(write(tmp_path / "bars.parquet", **changes))

    assert said in repairs[0]
    assert (~minutes.known).sum() == absent
    assert np.isnan(minutes.buy_volume).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": pa.array(SMALL.start // 10**6)}, "200 rows do not start on a whole minute, the first at 1970"),
        ({"start": pa.array(SMALL.start * 1000)}, "closest two rows lie 1000 minutes apart"),
        ({"start": pa.array(SMALL.start + 5)}, "do not start on a whole minute"),
        ({"start": pa.array(MONDAY + (SMALL.start - SMALL.start[0]) * 60)}, "closest two rows lie 60 minutes apart"),
        ({"start": pa.array(SMALL.start / 1e6)}, "column start holds double"),
        ({"start": pa.array(["soon"] * 200)}, "column start holds string"),
        ({"start": pa.array([None, *SMALL.start[1:].tolist()], pa.int64())}, "1 rows have no start"),
        ({"start": pa.array(np.where(np.arange(200) == 9, 0, SMALL.start))}, "the minutes span 55 years"),
        ({"close": pa.array(["1.0"] * 200)}, "column close holds string, not numbers"),
        ({"close": pa.array([None] * 200, pa.float64())}, "none of 200 rows has prices"),
        ({"high": SMALL.low, "low": SMALL.high}, "rows the high or the low does not enclose"),
        ({"complete": pa.array(["yes"] * 200)}, "column complete holds string"),
        ({"buy_volume": pa.array(["x"] * 200)}, "column buy_volume holds string"),
        ({"volume": pa.array(SMALL.volume + 1e16)}, "column volume holds numbers above 1e.15"),
        ({"trade_count": pa.array([1e30] * 200)}, "column trade_count holds numbers above"),
        ({"open": pa.array([Decimal(2**64)] * 200, pa.decimal128(38, 8))}, "column open holds numbers beyond"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_columns_that_hold_something_else_are_refused_by_name(tmp_path, changes, said):
    with pytest.raises(UnreadableBarsError, match=said):
        dataset.read(write(tmp_path / "bars.parquet", **changes))


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    table = pq.ParquetFile(write(tmp_path / "bars.parquet")).read()
    pq.write_table(table.append_column("close", table["open"]), tmp_path / "bars.parquet")

    with pytest.raises(UnreadableBarsError, match="close is there more than once"):
        dataset.read(tmp_path / "bars.parquet")


@pytest.mark.parametrize("told", ["{}", "x", "[]"])
def test_a_manifest_that_names_no_data_is_refused(tmp_path, told):
    (tmp_path / "manifest.json").write_text(told)

    with pytest.raises(UnreadableBarsError, match="take the snapshot anew"):
        dataset.refuse_other_data(tmp_path / "manifest.json", "0" * 64)


def test_files_that_are_empty_cut_or_corrupt_are_refused(tmp_path):
    path = write(tmp_path / "bars.parquet")
    whole = path.read_bytes()
    for broken in (b"", whole[: len(whole) // 2], whole[:200] + bytes(2000) + whole[2200:]):
        path.write_bytes(broken)
        with pytest.raises(UnreadableBarsError, match="no readable Parquet"):
            dataset.read(path)
    nothing = {name: np.empty(0) for name in ("open", "high", "low", "close", "volume")}
    with pytest.raises(UnreadableBarsError, match="no minutes at all"):
        dataset.read(write(path, start=np.empty(0, "datetime64[us]"), **nothing))


def test_two_markets_are_not_one_dataset(tmp_path):
    for symbol in ("BTC-USD", "ETH-USD"):
        folder = tmp_path / f"symbol={symbol}" / "date=2024-10-07"
        folder.mkdir(parents=True)
        write(folder / "bars.parquet")

    with pytest.raises(UnreadableBarsError, match="2 markets"):
        dataset.read(tmp_path)


def test_the_digest_names_the_data():
    minutes = walk(LOOK_BACK + 100)
    data = dataset.build(minutes)

    assert data.digest == dataset.build(minutes).digest != dataset.build(minutes[:-1]).digest
    assert set(data.targets) == set(HORIZONS)
    assert data.rows.min() == LOOK_BACK
    assert len(data.matrix) == len(minutes)
