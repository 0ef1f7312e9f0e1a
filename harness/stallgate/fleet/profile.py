"""Live runs on a fleet, one for each GPU model: parts of their plans as tasks, gathered as they come."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from stallgate.errors import NotMeasured
from stallgate.fleet.engine import Engine, Landed
from stallgate.fleet.gather import gathered, parts_of
from stallgate.fleet.losses import Losses
from stallgate.fleet.orders import Order, Part, ProfileJob, part_of
from stallgate.fleet.sources import Sources
from stallgate.fleet.task import measure_part
from stallgate.measure.profile import Watcher, copy_sources
from stallgate.model import Case, FrozenStruct, Run
from stallgate.project.digests import child_digest
from stallgate.project.load import Project
from stallgate.runs.folder import save


class ModelRun(FrozenStruct, frozen=True):
    """The run of one GPU model, and where it stands."""

    model: str
    folder: Path
    run: Run


class FleetProfiler:
    """Measures the cases of runs on whatever workers there are."""

    def __init__(
        self, project: Project, engine: Engine, sources: Sources, runs: list[ModelRun], watcher: Watcher
    ) -> None:
        self._project = project
        self._engine = engine
        self._sources = sources
        self._runs = {each.model: each for each in runs}
        self._watcher = watcher
        self._losses = {model: Losses() for model in self._runs}
        self._refused: list[NotMeasured] = []
        self._orders = 0

    def measure(self) -> None:
        """Brings every case of each run to an outcome; what is known stands in their folders at every moment.

        Raises:
            NotMeasured: a part could not be measured, no worker is left, or the user interrupted.
        """
        for each in self._runs.values():
            self._note(each.model, replace(each.run, name=each.folder.name))
            copy_sources(self._project, list(each.run.subjects), each.folder)
        planned = {model: _planned(each.run) for model, each in self._runs.items()}
        self._watcher.begun(sum(map(len, planned.values())))
        with self._engine.sending(self._sources):
            try:
                for model, cases in planned.items():
                    for part in parts_of(cases):
                        self._submit(model, part)
                for landed in self._engine.landing(self._watcher.at_work):
                    self._take(landed)
            except KeyboardInterrupt:
                hint = "what was measured so far stands in its folder; `stallgate profile --resume` measures the rest"
                raise NotMeasured("interrupted", hint) from None
            finally:
                self._engine.cancel()
        self._conclude()

    def _conclude(self) -> None:
        """Completes the runs of which every case has an outcome.

        Raises:
            NotMeasured: a part could not be measured.
        """
        for model, each in self._runs.items():
            if not _planned(each.run):
                self._note(model, replace(each.run, complete=True))
        if self._refused:
            raise self._refused[0]

    def _submit(self, model: str, cases: list[Case]) -> None:
        self._orders += 1
        run = self._runs[model].run
        results = [result for result in run.cases if result.case in cases]
        job = ProfileJob(replace(run, cases=results, attempts=[], complete=False))
        order = Order(
            name=f"part-{self._orders}",
            model=model,
            sources=self._sources.digest,
            problems={name: self._project.problems[name] for name in dict.fromkeys(case.problem for case in cases)},
            python=run.options.python if run.options is not None else "",
            child=child_digest(),
            topic=self._engine.topic,
            job=job,
        )
        self._engine.submit(order, measure_part)

    def _take(self, landed: Landed) -> None:
        """Takes over what became of a task; what is left of it is submitted again."""
        model = landed.order.model
        if landed.error:
            self._refused.append(NotMeasured(f"a task failed: {landed.error}", "see the worker's log"))
        elif landed.content:
            self._gather(model, part_of(landed.content))
        else:
            assert isinstance(landed.order.job, ProfileJob)
            cases = [result.case for result in landed.order.job.run.cases]
            given_up = self._losses[model].blame(cases, landed.lost)
            for case, reason in given_up.items():
                self._crash(model, case, reason)
            if left := [case for case in cases if case not in given_up]:
                self._submit(model, left)

    def _gather(self, model: str, part: Part) -> None:
        each = self._runs[model]
        if part.run is not None:
            self._note(model, gathered(each.run, each.folder, part))
            for result in part.run.cases:
                if result.outcome != "planned":
                    self._watcher.finished(result)
        if part.refusal is not None:
            self._refused.append(NotMeasured(f"{part.place}: {part.refusal.message}", part.refusal.hint))

    def _crash(self, model: str, case: Case, reason: str) -> None:
        run = self._runs[model].run
        results = [replace(r, outcome="crashed", reason=reason) if r.case == case else r for r in run.cases]
        self._note(model, replace(run, cases=results))
        self._watcher.finished(next(result for result in results if result.case == case))

    def _note(self, model: str, run: Run) -> None:
        self._runs[model] = replace(self._runs[model], run=run)
        save(self._runs[model].folder, run)


def _planned(run: Run) -> list[Case]:
    return [result.case for result in run.cases if result.outcome == "planned"]
