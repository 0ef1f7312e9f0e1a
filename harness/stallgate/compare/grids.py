"""Whether a grid that is written in other words is another grid: by the launches of both versions.

An expression says how a grid is computed, not how large it is. What settles it are the grids with which the kernel was
launched, on the workloads that a stage judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from stallgate.extract.evidence import ProfiledCall
from stallgate.extract.launches import GRID_DIMENSIONS, extent, whole
from stallgate.extract.launches import GRID_SIZE as NCU_GRID_SIZE
from stallgate.model import DETAIL, Case, Launch
from stallgate.project.code_changes import CodeChange

GRID_SIZE = "grid_size"
"""The metric that tells a grid."""


class LaunchedGrid(NamedTuple):
    """The grid of one launch."""

    size: int
    """Programs."""
    extents: tuple[int, int, int] | None = None
    """In x, y and z; None where the report does not have them."""

    @property
    def shown(self) -> str:
        """Such as ``1024 x 32``."""
        if self.extents is None:
            return str(self.size)
        least = 3 if self.extents[2] > 1 else 2 if self.extents[1] > 1 else 1
        return " x ".join(map(str, self.extents[:least]))


LaunchedGrids = dict[tuple[str, str], tuple[LaunchedGrid, ...]]
"""(workload, kernel) -> the grids of its launches in a call, sorted. Missing where they are not known, or change from
call to call."""


class SettledGrids(NamedTuple):
    """Changes of which those of grids were held against launches."""

    changes: list[CodeChange]
    """Without grids that are the same in other words; another grid has its sizes."""
    untold: list[CodeChange]
    """Of these, the grids that may be the same: not all launches are known."""
    missing: list[tuple[str, bool]]
    """Workload, and whether of the new version: the launches that would tell."""


def launched_grids(calls: Iterable[ProfiledCall], cases: Mapping[Case, str]) -> LaunchedGrids:
    """The grids of some cases' kernels.

    Args:
        calls: of a run.
        cases: case -> workload.
    """
    found: dict[tuple[str, str], set[tuple[LaunchedGrid | None, ...]]] = {}
    for call in calls:
        if call.case in cases and call.sample != DETAIL:
            for kernel in {launch.kernel for launch in call.launches if launch.kernel is not None}:
                grids = [_grid_of(launch) for launch in call.launches if launch.kernel == kernel]
                found.setdefault((cases[call.case], kernel), set()).add(tuple(sorted(grids, key=str)))
    alike = {key: next(iter(samples)) for key, samples in found.items() if len(samples) == 1}
    return {key: tuple(known) for key, grids in alike.items() if len(known := [g for g in grids if g]) == len(grids)}


def _grid_of(launch: Launch) -> LaunchedGrid | None:
    extents, size = extent(launch, GRID_DIMENSIONS), whole(launch, NCU_GRID_SIZE)
    if extents is not None:
        return LaunchedGrid(extents[0] * extents[1] * extents[2], extents)
    return LaunchedGrid(size) if size is not None else None


def settle_grids(
    changes: list[CodeChange], before: LaunchedGrids, after: LaunchedGrids, workloads: list[str]
) -> SettledGrids:
    """Holds changes of grids against launches.

    Args:
        changes: all of two versions.
        before: of the version that is replaced.
        after: of the new version.
        workloads: those that a stage judges: a grid that is the same on all of them did not change.
    """
    former = {each.after: each.before for each in changes if (each.kind, each.verb) == ("kernel", "changed")}
    kept: list[CodeChange] = []
    untold: list[CodeChange] = []
    missing: dict[tuple[str, bool], None] = {}
    for change in changes:
        if change.kind != "grid":
            kept.append(change)
            continue
        old = {load: before.get((load, former.get(change.subject, change.subject))) for load in workloads}
        new = {load: after.get((load, change.subject)) for load in workloads}
        others = _other_grids(old, new)
        unknown = [(load, side is new) for load in workloads for side in (old, new) if side[load] is None]
        if others:
            kept.append(replace(change, measured=others))
        elif unknown or not workloads:
            kept.append(change)
            untold.append(change)
            missing |= dict.fromkeys(unknown)
    if changes and not kept:  # a list of changes is never empty by mistake
        kept = [replace(change, kind="code") for change in changes]
    return SettledGrids(kept, untold, list(missing))


def _other_grids(
    old: Mapping[str, tuple[LaunchedGrid, ...] | None], new: Mapping[str, tuple[LaunchedGrid, ...] | None]
) -> str:
    """Both grids, where they differ, with the workloads; empty where they do not, as far as is known."""
    places: dict[str, list[str]] = {}
    for load, was in old.items():
        now = new[load]
        if was is not None and now is not None and not _are_same(was, now):
            places.setdefault(f"{_shown(was)} -> {_shown(now)} programs", []).append(load)
    return "; ".join(f"{sizes} on {', '.join(loads)}" for sizes, loads in places.items())


def _are_same(was: tuple[LaunchedGrid, ...], now: tuple[LaunchedGrid, ...]) -> bool:
    """Whether two calls launched a kernel with the same grids: by x, y and z where both know them, else by size."""
    if all(each.extents is not None for each in (*was, *now)):
        return was == now
    return sorted(each.size for each in was) == sorted(each.size for each in now)


def _shown(grids: tuple[LaunchedGrid, ...]) -> str:
    return " + ".join(each.shown for each in grids)
