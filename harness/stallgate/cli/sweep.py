"""``stallgate sweep``: the times of a variant's configurations, and the counters of the best."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from stallgate.cli.drawing import draw_swept
from stallgate.cli.examples import examples
from stallgate.cli.fleet import Fleet, of_its_model, opened_fleet, refuse_beside_fleet, refuse_without_fleet
from stallgate.cli.options import (
    FleetOptions,
    fleet_options,
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
    workers_python,
)
from stallgate.cli.sweep_facts import SweepFacts, sweep_facts
from stallgate.cli.sweep_found import apply_suggestion, sweep_findings
from stallgate.errors import BadArgument, BrokenFile, NoDevice, NoRun, StallgateError, UnknownName
from stallgate.judge.evaluate import evaluate, write_results
from stallgate.judge.suggestion import sweep_result
from stallgate.measure.attempt import Machine
from stallgate.measure.device import Device, choose, find_devices
from stallgate.measure.sweep import Sweeper, machines_of
from stallgate.measure.sweep_book import SweepBook
from stallgate.measure.sweep_counters import counter_folder, with_counters
from stallgate.measure.sweep_plan import SweepRequest, check_resumable, gone_on, new_sweep, swept_project
from stallgate.measure.sweep_search import check_searchable
from stallgate.measure.sweep_site import SweepSite, ThisMachine
from stallgate.measure.sweep_times import side_by_side
from stallgate.project.load import Project
from stallgate.render import terminal
from stallgate.render.sweep_terminal import show_applied, show_sweep
from stallgate.runs.folder import LATEST, new_folder
from stallgate.runs.sweep import Effort, Profiled, Sweep, SweepOptions, find_sweep, load_sweep, save_sweep, sweep_called

if TYPE_CHECKING:
    from rich.progress import Progress


class SweepArguments(FleetOptions, frozen=True, kw_only=True):
    """The parameters of the command."""

    subject: str | None
    workloads: tuple[str, ...]
    stage: str | None
    effort: Effort
    seconds: float | None
    seed: int
    counters: Profiled
    devices: str | None
    resume: str | None
    show: str | None
    against: str
    apply: bool
    timeout: float
    grace: float
    python: str | None
    root: Path | None
    as_json: bool


class FleetSweepFacts(SweepFacts, frozen=True):
    """A sweep."""

    others: list[SweepFacts] = []
    """Of a fleet: the sweeps of its other GPU models."""


_FATES: Fates = {
    "subject": "kept",
    "workloads": "kept",
    "stage": "kept",
    "effort": "kept",
    "seconds": "kept",
    "seed": "kept",
    "counters": "kept",
    "against": "kept",
    "python": "kept",
    "devices": "anew",
    "timeout": "anew",
    "grace": "anew",
    "on": "again",
    "gpu": "again",
    "each_model": "again",
    "wait": "again",
    "apply": "again",
    "resume": "now",
    "show": "now",
    "root": "now",
    "as_json": "now",
}


@click.command(
    "sweep",
    epilog=examples("stallgate sweep cumprod/blocked_scan -w square", "stallgate sweep matmul/tiled --apply"),
)
@click.argument("subject", required=False, metavar="PROBLEM/VARIANT")
@workload_option
@click.option("--stage", metavar="NAME", help="The stage to tune for; default: the problem's first.")
@click.option("--effort", type=click.Choice(["quick", "full"]), default="quick", show_default=True, help="Rounds.")
@click.option("--seconds", type=click.FloatRange(1), help="Time frame: rounds end when it is used up.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of a search by Optuna.")
@click.option(
    "--counters",
    type=click.Choice(["front", "all"]),
    default="front",
    show_default=True,
    help="Whose counters are collected: those near the best time, or all.",
)
@click.option("--devices", metavar="INDEX,...", help="GPUs that share the trials; default: one.")
@fleet_options
@click.option(
    "--resume",
    cls=ResumeOption,
    fates=_FATES,
    metavar="[SWEEP]",
    help="Finish an interrupted sweep (the latest); with a longer --timeout, also what ran out of time.",
)
@click.option("--show", is_flag=False, flag_value="", metavar="[SWEEP]", help="Only show a sweep that was made before.")
@click.option(
    "--against",
    default="",
    metavar="METRIC",
    help="The metric that is weighed against time; default: the stage's stall.",
)
@click.option("--apply", is_flag=True, help="Write the suggested configuration where the variant declares its own.")
@timeout_option
@grace_option
@python_option
@root_option
@json_option(FleetSweepFacts)
def sweep_command(**given: Any) -> int:
    """Try a variant's configurations: times of all, counters of the best."""
    arguments = SweepArguments(**given)
    refuse_without_fleet(arguments)
    project = open_project(arguments.root)
    if arguments.show is not None:
        refuse_others(("show", "against", "apply", "root", "as_json"), "--show always shows a whole sweep")
        return _concluded(project, [find_sweep(project.reports, arguments.show or None)], arguments)
    if arguments.resume is not None:
        arguments = _as_begun(arguments, sweep_called(project.reports, _folder_begun(project, arguments.resume)))
    if arguments.on is not None:
        return _on_fleet(project, arguments)
    folder, request = _to_be_measured(project, arguments, None)
    _measure(project, [_Planned(folder, request, machines_of(project, request))], ThisMachine(len(request.devices)))
    return _concluded(project, [folder], arguments)


