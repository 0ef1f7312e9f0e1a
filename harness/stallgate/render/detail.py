"""The details of a ``--detail`` launch: its hottest lines, the variant's code, and NVIDIA's rule results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from stallgate.model import Advice, Case, Detail, FrozenStruct, HotLine, Role
from stallgate.project.digests import entry_digest, text_digest, variant_key
from stallgate.render.view import View

MOST_HOT_LINES = 12
"""Rows in a table of hot lines; the code has them all."""

LONGEST_CODE = 4000
"""Lines of a file that a page shows."""

_ROLE_ORDER: tuple[Role, ...] = ("candidate", "unknown", "baseline", "roof")


class HotRow(FrozenStruct, frozen=True):
    """A row in the table of hot lines."""

    line: HotLine
    share: float
    """Share of its kernel's samples, in per cent."""
    anchor: str
    """The line in the code below; empty where it is not there."""


class HotKernel(FrozenStruct, frozen=True):
    """The details of one launch."""

    name: str
    samples: int
    own: list[HotRow]
    """Lines of the files that the kernel was written in."""
    library: list[HotRow]
    advice: list[Advice]


class CodeLine(FrozenStruct, frozen=True):
    """A line of the variant's file."""

    number: int
    text: str
    samples: int = 0
    share: float = 0.0
    """Share of the samples of all the call's kernels, in per cent."""
    anchor: str = ""
    """Anchor of a line with samples; empty for others."""


class Said(FrozenStruct, frozen=True):
    """The details of one case, for a reader."""

    name: str
    case: str
    file: str
    kernels: list[HotKernel]
    code: list[CodeLine]
    """Empty if the measured version of the file is not available."""


def said(view: View, anchor: str) -> list[Said]:
    """The details of each case of a workload, candidates first.

    Args:
        view: the workload.
        anchor: the section's; the anchors of lines begin with it.
    """
    details: dict[Case, list[Detail]] = {}
    for detail in view.details():
        details.setdefault(detail.case, []).append(detail)
    roles = {result.case: result.role for result in view.cases}
    order = sorted(details, key=lambda case: _ROLE_ORDER.index(roles[case]))
    return [_said(view, case, details[case], f"{anchor}-code-{number + 1}") for number, case in enumerate(order)]


def _said(view: View, case: Case, details: list[Detail], anchor: str) -> Said:
    path = variant_path(view, case)
    file = path.name if path is not None else ""
    code = _code(path, details, anchor) if path is not None else []
    shown = {line.number for line in code}
    kernels = [_kernel(detail, file, anchor, shown) for detail in details]
    return Said(name=case.display_name, case=case.name, file=file, kernels=kernels, code=code)


def _kernel(detail: Detail, file: str, anchor: str, shown: set[int]) -> HotKernel:
    rows = [
        HotRow(
            line=line,
            share=100 * line.samples / detail.samples,
            anchor=f"{anchor}-{line.line}" if line.file == file and not line.library and line.line in shown else "",
        )
        for line in detail.lines
        if line.samples and detail.samples
    ]
    return HotKernel(
        name=detail.kernel,
        samples=detail.samples,
        own=[row for row in rows if not row.line.library],
        library=[row for row in rows if row.line.library],
        advice=detail.advice,
    )


# --- code -------------------------------------------------------------------------------------------------------------


def variant_path(view: View, case: Case) -> Path | None:
    """The variant's file as it was measured: the copy in the run's folder, or the tree's; None where it is neither."""
    problem, subject = view.project.problems.get(case.problem), view.result.run.subjects.get(case.problem)
    variant = problem.variants.get(case.variant) if problem is not None else None
    if variant is None or subject is None or not variant.path:
        return None
    paths = [root / variant.path for root in (view.result.folder / "source", view.project.root)]
    wanted = subject.digests.get(variant_key(case.variant))
    there = [path for path in paths if path.is_file()]
    return next((p for p in there if entry_digest(replace(variant.entry, digest=text_digest(p))) == wanted), None)


def _code(path: Path, details: Sequence[Detail], anchor: str) -> list[CodeLine]:
    """The file, its lines with their share of the samples; nothing where no line has any."""
    samples: Counter[int] = Counter()
    for line in (line for detail in details for line in detail.lines):
        if line.file == path.name and not line.library:
            samples[line.line] += line.samples
    total = sum(detail.samples for detail in details)
    if not samples or not total:
        return []
    texts = path.read_text(errors="replace").splitlines()[:LONGEST_CODE]
    return [
        CodeLine(
            number=number,
            text=text,
            samples=samples[number],
            share=100 * samples[number] / total,
            anchor=f"{anchor}-{number}" if samples[number] else "",
        )
        for number, text in enumerate(texts, start=1)
    ]
