"""What large runs cost: no browser is needed to say that a page takes too long or is too heavy to mail."""

from __future__ import annotations

import pytest

from tests.browser.pages import Drawn, Maker, many_configurations, two_thousand
from tests.conftest import copy_tree

MEGABYTE = 1e6


def launches(drawn: Drawn) -> int:
    return len(drawn.result.evidence.calls)


@pytest.mark.parametrize(
    ("maker", "least", "seconds", "megabytes"), [(many_configurations, 137, 4, 3), (two_thousand, 2000, 30, 15)]
)
def test_a_large_page_is_drawn_in_time_and_can_be_mailed(
    tmp_path_factory: pytest.TempPathFactory, maker: Maker, least: int, seconds: float, megabytes: float
) -> None:
    drawn = maker(copy_tree(tmp_path_factory.mktemp(maker.__name__) / "project"))
    assert launches(drawn) >= least
    assert drawn.page.stat().st_size < megabytes * MEGABYTE
    assert drawn.seconds < seconds
