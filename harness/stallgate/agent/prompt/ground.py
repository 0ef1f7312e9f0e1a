"""What a prompt is written from: the variant, the stage, the card, and the run that has the variant's numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from stallgate.compare.history import listed_runs
from stallgate.errors import BadArgument, StallgateError, UnknownName
from stallgate.judge.evaluate import JudgedRun, evaluate
from stallgate.judge.verdicts import Grounds, grounds_of, judge_case
from stallgate.model import CaseResult, GpuSpec, Problem, Run, Stage, Target, Variant, Verdict
from stallgate.project.digests import DEFAULT
from stallgate.project.imported_files import with_imported_files
from stallgate.project.load import Project
from stallgate.project.own_files import own_files
from stallgate.project.source_tree import SourceTree
from stallgate.project.staleness import changes, stale_because
from stallgate.runs.conditions import conditions, gpus_of
from stallgate.runs.folder import RECORDED, as_argument, find, load
from stallgate.runs.outlines import time_of
from stallgate.runs.store import Store

# --- what is asked for ------------------------------------------------------------------------------------------------


class PromptSubject(msgspec.Struct, frozen=True):
    """Whose prompt it is: everything that is known without a run."""

    project: Project
    problem: Problem
    variant: Variant
    target: GpuSpec | None
    """The card of the GPU that the code is to run on; None: that of the run, if it has one."""

    @property
    def subject(self) -> str:
        """The variant as the command line names it."""
        return f"{self.problem.name}/{self.variant.name}"


def asked_for_prompt(project: Project, subject: str, gpu: str | None) -> PromptSubject:
    """The variant that a text names, and the card.

    Args:
        project: the project.
        subject: ``PROBLEM/VARIANT``.
        gpu: a card's name, its title or a GPU's name as its driver has it; None for the measured one.

    Raises:
        BadArgument: the subject names no variant.
        BrokenFile: the problem's file is broken.
        UnknownName: there is no such problem, variant or card.
    """
    name, slash, variant = subject.partition("/")
    problem = project.problem(name)
    if not slash or not variant:
        known = ", ".join(problem.variants)
        raise BadArgument(f"'{subject}' names no variant", f"write {name}/VARIANT; {name} has {known}")
    if variant not in problem.variants:
        raise UnknownName("variant", variant, problem.variants)
    target = card_named(project, gpu) if gpu is not None else None
    return PromptSubject(project=project, problem=problem, variant=problem.variants[variant], target=target)


def card_named(project: Project, name: str) -> GpuSpec:
    """The data sheet of a name: its file's, its title or that of a driver, whatever the case and the signs between.

    Raises:
        UnknownName: there is none.
    """
    for spec in project.gpu_specs.values():
        if _plain(name) in {_plain(known) for known in (spec.name, *_titles(spec), *spec.device_names)}:
            return spec
    raise UnknownName("card", name, project.gpu_specs)


def _titles(spec: GpuSpec) -> list[str]:
    """A card's title, and the same without its family: RTX 4090 of GeForce RTX 4090."""
    return [spec.title, spec.title.removeprefix("GeForce ")]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


# --- which run --------------------------------------------------------------------------------------------------------


