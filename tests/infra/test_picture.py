"""The README's picture is that of this template, and shows every part that stands in the data's way."""

import copy
from xml.etree import ElementTree

import pytest

from cdk.picture import PICTURE, PLACES, Arrow, Parts, PlacelessError, drawn
from tests.infra.assembly import Assembly


def test_the_picture_is_this_templates(dev: Assembly) -> None:
    assert drawn(dev.template) == PICTURE.read_text(), "draw it anew: python -m cdk.picture"


def test_the_way_of_a_trade_to_a_forecast_is_there_in_arrows(dev: Assembly) -> None:
    arrows = Parts(dev.template).arrows()
    way = ["exchange", "ingest_trades", "TradesStream", "aggregate_bars", "BarsTable", "forecast", "ForecastsTable"]

    assert {*map(Arrow, way, way[1:])} <= {*arrows}
    assert Arrow("ForecastsTable", "api", read=True) in arrows
    assert not {part for arrow in arrows for part in arrow[:2]} - {*PLACES}


def test_every_function_and_table_is_drawn_once_and_none_over_another(dev: Assembly) -> None:
    boxes = list(Parts(dev.template).boxes())
    names = [box.name for box in boxes]

    assert {*dev.functions} <= {*names}
    assert len(names) == len({*names}) == len({(box.column, box.row) for box in boxes}) == len(PLACES)
    assert {box.name for box in boxes if "F" in box.marks} >= {"aggregate_bars", "forecast", "promote_model"}


def test_a_grant_that_goes_takes_its_arrow_along(dev: Assembly) -> None:
    less = copy.deepcopy(dev.template)
    policy = next(name for name in less["Resources"] if name.startswith("ForecastsForecastRoleDefaultPolicy"))
    statements = less["Resources"][policy]["Properties"]["PolicyDocument"]["Statement"]
    statements[:] = [each for each in statements if each["Action"] != "s3:GetObject"]

    assert {*Parts(dev.template).arrows()} - {*Parts(less).arrows()} == {Arrow("TrainingModels", "forecast", read=True)}


def test_a_part_without_a_place_is_named(dev: Assembly) -> None:
    more = copy.deepcopy(dev.template)
    more["Resources"]["Planted0123ABCD"] = {"Type": "AWS::DynamoDB::Table", "Properties": {}}

    with pytest.raises(PlacelessError, match=r"Planted: give it a place in cdk/picture\.py"):
        drawn(more)


def test_it_is_well_formed_and_reads_on_dark_ground() -> None:
    text = PICTURE.read_text()

    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own
    assert "prefers-color-scheme: dark" in text
