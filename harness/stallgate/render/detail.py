"""The details of a ``--detail`` launch: its hottest lines, the variant's code, and NVIDIA's rule results.

A hot line names its file without folders. It is a line of the variant's own file, or of the one module of that name
that the case loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from stallgate.errors import BrokenFile
from stallgate.judge.warp_states import state_words
from stallgate.model import Case, Detail, EntryPoint, FrozenStruct, HotInstruction, HotLine, Role, RuleResult
from stallgate.project.catalogue import ROOF_FRACTION
from stallgate.project.digests import entry_digest, text_digest, variant_key
from stallgate.project.paths import inside
from stallgate.render.callers import CodePlace, callers
from stallgate.render.view import View

MOST_HOT_LINES = 12
"""Rows in a table of hot lines; the code has them all."""

LONGEST_CODE = 4000
"""Lines of a file that a page shows."""

MOST_FILES = 8
"""Files of a variant that a page shows, those with the most samples."""

_ROLE_ORDER: tuple[Role, ...] = ("candidate", "unknown", "baseline", "roof")


class HotRow(FrozenStruct, frozen=True):
    """A row in the table of hot lines."""

    line: HotLine
    share: float
    """Share of its kernel's samples, in per cent."""
    anchor: str
    """The line in the code below, of a library's line that of its caller; empty where it is not there."""
    called: float = 0.0
    """The same of the libraries' lines that it called."""
    caller: CodePlace | None = None
    """Of a library's line: the line that called it, where that is known."""


class InstructionRow(FrozenStruct, frozen=True):
    """A row in the table of hot instructions."""

    instruction: HotInstruction
    share: float
    """Share of its kernel's samples, in per cent."""
    anchor: str
    """Its line in the code below; empty where it is not there."""


class HotKernel(FrozenStruct, frozen=True):
    """The details of one launch."""

    name: str
    file: str
    """The file that all of its own lines are in; empty where they are in several, or the file is not known."""
    samples: int
    own: list[HotRow]
    """Lines of the files that the kernel was written in."""
    library: list[HotRow]
    instructions: list[InstructionRow]
    advice: list[RuleResult]


class CodeLine(FrozenStruct, frozen=True):
    """A line of one of the variant's files."""

    number: int
    text: str
    samples: int = 0
    called: int = 0
    """Samples of the libraries' lines that it called."""
    share: float = 0.0
    """Share of both of the samples of all the call's kernels, in per cent."""
    anchor: str = ""
    """Anchor of a line with samples; empty for others."""
    state: str = ""
    """The warp state of most of its samples, in words; empty for a line without samples."""


class CodeFile(FrozenStruct, frozen=True):
    """A file of the variant that has hot lines, as it was measured."""

    name: str
    """Without its folders, as hot lines name it."""
    path: str
    """Relative to the project's root."""
    is_own: bool
    """Whether it is the file of the variant's entry."""
    lines: list[CodeLine]


class Said(FrozenStruct, frozen=True):
    """The details of one case, for a reader."""

    name: str
    case: str
    left: float | None
    """What is left of the roof, in per cent: no rule can gain more. None where it is not known."""
    kernels: list[HotKernel]
    files: list[CodeFile]
    """The variant's own first. A file whose measured version is not available is left out."""


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
    sources = measured_sources(view, case)
    texts = {name: source.copy.read_text(errors="replace") for name, source in sources.items()}
    known = [_Charged(detail, callers(texts, detail)) for detail in details]
    files = _files(sources, known, anchor)
    anchors = {(file.name, line.number): line.anchor for file in files for line in file.lines}
    kernels = [_kernel(charged, texts, anchors) for charged in known]
    return Said(name=view.name(case), case=case.name, left=_left(view, case), kernels=kernels, files=files)


class _Charged(FrozenStruct, frozen=True):
    """The details of a launch, and who called the lines of libraries."""

    detail: Detail
    callers: dict[HotLine, CodePlace]

    def called_by(self, place: CodePlace) -> list[HotLine]:
        """The lines of libraries that a line called."""
        return [line for line, caller in self.callers.items() if caller == place]

    def places(self) -> list[CodePlace]:
        """The lines of the variant with samples, their own or a library's."""
        own = [CodePlace(line.file, line.line) for line in self.detail.lines if not line.library and line.samples]
        return list(dict.fromkeys([*own, *self.callers.values()]))


