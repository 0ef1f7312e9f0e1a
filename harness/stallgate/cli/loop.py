"""``stallgate loop``: rounds of prompt, answer and check around a program that writes kernels."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import msgspec

from stallgate.agent.check.check import AnswerOptions
from stallgate.agent.loop.answerer import ProgramAnswerer
from stallgate.agent.loop.apply import AppliedAnswer, apply_best
from stallgate.agent.loop.loop import Looper
from stallgate.agent.loop.measure import VersionMeasurer
from stallgate.agent.loop.plan import LoopRequest, check_loop_request, check_loop_resumable, new_journal
from stallgate.agent.loop.replay import check_replay
from stallgate.agent.loop.tried import evidence_of, merged_evidence
from stallgate.agent.loop.workshop import HouseWorkshop, WorkshopOptions
from stallgate.cli.drawing import draw_looped
from stallgate.cli.examples import examples
from stallgate.cli.loop_facts import LoopFacts, loop_facts
from stallgate.cli.options import (
    device_option,
    grace_option,
    json_option,
    python_option,
    root_option,
    timeout_option,
    workload_option,
)
from stallgate.cli.output import found_so_far, print_result
from stallgate.cli.resumed import Fates, ResumeOption, as_begun, given_then, refuse_others
from stallgate.cli.shared import (
    end_on_signals,
    given_arguments,
    interpreter,
    is_given,
    near,
    open_project,
)
from stallgate.errors import BadArgument, NoDevice, StallgateError, UnknownName
from stallgate.measure.device import Device, choose, find_devices
from stallgate.measure.ncu import find_ncu
from stallgate.measure.profile import machine_of
from stallgate.model import MeasureOptions
from stallgate.project.load import Project
from stallgate.render.loop_words import loop_status
from stallgate.render.terminal_loop import LoopLines, show_loop, show_written
from stallgate.runs.folder import LATEST, as_argument, new_folder, refuse_recording
from stallgate.runs.journal import (
    Journal,
    LoopLimits,
    LoopOptions,
    find_loop,
    journal_called,
    load_journal,
    save_journal,
)


class LoopArguments(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of the command."""

    subject: str | None
    command: str | None
    stages: tuple[str, ...]
    rounds: int
    width: int
    patience: int
    seed: int
    answer_timeout: float
    answer_bytes: int
    budget: int | None
    gpu: str | None
    workloads: tuple[str, ...]
    samples: int
    evidence: tuple[str, ...]
    rehearse: bool
    resume: str | None
    replay: str | None
    apply: bool
    timeout: float
    grace: float
    python: str | None
    device: int | None
    root: Path | None
    as_json: bool


_FATES: Fates = {
    "subject": "kept",
    "command": "kept",
    "stages": "kept",
    "rounds": "kept",
    "width": "kept",
    "patience": "kept",
    "seed": "kept",
    "answer_bytes": "kept",
    "budget": "kept",
    "gpu": "kept",
    "workloads": "kept",
    "samples": "kept",
    "rehearse": "kept",
    "python": "kept",
    "evidence": "fixed",
    "answer_timeout": "anew",
    "timeout": "anew",
    "grace": "anew",
    "device": "anew",
    "apply": "again",
    "resume": "now",
    "replay": "now",
    "root": "now",
    "as_json": "now",
}


@click.command(
    "loop",
    epilog=examples(
        "stallgate loop cumprod/naive_serial --command 'python examples/answerers/tuner.py' --rounds 8 --width 2",
        "stallgate loop --replay",
    ),
)
@click.argument("subject", required=False, metavar="PROBLEM/VARIANT")
@click.option("--command", metavar="CMD", help="The answerer: reads a prompt, writes an answer. Not run by a shell.")
@click.option("--stage", "stages", multiple=True, metavar="NAME", help="A stage, in order; default: the problem's.")
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True, help="Most rounds of a stage.")
@click.option("--width", type=click.IntRange(1, 64), default=1, show_default=True, help="Answers of a round.")
@click.option(
    "--patience",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    help="A stage ends after so many rounds in a row without a gain.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the answerers' seeds.")
