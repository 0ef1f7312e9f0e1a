"""A project: the folder with ``kernels/`` and ``reports/``, and with ``metrics/`` where it has yardsticks of its own.

A broken problem or stage does not stop commands that do not use it: it is kept as an error, which is raised when
somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from stallgate.errors import BrokenFile, UnknownName
from stallgate.formatting import listed
from stallgate.model import (
    Baseline,
    Catalogue,
    FrozenStruct,
    GpuSpec,
    Metric,
    Problem,
    Stage,
    Variant,
    Waiver,
    Workload,
)
from stallgate.project.catalogue import find_metric, stage_metrics
from stallgate.project.checks import check_known
from stallgate.project.paths import distinct_slug
from stallgate.project.root import import_stages, problem_sources
from stallgate.project.shipped import gpu_spec_files, shown_name, stage_files
from stallgate.project.yardsticks import read_baselines, read_catalogue, read_gpu_spec, read_stage

_Named = TypeVar("_Named")


class Project(FrozenStruct, frozen=True):
    """A project's files, read once and checked as a whole."""

    root: Path
    problems: dict[str, Problem]
    stages: dict[str, Stage]
    catalogue: Catalogue
    gpu_specs: dict[str, GpuSpec]
    baselines: dict[str, list[Baseline]] = {}
    """Problem -> its accepted baselines, one for each GPU."""
    broken_problems: dict[str, BrokenFile] = {}
    """Problem -> what is wrong with its file; these are not among ``problems``."""
    broken_stages: dict[str, BrokenFile] = {}
    """Stage -> what is wrong with its file; these are not among ``stages``."""
    import_stages: list[str] = []
    """The stages that judge imported runs where none is named; empty: nothing judges them."""

    def __repr__(self) -> str:
        return f"Project({str(self.root)!r})"  # the default would print tens of kilobytes in a failing test

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    def problem(self, name: str) -> Problem:
        """The problem of a name.

        Raises:
            BrokenFile: its file is broken.
            UnknownName: there is no such problem.
        """
        return _named("problem", name, self.problems, self.broken_problems)

    def variant(self, problem: str, name: str) -> Variant:
        """A variant of a problem.

        Raises:
            BrokenFile: the problem's file is broken.
            UnknownName: there is no such problem, or it has no such variant, maybe no more.
        """
        known = self.problem(problem).variants
        if name not in known:
            raise UnknownName("variant", f"{problem}/{name}", [f"{problem}/{each}" for each in known])
        return known[name]

    def stage(self, name: str) -> Stage:
        """The stage of a name.

        Raises:
            BrokenFile: its file is broken.
            UnknownName: there is no such stage.
        """
        return _named("stage", name, self.stages, self.broken_stages)

    def check_problems(self, names: Iterable[str]) -> None:
        """Refuses problems whose files are broken. One that does not exist is none of them.

        Raises:
            BrokenFile: the first of them is broken.
        """
        for name in names:
            if name in self.broken_problems:
                raise self.broken_problems[name]

    def judged_workloads(self, problem: str, stage: str) -> list[str]:
        """The workloads of a problem that a stage judges, by what the problem says."""
        names = self._including(stage)
        return [load.name for load in self.problem(problem).workloads.values() if _is_judged(load, names)]

    def _including(self, stage: str) -> set[str]:
        """A stage and those that include it, at any distance."""
        found = {stage}
        while grown := {other.name for other in self.stages.values() if found & {*other.includes}} - found:
            found |= grown
        return found

    def stages_of(self, problem: str) -> list[str]:
        """The stages that gate a problem; for a problem that the project does not have, those of all others."""
        self.check_problems([problem])
        if problem in self.problems:
            return self.problems[problem].stages
        return list(dict.fromkeys(name for known in self.problems.values() for name in known.stages))

    def with_included(self, names: Iterable[str]) -> list[Stage]:
        """The stages of these names, each after those that it includes, each once.

        Raises:
            BrokenFile: the file of one of them is broken.
            UnknownName: there is no such stage.
        """
        found: dict[str, Stage] = {}
        begun: set[str] = set()

        def add(name: str) -> None:
            if name not in begun:
                begun.add(name)
                stage = self.stage(name)
                for former in stage.includes:
                    add(former)
                found[name] = stage

        for name in names:
            add(name)
        return list(found.values())

    def with_sound(self, names: Iterable[str]) -> list[Stage]:
        """The same without the stages that are broken, or that include one: for lists that nothing is judged by."""
        found: list[Stage] = []
        for name in names:
            try:
                found += self.with_included([name])
            except BrokenFile:
                continue
        return list({stage.name: stage for stage in found}.values())

    def metrics_of(self, problems: Iterable[str]) -> list[Metric]:
        """The metrics that the stages of some problems judge or show."""
        return stage_metrics(self.with_sound(dict.fromkeys(name for each in problems for name in self.stages_of(each))))

    def gpu_spec_of(self, gpu: str) -> GpuSpec | None:
        """The data sheet of a GPU, by the name that its driver reports; None where there is none."""
        return next((spec for spec in self.gpu_specs.values() if gpu in spec.device_names), None)

    def folder_of(self, gpu: str) -> str:
        """The name of the folder for what is kept of a GPU: its data sheet's, or the GPU's own as a slug."""
        spec = self.gpu_spec_of(gpu)
        if spec is not None:
            return distinct_slug(spec.name)
        return distinct_slug(gpu, taken={distinct_slug(name) for name in self.gpu_specs})


