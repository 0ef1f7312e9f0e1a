"""One workload of one problem in a judged run: the data for the page's figures and tables."""

from __future__ import annotations

from functools import cached_property
from statistics import median

from stallgate.compare.since import ChangesSinceLast
from stallgate.extract.table import Summary
from stallgate.judge.evaluate import JudgedRun
from stallgate.judge.roof import Roof
from stallgate.model import DETAIL, Case, CaseResult, Detail, Metric, Verdict
from stallgate.project.arithmetic import float_types
from stallgate.project.catalogue import TENSOR_FLOPS, VECTOR_FLOPS, stage_metrics
from stallgate.project.load import Project
from stallgate.project.staleness import measured_workload
from stallgate.render.figures import FigureRow, fitting
from stallgate.render.imports import sharing
from stallgate.render.what_limits import detailed
from stallgate.runs.conditions import problems_in
from stallgate.runs.naming import gpu_name, place_name

MOST_ROWS = 8
"""Most rows of a figure. With more cases, the fastest are drawn; the table has all."""

RATES = ["dram_rate", "dram_peak_rate", "flop_rate", "flop_peak_rate", "fp64_peak_rate"]
"""Metrics that only ``--detail`` launches have."""

_COUNTED = ["tflops", *VECTOR_FLOPS, *TENSOR_FLOPS]
"""Metrics that ``--detail`` launches have even where the samples were not asked for them."""

_LONGEST_NAME = 44
"""Characters of a name in a figure."""