@click.option(
    "--answer-timeout",
    type=click.FloatRange(1, 86400),
    default=600.0,
    show_default=True,
    help="Seconds that an answerer may take.",
)
@click.option(
    "--answer-bytes",
    type=click.IntRange(1000, 100_000_000),
    default=1_000_000,
    show_default=True,
    help="Most bytes of an answer.",
)
@click.option("--budget", type=click.IntRange(1), metavar="N", help="Keep prompts under N tokens.")
@click.option("--gpu", metavar="CARD", help="The GPU that the code is to run on; default: the measured one.")
@workload_option
@click.option("--samples", type=click.IntRange(1, 100), default=5, show_default=True, help="Profiled calls per case.")
@click.option("--evidence", multiple=True, metavar="LOOP", help="Import what an earlier loop found. Repeatable.")
@click.option("--rehearse", is_flag=True, help="Without a GPU: answers are only checked, and none becomes the best.")
@click.option("--resume", cls=ResumeOption, fates=_FATES, metavar="[LOOP]", help="Go on with a loop (the latest).")
@click.option(
    "--replay",
    is_flag=False,
    flag_value=LATEST,
    metavar="[LOOP]",
    help="Go through a loop again from its journal, and draw it: nothing is run.",
)
@click.option("--apply", is_flag=True, help="Write the best answer as a new file beside the variant.")
@timeout_option
@grace_option
@python_option
@device_option
@root_option
@json_option(LoopFacts)
def loop_command(**given: Any) -> int:
    """Have a program write kernels, round by round: prompt, answer, check.

    Exits with 0 if the best version meets every stage or reaches the roof, and with 1 if it does not.
    """
    arguments = LoopArguments(**given)
    project = open_project(arguments.root)
    if arguments.replay is not None:
        return _replayed(project, arguments, arguments.replay)
    if arguments.resume is not None:
        arguments, folder, device = _begun(project, arguments, arguments.resume)
    else:
        device = _device(arguments)
        folder = _new(project, arguments, device)
    _run(project, folder, arguments, device)
    return _loop_concluded(project, folder, arguments)


# --- what is looped ---------------------------------------------------------------------------------------------------


def _device(arguments: LoopArguments) -> Device | None:
    """The GPU; None in a rehearsal.

    Raises:
        NoDevice: there is none.
    """
    if arguments.rehearse:
        return None
    devices = find_devices()
    if not devices and arguments.resume is None:
        raise NoDevice(
            "there is no CUDA device, and answers cannot be timed without one",
            "--rehearse tries the answerer without a GPU; --replay shows an earlier loop",
        )
    if not devices:
        raise NoDevice("there is no CUDA device to go on with", "`stallgate loop --replay` shows what was done so far")
    return choose(devices, arguments.device)


def _new(project: Project, arguments: LoopArguments, device: Device | None) -> Path:
    """The folder of a new loop, with its journal."""
    request = _loop_request(project, arguments, device)
    check_loop_request(project, request)
    earlier = [
        (place, journal_called(project.reports, place))
        for place in (find_loop(project.reports, n) for n in arguments.evidence)
    ]
    _answerer(request.command, request.limits)
    folder = new_folder(project.reports, f"loop-{request.problem}")
    try:
        journal = new_journal(project, folder, request, [], given_arguments())
        found = [each for place, known in earlier for each in evidence_of(place, known, journal)]
        save_journal(folder, msgspec.structs.replace(journal, evidence=merged_evidence(found)))
    except StallgateError:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        raise
    return folder


