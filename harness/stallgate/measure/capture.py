"""ncu around any program: first the times of all kernels, then counters of those that take most of the time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal, Protocol

from msgspec.structs import replace

from stallgate.errors import BadArgument, CountersBlocked, DamagedReport, NotMeasured
from stallgate.extract.captured import TIME, KernelGroup, Ranking, grouped, heaviest, ranked
from stallgate.extract.imported import empty_import, machine_in, with_report
from stallgate.extract.launches import Report, read_report
from stallgate.formatting import as_text, listed
from stallgate.measure import ncu
from stallgate.measure.attempt import Machine
from stallgate.measure.device import Device
from stallgate.measure.lock import gpu_lock
from stallgate.measure.process import in_words
from stallgate.measure.profile import private_tmpdir
from stallgate.measure.program import ForeignProgram, run_limited
from stallgate.model import Attempt, Environment, FrozenStruct, Launch, Program, ProgramKernel, Run, Settings
from stallgate.project.digests import file_digest
from stallgate.runs.folder import now, save

_WARM_UP = 1
"""The first launches of a kernel that are profiled and left out: caches and clocks are cold."""

_TIMES = "times"


class CaptureOptions(FrozenStruct, frozen=True):
    """What a user asks to have captured."""

    command: list[str]
    """The program and its arguments."""
    kernel: str | None
    """A regular expression that the kernels to measure match; None for those that take most of the time."""
    launches: int
    """Launches of each kernel and geometry to measure, after the warm-up."""
    metrics: list[str]
    """ncu names."""
    timeout_s: float
    """Seconds that one run of the program may take."""
    grace_s: float


class CaptureWatcher(Protocol):
    """Receives progress."""

    def waiting(self) -> None: ...
    def begun(self, what: str) -> None: ...


class _Pass(FrozenStruct, frozen=True):
    """What one run of the program under ncu left."""

    attempt: Attempt
    report: Report | None
    exit_status: int | None
    """The program's, as ncu tells it."""
    failure: str
    """How it ended, if not well."""
    complaints: ncu.Complaints
    interrupted: bool


def checked_pattern(kernel: str | None) -> None:
    """Checks a regular expression of the command line.

    Raises:
        BadArgument: it is not one.
    """
    if kernel is not None:
        try:
            re.compile(kernel)
        except re.error as error:
            hint = "it is one of Python's; put \\ before a character that stands for itself"
            raise BadArgument(f"--kernel is not a regular expression: {error}", hint) from None