def _on_fleet(project: Project, arguments: SweepArguments) -> int:
    """Measures on a fleet, into the folder of a sweep for each GPU model."""
    refuse_beside_fleet("devices")
    if arguments.apply and arguments.each_model:
        raise BadArgument(
            "--apply is not allowed with --each-model: each model may suggest another configuration",
            "leave it out; `stallgate sweep --show SWEEP --apply` takes one of them",
        )
    end_on_signals()
    with opened_fleet(project, _of_begun(project, arguments)) as fleet:
        from stallgate.fleet.sweep import FleetSite

        planned = [_planned_on(project, arguments, fleet, model) for model in fleet.models]
        with fleet.dispatching(project, planned[0].request.python) as dispatcher:
            _measure(project, planned, FleetSite(dispatcher))
    return _concluded(project, [each.folder for each in planned], arguments)


class _Planned(NamedTuple):
    """A sweep that is to be measured."""

    folder: Path
    request: SweepRequest
    machines: Mapping[int, Machine]


def _planned_on(project: Project, arguments: SweepArguments, fleet: Fleet, model: str) -> _Planned:
    machines = fleet.machines_of(project, model)
    folder, request = _to_be_measured(project, arguments, [machine.device for machine in machines.values()])
    return _Planned(folder, request, machines)


def _of_begun(project: Project, arguments: SweepArguments) -> SweepArguments:
    """The arguments; of a sweep that is gone on with, for the GPU model that it was begun on."""
    if arguments.resume is None:
        return arguments
    return of_its_model(arguments, load_sweep(_folder_begun(project, arguments.resume)).model)


def _to_be_measured(
    project: Project, arguments: SweepArguments, devices: list[Device] | None
) -> tuple[Path, SweepRequest]:
    """The folder of a new sweep, or of one that was interrupted, and what to measure.

    Args:
        project: what is swept.
        arguments: of the command.
        devices: a fleet's GPUs; None: those of this machine that the arguments name.
    """
    if arguments.resume is not None:
        return _begun(project, arguments, arguments.resume, devices)
    request = _request(project, arguments, devices if devices is not None else _devices(arguments.devices))
    planned = new_sweep(project, request, given_arguments())
    if not request.devices:
        raise _no_device()
    check_searchable(planned)
    name = f"sweep-{request.problem}"
    folder = new_folder(project.reports, f"{name}-{request.devices[0].name}" if arguments.each_model else name)
    save_sweep(folder, msgspec.structs.replace(planned, name=folder.name))
    return folder, request


def _request(project: Project, arguments: SweepArguments, devices: list[Device]) -> SweepRequest:
    if arguments.subject is None:
        raise BadArgument("name what to sweep", "stallgate sweep PROBLEM/VARIANT")
    problem, _, variant = arguments.subject.partition("/")
    known = project.problem(problem).variants
    if not variant:
        raise UnknownName("variant", arguments.subject, [f"{problem}/{name}" for name in known])
    return SweepRequest(
        problem=problem,
        variant=variant,
        python=_python(arguments),
        devices=devices,
        workloads=list(arguments.workloads),
        stage=arguments.stage,
        effort=arguments.effort,
        seconds=arguments.seconds,
        seed=arguments.seed,
        counters=arguments.counters,
        against=arguments.against,
        timeout_s=arguments.timeout,
        grace_s=arguments.grace,
    )