def _loop_request(project: Project, arguments: LoopArguments, device: Device | None) -> LoopRequest:
    if arguments.subject is None:
        raise BadArgument("name what to loop on", "stallgate loop PROBLEM/VARIANT --command 'CMD'")
    if arguments.command is None:
        raise BadArgument("name the program that answers", "add --command 'CMD'; `stallgate docs loop` has examples")
    problem, _, variant = arguments.subject.partition("/")
    if not variant:
        known = project.problem(problem).variants
        raise UnknownName("variant", arguments.subject, [f"{problem}/{name}" for name in known])
    return LoopRequest(
        problem=problem,
        variant=variant,
        command=_split(arguments.command),
        stages=list(arguments.stages),
        limits=_limits(arguments),
        seed=arguments.seed,
        rehearsal=arguments.rehearse,
        python=interpreter(arguments.python),
        options=_loop_options(arguments, device),
    )


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise BadArgument(f"--command cannot be split into words: {error}", "close its quotes") from None


def _limits(arguments: LoopArguments) -> LoopLimits:
    return LoopLimits(
        rounds=arguments.rounds,
        width=arguments.width,
        patience=arguments.patience,
        answer_timeout_s=arguments.answer_timeout,
        answer_bytes=arguments.answer_bytes,
    )


def _loop_options(arguments: LoopArguments, device: Device | None) -> LoopOptions:
    return LoopOptions(
        workloads=list(dict.fromkeys(arguments.workloads)),
        samples=arguments.samples,
        timeout_s=arguments.timeout,
        grace_s=arguments.grace,
        device=device.index if device is not None else None,
        budget=arguments.budget,
        gpu=arguments.gpu,
    )


# --- resuming ---------------------------------------------------------------------------------------------------------


def _begun(project: Project, arguments: LoopArguments, name: str) -> tuple[LoopArguments, Path, Device | None]:
    """What a loop that is gone on with was begun with, its folder, and its GPU. One that is over needs none."""
    folder = find_loop(project.reports, None if name == LATEST else name)
    journal = journal_called(project.reports, folder)
    arguments = _as_begun(arguments, journal)
    if journal.stop is not None:
        return arguments, folder, None
    if not folder.resolve().is_relative_to(project.root.resolve()):
        raise BadArgument(f"{folder} is not in the project's folder {project.root}", "move it under reports/")
    device = _device(arguments)
    check_loop_resumable(project, journal, device.name if device is not None else None)
    interpreter(arguments.python)  # refuses one that is gone before anything is changed
    options = _loop_options(arguments, device)
    save_journal(folder, msgspec.structs.replace(load_journal(folder), options=options, limits=_limits(arguments)))
    return arguments, folder, device


def _as_begun(arguments: LoopArguments, begun: Journal) -> LoopArguments:
    """The arguments of a loop that is gone on with.

    Raises:
        BadArgument: an option is given with another value than it was begun with.
    """
    if is_given("python"):
        arguments = msgspec.structs.replace(arguments, python=interpreter(arguments.python))
    if arguments.command is not None:
        arguments = msgspec.structs.replace(arguments, command=shlex.join(_split(arguments.command)))
    limits, options = begun.limits, _options_begun(begun)
    known: dict[str, object] = {
        "subject": f"{begun.problem}/{begun.variant}",
        "command": shlex.join(begun.command),
        "stages": tuple(begun.stages),
        "rounds": limits.rounds,
        "width": limits.width,
        "patience": limits.patience,
        "answer_timeout": limits.answer_timeout_s,
        "answer_bytes": limits.answer_bytes,
        "seed": begun.seed,
        "rehearse": begun.rehearsal,
        "workloads": tuple(options.workloads),
        "samples": options.samples,
        "timeout": options.timeout_s,
        "grace": options.grace_s,
        "device": options.device,
        "budget": options.budget,
        "gpu": options.gpu,
    }
    return as_begun(arguments, _FATES, known, begun.name, python=begun.python)