class View:
    """The cases of a workload, with their numbers."""

    def __init__(
        self,
        project: Project,
        result: JudgedRun,
        problem: str,
        workload: str,
        since: ChangesSinceLast | None = None,
    ) -> None:
        self.project = project
        self.result = result
        self.problem = problem
        self.workload = workload
        self._earlier = since.earlier if since is not None else {}
        self.base = since.base if since is not None else ""
        """The earlier run of the problem that charts show beside this one; empty where there is none."""
        self.cases = [r for r in result.run.cases if (r.case.problem, r.case.workload) == (problem, workload)]
        self.readings = result.places.get((problem, workload), [])
        self.is_imported = any(case.identity is not None for case in self.cases)
        self.drawn = self._kept() if len(self.cases) > MOST_ROWS else self.cases
        judged_by = result.judgement.stages_by_problem.get(problem, result.judgement.stages)
        self.stages = [project.stage(name) for name in judged_by]

    def _kept(self) -> list[CaseResult]:
        """The roofs and the fastest of the rest; of imported cases, which do unlike work, those that took longest."""
        if self.is_imported:
            order = sorted(self.cases, key=lambda case: (-(self.total_time(case) or 0.0), case.case.name))
        else:
            durations = {case.case: self.median(case, "duration") for case in self.cases}
            order = sorted(
                self.cases, key=lambda case: (case.role != "roof", durations[case.case] or float("inf"), case.case.name)
            )
        kept = {case.case for case in order[:MOST_ROWS]}
        return [case for case in self.cases if case.case in kept]

    @property
    def title(self) -> str:
        return self.workload_name if self.is_imported else f"{self.problem} · {self.workload}"

    @property
    def workload_name(self) -> str:
        """The workload; of imported cases, the GPU that they ran on."""
        identity = self.cases[0].identity
        return place_name(identity) if identity is not None else self.workload

    def name(self, case: Case) -> str:
        """A case's name for a reader."""
        return self.result.names[case]

    def short_name(self, case: Case) -> str:
        """A case's name as figures and sentences about them have it: no two drawn cases have the same."""
        return self._short_names.get(case) or figure_name(self.name(case))

    @cached_property
    def _short_names(self) -> dict[Case, str]:
        drawn = [case.case for case in self.drawn]
        return dict(zip(drawn, figure_names([self.name(case) for case in drawn]), strict=True))

    def total_time(self, case: CaseResult) -> float | None:
        """The time of all profiled launches of an imported case, in ns; None where it is not known."""
        return self._total_times.get(case.case)

    @cached_property
    def _total_times(self) -> dict[Case, float]:
        found: dict[Case, float] = {}
        for row in self.readings:
            if row.launch is None and row.metric == "duration" and row.state == "measured":
                found[row.case] = found.get(row.case, 0.0) + row.value
        return found

    @property
    def kernels(self) -> list[CaseResult]:
        """The cases of an imported run whose time is their own: no NVTX range, and none that shares a measurement."""
        shared = {case.case for group in sharing(self.cases, self.result.summaries) for case in group}
        alone = [case for case in self.cases if case.case not in shared]
        return [case for case in alone if case.identity is None or case.identity.kind != "call"]

    @cached_property
    def all_time(self) -> float:
        """The time of all profiled launches of imported cases, in ns."""
        return sum(self._total_times.values())

    @cached_property
    def shortest(self) -> float:
        """The shortest time of the workload's cases, in ns; 0 where none is known."""
        times = [self.median(case, "duration") for case in self.cases]
        return min((time for time in times if time), default=0.0)

    def of_problem(self, sentence: str) -> str:
        """A sentence on this workload, after the problem's name where the run has several."""
        several = len(problems_in(self.result.run)) > 1 and not self.is_imported
        return f"{self.problem}: {sentence}" if several else sentence

    @property
    def place(self) -> str:
        """The workload as figures name it; of imported cases, the GPU with its whole name."""
        identity = self.cases[0].identity
        return gpu_name(identity) if identity is not None else figure_name(self.workload_name)

    @property
    def rows(self) -> list[FigureRow]:
        """The drawn cases as figures name them."""
        return [FigureRow(name=self.label(case), role=case.role) for case in self.drawn]

    def label(self, case: CaseResult) -> str:
        """A case's name beside its mark in a figure, which says of a wrong one that it is wrong."""
        return self.marked(case, self.short_name(case.case))

    def marked(self, case: CaseResult, name: str) -> str:
        """A name of a case, with a mark where its results are wrong."""
        return f"{name} ✗ wrong" if case.edge_case_fault else name

    @property
    def cut(self) -> str:
        """A remark for the title of a figure that does not show all cases."""
        if len(self.drawn) == len(self.cases):
            return ""
        which = "that took longest," if self.is_imported else "fastest"
        return f" ({len(self.drawn)} {which} of {len(self.cases)})"

    def summary(self, case: CaseResult, metric: str) -> Summary | None:
        return self.result.summaries.get((case.case, metric))

    def median(self, case: CaseResult, metric: str) -> float | None:
        summary = self.summary(case, metric)
        return summary.median if summary is not None else None

    @property
    def roof(self) -> Roof | None:
        """The roof that fractions refer to; None if there is no sound one."""
        found = self.result.roofs[self.problem, self.workload].deciding
        return found if isinstance(found, Roof) else None

    def earlier(self, case: CaseResult, metric: str) -> float | None:
        """The value of a metric of a case in the earlier run; None where it cannot be compared."""
        return self._earlier.get((case.case, metric))

    def of_case(self, case: Case, metric: str) -> float | None:
        """The median of a metric of a case."""
        summary = self.result.summaries.get((case, metric))
        return summary.median if summary is not None else None

    def found(self, case: CaseResult, metric: str) -> float | None:
        """The median of a metric over the samples of a case; without it, what its launches with every section have."""
        value = self.median(case, metric)
        return value if value is not None else self._detailed.get((case.case, metric))

    @cached_property
    def _detailed(self) -> dict[tuple[Case, str], float]:
        return detailed(self.readings)

    def of_roof(self, metric: str) -> float | None:
        """The median of a metric of the roof."""
        summary = self.result.summaries.get((self.roof.case, metric)) if self.roof is not None else None
        return summary.median if summary is not None else None

    def metric(self, name: str) -> Metric:
        """A metric by its short name."""
        return self.project.catalogue.metrics[name]

    def stage_metrics(self) -> list[Metric]:
        """The metrics that the stages judge or show, in their order, each once."""
        return stage_metrics(self.stages)

    def verdicts(self) -> list[Verdict]:
        """The verdicts here."""
        return [v for v in self.result.judgement.verdicts if (v.problem, v.workload) == (self.problem, self.workload)]

    def rates(self) -> dict[Case, dict[str, float]]:
        """Case -> metric -> rate or operations, for cases with a ``--detail`` launch."""
        values: dict[tuple[Case, str], list[float]] = {}
        for row in self.readings:
            wanted = row.metric in RATES or (row.metric in _COUNTED and row.sample == DETAIL)
            if row.launch is None and wanted and row.state == "measured":
                values.setdefault((row.case, row.metric), []).append(row.value)
        found: dict[Case, dict[str, float]] = {}
        for (case, metric), rates in values.items():
            found.setdefault(case, {})[metric] = median(rates)
        return found

    def float_types(self, case: CaseResult) -> list[str]:
        """The floating-point types of the workload; none where it is not known."""
        workload = measured_workload(self.result.run, self.project, case.case)
        return float_types(workload) if workload is not None else []

    def only_moves(self, case: CaseResult) -> bool:
        """Whether a case is a roof that moves the workload's bytes and computes nothing."""
        subject = self.result.run.subjects.get(self.problem)
        return case.role == "roof" and (subject is None or case.case.variant not in subject.ceilings)

    def details(self) -> list[Detail]:
        """The details of this workload's ``--detail`` launches."""
        here = {case.case for case in self.cases}
        return [detail for attempt in self.result.run.attempts for detail in attempt.details if detail.case in here]


def figure_names(names: list[str]) -> list[str]:
    """Names that fit into a figure, no two alike: where cutting makes them so, they begin where they differ."""
    cut = [figure_name(name) for name in names]
    for alike in {name for name in cut if cut.count(name) > 1}:
        places = [place for place, name in enumerate(cut) if name == alike]
        signs = zip(*(names[place] for place in places), strict=False)
        shared = next((number for number, found in enumerate(signs) if len(set(found)) > 1), 0)
        for place in places if shared else []:
            cut[place] = figure_name(f"…{names[place][max(0, shared - _SHARED) :]}")
    return [name if cut.count(name) == 1 else f"{name} ({place + 1})" for place, name in enumerate(cut)]


_SHARED = 8
"""Characters before the first difference of two names that are kept."""


def figure_name(name: str) -> str:
    """A name that fits into a figure."""
    return fitting(name, _LONGEST_NAME)
