"""On a GPU: kernels that provoke each rule of advice that Triton can provoke, and counterparts that stay silent.

    pytest -q -s tests/advise/test_gpu_advice.py

profiles them all once: an ncu process a problem for the samples, and one for the launches with every section.
"""

from __future__ import annotations

import shutil
import time
from typing import Any

import pytest

from stallgate.measure.device import find_devices
from tests.advise.followed import PAIRS, advised_cases, followed

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not find_devices() or shutil.which("ncu") is None, reason="there is no GPU, or no ncu"),
]

FIRST = {
    "scaled_add/strided/default/large": "sector_use",
    "scaled_add/few/default/large": "too_few_programs",
    "scaled_add/whole/default/large": "at_the_roof",
    "scaled_add/double/default/large": "double_precision",
    "scaled_add/special/default/large": "conversions",
    "scaled_bytes/narrow/default/large": "narrow_loads",
    "row_sums/pipelined/one_stage/large": "no_pipelining",
    "over_sum/two_pass/default/large": "l2_thrash",
    "over_sum/one_pass/spilling/large": "register_spills",
    "column_sums/contended/default/large": "atomics",
    "product/tiles/small_tiles/large": "tensor_cores_idle",
    "scaled_add/busy/default/large": "issue_bound",
    "scaled_add/unrolled/default/large": "instruction_cache",
}
"""Case -> the rule whose advice comes first."""

AMONG = {
    "scaled_add/scattered/default/large": "partial_sector_writes",
    "scaled_add/partial_wave/default/large": "partial_wave",
    "scaled_add/unequal/default/large": "imbalance",
    "running_sum/plain_scan/default/large": "pipelining_ignored",
    "running_sum/scan/deep/large": "pipelining_too_deep",
    "scaled_add/meeting/default/large": "barrier_waits",
    "scaled_add/single_warps/default/large": "low_occupancy",
    "product/without_dot/default/large": "little_reuse",
    "product/tiles/small_tiles/large": "little_reuse",
    "tiny_add/whole/default/tiny": "launch_bound",
    "scaled_add/exchanging/default/large": "shared_memory_side",
    "scaled_add/conflicting/default/large": "bank_conflicts",
    "scaled_add/diverging/default/large": "divergence",
    "tall_product/far_apart/default/large": "rereads",
}
"""Case -> a rule that has to be among its advice, where several causes meet."""

SILENT = {
    "sector_use": "scaled_add/few/default/large",
    "partial_sector_writes": "scaled_add/whole/default/large",
    "narrow_loads": "scaled_bytes/whole/default/large",
    "too_few_programs": "scaled_add/unequal/default/large",
    "partial_wave": "scaled_add/whole/default/large",
    "imbalance": "scaled_add/whole/default/large",
    "double_precision": "scaled_add/special/default/large",
    "conversions": "scaled_add/double/default/large",
    "no_pipelining": "row_sums/pipelined/default/large",
    "pipelining_ignored": "running_sum/scan/default/large",
    "pipelining_too_deep": "row_sums/pipelined/default/large",
    "barrier_waits": "running_sum/plain_scan/default/large",
    "l2_thrash": "over_sum/one_pass/default/large",
    "register_spills": "over_sum/one_pass/default/large",
    "low_occupancy": "over_sum/one_pass/default/large",
    "atomics": "column_sums/reduced_first/default/large",
    "little_reuse": "scaled_add/whole/default/large",
    "tensor_cores_idle": "product/tiles/default/large",
    "launch_bound": "scaled_add/whole/default/large",
    "at_the_roof": "scaled_add/strided/default/large",
    "bank_conflicts": "running_sum/scan/default/large",
    "shared_memory_side": "scaled_add/whole/default/large",
    "issue_bound": "scaled_add/whole/default/large",
    "instruction_cache": "scaled_add/busy/default/large",
    "divergence": "scaled_add/special/default/large",
    "rereads": "tall_product/side_by_side/default/large",
}
"""Rule -> the case on which it has to be silent."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The cases with their advice, of one profile with every section; how long it took is printed."""
    begun = time.monotonic()
    cases = advised_cases(tmp_path_factory.mktemp("advice") / "project")
    print(f"{len(cases)} cases in {time.monotonic() - begun:.0f} s")
    return cases


@pytest.fixture(scope="module")
def advised(found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Case -> its advice."""
    return {each["case"]: each["advice"] for each in found}


@pytest.mark.parametrize("case", FIRST)
def test_the_first_advice(advised: dict[str, list[dict[str, Any]]], case: str) -> None:
    assert [advice["rule"] for advice in advised[case]][:1] == [FIRST[case]], advised[case]


@pytest.mark.parametrize("case", AMONG)
def test_a_cause_among_others(advised: dict[str, list[dict[str, Any]]], case: str) -> None:
    assert AMONG[case] in [advice["rule"] for advice in advised[case]]


@pytest.mark.parametrize("rule", SILENT)
def test_a_counterpart_is_silent(advised: dict[str, list[dict[str, Any]]], rule: str) -> None:
    assert rule not in [advice["rule"] for advice in advised[SILENT[rule]]]


@pytest.mark.parametrize("planted", PAIRS)
def test_who_follows_the_first_advice_gains_what_it_claims(found: list[dict[str, Any]], planted: str) -> None:
    row = followed(found, planted)
    assert row.is_fair, row.line
