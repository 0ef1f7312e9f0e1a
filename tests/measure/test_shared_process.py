"""Variants that share a process, through the real command line: what one leaves behind decides nothing about another.

The child and the referee are real and run in Triton's interpreter on small shapes; the counters are the recording's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Stallgate, with_small_workloads, without_waivers

ATTACK = """
def _attack():
    from stallgate.child import correctness, referee_client
    from torch import nn
    correctness.fault = lambda *_: None
    referee_client.RefereeClient.judge = lambda self, output: None
    nn.Module.__call__ = lambda self, x: x.clone()
_attack()
"""
"""At import: replaces what compares, and makes every other module of the process return its input."""


@pytest.fixture
def small(tree: Path) -> Path:
    """The tree with one candidate, and with shapes that the interpreter is done with in no time."""
    without_waivers(tree)
    path = tree / "kernels/cumprod/problem.toml"
    text = path.read_text().replace('[variants.adaptive_scan]\nentry = "scan"\nrole = "candidate"\n', "")
    path.write_text(with_small_workloads(text))
    return tree


@pytest.mark.whole_recording
def test_who_replaces_the_comparison_fails_and_costs_nobody_else(
    small: Path, with_ncu: Stallgate, latest: Callable[[str], Any]
) -> None:
    path = small / "kernels/cumprod/blocked_scan.py"
    path.write_text(path.read_text() + ATTACK)
    subjects = ("cumprod/blocked_scan", "cumprod/torch_cumprod", "-w", "square")
    done = with_ncu("profile", *subjects, FAKE_NCU="run", FAKE_GPU_NAME="none")
    assert "Traceback" not in done.stderr + done.stdout
    found = {result["case"]["variant"]: result for result in latest("run.json")["cases"]}
    assert found["copy_roof"]["outcome"] == "profiled", found["copy_roof"]
    assert found["blocked_scan"]["outcome"] == "not_profiled"
    assert "requested an edge case before it submitted the output" in found["blocked_scan"]["reason"]
    # In the process that it shares it is never compared.
    assert found["torch_cumprod"]["outcome"] == "profiled", found["torch_cumprod"]
    attempts = {name: each["attempt"] for name, each in found.items()}
    assert attempts == {"copy_roof": "1", "blocked_scan": "2", "torch_cumprod": "3"}
    gate = with_ncu("gate")
    assert gate.returncode == 3, gate.stdout
    assert "requested an edge case" in " ".join(gate.stdout.split())
