"""Options and arguments that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from stallgate.cli.output import asks_for_json

_Command = TypeVar("_Command", bound=Callable[..., Any])


class FleetOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where a command measures that can measure on a fleet."""

    on: str | None
    gpu: str | None
    each_model: bool
    wait: float


root_option = click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The project's folder; default: the nearest one at or above the working directory.",
)
stage_option = click.option(
    "--stage", "stages", multiple=True, metavar="NAME", help="Judge by this stage; default: those of problem.toml."
)


def _beginnings(pattern: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Completes names of folders that hold a file, below the project's folder or the working directory."""

    def complete(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
        names = {path.parent.name for path in Path(context.params.get("root") or ".").glob(pattern)}
        return sorted((name for name in names if name.startswith(begun)), reverse=True)

    return complete


complete_runs = _beginnings("reports/*/run.json")
run_argument = click.argument("run", required=False, shell_complete=complete_runs)
subjects_argument = click.argument(
    "subjects",
    nargs=-1,
    metavar="[PROBLEM[/VARIANT]]...",
    shell_complete=_beginnings("kernels/*/problem.toml"),
)
workload_option = click.option(
    "-w",
    "--workload",
    "workloads",
    multiple=True,
    metavar="NAME",
    help="A workload; default: those marked in problem.toml.",
)
configuration_option = click.option(
    "-c",
    "--configuration",
    "configurations",
    multiple=True,
    metavar="NAME",
    help="A configuration (named tunables) of a variant.",
)
python_option = click.option(
    "--python", metavar="PATH", help="An interpreter with torch and triton; default: stallgate's own."
)
device_option = click.option("--device", type=click.IntRange(0), help="Index of the GPU, as nvidia-smi counts.")


def json_option(facts: object) -> Callable[[_Command], _Command]:
    """``--json`` of a command.

    Args:
        facts: the struct, or a tagged union of structs, that the command gives to ``print_result``.
    """
    help_text = "Print the result as one JSON object."
    return click.option("--json", "as_json", cls=JsonOption, facts=facts, is_flag=True, help=help_text)


class JsonOption(click.Option):
    """``--json``, which may also stand before the command."""

    def __init__(self, *words: Any, facts: object, **attributes: Any) -> None:
        super().__init__(*words, **attributes, callback=lambda _context, _option, value: value or asks_for_json())
        self.facts = facts
        """The struct of the command's facts: its JSON Schema is made from it."""


def _finite(_context: click.Context, _option: click.Parameter, value: float) -> float:
    """Refuses ``inf`` and ``nan``, which click accepts as numbers and JSON cannot represent."""
    if not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number of seconds.")
    return value


def _seconds_option(word: str, least: float, default: float, about: str) -> Callable[[_Command], _Command]:
    """An option for seconds."""
    kind = click.FloatRange(least)
    return click.option(word, type=kind, callback=_finite, default=default, show_default=True, help=about)


timeout_option = _seconds_option("--timeout", 1, 120.0, "Seconds that one step may take.")
program_timeout_option = _seconds_option("--timeout", 1, 600.0, "Seconds that one run of the program may take.")
grace_option = _seconds_option("--grace", 0, 10.0, "Seconds ncu gets to write its report after being stopped.")
drawn_option = click.option(
    "--drawn", type=click.IntRange(1, 10_000), metavar="N", help="Draw N workloads at random, by the problem's draw."
)
drawn_only_option = click.option(
    "--drawn-only",
    type=click.IntRange(0),
    multiple=True,
    metavar="N",
    help="Only drawn workload number N; needs --seed. Repeatable.",
)
seed_option = click.option(
    "--seed", type=click.IntRange(0), metavar="S", help="Seed of drawn workloads; default: another one each time."
)
on_option = click.option(
    "--on",
    metavar="CLUSTER",
    help="Measure on many GPUs: tcp://SCHEDULER:8786, a cluster that stallgate.toml names, or local.",
)
_gpu_option = click.option(
    "--gpu", metavar="MODEL", help="With --on: only GPUs whose name has this in it, such as H100."
)
_each_model_option = click.option(
    "--each-model", is_flag=True, help="With --on: everything on each GPU model, with a result for each."
)
wait_option = _seconds_option("--wait", 0, 60.0, "With --on: seconds without a worker that could go on.")


def fleet_options(command: _Command) -> _Command:
    """``--on``, and which of the fleet's GPUs."""
    for option in (wait_option, _each_model_option, _gpu_option, on_option):
        command = option(command)
    return command
