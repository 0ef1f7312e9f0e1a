"""A live run: ncu processes until every planned case has an outcome, written down as it goes."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from msgspec.structs import replace

from stallgate import __version__
from stallgate.errors import CountersBlocked, NotMeasured
from stallgate.extract.evidence import read_attempt, read_details
from stallgate.measure import ncu
from stallgate.measure.attempt import Machine, Performed, Performer, Task, planned_attempt
from stallgate.measure.device import Device
from stallgate.measure.lock import gpu_lock
from stallgate.measure.outcomes import Finished, Outcomes
from stallgate.measure.plan import judging_stages
from stallgate.measure.witness import is_its_own, next_group
from stallgate.model import (
    DETAIL,
    RUN_FORMAT,
    Attempt,
    Case,
    CaseResult,
    MeasureOptions,
    Role,
    Run,
    Selection,
    Settings,
    Subject,
)
from stallgate.project.catalogue import collected
from stallgate.project.commit import commit_of
from stallgate.project.digests import subject_digests
from stallgate.project.load import Project
from stallgate.project.paths import inside
from stallgate.project.staleness import changed_files
from stallgate.runs.folder import SWEEP_FILE, as_argument, now, save


class Watcher(Protocol):
    """Receives progress."""

    def begun(self, cases: int) -> None: ...
    def waiting(self) -> None: ...
    def at_work(self, case: str, step: str) -> None: ...
    def finished(self, result: CaseResult) -> None: ...


# --- the plan ---------------------------------------------------------------------------------------------------------


def machine_of(project: Project, device: Device, executable: Path) -> Machine:
    """A GPU and an ncu, with what is known of both.

    Raises:
        NoProfiler: ncu does not start.
    """
    return Machine(device=device, ncu=executable, ncu_version=ncu.version(executable), chip=chip_of(project, device))


_EVERYTHING = Selection()


def new_run(
    project: Project,
    cases: list[Case],
    options: MeasureOptions,
    machine: Machine,
    arguments: list[str],
    selection: Selection = _EVERYTHING,
) -> Run:
    """A run as it is planned: nothing measured yet."""
    commit, dirty = commit_of(project.root)
    return Run(
        format=RUN_FORMAT,
        name="",
        kind="live",
        created=now(),
        stallgate=__version__,
        reader="",
        commit=commit,
        dirty=dirty,
        arguments=arguments,
        settings=Settings(
            samples=options.samples,
            timeout_s=options.timeout_s,
            clock_control=ncu.CLOCK_CONTROL,
            cache_control=ncu.CACHE_CONTROL,
            metrics=collected(project.catalogue, machine.chip, options.metrics, judging_stages(project, cases)),
        ),
        subjects={name: subject_of(project, name) for name in dict.fromkeys(case.problem for case in cases)},
        cases=[
            CaseResult(case=case, role=project.problems[case.problem].variants[case.variant].role) for case in cases
        ],
        options=options,
        selection=selection,
    )


def role_of(project: Project, case: Case) -> Role:
    """The role of a case's variant."""
    return project.problems[case.problem].variants[case.variant].role


def subject_of(project: Project, name: str) -> Subject:
    """A problem as it is at this moment."""
    problem = project.problems[name]
    return Subject(
        title=problem.title,
        workloads=problem.workloads,
        roles={variant.name: variant.role for variant in problem.variants.values()},
        digests=subject_digests(problem),
        ceilings={v.name: v.ceiling for v in problem.variants.values() if v.ceiling not in (None, "bytes")},
    )


def chip_of(project: Project, device: Device) -> str | None:
    """The chip of a GPU: by its data sheet, else by its name, else by its compute capability; None if none tells.

    Of several chips of one compute capability it is that which the others have the counters of.
    """
    spec = project.gpu_spec_of(device.name)
    if spec is not None:
        return spec.chip
    chips = sorted(project.catalogue.chips.values(), key=lambda chip: chip.like is not None)
    named = [chip.name for chip in chips if device.name in chip.device_names]
    alike = [chip.name for chip in chips if chip.compute_capability == device.compute_capability]
    return next(iter([*named, *alike]), None)


# --- the work ---------------------------------------------------------------------------------------------------------


