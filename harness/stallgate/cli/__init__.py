"""The command line: options in, exit status out. Nothing else prints an error or exits.

What a command needs is imported when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

import click
from click.core import ParameterSource

from stallgate import __version__
from stallgate.cli.stdio import install, unwritten
from stallgate.errors import BadArgument, BrokenFile, NoDevice, StallgateError

if TYPE_CHECKING:
    from stallgate.judge.evaluate import JudgedRun
    from stallgate.measure.attempt import Machine
    from stallgate.measure.chip import CatalogueCheck
    from stallgate.model import Case, MeasureOptions, Run
    from stallgate.project.load import Project

BUG = 70
"""Exit status of a fault that is ours."""

root_option = click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The project's folder; by default the nearest one at or above the working directory.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
stage_option = click.option(
    "--stage", "stages", multiple=True, metavar="NAME", help="Judge by this stage; by default those of problem.toml."
)


def _finite(_context: click.Context, _option: click.Parameter, value: float) -> float:
    """Refuses what click takes for a number: ``inf`` and ``nan``, which JSON has no words for."""
    if not math.isfinite(value):
        raise click.BadParameter(f"{value} is no number of seconds.")
    return value


timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(1),
    callback=_finite,
    default=120.0,
    show_default=True,
    help="Seconds that a step may take.",
)
grace_option = click.option(
    "--grace",
    type=click.FloatRange(0),
    callback=_finite,
    default=10.0,
    show_default=True,
    help="Seconds that ncu may take to write its report after it was told to end.",
)
run_argument = click.argument("run", required=False)
subjects_argument = click.argument("subjects", nargs=-1, metavar="[PROBLEM[/VARIANT]]...")
workload_option = click.option(
    "-w", "--workload", "workloads", multiple=True, metavar="NAME", help="By default those that problem.toml marks."
)
configuration_option = click.option(
    "-c", "--configuration", "configurations", multiple=True, metavar="NAME", help="Named tunables of a variant."
)


def main() -> NoReturn:
    """Runs the command line and exits with the status that the outcome has."""
    sink = install()
    status = _status()
    fault = unwritten(sink)
    if fault is not None:
        click.echo(f"stallgate: its output cannot be written: {fault.strerror}", err=True)
    sys.exit(status if fault is None else 2)


def _status() -> int:
    """Runs the command line; the exit status, with a refusal said."""
    try:
        return int(stallgate(standalone_mode=False) or 0)
    except StallgateError as error:
        _refuse(error)
        return error.status
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("stallgate: interrupted", err=True)
        return 3
    except OSError as error:
        refusal = _unusable(error)
        _refuse(refusal)
        return refusal.status
    except Exception as error:
        if os.environ.get("STALLGATE_TRACEBACK"):
            raise
        click.echo(f"stallgate: this is a bug of stallgate: {type(error).__name__}: {error}", err=True)
        click.echo("  hint: set STALLGATE_TRACEBACK=1 to see where, and report it", err=True)
        return BUG


def _refuse(error: StallgateError) -> None:
    from stallgate.render import terminal

    terminal.refusal(error.message, error.hint)


def _unusable(error: OSError) -> BrokenFile:
    """What the system says of a file: that it cannot be read or written is nothing that stallgate could mend."""
    names = [str(name) for name in (error.filename2, error.filename) if name is not None]
    what = error.strerror or str(error)
    return BrokenFile(
        f"{names[0]}: {what}" if names else what,
        "check that it is what its name says, that you may read and write it, and that the disk has space",
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="stallgate")
def stallgate() -> None:
    """Profile Triton kernels under Nsight Compute and gate on what was measured.

    RUN is a run's folder or its name under reports/; the latest one where it is left out.

    \b
    Exit status:
      0   yes
      1   the gate says no: a missed target, a wrong result
      2   your files or arguments are wrong
      3   not measured, or cannot be judged
      70  a bug of stallgate
    """  # noqa: D301  (click reads the backspace as: do not rewrap)


# --- measuring --------------------------------------------------------------------------------------------------------


@stallgate.command()
@subjects_argument
@workload_option
@configuration_option
@click.option("--samples", type=click.IntRange(1, 100), default=5, show_default=True, help="Profiled calls a case.")
@click.option("--metrics", metavar="NAME,...", help="Only these metrics; by default the whole catalogue.")
@click.option("--detail", is_flag=True, help="One more launch a case with every section and the sources.")
@click.option("--isolate", is_flag=True, help="A process of its own for every variant.")
@timeout_option
@grace_option
@click.option("--python", metavar="PATH", help="The interpreter that has torch and triton; by default stallgate's own.")
@click.option("--device", type=click.IntRange(0), help="Index of the GPU, as nvidia-smi counts.")
@click.option("--live", is_flag=True, help="Never replay a recording: without a GPU end with status 3.")
@click.option("--record", is_flag=True, help="Keep the run under reports/recorded/ (implies --live).")
@click.option("--report", "page", is_flag=True, help="Draw report.html and PNGs as well.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="latest",
    metavar="[RUN]",
    help="Finish an interrupted run, by default the latest: measure what is missing or stale.",
)
@root_option
@json_option
def profile(
    subjects: tuple[str, ...],
    workloads: tuple[str, ...],
    configurations: tuple[str, ...],
    samples: int,
    metrics: str | None,
    detail: bool,
    isolate: bool,
    timeout: float,
    grace: float,
    python: str | None,
    device: int | None,
    live: bool,
    record: bool,
    page: bool,
    resume: str | None,
    root: Path | None,
    as_json: bool,
) -> int:
    """Measure variants under ncu; without a GPU, replay the recording."""
    from stallgate.measure.device import find_devices
    from stallgate.project.catalogue import collected

    project = _project(root)
    if resume is not None:
        _refuse_beside_resume()
        return _resumed(project, resume, record, page, as_json)
    cases = _cases(project, subjects, workloads, configurations)
    wanted = metrics.split(",") if metrics is not None else None
    collected(project.catalogue, None, wanted)  # refuses unknown names, also where a recording is replayed
    options = _options(click.get_current_context().params)
    devices = find_devices()
    if devices or live or record or device is not None:
        folder = _live(project, cases, options, devices, device, as_json, page)
    else:
        folder = _replayed(project, cases)
    status = _finish(project, folder, as_json, page)
    if record:
        _keep(project, folder)  # last: a run that is no recording is still a run, with its tables and its page
    return status


def _options(given: dict[str, Any]) -> MeasureOptions:
    """How to measure."""
    from stallgate.model import MeasureOptions

    return MeasureOptions(
        python=_interpreter(given["python"]),
        samples=given["samples"],
        timeout_s=given["timeout"],
        grace_s=given["grace"],
        metrics=given["metrics"].split(",") if given["metrics"] is not None else None,
        detail=given["detail"],
        isolate=given["isolate"],
        device=given["device"],
        report=given["page"],
        record=given["record"],
    )


def _refuse_beside_resume() -> None:
    """Refuses arguments that would make another run of the one that is resumed."""
    begun_with = (
        "subjects",
        "workloads",
        "configurations",
        "samples",
        "metrics",
        "detail",
        "isolate",
        "timeout",
        "grace",
    )
    source = click.get_current_context().get_parameter_source
    for name in (*begun_with, "python", "device"):
        if source(name) is ParameterSource.COMMANDLINE:
            raise BadArgument(
                f"--resume measures as the run was begun, and takes no {name} of its own",
                "leave them out, or start a new run without --resume",
            )


def _resumed(project: Project, name: str, record: bool, page: bool, as_json: bool) -> int:
    """Finishes a run with the arguments that it was begun with."""
    from stallgate.measure.device import choose, find_devices
    from stallgate.measure.ncu import find_ncu
    from stallgate.measure.profile import machine_of
    from stallgate.measure.resume import options_of, resumable
    from stallgate.runs.folder import LATEST, find, load

    folder = find(project.reports, None if name == LATEST else name)
    run = load(folder)
    options = options_of(run)
    machine = machine_of(project, choose(find_devices(), options.device), find_ncu())
    _end_on_signals()
    run = resumable(project, folder, run, machine)
    page = page or options.report
    _measured(project, folder, run, machine, as_json, page)
    status = _finish(project, folder, as_json, page)
    if record or options.record:
        _keep(project, folder)
    return status


@stallgate.command()
@subjects_argument
@workload_option
@configuration_option
@click.option("--rounds", type=click.IntRange(3, 1000), default=25, show_default=True, help="Samples a contender.")
@timeout_option
@click.option("--python", metavar="PATH", help="The interpreter that has torch and triton; by default stallgate's own.")
@click.option("--device", type=click.IntRange(0), help="Index of the GPU, as nvidia-smi counts.")
@click.option(
    "--gradient", type=click.Choice(["backward", "both"]), help="Time the backward pass alone, or forward and backward."
)
@click.option("--zeros", type=click.IntRange(0), default=0, help="Zeros in each sequence of a gradient's inputs.")
@click.option("--show", is_flag=False, flag_value="", metavar="BENCH", help="Only show a bench that was made before.")
@root_option
@json_option
def bench(
    subjects: tuple[str, ...],
    workloads: tuple[str, ...],
    configurations: tuple[str, ...],
    rounds: int,
    timeout: float,
    python: str | None,
    device: int | None,
    gradient: Any,
    zeros: int,
    show: str | None,
    root: Path | None,
    as_json: bool,
) -> int:
    """Time variants by CUDA events beside their peers, a copy and the roof; nothing is profiled."""
    from stallgate.measure.bench import BenchOptions
    from stallgate.runs.bench import find_bench

    project = _project(root)
    if show is not None and subjects:
        raise BadArgument("--show shows a bench as it was measured, all of it", "leave out what is to be measured")
    if show is not None:
        return _show_bench(find_bench(project.reports, show or None), as_json)
    if zeros and gradient is None:
        raise BadArgument("--zeros plants zeros where a gradient is timed", "add --gradient backward, or both")
    cases = _cases(project, subjects, workloads, configurations)
    options = BenchOptions(
        python=_interpreter(python), rounds=rounds, timeout_s=timeout, gradient=gradient, zeros=zeros
    )
    return _finish_bench(_timed(project, cases, options, device, as_json), as_json)


def _timed(project: Project, cases: list[Case], options: Any, index: int | None, as_json: bool) -> Path:
    """Takes the times; what was measured is shown even if the bench is cut short."""
    from stallgate.measure.bench import Bencher, new_bench
    from stallgate.measure.device import choose, find_devices
    from stallgate.render import terminal
    from stallgate.runs.folder import new_folder

    devices = find_devices()
    if not devices:
        raise NoDevice(
            "this machine has no CUDA device, and times are not replayed",
            "`stallgate doctor` says what is missing; `stallgate bench --show` shows a bench made before",
        )
    device = choose(devices, index)
    _end_on_signals()
    planned = new_bench(project, cases, options, sys.argv[1:])
    folder = new_folder(project.reports, f"bench-{_subject_name(cases)}")
    try:
        with terminal.BenchBar() as bar:
            Bencher(project, planned, options, device, bar).measure(folder)
    except StallgateError:
        _finish_bench(folder, as_json)
        raise
    return folder


def _finish_bench(folder: Path, as_json: bool) -> int:
    """Draws and shows what was timed; the exit status of it."""
    from stallgate.render.bench_figure import draw_bench
    from stallgate.runs.bench import load_bench

    draw_bench(load_bench(folder), folder)
    return _show_bench(folder, as_json)


def _show_bench(folder: Path, as_json: bool) -> int:
    """Shows what was timed; the exit status of it."""
    from stallgate.render import terminal
    from stallgate.runs.bench import facts, load_bench, status
    from stallgate.runs.folder import pretty

    found = load_bench(folder)
    if as_json:
        click.echo(pretty(facts(found, folder)).decode(), nl=False)
    else:
        terminal.show_bench(found)
        for path in sorted(folder.glob("bench.*")):
            terminal.out.print(_near(path), soft_wrap=True)
    return status(found)


def _live(
    project: Project, cases: list[Case], options: Any, devices: list[Any], index: int | None, as_json: bool, page: bool
) -> Path:
    """Measures into the folder of a new run."""
    from stallgate.measure.chip import unmeasurable
    from stallgate.measure.device import choose
    from stallgate.measure.ncu import find_ncu
    from stallgate.measure.profile import chip_of, machine_of, new_run
    from stallgate.runs.folder import create_folder

    device = choose(devices, index)
    for gap in unmeasurable(project, chip_of(project, device) or "", _problems(cases)):
        click.echo(gap, err=True)
    machine = machine_of(project, device, find_ncu())
    _end_on_signals()
    run = new_run(project, cases, options, machine, sys.argv[1:])
    folder = create_folder(project.reports, _subject_name(cases))
    _measured(project, folder, run, machine, as_json, page)
    return folder


def _measured(project: Project, folder: Path, run: Run, machine: Machine, as_json: bool, page: bool) -> None:
    """Measures what is planned of a run; what was measured is read and drawn even if the run is cut short.

    What its results, or its ``page``, need is imported while the GPU works.
    """
    from stallgate.measure.profile import Profiler
    from stallgate.render import terminal

    wanted = "stallgate.render.page" if page else "stallgate.judge.evaluate"
    threading.Thread(target=import_module, args=(wanted,), daemon=True).start()
    try:
        with terminal.Bar() as bar:
            Profiler(project, run, machine, bar).measure(folder)
    except StallgateError:
        _finish(project, folder, as_json, page=True)
        raise


def _end_on_signals() -> None:
    """A SIGTERM, or the end of the terminal, ends ncu and keeps what was measured, as Ctrl-C does; nohup is obeyed."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _interrupt)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _keep(project: Project, folder: Path) -> None:
    from stallgate.runs.folder import load
    from stallgate.runs.recording import record

    for path in record(project, folder, load(folder)):
        click.echo(f"recorded: {_near(path)}", err=True)


