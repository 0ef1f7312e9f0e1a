"""Planted cheats on a GPU, in one run: each is refused for what it does, the honest ones pass."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from stallgate.measure.device import find_devices
from tests.child.cheating import HONEST, WRONG, cheating
from tests.measure.test_gpu import stallgate

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not find_devices() or shutil.which("ncu") is None, reason="there is no GPU, or no ncu"),
]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The gate's one verdict on each file."""
    root = cheating(tmp_path_factory.mktemp("cheats"))
    profiled = stallgate(root, "profile", "--live", "--samples", "2", "--metrics", "duration")
    assert profiled.returncode == 1, profiled.stderr
    gated = stallgate(root, "gate", "--json")
    assert gated.returncode == 1, gated.stderr
    return {verdict["variant"]: verdict for verdict in json.loads(gated.stdout)["verdicts"]}


@pytest.mark.parametrize("name", HONEST)
def test_the_honest_pass_with_a_zeroed_workspace_and_a_contiguous_copy(verdicts: dict[str, Any], name: str) -> None:
    assert (verdicts[name]["status"], verdicts[name]["reason"]) == ("pass", "met"), verdicts[name]["sentence"]


@pytest.mark.parametrize("name", [*WRONG, "racing"])
def test_a_cheat_is_wrong_for_what_it_does(verdicts: dict[str, Any], name: str) -> None:
    assert (verdicts[name]["status"], verdicts[name]["reason"]) == ("fail", "wrong_result"), verdicts[name]["sentence"]
    assert WRONG.get(name, "is nan, expected") in verdicts[name]["sentence"]


def test_who_calls_torch_is_told_which_kernel_is_not_his(verdicts: dict[str, Any]) -> None:
    found = verdicts["calls_torch"]
    assert (found["status"], found["reason"]) == ("fail", "foreign_kernel"), found["sentence"]
    assert "at::native::tensor_kernel_scan_innermost_dim" in found["sentence"]
    assert "direct_copy" not in found["sentence"]


def test_every_file_has_its_verdict(verdicts: dict[str, Any]) -> None:
    assert set(verdicts) == {path.stem for path in (Path(__file__).parent / "cheats").glob("*.py")}
