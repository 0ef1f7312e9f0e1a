"""What large runs cost: no browser is needed to say that a page takes too long or is too heavy to mail."""

from __future__ import annotations

import pytest

from tests.browser.pages import Make

MEGABYTE = 1e6


@pytest.mark.parametrize(
    ("name", "launches", "seconds", "megabytes"),
    [
        pytest.param("many_configurations", 137, 4, 3, marks=pytest.mark.xdist_group("many_configurations")),
        pytest.param("two_thousand", 2000, 30, 15, marks=pytest.mark.xdist_group("two_thousand")),
    ],
)
def test_a_large_page_is_drawn_in_time_and_can_be_mailed(
    make: Make, name: str, launches: int, seconds: float, megabytes: float
) -> None:
    drawn = make(name)
    assert len(drawn.result.evidence.calls) >= launches
    size, took = drawn.page.stat().st_size, drawn.seconds
    assert size < megabytes * MEGABYTE
    assert took < seconds
