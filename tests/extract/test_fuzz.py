"""Fifty mutated ncu reports; ``make fuzz`` tries five hundred."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.extract.fuzz import Fuzz, mutate

SEEDS = range(1, 51)


def test_a_damaged_report_is_refused_inside_a_run_and_does_no_harm_through_import(tmp_path: Path) -> None:
    fuzz = Fuzz(next((ROOT / "reports/recorded").glob("*/cumprod")), tmp_path)
    told = {fuzz.trial(seed) for seed in SEEDS}
    assert told == {"refused", "read"}


@pytest.mark.parametrize("seed", SEEDS[:8])
def test_a_seed_gives_one_mutation(seed: int) -> None:
    report = bytes(range(256)) * 100
    assert mutate(report, seed) == mutate(report, seed) != report
