"""The cases of ncu reports that stallgate did not make.

Launches that are alike are one case, and each of them is a sample of it: launches over time. They are alike where
kernel, signature, geometry, registers, shared memory, GPU and NVTX ranges are the same. Beside that every NVTX range is
a case: one call of all launches within it. A launch does not say which time its range was entered, so a range that was
entered several times is one call as well. The configuration of a case is the report that it comes from.

A range or a CUDA graph that ncu replayed as a whole is one result. Results of the same launches are alike.

A range of stallgate's own form keeps its names; a detail launch is a sample like any other.
"""

from __future__ import annotations

from collections.abc import Hashable

from msgspec.structs import replace

from stallgate.extract.launches import (
    BLOCK_DIMENSIONS,
    BLOCK_SIZE,
    DEVICE_INDEX,
    DEVICE_NAME,
    DYNAMIC_SHARED,
    GRID_DIMENSIONS,
    GRID_SIZE,
    REGISTERS,
    STATIC_SHARED,
    extent,
    fact,
    whole,
)
from stallgate.model import DETAIL, Case, FrozenStruct, Identity, IdentityKind, Label, Launch, LaunchKind
from stallgate.project.paths import Slugs
from stallgate.runs.naming import extent_text, place_name, whole_name

IMPORTED = "imported"

NO_COUNTERS = "ncu has no counters of"


class ForeignCase(FrozenStruct, frozen=True):
    """A case of an imported report, and its launches."""

    case: Case
    identity: Identity | None
    """None where stallgate's own names say what it is."""
    samples: dict[str, list[Launch]]
    """Sample -> its launches. Without those that ncu could not profile; empty where that leaves nothing to show."""

    @property
    def missing(self) -> str:
        """Why it has no numbers, in a sentence; empty where it has some."""
        found = self.identity
        if self.samples or found is None:
            return ""
        return _missing(found)


def foreign_cases(launches: list[Launch], report: str, file: str = "", warm_up: int | None = None) -> list[ForeignCase]:
    """The cases of one ncu report: launches that are alike, then NVTX ranges, each in the order of the first launch.

    Args:
        launches: those of the report. One without a kernel's name is left out.
        report: its name, fit for a label.
        file: its name as the user gave it.
        warm_up: of a capture, which measures some launches of some kernels: the first launches of each case that are
            left out where there are more. A range is no case then, because most of its launches are not there.
    """
    named = [launch for launch in launches if launch.kernel is not None]
    own: dict[Case, dict[str, list[Launch]]] = {}
    alike: dict[Hashable, list[Launch]] = {}
    calls: dict[tuple[str, ...], list[Launch]] = {}
    for launch in named:
        label = _own_label(launch, report)
        if label is not None:
            own.setdefault(label.case, {}).setdefault(label.sample, []).append(launch)
            continue
        alike.setdefault(_key(launch), []).append(launch)
        for path in _paths(launch) if warm_up is None else []:
            calls.setdefault(path, []).append(launch)
    calls = {path: found for path, found in calls.items() if any(launch.kind != "range" for launch in found)}
    names = _Names(report, named)
    return [
        *(ForeignCase(case=case, identity=None, samples=samples) for case, samples in own.items()),
        *(_of_alike(names, _warm(found, warm_up or 0), file) for found in alike.values()),
        *(_of_call(names, path, found, file) for path, found in calls.items()),
    ]


def _warm(launches: list[Launch], warm_up: int) -> list[Launch]:
    """Launches without the first ones, if any others are left."""
    return launches[warm_up:] or launches


def _own_label(launch: Launch, report: str) -> Label | None:
    """The label of a launch that stallgate made, in the report's configuration."""
    for text in launch.ranges:
        own = Label.parse(text)
        if own is not None and own.case.problem != IMPORTED:
            configuration = own.case.configuration
            configuration = report if configuration == "default" else f"{report}.{configuration}"
            sample = "0" if own.sample == DETAIL else own.sample
            return Label(case=replace(own.case, configuration=configuration), sample=sample)
    return None


# --- what is alike ----------------------------------------------------------------------------------------------------

_KINDS: dict[LaunchKind, IdentityKind] = {"kernel": "launches", "range": "range", "graph": "graph", "other": "other"}


def _key(launch: Launch) -> Hashable:
    """What launches that are alike share."""
    found = _identity(launch)
    facts = tuple(
        tuple(value) if isinstance(value := getattr(found, name), list) else value
        for name in Identity.__struct_fields__
    )
    if launch.kind == "kernel":
        return facts
    return (*facts, tuple(launch.inner) or launch.index)  # nobody knows whether two ranges are alike without launches


def _identity(launch: Launch) -> Identity:
    """What a launch is, without counting it."""
    if launch.kind != "kernel":
        return _identity_of_whole(launch)
    grid, block = extent(launch, GRID_DIMENSIONS), extent(launch, BLOCK_DIMENSIONS)
    return Identity(
        kernel=launch.kernel or "",
        signature=launch.signature,
        grid=grid,
        block=block,
        grid_size=whole(launch, GRID_SIZE) if grid is None else None,
        block_size=whole(launch, BLOCK_SIZE) if block is None else None,
        registers=whole(launch, REGISTERS),
        static_shared_bytes=whole(launch, STATIC_SHARED),
        dynamic_shared_bytes=whole(launch, DYNAMIC_SHARED),
        device=fact(launch, DEVICE_NAME),
        device_index=whole(launch, DEVICE_INDEX),
        ranges=launch.ranges,
        kind=_KINDS[launch.kind],
    )


