"""Numbers as exchanges write them become exact integers, or are refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btc.units import TooFineError, from_units, to_units


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("68580.0", 6_858_000_000_000),
        ("0.00123440", 123_440),
        ("1e-8", 1),
        ("0.00000001", 1),
        ("105433.60000", 10_543_360_000_000),
    ],
)
def test_decimal_text_becomes_the_exact_integer(text, units):
    assert to_units(text) == units
    assert to_units(Decimal(text)) == units


@given(st.integers(0, 10**22))
def test_units_and_decimals_are_the_same_number(units):
    assert to_units(str(from_units(units))) == units


@pytest.mark.parametrize("text", ["0.000000001", "68580.123456789", "1e-9"])
def test_a_number_finer_than_the_units_is_refused(text):
    with pytest.raises(TooFineError, match="finer than 1e-8"):
        to_units(text)


@pytest.mark.parametrize("text", ["", "abc", "NaN", "Infinity", "-Infinity", "1,5"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match="not a finite decimal"):
        to_units(text)