def _replayed(project: Project, cases: list[Case]) -> Path:
    from stallgate.runs.folder import create_folder
    from stallgate.runs.recording import find_recording, replay

    recording = find_recording(project, cases)
    _say_unused("samples", "metrics", "detail", "isolate")
    folder = create_folder(project.reports, _subject_name(cases))
    replay(project, recording, cases, folder, sys.argv[1:])
    return folder


def _say_unused(*names: str) -> None:
    """Says which of the options that were given mean nothing to a replay."""
    source = click.get_current_context().get_parameter_source
    given = [f"--{name}" for name in names if source(name) is ParameterSource.COMMANDLINE]
    if given:
        click.echo(f"a recording is replayed as it was made: no use is made of {', '.join(given)}", err=True)


def _finish(project: Project, folder: Path, as_json: bool, page: bool = False) -> int:
    """Reads what a run measured, writes its tables, shows them; the exit status of measuring."""
    from stallgate.judge.evaluate import evaluate, measured_status, run_facts, write_results
    from stallgate.render import terminal

    result = evaluate(project, folder, [])
    write_results(result)
    status = measured_status(result)
    if as_json:
        click.echo(json.dumps(run_facts(result, status), indent=2))
    else:
        terminal.run(result.run, result.summaries, result.judgement)
        terminal.out.print(f"run: {_near(folder)}", soft_wrap=True)
    if page:
        click.echo(f"page: {_near(_draw(project, result)[0])}", err=as_json)
    return status


