"""Where the GPU time of a captured program went, by the ncu report of its light pass."""

from __future__ import annotations

import math

from stallgate.extract.launches import BLOCK_DIMENSIONS, GRID_DIMENSIONS, extent
from stallgate.model import FrozenStruct, Launch, ProgramKernel

TIME = "gpu__time_duration.sum"
"""The one metric of the light pass. ncu gives it in nanoseconds."""

Geometry = tuple[tuple[int, int, int] | None, tuple[int, int, int] | None]


class Ranking(FrozenStruct, frozen=True):
    """The kernels of a program by their time, and what of it could not be timed."""

    kernels: list[ProgramKernel]
    """The largest share first."""
    geometries: dict[str, dict[Geometry, int]]
    """Function -> each of its grids and blocks -> how many kernels (by signature) were launched so."""
    untimed: int
    """Launches that ncu could not time."""


def ranked(launches: list[Launch]) -> Ranking:
    """The kernels of a light pass: functions that differ in their template arguments are different kernels."""
    timed = [(launch, time) for launch in launches if launch.kernel and (time := _time(launch)) is not None]
    whole = sum(time for _, time in timed)
    times: dict[tuple[str, str], list[float]] = {}
    for launch, time in timed:
        times.setdefault((launch.kernel or "", launch.signature), []).append(time)
    kernels = [
        ProgramKernel(
            kernel=kernel,
            signature=signature,
            launches=len(found),
            time_ns=sum(found),
            share=sum(found) / whole if whole else 0.0,
        )
        for (kernel, signature), found in times.items()
    ]
    return Ranking(
        kernels=sorted(kernels, key=lambda kernel: -kernel.time_ns),
        geometries=_geometries([launch for launch, _ in timed]),
        untimed=len(launches) - len(timed),
    )


def _time(launch: Launch) -> float | None:
    raw = launch.metrics.get(TIME)
    value = raw.value if raw is not None else None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _geometries(launches: list[Launch]) -> dict[str, dict[Geometry, int]]:
    signatures: dict[str, dict[Geometry, set[str]]] = {}
    for launch in launches:
        geometry = extent(launch, GRID_DIMENSIONS), extent(launch, BLOCK_DIMENSIONS)
        signatures.setdefault(launch.kernel or "", {}).setdefault(geometry, set()).add(launch.signature)
    return {name: {geometry: len(found) for geometry, found in each.items()} for name, each in signatures.items()}


# --- the second pass --------------------------------------------------------------------------------------------------

_ENOUGH = 0.9
"""The kernels with the largest shares are chosen until they make up this share of the GPU time."""

MOST_HEAVY = 10
"""Most kernels that are chosen so."""


def heaviest(kernels: list[ProgramKernel]) -> list[ProgramKernel]:
    """The kernels that take most of the time."""
    chosen: list[ProgramKernel] = []
    for kernel in kernels[:MOST_HEAVY]:
        if sum(before.share for before in chosen) >= _ENOUGH:
            break
        chosen.append(kernel)
    return chosen


class KernelGroup(FrozenStruct, frozen=True):
    """Functions that one ncu process can profile together."""

    kernels: list[str]
    most_alike: int
    """Most kernels of one function that were launched with the same grid and block."""


LONGEST_NAMES = 20_000
"""Most characters of the names that one ncu process is given: a command line's word has room for 131,071."""

MOST_GROUPS = 10
"""Most ncu processes of the second pass. Each runs the program once."""


def grouped(names: list[str], ranking: Ranking) -> list[KernelGroup]:
    """Functions in as few groups as possible, so that no two of a group share a grid and a block.

    An ncu that counts launches by geometry alone would let the first of two such functions use up the count of the
    other. ncu 2025.3.1 counts by kernel too; other versions are not known. Functions for which there is no group left
    are in none.
    """
    groups: list[tuple[list[str], set[Geometry]]] = []
    for name in names:
        geometries = set(ranking.geometries.get(name, {}))
        fitting = (group for group in groups if not group[1] & geometries and _have_room(group[0], name))
        group = next(fitting, None)
        if group is not None:
            group[0].append(name)
            group[1].update(geometries)
        elif len(groups) < MOST_GROUPS and len(name) <= LONGEST_NAMES:
            groups.append(([name], geometries))
    return [KernelGroup(kernels=kernels, most_alike=_most_alike(kernels, ranking)) for kernels, _ in groups]


def _have_room(names: list[str], another: str) -> bool:
    return sum(map(len, [*names, another])) <= LONGEST_NAMES


def _most_alike(names: list[str], ranking: Ranking) -> int:
    return max((count for name in names for count in ranking.geometries.get(name, {}).values()), default=1)
