"""The cumulative products are right on the edge cases that the measuring child puts a candidate to."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from stallgate.child.cases import Surroundings, VariantUnderTest
from stallgate.child.device import Interpreter
from stallgate.child.load import ProjectModules
from stallgate.child.observed import KernelObserver
from stallgate.child.referee.judging import Referee
from stallgate.child.referee_client import Inputs
from tests.child.plans import entry_of, places_of, reference_of, workload_of
from tests.conftest import ROOT
from tests.kernels.loading import KERNELS

SUBJECTS = [
    ("blocked_scan", {"shape": [32768, 32768], "dim": 1, "dtype": "float32"}),
    ("blocked_scan", {"shape": [1048576, 64], "dim": 0, "dtype": "float16"}),
    ("two_pass_scan", {"shape": [536870912], "dim": 0, "dtype": "bfloat16"}),
    ("scan/__init__", {"shape": [1048576, 64], "dim": 0, "dtype": "float32"}),
]


class InOneProcess:
    """A channel to a referee in this process."""

    def __init__(self, referee: Referee) -> None:
        self._answers = {
            "inputs": referee.inputs,
            "returned": lambda case: referee.returned(),
            "output": lambda case, tensors: referee.output(tensors),
            "written": lambda case: referee.compare(),
        }

    def ask(self, event: str, **facts: Any) -> dict[str, Any]:
        return self._answers[event](**facts)  # type: ignore[operator]


class OnlyEdgeCases(VariantUnderTest):
    """A variant whose workload is too large for a CPU; its model is made for the first edge case."""

    def _lent(self, step: str, number: int) -> Any:
        return Inputs([], [], 0, "", [0], None, [])


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the referee changes about imports is undone: other tests share this process."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.usefixtures("imports")
@pytest.mark.parametrize(("name", "arguments"), SUBJECTS)
def test_a_kernel_is_right_on_small_and_special_data(name: str, arguments: dict[str, object]) -> None:
    path, reference = KERNELS / f"{name}.py", KERNELS / "reference.py"
    case = {
        "name": f"cumprod/{name.partition('/')[0]}/default/w",
        "problem": "cumprod",
        "variant": name.partition("/")[0],
        "role": "candidate",
        "ceiling": None,
        "entry": entry_of(path),
        "tunables": {},
        **workload_of(arguments=arguments),
    }
    plan = {"cases": [case], "references": {"cumprod": reference_of(reference)}, "device": "cpu", **places_of(ROOT)}
    channel = InOneProcess(Referee(plan, "cpu"))
    modules = ProjectModules(str(ROOT), [])
    around = Surroundings(Interpreter(), channel, modules, KernelObserver(modules.relative))  # type: ignore[arg-type]
    assert OnlyEdgeCases(case, around).edge_case_fault() == ""
