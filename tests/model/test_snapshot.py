"""The snapshot: exactly what the lake held, in one file that stays, named by its digest."""

import json

import boto3
import pytest

from btc import lake, parquet
from btc.klines import kline
from btc.times import DAY, MINUTE, iso
from btc.units import UNIT
from tests.model.walks import MONDAY
from tests.unit.aws import aws
from tests.unit.market import BTC
from training import dataset, snapshot
from training.dataset import UnreadableBarsError

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]
LAKE = "s3://lake/bars/venue=kraken/symbol=BTC-USD/"


def write_day(day: int, minutes: int = 300, price: int = 5_000_000_000_001) -> None:
    """A day of the lake as archive_bars writes it, prices finer than a cent."""
    start = MONDAY + day * DAY
    bars = [
        kline(BTC, start + row * MINUTE, (price + row, price + row + 3, price, price + row + 1), UNIT // 7 + row)
        for row in range(minutes)
    ]
    boto3.client("s3").put_object(Bucket="lake", Key=lake.bars_key(BTC, start), Body=parquet.bars(bars))


def test_it_holds_exactly_what_a_training_would_read_in_the_lake(aws, tmp_path):
    for day in (1, 0):
        write_day(day)
        target = tmp_path / "lake" / f"date={day}" / "bars.parquet"
        target.parent.mkdir(parents=True)
        boto3.client("s3").download_file("lake", lake.bars_key(BTC, MONDAY + day * DAY), str(target))
    manifest = snapshot.main(["--bars", LAKE, "--output", str(tmp_path / "taken")])
    minutes, _ = dataset.read(tmp_path / "lake")

    assert manifest["digest"] == dataset.digest(minutes) == dataset.digest(dataset.read(tmp_path / "taken")[0])
    assert manifest == json.loads((tmp_path / "taken/manifest.json").read_text())
    assert (manifest["rows"], manifest["minutes"], manifest["unknown"]) == (600, 1740, 1140)
    assert (manifest["from"], manifest["until"]) == (iso(MONDAY), iso(MONDAY + DAY + 300 * MINUTE))
    assert minutes.close[0] == 50_000.00000002


def test_the_same_lake_gives_the_same_file_and_another_one_another_digest(aws, tmp_path):
    write_day(0)
    first, again = (snapshot.snapshot(LAKE, tmp_path / name) for name in ("first", "again"))
    write_day(0, price=5_000_000_000_002)
    other = snapshot.snapshot(LAKE, tmp_path / "other")

    assert first == again
    assert (tmp_path / "first/bars.parquet").read_bytes() == (tmp_path / "again/bars.parquet").read_bytes()
    assert other["digest"] != first["digest"]


def test_a_training_refuses_bars_that_are_not_those_of_the_manifest(aws, tmp_path):
    write_day(0, minutes=1440)
    write_day(1)
    snapshot.snapshot(LAKE, tmp_path)
    assert dataset.load(tmp_path).digest == json.loads((tmp_path / "manifest.json").read_text())["digest"]

    write_day(1, minutes=301)
    snapshot.snapshot(LAKE, tmp_path / "other")
    (tmp_path / "bars.parquet").write_bytes((tmp_path / "other/bars.parquet").read_bytes())
    (tmp_path / "other/bars.parquet").unlink()
    with pytest.raises(UnreadableBarsError, match="take the snapshot anew"):
        dataset.load(tmp_path)


def test_an_empty_lake_is_said(aws, tmp_path):
    with pytest.raises(UnreadableBarsError, match="no bars at s3://lake/bars"):
        snapshot.snapshot(LAKE, tmp_path)
