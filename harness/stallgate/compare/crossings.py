"""Which judged targets of a case were crossed between two runs: missed before and met after, or the other way round.

Both runs are held to the targets as they are now. A target that is excused or waived on either side is not crossed,
and neither is one whose bound lies between the samples. A tolerance around the accepted baseline counts where the
target insists on it; the word for the time itself comes from the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from stallgate.compare.words import Crossing
from stallgate.extract.read_run import MeasuredRun
from stallgate.judge.baselines import accepted_of
from stallgate.judge.bounds import Bound, around, excuse_of, holding
from stallgate.judge.evaluate import JudgedRun
from stallgate.judge.roof import Roof
from stallgate.model import Case, CaseResult, Reason, Target
from stallgate.project.load import Project


class Crossings:
    """The judged targets of two runs that are compared."""

    def __init__(
        self, project: Project, base: MeasuredRun, run: MeasuredRun, stages: Sequence[str] | None = None
    ) -> None:
        self._project = project
        self._base = base
        self._run = run
        self._stages = stages
        self._decided = not (isinstance(run, JudgedRun) and run.judgement.exit_status == 3)
        """A run that cannot be decided is not called better."""

    def of(self, before: CaseResult, after: CaseResult) -> dict[str, Crossing]:
        """Metric -> how its targets were crossed; of several, the graver."""
        found: dict[str, Crossing] = {}
        for stage, target in self._targets(after):
            if self._is_waived(after.case, stage, target):
                continue
            word = _crossing(self._meets(self._base, before, target), self._meets(self._run, after, target))
            if word == "worse" or (word == "better" and self._decided):
                found[target.metric.name] = "worse" if found.get(target.metric.name) == "worse" else word
        return found

    def _targets(self, result: CaseResult) -> list[tuple[str, Target]]:
        """The targets that judge a case, each with its stage."""
        case, project = result.case, self._project
        if result.role != "candidate" or case.configuration != "default" or case.problem not in project.problems:
            return []
        names = self._stages if self._stages is not None else project.stages_of(case.problem)
        judging = [s for s in project.with_included(names) if case.workload in self._workloads(case.problem, s.name)]
        told = [(stage.name, target) for stage in judging for target in stage.targets]
        return [(stage, t) for stage, t in told if t.scope == "call" and (not t.variants or case.variant in t.variants)]

    def _workloads(self, problem: str, stage: str) -> list[str]:
        return self._project.judged_workloads(problem, stage)

    def _meets(self, side: MeasuredRun, result: CaseResult, target: Target) -> bool | None:
        """Whether all samples of a side meet a target, or all miss it; None where that is open or excused."""
        summary = side.summaries.get((result.case, target.metric.name))
        bound = self._bound(side, result, target)
        if summary is None or bound is None:
            return None
        holds = holding(summary, bound)
        if not holds or (any(holds) and not all(holds)):
            return None
        return True if all(holds) else None if self._is_excused(side, result.case, target) else False

    def _bound(self, side: MeasuredRun, result: CaseResult, target: Target) -> Bound | None:
        if target.bound is None:
            accepted = accepted_of(self._project, side.run, result, target.metric) if target.insist else None
            return None if accepted is None or isinstance(accepted, Reason) else around(accepted, target)
        comparison, value = target.bound
        if target.of is None:
            return Bound(comparison=comparison, value=value)
        roof = self._roof(result.case)
        of_roof = side.summaries.get((roof, target.metric.name)) if roof is not None else None
        return Bound(comparison=comparison, value=value * of_roof.median) if of_roof and of_roof.median else None

    def _roof(self, case: Case) -> Case | None:
        """The roof that a case is judged by in the run after, if that was judged."""
        roofs = self._run.roofs.get((case.problem, case.workload)) if isinstance(self._run, JudgedRun) else None
        deciding = roofs.deciding if roofs is not None else None
        return deciding.case if isinstance(deciding, Roof) else None

    def _is_excused(self, side: MeasuredRun, case: Case, target: Target) -> bool:
        if target.unless is None:
            return False
        summary = side.summaries.get((case, target.unless.metric.name))
        return summary is not None and excuse_of(target.unless, summary) is not None

    def _is_waived(self, case: Case, stage: str, target: Target) -> bool:
        today = datetime.now(UTC).date()
        mine = (case.variant, stage, target.metric.name)
        return any(
            (waiver.variant, waiver.stage, waiver.metric) == mine
            and (not waiver.workloads or case.workload in waiver.workloads)
            and today <= waiver.until
            for waiver in self._project.problems[case.problem].waivers
        )


def _crossing(before: bool | None, after: bool | None) -> Crossing | None:
    if before is None or after is None or before == after:
        return None
    return "better" if after else "worse"
