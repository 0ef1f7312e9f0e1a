"""The plan of a sweep: its space, its trials, and the project in which each configuration has a name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Literal

from msgspec.structs import replace

from stallgate import __version__
from stallgate.errors import BadArgument, UnknownName
from stallgate.formatting import listed
from stallgate.measure.device import Device
from stallgate.model import Case, FrozenStruct, GpuSpec, Stage, TunableSpace, Variant
from stallgate.project.commit import commit_of
from stallgate.project.digests import subject_digests
from stallgate.project.load import Project
from stallgate.project.own_files import own_digests
from stallgate.project.space import (
    Tunables,
    all_configurations,
    broken_constraint,
    configuration_names,
    default_tunables,
    space_of,
    space_size,
    unknown_numbers,
)
from stallgate.runs.folder import now
from stallgate.runs.sweep import SWEEP_FORMAT, Effort, Profiled, Sweep, SweepOptions, SweepSpace, Trial, Yardstick

MOST_ENUMERATED = 400
"""Most trials of a space that is tried whole."""

_MOST_SIFTED = 20_000
"""Most configurations that are held against the constraints one by one, to see how many are left."""

DEFAULT_CONFIGURATION = "default"


class SweepRequest(FrozenStruct, frozen=True):
    """What is swept, and how."""

    problem: str
    variant: str
    python: str
    """The interpreter that has torch and triton."""
    devices: list[Device]
    """All of one model."""
    workloads: list[str] = []
    """Empty: those that are measured by default."""
    stage: str | None = None
    """None: the first of the problem's."""
    effort: Effort = "quick"
    seconds: float | None = None
    seed: int = 0
    counters: Profiled = "front"
    against: str = ""
    """A metric that counters of all include beside the stage's."""
    timeout_s: float = 120.0
    grace_s: float = 10.0

    def __post_init__(self) -> None:
        names = {device.name for device in self.devices}
        if len(names) > 1:
            raise ValueError(f"the GPUs are of different models: {', '.join(sorted(names))}")


def new_sweep(project: Project, request: SweepRequest, arguments: list[str]) -> Sweep:
    """A sweep as it is planned: nothing measured yet.

    Raises:
        UnknownName: a problem, variant, workload or stage that does not exist.
        BadArgument: nothing says what to try, or the variant does not take it.
    """
    variant, stage = swept_variant(project, request.problem, request.variant), _stage_of(project, request)
    space = space_of(project.root, variant, stage)
    workloads = _workloads(project, request)
    default = default_tunables(project.root, variant, space)
    card = project.gpu_spec_of(request.devices[0].name) if request.devices else None
    planned, enumerated = _planned(space, default, card, len(workloads))
    commit, dirty = commit_of(project.root)
    return Sweep(
        format=SWEEP_FORMAT,
        name="",
        created=now(),
        stallgate=__version__,
        commit=commit,
        dirty=dirty,
        arguments=arguments,
        problem=request.problem,
        variant=request.variant,
        stage=stage.name if stage is not None else None,
        effort=request.effort,
        seed=request.seed,
        seconds=request.seconds,
        digests=sweep_digests(project, request.problem, request.variant, space),
        space=SweepSpace(space.tunables, space.constraints, space.source, space_size(space)),
        trials=[replace(each, workload=workload) for workload in workloads for each in planned],
        default=default,
        yardsticks=[each for workload in workloads for each in _yardsticks(project, request.problem, workload)],
        devices=[device.index for device in request.devices],
        gpu=request.devices[0].name if request.devices else "",
        python=request.python,
        options=sweep_options(request),
        enumerated=enumerated,
        notes=_notes(space, card, request),
    )


def sweep_options(request: SweepRequest) -> SweepOptions:
    """What a sweep keeps of a request beside what it is of."""
    return SweepOptions(
        counters=request.counters,
        against=request.against,
        timeout_s=request.timeout_s,
        grace_s=request.grace_s,
        devices=[device.index for device in request.devices],
    )


def gone_on(sweep: Sweep, request: SweepRequest) -> Sweep:
    """A sweep as it is gone on with: trials that ran out of time are planned again where they have more now."""
    options = sweep_options(request)
    trials = sweep.trials
    if sweep.options is not None and options.timeout_s > sweep.options.timeout_s:
        trials = [planned_again(trial) if trial.state == "timed_out" else trial for trial in trials]
    return replace(
        sweep,
        options=options,
        devices=list(dict.fromkeys([*sweep.devices, *options.devices])),
        trials=trials,
        complete=sweep.complete and trials == sweep.trials,
    )


def planned_again(trial: Trial) -> Trial:
    """A trial of which nothing is known but what it is of."""
    return Trial(configuration=trial.configuration, tunables=trial.tunables, workload=trial.workload)


def swept_variant(project: Project, problem: str, name: str) -> Variant:
    """The variant of a problem.

    Raises:
        UnknownName: there is none of this name.
    """
    known = project.problem(problem).variants
    if name not in known:
        raise UnknownName("variant", name, known)
    return known[name]


def _stage_of(project: Project, request: SweepRequest) -> Stage | None:
    """The stage of a sweep: the one that is named, else the problem's first; None where it has none."""
    names = [request.stage] if request.stage is not None else project.problem(request.problem).stages
    return project.stage(names[0]) if names else None


