"""The function that keeps every forecast with its outcome."""

from dataclasses import replace

import awswrangler as wr
import pytest

from btc import forecasts, lake, parquet, scores
from btc.aws import clients
from btc.aws.forecasts import ForecastTable
from btc.forecasts import HORIZONS, LEVELS, Scored
from btc.settings import ArchiveForecasts
from btc.times import DAY, MINUTE, day_of, iso
from tests.unit.aws import CONTEXT, aws, called, load
from tests.unit.market import BTC, NOON

pytestmark = pytest.mark.usefixtures("aws")
__all__ = ["aws"]


def say(as_of: int, model_version: str = "m", *, baseline: bool = False) -> list[Scored]:
    """Forecasts of all horizons, in the table."""
    quantiles = {horizon: [level / 1000 for level in LEVELS] for horizon in HORIZONS}
    made = forecasts.of(BTC, as_of, 60_000.0, quantiles, model_version=model_version, baseline=baseline)
    table = ForecastTable("forecasts", clients.dynamodb())
    return [Scored(forecast) for forecast in made if table.add(forecast, 30)]


def score(scored: Scored) -> Scored:
    """What the future says, written to the table."""
    outcome = scores.outcome(scored.forecast, 60_030.5)
    assert ForecastTable("forecasts", clients.dynamodb()).settle(scored.forecast, outcome)
    return replace(scored, outcome=outcome)


def key(scored: Scored):
    said = scored.forecast
    return {"series": {"S": f"{said.market}:{said.horizon}"}, "target_time": {"S": iso(said.target_time)}}


@pytest.fixture
def archive(aws):
    module = load("archive_forecasts", ArchiveForecasts(forecasts_table="forecasts", lake_bucket="lake"))

    def run(changed):
        module.handler({"Records": [{"dynamodb": {"NewImage": key(scored)}} for scored in changed]}, CONTEXT)

    return run


def stored(offset: int = 0) -> list[Scored]:
    place = lake.forecasts_key(BTC, day_of(NOON) + offset * DAY)
    return parquet.forecasts_of(clients.s3().get_object(Bucket="lake", Key=place)["Body"].read(), BTC)


def objects() -> list[tuple[str, str]]:
    return [(item["Key"], item["ETag"]) for item in clients.s3().list_objects_v2(Bucket="lake")["Contents"]]


def test_a_day_holds_every_forecast_whose_target_lies_in_it(archive):
    made = say(NOON + 11 * 60 * MINUTE + 50 * MINUTE)  # ten minutes before midnight
    archive(made)

    assert [key for key, _ in objects()] == [lake.forecasts_key(BTC, day_of(NOON) + offset * DAY) for offset in (0, 1)]
    assert stored() == made[:2]
    assert stored(1) == made[2:]


def test_a_forecast_is_kept_with_its_quantiles_its_model_and_whether_it_is_the_baselines(archive):
    archive(say(NOON, "2026-11-20-b77d64b6") + say(NOON + MINUTE, "baseline", baseline=True))

    frame = wr.s3.read_parquet(f"s3://lake/{lake.forecasts_key(BTC, day_of(NOON))}")
    assert list(frame.columns) == list(lake.FORECASTS)
    assert [len(each) for each in frame.quantiles] == [len(LEVELS)] * 8
    assert set(zip(frame.model_version, frame.baseline, strict=True)) == {
        ("2026-11-20-b77d64b6", False),
        ("baseline", True),
    }
    assert frame.realised_price.isna().all()


def test_an_outcome_joins_its_forecast_once_it_is_known_and_stays(archive):
    first, *rest = say(NOON)
    archive([first, *rest])
    scored = score(first)
    archive([scored])
    assert stored() == [scored, *rest]

    clients.dynamodb().delete_item(TableName="forecasts", Key=key(first))
    archive(say(NOON + MINUTE))
    assert stored()[0] == scored


def test_writing_twice_or_late_leaves_the_same_object(archive):
    made = say(NOON)
    with called() as operations:
        archive(made)
    before = objects()
    archive(made[:1])
    archive(reversed(made))

    assert objects() == before
    assert operations == {"Query", "GetObject", "PutObject"}


def test_what_expired_in_the_table_stays_in_the_lake_and_starts_nothing(archive):
    made = say(NOON)
    archive(made)
    for each in made:
        clients.dynamodb().delete_item(TableName="forecasts", Key=key(each))
    module = load("archive_forecasts", ArchiveForecasts(forecasts_table="forecasts", lake_bucket="lake"))
    module.handler({"Records": [{"eventName": "REMOVE", "dynamodb": {"OldImage": key(made[0])}}]}, CONTEXT)

    assert stored() == made


def test_an_event_that_was_lost_is_made_up_for_by_any_other_of_the_hour(archive):
    first, second, third, in_the_next_hour = say(NOON)
    archive([second])

    assert stored() == [first, second, third]
    archive([in_the_next_hour])
    assert stored() == [first, second, third, in_the_next_hour]
