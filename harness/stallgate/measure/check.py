"""A check: is each variant right? No ncu, no times; on a GPU, or in Triton's interpreter where there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from stallgate.errors import NotMeasured
from stallgate.measure.attempt import CHILD_ENTRY
from stallgate.measure.child_plan import child_plan
from stallgate.measure.conversation import ChildProcess, Heard, run_beside_referee
from stallgate.measure.device import Device
from stallgate.measure.lock import gpu_lock
from stallgate.measure.messages import Described
from stallgate.measure.ncu import Complaints
from stallgate.measure.outcomes import Finished, Outcomes
from stallgate.measure.process import in_words
from stallgate.measure.profile import role_of
from stallgate.measure.witness import code_of, is_its_own, next_group
from stallgate.model import Case, CaseResult, FrozenStruct
from stallgate.project.load import Project
from stallgate.runs.folder import write_whole

NO_GPU = "none"
"""What the child calls the GPU where it runs on the CPU."""

_GRACE_S = 2.0
"""Seconds that a child may take to exit. It writes nothing that would be lost."""


class CheckOptions(FrozenStruct, frozen=True):
    """How to check."""

    python: str
    """The interpreter that has torch and triton."""
    timeout_s: float
    """Seconds that a step may take before its variant is given up."""
    device: Device | None
    """The GPU; None for Triton's interpreter on the CPU."""
    within: list[str] = []
    """What goes before the child's command, such as a program that limits what it may use."""


class CheckWatcher(Protocol):
    """Receives progress."""

    def begun(self, cases: int) -> None: ...
    def waiting(self) -> None: ...
    def at_work(self, case: str, step: str) -> None: ...
    def finished(self, result: CaseResult) -> None: ...


class Checked(FrozenStruct, frozen=True):
    """What became of each case, and where it ran."""

    results: list[CaseResult]
    environment: Described | None

    @property
    def status(self) -> int:
        """The exit status: 1 if a variant is wrong, 3 if one could not be checked, else 0."""
        outcomes = {result.outcome for result in self.results}
        if "wrong_result" in outcomes:
            return 1
        return 0 if outcomes == {"profiled"} else 3


class Checker:
    """Checks cases in as few processes as it takes: one, unless something goes wrong."""

    def __init__(self, project: Project, cases: list[Case], options: CheckOptions, watcher: CheckWatcher) -> None:
        self._project = project
        self._options = options
        self._watcher = watcher
        self._results = {case: CaseResult(case=case, role=role_of(project, case)) for case in cases}
        self._to_be_confirmed: set[Case] = set()
        """Cases with an outcome that is only believed of a process of their own."""
        self._environment: Described | None = None

    def check(self, folder: Path) -> Checked:
        """Brings every case to an outcome.

        Args:
            folder: takes plans and logs.

        Raises:
            NotMeasured: nothing can be checked here, or the user interrupted.
        """
        self._watcher.begun(len(self._results))
        number = 0
        with _locked(self._options.device, self._watcher):
            while planned := [case for case, result in self._results.items() if result.outcome == "planned"]:
                number += 1
                self._process(next_group(planned, self._to_be_confirmed, isolate=False), folder, str(number))
        return Checked(list(self._results.values()), self._environment)

    def _process(self, cases: list[Case], folder: Path, name: str) -> None:
        """One process, and what becomes of its cases.

        Raises:
            NotMeasured: the next one would do no better, or the user interrupted.
        """
        process = self._planned(cases, folder, name)
        roles = [(case, self._results[case].role) for case in cases]
        device = self._options.device
        gpu = device.name if device is not None else NO_GPU

        def settle(outcomes: Outcomes) -> None:
            self._settle(cases, outcomes)

        heard = run_beside_referee(process, roles, 0, gpu, self._watcher.at_work, settle)
        if heard.ended.interrupted:
            raise NotMeasured("interrupted", "the check was not completed")
        said = _last_line(process.file(".log"))
        complaints = Complaints(errors=[said] if said else [], counters_blocked=False)
        heard.outcomes.conclude(heard.ended, complaints, self._options.timeout_s, heard.referee_failed)
        self._refuse_if_hopeless(heard, said)
        settle(heard.outcomes)
        if heard.ended.exit_status != 0:
            self._set_aside(list(heard.outcomes.finished)[-1])
        self._environment = heard.outcomes.environment or self._environment

    def _planned(self, cases: list[Case], folder: Path, name: str) -> ChildProcess:
        """The process for some cases, its plan written. A slow case is not skipped: nothing repeats it under ncu."""
        options = self._options
        target = "cuda" if options.device is not None else "cpu"
        process = ChildProcess(
            command=[*options.within, options.python, str(CHILD_ENTRY), str(folder / f"{name}.plan.json")],
            python=options.python,
            environment=_environment(options.device),
            folder=folder,
            name=name,
            timeout_s=options.timeout_s,
            grace_s=_GRACE_S,
        )
        write_whole(process.file(".plan.json"), child_plan(self._project, cases, [], target, options.timeout_s))
        return process

    def _refuse_if_hopeless(self, heard: Heard, said: str) -> None:
        """Refuses to start another process where the next would do no better.

        Raises:
            NotMeasured: this one said nothing of any case.
        """
        if heard.outcomes.unable is not None:
            raise NotMeasured(heard.outcomes.unable, "name an interpreter that has torch and triton with --python")
        if not heard.outcomes.finished:
            seconds = f"no response within {self._options.timeout_s:g} s (--timeout)"
            how = heard.referee_failed or (seconds if heard.ended.timed_out else in_words(heard.ended.exit_status))
            raise NotMeasured(f"no case could start: {how}{f': {said}' if said else ''}", "`stallgate doctor` may help")

    # --- outcomes ---

    def _settle(self, cases: list[Case], outcomes: Outcomes) -> None:
        """Takes over the outcomes that are known by now. One may be taken back later, and is written again then."""
        for case, finished in outcomes.finished.items():
            if is_its_own(cases, case, finished):
                self._conclude(case, finished)
            else:
                self._to_be_confirmed.add(case)

    def _conclude(self, case: Case, finished: Finished) -> None:
        old = self._results[case]
        new = replace(old, **{name: getattr(finished, name) for name in Finished.__struct_fields__})
        if new == old:
            return
        self._results[case] = new
        self._watcher.finished(new)

    def _set_aside(self, last: Case) -> None:
        """Keeps a variant that ended a process from ending one for each of its cases.

        If it did so alone, it is given up; otherwise it gets a process of its own.
        """
        left = [
            case
            for case, result in self._results.items()
            if result.outcome == "planned" and code_of(case) == code_of(last)
        ]
        if last in self._to_be_confirmed and self._results[last].outcome == "planned":
            self._to_be_confirmed.update(left)
            return
        for case in left:
            reason = f"not tried: its process did not survive {last.workload}"
            self._results[case] = replace(self._results[case], outcome="skipped", reason=reason)
            self._watcher.finished(self._results[case])


@contextmanager
def _locked(device: Device | None, watcher: CheckWatcher) -> Iterator[None]:
    """Keeps out of the way of whoever measures on the GPU."""
    if device is None:
        yield
        return
    with gpu_lock(device.uuid, watcher.waiting):
        yield


def _environment(device: Device | None) -> dict[str, str]:
    """Child and referee see one GPU, or none and Triton's interpreter."""
    if device is None:
        return {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TRITON_INTERPRET": "1"}
    usual = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    return {**usual, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": device.uuid}


def _last_line(log: Path) -> str:
    """The last line that a process printed, where it says most: an exception, or what killed it."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