def _workloads(project: Project, request: SweepRequest) -> list[str]:
    known = project.problem(request.problem).workloads
    for name in request.workloads:
        if name not in known:
            raise UnknownName("workload", name, known)
    found = list(dict.fromkeys(request.workloads)) or [load.name for load in known.values() if load.default]
    if not found:
        raise BadArgument("no workload is named, and none is marked as a default", "name one with -w")
    return found


def _planned(space: TunableSpace, default: Tunables, card: GpuSpec | None, workloads: int) -> tuple[list[Trial], bool]:
    """The trials of one workload, and whether they are the whole space. The default comes first."""
    first = Trial(configuration=DEFAULT_CONFIGURATION, tunables=default, workload="")
    if space_size(space) > _MOST_SIFTED:
        return [first], False
    configurations = [each for each in all_configurations(space) if not is_same_configuration(each, default)]
    trials = trials_of(space, configurations, card)
    kept = sum(trial.state == "planned" for trial in trials)
    if (kept + 1) * workloads > MOST_ENUMERATED:
        return [first], False
    return [first, *trials], True


def trials_of(space: TunableSpace, configurations: list[Tunables], card: GpuSpec | None) -> list[Trial]:
    """A trial for each configuration; those that a constraint excludes are pruned, with the reason."""
    trials = []
    for name, tunables in zip(configuration_names(configurations), configurations, strict=True):
        why = broken_constraint(space, tunables, card)
        state: Literal["planned", "pruned"] = "planned" if why is None else "pruned"
        trials.append(Trial(configuration=name, tunables=tunables, workload="", state=state, reason=why or ""))
    return trials


def is_same_configuration(one: Tunables, other: Tunables) -> bool:
    """Whether two configurations give every tunable the same value; ``True`` is not 1."""
    if one.keys() != other.keys():
        return False
    return all(type(value) is type(other[name]) and value == other[name] for name, value in one.items())


def _yardsticks(project: Project, problem: str, workload: str) -> list[Yardstick]:
    """The copy and the roofs, which the trials of a workload are held against."""
    roofs = [variant for variant in project.problem(problem).variants.values() if variant.role == "roof"]
    copy = Yardstick(name="copy", role="copy", workload=workload)
    return [copy, *(Yardstick(each.name, "roof", workload, each.ceiling) for each in roofs)]


def _notes(space: TunableSpace, card: GpuSpec | None, request: SweepRequest) -> list[str]:
    if space.constraints and card is None and request.devices:
        return [f"there is no data sheet of {request.devices[0].name}: constraints on its numbers exclude nothing"]
    unknown = unknown_numbers(space, card) if card is not None else []
    if card is not None and unknown:
        return [f"the data sheet {card.name} leaves out {listed(unknown)}: such constraints exclude nothing"]
    return []


def sweep_digests(project: Project, problem: str, variant: str, space: TunableSpace) -> dict[str, str]:
    """What a sweep's results depend on: the variant, the roofs, the reference, the workloads, the child, the space."""
    known = project.problem(problem)
    kept = [f"variant {each.name}" for each in known.variants.values() if each.role == "roof" or each.name == variant]
    kept += [f"workload {name}" for name in known.workloads]
    digests = subject_digests(known)
    written = json.dumps([space.tunables, space.constraints, space.listed], sort_keys=True)
    found = {name: digest for name, digest in digests.items() if name in kept or name.startswith("the ")}
    found |= own_digests(project.root, known.variants[variant].entry)
    return found | {"the space": hashlib.sha256(written.encode()).hexdigest()}


def swept_project(project: Project, sweep: Sweep) -> Project:
    """The project with the configurations of a sweep: its cases are planned and measured like any others.

    The sweep's stage is one of the problem's, so that what it judges is collected.
    """
    problem, variant = project.problem(sweep.problem), project.variant(sweep.problem, sweep.variant)
    tried = {t.configuration: dict[str, object](t.tunables) for t in sweep.trials if t.configuration != "default"}
    known = replace(variant, configurations={**variant.configurations, **tried})
    stages = list(dict.fromkeys([*problem.stages, *([sweep.stage] if sweep.stage is not None else [])]))
    changed = replace(problem, variants={**problem.variants, sweep.variant: known}, stages=stages)
    return replace(project, problems={**project.problems, sweep.problem: changed})


def sweep_case(sweep: Sweep, trial: Trial) -> Case:
    """The case of a trial."""
    return Case(sweep.problem, sweep.variant, trial.configuration, trial.workload)


def check_resumable(project: Project, sweep: Sweep, devices: Iterable[Device]) -> None:
    """Refuses to go on with a sweep of other code, another space or other GPUs.

    Raises:
        BadArgument: its numbers and new ones would not be comparable.
    """
    variant = swept_variant(project, sweep.problem, sweep.variant)
    space = space_of(project.root, variant, project.stage(sweep.stage) if sweep.stage is not None else None)
    current = sweep_digests(project, sweep.problem, sweep.variant, space)
    changed = [name for name in {**sweep.digests, **current} if sweep.digests.get(name) != current.get(name)]
    changed += [f"workload {t.workload}" for t in sweep.trials if f"workload {t.workload}" not in current]
    if changed:
        raise BadArgument(f"{changed[0]} has changed since {sweep.name} was begun", "start a new sweep")
    for device in devices:
        if sweep.model is not None and device.name != sweep.model:
            raise BadArgument(f"{sweep.name} was begun on {sweep.model}, not {device.name}", "start a new sweep")
