"""Where the GPU time of a captured program went, in words."""

from __future__ import annotations

import re

from stallgate.formatting import percent, scaled, shortened
from stallgate.model import CountersOf, FrozenStruct, Program, ProgramKernel

COUNTERS: dict[CountersOf, str] = {"measured": "measured", "missed": "not met again", "not_wanted": ""}
"""Whether a kernel has counters, in words."""


class ProgramRow(FrozenStruct, frozen=True):
    """A kernel in the table of a program."""

    name: str
    signature: str
    share: float
    time: str
    time_ns: float
    launches: int
    counters: str


class ProgramPart(FrozenStruct, frozen=True):
    """What a page says of a program, beside its picture."""

    finding: str
    command: list[str]
    ended: str
    failures: list[str]
    rows: list[ProgramRow]


def program_part(program: Program) -> ProgramPart:
    """A program for a page."""
    return ProgramPart(
        finding=program_finding(program),
        command=program.command,
        ended=ended(program),
        failures=[*program.failures, *untimed(program)],
        rows=[
            ProgramRow(
                name=name,
                signature=kernel.signature,
                share=kernel.share,
                time=scaled(kernel.time_ns, "ns"),
                time_ns=kernel.time_ns,
                launches=kernel.launches,
                counters=COUNTERS[kernel.counters],
            )
            for name, kernel in zip(kernel_names(program.kernels), program.kernels, strict=True)
        ],
    )


_LONGEST_DIFFERENCE = 80
"""Most characters of what tells kernels of one function apart."""


def kernel_names(kernels: list[ProgramKernel]) -> list[str]:
    """The names of kernels: the function's, with what tells its template arguments from those of the others."""
    signatures: dict[str, list[str]] = {}
    for kernel in kernels:
        signatures.setdefault(kernel.kernel, []).append(kernel.signature)
    alike = {name: _alike(found) for name, found in signatures.items() if len(found) > 1}
    return [_name(kernel, *alike[kernel.kernel]) if kernel.kernel in alike else kernel.kernel for kernel in kernels]


def _name(kernel: ProgramKernel, before: int, after: int) -> str:
    differing = kernel.signature[before : len(kernel.signature) - after].strip(" ,:<>")
    own = re.sub(r"^(?:\w+::)+", "", differing)
    return f"{kernel.kernel} ({shortened(own, _LONGEST_DIFFERENCE) or 'the shortest'})"


def _alike(signatures: list[str]) -> tuple[int, int]:
    """How many characters signatures share at their beginnings and at their ends, in whole words."""
    before = _shared(signatures)
    return before, _shared([text[before:][::-1] for text in signatures])


def _shared(texts: list[str]) -> int:
    first, last = min(texts), max(texts)
    length = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return len(re.sub(r"[\w:]*$", "", first[:length]))


def gpu_time(program: Program) -> str:
    """How much GPU time a program took, and in how many launches."""
    launches = sum(kernel.launches for kernel in program.kernels)
    total = scaled(sum(kernel.time_ns for kernel in program.kernels), "ns")
    return f"{total} of GPU time in {launches} launch{'es' * (launches != 1)}"


def program_finding(program: Program) -> str:
    """Which kernels take most of the time."""
    if not program.kernels:
        return "No kernel was timed"
    first = program.kernels[0]
    return f"{shortened(first.kernel, 50)} takes {percent(first.share)} of {gpu_time(program)}"


def launches_of(kernel: ProgramKernel) -> str:
    """How often a kernel was launched, in words."""
    return f"{kernel.launches} launch{'es' * (kernel.launches != 1)}"


def ended(program: Program) -> str:
    """How the run for times ended."""
    if program.seconds is None:
        return "The program did not come to its end."
    status = f"with status {program.exit_status}" if program.exit_status is not None else "because it was ended"
    return f"The program ended {status} after {program.seconds:.1f} s under ncu, which slows it down."


def untimed(program: Program) -> list[str]:
    """A sentence about launches that ncu could not time, if there are any."""
    count = program.untimed
    return [f"ncu could not time {count} launch{'es' * (count != 1)}: no share counts them"] if count else []
