"""What is said against an answer."""

from __future__ import annotations

from typing import Literal

from stallgate.model import FrozenStruct

AnswerPart = Literal["form", "stage", "right", "better"]
"""What is checked of an answer, in this order: its form, without running it; the stage's rules, against the version
that it replaces; its results; its time and counters."""


class Objection(FrozenStruct, frozen=True):
    """One reason why an answer is not accepted."""

    part: AnswerPart
    code: str
    """Stable, such as ``module_level_action``."""
    text: str
    """One sentence."""
    hint: str = ""
    """What to write instead."""
    line: int | None = None
    """Of the answer's own text, counted from 1, where there is one."""