def _draw(project: Project, result: JudgedRun) -> list[Path]:
    from stallgate.render.page import draw

    return draw(project, result)


@stallgate.command(name="import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE.ncu-rep...")
@root_option
@json_option
def import_(files: tuple[Path, ...], root: Path | None, as_json: bool) -> int:
    """Make a run of ncu reports from elsewhere."""
    from stallgate.extract.imported import import_reports

    project = _project(root)
    return _finish(project, import_reports(list(files), project.reports, sys.argv[1:]), as_json)


# --- judging and drawing ----------------------------------------------------------------------------------------------


@stallgate.command()
@run_argument
@stage_option
@click.option(
    "--targets",
    type=click.Choice(["all", "absolute"]),
    default="all",
    show_default=True,
    help="absolute: leave out targets that need a roof or a baseline, as an imported run has none.",
)
@root_option
@json_option
def gate(run: str | None, stages: tuple[str, ...], targets: Any, root: Path | None, as_json: bool) -> int:
    """Judge a run: may it be merged?"""
    from stallgate.judge.evaluate import verdicts
    from stallgate.render import terminal
    from stallgate.runs.conditions import provenance
    from stallgate.runs.folder import is_recording, pretty

    project = _project(root)
    result = _result(project, run, stages, targets=targets, only_judge=True)
    if not is_recording(project.reports, result.folder):  # a recording is kept as it was committed
        _if_possible(_write_verdicts, result)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        _if_possible(_tell_github, project, result)
    if as_json:
        click.echo(pretty(verdicts(result)).decode(), nl=False)
    else:
        terminal.out.print(provenance(result.run))
        terminal.judgement(result.judgement)
    return result.judgement.exit_status


