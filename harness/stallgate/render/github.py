"""Output for GitHub Actions: annotations in the log, and the step summary.

The form of both is GitHub's:
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import os
from pathlib import Path

from stallgate.formatting import on_several, whom
from stallgate.judge.evaluate import JudgedRun
from stallgate.model import Verdict
from stallgate.project.load import Project

MOST_SUMMARY = 1_000_000
"""Most bytes of a step summary; GitHub rejects one of over 1 MiB completely."""


def annotated(project: Project, result: JudgedRun, workspace: Path) -> list[str]:
    """One line per verdict that is not a pass, at the variant's file; those that fail the gate come first.

    Args:
        project: where the variants' files are.
        result: the run.
        workspace: the checkout, from which GitHub counts paths.
    """
    verdicts = [verdict for verdict in result.judgement.verdicts if verdict.status != "pass"]
    several = on_several(result.judgement.verdicts)
    told = [(verdict, whom(verdict, with_problem=several)) for verdict in sorted(verdicts, key=_counts_not)]
    lines = [_line(project, verdict, about, workspace) for verdict, about in told]
    if not result.judgement.verdicts:
        lines.append(f"::error title=stallgate::{_data('; '.join(result.judgement.notes))}")
    return lines


def append_summary(path: Path, summary: str) -> None:
    """Appends a run's summary to the step summary of GitHub Actions."""
    content = summary.encode()
    if len(content) > MOST_SUMMARY:
        content = content[:MOST_SUMMARY].rpartition(b"\n")[0] + b"\n\n(cut short)\n"
    with path.open("ab") as file:
        file.write(content)


def _counts_not(verdict: Verdict) -> bool:
    return verdict.warning or verdict.status in ("waived", "excused")


def _line(project: Project, verdict: Verdict, about: str, workspace: Path) -> str:
    problem = project.problems.get(verdict.problem)
    variant = problem.variants.get(verdict.variant) if problem is not None else None
    properties = {
        "file": os.path.relpath(project.root / variant.path, workspace) if variant is not None and variant.path else "",
        "title": f"stallgate: {about}: {verdict.reason}",
    }
    command = "notice" if verdict.status == "excused" else "warning" if _counts_not(verdict) else "error"
    given = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::{command} {given}::{_data(verdict.sentence)}"


def _data(words: str) -> str:
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(words: str) -> str:
    return _data(words).replace(":", "%3A").replace(",", "%2C")
