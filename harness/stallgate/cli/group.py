"""The group of all commands. A command's file is imported only when that command runs, so ``--help`` is quick."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from stallgate import __version__

COMMANDS = {
    "profile": "Measure variants under ncu; without a GPU, replay recordings.",
    "import": "Make a run from ncu reports made elsewhere.",
    "capture": "Run any program under ncu: which kernels take its GPU time, and counters of those.",
    "check": "Check whether variants are right; without a GPU, in Triton's interpreter.",
    "bench": "Time variants by CUDA events beside their peers, a copy and the roof.",
    "sweep": "Try a variant's configurations: times of all, counters of the best.",
    "gate": "Judge a run: may it be merged?",
    "advise": "Say what to try next, from readings alone.",
    "prompt": "Write the prompt for a program that writes kernels.",
    "loop": "Have a program write kernels, round by round: prompt, answer, check.",
    "comment": "Post a run's summary to its pull request: one comment, updated each time.",
    "report": "Draw a run: report.html and PNGs, and reports/index.html of all runs.",
    "compare": "Compare AFTER with BEFORE, metric by metric.",
    "baseline": "Accept the numbers of repeated runs as a baseline.",
    "push": "Send runs and accepted baselines to a place that several machines share.",
    "pull": "Bring runs and accepted baselines from a place that several machines share.",
    "init": "Adopt stallgate in a repository: write what measures and gates one of its kernels.",
    "bundle": "Print the one file that users copy of a variant in several files.",
    "mcp": "Serve the commands as tools for agents, by the Model Context Protocol.",
    "plan": "Show what `profile` would run, with the ncu command line.",
    "metrics": "Show the catalogue, for a chip or for all.",
    "show": "List runs, problems or stages; show a run, or a variant on every GPU model.",
    "doctor": "Check whether this machine can measure.",
    "schema": "Print the JSON Schema of what a command prints with --json.",
    "docs": "Print a document, or list all of them.",
}
"""Command -> the first sentence of its help; a test checks that the two agree."""


class _LazyGroup(click.Group):
    """The commands, each the object ``<name>_command`` of ``<name>.py``."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        file = "import_" if cmd_name == "import" else cmd_name
        command: click.Command = getattr(import_module(f"stallgate.cli.{file}"), f"{cmd_name}_command")
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command. Click has a meaning of its own for two errors; from within a command they are bugs."""
        try:
            return super().invoke(ctx)
        except (BrokenPipeError, EOFError) as error:
            raise RuntimeError(repr(error)) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="stallgate")
@click.option("--json", is_flag=True, expose_value=False, help="Print one JSON object, whatever happens.")
def stallgate() -> None:
    """Profile Triton kernels under Nsight Compute and gate merges on the measurements.

    RUN is a run's folder or its name under reports/; default: the latest run.

    \b
    Exit status:
      0   success; of a gate: targets met, excused or waived
      1   the gate says no: a missed target, a wrong result
      2   your files or arguments are wrong
      3   not measured, or cannot be judged
      70  internal error of stallgate
    """  # noqa: D301  (click reads the backspace as: do not rewrap)
