"""The answers of these tests, and what is said of them.

In a bad answer a line that is refused says so: ``# refused: code, code``. What is refused of the whole file stands in
its first line: ``# refused as a whole: code``.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

from stallgate.agent.answer import read_answer
from stallgate.agent.form.form import objections_to_form
from stallgate.agent.form.triton_names import tl_names, torch_names

ANSWERS = Path(__file__).parent / "answers"
GOOD = sorted((ANSWERS / "good").iterdir())
BAD = sorted((ANSWERS / "bad").iterdir())

Refusals = set[tuple[int | None, str]]
"""Line, and code of the objection."""


@cache
def installed_names() -> frozenset[str]:
    """What Triton has in the interpreter of these tests."""
    return tl_names(sys.executable)


def others_names() -> frozenset[str]:
    """What tensors, modules and Python's objects have there."""
    return torch_names(sys.executable)


def refusals(text: str) -> Refusals:
    """What is said against the form of an answer."""
    return {(each.line, each.code) for each in objections_to_form(read_answer(text), installed_names(), others_names)}


def marked(text: str) -> Refusals:
    """What its marks say is to be said."""
    found: Refusals = set()
    for number, line in enumerate(text.split("\n"), start=1):
        if of_line := re.search(r"# refused: (?P<codes>.*)", line):
            found |= {(number, code.strip()) for code in of_line["codes"].split(",")}
        if of_all := re.search(r"# refused as a whole: (?P<code>\w+)", line):
            found.add((None, of_all["code"]))
    return found
