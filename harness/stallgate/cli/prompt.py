"""``stallgate prompt``: the prompt for a program, or a person, that writes kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from stallgate.agent.prompt.prompt import Prompt, prompt_of
from stallgate.agent.tokens import estimated_tokens
from stallgate.cli.examples import examples
from stallgate.cli.options import json_option, root_option
from stallgate.cli.output import asks_for_json, print_result
from stallgate.cli.shared import open_project
from stallgate.formatting import listed
from stallgate.model import FrozenStruct


class PromptPartFacts(FrozenStruct, frozen=True):
    """A part of the prompt."""

    name: str
    """Stable, such as ``ncu_metrics``."""
    title: str
    text: str
    """Markdown without the heading."""
    tokens: int
    """An upper estimate."""


class PromptDropFacts(FrozenStruct, frozen=True):
    """What the budget left out."""

    part: str
    loses: str
    is_whole: bool
    """Whether nothing of the part is left."""


class PromptFacts(FrozenStruct, frozen=True):
    """The prompt, whole and in its parts."""

    problem: str
    variant: str
    stage: str
    gpu: str
    """The target's data sheet, or ''."""
    measured_gpu: str
    """The GPU that the readings are of, or ''."""
    run: str
    """The run that the readings are from, or ''."""
    has_readings: bool
    """Whether there are readings of the present code."""
    tokens: int
    """Of the whole text, an upper estimate."""
    budget: int | None
    parts: list[PromptPartFacts]
    dropped: list[PromptDropFacts]
    text: str
    """The whole prompt."""


@click.command(
    "prompt",
    epilog=examples(
        "stallgate prompt cumprod/naive_serial --stage memory_access --gpu rtx_4090",
        "stallgate prompt cumprod/blocked_scan --budget 3000 --format json",
    ),
)
@click.argument("subject", metavar="PROBLEM/VARIANT")
@click.option("--stage", metavar="NAME", help="The stage; default: the problem's first that the variant does not meet.")
@click.option("--gpu", metavar="CARD", help="The GPU that the code is to run on; default: the measured one.")
@click.option("--budget", type=click.IntRange(1), metavar="N", help="Leave out what is least useful, to N tokens.")
@click.option("--format", "shape", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--run", metavar="RUN", help="A run with numbers of the variant; default: the newest, or a recording.")
@root_option
@json_option(PromptFacts)
def prompt_command(
    subject: str,
    stage: str | None,
    gpu: str | None,
    budget: int | None,
    shape: Literal["text", "json"],
    run: str | None,
    root: Path | None,
    as_json: bool,
) -> int:
    """Write the prompt for a program that writes kernels.

    It has the stage with the present reading of each of its metrics, what is computed, the current code, the ncu
    metrics, what has been tried, advice with its evidence, and the form of the answer. It needs no GPU.
    """
    found = prompt_of(open_project(root), subject, stage=stage, gpu=gpu, budget=budget, run=run)
    _remark(found)
    if as_json or shape == "json" or asks_for_json():
        return print_result("prompt", _facts(found, budget))
    click.echo(found.text, nl=False)
    return 0


def _remark(found: Prompt) -> None:
    """Says on standard error what a reader of the prompt alone could overlook."""
    if not found.has_readings:
        subject = f"{found.problem}/{found.variant}"
        click.echo(f"no readings of the present code of {subject}: `stallgate profile {subject}` measures it", err=True)
    if found.dropped:
        click.echo(f"left out for the budget: {listed([each.loses for each in found.dropped])}", err=True)


def _facts(found: Prompt, budget: int | None) -> PromptFacts:
    return PromptFacts(
        problem=found.problem,
        variant=found.variant,
        stage=found.stage,
        gpu=found.gpu,
        measured_gpu=found.measured_gpu,
        run=found.run,
        has_readings=found.has_readings,
        tokens=found.tokens,
        budget=budget,
        parts=[
            PromptPartFacts(name=part.name, title=part.title, text=part.text, tokens=estimated_tokens(part.text))
            for part in found.parts
        ],
        dropped=[PromptDropFacts(part=each.part, loses=each.loses, is_whole=each.is_whole) for each in found.dropped],
        text=found.text,
    )