def _identity_of_whole(launch: Launch) -> Identity:
    """What a range or a graph is. ncu's numbers of its grid, block and registers are those of one of its launches."""
    grids, blocks = ({getattr(inner, name) for inner in launch.inner} for name in ("grid", "block"))
    return Identity(
        grid=grids.pop() if len(grids) == 1 else None,
        block=blocks.pop() if len(blocks) == 1 else None,
        device=fact(launch, DEVICE_NAME),
        device_index=whole(launch, DEVICE_INDEX),
        ranges=launch.ranges,
        kernels=[inner.kernel for inner in launch.inner],
        kind=_KINDS[launch.kind],
    )


def _paths(launch: Launch) -> list[tuple[str, ...]]:
    """Every NVTX range around a launch, as the path to it: ranges of different NVTX domains do not nest."""
    domains = launch.domains or [launch.ranges]
    return list(dict.fromkeys(tuple(domain[:depth]) for domain in domains for depth in range(1, len(domain) + 1)))


def _of_alike(names: _Names, launches: list[Launch], file: str) -> ForeignCase:
    """The case of launches that are alike. Those without counters are counted, and have no sample."""
    identity = _counted(_identity(launches[0]), launches, file)
    measured = [launch for launch in launches if launch.is_profiled]
    samples = {str(number): [launch] for number, launch in enumerate(measured)}
    return ForeignCase(case=names.of(identity), identity=identity, samples=samples)


def _of_call(names: _Names, path: tuple[str, ...], launches: list[Launch], file: str) -> ForeignCase:
    """The case of an NVTX range. Its numbers are those of all its launches, or there are none."""
    devices = dict.fromkeys((fact(launch, DEVICE_NAME), whole(launch, DEVICE_INDEX)) for launch in launches)
    identity = Identity(
        device=", ".join(dict.fromkeys(name for name, _ in devices)),
        device_index=next(iter(devices))[1] if len(devices) == 1 else None,
        ranges=list(path),
        kernels=list(dict.fromkeys(launch.kernel or "" for launch in launches)),
        kind="call",
    )
    identity = _counted(identity, launches, file)
    samples = {} if identity.without_counters else {"0": launches}
    return ForeignCase(case=names.of(identity), identity=identity, samples=samples)


def _counted(identity: Identity, launches: list[Launch], file: str) -> Identity:
    without = [launch for launch in launches if not launch.is_profiled]
    reason = next((launch.reason for launch in without if launch.reason), "")
    return replace(identity, report=file, launches=len(launches), without_counters=len(without), reason=reason)


def _missing(identity: Identity) -> str:
    if identity.kind == "call":
        some = f"{identity.without_counters} of its {identity.launches} launches"
        which = some if identity.launches > 1 else "its only launch"
    else:
        which = "this launch" if identity.launches == 1 else f"these {identity.launches} launches"
    return f"{NO_COUNTERS} {which}" + (f": {identity.reason}" if identity.reason else "")


# --- names for paths and labels ---------------------------------------------------------------------------------------


class _Names:
    """Slugs for the cases of one report. Different cases have different ones."""

    def __init__(self, report: str, launches: list[Launch]) -> None:
        self._report = report
        self._indices: dict[str, set[int]] = {}
        for launch in launches:
            index = whole(launch, DEVICE_INDEX)
            self._indices.setdefault(fact(launch, DEVICE_NAME), set()).update([] if index is None else [index])
        self._variants = Slugs()
        self._workloads = Slugs()

    def of(self, identity: Identity) -> Case:
        """The case of an identity, which is asked for once. The cases of one GPU stand beside each other."""
        if identity.kind == "call":
            return self._case(identity.ranges[-1], identity)
        head = identity.kernel or whole_name(identity)
        return self._case(f"{head} {_geometry(identity)}".rstrip(), identity)

    def _case(self, variant: str, identity: Identity) -> Case:
        return Case(
            problem=IMPORTED,
            variant=self._variants.of(variant, key=object()),
            configuration=self._report,
            workload=self._workloads.of(self._place(identity)),
        )

    def _place(self, identity: Identity) -> str:
        """The GPU. A launch without counters does not say the index, which matters where a report has two of a name."""
        indices = self._indices.get(identity.device, set())
        if identity.device_index is None and identity.kind != "call" and len(indices) == 1:
            identity = replace(identity, device_index=next(iter(indices)))
        return place_name(identity)


def _geometry(identity: Identity) -> str:
    """The grid and the block in words; empty parts are left out."""
    parts = {
        "grid": extent_text(identity.grid, identity.grid_size),
        "block": extent_text(identity.block, identity.block_size),
    }
    return " ".join(f"{name} {size}" for name, size in parts.items() if size)
