"""What the text of a file says of one of its kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from stallgate.advise.facts import KernelTraits, facts_of_code, traits_of
from stallgate.model import Case, CaseResult, LaunchedKernel
from stallgate.project.load import load_project

FILE = """
import triton, triton.language as tl

@triton.jit
def inner(x):
    for _ in range(4):
        x = tl.dot(x, x)
    return x

@triton.jit
def looping(x_ptr, STAGES: tl.constexpr):
    tl.store(x_ptr, inner(tl.load(x_ptr)))

@triton.jit
def straight(x_ptr):
    tl.store(x_ptr, 2 * tl.load(x_ptr))

@triton.jit
def fixed(x_ptr):
    tl.store(x_ptr, 3 * tl.load(x_ptr))

def launch_looping(x, num_stages=5):
    looping[(1,)](x, STAGES=num_stages)

def launch_straight(x):
    straight[(1,)](x)

def launch_fixed(x):
    fixed[(1,)](x, num_stages=2)

class ModelNew:
    def forward(self, x):
        return launch_straight(x)
"""


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ("looping", KernelTraits(has_dot=True, has_loop=True, stages=frozenset({5}))),
        ("straight", KernelTraits(has_dot=False, has_loop=False, stages=frozenset())),
        ("fixed", KernelTraits(has_dot=False, has_loop=False, stages=frozenset({2}))),
        ("of another file", KernelTraits(has_dot=True, has_loop=True, stages=frozenset({5}))),
    ],
)
def test_each_kernel_of_a_file_has_traits_of_its_own(kernel: str, expected: KernelTraits) -> None:
    assert traits_of(FILE, kernel) == expected


def test_of_text_that_does_not_parse_nothing_is_known() -> None:
    assert traits_of("def f(:", "f") == KernelTraits(has_dot=False, has_loop=False, stages=frozenset())


PROJECT = """
[problems.p]
title = "P"
stages = ["streaming"]
reference = "torch.exp"
[problems.p.variants]
copy = { entry = "stallgate:copy", role = "roof", ceiling = "bytes" }
v = { entry = "v", role = "candidate" }
[problems.p.workloads.w]
inputs = ["float32[8]"]
default = true
"""


def test_functions_of_a_kernel_may_be_in_other_files_of_its_folder(tmp_path: Path) -> None:
    """Of two functions of one name that of the kernel's own file is meant."""
    own = "def launch(x):\n    kernel[(1,)](x, num_stages=3)\n\ndef straight(x):\n    return x\n"
    files = {
        "stallgate.toml": PROJECT,
        "v/__init__.py": "from .kernels import launch\n",
        "v/kernels.py": "from .parts import looping\n\n@triton.jit\ndef kernel(x):\n    looping(straight(x))\n\n" + own,
        "v/parts.py": "def looping(x):\n    while x:\n        tl.dot(x, x)\n",
        "v/unused.py": "def straight(x):\n    return looping_for_ever(x)\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    case = Case(problem="p", variant="v", configuration="default", workload="w")
    launched = LaunchedKernel(name="kernel", module="v.kernels", function="kernel", file="v/kernels.py")
    found = facts_of_code(load_project(tmp_path), CaseResult(case=case, role="candidate", kernels=[launched]), "kernel")
    assert found == {"has_dot": 1.0, "has_loop": 1.0, "num_stages": 3.0}
