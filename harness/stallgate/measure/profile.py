"""A live run: ncu processes until every planned case has an outcome, written down as it goes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec.structs import replace

from stallgate import __version__
from stallgate.errors import CountersBlocked, NotMeasured
from stallgate.extract.evidence import read_attempt, read_details
from stallgate.measure import ncu
from stallgate.measure.device import Device
from stallgate.measure.lock import gpu_lock, leash
from stallgate.measure.outcomes import Story, Told
from stallgate.measure.process import Event, watch
from stallgate.model import DETAIL, RUN_FORMAT, Attempt, Case, CaseResult, Environment, Noun, Run, Settings, Subject
from stallgate.project.catalogue import collected
from stallgate.project.commit import commit_of
from stallgate.project.digests import file_digest, subject_digests
from stallgate.project.load import Project
from stallgate.project.paths import inside
from stallgate.runs.folder import now, save, write_whole

CHILD = Path(__file__).resolve().parents[1] / "child" / "__main__.py"

RUN_LIMIT_S = 2.0
"""A case whose single run takes longer is skipped: its passes under ncu would take minutes."""


LEASH = "leash"
"""The file, in the private TMPDIR, whose lock keeps the child alive."""


class Options(Noun, frozen=True):
    """How to measure."""

    python: str
    """The interpreter that has torch and triton."""
    samples: int
    timeout_s: float
    """Seconds that a step of the child may take before its case is given up."""
    metrics: list[str] | None = None
    """Short names; None for the whole catalogue."""
    detail: bool = False
    isolate: bool = False


class Watcher(Protocol):
    """Whoever wants to know how far a run is."""

    def begun(self, cases: int) -> None: ...
    def waiting(self) -> None: ...
    def at_work(self, case: str, step: str) -> None: ...
    def finished(self, result: CaseResult) -> None: ...


# --- the plan ---------------------------------------------------------------------------------------------------------


def new_run(project: Project, cases: list[Case], options: Options, device: Device, arguments: list[str]) -> Run:
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
            metrics=collected(project.catalogue, chip_of(project, device), options.metrics),
        ),
        subjects={name: subject_of(project, name) for name in dict.fromkeys(case.problem for case in cases)},
        cases=[
            CaseResult(case=case, role=project.problems[case.problem].variants[case.variant].role) for case in cases
        ],
    )


def subject_of(project: Project, name: str) -> Subject:
    """A problem as it is at this moment."""
    problem = project.problems[name]
    return Subject(
        title=problem.title,
        workloads=problem.workloads,
        roles={variant.name: variant.role for variant in problem.variants.values()},
        digests=subject_digests(problem),
    )


def chip_of(project: Project, device: Device) -> str | None:
    """The chip of a GPU: by its card, else by its compute capability; None where neither tells."""
    card = project.card_of(device.name)
    if card is not None:
        return card.chip
    chips = project.catalogue.chips.values()
    return next((chip.name for chip in chips if chip.compute_capability == device.compute_capability), None)


def child_plan(
    project: Project, cases: list[Case], samples: list[str], events: Path, target: str, leash: Path | None = None
) -> bytes:
    """What the child is told, as JSON.

    Args:
        project: the project.
        cases: what to measure, in this order.
        samples: the last part of each sample's label.
        events: the file that takes the child's events.
        target: ``cuda``; or ``cpu`` for Triton's interpreter, where nothing is profiled.
        leash: a file whose lock is held as long as somebody waits for the child.
    """
    plan = {
        "device": target,
        "events": str(events),
        "leash": str(leash) if leash is not None else None,
        "run_limit_s": RUN_LIMIT_S,
        "references": {
            name: {"path": str(project.root / problem.reference), "digest": problem.reference_digest}
            for name, problem in project.problems.items()
        },
        "cases": [_child_case(project, case, samples) for case in cases],
    }
    return msgspec.json.format(msgspec.json.encode(plan), indent=2)


def _child_case(project: Project, case: Case, samples: list[str]) -> dict[str, object]:
    problem = project.problems[case.problem]
    variant = problem.variants[case.variant]
    workload = problem.workloads[case.workload]
    return {
        "name": case.name,
        "problem": case.problem,
        "variant": case.variant,
        "role": variant.role,
        "path": str(project.root / variant.path),
        "digest": variant.digest,
        "tunables": variant.configurations[case.configuration],
        "arguments": workload.arguments,
        "bytes": workload.bytes,
        "labels": [case.label(sample) for sample in samples],
    }


# --- the work ---------------------------------------------------------------------------------------------------------


class Profiler:
    """Measures the cases of a run, in as many ncu processes as it takes."""

    def __init__(
        self, project: Project, run: Run, options: Options, device: Device, executable: Path, watcher: Watcher
    ) -> None:
        self._project = project
        self._run = run
        self._options = options
        self._device = device
        self._ncu = executable
        self._watcher = watcher
        self._ncu_version = ""
        self._folder = Path()

    def measure(self, folder: Path) -> Run:
        """Brings every case to an outcome; what is known stands in ``folder`` at every moment.

        Raises:
            NotMeasured: nothing can be measured here, or the user interrupted.
        """
        self._folder = folder
        self._note(replace(self._run, name=folder.name))
        copy_sources(self._project, list(self._run.subjects), folder)
        self._watcher.begun(sum(result.outcome == "planned" for result in self._run.cases))
        with (
            gpu_lock(self._device.uuid, self._watcher.waiting),
            _private_tmpdir(self._device.uuid) as tmpdir,
            leash(tmpdir / LEASH),
        ):
            self._ncu_version = ncu.version(self._ncu)
            for cases in self._groups():
                self._samples(cases, tmpdir)
            if self._options.detail:
                self._detail(tmpdir)
        self._note(replace(self._run, complete=True))
        return self._run

    def _groups(self) -> list[list[Case]]:
        """The cases that share a process while nothing goes wrong."""
        cases = [result.case for result in self._run.cases]
        if not self._options.isolate:
            return [cases]
        subjects = dict.fromkeys((case.problem, case.variant) for case in cases)
        return [[case for case in cases if (case.problem, case.variant) == subject] for subject in subjects]

    def _samples(self, cases: list[Case], tmpdir: Path) -> None:
        """Processes, one after the other, until each of the cases has an outcome."""
        labels = [str(number) for number in range(self._options.samples)]
        while pending := [case for case in cases if self._result(case).outcome == "planned"]:
            self._attempt("samples", pending, labels, tmpdir)

    def _detail(self, tmpdir: Path) -> None:
        """One more launch of each profiled case, with the whole section set: for drawing, not for judging."""
        profiled = [result.case for result in self._run.cases if result.outcome == "profiled"]
        there = self._detailed()
        missing = [case for case in profiled if case not in there]
        if missing:
            self._attempt("detail", missing, [DETAIL], tmpdir)

    def _detailed(self) -> set[Case]:
        """The cases that a resumed run has such a launch of."""
        before = [attempt for attempt in self._run.attempts if attempt.kind == "detail"]
        held = [read_attempt(self._folder, self._run, attempt, self._project.catalogue) for attempt in before]
        return {call.case for evidence in held for call in evidence.calls}

    def _attempt(self, kind: str, cases: list[Case], samples: list[str], tmpdir: Path) -> None:
        """One ncu process, and what it says of each of its cases.

        Raises:
            NotMeasured: it says nothing of any, and the next would not either; or the user interrupted.
        """
        stem = self._folder / "ncu" / str(len(self._run.attempts) + 1)
        log, events, report = stem.with_suffix(".log"), stem.with_suffix(".events.jsonl"), stem.with_suffix(".ncu-rep")
        plan = stem.with_suffix(".plan.json")
        write_whole(plan, child_plan(self._project, cases, samples, events, "cuda", tmpdir / LEASH))
        invocation = ncu.Invocation(
            report=report,
            metrics=self._run.settings.metrics if self._run.settings is not None else [],
            detail=kind == "detail",
            application=[self._options.python, str(CHILD), str(plan)],
        )
        attempt = Attempt(
            name=stem.name,
            kind="detail" if kind == "detail" else "samples",
            command=ncu.command(self._ncu, invocation),
            started=now(),
        )
        self._note(replace(self._run, attempts=[*self._run.attempts, attempt]))
        story = Story(cases, self._watcher.at_work)

        def hear(event: Event) -> None:
            story.hear(event)
            if event["event"] == "outcome" and kind == "samples":
                self._settle(story, attempt)

        ended = watch(attempt.command, self._environment(tmpdir), log, events, self._options.timeout_s, hear)
        said = ncu.complaints(log.read_text(errors="replace"))
        story.conclude(ended, said, self._options.timeout_s)
        attempt = replace(
            attempt,
            seconds=ended.seconds,
            exit_status=ended.exit_status,
            errors=said.errors,
            report=f"ncu/{report.name}" if report.is_file() else None,
            sha256=file_digest(report) if report.is_file() else None,
            environment=self._described(story),
        )
        if kind == "detail":
            attempt = replace(attempt, details=read_details(self._folder, attempt))
        self._note(replace(self._run, attempts=[*self._run.attempts[:-1], attempt]))
        if kind == "samples":
            self._settle(story, attempt)
            self._hold(attempt)
        if ended.interrupted:
            raise NotMeasured(
                "interrupted",
                f"what was measured so far is in {self._folder}; `stallgate profile --resume` measures the rest",
            )
        self._refuse_if_hopeless(story, said, attempt, log)

    def _settle(self, story: Story, attempt: Attempt) -> None:
        """Writes down the outcomes that are known by now."""
        for case, told in story.outcomes.items():
            if self._result(case).outcome == "planned":
                self._conclude(case, told, attempt)

    def _conclude(self, case: Case, told: Told, attempt: Attempt) -> None:
        result = replace(
            self._result(case),
            outcome=told.outcome,
            reason=told.reason,
            run_ms=told.run_ms,
            strays=told.strays,
            attempt=attempt.name,
        )
        self._replace(result)
        self._watcher.finished(result)

    def _hold(self, attempt: Attempt) -> None:
        """Holds the ncu report against the plan: what the child ran counts only if ncu saw it."""
        evidence = read_attempt(self._folder, self._run, attempt, self._project.catalogue)
        self._note(replace(self._run, reader=evidence.reader or self._run.reader))
        for result in self._run.cases:
            if result.case.name in evidence.faults:
                self._replace(replace(result, outcome="not_profiled", reason=evidence.faults[result.case.name]))

    def _refuse_if_hopeless(self, story: Story, said: ncu.Complaints, attempt: Attempt, log: Path) -> None:
        if said.counters_blocked:
            raise CountersBlocked(
                "the driver denies hardware counters to this user (ERR_NVGPUCTRPERM)",
                f"NVIDIA says how to allow them: {ncu.PERMISSION_PAGE}",
            )
        if story.unable is not None:
            raise NotMeasured(story.unable, "name an interpreter that has a CUDA torch and triton with --python")
        if not story.outcomes:
            cause = attempt.errors[0] if attempt.errors else self._end_of(attempt)
            raise NotMeasured(f"no case could begin: {cause}", f"ncu's own words are in {log}")

    def _end_of(self, attempt: Attempt) -> str:
        """How ncu ended, where it has no word of its own for it."""
        if attempt.exit_status is None:
            return f"nothing was heard within the {self._options.timeout_s:g} s that --timeout allows"
        return f"ncu ended with status {attempt.exit_status}"

    # --- what is written down ---

    def _result(self, case: Case) -> CaseResult:
        return next(result for result in self._run.cases if result.case == case)

    def _replace(self, new: CaseResult) -> None:
        self._note(replace(self._run, cases=[new if old.case == new.case else old for old in self._run.cases]))

    def _note(self, run: Run) -> None:
        self._run = run
        save(self._folder, run)

    def _described(self, story: Story) -> Environment | None:
        facts = story.environment
        if facts is None:
            return None
        return Environment(
            gpu=facts["gpu"],
            device=self._device.index,
            compute_capability=facts["compute_capability"],
            chip=chip_of(self._project, self._device),
            driver=self._device.driver,
            ncu=self._ncu_version,
            python=facts["python"],
            torch=facts["torch"],
            triton=facts["triton"],
            cuda=facts["cuda"],
        )

    def _environment(self, tmpdir: Path) -> dict[str, str]:
        """The child sees one GPU; ncu's lock file stays in a folder of our own."""
        return {
            **os.environ,
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": self._device.uuid,
            "TMPDIR": str(tmpdir),
        }


def copy_sources(project: Project, problems: list[str], folder: Path) -> None:
    """Keeps the files that are measured beside their numbers."""
    for name in problems:
        problem = project.problems[name]
        for path in [problem.reference, *(variant.path for variant in problem.variants.values())]:
            target = inside(folder, "source", path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(project.root / path, target)


@contextmanager
def _private_tmpdir(uuid: str) -> Iterator[Path]:
    """A folder for as long as the lock of a GPU is held; one that a killed process left behind is removed."""
    prefix = f"stallgate-{uuid}-"
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        yield Path(name)
