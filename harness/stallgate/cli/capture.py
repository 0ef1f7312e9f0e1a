"""``stallgate capture``: the kernels of any program, by their share of its GPU time, with counters of the heaviest."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import msgspec

from stallgate.cli.drawing import import_meanwhile
from stallgate.cli.examples import examples
from stallgate.cli.facts import MetricValue, RunFacts, single_value
from stallgate.cli.finish import FinishedRun, draw_finished, finish
from stallgate.cli.options import grace_option, json_option, program_timeout_option, root_option
from stallgate.cli.output import found_so_far, print_result
from stallgate.cli.shared import end_on_signals, given_arguments, open_project
from stallgate.errors import BadArgument, NoDevice, StallgateError
from stallgate.formatting import as_text
from stallgate.measure.capture import CaptureOptions, Capturer, checked_pattern
from stallgate.measure.device import Device, find_devices, visible_devices
from stallgate.measure.ncu import find_ncu
from stallgate.measure.profile import chip_of, machine_of
from stallgate.model import CountersOf, FrozenStruct, Program, Stage
from stallgate.project.catalogue import collected
from stallgate.project.load import Project
from stallgate.render import terminal_program
from stallgate.runs.folder import create_folder


class KernelFacts(FrozenStruct, frozen=True):
    """A kernel of the program, and its part of the program's GPU time."""

    kernel: str
    signature: str
    """With namespace, template arguments and parameters."""
    share: float
    """Of the GPU time of all kernels, 0 to 1."""
    launches: int
    time: MetricValue
    """Of all its launches together."""
    counters: CountersOf


class ProgramFacts(FrozenStruct, frozen=True):
    """The program that was captured."""

    command: list[str]
    exit_status: int | None
    """As ncu tells it, of the run that took times only; null where stallgate ended it."""
    seconds: float | None
    """How long that run took, under ncu; null before it ended."""
    failures: list[str]
    """How runs of the program ended that did not end well."""
    untimed: int
    """Launches that ncu could not time."""
    kernels: list[KernelFacts]
    """The largest share first."""


class CaptureFacts(RunFacts, frozen=True):
    """A captured program: its kernels by their share of its GPU time, and the metrics of the heaviest."""

    program: ProgramFacts


class CaptureArguments(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of the command."""

    command: tuple[str, ...]
    kernel: str | None
    launches: int
    stages: tuple[str, ...]
    timeout: float
    grace: float
    page: bool
    root: Path | None
    as_json: bool


@click.command(
    "capture",
    epilog=examples("stallgate capture -- python train.py", "stallgate capture --kernel softmax -- python train.py"),
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.option(
    "--kernel",
    metavar="REGEX",
    help="Counters of the kernels whose names match; default: those that make up 90 % of the GPU time, at most 10.",
)
@click.option(
    "--launches",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="Launches to measure of each kernel and geometry, after one that warms up.",
)
@click.option(
    "--stage",
    "stages",
    multiple=True,
    metavar="NAME",
    help="Collect what this stage needs, and judge by it; default: what the catalogue always collects, and no verdict.",
)
@program_timeout_option
@grace_option
@click.option("--report", "page", is_flag=True, help="Also draw report.html and PNGs.")
@root_option
@json_option(CaptureFacts)
def capture_command(**given: Any) -> int:
    """Run any program under ncu: which kernels take its GPU time, and counters of those.

    The program runs at least twice: once for the times of all kernels, then for counters. It gets no standard input.
    """
    arguments = CaptureArguments(**given)
    project = open_project(arguments.root, needed=False)
    stages = _checked(project, arguments)
    devices = _devices()
    options = _options(project, arguments, stages, devices[0])
    machine = machine_of(project, devices[0], find_ncu())
    end_on_signals()
    if arguments.page:
        import_meanwhile()
    folder = create_folder(project.reports, f"capture-{_subject(options.command)}")
    capturer = Capturer(options, machine, devices, terminal_program.CaptureNotes())
    try:
        capturer.capture(folder, given_arguments(), list(arguments.stages))
    except StallgateError:
        with suppress(StallgateError):  # the first error is the one to show
            _finished(project, folder, arguments)
        raise
    finished = _finished(project, folder, arguments)
    if arguments.page:
        draw_finished(project, finished, as_json=arguments.as_json)
    status = _status(finished)
    return print_result("capture", _facts(finished), status) if arguments.as_json else status


def _devices() -> list[Device]:
    """The GPUs that the program can see.

    Raises:
        NoDevice: there is none.
    """
    found = find_devices()
    if not found:
        hint = "`stallgate doctor` says what is missing; `stallgate import` reads ncu reports made on another machine"
        raise NoDevice("this machine has no CUDA device", hint)
    if "MIG-" in os.environ.get("CUDA_VISIBLE_DEVICES", ""):
        return found  # a part of a GPU, which nvidia-smi does not list
    return visible_devices(found)


def _checked(project: Project, arguments: CaptureArguments) -> list[Stage]:
    """The stages to judge by.

    Raises:
        UserFault: the program, a stage or the expression cannot be used.
    """
    program = arguments.command[0]
    if shutil.which(program) is None:
        hint = "give the command as a shell would run it, after --"
        raise BadArgument(f"there is no program {as_text(program)}", hint)
    checked_pattern(arguments.kernel)
    return project.with_included(arguments.stages)


def _options(project: Project, arguments: CaptureArguments, stages: list[Stage], device: Device) -> CaptureOptions:
    """What to capture."""
    return CaptureOptions(
        command=list(arguments.command),
        kernel=arguments.kernel,
        launches=arguments.launches,
        metrics=collected(project.catalogue, chip_of(project, device), None, stages),
        timeout_s=arguments.timeout,
        grace_s=arguments.grace,
    )


def _subject(command: list[str]) -> str:
    """The program in the name of a run: the script, where an interpreter runs one."""
    name = Path(command[0]).name
    script = next((word for word in command[1:] if not word.startswith("-")), "")
    return Path(script).stem if name.startswith("python") and script.endswith(".py") else name


# --- what it found ----------------------------------------------------------------------------------------------------


def _finished(project: Project, folder: Path, arguments: CaptureArguments) -> FinishedRun:
    """Writes the tables of a capture and shows it; what was found is kept for an error's object."""
    finished = finish(project, folder, as_json=arguments.as_json, stages=list(arguments.stages))
    found_so_far(_facts(finished))
    return finished


def _status(finished: FinishedRun) -> int:
    """0 where every kernel that was to be measured has counters, however the program ended; else 3."""
    program = finished.result.run.program
    missed = program is None or any(kernel.counters == "missed" for kernel in program.kernels)
    return 3 if missed or finished.result.faults else 0


def _facts(finished: FinishedRun) -> CaptureFacts:
    known, program = finished.facts, finished.result.run.program or Program(command=[])
    return CaptureFacts(
        run=known.run, kind=known.kind, cases=known.cases, metrics=known.metrics, program=_program_facts(program)
    )


def _program_facts(program: Program) -> ProgramFacts:
    return ProgramFacts(
        command=program.command,
        exit_status=program.exit_status,
        seconds=program.seconds,
        failures=program.failures,
        untimed=program.untimed,
        kernels=[
            KernelFacts(
                kernel=kernel.kernel,
                signature=kernel.signature,
                share=kernel.share,
                launches=kernel.launches,
                time=single_value(kernel.time_ns, "ns"),
                counters=kernel.counters,
            )
            for kernel in program.kernels
        ],
    )
