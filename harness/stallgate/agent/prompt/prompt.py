"""The prompt for a program, or a person, that writes kernels: complete, true, and the same bytes for the same files.

Each part is a value, made by one function; ``prompt_budget.py`` decides which of them there is room for.
"""

from __future__ import annotations

from collections.abc import Sequence

from stallgate.agent.objection import Objection
from stallgate.agent.prompt.advice import advised_part
from stallgate.agent.prompt.budget import Dropped, Fitted, fit
from stallgate.agent.prompt.card import card_part
from stallgate.agent.prompt.code import code_part
from stallgate.agent.prompt.ground import Ground, asked_for_prompt, ground_of
from stallgate.agent.prompt.metrics import metrics_part
from stallgate.agent.prompt.part import Part, rendered_part
from stallgate.agent.prompt.problem import problem_part
from stallgate.agent.prompt.roof import roof_part
from stallgate.agent.prompt.stage import stage_part
from stallgate.agent.prompt.task import output_part, refused_part, role_part, task_part
from stallgate.agent.prompt.tried import tried_part
from stallgate.agent.tokens import estimated_tokens
from stallgate.formatting import listed
from stallgate.judge.evaluate import JudgedRun
from stallgate.model import FrozenStruct
from stallgate.project.load import Project


class Prompt(FrozenStruct, frozen=True):
    """A prompt, whole and in its parts."""

    text: str
    """Markdown; it ends with a line break."""
    parts: list[Part]
    """Those that it has, in their order, as they are in the text."""
    dropped: list[Dropped]
    """What a budget left out or shortened."""
    tokens: int
    """An upper estimate."""
    problem: str
    variant: str
    stage: str
    gpu: str
    """The target's data sheet; empty where it is not known."""
    measured_gpu: str
    """The GPU that the readings are of, as its driver names it; empty where there are none."""
    run: str
    """The run that the readings are from; empty where there is none."""
    has_readings: bool
    """Whether there are readings of the present code."""


def prompt_of(
    project: Project,
    subject: str,
    *,
    stage: str | None = None,
    gpu: str | None = None,
    budget: int | None = None,
    run: str | JudgedRun | None = None,
    extra_tried: Sequence[str] = (),
    refused: Sequence[Objection] = (),
) -> Prompt:
    """The prompt for a variant.

    Args:
        project: the problem with its code, the yardsticks, and ``reports/``.
        subject: ``PROBLEM/VARIANT``.
        stage: the stage to be met; None: the first of the problem's that the variant does not meet.
        gpu: the card of the GPU that the code is to run on; None: the one that was measured.
        budget: the most tokens by the estimate of ``tokens.py``; None: no limit.
        run: a run's folder or name, or one that was read; None: the newest run or recording that has sound numbers of
            the variant.
        extra_tried: what else has been tried, a line each, the newest first.
        refused: why the last answer was refused.

    Raises:
        UserFault: a name is unknown, a file is broken, or the budget is too small.
        NotMeasured: `run` is no run.
    """
    ground = ground_of(asked_for_prompt(project, subject, gpu), stage, run)
    return _prompt(ground, fit(_parts(ground, extra_tried, refused), budget, _text))


def _prompt(ground: Ground, fitted: Fitted) -> Prompt:
    text = _text(fitted.parts, fitted.dropped)
    return Prompt(
        text=text,
        parts=fitted.parts,
        dropped=fitted.dropped,
        tokens=estimated_tokens(text),
        problem=ground.problem.name,
        variant=ground.variant.name,
        stage=ground.stage.name,
        gpu=ground.card.name if ground.card is not None else "",
        measured_gpu=ground.measured_gpu if ground.sound else "",
        run=ground.run_name,
        has_readings=bool(ground.sound),
    )


def _parts(ground: Ground, extra_tried: Sequence[str], refused: Sequence[Objection]) -> list[Part]:
    """All parts, in the order in which a reader needs them."""
    return [
        role_part(ground),
        card_part(ground),
        stage_part(ground),
        problem_part(ground),
        code_part(ground),
        metrics_part(ground),
        roof_part(ground),
        tried_part(ground, extra_tried),
        advised_part(ground),
        *([refused_part(refused)] if refused else []),
        task_part(ground),
        output_part(ground),
    ]


def _text(parts: Sequence[Part], dropped: Sequence[Dropped]) -> str:
    """The parts under their headings; after the first, what was left out."""
    first, *others = (rendered_part(part) for part in parts)
    return "\n".join([first, *([_notice(dropped)] if dropped else []), *others])


def _notice(dropped: Sequence[Dropped]) -> str:
    return f"To keep this prompt short it leaves out {listed([each.loses for each in dropped])}.\n"
