"""The counters of a sweep: the trials within reach of the best, profiled in an ordinary run, one ncu a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from stallgate.errors import NoRun
from stallgate.extract.table import Summaries
from stallgate.measure.attempt import Machine
from stallgate.measure.device import Device
from stallgate.measure.profile import Watcher, new_run
from stallgate.measure.resume import options_of, resumable, with_options
from stallgate.measure.sweep_book import SweepBook
from stallgate.measure.sweep_plan import DEFAULT_CONFIGURATION, SweepRequest, sweep_case, swept_project
from stallgate.measure.sweep_site import SweepSite
from stallgate.measure.sweep_times import contenders_of, ranked_trials, side_by_side, split
from stallgate.model import Case, CaseResult, Catalogue, MeasureOptions, Metric, Run, Stage
from stallgate.project.catalogue import asked_for, find_metric, is_measured, stage_metrics
from stallgate.project.load import Project
from stallgate.runs.folder import load
from stallgate.runs.sweep import CounterReading, Effort, Sweep, Trial, TrialState, Yardstick

REACH = 1.10
"""Times the best: trials that are at most so slow are profiled."""

MOST_PROFILED: dict[Effort, int] = {"quick": 8, "full": 16}
"""Trials of a workload that are profiled, beside the default: each takes one to three seconds."""

SAMPLES: dict[Effort, int] = {"quick": 3, "full": 5}
"""Profiled calls of a trial within reach."""

_SAMPLES_OF_ALL: dict[Effort, int] = {"quick": 1, "full": 3}
"""The same where all trials are profiled: a hundred take a minute as it is."""


class SweepProfiler:
    """Profiles trials of a sweep on each of its GPUs, into the sweep's folder."""

    def __init__(
        self,
        project: Project,
        request: SweepRequest,
        book: SweepBook,
        machines: Mapping[int, Machine],
        watcher: Watcher,
        site: SweepSite,
    ) -> None:
        self._project = project
        self._request = request
        self._book = book
        self._machines = machines
        self._watcher = watcher
        self._site = site

    def profile(self) -> None:
        """Profiles the trials within reach, or all that were timed.

        Raises:
            NotMeasured: ncu cannot measure here, or the user interrupted.
        """
        chosen = within_reach(self._book.sweep, everything=self._request.counters == "all")
        devices = self._request.devices
        shares = split(chosen, len(devices))
        jobs = [
            partial(self._profile_share, device, share) for device, share in zip(devices, shares, strict=True) if share
        ]
        if jobs:
            side_by_side(jobs)

    def _profile_share(self, device: Device, share: list[Trial]) -> None:
        """One GPU's trials, in one run; a run that is there is gone on with."""
        sweep = self._book.sweep
        project = swept_project(self._project, sweep)
        machine = self._machines[device.index]
        folder = counter_folder(self._book.folder, self._request.devices, device)
        (folder / "ncu").mkdir(parents=True, exist_ok=True)
        run = self._run(project, folder, contenders_of(self._project, sweep, share), machine)
        if any(result.outcome == "planned" for result in run.cases):
            self._settle(self._site.take_counters(project, run, machine, folder, self._watcher))
        else:
            self._settle(run)

    def _run(self, project: Project, folder: Path, cases: list[Case], machine: Machine) -> Run:
        """A new run of the cases, or the one of the folder with those that it lacks."""
        sweep = self._book.sweep
        try:
            begun = load(folder)
        except NoRun:
            return with_swept(sweep, new_run(project, cases, self._options(machine.device), machine, sweep.arguments))
        begun = with_options(begun, self._again(options_of(begun, sweep.name)))
        run = with_swept(sweep, resumable(project, folder, begun, machine, same_host=self._site.is_here))
        known = {result.case for result in run.cases}
        roles = project.problem(sweep.problem).variants
        more = [CaseResult(case=case, role=roles[case.variant].role) for case in cases if case not in known]
        return replace(run, cases=[*run.cases, *more])

    def _again(self, begun: MeasureOptions) -> MeasureOptions:
        """The options of a run that is gone on with: time limits are those of now."""
        return replace(begun, timeout_s=self._request.timeout_s, grace_s=self._request.grace_s)

    def _options(self, device: Device) -> MeasureOptions:
        return MeasureOptions(
            python=self._request.python,
            samples=(SAMPLES if self._request.counters == "front" else _SAMPLES_OF_ALL)[self._request.effort],
            timeout_s=self._request.timeout_s,
            grace_s=self._request.grace_s,
            metrics=self._metrics(device),
            detail=False,
            isolate=False,
            device=device.index,
            report=False,
            record=False,
        )

    def _metrics(self, device: Device) -> list[str] | None:
        """What is asked of ncu: of the trials within reach everything, of all trials what they are compared by."""
        if self._request.counters == "front":
            return None
        sweep = self._book.sweep
        stage = self._project.stage(sweep.stage) if sweep.stage is not None else None
        return compared_by(self._project.catalogue, self._machines[device.index].chip, stage, self._request.against)

    def _settle(self, run: Run) -> None:
        """Writes down what became of each profiled trial: the referee found it right, or not."""
        found = {result.case: result for result in run.cases}

        def changed(sweep: Sweep) -> Sweep:
            return replace(sweep, trials=[_profiled(t, found.get(sweep_case(sweep, t))) for t in sweep.trials])

        self._book.write(changed)