def _if_possible(write: Callable[..., None], *what: object) -> None:
    """Writes down what was judged; where that cannot be written the verdict stands all the same."""
    try:
        write(*what)
    except OSError as error:
        click.echo(f"stallgate: the results are not written: {_unusable(error).message}", err=True)


def _write_verdicts(result: JudgedRun) -> None:
    from stallgate.judge.evaluate import write_verdicts
    from stallgate.render.head import write_head
    from stallgate.render.junit import junit
    from stallgate.runs.folder import write_whole

    write_verdicts(result)
    write_whole(result.folder / "junit.xml", junit(result))
    write_head(result)


def _tell_github(project: Project, result: JudgedRun) -> None:
    """Annotates the log of a job on GitHub Actions, and shows the verdicts on its page."""
    from stallgate.render.github import annotated, append_summary
    from stallgate.render.head import head

    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    for line in annotated(project, result, Path(os.environ.get("GITHUB_WORKSPACE", Path.cwd()))):
        click.echo(line, err=True)  # GitHub reads both streams, and --json is alone on the other
    if summary:
        append_summary(Path(summary), head(result))


@stallgate.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@root_option
@json_option
def baseline(runs: tuple[str, ...], root: Path | None, as_json: bool) -> int:
    """Accept what repeated runs measured of the candidates, as metrics/baselines/GPU/PROBLEM.json."""
    from datetime import UTC, datetime

    from stallgate.judge.accept import accept, write
    from stallgate.judge.evaluate import evaluate
    from stallgate.render import terminal
    from stallgate.runs.folder import find

    project = _project(root)
    folders = dict.fromkeys(find(project.reports, run) for run in runs)
    results = [evaluate(project, folder, [], only_judge=True) for folder in folders]
    accepted = accept(project, results, datetime.now(UTC).date())
    files = [_near(write(project, found)) for found in accepted]
    if as_json:
        click.echo(json.dumps({"files": files}, indent=2))
    else:
        terminal.baselines(accepted, files)
    return 0