def _options_begun(begun: Journal) -> LoopOptions:
    """How a loop was begun; one of an older stallgate says that in its arguments alone."""
    if begun.options is not None:
        return begun.options
    given, usual = given_then(begun.arguments), LoopOptions()
    return LoopOptions(
        workloads=list(given.get("workloads", ())),
        samples=given.get("samples", usual.samples),
        timeout_s=given.get("timeout", usual.timeout_s),
        grace_s=given.get("grace", usual.grace_s),
        device=given.get("device"),
        budget=given.get("budget"),
        gpu=given.get("gpu"),
    )


# --- the work ---------------------------------------------------------------------------------------------------------


def _answerer(command: list[str], limits: LoopLimits) -> ProgramAnswerer:
    return ProgramAnswerer(command, limits.answer_timeout_s, limits.answer_bytes)


def _run(project: Project, folder: Path, arguments: LoopArguments, device: Device | None) -> None:
    """Goes on until a reason to stop. If it is cut short, the page shows what there is."""
    journal = journal_called(project.reports, folder)
    if journal.stop is not None:
        return
    end_on_signals()
    lines = LoopLines()
    measurer = _measurer(project, folder, arguments, device)
    options = WorkshopOptions(_answer_options(arguments, device), arguments.budget, arguments.gpu)
    workshop = HouseWorkshop(project, folder, journal, options, measurer, lines)
    try:
        Looper(folder, journal, workshop, _answerer(journal.command, journal.limits), lines).run()
    except StallgateError:
        found_so_far(loop_facts(load_journal(folder), folder))
        again = f"`stallgate loop --resume {shlex.quote(as_argument(project.reports, folder))}` goes on"
        click.echo(f"what was done so far is in {near(folder)}; {again}", err=True)
        raise


def _measurer(
    project: Project, folder: Path, arguments: LoopArguments, device: Device | None
) -> VersionMeasurer | None:
    """What measures versions; None in a rehearsal."""
    if device is None:
        return None
    options = MeasureOptions(
        python=interpreter(arguments.python),
        samples=arguments.samples,
        timeout_s=arguments.timeout,
        grace_s=arguments.grace,
        device=device.index,
    )
    machine = machine_of(project, device, find_ncu())
    return VersionMeasurer(project, folder, machine, options, list(arguments.workloads))


def _answer_options(arguments: LoopArguments, device: Device | None) -> AnswerOptions:
    return AnswerOptions(
        python=interpreter(arguments.python),
        device=device,
        workloads=list(arguments.workloads),
        right_only=arguments.rehearse,
        samples=arguments.samples,
        timeout_s=arguments.timeout,
    )


# --- the result -------------------------------------------------------------------------------------------------------


def _replayed(project: Project, arguments: LoopArguments, name: str) -> int:
    """Goes through a loop again, and draws it."""
    refuse_others(("replay", "apply", "root", "as_json"), "--replay always shows a whole loop")
    folder = find_loop(project.reports, None if name == LATEST else name)
    refuse_recording(project.reports, folder)
    check_replay(folder, load_journal(folder))
    return _loop_concluded(project, folder, arguments)


def _loop_concluded(project: Project, folder: Path, arguments: LoopArguments) -> int:
    """Shows a loop, draws its page, and writes the best answer if it is asked to."""
    journal = load_journal(folder)
    applied: AppliedAnswer | None = None
    if arguments.apply:
        applied = apply_best(project, folder, journal)
        if applied is not None:
            journal = msgspec.structs.replace(journal, applied=applied.file)
            save_journal(folder, journal)
    page = draw_looped(project, folder)
    status = loop_status(journal)
    if arguments.as_json:
        return print_result("loop", loop_facts(journal, folder, page, applied), status)
    show_loop(journal_called(project.reports, folder), Path(near(page)), with_tries=arguments.replay is not None)
    if applied is not None:
        show_written(applied.file, applied.hint)
    elif arguments.apply:
        click.echo("nothing to apply: the start is still the best")
    return status
