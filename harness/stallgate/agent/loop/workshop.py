"""The workshop of a real loop: prompts of ``prompt.py``, the check of ``check_answer.py``, runs under ncu."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from math import prod
from pathlib import Path

from msgspec.structs import replace

from stallgate.agent.check.better import WorkloadGain
from stallgate.agent.check.check import AnswerOptions, AnswerReport, check_answer
from stallgate.agent.loop.loop import CheckedAnswer, CheckWish, MeasuredVersion, PromptWish
from stallgate.agent.loop.measure import VersionMeasurer
from stallgate.agent.loop.plan import project_with
from stallgate.agent.loop.tried import TriedChange
from stallgate.agent.objection import Objection
from stallgate.agent.prompt.part import fenced
from stallgate.agent.prompt.prompt import prompt_of
from stallgate.errors import NotMeasured
from stallgate.measure.profile import Watcher
from stallgate.model import FrozenStruct
from stallgate.project.load import Project
from stallgate.runs.journal import Journal, KeptGain, KeptObjection, LoopVersion

_MOST_TRIED = 12
"""Tries that a prompt tells: the newest."""


class WorkshopOptions(FrozenStruct, frozen=True):
    """How a loop's prompts are written and its answers checked."""

    answer: AnswerOptions
    """Of every check; the loop sets what differs from one to the next."""
    budget: int | None = None
    """Tokens of a prompt."""
    gpu: str | None = None
    """The card that the code is to run on; None: the GPU that is measured."""


class HouseWorkshop:
    """What a loop needs, by the rest of the house."""

    def __init__(
        self,
        project: Project,
        folder: Path,
        journal: Journal,
        options: WorkshopOptions,
        measurer: VersionMeasurer | None,
        watcher: Watcher,
    ) -> None:
        """What it works on.

        Args:
            project: the user's; it is never changed.
            folder: the loop's, below the project's ``reports/``.
            journal: the loop's, for what does not change in it.
            options: how prompts are written and answers checked.
            measurer: measures versions; None in a rehearsal.
            watcher: receives the progress of runs.
        """
        self._project = project
        self._folder = folder
        self._journal = journal
        self._options = options
        self._measurer = measurer
        self._watcher = watcher

    def measure(self, version: LoopVersion) -> MeasuredVersion:
        """The reading of a version.

        Raises:
            NotMeasured: nothing can be measured here.
        """
        assert self._measurer is not None
        return self._measurer.measure(self._journal, version, self._watcher)

    def prompt(self, wish: PromptWish) -> str:
        """The prompt that shows a version, with what was tried; of a repair, the refused answer as well."""
        reading = wish.base.reading
        found = prompt_of(
            project_with(self._project, self._folder, self._journal, wish.base),
            f"{self._journal.problem}/{self._journal.variant}",
            stage=wish.stage,
            gpu=self._options.gpu,
            budget=self._options.budget,
            run=str(self._folder / reading.run) if reading is not None else None,
            extra_tried=[tried_line(each) for each in wish.tried[::-1][:_MOST_TRIED]],
            refused=[_objection(each) for each in wish.refused],
        )
        if not wish.refused:
            return found.text
        return f"{found.text}\n## The refused answer\n\nMend it, or give another.\n\n{fenced(wish.answer, 'text')}\n"

    def check(self, wish: CheckWish) -> CheckedAnswer:
        """What the check says of an answer, held against the version that it would replace.

        Raises:
            NotMeasured: it cannot be judged here.
        """
        options = replace(
            self._options.answer,
            problem=self._journal.problem,
            against=self._journal.variant,
            stage=wish.stage,
            seed=wish.seed,
            readings=str(self._folder / wish.base.reading.run) if wish.base.reading is not None else None,
        )
        project = project_with(self._project, self._folder, self._journal, wish.base)
        return self._said(check_answer(project, wish.text, options))

    def _said(self, report: AnswerReport) -> CheckedAnswer:
        """A report as the journal keeps it.

        Raises:
            NotMeasured: it says neither yes nor no.
        """
        objections = [
            KeptObjection(each.part, each.code, each.text, each.hint, each.line) for each in report.objections
        ]
        if not report.accepted and not objections:
            why = next((step.why for step in report.steps if step.state == "not_judged"), "it was not said why")
            again = f"`stallgate loop --resume {shlex.quote(self._journal.name)}` goes on"
            raise NotMeasured(f"an answer could not be judged: {why}", again)
        return CheckedAnswer(
            accepted=report.accepted,
            objections=objections,
            gain=kept_gain(report.gains),
            meets=bool(report.stage_met),
            run=self._relative(report.run) if report.run is not None else "",
        )

    def _relative(self, run: str) -> str:
        path = Path(run) if Path(run).is_absolute() else self._project.reports / run
        return os.path.relpath(path, self._folder)


def tried_line(found: TriedChange) -> str:
    """A try in a line of a prompt."""
    reasons = f" ({'; '.join(found.reasons[:2])})" if found.gain is None and len(found.reasons) > 1 else ""
    return f"{found.name}: {found.change} => {found.effect}{reasons}"


def kept_gain(gains: list[WorkloadGain]) -> KeptGain | None:
    """The gain over all workloads: of the geometric mean of their times, in per cent."""
    if not gains:
        return None

    def over_all(share: Callable[[WorkloadGain], float]) -> float:
        return 100 * (1 - prod(max(1 - share(each), 0.0) for each in gains) ** (1 / len(gains)))

    low, high = sorted((over_all(lambda each: each.low), over_all(lambda each: each.high)))
    return KeptGain(over_all(lambda each: each.gain), low, high)


def _objection(kept: KeptObjection) -> Objection:
    part = "form" if kept.part == "loop" else kept.part
    return Objection(part=part, code=kept.code, text=kept.text, hint=kept.hint, line=kept.line)
