"""``stallgate bench``: unprofiled times beside peers, a copy and the roof."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from stallgate.cli.bench_facts import BenchFacts, bench_facts
from stallgate.cli.drawing import draw_times
from stallgate.cli.examples import examples
from stallgate.cli.fleet import opened_fleet, refuse_beside_fleet, refuse_without_fleet
from stallgate.cli.options import (
    FleetOptions,
    configuration_option,
    device_option,
    drawn_only_option,
    drawn_option,
    fleet_options,
    json_option,
    python_option,
    root_option,
    seed_option,
    subjects_argument,
    timeout_option,
    workload_option,
)
from stallgate.cli.output import found_so_far, print_result
from stallgate.cli.resumed import refuse_others
from stallgate.cli.shared import (
    draw_of,
    end_on_signals,
    given_arguments,
    interpreter,
    is_given,
    near,
    open_project,
    subject_name,
)
from stallgate.errors import BadArgument, NoDevice, StallgateError
from stallgate.measure.bench import Bencher, BenchOptions, new_bench
from stallgate.measure.device import Device, choose, find_devices
from stallgate.measure.drawn import DrawnPlan, plan_drawn
from stallgate.measure.plan import Request, plan_cases
from stallgate.project.load import Project
from stallgate.render import terminal, terminal_bench
from stallgate.runs.bench import Gradient, find_bench, load_bench, status
from stallgate.runs.drawn import Draw
from stallgate.runs.folder import new_folder

_DRAWN_ROUNDS = 9
"""Samples per contender and drawn workload, unless --rounds says more."""


class BenchArguments(FleetOptions, frozen=True, kw_only=True):
    """The parameters of the command."""

    subjects: tuple[str, ...]
    workloads: tuple[str, ...]
    configurations: tuple[str, ...]
    rounds: int
    timeout: float
    python: str | None
    device: int | None
    gradient: Gradient | None
    zeros: int
    drawn: int | None
    drawn_only: tuple[int, ...]
    seed: int | None
    show: str | None
    root: Path | None
    as_json: bool

    @property
    def request(self) -> Request:
        """The cases that are asked for."""
        return Request(list(self.subjects), list(self.workloads), list(self.configurations))


class FleetBenchFacts(BenchFacts, frozen=True):
    """The bench."""

    others: list[BenchFacts] = []
    """Of a fleet: the benches of its other GPU models."""


@click.command("bench", epilog=examples("stallgate bench cumprod -w square", "stallgate bench --show"))
@subjects_argument
@workload_option
@configuration_option
@click.option("--rounds", type=click.IntRange(3, 1000), default=25, show_default=True, help="Samples per contender.")
@timeout_option
@python_option
@device_option
@fleet_options
@click.option(
    "--gradient", type=click.Choice(["backward", "both"]), help="Time the backward pass alone, or forward and backward."
)
@click.option("--zeros", type=click.IntRange(0), default=0, help="Zeros in each sequence of a gradient's inputs.")
@drawn_option
@drawn_only_option
@seed_option
@click.option("--show", is_flag=False, flag_value="", metavar="[BENCH]", help="Only show a bench that was made before.")
@root_option
@json_option(FleetBenchFacts)
def bench_command(**given: Any) -> int:
    """Time variants by CUDA events beside their peers, a copy and the roof. Nothing is profiled."""
    arguments = BenchArguments(**given)
    refuse_without_fleet(arguments)
    project = open_project(arguments.root)
    if arguments.show is not None:
        return _shown_before(project, arguments, arguments.show)
    if arguments.zeros and arguments.gradient is None:
        raise BadArgument("--zeros is only for gradients", "add --gradient backward or --gradient both")
    draw = draw_of(arguments.drawn, arguments.drawn_only, arguments.seed)
    if draw is not None and arguments.gradient is not None:
        raise BadArgument("gradients are not timed on drawn workloads", "leave out --gradient, or the drawn workloads")
    if arguments.on is not None:
        return _on_fleet(_plan(project, arguments, draw), _options(arguments, draw), arguments)
    device = _device(arguments.device)
    folder = _timed(_plan(project, arguments, draw), device, _options(arguments, draw), arguments)
    found = _drawn_and_shown(folder, as_json=arguments.as_json)
    ended = status(load_bench(folder))
    return print_result("bench", found, ended) if arguments.as_json else ended


def _shown_before(project: Project, arguments: BenchArguments, name: str) -> int:
    """Shows an earlier bench."""
    refuse_others(("show", "root", "as_json"), "--show always shows a whole bench")
    folder = find_bench(project.reports, name or None)
    found = _show(folder, as_json=arguments.as_json)
    ended = status(load_bench(folder))
    return print_result("bench", found, ended) if arguments.as_json else ended


def _plan(project: Project, arguments: BenchArguments, draw: Draw | None) -> DrawnPlan:
    """What is timed: drawn workloads, beside those that are named; without any, the usual ones."""
    if draw is None:
        return DrawnPlan(project, plan_cases(project, arguments.request))
    python = interpreter(arguments.python if arguments.on is None else None)  # they are drawn on this machine
    is_alone = not arguments.workloads
    return plan_drawn(project, arguments.request, draw, python, arguments.timeout, only_drawn=is_alone, needs=True)


def _options(arguments: BenchArguments, draw: Draw | None) -> BenchOptions:
    """How to measure. Of many drawn workloads each needs fewer samples."""
    return BenchOptions(
        python=interpreter(arguments.python) if arguments.on is None else arguments.python or "",
        rounds=arguments.rounds if draw is None or is_given("rounds") else _DRAWN_ROUNDS,
        timeout_s=arguments.timeout,
        gradient=arguments.gradient,
        zeros=arguments.zeros,
        draw=draw,
    )


def _timed(plan: DrawnPlan, device: Device, options: BenchOptions, arguments: BenchArguments) -> Path:
    """Takes the times. If the bench is cut short, the times so far are shown."""
    project = plan.project
    end_on_signals()
    planned = new_bench(project, plan.cases, options, given_arguments())
    folder = new_folder(project.reports, f"bench-{subject_name(plan.cases)}")
    try:
        with terminal.BenchBar() as bar:
            Bencher(project, planned, options, device, bar).measure(folder)
    except StallgateError:
        _show(folder, as_json=arguments.as_json)
        raise
    return folder


def _on_fleet(plan: DrawnPlan, options: BenchOptions, arguments: BenchArguments) -> int:
    """Takes the times on a fleet, into the folder of a new bench for each GPU model; the worst exit status of them."""
    refuse_beside_fleet("device")
    end_on_signals()
    with opened_fleet(plan.project, arguments, with_ncu=False) as fleet:
        from stallgate.fleet.bench import FleetBencher, ModelBench

        planned = new_bench(plan.project, plan.cases, options, given_arguments())
        name = f"bench-{subject_name(plan.cases)}"
        benches = [ModelBench(model, new_folder(plan.project.reports, name), planned) for model in fleet.models]
        try:
            with fleet.dispatching(plan.project, arguments.python) as dispatcher, terminal.BenchBar() as bar:
                FleetBencher(plan.project, dispatcher, benches, options, bar).measure()
        except StallgateError:
            for each in benches:
                _show(each.folder, as_json=arguments.as_json)
            raise
    shown = [_drawn_and_shown(each.folder, as_json=arguments.as_json) for each in benches]
    ended = max(status(load_bench(each.folder)) for each in benches)
    if arguments.as_json:
        facts = FleetBenchFacts(**msgspec.structs.asdict(shown[0]), others=shown[1:])
        return print_result("bench", facts, ended)
    return ended


def _drawn_and_shown(folder: Path, *, as_json: bool) -> BenchFacts:
    draw_times(load_bench(folder), folder)
    return _show(folder, as_json=as_json)


def _device(index: int | None) -> Device:
    devices = find_devices()
    if not devices:
        raise NoDevice(
            "there is no CUDA device, and a bench cannot be replayed",
            "`stallgate doctor` says what is missing; `stallgate bench --show` shows an earlier bench",
        )
    return choose(devices, index)


def _show(folder: Path, *, as_json: bool) -> BenchFacts:
    """Shows a bench unless it is printed as JSON; returns its facts."""
    found = load_bench(folder)
    if not as_json:
        terminal_bench.show_bench(found)
        for path in sorted(folder.glob("bench.*")):
            terminal.out.print(near(path), soft_wrap=True)
    facts = bench_facts(found, folder)
    found_so_far(facts)
    return facts