@stallgate.command()
@run_argument
@stage_option
@click.option("--serve", is_flag=True, help="Serve reports/ to this machine's browser until Ctrl-C; draw what is not.")
@click.option("--port", type=click.IntRange(0, 65535), help="With --serve; by default any that is free.")
@root_option
@json_option
def report(
    run: str | None, stages: tuple[str, ...], serve: bool, port: int | None, root: Path | None, as_json: bool
) -> int:
    """Draw a run: report.html and PNGs, and reports/index.html of all runs."""
    if serve:
        return _serve(run, stages, port or 0, root, as_json)
    if port is not None:
        raise BadArgument("--port is for --serve", "add --serve, or leave --port out")
    files = _drawn(run, stages, root)
    if as_json:
        click.echo(json.dumps({"run": str(files[0].parent), "files": [str(file) for file in files]}, indent=2))
    else:
        for file in files:
            click.echo(_near(file))
    return 0


def _drawn(run: str | None, stages: tuple[str, ...], root: Path | None) -> list[Path]:
    from stallgate.judge.evaluate import write_results
    from stallgate.runs.folder import refuse_recording

    project = _project(root)
    result = _result(project, run, stages)
    refuse_recording(project.reports, result.folder)
    write_results(result)
    return _draw(project, result)


def _serve(run: str | None, stages: tuple[str, ...], port: int, root: Path | None, as_json: bool) -> int:
    """Serves until Ctrl-C, which is how it is meant to end."""
    from stallgate.render.serve import Server
    from stallgate.runs.folder import find

    reports = _project(root).reports
    folder = find(reports, run)
    if folder.parent != reports.resolve():
        raise BadArgument(f"{folder} is not in {reports}, and nothing else is served", "name a run under reports/")
    if stages or not (folder / "report.html").is_file():
        _drawn(str(folder), stages, root)
    signal.signal(signal.SIGTERM, _interrupt)
    with Server(reports, port, lambda found: _drawn(str(found), (), root)) as server, suppress(KeyboardInterrupt):
        url = f"{server.url}{quote(folder.name)}/report.html" if run is not None else server.url
        click.echo(json.dumps({"url": url}) if as_json else f"{url} (Ctrl-C ends it)")
        server.serve_forever()
    return 0


