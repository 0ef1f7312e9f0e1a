"""Source patterns of known cheats, by kernelguard, an optional package. None of its rules is repeated here.

kernelguard runs in a process of its own, so that a text on which its expressions take forever ends with a time-out.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import msgspec

from stallgate.agent.answer import Answer
from stallgate.agent.objection import Objection
from stallgate.model import FrozenStruct

PATTERNS_TIMEOUT = 60.0
"""Seconds; kernel files of this project take one at most."""

_PROGRAM = """
import json, sys
import kernelguard
kernelguard.configure_runtime(overrides=['entrypoints.names=["forward"]', 'thresholds.score.enabled=false'])
found = kernelguard.analyze_code(sys.stdin.buffer.read().decode(), compute_structural_hash=False)["matched_patterns"]
outcome = lambda each: kernelguard.get_rule_policy(each["pattern"]).max_outcome
print(json.dumps([[each["pattern"], str(each.get("evidence", "")), outcome(each)] for each in found]))
"""
"""Its entry is named ``custom_kernel`` by default; an answer's is ``forward``."""


class Patterns(FrozenStruct, frozen=True):
    """What kernelguard says of an answer."""

    objections: tuple[Objection, ...] = ()
    note: str = ""
    """Why the patterns were not applied, or what is weak evidence only; empty: nothing to say."""


def pattern_objections(answer: Answer, timeout: float = PATTERNS_TIMEOUT) -> Patterns:
    """Patterns of known cheats in an answer's source.

    A rule that kernelguard would refuse a submission for is an objection; one that it calls suspicious or telemetry is
    named in the note.

    Args:
        answer: one that could be read.
        timeout: seconds.
    """
    if answer.objections:
        return Patterns(note="source patterns were not applied: the answer cannot be read")
    if find_spec("kernelguard") is None:
        return Patterns(note="source patterns were not applied: install stallgate[agent], which has kernelguard")
    command = [sys.executable, "-I", "-c", _PROGRAM]
    try:
        done = subprocess.run(command, input=answer.source.encode(), capture_output=True, timeout=timeout, check=False)
        found = msgspec.json.decode(done.stdout, type=list[tuple[str, str, str]])
    except subprocess.TimeoutExpired:
        text = f"kernelguard did not finish with it in {timeout:g} s"
        hint = "write it in a simpler way: it cannot be searched for known cheats"
        return Patterns(objections=(Objection(part="form", code="patterns_unread", text=text, hint=hint),))
    except (OSError, msgspec.DecodeError):
        return Patterns(note="source patterns were not applied: kernelguard failed on this answer")
    return _sorted(found)


def _sorted(found: list[tuple[str, str, str]]) -> Patterns:
    """The findings that refuse an answer, and the note with the others."""
    refused = [(rule, why) for rule, why, outcome in found if outcome == "auto_filter"]
    others = dict.fromkeys(rule for rule, _, outcome in found if outcome != "auto_filter")
    note = f"kernelguard also names {', '.join(others)}, which honest kernels may show too" if others else ""
    return Patterns(objections=tuple(_objection(rule, why) for rule, why in dict.fromkeys(refused)), note=note)


def _objection(rule: str, why: str) -> Objection:
    text = f"kernelguard's rule {rule} finds a known cheat: {why[:200] or 'no evidence is quoted'}"
    return Objection(
        part="form", code=f"pattern_{rule.lower()}", text=text, hint="compute every call anew, in a kernel"
    )