class Ground(msgspec.Struct, frozen=True, dict=True):
    """Everything that the parts of a prompt are written from."""

    asked: PromptSubject
    stage: Stage
    folder: Path | None
    """That of the run; None where none has the variant."""
    result: JudgedRun | None

    @property
    def project(self) -> Project:
        return self.asked.project

    @property
    def problem(self) -> Problem:
        return self.asked.problem

    @property
    def variant(self) -> Variant:
        return self.asked.variant

    @property
    def run_name(self) -> str:
        """The run as the command line takes it."""
        return as_argument(self.project.reports, self.folder) if self.folder is not None else ""

    @property
    def is_module_reference(self) -> bool:
        """Whether the reference is a file in KernelBench's form, with a class; else it is a function."""
        reference = self.problem.reference
        return bool(reference.path) and not reference.attribute

    @cached_property
    def stages(self) -> list[Stage]:
        """The stage, after those that it includes."""
        return self.project.with_included([self.stage.name])

    @cached_property
    def workloads(self) -> list[str]:
        """The workloads that the stage judges; else those that are measured by default, else all."""
        judged = self.project.judged_workloads(self.problem.name, self.stage.name)
        loads = self.problem.workloads.values()
        return judged or [load.name for load in loads if load.default] or [load.name for load in loads]

    @cached_property
    def grounds(self) -> Grounds | None:
        """What verdicts depend on. Waivers are left out: a target that is waived is still to be met."""
        if self.result is None:
            return None
        problems = {name: replace(problem, waivers=[]) for name, problem in self.project.problems.items()}
        return grounds_of(self.result, replace(self.project, problems=problems), date.min, "all")

    @cached_property
    def cases(self) -> list[CaseResult]:
        """The variant's cases in the default configuration on the stage's workloads, sound or not.

        Of an imported run: what it has of the variant's kernels.
        """
        if self.result is None:
            return []
        if self.result.run.kind == "imported":
            return self._imported()
        mine = [result for result in self.variants_cases if result.case.configuration == DEFAULT]
        judged = [result for result in mine if result.case.workload in self.workloads]
        return sorted(judged, key=lambda result: self.workloads.index(result.case.workload)) or mine

    @cached_property
    def variants_cases(self) -> list[CaseResult]:
        """All of the variant's cases."""
        known = self.result.run.cases if self.result is not None else []
        mine = (self.problem.name, self.variant.name)
        return [result for result in known if (result.case.problem, result.case.variant) == mine]

    def _imported(self) -> list[CaseResult]:
        """The launches of an imported report that are labelled as the variant's, else those of kernels of its names."""
        assert self.result is not None
        if self.variants_cases:
            return self.variants_cases
        return [
            result
            for result in self.result.run.cases
            if result.identity is not None
            and result.identity.kind == "launches"
            and result.identity.kernel in self.kernels
        ]

    @cached_property
    def files(self) -> dict[str, str]:
        """Path -> text of the variant's files: its entry, or all of its folder, and what they import of the project.

        What it loaded beside them when it was measured is among them. Empty for an installed package.
        """
        root = self.project.root
        own = own_files(root, self.variant.entry)
        if not own:
            return {}
        loaded = [name for result in self.variants_cases for name in result.modules if name.endswith(".py")]
        found = with_imported_files(root, [*own, *sorted(set(loaded))])
        return {name: text for name, text in found.items() if name != self.problem.reference.path}

    @cached_property
    def kernels(self) -> list[str]:
        """The names of the kernels that those files define."""
        return list(SourceTree(self.files).kernels)

    @cached_property
    def sound(self) -> list[CaseResult]:
        """The cases whose numbers are of the code in the tree and can be relied on."""
        unsound = self.grounds.unsound if self.grounds is not None else {}
        return [result for result in self.cases if result.case not in unsound]

    def why_unsound(self, result: CaseResult) -> str:
        """Why a case's numbers cannot be relied on, or ''."""
        reason = self.grounds.unsound.get(result.case) if self.grounds is not None else None
        return reason.sentence if reason is not None else ""

    def verdict(self, stage: Stage, target: Target, result: CaseResult) -> list[Verdict]:
        """The verdicts of a target on a case, whatever the variant's role is: one, or one for each kernel."""
        assert self.grounds is not None
        return judge_case(self.grounds, stage, target, result)

    def name_of(self, result: CaseResult) -> str:
        """What tells a case of the prompt from its others: the workload; of an import its name in the report."""
        if result.identity is None or self.result is None:
            return result.case.workload
        return self.result.names[result.case]

    @cached_property
    def measured_gpu(self) -> str:
        """The GPU of the readings by its driver's name; '' where there are none, or it is not known."""
        if self.result is None:
            return ""
        of_cases = [conditions(self.result.run, result).gpu for result in self.cases]
        known = [gpu for gpu in of_cases if gpu] or gpus_of(self.result.run)
        return known[0] if known else ""

    @cached_property
    def measured_card(self) -> GpuSpec | None:
        """The data sheet of that GPU."""
        return self.project.gpu_spec_of(self.measured_gpu) if self.measured_gpu else None

    @cached_property
    def card(self) -> GpuSpec | None:
        """The card of the GPU that the code is to run on."""
        return self.asked.target or self.measured_card

    @property
    def is_other_gpu(self) -> bool:
        """Whether the readings are of another GPU than the target."""
        known = self.card
        return bool(self.sound) and known is not None and self.measured_gpu not in known.device_names