class Profiler:
    """Measures the cases of a run, in as many ncu processes as it takes."""

    def __init__(self, project: Project, run: Run, machine: Machine, watcher: Watcher) -> None:
        assert run.options is not None
        self._project = project
        self._run = run
        self._options = run.options
        self._machine = machine
        self._watcher = watcher
        self._folder = Path()
        self._tmpdir = Path()
        self._to_be_confirmed: set[Case] = set()
        """Cases that came out wrong, or crashed, where another variant's code had run before."""

    def measure(self, folder: Path) -> Run:
        """Brings every case to an outcome; what is known stands in ``folder`` at every moment.

        Raises:
            NotMeasured: nothing can be measured here, or the user interrupted.
        """
        self._folder = folder
        self._note(replace(self._run, name=folder.name))
        copy_sources(self._project, list(self._run.subjects), folder)
        self._watcher.begun(sum(result.outcome == "planned" for result in self._run.cases))
        uuid = self._machine.device.uuid
        with gpu_lock(uuid, self._watcher.waiting), private_tmpdir(uuid) as self._tmpdir:
            self._take_samples()
            if self._options.detail:
                self._take_details()
        self._note(replace(self._run, complete=True))
        return self._run

    def _take_samples(self) -> None:
        """Processes, one after the other, until each case has an outcome."""
        while cases := self._next_group():
            self._sample(cases)

    def _next_group(self) -> list[Case]:
        """The cases that share the next process. Problems are kept apart: each can have a recording of its own."""
        planned = [result.case for result in self._run.cases if result.outcome == "planned"]
        isolate, apart = self._options.isolate, self._options.apart
        group = next_group(planned, self._to_be_confirmed, isolate=isolate, apart=apart)
        return [case for case in group if case.problem == group[0].problem]

    def _sample(self, cases: list[Case]) -> None:
        """One ncu process for the samples of some cases.

        Raises:
            NotMeasured: it says nothing of any case, and the next would not either; or the user interrupted.
        """
        samples = [str(number) for number in range(self._options.samples)]
        self._refuse_if_hopeless(self._process("samples", cases, samples))

    def _take_details(self) -> None:
        """One more launch of each profiled case, with the whole section set: for drawing, not for judging.

        All are taken in one process, unless each problem is to have a recording of its own.
        """
        profiled = [result.case for result in self._run.cases if result.outcome == "profiled"]
        there = self._detailed()
        missing = [case for case in profiled if case not in there]
        while missing:
            apart = self._options.record
            cases = [case for case in missing if not apart or case.problem == missing[0].problem]
            missing = [case for case in missing if case not in cases]
            performed = self._process("detail", cases, [DETAIL])
            details = read_details(self._folder, performed.attempt)
            attempt = replace(performed.attempt, details=details)
            self._note(replace(self._run, attempts=[*self._run.attempts[:-1], attempt]))
            self._refuse_if_hopeless(performed)

    def _detailed(self) -> set[Case]:
        """The cases that a resumed run has such a launch of."""
        before = [attempt for attempt in self._run.attempts if attempt.kind == "detail"]
        held = [read_attempt(self._folder, self._run, attempt, self._project.catalogue) for attempt in before]
        return {call.case for evidence in held for call in evidence.calls}

    # --- one process ---

    def _process(self, kind: Literal["samples", "detail"], cases: list[Case], samples: list[str]) -> Performed:
        """Runs one ncu process to its end; what becomes of samples is written down as soon as it is known.

        Raises:
            NotMeasured: the user interrupted.
        """
        name = unused_attempt_name(self._folder, self._run.attempts)
        task = Task(folder=self._folder / "ncu", name=name, kind=kind, cases=cases, samples=samples)
        metrics = self._run.settings.metrics if self._run.settings is not None else []
        attempt = planned_attempt(task, self._machine, self._options.python, metrics)
        self._note(replace(self._run, attempts=[*self._run.attempts, attempt]))
        settle = partial(self._settle, task) if kind == "samples" else _ignore
        performer = Performer(self._project, self._options, self._machine, self._tmpdir)
        performed = performer.perform(task, attempt, self._watcher.at_work, settle)
        self._note(replace(self._run, attempts=[*self._run.attempts[:-1], performed.attempt]))
        settle(performed.outcomes)
        if kind == "samples":
            self._hold(performed.attempt)
        if performed.interrupted:
            raise NotMeasured("interrupted", f"what was measured so far is in {self._folder}{self._goes_on()}")
        return performed

    def _goes_on(self) -> str:
        """What measures the rest; a run that is part of a sweep or a loop is finished by that."""
        reports = self._project.reports.resolve()
        if self._folder.resolve().parent != reports or (self._folder / SWEEP_FILE).is_file():
            return ""
        name = shlex.quote(as_argument(reports, self._folder))
        return f"; `stallgate profile --resume {name}` measures the rest"

    def _settle(self, task: Task, outcomes: Outcomes) -> None:
        """Writes down the outcomes that are known by now. One may be taken back later, and is written again then."""
        for case, finished in outcomes.finished.items():
            if is_its_own(task.cases, case, finished):
                self._conclude(case, finished, task.name)
            else:
                self._to_be_confirmed.add(case)

    def _conclude(self, case: Case, finished: Finished, attempt: str) -> None:
        old = self._result(case)
        moved = changed_files(self._project, finished.modules)
        if moved:
            finished = Finished(outcome="not_profiled", reason=f"{moved[0]} changed while it was measured")
        new = replace(old, **{name: getattr(finished, name) for name in Finished.__struct_fields__}, attempt=attempt)
        if new != old:
            copy_files(self._project, finished.modules, self._folder)
            self._replace(new)
            self._watcher.finished(new)

    def _hold(self, attempt: Attempt) -> None:
        """Holds the ncu report against the plan: what the child ran counts only if ncu saw it."""
        evidence = read_attempt(self._folder, self._run, attempt, self._project.catalogue)
        self._note(replace(self._run, reader=evidence.reader or self._run.reader))
        for result in self._run.cases:
            if result.case.name in evidence.faults:
                self._replace(replace(result, outcome="not_profiled", reason=evidence.faults[result.case.name]))

    def _refuse_if_hopeless(self, performed: Performed) -> None:
        """Refuses to start another process where the next would do no better.

        Raises:
            NotMeasured: this one said nothing of any case.
        """
        if performed.complaints.counters_blocked:
            raise CountersBlocked(
                "the driver denies hardware counters to this user (ERR_NVGPUCTRPERM)",
                f"NVIDIA says how to allow them: {ncu.PERMISSION_PAGE}",
            )
        if performed.outcomes.unable is not None:
            hint = "name an interpreter that has a CUDA torch and triton with --python"
            raise NotMeasured(performed.outcomes.unable, hint)
        if not performed.outcomes.finished:
            attempt = performed.attempt
            cause = attempt.errors[0] if attempt.errors else self._end_of(attempt)
            raise NotMeasured(f"no case could start: {cause}", f"see ncu's output in {self._log_of(attempt)}")

    def _log_of(self, attempt: Attempt) -> Path:
        return self._folder / "ncu" / f"{attempt.name}.log"

    def _end_of(self, attempt: Attempt) -> str:
        """How ncu ended, if it printed no error."""
        if attempt.exit_status is None:
            return f"no response within {self._options.timeout_s:g} s (--timeout)"
        return f"ncu ended with status {attempt.exit_status}"

    # --- what is written down ---

    def _result(self, case: Case) -> CaseResult:
        return next(result for result in self._run.cases if result.case == case)

    def _replace(self, new: CaseResult) -> None:
        self._note(replace(self._run, cases=[new if old.case == new.case else old for old in self._run.cases]))

    def _note(self, run: Run) -> None:
        self._run = run
        save(self._folder, run)


