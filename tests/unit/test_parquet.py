"""What the lake's objects hold is exactly what was put into them."""

from dataclasses import replace
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from btc import bars, forecasts, lake, parquet, scores
from btc.bars import Bar, Source
from btc.forecasts import HORIZONS, LEVELS, Reason, Scored
from btc.formats import UnknownFormatError
from btc.tape import Watermark
from btc.times import MINUTE
from btc.trades import Trades
from tests.unit.market import BTC, NOON, tapes

ATHENA = {
    "int64": "bigint",
    "bool": "boolean",
    "timestamp[us]": "timestamp",
    "list<element: double>": "array<double>",
    "map<string,double ('baseline_losses')>": "map<string,double>",  # Arrow tells a map's column with its type
    "map<string,list<element: double> ('baselines')>": "map<string,array<double>>",
}


def made(reference: float = 60_000.0) -> list[Scored]:
    quantiles = {horizon: [level / 1000 for level in LEVELS] for horizon in HORIZONS}
    told = {
        "model_version": "m",
        "baseline": True,
        "baseline_reason": Reason.EXPIRED,
        "baselines": {"ewma": quantiles, "har": quantiles},
    }
    return [Scored(forecast) for forecast in forecasts.of(BTC, NOON, reference, quantiles, **told)]


@given(tapes())
def test_bars_come_back_as_they_went(tape):
    proven = bars.prove(
        bars.merge({}, Trades.of(BTC, tape)), [Watermark(BTC, tape[-1].time + 3 * MINUTE, tape[-1].trade_id)]
    )
    rows = list(proven.values())

    assert parquet.bars_of(parquet.bars(rows), BTC) == rows


def test_a_kline_comes_back_with_what_it_does_not_know():
    kline = Bar(BTC, NOON, 90, 110, 80, 100, 5, None, None, None, closed=True, source=Source.KLINES)

    assert parquet.bars_of(parquet.bars([kline]), BTC) == [kline]


@given(tapes())
def test_objects_of_an_earlier_layout_are_still_read(tape):
    """Times were written as INT96 and bars had no source."""
    rows = list(bars.merge({}, Trades.of(BTC, tape)).values())
    earlier = BytesIO()
    table = pq.ParquetFile(BytesIO(parquet.bars(rows))).read().drop_columns("source")
    pq.write_table(table, earlier, use_deprecated_int96_timestamps=True)

    assert parquet.bars_of(earlier.getvalue(), BTC) == rows


@given(tapes(), st.data())
def test_trades_come_back_by_id_each_once_however_they_were_cut_and_repeated(tape, data):
    repeated = tape + data.draw(st.lists(st.sampled_from(tape), max_size=20))
    parts = [Trades.of(BTC, data.draw(st.permutations(repeated))), Trades.of(BTC, tape[:3])]
    contents = []
    for part in parts:
        sink = BytesIO()
        pq.write_table(parquet.trades(part), sink)
        contents.append(sink.getvalue())

    assert parquet.trades_of(contents, BTC) == Trades.of(BTC, tape)


def test_forecasts_come_back_with_and_without_their_outcomes():
    first, *rest = made()
    rows = [replace(first, outcome=scores.outcome(first.forecast, 60_100.5)), *rest]

    assert parquet.forecasts_of(parquet.forecasts(rows), BTC) == rows


def test_forecasts_of_the_first_layout_are_read_and_joined():
    """It had the baseline's loss in a column of its own, which nothing ever filled."""
    rows = [replace(each, forecast=replace(each.forecast, baselines={}, baseline_reason=None)) for each in made()]
    later = ["baseline_reason", "baselines", "below", "covered_50", "direction", "baseline_losses"]
    earlier = BytesIO()
    table = pq.ParquetFile(BytesIO(parquet.forecasts(rows))).read().drop_columns(later)
    pq.write_table(table.append_column("baseline_pinball_loss", pa.nulls(len(rows), pa.float64())), earlier)

    assert parquet.forecasts_of(earlier.getvalue(), BTC) == rows
    assert lake.join_forecasts(made(), parquet.forecasts_of(earlier.getvalue(), BTC)) == rows, "what was said stays"


@pytest.mark.parametrize(
    ("read", "kept"),
    [("bars_of", parquet.bars([])), ("forecasts_of", parquet.forecasts([]))],
    ids=["bars", "forecasts"],
)
def test_an_object_without_what_every_version_wrote_is_refused(read, kept):
    cut = BytesIO()
    pq.write_table(pq.ParquetFile(BytesIO(kept)).read().drop_columns([pq.read_schema(BytesIO(kept)).names[0]]), cut)

    with pytest.raises(UnknownFormatError, match="object of the lake is of a format that this version does not know"):
        getattr(parquet, read)(cut.getvalue(), BTC)


@pytest.mark.parametrize(
    ("content", "columns"),
    [(parquet.bars([]), lake.BARS), (parquet.forecasts([]), lake.FORECASTS)],
    ids=["bars", "forecasts"],
)
def test_an_object_has_the_columns_athena_is_told_of(content, columns):
    written = pq.read_schema(BytesIO(content))

    assert {field.name: athena(field.type) for field in written} == columns


def athena(kind):
    text = str(kind).replace("decimal128", "decimal").replace(", ", ",")
    return ATHENA.get(text, text)


def test_the_same_rows_are_the_same_bytes():
    assert parquet.forecasts(made()) == parquet.forecasts(made())