def _kernel(charged: _Charged, texts: dict[str, str], anchors: dict[tuple[str, int], str]) -> HotKernel:
    detail = charged.detail
    own = [_own_row(charged, place, texts, anchors) for place in charged.places() if detail.samples]
    files = {row.line.file for row in own}
    return HotKernel(
        name=detail.kernel,
        file=files.pop() if len(files) == 1 and files <= texts.keys() else "",
        samples=detail.samples,
        own=sorted(own, key=lambda row: -row.share - row.called),
        library=[
            HotRow(
                line=line,
                share=_share(line.samples, detail),
                anchor=anchors.get((caller.file, caller.line), "") if caller is not None else "",
                caller=caller,
            )
            for line in detail.lines
            if line.library and line.samples and detail.samples
            for caller in [charged.callers.get(line)]
        ],
        instructions=[
            InstructionRow(instruction=each, share=_share(each.samples, detail), anchor=_anchor_of(each, anchors))
            for each in detail.instructions
            if detail.samples
        ],
        advice=_by_gain(detail.advice),
    )


def _share(samples: int, detail: Detail) -> float:
    return 100 * samples / detail.samples


def _anchor_of(instruction: HotInstruction, anchors: dict[tuple[str, int], str]) -> str:
    """The line of an instruction in the code; a library's file has its folders, and is not there."""
    return anchors.get((instruction.file, instruction.line), "")


def _own_row(charged: _Charged, place: CodePlace, texts: dict[str, str], anchors: dict[tuple[str, int], str]) -> HotRow:
    """A line of the variant; one without samples of its own is there for what it called."""
    detail, called = charged.detail, charged.called_by(place)
    own = (line for line in detail.lines if not line.library and (line.file, line.line) == (place.file, place.line))
    line = next(own, None) or replace(
        max(called, key=lambda each: each.samples),
        file=place.file,
        line=place.line,
        text=texts[place.file].splitlines()[place.line - 1],
        samples=0,
        library=False,
    )
    return HotRow(
        line=line,
        share=_share(line.samples, detail),
        called=_share(sum(each.samples for each in called), detail),
        anchor=anchors.get((place.file, place.line), ""),
    )


def _by_gain(advice: list[RuleResult]) -> list[RuleResult]:
    """NVIDIA's rule results, those first that could gain most; of the whole kernel before those of a part of it."""
    return sorted(advice, key=lambda rule: (rule.speedup is None, rule.scope == "part", -(rule.speedup or 0.0)))


# --- code -------------------------------------------------------------------------------------------------------------


def _left(view: View, case: Case) -> float | None:
    """What is left of the hardware's roof, in per cent of the time; a library may be beaten."""
    summary = view.result.summaries.get((case, ROOF_FRACTION))
    if view.roof is None or view.roof.ceiling == "library" or summary is None or summary.median is None:
        return None
    return max(0.0, 100 * (1 - summary.median))


class MeasuredSource(FrozenStruct, frozen=True):
    """A file of a variant, as it was measured."""

    path: str
    """Relative to the project's root."""
    copy: Path
    """The copy in the run's folder, or the tree's file if it has not changed."""
    is_own: bool
    """Whether it is the file of the variant's entry."""


def measured_sources(view: View, case: Case) -> dict[str, MeasuredSource]:
    """File name without folders -> the file of that name: the variant's own, or a module that it loaded.

    A name that several of them have stands for none, since a hot line does not say which. A file that is neither in the
    run's folder nor in the tree as it was measured is left out.
    """
    own = _own_file(view, case)
    modules = next((result.modules for result in view.cases if result.case == case), {})
    files = own | {path: partial(_has_digest, digest) for path, digest in modules.items() if path not in own}
    names = Counter(path.rpartition("/")[2] for path in files)
    found = [(path, _unchanged(view, path, is_measured)) for path, is_measured in files.items()]
    sources = [MeasuredSource(path=path, copy=copy, is_own=path in own) for path, copy in found if copy is not None]
    return {source.copy.name: source for source in sources if names[source.copy.name] == 1}