def _ignore(outcomes: Outcomes) -> None:
    """Ignores the outcomes of detail launches: nothing is judged by them."""


def unused_attempt_name(folder: Path, attempts: list[Attempt]) -> str:
    """The next number. A resumed run may have dropped attempts whose files are still in its folder."""
    names = [attempt.name for attempt in attempts]
    names += [path.name.partition(".")[0] for path in (folder / "ncu").glob("*")]
    return str(max((int(name) for name in names if name.isdecimal()), default=0) + 1)


def copy_sources(project: Project, problems: list[str], folder: Path) -> None:
    """Keeps the files that are measured beside their numbers."""
    for name in problems:
        problem = project.problems[name]
        entries = [problem.reference, *(variant.entry for variant in problem.variants.values())]
        copy_files(project, [entry.path for entry in entries if entry.path], folder)


def copy_files(project: Project, paths: Iterable[str], folder: Path) -> None:
    """Copies files of a project into a run's folder."""
    for path in paths:
        target = inside(folder, "source", path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project.root / path, target)


@contextmanager
def private_tmpdir(uuid: str) -> Iterator[Path]:
    """A folder for as long as the lock of a GPU is held; one that a killed process left behind is removed."""
    prefix = f"stallgate-{uuid}-"
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        yield Path(name)
