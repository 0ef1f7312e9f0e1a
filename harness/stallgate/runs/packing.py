"""What a recording keeps of a run, small enough for git.

Samples are kept whole: they are judged. If they leave too little room, launches with every section are left out, the
largest first: those are shown only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import zstandard
from msgspec.structs import replace

from stallgate.errors import BadArgument
from stallgate.model import Attempt, Case, Run, Selection
from stallgate.runs.folder import attempts_of, one_line
from stallgate.runs.report_blocks import cases_in, only, taken_apart

LARGEST_RECORDING = 3_000_000
"""Most bytes of a problem's recording: git keeps every version of it."""

_SHORTEST_MATCHES = (3, 4)
"""For zstd. The one that makes a report smaller depends on how much machine code is in the report."""


class PackedRecording(NamedTuple):
    """A recording before it is written."""

    run: Run
    reports: dict[str, bytes]
    """Path in the recording -> the packed ncu report."""
    left_out: list[Case]
    """The cases whose launches with every section are left out."""

    @property
    def size(self) -> int:
        return len(one_line(self.run)) + sum(map(len, self.reports.values()))


class _Part(NamedTuple):
    """Launches with every section that are kept or left out together."""

    cases: tuple[Case, ...]
    size: int
    """About so many bytes, packed."""
    last: bool = False
    """Left out last: a report keeps its first launch as long as it keeps any."""


def pack(folder: Path, run: Run, problem: str) -> PackedRecording:
    """A problem's recording.

    Raises:
        BadArgument: it is too large, even without launches with every section.
    """
    reports = _reports(folder, run, problem)
    samples = {name: _packed(report) for name, report in reports.items() if _kind(run, name) == "samples"}
    details = {name: report for name, report in reports.items() if name not in samples}
    cases = [result.case for result in run.cases if result.case.problem == problem]
    parts = sorted(_parts(details.values(), cases), key=lambda part: (not part.last, part.size))
    left_out: list[Case] = []
    while True:
        kept = [case for case in cases if case not in left_out]
        thinned = {name: _thinned(report, kept, left_out) for name, report in details.items()}
        packed = samples | {name: _packed(report) for name, report in thinned.items() if report is not None}
        recording = _recording(run, problem, packed, left_out)
        excess = recording.size - LARGEST_RECORDING
        if excess <= 0:
            return recording
        if not parts:
            raise _too_large(problem, recording.size)
        left_out = left_out + _take_largest(parts, excess)


def _reports(folder: Path, run: Run, problem: str) -> dict[str, bytes]:
    """Attempt -> its ncu report, for each attempt that has launches of a problem."""
    named = {attempt.name for attempt in attempts_of(run, problem)}
    label = f"stallgate/{problem}/".encode()
    found = {attempt.name: (folder / attempt.report).read_bytes() for attempt in run.attempts if attempt.report}
    return {name: report for name, report in found.items() if name in named or label in report}


def _kind(run: Run, name: str) -> str:
    return next(attempt.kind for attempt in run.attempts if attempt.name == name)


def _recording(run: Run, problem: str, packed: dict[str, bytes], left_out: list[Case]) -> PackedRecording:
    kept = [
        _kept(attempt, problem, packed[attempt.name], left_out) for attempt in run.attempts if attempt.name in packed
    ]
    recorded = replace(
        run,
        kind="recorded",
        arguments=_portable(run.arguments),
        options=None,
        selection=Selection(),
        cases=[result for result in run.cases if result.case.problem == problem],
        attempts=kept,
        subjects={problem: run.subjects[problem]},
    )
    reports = {str(attempt.report): packed[attempt.name] for attempt in kept}
    return PackedRecording(run=recorded, reports=reports, left_out=left_out)


def _kept(attempt: Attempt, problem: str, packed: bytes, left_out: list[Case]) -> Attempt:
    """An attempt as the recording has it."""
    details = [d for d in attempt.details if d.case.problem == problem and d.case not in left_out]
    return replace(
        attempt,
        report=f"ncu/{attempt.name}.ncu-repz",
        sha256=hashlib.sha256(packed).hexdigest(),
        command=_portable(attempt.command),
        details=details,
    )


def _portable(command: list[str]) -> list[str]:
    """A command line without the folders of the machine that it ran on."""
    return [Path(word).name if Path(word).is_absolute() else word for word in command]


# --- launches with every section --------------------------------------------------------------------------------------


def _parts(reports: Iterable[bytes], cases: list[Case]) -> list[_Part]:
    """The cases with such launches, each with their size; all cases at once of a report that cannot be taken apart."""
    sizes: dict[Case, int] = {}
    first: set[Case] = set()
    whole: list[_Part] = []
    for report in reports:
        try:
            _, blocks = taken_apart(report)
        except ValueError:
            whole.append(_Part(cases=tuple(cases), size=_quickly(report)))
            continue
        launches = [block for block in blocks if block.launches]
        first.update(cases_in(launches[0], cases) if launches else [])
        for block in launches:
            for case in cases_in(block, cases):
                sizes[case] = sizes.get(case, 0) + _quickly(block.content)
    return whole + [_Part(cases=(case,), size=size, last=case in first) for case, size in sizes.items()]


def _take_largest(parts: list[_Part], excess: int) -> list[Case]:
    """Takes the largest parts, until they make up for an excess; at least one."""
    taken = [parts.pop()]
    while parts and sum(part.size for part in taken) < excess:
        taken.append(parts.pop())
    return list(dict.fromkeys(chain.from_iterable(part.cases for part in taken)))


def _thinned(report: bytes, kept: list[Case], left_out: list[Case]) -> bytes | None:
    """A report without the launches that are left out; None where none of the others is in it."""
    if not left_out:
        return report
    try:
        _, blocks = taken_apart(report)
        return only(report, kept) if any(cases_in(block, kept) for block in blocks if block.launches) else None
    except ValueError:
        return None


def _too_large(problem: str, size: int) -> BadArgument:
    return BadArgument(
        f"the recording of {problem} would have {size / 1e6:.1f} MB, without launches with every section;"
        f" at most {LARGEST_RECORDING / 1e6:g} MB are kept in git",
        "record fewer workloads or variants, or fewer --samples",
    )


# --- bytes ------------------------------------------------------------------------------------------------------------


def _packed(report: bytes) -> bytes:
    """An ncu report as zstd packs it; the reader opens it as it is."""
    return min((_compressed(report, length) for length in _SHORTEST_MATCHES), key=len)


def _compressed(data: bytes, shortest_match: int) -> bytes:
    """Compresses at zstd's highest level, but takes matches of 256 bytes at once: ncu reports get smaller this way."""
    settings = zstandard.ZstdCompressionParameters.from_level(
        22, window_log=27, min_match=shortest_match, target_length=256, write_content_size=True
    )
    return zstandard.ZstdCompressor(compression_params=settings).compress(data)


def _quickly(data: bytes) -> int:
    """About the packed size, found in little time."""
    return len(zstandard.ZstdCompressor(level=3).compress(data))