@stallgate.command()
@click.argument("base")
@run_argument
@click.option("--all", "every", is_flag=True, help="Every metric; by default the stage's, and what is better or worse.")
@click.option("--report", "page", is_flag=True, help="Draw compare-BASE.html into RUN's folder as well.")
@root_option
@json_option
def compare(base: str, run: str | None, every: bool, page: bool, root: Path | None, as_json: bool) -> int:
    """Hold RUN against BASE, metric by metric; status 0 whatever moved."""
    from stallgate.compare.two_runs import compare as compare_results
    from stallgate.compare.two_runs import refuse_empty
    from stallgate.render import terminal
    from stallgate.runs.folder import pretty, refuse_recording

    project = _project(root)
    before, after = _result(project, base, ()), _result(project, run, ())
    if page:
        refuse_recording(project.reports, after.folder)
    found = compare_results(project, before, after)
    if as_json:
        click.echo(pretty(found).decode(), nl=False)
    else:
        terminal.comparison(found, every)
    if page:
        from stallgate.render.compare_page import draw_comparison

        click.echo(f"page: {_near(draw_comparison(found, after.folder))}", err=as_json)
    refuse_empty(found)
    return 0


def _result(
    project: Project, run: str | None, stages: tuple[str, ...], *, targets: Any = "all", only_judge: bool = False
) -> JudgedRun:
    from stallgate.judge.evaluate import evaluate
    from stallgate.runs.folder import find

    return evaluate(project, find(project.reports, run), list(stages), targets=targets, only_judge=only_judge)


# --- looking around: no GPU needed ------------------------------------------------------------------------------------


@stallgate.command()
@subjects_argument
@workload_option
@configuration_option
@click.option("--chip", metavar="NAME", help="For this chip; by default this machine's, if it has a GPU.")
@root_option
@json_option
def plan(
    subjects: tuple[str, ...],
    workloads: tuple[str, ...],
    configurations: tuple[str, ...],
    chip: str | None,
    root: Path | None,
    as_json: bool,
) -> int:
    """Show what `profile` would run, with the ncu command line; status 3 if it could not be judged on the chip."""
    from stallgate.measure import ncu
    from stallgate.project.catalogue import check_chip, collected
    from stallgate.render import terminal

    project = _project(root)
    cases = _cases(project, subjects, workloads, configurations)
    check_chip(project.catalogue, chip)
    chip = chip or _chip_here(project)
    invocation = ncu.Invocation(
        report=Path("RUN/ncu/1.ncu-rep"),
        metrics=collected(project.catalogue, chip),
        detail=False,
        application=["PYTHON", "CHILD", "RUN/ncu/1.plan.json"],
    )
    command = ncu.command(Path("ncu"), invocation)
    gaps, answer = _on_chip(project, chip, _problems(cases))
    if as_json:
        facts = {"chip": chip, "unmeasurable": gaps, "ncu": answer.text if answer is not None else None}
        click.echo(json.dumps({"cases": [case.name for case in cases], "command": command, **facts}, indent=2))
    else:
        click.echo("\n".join(case.name for case in cases))
        click.echo()
        click.echo(shlex.join(command).replace(" --", " \\\n  --"))
        terminal.on_chip(gaps, answer)
    return 3 if gaps else 0


