"""Slips that cost a round are found, and what looks like them and is right passes."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from stallgate.agent.answer import read_answer
from stallgate.agent.form.form import objections_to_form
from stallgate.agent.form.triton_names import installed_triton, tl_names
from stallgate.errors import BadArgument
from tests.agent.form.answering import installed_names, marked, refusals

HEAD = """
import math

import torch
import triton
import triton.language as tl
from torch import nn

"""

TAIL = """

class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        work[(1,)](x, y, x.numel(), BLOCK=1024)
        return y
"""


def answer_of(body: str, tail: str = TAIL, head: str = "") -> str:
    """An answer whose kernel has this body."""
    kernel = "@triton.jit\ndef work(x_ptr, y_ptr, n, BLOCK: tl.constexpr):\n"
    inside = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    return f"{HEAD}{textwrap.dedent(head)}\n{kernel}{inside}\n{tail}"


WRONG = {
    "an element of a pointer": """
        for i in range(n):
            tl.store(y_ptr + i, x_ptr[i])  # refused: index_in_kernel
        tl.load(x_ptr)
    """,
    "an element at the program's place": """
        pid = tl.program_id(0)
        tl.store(y_ptr + pid, x_ptr[pid])  # refused: index_in_kernel
    """,
    "an element is stored": """
        offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        y_ptr[offsets] = tl.load(x_ptr + offsets)  # refused: index_in_kernel
    """,
    "an element of a tensor": """
        t = tl.load(x_ptr + tl.arange(0, BLOCK))
        tl.store(y_ptr, t[0])  # refused: index_in_kernel
    """,
    "a slice of a tensor": """
        t = tl.load(x_ptr + tl.arange(0, BLOCK)) * 2
        tl.store(y_ptr + tl.arange(0, 64), t[0:64])  # refused: index_in_kernel
    """,
    "a constant is defined again": """
        BLOCK: tl.constexpr = 64  # refused: constexpr_redefined
        tl.store(y_ptr + tl.arange(0, BLOCK), 1.0)
    """,
    "a local constant is defined again": """
        SIZE: tl.constexpr = BLOCK
        SIZE: tl.constexpr = BLOCK * 2  # refused: constexpr_redefined
        tl.store(y_ptr + tl.arange(0, SIZE), 1.0)
    """,
    "a constant grows in a loop": """
        for i in range(n):
            BLOCK += 1  # refused: constexpr_redefined
        tl.store(y_ptr, 1.0)
    """,
    "a size is no constant any more": """
        BLOCK = BLOCK * 2  # refused: constexpr_redefined
        tl.store(y_ptr + tl.arange(0, BLOCK), 1.0)
    """,
    "96 elements": "tl.store(y_ptr + tl.arange(0, 96), 1.0)  # refused: not_a_power_of_two",
    "no elements": "tl.store(y_ptr + tl.arange(4, 2 + 2), 1.0)  # refused: not_a_power_of_two",
    "a branch on a block": """
        offsets = tl.arange(0, BLOCK)
        if offsets < n:  # refused: branch_on_block
            tl.store(y_ptr + offsets, 1.0)
    """,
    "a choice by a block": """
        offsets = tl.arange(0, BLOCK)
        tl.store(y_ptr + offsets, 1.0 if offsets < n else 0.0)  # refused: branch_on_block
    """,
    "torch in a kernel": """
        offsets = tl.arange(0, BLOCK)
        tl.store(y_ptr + offsets, torch.exp(tl.load(x_ptr + offsets)))  # refused: torch_in_kernel
    """,
    "a dtype of torch": """
        offsets = tl.arange(0, BLOCK)
        tl.store(y_ptr + offsets, tl.load(x_ptr + offsets).to(torch.float32))  # refused: torch_in_kernel
    """,
    "the shape of a pointer": "tl.store(y_ptr + x_ptr.shape[0], tl.load(x_ptr))  # refused: shape_in_kernel",
    "a method of torch's tensors": """
        t = tl.load(x_ptr + tl.arange(0, BLOCK))
        tl.store(y_ptr, t.contiguous())  # refused: unknown_triton_name
    """,
    "a function that does not exist": """
        offsets = tl.arange(0, BLOCK)
        tl.store(y_ptr + offsets, tl.tanhh(tl.load(x_ptr + offsets)))  # refused: unknown_triton_name
    """,
    "a function that a module lacks": """
        offsets = tl.arange(0, BLOCK)
        tl.store(y_ptr + offsets, tl.math.hyper(tl.load(x_ptr + offsets)))  # refused: unknown_triton_name
    """,
    "a loop is left": """
        for i in range(n):
            if i > 4:
                break  # refused: unsupported_syntax
            tl.store(y_ptr + i, tl.load(x_ptr + i))
    """,
}

RIGHT = {
    "new dimensions": """
        i = tl.arange(0, 16)
        t = tl.load(x_ptr + i[:, None] * 16 + i[None, :])
        tl.store(y_ptr + i[:, None] * 16 + i[None, :], t)
    """,
    "an element of a shape": """
        t = tl.load(x_ptr + tl.arange(0, BLOCK))
        rows: tl.constexpr = t.shape[0] // 4
        tl.store(y_ptr + tl.arange(0, BLOCK), t * rows)
    """,
    "an element of a tuple": """
        pair = (x_ptr, y_ptr)
        tl.store(pair[1] + tl.arange(0, BLOCK), tl.load(pair[0] + tl.arange(0, BLOCK)))
    """,
    "a constant of a name of its own": """
        HALF: tl.constexpr = BLOCK // 2
        tl.store(y_ptr + tl.arange(0, HALF), 1.0)
    """,
    "a constant in each of two branches": """
        if BLOCK > 64:
            SIZE: tl.constexpr = 64
        else:
            SIZE: tl.constexpr = BLOCK
        tl.store(y_ptr + tl.arange(0, SIZE), 1.0)
    """,
    "a constant in a loop": """
        for i in range(n):
            SIZE: tl.constexpr = 64
            tl.store(y_ptr + i + tl.arange(0, SIZE), 1.0)
    """,
    "a number that was a constant": """
        BLOCK = BLOCK * 2
        tl.store(y_ptr + BLOCK, 1.0)
    """,
    "powers of two": "tl.store(y_ptr + tl.arange(64, 128) + tl.arange(0, 2 * 32), 1.0)",
    "a branch on a number": """
        pid = tl.program_id(0)
        if pid < n and pid > 2:
            tl.store(y_ptr + pid, tl.load(x_ptr + pid))
    """,
    "a branch on a reduced block": """
        t = tl.load(x_ptr + tl.arange(0, BLOCK))
        if tl.max(t, 0) > 0:
            tl.store(y_ptr, 1.0)
    """,
    "a choice by a constant": "tl.store(y_ptr, 1.0 if BLOCK > 64 else 0.0)",
    "the dtype of a pointer": """
        offsets = tl.arange(0, BLOCK)
        tl.store(y_ptr + offsets, tl.load(x_ptr + offsets).to(y_ptr.dtype.element_ty))
    """,
    "methods of tensors": """
        t = tl.load(x_ptr + tl.arange(0, BLOCK)).to(tl.float32)
        tl.store(y_ptr, t.sum(0) + t.max(0))
    """,
    "functions of modules": """
        offsets = tl.arange(0, BLOCK)
        tl.store(y_ptr + offsets, tl.math.exp2(tl.load(x_ptr + offsets)))
    """,
    "a loop that counts itself": """
        i = 0
        while i < n:
            tl.store(y_ptr + i, tl.load(x_ptr + i))
            i += 1
    """,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_slip_is_found_at_its_line(name: str) -> None:
    text = answer_of(WRONG[name])
    assert refusals(text) == marked(text) != set()


@pytest.mark.parametrize("name", RIGHT)
def test_what_looks_like_a_slip_and_is_right_passes(name: str) -> None:
    assert refusals(answer_of(RIGHT[name])) == set()


COPY = "o = tl.arange(0, BLOCK)\ntl.store(y_ptr + o, tl.load(x_ptr + o, mask=o < n), mask=o < n)"


@pytest.mark.parametrize(
    ("launch", "codes"),
    [
        ("work[(1,)](x, y, 4, BLOCK=1024)", set()),
        ("work[(1,)](x, y, 4, 1024, num_warps=8, num_stages=3)", set()),
        ("work[(1,)](*(x, y, 4), BLOCK=1024)", set()),
        ("work[(1,)](x, y, **{'n': 4, 'BLOCK': 64})", set()),
        ("work[(1,)](x, y, 4, BLOCK=1000)", {"not_a_power_of_two"}),
        ("work[(1,)](x, y, 4, BLOCK=1024, num_warps=6)", {"not_a_power_of_two"}),
        ("work[(1,)](x, y, 4, BLOCK=1024, num_warps=64)", {"not_a_power_of_two"}),
        ("work(x, y, 4, BLOCK=1024)", {"launch_without_grid", "kernel_not_launched"}),
        ("work[(1,)](x, y, BLOCK=1024)", {"launch_arguments"}),
        ("work[(1,)](x, y, 4, 1024, 8)", {"launch_arguments"}),
        ("launch = work[(1,)]; launch(x, y, 4, BLOCK=1024)", set()),
        ("launch = work[(1,)]; launch(x, y, BLOCK=1024)", {"launch_arguments"}),
        ("launch = work[(1,)]; launch(x, y, 4, BLOCK=1024, num_warps=6)", {"not_a_power_of_two"}),
        ("launch = work[(1,)]", {"kernel_not_launched"}),
    ],
)
def test_launches(launch: str, codes: set[str]) -> None:
    text = answer_of(COPY, TAIL.replace("work[(1,)](x, y, x.numel(), BLOCK=1024)", launch))
    assert {code for _, code in refusals(text)} == codes


def test_configurations_are_looked_at_too() -> None:
    good = answer_of(COPY, head='CONFIGS = [triton.Config({"BLOCK": 64}, num_warps=4)]')
    assert refusals(good) == set()
    assert {code for _, code in refusals(good.replace("num_warps=4", "num_warps=5"))} == {"not_a_power_of_two"}


# --- what Triton has --------------------------------------------------------------------------------------------------


def test_an_unknown_name_brings_its_neighbours() -> None:
    (found,) = objections_to_form(read_answer(answer_of(WRONG["a function that does not exist"])), installed_names())
    assert "tanhh" in found.text
    assert "near are" in found.hint


def test_nothing_is_said_about_names_where_triton_is_not_known() -> None:
    for name in ("a function that does not exist", "a loop is left", "a method of torch's tensors"):
        assert objections_to_form(read_answer(answer_of(WRONG[name]))) == ()


def test_the_names_are_those_of_the_interpreter_that_is_asked() -> None:
    found = installed_triton(sys.executable)
    assert {"load", "arange", "math.exp2", "float32", "tensor.to", "visit_For"} <= found.names
    asked = [sys.executable, "-c", "import triton; print(triton.__version__)"]
    assert found.version == subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    assert tl_names(sys.executable) is found.names


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/false"])
def test_an_interpreter_without_triton_is_said_to_be_one(python: str) -> None:
    with pytest.raises(BadArgument) as raised:
        tl_names(python)
    assert "--python" in raised.value.hint
