"""What a project asks of its runs, as a test draws it: stages, bounds, directions, waivers, roles and baselines.

The two runs of a pair may be judged by different ones: a stage's file is changed between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from hypothesis import strategies as st
from msgspec.structs import replace

from stallgate.model import Baseline, Problem, Stage, Target, Waiver
from stallgate.project.load import Project

STAGES: dict[str, tuple[tuple[str, ...], ...]] = {
    "cumprod": (
        ("memory_access",),
        ("memory_access",),
        ("advanced_memory",),
        ("memory_access", "block_tiling"),
        ("memory_access", "no_regression"),
        ("grid_and_parallel",),
        (),
    ),
    "matmul": (("tensor_core",), ("tensor_core",), ("tensor_core", "no_regression"), ()),
    "rmsnorm": (("streaming",), ("streaming",), ("streaming", "no_regression"), ("memory_access",)),
}
"""Problem -> the stages that may gate it."""

Edit = Literal["bound", "turned", "left_out"]


@dataclass(frozen=True)
class TargetEdit:
    """A change of a stage's file."""

    stage: str
    place: int
    """Of the target in the stage."""
    kind: Edit
    """turned: at least becomes at most, above becomes below, and the reverse."""
    factor: float = 1.0
    """Of the bound."""


@dataclass(frozen=True)
class ProjectPlan:
    """What a project asks."""

    stages: dict[str, tuple[str, ...]]
    """Problem -> the stages that gate it."""
    edits: tuple[TargetEdit, ...] = ()
    warns: bool = False
    """Whether samples on both sides of a bound only warn."""
    waived: tuple[str, ...] = ()
    """Metrics that are waived for every candidate in every stage."""
    waived_days: int = 30
    """Until when, from today."""
    promoted: tuple[str, ...] = ()
    """Baselines that are candidates."""
    is_accepted: bool = True
    """Whether there are accepted baselines."""


def _edits() -> st.SearchStrategy[TargetEdit]:
    return st.builds(
        TargetEdit,
        stage=st.sampled_from(["memory_access", "streaming", "tensor_core", "block_tiling"]),
        place=st.integers(0, 2),
        kind=st.sampled_from(["bound", "bound", "turned", "left_out"]),
        factor=st.sampled_from([0.5, 0.9, 0.99, 1.01, 1.02, 1.1, 2.0]),
    )


def project_plans() -> st.SearchStrategy[ProjectPlan]:
    """What a project may ask."""
    metrics = ["roof_fraction", "dram_throughput", "memory_dependency_stall", "traffic", "duration"]
    return st.builds(
        ProjectPlan,
        stages=st.fixed_dictionaries({problem: st.sampled_from(found) for problem, found in STAGES.items()}),
        edits=st.one_of(st.just(()), st.just(()), st.lists(_edits(), max_size=3).map(tuple)),
        warns=st.sampled_from([False, False, True]),
        waived=st.one_of(st.just(()), st.just(()), st.lists(st.sampled_from(metrics), max_size=2).map(tuple)),
        waived_days=st.sampled_from([30, 30, -3]),
        promoted=st.sampled_from([(), (), (), ("torch_cumprod",), ("torch",)]),
        is_accepted=st.sampled_from([True, True, False]),
    )


def project_of(
    project: Project, plan: ProjectPlan, accepted: dict[str, list[Baseline]], today: date, problems: tuple[str, ...]
) -> Project:
    """A project that asks what a plan says.

    Args:
        project: the project as its files have it.
        plan: what it asks.
        accepted: problem -> its accepted baselines.
        today: the day from which waivers are counted.
        problems: those that it has.
    """
    edited = {name: _stage(stage, plan) for name, stage in project.stages.items()}
    kept = {name: _problem(project, project.problems[name], plan, today) for name in problems}
    return replace(project, problems=kept, stages=edited, baselines=accepted if plan.is_accepted else {})


def _stage(stage: Stage, plan: ProjectPlan) -> Stage:
    edits = {edit.place: edit for edit in plan.edits if edit.stage == stage.name}
    targets = [(target, edits.get(place)) for place, target in enumerate(stage.targets)]
    kept = [_target(target, edit) for target, edit in targets if edit is None or edit.kind != "left_out"]
    return replace(stage, targets=kept or stage.targets, undecided="warn" if plan.warns else stage.undecided)


_TURNED = {"at_least": "at_most", "at_most": "at_least", "above": "below", "below": "above"}


def _target(target: Target, edit: TargetEdit | None) -> Target:
    if edit is None or target.bound is None:
        return target
    comparison, bound = target.bound
    name = _TURNED[comparison] if edit.kind == "turned" else comparison
    # pytest's checks of structs refuse two bounds at once: the old one goes with the new one
    return replace(target, **{comparison: None, name: bound * edit.factor})


def _problem(project: Project, problem: Problem, plan: ProjectPlan, today: date) -> Problem:
    variants = {
        name: replace(variant, role="candidate") if name in plan.promoted else variant
        for name, variant in problem.variants.items()
    }
    stages = [stage for stage in plan.stages[problem.name] if stage in project.stages]
    judging = [stage.name for stage in project.with_included(stages)]
    waivers = [
        Waiver(
            variant=variant.name,
            stage=stage,
            metric=metric,
            until=today + timedelta(days=plan.waived_days),
            reason="the next driver mends it",
        )
        for variant in variants.values()
        if variant.role == "candidate"
        for stage in judging
        for metric in dict.fromkeys(plan.waived)
        if any(target.metric.name == metric for target in project.stages[stage].targets)
    ]
    return replace(problem, variants=variants, stages=stages, waivers=waivers)
