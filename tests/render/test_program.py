"""Where a captured program's GPU time went, in words and as a picture."""

from __future__ import annotations

import pytest

from stallgate.model import Program, ProgramKernel
from stallgate.render.program import kernel_names, program_finding


def kernel(name: str, signature: str = "", share: float = 0.5) -> ProgramKernel:
    return ProgramKernel(kernel=name, signature=signature or name, launches=2, time_ns=1500.0, share=share)


@pytest.mark.parametrize(
    "signatures",
    [
        ["f<int>(int *)", "f<float>(float *)"],
        [f"apply<{'at::native::' * 20}{end}>(int)" for end in ("One", "Two", "Three")],
        ["f(int)", "f(int)"],
    ],
)
def test_kernels_of_one_function_have_names_of_their_own(signatures: list[str]) -> None:
    names = kernel_names([kernel("f", signature) for signature in signatures])
    assert len(set(names)) == len(signatures)


def test_the_finding_names_the_heaviest_kernel_and_all_of_the_time() -> None:
    program = Program(command=["a"], exit_status=0, seconds=1.0, kernels=[kernel("long" * 30), kernel("short")])
    found = program_finding(program)
    assert found.startswith("longlong")
    assert found.endswith("takes 50.0 % of 3.00 µs of GPU time in 4 launches")
    assert len(found) < 90, "a figure's title has no room for more"
