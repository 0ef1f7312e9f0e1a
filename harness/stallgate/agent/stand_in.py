"""Stands in for agent/answer.py until that is there."""

from __future__ import annotations

import ast
import re

from stallgate.agent.objection import Objection
from stallgate.model import FrozenStruct


class Answer(FrozenStruct, frozen=True):
    source: str
    line: int


def read_stand_in(text: str) -> tuple[Answer, list[Objection]]:
    found = re.search(r"^```(?:python)?\n(.*?)^```", text, re.S | re.M)
    answer = Answer(found[1], text[: found.start(1)].count("\n") + 1) if found else Answer(text, 1)
    try:
        ast.parse(answer.source)
    except SyntaxError as error:
        return answer, [Objection(part="form", code="syntax_error", text=str(error), line=error.lineno)]
    return answer, []