@stallgate.command()
@click.option("--chip", metavar="NAME", help="Show what this chip has, and which targets it cannot be judged by.")
@root_option
@json_option
def metrics(chip: str | None, root: Path | None, as_json: bool) -> int:
    """Show the catalogue, for a chip or for all."""
    from stallgate.measure.chip import judged_by
    from stallgate.project.catalogue import check_chip, listing
    from stallgate.render import terminal

    project = _project(root)
    check_chip(project.catalogue, chip)
    judging = judged_by(project, list(project.problems))
    rows = [{**row, "judged_by": judging.get(str(row["metric"]), [])} for row in listing(project.catalogue, chip)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        terminal.show_metrics(rows, project.catalogue.aliases)
        terminal.on_chip(*_on_chip(project, chip, list(project.problems)))
    return 0


def _chip_here(project: Project) -> str | None:
    """The chip of this machine's GPU; None where it has none, or one that nothing is known of."""
    from stallgate.measure.device import choose, find_devices
    from stallgate.measure.profile import chip_of

    devices = find_devices()
    return chip_of(project, choose(devices, None)) if devices else None


def _on_chip(project: Project, chip: str | None, problems: list[str]) -> tuple[list[str], CatalogueCheck | None]:
    """The targets that a chip cannot be judged by, in words, and how an installed ncu stands to the catalogue."""
    from stallgate.measure.chip import installed, unmeasurable, verify

    if chip is None:
        return [], None
    tool = installed()
    answer = verify(project.catalogue, chip, tool) if tool is not None else None
    return unmeasurable(project, chip, problems), answer


@stallgate.command()
@click.option("--python", metavar="PATH", help="The interpreter that has torch and triton; by default stallgate's own.")
@root_option
@json_option
def doctor(python: str | None, root: Path | None, as_json: bool) -> int:
    """Say whether this machine can measure: status 0 if it can, 3 if not."""
    from stallgate.measure.doctor import able, examine
    from stallgate.render import terminal

    findings = examine(_project(root), _interpreter(python))
    if as_json:
        click.echo(json.dumps({"able": able(findings), "findings": [f.as_json() for f in findings]}, indent=2))
    else:
        terminal.findings(findings, able(findings))
    return 0 if able(findings) else 3


# --- what commands share ----------------------------------------------------------------------------------------------


def _project(root: Path | None) -> Project:
    from stallgate.project.load import find_root, load_project

    return load_project(root.resolve() if root is not None else find_root(Path.cwd()))


def _cases(
    project: Project, subjects: tuple[str, ...], workloads: tuple[str, ...], configurations: tuple[str, ...]
) -> list[Case]:
    from stallgate.measure.plan import Request, plan_cases

    request = Request(subjects=list(subjects), workloads=list(workloads), configurations=list(configurations))
    return plan_cases(project, request)


def _interpreter(python: str | None) -> str:
    """The path of an interpreter.

    Raises:
        BadArgument: there is none of that name.
    """
    import shutil

    found = shutil.which(python) if python else sys.executable
    if found is None:
        raise BadArgument(f"there is no interpreter {python}", "give --python the path of an executable")
    return found


def _problems(cases: list[Case]) -> list[str]:
    return list(dict.fromkeys(case.problem for case in cases))


def _subject_name(cases: list[Case]) -> str:
    problems = _problems(cases)
    return problems[0] if len(problems) == 1 else "several"


def _near(path: Path) -> str:
    """A path as it can be clicked and typed from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