_IsMeasured = Callable[[Path], bool]
"""Whether a copy of a file is as it was measured."""


def _own_file(view: View, case: Case) -> dict[str, _IsMeasured]:
    """The file of the variant's entry; nothing where it has none, or where nobody knows what was measured."""
    problem, subject = view.project.problems.get(case.problem), view.result.run.subjects.get(case.problem)
    variant = problem.variants.get(case.variant) if problem is not None else None
    if variant is None or subject is None or not variant.path:
        return {}
    return {variant.path: partial(_is_entry, variant.entry, subject.digests.get(variant_key(case.variant)))}


def _is_entry(entry: EntryPoint, digest: str | None, path: Path) -> bool:
    return entry_digest(replace(entry, digest=text_digest(path))) == digest


def _has_digest(digest: str, path: Path) -> bool:
    return text_digest(path) == digest


def _unchanged(view: View, path: str, is_measured: _IsMeasured) -> Path | None:
    """The copy of a file in the run's folder, or the tree's; None where neither is what was measured."""
    for root in (view.result.folder / "source", view.project.root):
        try:
            place = inside(root, path)
            if is_measured(place):
                return place
        except (OSError, BrokenFile):
            continue
    return None


def _files(sources: dict[str, MeasuredSource], known: Sequence[_Charged], anchor: str) -> list[CodeFile]:
    """The files with hot lines: the variant's own, then the others, the hottest first."""
    found = {name: _Samples() for name in sources}
    for place, line in _found_at(known):
        if place.file in found:
            found[place.file].add(place.line, line)
    total = sum(charged.detail.samples for charged in known)
    hot = [name for name in sources if total and found[name].total]
    order = sorted(hot, key=lambda name: (not sources[name].is_own, -found[name].total))[:MOST_FILES]
    return [
        CodeFile(
            name=name,
            path=sources[name].path,
            is_own=sources[name].is_own,
            lines=_lines(sources[name].copy, found[name], total, f"{anchor}-file-{number}" if number else anchor),
        )
        for number, name in enumerate(order)
    ]


class _Samples:
    """The samples of each line of a file: its own, those of what it called, and what their warps mostly did."""

    def __init__(self) -> None:
        self.own: Counter[int] = Counter()
        self.called: Counter[int] = Counter()
        self._states: dict[int, Counter[str]] = {}

    def add(self, number: int, line: HotLine) -> None:
        (self.called if line.library else self.own)[number] += line.samples
        self._states.setdefault(number, Counter())[line.reason] += line.reason_samples

    @property
    def total(self) -> int:
        return self.own.total() + self.called.total()

    def state(self, number: int) -> str:
        """The most frequent state of a line, in words; empty where it has no samples."""
        states = self._states.get(number)
        return state_words(states.most_common(1)[0][0]) if states else ""


def _found_at(known: Sequence[_Charged]) -> Iterator[tuple[CodePlace, HotLine]]:
    """Hot lines with the line of the variant that is charged with them: itself, or the caller."""
    for charged in known:
        for line in charged.detail.lines:
            caller = charged.callers.get(line) if line.library else CodePlace(line.file, line.line)
            if caller is not None and line.samples:
                yield caller, line


def _lines(path: Path, found: _Samples, total: int, anchor: str) -> list[CodeLine]:
    """The lines of a file, each with its share of all samples."""
    texts = path.read_text(errors="replace").splitlines()[:LONGEST_CODE]
    return [
        CodeLine(
            number=number,
            text=text,
            samples=found.own[number],
            called=found.called[number],
            share=100 * (found.own[number] + found.called[number]) / total,
            anchor=f"{anchor}-{number}" if found.own[number] + found.called[number] else "",
            state=found.state(number),
        )
        for number, text in enumerate(texts, start=1)
    ]
