"""What large runs cost: no browser is needed to say that a page takes too long or is too heavy to mail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.render.browser.pages import Make, made

MEGABYTE = 1e6


@pytest.mark.parametrize(
    ("name", "launches", "seconds", "megabytes"),
    [
        pytest.param("two_thousand", 2000, 20, 15, marks=pytest.mark.long),
        ("many_configurations", 137, 4, 3),
    ],
)
def test_a_large_page_is_drawn_in_time_and_can_be_mailed(
    make: Make, tmp_path: Path, name: str, launches: int, seconds: float, megabytes: float
) -> None:
    """A page is drawn in one thread, so that its CPU seconds are what a quiet machine takes, if nothing else runs.

    Beside busy cores they grow by half and more (2.6 s to 4.2 s): one drawing in time shows that it can be done.
    """
    drawn = make(name)
    assert len(drawn.result.calls) >= launches
    assert drawn.page.stat().st_size < megabytes * MEGABYTE
    took = [drawn.seconds]
    while min(took) >= seconds and len(took) < 4:
        took.append(made(name, tmp_path / str(len(took))).seconds)
    assert min(took) < seconds, took
