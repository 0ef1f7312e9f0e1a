"""Numbers as a reader takes them in: significant digits, thousands separators, no exponents for large ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stallgate.formatting import number, quantity, rounded, scaled


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
        (1600, "1.6 µs"),
        (84_100, "84.1 µs"),
        (707_332_352, "707 ms"),
        (52e9, "52 s"),
        (6e11, "600 s"),
    ],
)
def test_a_time_is_in_the_unit_that_it_is_read_in(time: float, text: str) -> None:
    assert scaled(time, "ns") == text


def test_other_quantities_keep_their_unit() -> None:
    assert quantity(3190.2, "GB/s") == "3,190 GB/s"
    assert number(1234.5) == "1,234"
    assert quantity(707_332_352, "ns") == "707.3 ms", "a verdict tells a near miss from a bound"