def compared_by(catalogue: Catalogue, chip: str | None, stage: Stage | None, against: str) -> list[str]:
    """The metrics by which trials are compared: those that a stage judges and shows, and what is weighed against time.

    Args:
        catalogue: the metrics.
        chip: of the GPU; None if unknown. What it lacks is left out.
        stage: without one it is the memory stall.
        against: a metric in any spelling; what is none of ncu's changes nothing.
    """
    metrics = stage_metrics([stage]) if stage is not None else [catalogue.metrics[_WITHOUT_STAGE]]
    metrics = [*metrics, *filter(None, [find_metric(catalogue, against)])]
    return list(dict.fromkeys(metric.name for metric in metrics if _is_there(catalogue, metric, chip)))


_WITHOUT_STAGE = "memory_dependency_stall"


def _is_there(catalogue: Catalogue, metric: Metric, chip: str | None) -> bool:
    """Whether a run on a chip has a metric."""
    return bool(asked_for(catalogue, metric, chip)) if is_measured(metric) else metric.formula is None


def with_swept(sweep: Sweep, run: Run) -> Run:
    """A run that says what its configurations are: no file of the project does."""
    tried = [trial for trial in sweep.trials if trial.configuration != DEFAULT_CONFIGURATION]
    swept = {trial.configuration: dict[str, object](trial.tunables) for trial in tried}
    subject = replace(run.subjects[sweep.problem], swept={sweep.variant: swept})
    return replace(run, subjects={**run.subjects, sweep.problem: subject})


def counter_folder(folder: Path, devices: list[Device], device: Device) -> Path:
    """Where the run of a GPU stands: that of the first is the sweep's own folder."""
    return folder if device.index == devices[0].index else folder / "devices" / str(device.index)


def within_reach(sweep: Sweep, *, everything: bool = False) -> list[Trial]:
    """The trials whose counters are collected: those near the best time of their workload, and the default.

    Args:
        sweep: its trials were timed.
        everything: all that were timed, those included that were stopped early.
    """
    found: list[Trial] = []
    for workload in dict.fromkeys(trial.workload for trial in sweep.trials):
        if everything:
            found += [t for t in sweep.trials if t.workload == workload and t.samples_us]
            continue
        ranked = ranked_trials(sweep, workload)
        if not ranked:
            continue
        limit = REACH * median(ranked[0].samples_us)
        near = [trial for trial in ranked if median(trial.samples_us) <= limit][: MOST_PROFILED[sweep.effort]]
        default = [t for t in ranked if t.configuration == DEFAULT_CONFIGURATION and t not in near]
        found += [*near, *default]
    return found


_WORSE: dict[str, TrialState] = {"wrong_result": "wrong_result", "crashed": "crashed", "timed_out": "timed_out"}


def _profiled(trial: Trial, result: CaseResult | None) -> Trial:
    """A trial after profiling: one that the referee found wrong, or that failed, is a candidate no more."""
    if result is None or trial.state not in ("timed", "stopped"):
        return trial
    if result.outcome == "profiled":
        return replace(trial, state="profiled") if trial.state == "timed" else trial
    if result.outcome in _WORSE:
        return replace(trial, state=_WORSE[result.outcome], reason=result.reason)
    return replace(trial, reason=result.reason or trial.reason)


def with_counters(sweep: Sweep, summaries: Summaries) -> Sweep:
    """A sweep whose trials have the readings of a run.

    Args:
        sweep: whose cases the run has.
        summaries: of the run, ``roof_fraction`` among them where the roofs are known.
    """
    return replace(
        sweep,
        trials=[_with_readings(sweep, trial, summaries) for trial in sweep.trials],
        yardsticks=[_with_roof_readings(sweep, yardstick, summaries) for yardstick in sweep.yardsticks],
    )


def _with_readings(sweep: Sweep, trial: Trial, summaries: Summaries) -> Trial:
    found = _readings(sweep_case(sweep, trial), summaries)
    return replace(trial, counters={**trial.counters, **found}) if found else trial


def _with_roof_readings(sweep: Sweep, yardstick: Yardstick, summaries: Summaries) -> Yardstick:
    """A roof with its own readings: some targets ask for a fraction of them."""
    case = Case(sweep.problem, yardstick.name, DEFAULT_CONFIGURATION, yardstick.workload)
    found = _readings(case, summaries) if yardstick.role == "roof" else {}
    return replace(yardstick, counters={**yardstick.counters, **found}) if found else yardstick


def _readings(case: Case, summaries: Summaries) -> dict[str, CounterReading]:
    """Short name of a metric -> its readings in a case, of those that were measured."""
    return {
        metric: CounterReading(summary.median, summary.low, summary.high, summary.samples)
        for (of, metric), summary in summaries.items()
        if of == case and summary.median is not None and summary.low is not None and summary.high is not None
    }
