"""Which case of an imported run is which case of another.

The names of the reports differ, and so may registers, shared memory and GPU. Cases are paired by kernel with its
template arguments and parameters, geometry, GPU and NVTX ranges; an NVTX range by its path. What else is known narrows
that down where several cases have these in common. What is still left is paired without the GPU, then without the
ranges. A kernel whose geometry changed is paired only if each run has a single case of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from msgspec.structs import replace

from stallgate.extract.read_run import MeasuredRun
from stallgate.model import Case, CaseResult, Identity
from stallgate.runs.naming import extent_text

_Facts = dict[str, Hashable]

_NARROWING = ("report", "device_index", "resources", "device", "ranges")
"""Facts that paired cases need not share, in the order in which they are given up."""


def with_cases_of(base: MeasuredRun, run: MeasuredRun) -> MeasuredRun:
    """An imported base whose cases are called like those of an imported run that they are paired with."""
    names = _names(base, run)
    cases = [replace(result, case=names[result.case]) for result in base.run.cases]
    old = {result.case.name: result.case for result in base.run.cases}
    return MeasuredRun(
        folder=base.folder,
        run=replace(base.run, cases=cases),
        faults={names[old[name]].name: fault for name, fault in base.faults.items() if name in old},
        summaries={(names[case], metric): found for (case, metric), found in base.summaries.items() if case in names},
    )


def _names(base: MeasuredRun, run: MeasuredRun) -> dict[Case, Case]:
    """Case of the base -> the case of the run that it is paired with, or one that the run does not have."""
    found = pair_up(base.run.cases, run.run.cases)
    used = {result.case for result in run.run.cases}
    for result in base.run.cases:
        if result.case not in found:
            case = result.case
            while case in used:
                case = replace(case, configuration=f"{case.configuration}.base")
            found[result.case] = case
        used.add(found[result.case])
    return found


def pair_up(base: Sequence[CaseResult], run: Sequence[CaseResult]) -> dict[Case, Case]:
    """Case of the base -> case of the run, of those that can be told to be the same."""
    before = {result.case: _facts(result) for result in base}
    after = {result.case: _facts(result) for result in run}
    found: dict[Case, Case] = {}
    for given_up in range(len(_NARROWING) + 1):
        left = {case: facts for case, facts in before.items() if case not in found}
        right = {case: facts for case, facts in after.items() if case not in found.values()}
        found |= _unique(left, right, _NARROWING[:given_up])
    alone = _unique(before, after, (*_NARROWING, "geometry"))
    free = {case: other for case, other in alone.items() if case not in found and other not in found.values()}
    return found | free


def _unique(left: dict[Case, _Facts], right: dict[Case, _Facts], without: Sequence[str]) -> dict[Case, Case]:
    """The pairs that share all other facts, where each side has one such case."""
    before, after = _by_key(left, without), _by_key(right, without)
    return {
        cases[0]: after[key][0] for key, cases in before.items() if len(cases) == 1 and len(after.get(key, [])) == 1
    }


def _by_key(cases: dict[Case, _Facts], without: Sequence[str]) -> dict[Hashable, list[Case]]:
    found: dict[Hashable, list[Case]] = {}
    for case, facts in cases.items():
        key = tuple((name, value) for name, value in facts.items() if name not in without)
        found.setdefault(key, []).append(case)
    return found


def _facts(result: CaseResult) -> _Facts:
    found = result.identity
    if found is None:
        return {"name": _own_name(result), "report": result.attempt}
    if found.kind == "call":
        return {"name": (found.kind, *found.ranges), "device": found.device, "report": found.report}
    return {
        "name": (found.kind, found.signature or found.kernel, *found.kernels),
        "geometry": (found.grid, found.block, found.grid_size, found.block_size),
        "ranges": tuple(found.ranges),
        "device": found.device,
        "resources": (found.registers, found.static_shared_bytes, found.dynamic_shared_bytes),
        "device_index": found.device_index,
        "report": found.report,
    }


def _own_name(result: CaseResult) -> Hashable:
    """A case that stallgate named, without the report in its configuration."""
    case = result.case
    configuration = case.configuration.removeprefix(result.attempt or "").removeprefix(".")
    return (case.problem, case.variant, configuration, case.workload)


# --- what differs -----------------------------------------------------------------------------------------------------


def differences(base: Identity, run: Identity) -> list[str]:
    """What differs between two cases that are paired, in words."""
    pairs = {
        "grid": (_extent(base.grid, base.grid_size), _extent(run.grid, run.grid_size)),
        "block": (_extent(base.block, base.block_size), _extent(run.block, run.block_size)),
        "registers": (_number(base.registers), _number(run.registers)),
        "static shared memory": (_number(base.static_shared_bytes), _number(run.static_shared_bytes)),
        "dynamic shared memory": (_number(base.dynamic_shared_bytes), _number(run.dynamic_shared_bytes)),
        "GPU": (base.device, run.device),
        "NVTX": (_path(base.ranges), _path(run.ranges)),
        "kernels": (", ".join(base.kernels), ", ".join(run.kernels)),
    }
    return [f"{name} {before} → {after}" for name, (before, after) in pairs.items() if before != after]


def _extent(extent: tuple[int, int, int] | None, size: int | None) -> str:
    return extent_text(extent, size) or _number(None)


def _number(value: int | None) -> str:
    return f"{value:,}" if value is not None else "unknown"


def _path(ranges: list[str]) -> str:
    return " > ".join(ranges) or "no range"
