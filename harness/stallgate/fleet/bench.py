"""Benches on a fleet, one for each GPU model: a row is a part, because its contenders are timed in turn on one GPU."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from stallgate.fleet.dispatch import Chunk, Dispatcher
from stallgate.fleet.orders import BenchJob, MeasuredPart
from stallgate.measure.bench import BenchOptions, BenchWatcher
from stallgate.measure.sweep_compile import ToCompile
from stallgate.model import Case, FrozenStruct
from stallgate.project.load import Project
from stallgate.project.paths import inside, slug
from stallgate.runs.bench import Bench, BenchRow, Entry, save_bench


class ModelBench(FrozenStruct, frozen=True):
    """The bench of one GPU model, and where it stands."""

    model: str
    folder: Path
    bench: Bench


class FleetBencher:
    """Times the rows of benches on whatever workers there are."""

    def __init__(
        self,
        project: Project,
        dispatcher: Dispatcher,
        benches: list[ModelBench],
        options: BenchOptions,
        watcher: BenchWatcher,
        to_compile: ToCompile | None = None,
    ) -> None:
        """Takes benches that are planned or were interrupted.

        Args:
            project: the project.
            dispatcher: sends parts.
            benches: what is planned.
            options: how to measure.
            watcher: receives progress.
            to_compile: what each worker compiles ahead, of the part that it has; None: nothing.
        """
        self._project = project
        self._dispatcher = dispatcher
        self._benches = {each.model: each for each in benches}
        self._options = options
        self._watcher = watcher
        self._to_compile = to_compile

    def measure(self) -> list[Bench]:
        """Brings every contender to an outcome; what is known stands in the folders at every moment.

        Returns:
            the bench of each model.

        Raises:
            NotMeasured: a part could not be measured, no worker is left, or the user interrupted.
        """
        for each in self._benches.values():
            self._note(each.model, replace(each.bench, name=each.folder.name))
        self._watcher.begun(sum(len(chunk.names) for chunk in self.chunks()))
        try:
            self._dispatcher.run(self._project, self, self._watcher.at_work)
        finally:
            for model, each in self._benches.items():
                if all(entry.outcome != "planned" for row in each.bench.rows for entry in row.entries):
                    self._note(model, replace(each.bench, complete=True))
        return [each.bench for each in self._benches.values()]

    def chunks(self) -> list[Chunk]:
        """The rows."""
        return [
            Chunk(model, [_name(row, entry) for entry in row.entries if entry.outcome == "planned"])
            for model, each in self._benches.items()
            for row in each.bench.rows
        ]

    def job(self, chunk: Chunk) -> BenchJob:
        """A bench of one row, with the contenders that have no outcome."""
        bench = self._benches[chunk.model].bench
        rows = [replace(row, entries=[e for e in row.entries if _name(row, e) in chunk.names]) for row in bench.rows]
        rows = [row for row in rows if row.entries]
        return BenchJob(replace(bench, rows=rows), self._options, self._ahead(rows))

    def _ahead(self, rows: list[BenchRow]) -> list[Case]:
        """What of some rows is compiled ahead."""
        if self._to_compile is None:
            return []
        cases = {Case(row.problem, e.name, e.configuration, row.workload.name) for row in rows for e in row.entries}
        return [case for case in self._to_compile.cases if case in cases]

    def take(self, chunk: Chunk, part: MeasuredPart) -> None:
        """Puts the rows of a part into their bench, and its files into the bench's folder.

        First it tells what was compiled: a contender that does not compile failed for that reason.
        """
        if self._to_compile is not None:
            for case, found in part.compiled:
                self._to_compile.tell(case, found)
        if part.bench is None:
            return
        each = self._benches[chunk.model]
        for path, content in part.files.items():
            own = Path(path)
            target = inside(each.folder, own.parent.name, slug(part.bench.rows[0].name), own.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        timed = {row.name: row for row in part.bench.rows}
        rows = [_with_times(row, timed[row.name]) if row.name in timed else row for row in each.bench.rows]
        environment = each.bench.environment or part.bench.environment
        self._note(chunk.model, replace(each.bench, rows=rows, environment=environment))
        for row in timed.values():
            for entry in row.entries:
                if entry.outcome != "planned":
                    self._watcher.finished(row.name, entry)

    def give_up(self, model: str, name: str, reason: str) -> None:
        """Writes down that a contender took its workers with it."""
        bench = self._benches[model].bench
        rows = [
            replace(row, entries=[_crashed(row, entry, name, reason) for entry in row.entries]) for row in bench.rows
        ]
        self._note(model, replace(bench, rows=rows))
        for row in rows:
            for entry in row.entries:
                if _name(row, entry) == name:
                    self._watcher.finished(row.name, entry)

    def _note(self, model: str, bench: Bench) -> None:
        self._benches[model] = replace(self._benches[model], bench=bench)
        save_bench(self._benches[model].folder, bench)


def _name(row: BenchRow, entry: Entry) -> str:
    """A contender as a step of the timing child names it."""
    return f"{row.name}/{entry.label}"


def _with_times(old: BenchRow, new: BenchRow) -> BenchRow:
    timed = {entry.label: entry for entry in new.entries}
    return replace(new, entries=[timed.get(entry.label, entry) for entry in old.entries])


def _crashed(row: BenchRow, entry: Entry, name: str, reason: str) -> Entry:
    return replace(entry, outcome="crashed", reason=reason) if _name(row, entry) == name else entry
