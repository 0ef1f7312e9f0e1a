"""The verdicts of a run in Markdown: the head of ``summary.md``, and what a CI system shows of the step."""

from __future__ import annotations

import shlex
from pathlib import Path

from stallgate.formatting import on_several, verdict_mark, whom
from stallgate.judge.evaluate import JudgedRun
from stallgate.model import Run
from stallgate.render.program import program_finding
from stallgate.runs.conditions import provenance
from stallgate.runs.folder import write_whole

_BELOW = "\n### "
"""The start of the part below the verdicts, which a report writes."""


def head(result: JudgedRun) -> str:
    """The result, the origin of its numbers, every verdict, and notes."""
    judged = result.judgement
    several = on_several(judged.verdicts)
    lines = [f"## {headline(result)}", "", provenance(result.run), ""]
    told = [(v, markdown(whom(v, with_problem=several))) for v in judged.verdicts]
    lines += [f"- **{verdict_mark(v)}** {about}: {markdown(v.sentence)}" for v, about in told]
    lines += ["", *(f"> {markdown(note)}" for note in judged.notes)] if judged.notes else []
    for missing in judged.uncollected:
        lines += ["", f"What {missing.stage} needs is collected by", "", f"    {shlex.join(missing.command)}"]
    return "\n".join(lines) + "\n"


def write_head(result: JudgedRun) -> Path:
    """Writes the verdicts into ``summary.md``; what a report has added below them stays."""
    path = result.folder / "summary.md"
    drawn = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    _, found, below = drawn.partition(_BELOW)
    write_whole(path, (head(result) + found + below).encode())
    return path


def headline(result: JudgedRun) -> str:
    """The verdict of the whole run, in words; what was read, where nothing is asked of an imported one."""
    status = result.judgement.exit_status
    if status is None:
        return _read(result.run)
    if result.judgement.is_stale:
        return "Stale: the code changed since"
    words = {0: "Meets its targets", 1: "Does not meet its targets"}
    return words.get(status, "Cannot be decided")


def _read(run: Run) -> str:
    """What an imported run holds; of a captured program, which kernel takes most of its time."""
    if run.program is not None:
        return program_finding(run.program)
    found = [result.identity for result in run.cases if result.identity is not None]
    kernels = {(each.kernel, each.signature) for each in found if each.kind == "launches"}
    graphs = sum(each.kind == "graph" for each in found)
    launches = sum(each.launches for each in found if each.kind in ("launches", "graph"))
    wholes = {kind: sum(each.launches for each in found if each.kind == kind) for kind in ("range", "other")}
    counted = [(len(kernels), "kernel"), (graphs, "CUDA graph"), (launches, "launch")]
    counted += [(wholes["range"], "range"), (wholes["other"], "result")]
    counted = [(count, noun) for count, noun in counted if count] or [(len(run.cases), "case")]
    counted.append((len(run.attempts), "ncu report"))
    return ", ".join(f"{count:,} {noun}{_ENDINGS.get(noun, 's') * (count != 1)}" for count, noun in counted)


_ENDINGS = {"launch": "es"}


def markdown(words: str) -> str:
    """Text escaped for Markdown."""
    for sign in "\\`*_[]<>|#":
        words = words.replace(sign, f"\\{sign}")
    return " ".join(words.split())[:400]
