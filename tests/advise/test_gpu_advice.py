"""On a GPU: kernels that provoke each rule of advice that Triton can provoke, and counterparts that stay silent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stallgate.measure.device import find_devices
from tests.conftest import ROOT

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not find_devices() or shutil.which("ncu") is None, reason="there is no GPU, or no ncu"),
]

KERNELS = Path(__file__).with_name("kernels")

CONFIGURATIONS = ("default", "one_stage", "deep", "barriers", "spilling", "crowded", "small_tiles")

FIRST = {
    "scaled_add/strided/default/large": "sector_use",
    "scaled_add/few/default/large": "too_few_programs",
    "scaled_add/whole/default/large": "at_the_roof",
    "scaled_add/double/default/large": "double_precision",
    "scaled_add/special/default/large": "conversions",
    "scaled_bytes/narrow/default/large": "narrow_loads",
    "running_sum/scan/one_stage/large": "no_pipelining",
    "over_sum/two_pass/default/large": "l2_thrash",
    "over_sum/one_pass/spilling/large": "register_spills",
    "column_sums/contended/default/large": "atomics",
    "product/tiles/small_tiles/large": "tensor_cores_idle",
}
"""Case -> the rule whose advice comes first."""

AMONG = {
    "scaled_add/scattered/default/large": "partial_sector_writes",
    "scaled_add/partial_wave/default/large": "partial_wave",
    "scaled_add/unequal/default/large": "imbalance",
    "running_sum/plain_scan/default/large": "pipelining_ignored",
    "running_sum/scan/deep/large": "pipelining_too_deep",
    "running_sum/scan/barriers/large": "barrier_waits",
    "over_sum/one_pass/crowded/large": "low_occupancy",
    "product/without_dot/default/large": "little_reuse",
    "product/tiles/small_tiles/large": "little_reuse",
    "tiny_add/whole/default/tiny": "launch_bound",
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
    "no_pipelining": "running_sum/scan/default/large",
    "pipelining_ignored": "running_sum/scan/default/large",
    "pipelining_too_deep": "running_sum/scan/one_stage/large",
    "barrier_waits": "running_sum/plain_scan/default/large",
    "l2_thrash": "over_sum/one_pass/default/large",
    "register_spills": "over_sum/one_pass/default/large",
    "low_occupancy": "over_sum/one_pass/default/large",
    "atomics": "column_sums/reduced_first/default/large",
    "little_reuse": "product/tiles/default/large",
    "tensor_cores_idle": "product/tiles/default/large",
    "launch_bound": "scaled_add/whole/default/large",
    "at_the_roof": "scaled_add/strided/default/large",
}
"""Rule -> the case on which it has to be silent."""


def stallgate(root: Path, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "stallgate", *arguments, "--json", "--root", str(root)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "harness"), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    print(done.stderr[-3000:])
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def advised(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Case -> its advice, of one profile with every section."""
    root = tmp_path_factory.mktemp("advice") / "project"
    shutil.copytree(KERNELS, root)
    configurations = [word for name in CONFIGURATIONS for word in ("-c", name)]
    stallgate(root, "profile", "--detail", "--samples", "3", *configurations)
    return {found["case"]: found["advice"] for found in stallgate(root, "advise", "--limit", "20")["cases"]}


@pytest.mark.parametrize("case", FIRST)
def test_the_first_advice(advised: dict[str, list[dict[str, Any]]], case: str) -> None:
    assert [advice["rule"] for advice in advised[case]][:1] == [FIRST[case]], advised[case]


@pytest.mark.parametrize("case", AMONG)
def test_a_cause_among_others(advised: dict[str, list[dict[str, Any]]], case: str) -> None:
    assert AMONG[case] in [advice["rule"] for advice in advised[case]]


@pytest.mark.parametrize("rule", SILENT)
def test_a_counterpart_is_silent(advised: dict[str, list[dict[str, Any]]], rule: str) -> None:
    assert rule not in [advice["rule"] for advice in advised[SILENT[rule]]]