def ground_of(asked: PromptSubject, stage: str | None, run: str | JudgedRun | None) -> Ground:
    """Finds the run and the stage.

    Args:
        asked: the variant and the card.
        stage: the stage; None: the first of the problem's that the variant does not meet, else the last of them.
        run: a run's folder or name, or a run that was read; None: the newest run or recording that has sound numbers of
            the variant.

    Raises:
        BadArgument: the problem names no stage, and none is given.
        UserFault: there is no such stage or run, or a file is broken.
        NotMeasured: the folder is no run.
    """
    names = [asked.project.stage(stage).name] if stage is not None else asked.problem.stages
    if not names:
        known = ", ".join(asked.project.stages)
        raise BadArgument(f"{asked.problem.name} names no stage", f"name one with --stage: {known}")
    result = run if isinstance(run, JudgedRun) else _read(asked, run, names)
    folder = result.folder if result is not None else None
    found = [Ground(asked=asked, stage=asked.project.stage(name), folder=folder, result=result) for name in names]
    return next((ground for ground in found if not _is_met(ground)), found[-1])


def _read(asked: PromptSubject, run: str | None, stages: list[str]) -> JudgedRun | None:
    folder = find(asked.project.reports, run) if run is not None else _newest(asked)
    return evaluate(asked.project, folder, stages) if folder is not None else None


def _is_met(ground: Ground) -> bool:
    """Whether every target of a stage is known to be met."""
    asked = [(stage, target) for stage in ground.stages for target in stage.targets]
    verdicts = [
        verdict
        for stage, target in asked
        if not target.variants or ground.variant.name in target.variants
        for result in ground.sound
        for verdict in ground.verdict(stage, target, result)
    ]
    return bool(verdicts) and all(verdict.status in ("pass", "excused") for verdict in verdicts)


def _newest(asked: PromptSubject) -> Path | None:
    """The newest run with numbers of the variant: those of the tree's code first, then those of the target's GPU.

    A run before a recording of the same moment. None where no run has the variant.
    """
    best: tuple[_Choice, Path] | None = None
    for choice, folder in _known(asked):
        if best is None or choice > best[0]:
            best = choice, folder
        if choice.is_fresh and choice.is_target:
            break  # those that follow are older
    return best[1] if best is not None else None


class _Choice(NamedTuple):
    """What a run is chosen by, in this order."""

    is_fresh: bool
    is_target: bool
    created: str
    is_no_recording: bool
    name: str


def _known(asked: PromptSubject) -> Iterator[tuple[_Choice, Path]]:
    """The runs and recordings with a case of the variant, the newest first, each with what it is chosen by."""
    name = (asked.problem.name, asked.variant.name)
    for created, is_no_recording, folder_name, folder in sorted(_dated(asked), reverse=True):
        run = _loaded(folder)
        if run is None or run.kind == "imported":
            continue
        mine = [result for result in run.cases if (result.case.problem, result.case.variant) == name]
        if not mine:
            continue
        changed = changes(run, asked.project)
        is_fresh = any(result.outcome == "profiled" and not stale_because(result, changed) for result in mine)
        gpus = {conditions(run, result).gpu for result in mine}
        is_target = asked.target is None or bool(gpus & {*asked.target.device_names})
        yield _Choice(is_fresh, is_target, created, is_no_recording, folder_name), folder


def _dated(asked: PromptSubject) -> Iterator[tuple[str, bool, str, Path]]:
    """When each run or recording of the problem was measured, whether it is a run, its name, and its folder."""
    problem, reports = asked.problem.name, asked.project.reports
    for stored in listed_runs(Store(reports)):
        if stored.outline is not None and problem in stored.outline.problems:
            time = stored.outline.measured.get(problem, stored.outline.time)
            yield time.created, True, stored.folder.name, stored.folder
    for path in reports.glob(f"{RECORDED}/*/{problem}/run.json"):
        run = _loaded(path.parent)
        if run is not None:
            yield time_of(run, problem).created, False, path.parent.name, path.parent


def _loaded(folder: Path) -> Run | None:
    try:
        return load(folder)
    except (StallgateError, OSError):
        return None
