"""Numbers as a reader takes them in: significant digits, thousands separators, no exponents for large ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stallgate.formatting import beside, difference, number, percent, quantity, rounded, scaled, share


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (3190.2, 3, "3,190"),
        (999.7, 3, "1,000"),
        (99.6, 2, "100"),
        (123456.7, 3, "123,457"),
        (52_000_000_000, 4, "52,000,000,000"),
        (0.0407, 3, "0.0407"),
        (0.00009674, 3, "0.0000967"),
        (-0.00001, 3, "-0.00001"),
        (0.0000000012, 3, "1.2e-09"),
        (12.0, 3, "12"),
        (0, 3, "0"),
        (-4321.0, 3, "-4,321"),
    ],
)
def test_rounded(value: float, digits: int, text: str) -> None:
    assert rounded(value, digits) == text


@given(value=st.floats(1e-6, 1e15), digits=st.integers(1, 6), zeros=st.booleans())
def test_a_rounded_number_is_near_and_has_no_exponent(value: float, digits: int, zeros: bool) -> None:
    shown = rounded(value, digits, zeros=zeros)
    assert "e" not in shown
    assert float(shown.replace(",", "")) == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (640, "640 ns"),
        (1600, "1.60 µs"),
        (84_100, "84.1 µs"),
        (707_332_352, "707 ms"),
        (52e9, "52.0 s"),
        (6e11, "600 s"),
    ],
)
def test_a_time_is_in_the_unit_that_it_is_read_in(time: float, text: str) -> None:
    assert scaled(time, "ns") == text


def test_other_quantities_keep_their_unit() -> None:
    assert quantity(3190.2, "GB/s") == "3,190 GB/s"
    assert number(1234.5) == "1,234"
    assert quantity(707_332_352, "ns") == "707 ms"
    assert quantity(0.9904, "") == "0.990", "a ratio keeps the zero at its end"
    assert quantity(32, "register") == "32 register", "a count has none"


@pytest.mark.parametrize(
    ("value", "bound", "unit", "texts"),
    [
        (0.9904, 0.97, "", ("0.990", "0.97")),
        (0.96996, 0.97, "", ("0.96996", "0.97")),
        (20.004, 20.0, "%", ("20.004 %", "20 %")),
        (20.0, 20.0, "%", ("20.0 %", "20 %")),
        (2_841_000, 2_000_000, "ns", ("2.84 ms", "2 ms")),
        (999_900, 1_000_000, "ns", ("0.9999 ms", "1 ms")),
    ],
)
def test_a_value_beside_its_bound_has_as_many_digits_as_tell_them_apart(
    value: float, bound: float, unit: str, texts: tuple[str, str]
) -> None:
    assert beside(value, bound, unit) == texts


@pytest.mark.parametrize(
    ("value", "text"),
    [(18.54, "18.5"), (2.07, "2.1"), (1.0, "1.0"), (0.996, "1.0"), (0.964, "0.96"), (0.0761, "0.076"), (0, "0")],
)
def test_a_difference_has_one_place_and_below_one_two_digits(value: float, text: str) -> None:
    assert difference(value) == text
    assert percent(value / 100) == f"{text} %"


def test_what_is_not_zero_is_not_called_zero() -> None:
    assert difference(0.004) == share(0.004) == "<0.01"


@given(value=st.floats(1e-3, 1e6), bound=st.floats(1e-3, 1e6))
def test_a_value_and_its_bound_look_alike_only_where_they_are_as_good_as_equal(value: float, bound: float) -> None:
    shown = beside(value, bound, "")
    if shown[0] == shown[1]:
        assert value == pytest.approx(bound, rel=1e-7)
