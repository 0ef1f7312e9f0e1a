"""A project: the folder with ``kernels/``, ``metrics/`` and ``reports/``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from stallgate.errors import BrokenFile, UnknownName, UserFault
from stallgate.formatting import listed
from stallgate.model import Baseline, Catalogue, FrozenStruct, GpuSpec, Metric, Problem, Stage, Waiver
from stallgate.project.catalogue import find_metric, stage_metrics
from stallgate.project.checks import check_known
from stallgate.project.layout import (
    CATALOGUE_FILE,
    catalogue_file,
    gpu_spec_files,
    problem_file,
    problem_files,
    relative,
    stage_files,
)
from stallgate.project.paths import distinct_slug
from stallgate.project.problems import read_problem
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

    def __repr__(self) -> str:
        return f"Project({str(self.root)!r})"  # the default would print tens of kilobytes in a failing test

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    def problem(self, name: str) -> Problem:
        return _named("problem", name, self.problems)

    def stage(self, name: str) -> Stage:
        return _named("stage", name, self.stages)

    def stages_of(self, problem: str) -> list[str]:
        """The stages that gate a problem; for a problem that the project does not have, those of all others."""
        if problem in self.problems:
            return self.problems[problem].stages
        return list(dict.fromkeys(name for known in self.problems.values() for name in known.stages))

    def with_included(self, names: Iterable[str]) -> list[Stage]:
        """The stages of these names, each after those that it includes, each once.

        Raises:
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

    def metrics_of(self, problems: Iterable[str]) -> list[Metric]:
        """The metrics that the stages of some problems judge or show."""
        names = dict.fromkeys(name for problem in problems for name in self.stages_of(problem))
        return stage_metrics(self.with_included(names))

    def gpu_spec_of(self, gpu: str) -> GpuSpec | None:
        """The data sheet of a GPU, by the name that its driver reports; None where there is none."""
        return next((spec for spec in self.gpu_specs.values() if gpu in spec.device_names), None)

    def folder_of(self, gpu: str) -> str:
        """The name of the folder for what is kept of a GPU: its data sheet's, or the GPU's own as a slug."""
        spec = self.gpu_spec_of(gpu)
        if spec is not None:
            return distinct_slug(spec.name)
        return distinct_slug(gpu, taken={distinct_slug(name) for name in self.gpu_specs})


def find_root(start: Path) -> Path:
    """The nearest folder at or above ``start`` that holds ``kernels/`` and ``metrics/``.

    Raises:
        UserFault: there is none.
    """
    for folder in (start, *start.parents):
        if (folder / "kernels").is_dir() and catalogue_file(folder).is_file():
            return folder
    raise UserFault(
        f"{start} is not in a stallgate project",
        f"a project holds kernels/ and {CATALOGUE_FILE}; name its folder with --root",
    )


def load_project(root: Path) -> Project:
    """Reads a project.

    Raises:
        BrokenFile: a file is missing or invalid; the message names the file and the key.
    """
    catalogue = read_catalogue(root)
    project = Project(
        root=root,
        problems={path.parent.name: read_problem(root, path) for path in problem_files(root)},
        stages={path.stem: read_stage(root, path, catalogue) for path in stage_files(root)},
        catalogue=catalogue,
        gpu_specs={path.stem: read_gpu_spec(root, path) for path in gpu_spec_files(root)},
        baselines=read_baselines(root, catalogue),
    )
    for stage in project.stages.values():
        _check_stage(project, stage)
    return replace(project, problems={name: _checked(project, found) for name, found in project.problems.items()})


# --- references between files -----------------------------------------------------------------------------------------


def _check_stage(project: Project, stage: Stage) -> None:
    """Refuses a stage that names something unknown. A project without problems can still be inspected."""
    shown = f"metrics/stages/{stage.name}.toml"
    check_known(f"{shown}: includes", "stage", stage.includes, project.stages)
    if not project.problems:
        return
    workloads = {name for problem in project.problems.values() for name in problem.workloads}
    known = [variant for problem in project.problems.values() for variant in problem.variants.values()]
    candidates = {variant.name for variant in known if variant.role == "candidate"}
    for number, target in enumerate(stage.targets):
        check_known(f"{shown}: targets[{number}].workloads", "workload", target.workloads, workloads)
        where = f"{shown}: targets[{number}].variants"
        check_known(where, "variant", target.variants, {variant.name for variant in known})
        if target.variants and not candidates & set(target.variants):
            raise BrokenFile(
                f"{where}: nothing is judged by it: no candidate is {listed(target.variants)}",
                "name a candidate, or remove the target",
            )


def _checked(project: Project, problem: Problem) -> Problem:
    """A problem with the metrics of its waivers resolved. Refuses unknown stages, and waivers that match no target."""
    shown = relative(project.root, problem_file(project.root, problem.name))
    check_known(f"{shown}: stages", "stage", problem.stages, project.stages)
    waivers = [_waiver(project, problem, found, f"{shown}: waivers[{i}]") for i, found in enumerate(problem.waivers)]
    return replace(problem, waivers=waivers)


def _waiver(project: Project, problem: Problem, waiver: Waiver, where: str) -> Waiver:
    check_known(f"{where}.variant", "variant", [waiver.variant], problem.variants)
    check_known(f"{where}.workloads", "workload", waiver.workloads, problem.workloads)
    check_known(f"{where}.stage", "stage", [waiver.stage], project.stages)
    bounded = {target.metric.name for target in project.stages[waiver.stage].targets}
    metric = find_metric(project.catalogue, waiver.metric)
    if metric is None or metric.name not in bounded:
        unknown = UnknownName(f"target of {waiver.stage}", waiver.metric, bounded)
        raise BrokenFile(f"{where}.metric: {unknown.message}", unknown.hint)
    if not waiver.reason.strip():
        raise BrokenFile(f"{where}.reason: it is empty", "say why the target is not met, and what is being done")
    return replace(waiver, metric=metric.name)


def _named(kind: str, name: str, known: dict[str, _Named]) -> _Named:
    if name not in known:
        raise UnknownName(kind, name, known)
    return known[name]
