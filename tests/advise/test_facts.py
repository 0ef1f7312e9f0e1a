"""What the text of a file says of one of its kernels."""

from __future__ import annotations

import pytest

from stallgate.advise.facts import KernelTraits, traits_of

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
