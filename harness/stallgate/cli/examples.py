"""Examples at the end of a command's help."""

from __future__ import annotations

EXAMPLES = "Examples:"
"""The heading, as the help prints it."""


def examples(*lines: str) -> str:
    """The epilog of a command: command lines that click prints as they are."""
    return "\n".join(["\b", EXAMPLES, *(f"  {line}" for line in lines)])
