"""Stands in for agent/answer.py and agent/form.py until they are there."""

from __future__ import annotations

import ast
import hashlib
import re

from stallgate.agent.objection import Objection
from stallgate.model import FrozenStruct


class Answer(FrozenStruct, frozen=True):
    source: str = ""
    first_line: int = 1
    digest: str = ""
    objections: tuple[Objection, ...] = ()


def read_answer(text: str | bytes) -> Answer:
    text = text.decode() if isinstance(text, bytes) else text
    found = re.search(r"^```(?:python)?\n(.*?)^```", text, re.S | re.M)
    source, line = (found[1], text[: found.start(1)].count("\n") + 1) if found else (text, 1)
    objections = []
    try:
        ast.parse(source)
    except SyntaxError as error:
        objections = [Objection(part="form", code="syntax_error", text=str(error), line=error.lineno)]
    return Answer(source, line, hashlib.sha256(source.encode()).hexdigest(), tuple(objections))


def objections_to_form(answer: Answer, tl_names: object = ()) -> tuple[Objection, ...]:
    return answer.objections
