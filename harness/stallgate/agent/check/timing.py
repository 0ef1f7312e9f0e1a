"""Times and counters of an answer and of the version that it replaces, on a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from stallgate.agent.check.adopt import Adopted
from stallgate.agent.check.better import Better, WorkloadTimes, judge_times
from stallgate.agent.check.right import limit_objections
from stallgate.agent.limits.isolate import Isolation, Limits
from stallgate.agent.objection import Objection
from stallgate.compare.rules import VersionReadings, version_readings
from stallgate.errors import NotMeasured
from stallgate.judge.evaluate import JudgedRun, evaluate, write_results
from stallgate.judge.roof import Roof
from stallgate.measure.bench import Bencher, BenchOptions, new_bench
from stallgate.measure.device import Device
from stallgate.measure.ncu import find_ncu
from stallgate.measure.profile import Profiler, machine_of, new_run
from stallgate.model import Case, FrozenStruct, MeasureOptions, Verdict
from stallgate.project.load import Project
from stallgate.runs.bench import Bench, BenchRow, Entry

_ALONE_ROUNDS = 9
"""Rounds of the replaced version alone: they only have to show whether it was slowed."""


class TimingOptions(FrozenStruct, frozen=True):
    """How to measure."""

    python: str
    device: Device
    stage: str | None
    workloads: list[str]
    """Those to measure; empty: those that the stage judges, else those marked as defaults."""
    rounds: int
    samples: int
    timeout_s: float
    arguments: list[str]
    """The command line, as the run keeps it."""


class TimedAnswer(FrozenStruct, frozen=True):
    """What came of it."""

    better: Better
    stage_met: bool | None
    notes: list[str]
    readings: tuple[VersionReadings, VersionReadings] | None = None
    """Of the replaced version and of the answer, in one run; None where they were not profiled."""


class TimingWatcher(Protocol):
    """Receives progress of benches and of a profile."""

    def begun(self, cases: int) -> None: ...
    def waiting(self) -> None: ...
    def at_work(self, case: str, step: str) -> None: ...
    def finished(self, *_: object) -> None: ...


class AnswerTimer:
    """Times and profiles an answer, into the folder of a run."""

    def __init__(
        self,
        adopted: Adopted,
        options: TimingOptions,
        isolation: Isolation,
        limits: Limits,
        folder: Path,
        watcher: TimingWatcher,
    ) -> None:
        self._adopted = adopted
        self._project = _with_candidate(adopted)
        self._options = options
        self._isolation = isolation
        self._limits = limits
        self._folder = folder
        self._watcher = watcher

    def measure(self) -> TimedAnswer:
        """Alone, beside each other, under ncu: each only if the one before found nothing.

        Raises:
            NotMeasured: one of them could not be done.
        """
        adopted, before = self._adopted, len(self._isolation.processes)
        alone = self._timed("alone", [adopted.against], _ALONE_ROUNDS)
        both = self._timed("interleaved", [adopted.against, adopted.answer], self._options.rounds)
        found = [each for row in both.rows for each in self._bench_objections(row)]
        found += limit_objections(self._isolation.processes[before:], self._limits, "better")
        if found:
            return TimedAnswer(better=Better(gains=[], objections=found), stage_met=None, notes=[])
        judged = self._profiled()
        found = self._case_objections(judged)
        if found:
            return TimedAnswer(better=Better(gains=[], objections=found), stage_met=None, notes=[])
        was, met = (self._meets(judged, name) for name in (adopted.against, adopted.answer))
        times = [self._times(row, alone, judged) for row in both.rows]
        return TimedAnswer(
            better=judge_times(times, newly_met=met is True and was is False),
            stage_met=met,
            notes=[] if met is not None else [f"it cannot be told whether stage {self._options.stage} is met"],
            readings=(self._readings(judged, adopted.against), self._readings(judged, adopted.answer)),
        )

    # --- times --------------------------------------------------------------------------------------------------------

    def _timed(self, name: str, variants: list[str], rounds: int) -> Bench:
        options = self._bench_options(rounds)
        planned = self._planned(variants, options)
        folder = self._folder / name
        folder.mkdir()
        return Bencher(self._project, planned, options, self._options.device, self._watcher).measure(folder)

    def _bench_options(self, rounds: int) -> BenchOptions:
        """Peers say nothing of an answer, and some take long to compile."""
        return BenchOptions(
            python=self._options.python,
            rounds=rounds,
            timeout_s=self._options.timeout_s,
            in_turn=True,
            peers=False,
            renewed=True,
            within=self._isolation.within,
        )

    def _planned(self, variants: list[str], options: BenchOptions) -> Bench:
        return new_bench(self._project, self._cases(variants), options, self._options.arguments)

    def _cases(self, variants: list[str]) -> list[Case]:
        """The default configurations of the roofs and of some variants, the roofs first."""
        known = self._project.problems[self._adopted.problem]
        roofs = [variant.name for variant in known.variants.values() if variant.role == "roof"]
        return [
            Case(problem=known.name, variant=name, configuration="default", workload=workload)
            for name in [*roofs, *variants]
            for workload in self._workloads()
        ]

    def _workloads(self) -> list[str]:
        problem, stage = self._adopted.problem, self._options.stage
        judged = self._project.judged_workloads(problem, stage) if stage is not None else []
        usual = [load.name for load in self._project.problems[problem].workloads.values() if load.default]
        return self._options.workloads or judged or usual

    def _bench_objections(self, row: BenchRow) -> list[Objection]:
        """Why an answer has no time.

        Raises:
            NotMeasured: the version that it replaces has none.
        """
        before, after = _entry(row, self._adopted.against), _entry(row, self._adopted.answer)
        if after.outcome in ("skipped", "planned") or before.outcome != "timed":
            faulty = after if before.outcome == "timed" else before
            raise NotMeasured(f"{faulty.label} was not timed on {row.workload.name}: {faulty.reason}")
        if after.outcome == "timed":
            return []
        text = f"{row.workload.name}: while it was timed: {after.reason}"
        return [Objection(part="better", code=after.outcome, text=text)]

    # --- counters -----------------------------------------------------------------------------------------------------

    def _profiled(self) -> JudgedRun:
        """The run of both and the roofs; the answer has a process of its own."""
        options = MeasureOptions(
            python=self._options.python,
            samples=self._options.samples,
            timeout_s=self._options.timeout_s,
            apart=[self._adopted.answer],
            device=self._options.device.index,
        )
        machine = machine_of(self._project, self._options.device, find_ncu())
        machine = replace(machine, within=self._isolation.around_ncu(options.grace_s))
        cases = self._cases([self._adopted.against, self._adopted.answer])
        run = new_run(self._project, cases, options, machine, self._options.arguments)
        (self._folder / "ncu").mkdir()
        Profiler(self._project, run, machine, self._watcher).measure(self._folder)
        stages = [self._options.stage] if self._options.stage is not None else []
        judged = evaluate(self._project, self._folder, stages, only_judge=True)
        write_results(judged)
        return judged

    def _case_objections(self, judged: JudgedRun) -> list[Objection]:
        """Why the answer's numbers are no measurement of its work.

        Raises:
            NotMeasured: the reason is not the answer's.
        """
        found = []
        for verdict in self._of(judged, self._adopted.answer):
            if verdict.metric is not None or verdict.status == "pass" or verdict.reason == _UNASKED:
                continue
            if verdict.reason not in _OWN_REASONS:
                raise NotMeasured(f"{verdict.workload}: {verdict.sentence}")
            text = f"{verdict.workload}: {verdict.sentence}" if verdict.workload else verdict.sentence
            found.append(Objection(part="better", code=verdict.reason, text=text))
        return list({(each.code, each.text): each for each in found}.values())

    def _readings(self, judged: JudgedRun, variant: str) -> VersionReadings:
        mine = [each.case for each in judged.run.cases if each.case.variant == variant]
        return version_readings(judged, {case: case.workload for case in mine})

    def _of(self, judged: JudgedRun, variant: str) -> list[Verdict]:
        return [each for each in judged.judgement.verdicts if each.variant == variant]

    def _meets(self, judged: JudgedRun, variant: str) -> bool | None:
        """Whether a variant meets the stage; None where that cannot be told, or there is no stage."""
        statuses = {each.status for each in self._of(judged, variant) if not each.warning}
        if self._options.stage is None or not statuses:
            return None
        if "fail" in statuses:
            return False
        return True if statuses <= {"pass", "waived", "excused"} else None

    def _times(self, row: BenchRow, alone: Bench, judged: JudgedRun) -> WorkloadTimes:
        adopted, workload = self._adopted, row.workload.name
        same = next(each for each in alone.rows if each.workload.name == workload)
        found = judged.roofs[adopted.problem, workload].hardware
        limit = found if isinstance(found, Roof) else None
        return WorkloadTimes(
            workload=workload,
            before=_entry(row, adopted.against).samples_us,
            after=_entry(row, adopted.answer).samples_us,
            again=_entry(row, adopted.answer).repeated_us,
            alone=_entry(same, adopted.against).samples_us,
            before_kernels=self._kernels(judged, adopted.against, workload),
            after_kernels=self._kernels(judged, adopted.answer, workload),
            limit=limit.duration / 1e3 if limit is not None else None,
            limit_call=_entry(row, limit.case.variant).median_us if limit is not None else None,
        )

    def _kernels(self, judged: JudgedRun, variant: str, workload: str) -> float | None:
        """Summed duration of a call's kernels, in microseconds."""
        case = Case(self._adopted.problem, variant, "default", workload)
        summary = judged.summaries.get((case, "duration"))
        return summary.median / 1e3 if summary is not None and summary.median else None


_OWN_REASONS = ("wrong_result", "foreign_kernel", "implausible", "crashed", "timed_out", "not_profiled")
"""Of the reasons why a case is not judged, those that are the answer's own."""


_UNASKED = "no_target"
"""That no stage asks anything of a case says nothing of its numbers: a problem need not have a stage."""


def _with_candidate(adopted: Adopted) -> Project:
    """The project with the replaced version as a candidate: a stage judges no other."""
    problem = adopted.project.problems[adopted.problem]
    against = replace(problem.variants[adopted.against], role="candidate", ceiling=None)
    known = replace(problem, variants={**problem.variants, against.name: against})
    return replace(adopted.project, problems={problem.name: known})


def _entry(row: BenchRow, variant: str) -> Entry:
    return next(entry for entry in row.entries if entry.name == variant and entry.configuration == "default")
