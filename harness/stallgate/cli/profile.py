"""``stallgate profile``: measures under ncu, or replays a recording where there is no GPU."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import msgspec

from stallgate.cli.drawing import import_meanwhile
from stallgate.cli.examples import examples
from stallgate.cli.facts import RunFacts
from stallgate.cli.finish import draw_finished, finish
from stallgate.cli.fleet import Fleet, of_its_model, opened_fleet, refuse_beside_fleet, refuse_without_fleet
from stallgate.cli.options import (
    FleetOptions,
    configuration_option,
    device_option,
    fleet_options,
    grace_option,
    json_option,
    python_option,
    root_option,
    subjects_argument,
    timeout_option,
    workload_option,
)
from stallgate.cli.output import print_result
from stallgate.cli.resumed import Fates, ResumeOption, as_begun
from stallgate.cli.shared import (
    end_on_signals,
    given_arguments,
    interpreter,
    is_given,
    near,
    open_project,
    planned_cases,
    problems_of,
    subject_name,
    workers_python,
)
from stallgate.errors import StallgateError
from stallgate.formatting import listed
from stallgate.measure.attempt import Machine
from stallgate.measure.chip import unmeasurable
from stallgate.measure.device import Device, choose, find_devices
from stallgate.measure.ncu import find_ncu
from stallgate.measure.plan import judging_stages
from stallgate.measure.profile import Profiler, chip_of, machine_of, new_run, subject_of
from stallgate.measure.resume import options_of, resumable, with_options
from stallgate.model import Case, MeasureOptions, Run, Selection
from stallgate.project.catalogue import collected
from stallgate.project.load import Project
from stallgate.render import terminal
from stallgate.runs.conditions import gpus_of
from stallgate.runs.folder import LATEST, as_argument, create_folder, find, load, save, whole_run
from stallgate.runs.packing import LARGEST_RECORDING
from stallgate.runs.recording import find_recordings, record, replay


class ProfileArguments(FleetOptions, frozen=True, kw_only=True):
    """The parameters of the command."""

    subjects: tuple[str, ...]
    workloads: tuple[str, ...]
    configurations: tuple[str, ...]
    samples: int
    metrics: str | None
    detail: bool
    isolate: bool
    timeout: float
    grace: float
    python: str | None
    device: int | None
    live: bool
    record: bool
    page: bool
    resume: str | None
    root: Path | None
    as_json: bool

    @property
    def metric_names(self) -> list[str] | None:
        """The metrics to collect; None for the whole catalogue."""
        return self.metrics.split(",") if self.metrics is not None else None

    @property
    def selection(self) -> Selection:
        """What the run is asked to cover."""
        return Selection(subjects=list(self.subjects), workloads=list(self.workloads))

    @property
    def has_to_measure(self) -> bool:
        """Whether a replay would not be what the user asks for."""
        return self.live or self.record or self.device is not None


class ProfileFacts(RunFacts, frozen=True):
    """The run."""

    others: list[RunFacts] = []
    """Of a fleet: the runs of its other GPU models."""


_FATES: Fates = {
    "subjects": "kept",
    "workloads": "kept",
    "samples": "kept",
    "metrics": "kept",
    "detail": "kept",
    "isolate": "kept",
    "python": "kept",
    "configurations": "fixed",
    "timeout": "anew",
    "grace": "anew",
    "device": "anew",
    "record": "anew",
    "page": "anew",
    "on": "again",
    "gpu": "again",
    "each_model": "again",
    "wait": "again",
    "live": "now",
    "resume": "now",
    "root": "now",
    "as_json": "now",
}


@click.command(
    "profile",
    epilog=examples("stallgate profile cumprod/blocked_scan -w square", "stallgate profile --samples 15 --report"),
)
@subjects_argument
@workload_option
@configuration_option
@click.option("--samples", type=click.IntRange(1, 100), default=5, show_default=True, help="Profiled calls per case.")
@click.option("--metrics", metavar="NAME,...", help="Collect only these metrics; default: the whole catalogue.")
@click.option("--detail", is_flag=True, help="One extra launch per case with all of ncu's sections.")
@click.option("--isolate", is_flag=True, help="Run each variant in its own process.")
@timeout_option
@grace_option
@python_option
@device_option
@fleet_options
@click.option("--live", is_flag=True, help="Never replay a recording: without a GPU, exit with 3.")
@click.option("--record", is_flag=True, help="Keep the run under reports/recorded/ (implies --live).")
@click.option("--report", "page", is_flag=True, help="Also draw report.html and PNGs.")
@click.option(
    "--resume",
    cls=ResumeOption,
    fates=_FATES,
    metavar="[RUN]",
    help="Finish an interrupted run (default: the latest): measure what is missing or stale, and with a longer "
    "--timeout what ran out of time.",
)
@root_option
@json_option(ProfileFacts)
def profile_command(**given: Any) -> int:
    """Measure variants under ncu; without a GPU, replay recordings."""
    arguments = ProfileArguments(**given)
    refuse_without_fleet(arguments)
    project = open_project(arguments.root)
    if arguments.resume is not None:
        return _resumed(project, arguments, arguments.resume)
    cases = planned_cases(project, arguments.subjects, arguments.workloads, arguments.configurations)
    stages = judging_stages(project, cases)  # refuses broken ones before anything is measured
    collected(project.catalogue, None, arguments.metric_names, stages)  # refuses unknown names, also before a replay
    if arguments.on is not None:
        return _on_fleet(project, cases, arguments)
    options = _options(arguments)
    devices = find_devices()
    if devices or arguments.has_to_measure:
        folder = _live(project, cases, options, choose(devices, arguments.device), arguments)
    else:
        folder = _replayed(project, cases, arguments.selection)
    return _finished(project, folder, arguments)


def _options(arguments: ProfileArguments) -> MeasureOptions:
    return MeasureOptions(
        python=interpreter(arguments.python) if arguments.on is None else arguments.python or "",
        samples=arguments.samples,
        timeout_s=arguments.timeout,
        grace_s=arguments.grace,
        metrics=arguments.metric_names,
        detail=arguments.detail,
        isolate=arguments.isolate,
        device=arguments.device,
        report=arguments.page,
        record=arguments.record,
    )


def _live(
    project: Project, cases: list[Case], options: MeasureOptions, device: Device, arguments: ProfileArguments
) -> Path:
    """Measures into the folder of a new run."""
    for gap in unmeasurable(project, chip_of(project, device) or "", problems_of(cases)):
        click.echo(gap, err=True)
    machine = machine_of(project, device, find_ncu())
    end_on_signals()
    run = new_run(project, cases, options, machine, given_arguments(), arguments.selection)
    folder = create_folder(project.reports, subject_name(cases))
    _measure(project, folder, run, machine, arguments)
    return folder


def _measure(project: Project, folder: Path, run: Run, machine: Machine, arguments: ProfileArguments) -> None:
    """Measures the planned cases. If it is cut short, the results so far are written and shown; no page is drawn."""
    if arguments.page:
        import_meanwhile()
    try:
        with terminal.ProfileBar() as bar:
            Profiler(project, run, machine, bar).measure(folder)
    except StallgateError:
        with suppress(StallgateError):  # the first error is the one to show
            finish(project, folder, as_json=arguments.as_json)
        raise


def _replayed(project: Project, cases: list[Case], selection: Selection) -> Path:
    """Makes a run from recordings, and says which problem has none."""
    found = find_recordings(project, cases)
    unused = [f"--{name}" for name in ("samples", "metrics", "detail", "isolate") if is_given(name)]
    if unused:
        are = "is" if len(unused) == 1 else "are"
        made = (
            "the recording is replayed as it was"
            if len(found.recordings) == 1
            else "recordings are replayed as they were"
        )
        click.echo(f"{listed(unused)} {are} ignored: {made} made", err=True)
    for problem, error in found.missing.items():
        click.echo(f"{problem} is not measured: {error.message}; {error.hint}", err=True)
    subjects = {problem: subject_of(project, problem) for problem in found.missing}
    with whole_run(project.reports, subject_name(cases)) as folder:
        run = replay(project, found, cases, folder, given_arguments(), subjects)
        save(folder, msgspec.structs.replace(run, selection=selection))
    return folder


def _finished(project: Project, folder: Path, arguments: ProfileArguments) -> int:
    """Shows a measured run; draws and records it if asked to. Returns the exit status of measuring."""
    as_json = arguments.as_json
    finished = finish(project, folder, as_json=as_json)
    if arguments.page:
        draw_finished(project, finished, as_json=as_json)
    if arguments.record:
        keep(project, folder)  # last: a run that cannot be recorded still gets its tables and its page
    return print_result("profile", finished.facts, finished.status) if as_json else finished.status


def keep(project: Project, folder: Path) -> None:
    """Keeps a run as recordings, and says what they leave out."""
    for kept in record(project, folder, load(folder)):
        click.echo(f"recorded: {near(kept.path)}", err=True)
        if kept.left_out:
            names = listed([case.name for case in kept.left_out])
            most = f"{LARGEST_RECORDING / 1e6:g} MB"
            click.echo(f"  without the launches with every section of {names}: they do not fit in {most}", err=True)


# --- on a fleet -------------------------------------------------------------------------------------------------------


def _on_fleet(project: Project, cases: list[Case], arguments: ProfileArguments) -> int:
    """Measures on a fleet, into the folder of a new run for each GPU model."""
    refuse_beside_fleet("device", "live")
    options = _options(arguments)
    end_on_signals()
    with opened_fleet(project, arguments) as fleet:
        runs = []
        for model in fleet.models:
            machine = fleet.machine_of(project, model)
            run = new_run(project, cases, options, machine, given_arguments(), arguments.selection)
            name = subject_name(cases) if len(fleet.models) == 1 else f"{subject_name(cases)}-{model}"
            runs.append((model, create_folder(project.reports, name), run))
        _measure_runs(project, fleet, runs, arguments)
    return _all_finished(project, [folder for _, folder, _ in runs], arguments)


def _measure_runs(
    project: Project, fleet: Fleet, runs: list[tuple[str, Path, Run]], arguments: ProfileArguments
) -> None:
    """Measures the planned cases. If it is cut short, the results so far are written and shown."""
    from stallgate.fleet.profile import FleetProfiler, ModelRun

    planned = [ModelRun(model, folder, run) for model, folder, run in runs]
    try:
        with fleet.dispatching(project, _python(runs[0][2])) as dispatcher, terminal.ProfileBar() as bar:
            FleetProfiler(project, dispatcher, planned, bar).measure()
    except StallgateError:
        for _, folder, _ in runs:
            with suppress(StallgateError):  # the first error is the one to show
                finish(project, folder, as_json=arguments.as_json)
        raise


def _python(run: Run) -> str:
    return workers_python(run.options.python) if run.options is not None else ""


def _all_finished(project: Project, folders: list[Path], arguments: ProfileArguments) -> int:
    """Shows the runs of a fleet. Returns the worst of their exit statuses."""
    if len(folders) == 1:
        return _finished(project, folders[0], arguments)
    finished = [finish(project, folder, as_json=arguments.as_json) for folder in folders]
    status = max(each.status for each in finished)
    for each in finished:
        if arguments.page:
            draw_finished(project, each, as_json=arguments.as_json)
        if arguments.record:
            keep(project, each.result.folder)
    first, *others = (each.facts for each in finished)
    facts = ProfileFacts(**msgspec.structs.asdict(first), others=others)
    return print_result("profile", facts, status) if arguments.as_json else status


# --- resuming ---------------------------------------------------------------------------------------------------------


def _resumed(project: Project, arguments: ProfileArguments, name: str) -> int:
    """Finishes a run with the options that it was started with."""
    folder = find(project.reports, None if name == LATEST else name)
    run = load(folder)
    arguments = _as_begun(arguments, run, as_argument(project.reports, folder))
    if arguments.on is not None:
        return _resumed_on_fleet(project, folder, _with_limits(run, arguments), arguments)
    run = _with_limits(run, msgspec.structs.replace(arguments, python=interpreter(arguments.python)))
    machine = machine_of(project, choose(find_devices(), arguments.device), find_ncu())
    end_on_signals()
    _measure(project, folder, resumable(project, folder, run, machine), machine, arguments)
    return _finished(project, folder, arguments)


def _resumed_on_fleet(project: Project, folder: Path, run: Run, arguments: ProfileArguments) -> int:
    """Finishes a run on the GPUs of a fleet that are of its model."""
    refuse_beside_fleet("device", "live")
    end_on_signals()
    with opened_fleet(project, of_its_model(arguments, next(iter(gpus_of(run)), None))) as fleet:
        (model,) = fleet.models
        left = resumable(project, folder, run, fleet.machine_of(project, model), same_host=False)
        _measure_runs(project, fleet, [(model, folder, left)], arguments)
    return _finished(project, folder, arguments)


def _as_begun(arguments: ProfileArguments, run: Run, name: str) -> ProfileArguments:
    """The arguments of a run that is gone on with.

    Raises:
        BadArgument: it was not measured here, or an option is given with another value than it was begun with.
    """
    options = options_of(run, name)
    if is_given("python") and arguments.on is None:
        arguments = msgspec.structs.replace(arguments, python=interpreter(arguments.python))
    begun: dict[str, object] = {
        "subjects": tuple(run.selection.subjects),
        "workloads": tuple(run.selection.workloads),
        "samples": options.samples,
        "metrics": ",".join(options.metrics) if options.metrics is not None else None,
        "detail": options.detail,
        "isolate": options.isolate,
        "timeout": options.timeout_s,
        "grace": options.grace_s,
        "device": options.device,
        "record": options.record,
        "page": options.report,
    }
    return as_begun(arguments, _FATES, begun, name, python=options.python)


def _with_limits(run: Run, arguments: ProfileArguments) -> Run:
    """A run with what may be given anew when it is gone on with."""
    assert run.options is not None
    options = msgspec.structs.replace(
        run.options,
        python=arguments.python or "",
        timeout_s=arguments.timeout,
        grace_s=arguments.grace,
        device=arguments.device,
        report=arguments.page,
        record=arguments.record,
    )
    return with_options(run, options)