def load_project(root: Path) -> Project:
    """Reads a project. What is wrong with a problem or a stage is kept in the project.

    Raises:
        BrokenFile: a catalogue, a data sheet, a baseline or the table of imports is invalid; the message names the file
            and the key.
    """
    catalogue = read_catalogue(root)
    problems, broken_problems = _sorted_out(problem_sources(root), lambda read: read())
    stages, broken_stages = _sorted_out(
        {path.stem: path for path in stage_files(root)}, lambda path: read_stage(root, path, catalogue)
    )
    project = Project(
        root=root,
        problems=problems,
        stages=stages,
        catalogue=catalogue,
        gpu_specs={path.stem: read_gpu_spec(root, path) for path in gpu_spec_files(root)},
        baselines=read_baselines(root, catalogue),
        broken_problems=broken_problems,
        broken_stages=broken_stages,
        import_stages=_import_stages(root, {*stages, *broken_stages}),
    )
    return _with_checked_problems(_with_checked_stages(project))


def _import_stages(root: Path, known: set[str]) -> list[str]:
    where, names = import_stages(root)
    check_known(where, "stage", names, known)
    return names


_Source = TypeVar("_Source")
_Read = TypeVar("_Read")


def _sorted_out(
    sources: dict[str, _Source], read: Callable[[_Source], _Read]
) -> tuple[dict[str, _Read], dict[str, BrokenFile]]:
    """What could be read of each source, and why the others could not be."""
    found: dict[str, _Read] = {}
    broken: dict[str, BrokenFile] = {}
    for name, source in sources.items():
        try:
            found[name] = read(source)
        except BrokenFile as error:
            broken[name] = error
    return found, broken


# --- references between files -----------------------------------------------------------------------------------------


def _with_checked_stages(project: Project) -> Project:
    files = {path.stem: path for path in stage_files(project.root)}
    stages, broken = _sorted_out(
        project.stages, lambda stage: _checked_stage(project, stage, shown_name(project.root, files[stage.name]))
    )
    return replace(project, stages=stages, broken_stages=project.broken_stages | broken)


def _with_checked_problems(project: Project) -> Project:
    problems, broken = _sorted_out(project.problems, lambda problem: _checked_problem(project, problem))
    return replace(project, problems=problems, broken_problems=project.broken_problems | broken)


def _checked_stage(project: Project, stage: Stage, shown: str) -> Stage:
    """A stage. Refuses one that names something unknown; variants are known only if every problem could be read."""
    check_known(f"{shown}: includes", "stage", stage.includes, {*project.stages, *project.broken_stages})
    if not project.problems or project.broken_problems:
        return stage
    known = [variant for problem in project.problems.values() for variant in problem.variants.values()]
    candidates = {variant.name for variant in known if variant.role == "candidate"}
    for number, target in enumerate(stage.targets):
        where = f"{shown}: targets[{number}].variants"
        check_known(where, "variant", target.variants, {variant.name for variant in known})
        if target.variants and not candidates & set(target.variants):
            raise BrokenFile(
                f"{where}: nothing is judged by it: no candidate is {listed(target.variants)}",
                "name a candidate, or remove the target",
            )
    return stage


def _checked_problem(project: Project, problem: Problem) -> Problem:
    """A problem with the metrics of its waivers resolved. Refuses unknown stages, and waivers that match no target."""
    shown = problem.file
    stages = {*project.stages, *project.broken_stages}
    check_known(f"{shown}: stages", "stage", problem.stages, stages)
    for workload in problem.workloads.values():
        if isinstance(workload.judged, list):
            check_known(f"{shown}: workloads.{workload.name}.judged", "stage", workload.judged, stages)
    waivers = [_waiver(project, problem, found, f"{shown}: waivers[{i}]") for i, found in enumerate(problem.waivers)]
    return replace(problem, waivers=waivers)


def _waiver(project: Project, problem: Problem, waiver: Waiver, where: str) -> Waiver:
    check_known(f"{where}.variant", "variant", [waiver.variant], problem.variants)
    check_known(f"{where}.workloads", "workload", waiver.workloads, problem.workloads)
    check_known(f"{where}.stage", "stage", [waiver.stage], {*project.stages, *project.broken_stages})
    if not waiver.reason.strip():
        raise BrokenFile(f"{where}.reason: it is empty", "say why the target is not met, and what is being done")
    if waiver.stage in project.broken_stages:
        return waiver  # its targets are not known; who gates by the stage is told why
    bounded = {target.metric.name for target in project.stages[waiver.stage].targets}
    metric = find_metric(project.catalogue, waiver.metric)
    if metric is None or metric.name not in bounded:
        unknown = UnknownName(f"target of {waiver.stage}", waiver.metric, bounded)
        raise BrokenFile(f"{where}.metric: {unknown.message}", unknown.hint)
    return replace(waiver, metric=metric.name)


def _is_judged(workload: Workload, stages: set[str]) -> bool:
    """Whether a workload is judged by a stage, given as its name and those of the stages that include it."""
    if isinstance(workload.judged, list):
        return not stages.isdisjoint(workload.judged)
    return workload.default if workload.judged is None else workload.judged


def _named(kind: str, name: str, known: dict[str, _Named], broken: dict[str, BrokenFile]) -> _Named:
    if name in broken:
        raise broken[name]
    if name not in known:
        raise UnknownName(kind, name, known)
    return known[name]
