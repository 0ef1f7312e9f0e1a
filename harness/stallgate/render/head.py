"""The verdicts of a run in Markdown: the head of ``summary.md``, and what a CI system shows of the step."""

from __future__ import annotations

import shlex
from pathlib import Path

from stallgate.formatting import on_several, verdict_mark, whom
from stallgate.judge.evaluate import JudgedRun
from stallgate.model import Catalogue
from stallgate.render.run_word import run_word
from stallgate.runs.conditions import provenance
from stallgate.runs.folder import write_whole

_BELOW = "\n### "
"""The start of the part below the verdicts, which a report writes."""


def head(result: JudgedRun, catalogue: Catalogue) -> str:
    """The result, the origin of its numbers, every verdict, and notes."""
    judged = result.judgement
    several = on_several(judged.verdicts)
    lines = [f"## {headline(result, catalogue)}", "", provenance(result.run), ""]
    told = [(v, markdown(whom(v, with_problem=several))) for v in judged.verdicts]
    lines += [f"- **{verdict_mark(v)}** {about}: {markdown(v.sentence)}" for v, about in told]
    lines += ["", *(f"> {markdown(note)}" for note in judged.notes)] if judged.notes else []
    for missing in judged.uncollected:
        lines += ["", f"What {missing.stage} needs is collected by", "", f"    {shlex.join(missing.command)}"]
    return "\n".join(lines) + "\n"


def write_head(result: JudgedRun, catalogue: Catalogue) -> Path:
    """Writes the verdicts into ``summary.md``; what a report has added below them stays."""
    path = result.folder / "summary.md"
    drawn = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    _, found, below = drawn.partition(_BELOW)
    write_whole(path, (head(result, catalogue) + found + below).encode())
    return path


def headline(result: JudgedRun, catalogue: Catalogue) -> str:
    """The verdict of the whole run, in words; what was read, where nothing is asked of an imported one."""
    return run_word(result, catalogue).words


def markdown(words: str) -> str:
    """Text escaped for Markdown."""
    for sign in "\\`*_[]<>|#":
        words = words.replace(sign, f"\\{sign}")
    return " ".join(words.split())[:400]
