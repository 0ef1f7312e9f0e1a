"""What will be measured: the cases of a plan, in the order of their measurement."""

from __future__ import annotations

from stallgate.errors import BadArgument, UnknownName
from stallgate.model import Case, FrozenStruct, Problem, Stage, Variant, Workload
from stallgate.project.layout import variant_file
from stallgate.project.load import Project


class Request(FrozenStruct, frozen=True):
    """What a user asks to have measured; empty means the default."""

    subjects: list[str] = []
    """``problem`` or ``problem/variant``; empty: every problem. The roof always comes along."""
    workloads: list[str] = []
    configurations: list[str] = []
    """Names of configurations; a variant without one of them is measured in its default."""


def plan_cases(project: Project, request: Request) -> list[Case]:
    """The cases that a request asks for: the roofs of all workloads, then the rest, grouped by workload.

    Roofs come first because cases share a process: no roof runs in an interpreter in which a variant's code ran before.

    Raises:
        UnknownName: a problem, variant, workload or configuration that does not exist.
        BrokenFile: a problem that is asked for is broken.
        BadArgument: the project has no problem at all, or nothing is left to measure.
    """
    if not project.problems and not project.broken_problems:
        raise BadArgument("the project has no problems", "put one under kernels/<problem>/problem.toml")
    chosen = _chosen(project, request.subjects)
    _check_configurations(chosen, request.configurations)
    cases: list[Case] = []
    for problem, variants in chosen:
        for workload in _workloads(problem, request.workloads):
            cases += [
                Case(problem=problem.name, variant=variant.name, configuration=configuration, workload=workload.name)
                for variant in variants
                for configuration in _configurations(variant, request.configurations)
            ]
    if not cases:
        raise BadArgument(
            "there is nothing to measure: no workload is named, and none is marked as a default",
            "name one with -w, or write `default = true` into a workload of problem.toml",
        )
    return sorted(cases, key=lambda case: project.problems[case.problem].variants[case.variant].role != "roof")


def judging_stages(project: Project, cases: list[Case]) -> list[Stage]:
    """The stages that gate the problems of some cases.

    Raises:
        BrokenFile: the file of one of them is broken.
    """
    problems = dict.fromkeys(case.problem for case in cases)
    return project.with_included(name for problem in problems for name in project.problem(problem).stages)


def _chosen(project: Project, subjects: list[str]) -> list[tuple[Problem, list[Variant]]]:
    """Each problem asked for with its variants, the roofs included, in the order of problem.toml."""
    named: dict[str, list[str]] = {}
    for subject in subjects or [*project.problems, *project.broken_problems]:
        problem, _, variant = subject.partition("/")
        known = project.problem(problem).variants
        if variant and variant not in known:
            raise _unknown_variant(project, problem, variant)
        named.setdefault(problem, []).extend([variant] if variant else known)
    chosen = []
    for name, wanted in named.items():
        problem_of = project.problems[name]
        variants = [v for v in problem_of.variants.values() if v.role == "roof" or v.name in wanted]
        chosen.append((problem_of, variants))
    return chosen


def _unknown_variant(project: Project, problem: str, variant: str) -> UnknownName:
    error = UnknownName("variant", variant, project.problems[problem].variants)
    if variant_file(project.root, problem, variant).is_file():
        error.hint = f"{variant}.py is there: give it a role in kernels/{problem}/problem.toml"
    return error


def _workloads(problem: Problem, names: list[str]) -> list[Workload]:
    for name in names:
        if name not in problem.workloads:
            raise UnknownName("workload", name, problem.workloads)
    if names:
        return [problem.workloads[name] for name in dict.fromkeys(names)]
    return [workload for workload in problem.workloads.values() if workload.default]


def _configurations(variant: Variant, names: list[str]) -> list[str]:
    """The configurations to measure. A roof's default one is always among them: fractions refer to it."""
    wanted = [name for name in dict.fromkeys(names) if name in variant.configurations]
    if variant.role == "roof" and "default" not in wanted:
        wanted.insert(0, "default")
    return wanted or ["default"]


def _check_configurations(chosen: list[tuple[Problem, list[Variant]]], names: list[str]) -> None:
    known = {name for _, variants in chosen for variant in variants for name in variant.configurations}
    for name in names:
        if name not in known:
            raise UnknownName("configuration", name, known)
