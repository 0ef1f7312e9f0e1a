"""One ncu process: the child under it and the referee beside it, from the files they need to the files they leave."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec.structs import replace

from stallgate.measure import ncu
from stallgate.measure.child_plan import child_plan
from stallgate.measure.conversation import ChildProcess, run_beside_referee
from stallgate.measure.device import Device
from stallgate.measure.outcomes import Outcomes
from stallgate.measure.process import Ended
from stallgate.model import Attempt, Case, Environment, FrozenStruct, MeasureOptions, Role
from stallgate.project.digests import file_digest
from stallgate.project.load import Project
from stallgate.runs.folder import now, write_whole

CHILD_ENTRY = Path(__file__).resolve().parents[1] / "child" / "__main__.py"


class Machine(FrozenStruct, frozen=True):
    """The GPU and the tool that a run is measured with."""

    device: Device
    ncu: Path
    ncu_version: str
    chip: str | None
    within: list[str] = []
    """What goes before ncu's command, such as a program that limits what it may use."""


class Task(FrozenStruct, frozen=True):
    """What one process is to do, and where its files stand."""

    folder: Path
    """The run's ``ncu`` folder."""
    name: str
    kind: Literal["samples", "detail"]
    cases: list[Case]
    samples: list[str]
    """The last part of each sample's label."""

    def file(self, suffix: str) -> Path:
        return self.folder / f"{self.name}{suffix}"

    @property
    def report(self) -> Path:
        return self.file(".ncu-rep")


class Performed(NamedTuple):
    """What a process did."""

    attempt: Attempt
    outcomes: Outcomes
    complaints: ncu.Complaints
    interrupted: bool


def planned_attempt(task: Task, machine: Machine, python: str, metrics: list[str]) -> Attempt:
    """An attempt before its process starts."""
    invocation = ncu.Invocation(
        report=task.report,
        metrics=metrics,
        detail=task.kind == "detail",
        application=[python, str(CHILD_ENTRY), str(task.file(".plan.json"))],
    )
    command = [*machine.within, *ncu.command(machine.ncu, invocation)]
    return Attempt(name=task.name, kind=task.kind, command=command, started=now())


class Performer:
    """Runs the processes of a run on a machine."""

    def __init__(self, project: Project, options: MeasureOptions, machine: Machine, tmpdir: Path) -> None:
        self._project = project
        self._options = options
        self._machine = machine
        self._tmpdir = tmpdir

    def perform(
        self,
        task: Task,
        attempt: Attempt,
        on_step: Callable[[str, str], None],
        on_line: Callable[[Outcomes], None],
    ) -> Performed:
        """Runs the process of an attempt to its end.

        Args:
            task: what it is to do.
            attempt: the attempt as it was planned.
            on_step: called with a case's name and the step that it has come to.
            on_line: called with what is known, after everything that the child says.
        """
        write_whole(task.file(".plan.json"), child_plan(self._project, task.cases, task.samples, "cuda"))
        process = ChildProcess(
            command=attempt.command,
            python=self._options.python,
            environment=self._environment(),
            folder=task.folder,
            name=task.name,
            timeout_s=self._options.timeout_s,
            grace_s=self._options.grace_s,
        )
        cases = [(case, self._role(case)) for case in task.cases]
        gpu = self._machine.device.name
        outcomes, ended, failed = run_beside_referee(process, cases, len(task.samples), gpu, on_step, on_line)
        complaints = ncu.complaints(task.file(".log").read_text(errors="replace"))
        outcomes.conclude(ended, complaints, self._options.timeout_s, failed)
        return Performed(
            self._ended(task, attempt, ended, outcomes, complaints), outcomes, complaints, ended.interrupted
        )

    def _role(self, case: Case) -> Role:
        return self._project.problems[case.problem].variants[case.variant].role

    def _ended(
        self, task: Task, attempt: Attempt, ended: Ended, outcomes: Outcomes, complaints: ncu.Complaints
    ) -> Attempt:
        """The attempt as its process left it."""
        has_report = task.report.is_file()
        return replace(
            attempt,
            seconds=ended.seconds,
            exit_status=ended.exit_status,
            errors=complaints.errors,
            report=f"ncu/{task.report.name}" if has_report else None,
            sha256=file_digest(task.report) if has_report else None,
            environment=self._described(outcomes),
        )

    def _described(self, outcomes: Outcomes) -> Environment | None:
        said = outcomes.environment
        if said is None:
            return None
        return Environment(
            gpu=said.gpu,
            device=self._machine.device.index,
            compute_capability=said.compute_capability,
            chip=self._machine.chip,
            driver=self._machine.device.driver,
            ncu=self._machine.ncu_version,
            python=said.python,
            torch=said.torch,
            triton=said.triton,
            cuda=said.cuda,
        )

    def _environment(self) -> dict[str, str]:
        """Child and referee see one GPU; ncu's lock file stays in a folder of our own."""
        return {
            **os.environ,
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": self._machine.device.uuid,
            "TMPDIR": str(self._tmpdir),
        }