class Capturer:
    """Runs a program under ncu until its kernels are measured; what is known stands in its folder at every moment."""

    def __init__(
        self, options: CaptureOptions, machine: Machine, devices: list[Device], watcher: CaptureWatcher
    ) -> None:
        """Prepares a capture.

        Args:
            options: what to capture.
            machine: its first GPU, and ncu.
            devices: every GPU that the program can see.
            watcher: receives progress.
        """
        self._options = options
        self._machine = machine
        self._devices = devices
        self._watcher = watcher
        self._folder = Path()
        self._tmpdir = Path()
        self._run = empty_import("", [])

    def capture(self, folder: Path, arguments: list[str], stages: list[str]) -> Run:
        """Captures the program into the folder of a new run.

        Args:
            folder: the run's.
            arguments: stallgate's command line.
            stages: what it is to be judged by.

        Raises:
            NotMeasured: no kernel was measured, or the user interrupted. The run keeps what was measured before.
            BadArgument: no kernel matches the user's expression.
        """
        self._folder = folder
        program = Program(command=[as_text(word) for word in self._options.command])
        empty = replace(empty_import(folder.name, arguments), complete=False)
        self._note(replace(empty, settings=self._settings(), program=program, stages=stages))
        with self._alone():
            ranking = self._take_times()
            self._take_counters(self._chosen(ranking), ranking)
        self._note(replace(self._run, complete=True))
        return self._run

    def _settings(self) -> Settings:
        return Settings(
            samples=self._options.launches,
            timeout_s=self._options.timeout_s,
            clock_control=ncu.CLOCK_CONTROL,
            cache_control=ncu.CACHE_CONTROL,
            metrics=self._options.metrics,
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Holds the lock of each GPU that the program can see, in an order that all have in common."""
        with ExitStack() as stack:
            uuids = sorted(device.uuid for device in self._devices)
            for uuid in uuids:
                stack.enter_context(gpu_lock(uuid, self._watcher.waiting))
            self._tmpdir = stack.enter_context(private_tmpdir(uuids[0]))
            yield

    # --- the light pass ---

    def _take_times(self) -> Ranking:
        """The times of all kernels.

        Raises:
            NotMeasured: none was timed, or the user interrupted.
        """
        self._watcher.begun("the times of all kernels")
        around = self._around(_TIMES, [TIME], cache_control="none")
        done = self._run_once(_TIMES, around, "times")
        ranking = ranked(done.report.launches if done.report is not None else [])
        program = replace(
            self._program,
            exit_status=done.exit_status,
            seconds=done.attempt.seconds,
            kernels=ranking.kernels,
            untimed=ranking.untimed,
            failures=_told("the times", done.failure),
        )
        reader = done.report.reader if done.report is not None else ""
        self._note(replace(self._run, reader=reader, attempts=[done.attempt], program=program))
        if done.interrupted:
            raise self._interrupted()
        if not ranking.kernels:
            raise self._without_kernels(done)
        return ranking

    def _without_kernels(self, done: _Pass) -> NotMeasured:
        """Why no kernel was timed."""
        _refuse_blocked(done)
        log = self._folder / "ncu" / f"{_TIMES}.log"
        known = ncu.NO_KERNEL, "The application returned"
        errors = [error for error in done.complaints.errors if not error.startswith(known)]
        told = f": {'; '.join([*filter(None, [done.failure]), *errors])}" if done.failure or errors else ""
        return NotMeasured(
            f"ncu timed no kernel of {self._program.command[0]}{told}",
            f"the program has to launch CUDA kernels itself, or a process that it starts; see ncu's output in {log}",
        )

    # --- the second pass ---

    def _chosen(self, ranking: Ranking) -> list[ProgramKernel]:
        """The kernels to measure.

        Raises:
            BadArgument: none matches.
        """
        pattern = self._options.kernel
        if pattern is None:
            return heaviest(ranking.kernels)
        matching = re.compile(pattern).search
        found = [each for each in ranking.kernels if matching(each.kernel) or matching(each.signature)]
        if not found:
            names = list(dict.fromkeys(each.kernel for each in ranking.kernels))[:5]
            hint = f"it has {listed(names)}"
            raise BadArgument(f"no kernel of the program matches --kernel {as_text(pattern)}", hint)
        return found

    def _take_counters(self, chosen: list[ProgramKernel], ranking: Ranking) -> None:
        """Counters of the chosen kernels: the program runs once for each group of them.

        Raises:
            NotMeasured: ncu has counters of none of them, or the user interrupted.
        """
        self._mark(chosen, "missed")
        groups = grouped(list(dict.fromkeys(kernel.kernel for kernel in chosen)), ranking)
        for number, group in enumerate(groups, start=1):
            nth = f" (run {number} of {len(groups)})" if len(groups) > 1 else ""
            self._watcher.begun(f"counters of {listed(group.kernels)}{nth}")
            done = self._measure(group, f"counters-{number}" if len(groups) > 1 else "counters")
            self._mark(self._met(chosen, done), "measured")
            if done.interrupted:
                raise self._interrupted()
            _refuse_blocked(done)
        if not any(kernel.counters == "measured" for kernel in self._program.kernels):
            why = listed(self._program.failures[-1:]) or "the program did not launch them again"
            hint = f"the times of all kernels are in {self._folder}, and ncu's output in its folder ncu"
            raise NotMeasured(f"no kernel has counters: {why}", hint)

    def _measure(self, group: KernelGroup, name: str) -> _Pass:
        """One run of the program for the counters of some kernels; they are written down."""
        around = self._around(name, self._options.metrics, cache_control=ncu.CACHE_CONTROL)
        launches = (self._options.launches + _WARM_UP) * group.most_alike
        done = self._run_once(name, replace(around, kernels=group.kernels, launches=launches), "import")
        program = replace(self._program, failures=[*self._program.failures, *_told("the counters", done.failure)])
        run = replace(self._run, program=program)
        if done.report is not None:
            file = Path(done.attempt.report or "").name
            run = with_report(run, replace(done.attempt, warm_up=_WARM_UP), done.report, file)
        self._note(run)
        return done

    @staticmethod
    def _met(chosen: list[ProgramKernel], done: _Pass) -> list[ProgramKernel]:
        """The chosen kernels that a run has counters of."""
        launches = done.report.launches if done.report is not None else []
        seen = {(launch.kernel, launch.signature) for launch in launches if launch.has_counters}
        return [each for each in chosen if (each.kernel, each.signature) in seen]

    # --- one run of the program ---

    def _around(self, name: str, metrics: list[str], cache_control: str) -> ncu.AroundProgram:
        return ncu.AroundProgram(
            report=(self._folder / "ncu" / f"{name}.ncu-rep").absolute(),
            log=(self._folder / "ncu" / f"{name}.log").absolute(),
            metrics=metrics,
            cache_control=cache_control,
            program=self._options.command,
        )

    def _run_once(self, name: str, around: ncu.AroundProgram, kind: Literal["times", "import"]) -> _Pass:
        """Runs the program under ncu to its end, and reads what ncu wrote."""
        command, begun = ncu.command_around(self._machine.ncu, around), now()
        mark = f"TMPDIR={self._tmpdir}"
        environment = {**os.environ, "TMPDIR": str(self._tmpdir)}
        ended = run_limited(ForeignProgram(command, environment, mark, self._options.grace_s), self._options.timeout_s)
        log = around.log.read_text(errors="replace") if around.log.is_file() else ""
        path = ncu.written_report(around.report)
        report, damage = _read(path)
        exit_status = ncu.program_status(log, ended.exit_status)
        failure = _failure(ended.timed_out, ended.interrupted, exit_status, self._options.timeout_s)
        complaints = ncu.complaints(log)
        attempt = Attempt(
            name=name,
            kind=kind,
            command=[as_text(word) for word in command],
            started=begun,
            seconds=ended.seconds,
            exit_status=ended.exit_status,
            errors=complaints.errors + damage,
            report=f"ncu/{path.name}" if path is not None and report is not None else None,
            sha256=file_digest(path) if path is not None and report is not None else None,
            environment=self._described(report.launches[0]) if report is not None else None,
        )
        return _Pass(
            attempt=attempt,
            report=report,
            exit_status=exit_status,
            failure="; ".join([*filter(None, [failure]), *damage]),
            complaints=complaints,
            interrupted=ended.interrupted,
        )

    def _described(self, launch: Launch) -> Environment:
        """The machine of a launch: the report knows the GPU, this machine its driver and ncu."""
        known = machine_in(launch)
        chip = self._machine.chip if known.gpu == self._machine.device.name else None
        return replace(known, chip=chip, driver=self._machine.device.driver, ncu=self._machine.ncu_version)

    # --- what is written down ---

    @property
    def _program(self) -> Program:
        assert self._run.program is not None
        return self._run.program

    def _mark(self, kernels: list[ProgramKernel], counters: str) -> None:
        """Notes for some kernels whether they have counters."""
        names = {(kernel.kernel, kernel.signature) for kernel in kernels}
        marked = [
            replace(each, counters=counters) if (each.kernel, each.signature) in names else each
            for each in self._program.kernels
        ]
        self._note(replace(self._run, program=replace(self._program, kernels=marked)))

    def _interrupted(self) -> NotMeasured:
        return NotMeasured("interrupted", f"what was measured so far is in {self._folder}")

    def _note(self, run: Run) -> None:
        self._run = run
        save(self._folder, run)


def _read(path: Path | None) -> tuple[Report | None, list[str]]:
    """What a report holds, or why it cannot be read."""
    if path is None:
        return None, []
    try:
        return read_report(path, [TIME]), []
    except DamagedReport as error:
        return None, [error.message]


def _failure(timed_out: bool, interrupted: bool, exit_status: int | None, timeout_s: float) -> str:
    """How a run of the program ended; empty if it ended well."""
    if interrupted:
        return "you interrupted it"
    if timed_out:
        return f"it did not end within {timeout_s:g} s (--timeout)"
    return "" if exit_status == 0 else f"the program ended with {in_words(exit_status)}"


def _told(what: str, failure: str) -> list[str]:
    return [f"while {what} were taken: {failure}"] if failure else []


def _refuse_blocked(done: _Pass) -> None:
    """Refuses to go on where the driver denies counters.

    Raises:
        CountersBlocked: it does.
    """
    if done.complaints.counters_blocked:
        raise CountersBlocked(
            "the driver denies hardware counters to this user (ERR_NVGPUCTRPERM)",
            f"NVIDIA says how to allow them: {ncu.PERMISSION_PAGE}",
        )
