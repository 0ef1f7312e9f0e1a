"""A check on a fleet: as many parts as there are GPUs, because each begins with a process that has to load torch."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from stallgate.fleet.dispatch import Chunk, Dispatcher
from stallgate.fleet.orders import CheckJob, MeasuredPart
from stallgate.measure.check import Checked, CheckWatcher
from stallgate.measure.messages import Described
from stallgate.measure.profile import role_of
from stallgate.model import Case, CaseResult
from stallgate.project.load import Project


class FleetChecker:
    """Checks the same cases on the GPUs of one model or more."""

    def __init__(
        self, project: Project, cases: list[Case], timeout_s: float, gpus: Mapping[str, int], watcher: CheckWatcher
    ) -> None:
        """Plans every case on each model.

        Args:
            project: with the workloads as they are planned.
            cases: what is checked.
            timeout_s: of a step.
            gpus: GPU model -> how many there are, which is the number of its parts.
            watcher: receives progress.
        """
        planned = {case.name: CaseResult(case=case, role=role_of(project, case)) for case in cases}
        self._results = {model: dict(planned) for model in gpus}
        self._environments: dict[str, Described | None] = dict.fromkeys(gpus)
        self._project = project
        self._timeout_s = timeout_s
        self._gpus = gpus
        self._watcher = watcher

    def check(self, dispatcher: Dispatcher) -> dict[str, Checked]:
        """Brings every case to an outcome.

        Returns:
            GPU model -> what became of the cases on it.

        Raises:
            NotMeasured: a part could not be checked, no worker is left, or the user interrupted.
        """
        self._watcher.begun(sum(map(len, self._results.values())))
        dispatcher.run(self._project, self, self._watcher.at_work)
        return {
            model: Checked(list(results.values()), self._environments[model])
            for model, results in self._results.items()
        }

    def chunks(self) -> list[Chunk]:
        """The cases of each model in turn, so that each part has some of every variant."""
        return [
            Chunk(model, list(self._results[model])[number::parts])
            for model, parts in self._gpus.items()
            for number in range(min(parts, len(self._results[model])))
        ]

    def job(self, chunk: Chunk) -> CheckJob:
        """Some of the cases."""
        return CheckJob([self._results[chunk.model][name].case for name in chunk.names], self._timeout_s)

    def take(self, chunk: Chunk, part: MeasuredPart) -> None:
        """Takes over the outcomes of a part."""
        if part.checked is None:
            return
        self._environments[chunk.model] = self._environments[chunk.model] or part.checked.environment
        for result in part.checked.results:
            self._results[chunk.model][result.case.name] = result
            self._watcher.finished(result)

    def give_up(self, model: str, name: str, reason: str) -> None:
        """Writes down that a case took its workers with it."""
        given_up = replace(self._results[model][name], outcome="crashed", reason=reason)
        self._results[model][name] = given_up
        self._watcher.finished(given_up)
