"""A check on a fleet: as many parts as there are GPUs, because each begins with a process that has to load torch."""

from __future__ import annotations

from msgspec.structs import replace

from stallgate.fleet.dispatch import Chunk, Dispatcher
from stallgate.fleet.orders import CheckJob, MeasuredPart
from stallgate.measure.check import Checked, CheckWatcher
from stallgate.measure.messages import Described
from stallgate.measure.profile import role_of
from stallgate.model import Case, CaseResult
from stallgate.project.load import Project


class FleetChecker:
    """Checks cases on the GPUs of one model."""

    def __init__(
        self, project: Project, cases: list[Case], timeout_s: float, model: str, watcher: CheckWatcher
    ) -> None:
        self._results = {case.name: CaseResult(case=case, role=role_of(project, case)) for case in cases}
        self._project = project
        self._timeout_s = timeout_s
        self._model = model
        self._watcher = watcher
        self._environment: Described | None = None
        self._parts = 1

    def check(self, dispatcher: Dispatcher, parts: int) -> Checked:
        """Brings every case to an outcome.

        Args:
            dispatcher: sends the parts.
            parts: how many.

        Raises:
            NotMeasured: a part could not be checked, no worker is left, or the user interrupted.
        """
        self._parts = parts
        self._watcher.begun(len(self._results))
        dispatcher.run(self._project, self, self._watcher.at_work)
        return Checked(list(self._results.values()), self._environment)

    def chunks(self) -> list[Chunk]:
        """The cases in turn, so that each part has some of every variant."""
        names = list(self._results)
        return [Chunk(self._model, names[number :: self._parts]) for number in range(min(self._parts, len(names)))]

    def job(self, chunk: Chunk) -> CheckJob:
        """Some of the cases."""
        return CheckJob([self._results[name].case for name in chunk.names], self._timeout_s)

    def take(self, chunk: Chunk, part: MeasuredPart) -> None:  # noqa: ARG002
        """Takes over the outcomes of a part."""
        if part.checked is None:
            return
        self._environment = self._environment or part.checked.environment
        for result in part.checked.results:
            self._results[result.case.name] = result
            self._watcher.finished(result)

    def give_up(self, model: str, name: str, reason: str) -> None:  # noqa: ARG002
        """Writes down that a case took its workers with it."""
        self._results[name] = replace(self._results[name], outcome="crashed", reason=reason)
        self._watcher.finished(self._results[name])