def _devices(written: str | None) -> list[Device]:
    """The GPUs to measure on: those that are named, all of one model; else the first.

    Raises:
        BadArgument: an index is not one, or the GPUs differ.
    """
    known = find_devices()
    if written is None:
        return [choose(known, None)] if known else []
    words = [word.strip() for word in written.split(",")]
    if not all(word.isdecimal() for word in words):
        raise BadArgument(f"--devices {written}: these are no indices of GPUs", "--devices 0,1")
    if not known:
        raise _no_device()
    found = [choose(known, int(word)) for word in dict.fromkeys(words)]
    names = {device.name for device in found}
    if len(names) > 1:
        raise BadArgument(
            f"the GPUs are of different models: {', '.join(sorted(names))}",
            "their times cannot be put together: name GPUs of one model",
        )
    return found


def _no_device() -> NoDevice:
    return NoDevice(
        "there is no CUDA device, and a sweep cannot be replayed", "`stallgate doctor` says what is missing"
    )


# --- resuming ---------------------------------------------------------------------------------------------------------


def _as_begun(arguments: SweepArguments, begun: Sweep) -> SweepArguments:
    """The arguments of a sweep that is gone on with.

    Raises:
        BadArgument: an option is given with another value than it was begun with.
    """
    if is_given("python") and arguments.on is None:
        arguments = msgspec.structs.replace(arguments, python=interpreter(arguments.python))
    options = _options_begun(begun)
    known: dict[str, object] = {
        "subject": f"{begun.problem}/{begun.variant}",
        "workloads": tuple(dict.fromkeys(trial.workload for trial in begun.trials)),
        "stage": begun.stage,
        "effort": begun.effort,
        "seconds": begun.seconds,
        "seed": begun.seed,
        "counters": options.counters,
        "against": options.against,
        "devices": ",".join(map(str, options.devices)),
        "timeout": options.timeout_s,
        "grace": options.grace_s,
    }
    return as_begun(arguments, _FATES, known, begun.name, python=begun.python)


def _options_begun(begun: Sweep) -> SweepOptions:
    """How a sweep was begun; one of an older stallgate says that in its arguments alone."""
    if begun.options is not None:
        return begun.options
    given = given_then(begun.arguments)
    return SweepOptions(
        counters=given.get("counters", "front"),
        against=given.get("against", ""),
        timeout_s=given.get("timeout", SweepOptions().timeout_s),
        grace_s=given.get("grace", SweepOptions().grace_s),
        devices=begun.devices,
    )


def _python(arguments: SweepArguments) -> str:
    """The interpreter that has torch and triton; empty for that of each worker of a fleet."""
    if arguments.on is None:
        return interpreter(arguments.python)
    return arguments.python or "" if is_given("python") else workers_python(arguments.python or "")


def _begun(
    project: Project, arguments: SweepArguments, name: str, devices: list[Device] | None
) -> tuple[Path, SweepRequest]:
    """The folder of an interrupted sweep, and what is measured of it."""
    folder = _folder_begun(project, name)
    begun = sweep_called(project.reports, folder)
    devices = devices or _devices(arguments.devices or None)
    if not devices:
        raise _no_device()
    check_resumable(project, begun, devices)
    request = _request(project, arguments, devices)
    known = msgspec.structs.replace(load_sweep(folder), options=_options_begun(begun))
    save_sweep(folder, gone_on(known, request))
    return folder, request


def _folder_begun(project: Project, name: str) -> Path:
    return find_sweep(project.reports, None if name == LATEST else name)


# --- measuring --------------------------------------------------------------------------------------------------------


class _Bars:
    """The bars of a sweep's stages, all of them among those of other sweeps."""

    def __init__(self, among: Progress | None) -> None:
        self.times = partial(terminal.BenchBar, among)
        self.counters = partial(terminal.ProfileBar, among)


class _Sweeping:
    """A sweep while it is measured."""

    def __init__(self, project: Project, planned: _Planned, site: SweepSite, among: Progress | None) -> None:
        self._project = project
        self._planned = planned
        self._book = SweepBook(load_sweep(planned.folder), planned.folder)
        self._sweeper = Sweeper(project, planned.request, self._book, planned.machines, _Bars(among), site)
        self._is_measured = False

    def measure(self) -> None:
        """Measures what is missing.

        Raises:
            NotMeasured: nothing can be measured here, or the user interrupted.
        """
        self._sweeper.measure()
        self._is_measured = True

    def conclude(self) -> None:
        """Reads the counters, and notes whether all was measured."""
        _read_counters(self._project, self._book, self._planned.request)
        if self._is_measured:
            self._book.write(lambda sweep: msgspec.structs.replace(sweep, complete=True))


