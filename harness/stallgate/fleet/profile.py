"""Live runs on a fleet, one for each GPU model: parts of their plans, gathered as they come."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from stallgate.fleet.dispatch import Chunk, Dispatcher
from stallgate.fleet.gather import gathered, parts_of
from stallgate.fleet.orders import MeasuredPart, ProfileJob
from stallgate.measure.profile import Watcher, copy_sources
from stallgate.model import Case, CaseResult, FrozenStruct, Run
from stallgate.project.load import Project
from stallgate.runs.folder import save


class ModelRun(FrozenStruct, frozen=True):
    """The run of one GPU model, and where it stands."""

    model: str
    folder: Path
    run: Run


class FleetProfiler:
    """Measures the cases of runs on whatever workers there are."""

    def __init__(self, project: Project, dispatcher: Dispatcher, runs: list[ModelRun], watcher: Watcher) -> None:
        self._project = project
        self._dispatcher = dispatcher
        self._runs = {each.model: each for each in runs}
        self._watcher = watcher

    def measure(self) -> None:
        """Brings every case of each run to an outcome; what is known stands in their folders at every moment.

        Raises:
            NotMeasured: a part could not be measured, no worker is left, or the user interrupted.
        """
        for each in self._runs.values():
            self._note(each.model, replace(each.run, name=each.folder.name))
            copy_sources(self._project, list(each.run.subjects), each.folder)
        self._watcher.begun(sum(len(_planned(each.run)) for each in self._runs.values()))
        try:
            self._dispatcher.run(self._project, self, self._watcher.at_work)
        finally:
            for model, each in self._runs.items():
                if not _planned(each.run):
                    self._note(model, replace(each.run, complete=True))

    def chunks(self) -> list[Chunk]:
        """The parts of every run's plan."""
        return [
            Chunk(model, [case.name for case in part])
            for model, each in self._runs.items()
            for part in parts_of(_planned(each.run))
        ]

    def job(self, chunk: Chunk) -> ProfileJob:
        """A run of some of the cases."""
        run = self._runs[chunk.model].run
        results = [result for result in run.cases if result.case.name in chunk.names]
        return ProfileJob(replace(run, cases=results, attempts=[], complete=False))

    def take(self, chunk: Chunk, part: MeasuredPart) -> None:
        """Puts a part into its run."""
        if part.run is None:
            return
        each = self._runs[chunk.model]
        self._note(chunk.model, gathered(each.run, each.folder, part))
        for result in part.run.cases:
            if result.outcome != "planned":
                self._watcher.finished(result)

    def give_up(self, model: str, name: str, reason: str) -> None:
        """Writes down that a case took its workers with it."""
        run = self._runs[model].run
        results = [_crashed(each, reason) if each.case.name == name else each for each in run.cases]
        self._note(model, replace(run, cases=results))
        self._watcher.finished(next(result for result in results if result.case.name == name))

    def _note(self, model: str, run: Run) -> None:
        self._runs[model] = replace(self._runs[model], run=run)
        save(self._runs[model].folder, run)


def _crashed(result: CaseResult, reason: str) -> CaseResult:
    return replace(result, outcome="crashed", reason=reason)


def _planned(run: Run) -> list[Case]:
    return [result.case for result in run.cases if result.outcome == "planned"]
