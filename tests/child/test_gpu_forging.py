"""On a GPU: a variant that replaces the comparison, and a referee that cannot use the GPU itself."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from stallgate.measure.device import find_devices
from tests.conftest import ROOT
from tests.measure.test_gpu import latest, stallgate
from tests.measure.test_shared_process import ATTACK

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not find_devices() or shutil.which("ncu") is None, reason="there is no GPU, or no ncu"),
]

PLAN = ("cumprod/blocked_scan", "cumprod/two_pass_scan", "--live", "-w", "page", "--samples", "2")
COPIES = """
import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def _copy_kernel(x_ptr, y_ptr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y_ptr + at, tl.load(x_ptr + at))


class ModelNew(nn.Module):
    def __init__(self, dim):
        super().__init__()

    def forward(self, x):
        y = torch.empty_like(x)
        _copy_kernel[(x.numel() // 1024,)](x, y, 1024)
        return y
"""
"""As fast as the roof, and wrong."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("kernels", "metrics"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "baselines"))
    return tmp_path


def cases(root: Path) -> dict[str, Any]:
    return {result["case"]["variant"]: result for result in latest(root)["cases"]}


def test_a_copy_that_replaces_the_comparison_is_no_measurement(project: Path) -> None:
    (project / "kernels/cumprod/blocked_scan.py").write_text(COPIES + ATTACK.replace("nn.Module.__call__", "ignored"))
    done = stallgate(project, "profile", *PLAN)
    found = cases(project)
    assert found["blocked_scan"]["outcome"] == "not_profiled", done.stderr
    assert "requested an edge case before it submitted the output" in found["blocked_scan"]["reason"]
    assert found["copy_roof"]["outcome"] == "profiled"
    assert found["two_pass_scan"]["outcome"] == "profiled"
    gate = stallgate(project, "gate", "--json")
    assert gate.returncode in (1, 3)
    assert json.loads(gate.stdout)["status"] in (1, 3)


def test_where_the_referee_cannot_use_the_gpu_outputs_travel_through_the_host(project: Path) -> None:
    python = project / "python"
    python.write_text(
        "#!/bin/sh\n"
        'case "$1" in *referee/__main__.py) export CUDA_VISIBLE_DEVICES= ;; esac\n'
        f'exec "{sys.executable}" "$@"\n'
    )
    python.chmod(0o755)
    done = stallgate(project, "profile", *PLAN, "--python", str(python))
    assert {result["outcome"] for result in cases(project).values()} == {"profiled"}, done.stderr