def _measure(project: Project, planned: list[_Planned], site: SweepSite) -> None:
    """Measures what is missing of each sweep, of several at once. If one is cut short, the results so far are shown."""
    left = [each for each in planned if not load_sweep(each.folder).complete]
    if not left:
        return
    end_on_signals()
    with terminal.bars() if len(left) > 1 else nullcontext() as among:
        sweeps = [_Sweeping(project, each, site, among) for each in left]
        try:
            side_by_side([each.measure for each in sweeps])
            for each in sweeps:
                each.conclude()
        except StallgateError:
            for each in sweeps:
                with suppress(StallgateError):  # the first error is the one to show
                    each.conclude()
            _tell_so_far(project, [each.folder for each in planned])
            raise


def _tell_so_far(project: Project, folders: list[Path]) -> None:
    """What is known of sweeps of which one at least was cut short, and how to go on."""
    found = [sweep_called(project.reports, folder) for folder in folders]
    units = _units(project)
    found_so_far(_together([sweep_facts(each, folder, units) for each, folder in zip(found, folders, strict=True)]))
    for each, folder in zip(found, folders, strict=True):
        if not each.complete:
            goes_on = f"`stallgate sweep --resume {shlex.quote(each.name)}` goes on"
            click.echo(f"what was measured so far is in {near(folder)}; {goes_on}", err=True)


def _together(found: list[SweepFacts]) -> FleetSweepFacts:
    first, *others = found
    return FleetSweepFacts(**msgspec.structs.asdict(first), others=others)


def _read_counters(project: Project, book: SweepBook, request: SweepRequest) -> None:
    """Reads the ncu reports of each GPU into the trials, and writes the run's tables."""
    known = swept_project(project, book.sweep)
    for device in request.devices:
        folder = counter_folder(book.folder, request.devices, device)
        if not (folder / "run.json").is_file():
            continue
        with suppress(NoRun, BrokenFile):  # interrupted before anything was profiled
            judged = evaluate(known, folder, [book.sweep.stage] if book.sweep.stage is not None else [])
            write_results(judged)
            book.write(lambda sweep, found=judged.summaries: with_counters(sweep, found))  # type: ignore[misc]


# --- the result -------------------------------------------------------------------------------------------------------


def _concluded(project: Project, folders: list[Path], arguments: SweepArguments) -> int:
    """Shows sweeps; 0 if each workload of each has a configuration that was timed."""
    facts = [_shown(project, folder, arguments) for folder in folders]
    ended = max(sweep_status(load_sweep(folder)) for folder in folders)
    return print_result("sweep", _together(facts), ended) if arguments.as_json else ended


def _shown(project: Project, folder: Path, arguments: SweepArguments) -> SweepFacts:
    """Shows a sweep, draws its page, applies the suggestion."""
    found = sweep_called(project.reports, folder)
    result = sweep_result(project, found, against=arguments.against)
    pages = draw_swept(project, folder, against=arguments.against)
    units = _units(project)
    if not arguments.as_json:
        show_sweep(project, found, result, with_next=not arguments.apply)
        terminal.out.print(f"sweep: {near(folder)}", soft_wrap=True)
        for page in pages[:1]:
            terminal.out.print(f"page: {near(page)}", soft_wrap=True)
    found_so_far(sweep_facts(found, folder, units, sweep_findings(result)))
    applied = apply_suggestion(project, found, result) if arguments.apply else None
    if applied is not None and not arguments.as_json:
        show_applied(applied)
    return sweep_facts(found, folder, units, sweep_findings(result, applied))


def _units(project: Project) -> dict[str, str]:
    return {name: metric.unit for name, metric in project.catalogue.metrics.items()}


def sweep_status(sweep: Sweep) -> int:
    """The exit status: 3 where nothing was timed to the end on a workload, or the sweep was cut short."""
    workloads = {trial.workload for trial in sweep.trials}
    timed = {trial.workload for trial in sweep.trials if trial.state in ("timed", "profiled")}
    return 0 if sweep.complete and timed == workloads else 3
