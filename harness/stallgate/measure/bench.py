"""A bench: child processes until every contender of every row has an outcome, written down as it goes."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from msgspec import to_builtins
from msgspec.structs import replace

from stallgate import __version__
from stallgate.errors import BadArgument, NotMeasured
from stallgate.measure.child_plan import (
    RUN_LIMIT_S,
    as_json,
    child_case,
    child_entry,
    child_workload,
    project_places,
    references,
)
from stallgate.measure.clocks import clock_state
from stallgate.measure.conversation import EventLog
from stallgate.measure.device import Device
from stallgate.measure.lock import gpu_lock
from stallgate.measure.messages import (
    ContenderEnded,
    ContenderStep,
    End,
    Lost,
    RowBegun,
    TimerDescribed,
    Unable,
    Unreadable,
    timer_message,
)
from stallgate.measure.process import Ended, Spawned, in_words, watch
from stallgate.model import Case, FrozenStruct, Workload
from stallgate.project.arithmetic import ridge
from stallgate.project.commit import commit_of
from stallgate.project.digests import package_digest, subject_digests, text_digest
from stallgate.project.entries import file_entry
from stallgate.project.layout import gradient_file, peer_file, peer_files
from stallgate.project.load import Project
from stallgate.runs.bench import BENCH_FORMAT, Bench, BenchEnvironment, BenchRow, Entry, Gradient, save_bench
from stallgate.runs.drawn import Draw
from stallgate.runs.folder import now, write_whole

TIMER_ENTRY = Path(__file__).resolve().parents[1] / "child" / "bench" / "__main__.py"

ROW_BUDGET_S = 4.0
"""Seconds of timed calls that a row may take; whoever is slow has fewer rounds."""

DRAWN_ROW_BUDGET_S = 1.0
"""The same for a drawn workload: there are many, and what counts is how they are distributed."""

COPY = Entry(name="copy", role="copy")


class EarlyStopping(FrozenStruct, frozen=True):
    """When contenders are stopped as too slow to be the best; roofs, copies and defaults never are."""

    rungs: list[tuple[int, float]]
    """After so many rounds: those whose fastest sample is above so many times the best median."""
    seconds: float | None = None
    """After so many seconds of rounds all end, with at least the least number of rounds; None: no limit."""


class CompileNotes(FrozenStruct, frozen=True):
    """What compilers do while contenders are timed."""

    notes: str
    """The path of the file in which they note the names of cases that are done."""
    names: list[str]
    """The cases that they compile."""


class BenchOptions(FrozenStruct, frozen=True):
    """How to measure."""

    python: str
    """The interpreter that has torch and triton."""
    rounds: int
    timeout_s: float
    """Seconds that a step of the child may take before its contender is given up."""
    grace_s: float = 10.0
    """Seconds that the child may take to exit after it was asked to."""
    gradient: Gradient | None = None
    zeros: int = 0
    draw: Draw | None = None
    """Which of the workloads were drawn."""
    elimination: EarlyStopping | None = None
    """Who is stopped early; None: nobody."""
    in_turn: bool = False
    """Contenders go forwards in one round and backwards in the next, not shuffled."""
    peers: bool = True
    """Whether the problem's peers are timed beside its cases."""
    renewed: bool = False
    """Whether each round has inputs that no call had before, and each call is made twice."""
    host_calls: int | None = None
    """Calls whose time on the host is taken; None: as many as the child thinks fit."""
    clocks: bool = False
    """Whether the GPU's clocks are recorded after each contender's last sample."""
    compiled: CompileNotes | None = None
    """What is compiled ahead, and taken when it is there; None: nothing is."""
    within: list[str] = []
    """What goes before the child's command, such as a program that limits what it may use."""


class BenchWatcher(Protocol):
    """Receives progress."""

    def begun(self, contenders: int) -> None: ...
    def waiting(self) -> None: ...
    def at_work(self, case: str, step: str) -> None: ...
    def finished(self, row: str, entry: Entry) -> None: ...


# --- the plan ---------------------------------------------------------------------------------------------------------


def new_bench(project: Project, cases: list[Case], options: BenchOptions, arguments: list[str]) -> Bench:
    """A bench as it is planned: a row for each workload, with the copy, its cases and, if asked for, peers.

    Raises:
        BadArgument: a gradient is wanted of a problem that does not say what is right, or of integers.
    """
    commit, dirty = commit_of(project.root)
    problems = dict.fromkeys(case.problem for case in cases)
    if options.gradient is not None:
        for name in problems:
            _demand_gradient(project, name)
        for problem, workload in dict.fromkeys((case.problem, case.workload) for case in cases):
            _demand_differentiable(project.problems[problem].workloads[workload])
    return Bench(
        format=BENCH_FORMAT,
        name="",
        created=now(),
        stallgate=__version__,
        commit=commit,
        dirty=dirty,
        arguments=arguments,
        rounds=options.rounds,
        row_budget_s=ROW_BUDGET_S if options.draw is None else DRAWN_ROW_BUDGET_S,
        timeout_s=options.timeout_s,
        clock_control="none",
        digests={name: _digests(project, name) for name in problems},
        rows=[
            _row(project, options, [c for c in cases if (c.problem, c.workload) == (problem, workload)])
            for problem, workload in dict.fromkeys((case.problem, case.workload) for case in cases)
        ],
        drawn=options.draw,
    )


def _demand_gradient(project: Project, problem: str) -> None:
    if not gradient_file(project.root, problem).is_file():
        raise BadArgument(
            f"{problem} has no gradient to compare with: there is no kernels/{problem}/gradient.py",
            "`stallgate docs bench` says what is in it; or leave out --gradient",
        )


def _demand_differentiable(workload: Workload) -> None:
    dtype = str(workload.arguments.get("dtype", ""))
    if dtype.startswith(("int", "uint", "bool")):
        raise BadArgument(
            f"workload {workload.name} is of {dtype}, which has no gradient",
            "name workloads of floating-point numbers with -w, or leave out --gradient",
        )


def _row(project: Project, options: BenchOptions, cases: list[Case]) -> BenchRow:
    """The row of cases that share a problem and a workload. A roof has no gradient."""
    problem, workload = cases[0].problem, cases[0].workload
    variants = project.problems[problem].variants
    entries = [
        Entry(
            name=case.variant,
            configuration=case.configuration,
            role=variants[case.variant].role,
            ceiling=variants[case.variant].ceiling,
        )
        for case in cases
    ]
    if options.gradient is not None:
        entries = [entry for entry in entries if entry.role != "roof"]
    files = peer_files(project.root, problem) if options.peers else []
    peers = [Entry(name=path.stem, role="peer") for path in files]
    return BenchRow(
        problem=problem,
        workload=project.problems[problem].workloads[workload],
        entries=[COPY, *entries, *peers],
        gradient=options.gradient,
        zeros=options.zeros,
    )


def _digests(project: Project, problem: str) -> dict[str, str]:
    """Everything that times depend on: what the counters depend on, the peers, and the timing child."""
    digests = subject_digests(project.problems[problem])
    digests["the timing child"] = package_digest(TIMER_ENTRY.parent)
    if gradient_file(project.root, problem).is_file():
        digests["the gradient"] = text_digest(gradient_file(project.root, problem))
    return digests | {f"peer {path.stem}": text_digest(path) for path in peer_files(project.root, problem)}


def bench_plan(
    project: Project,
    bench: Bench,
    rows: list[BenchRow],
    options: BenchOptions | None = None,
    checked: Collection[tuple[str, str]] = (),
) -> bytes:
    """The child's plan, as JSON: the contenders of each row that have no outcome yet.

    Args:
        project: the project.
        bench: what is planned.
        rows: those that are not finished.
        options: what a sweep asks for beyond a bench.
        checked: row and label of the contenders that earlier processes found right.
    """
    return as_json(
        {
            **(_sweep_keys(options) if options is not None else {}),
            "rounds": bench.rounds,
            "row_budget_s": bench.row_budget_s,
            "run_limit_s": RUN_LIMIT_S,
            **project_places(project),
            "references": references(project),
            "rows": [_planned_row(project, row, checked) for row in rows],
        }
    )


def _sweep_keys(options: BenchOptions) -> dict[str, object]:
    """What a bench leaves out of the plan."""
    found: dict[str, object] = {name: True for name in ("in_turn", "renewed") if getattr(options, name)}
    if options.elimination is not None:
        found["elimination"] = to_builtins(options.elimination)
    if options.host_calls is not None:
        found["host_calls"] = options.host_calls
    if options.compiled is not None:
        found["compiled"] = to_builtins(options.compiled)
    return found


def _planned_row(project: Project, row: BenchRow, checked: Collection[tuple[str, str]]) -> dict[str, object]:
    planned = [entry for entry in row.entries if entry.outcome == "planned"]
    return {
        "name": row.name,
        "problem": row.problem,
        **child_workload(row.workload),
        "bytes": row.bytes or None,
        "gradient": _gradient(project, row),
        "contenders": [
            _contender(project, row, entry) | ({"checked": True} if (row.name, entry.label) in checked else {})
            for entry in planned
        ],
    }


def _gradient(project: Project, row: BenchRow) -> dict[str, object] | None:
    """What a gradient is timed and compared with; None where the forward pass is timed."""
    if row.gradient is None:
        return None
    path = gradient_file(project.root, row.problem)
    alone = row.gradient == "backward"
    entry = child_entry(project, file_entry(project.root, path))
    return {"entry": entry, "alone": alone, "zeros": row.zeros}


def _contender(project: Project, row: BenchRow, entry: Entry) -> dict[str, object]:
    """A contender as the child loads it: a case, a file of the same form, or the copy."""
    contender: dict[str, object] = {"label": entry.label, "role": entry.role}
    match entry.role:
        case "copy":
            return contender
        case "peer":
            path = peer_file(project.root, row.problem, entry.name)
            file = {"entry": child_entry(project, file_entry(project.root, path)), "ceiling": None}
            return {**contender, **file, "variant": entry.name, "tunables": {}, **child_workload(row.workload)}
        case _:
            case = Case(row.problem, entry.name, entry.configuration, row.workload.name)
            return {**child_case(project, case, []), **contender}


# --- the work ---------------------------------------------------------------------------------------------------------


def timer_files(folder: Path, number: int) -> Path:
    """The path of a child's files in a bench's folder, without their suffixes."""
    return folder / "processes" / str(number)


def start_timer(options: BenchOptions, device: Device, stem: Path) -> Spawned:
    """A timing child that imports torch and then waits: it touches no GPU before its plan is there and it may begin.

    Args:
        options: how to measure.
        device: the one GPU that it sees.
        stem: the path of its files.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    command = [*options.within, options.python, str(TIMER_ENTRY), str(stem.with_suffix(".plan.json"))]
    environment = {**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": device.uuid}
    return Spawned(command, environment, stem.with_suffix(".log"), options.grace_s)


class Bencher:
    """Times the rows of a bench, in as many child processes as it takes."""

    def __init__(
        self,
        project: Project,
        bench: Bench,
        options: BenchOptions,
        device: Device,
        watcher: BenchWatcher,
        ready: Spawned | None = None,
    ) -> None:
        """Takes a bench that is planned or was interrupted.

        Args:
            project: the project.
            bench: what is planned.
            options: how to measure.
            device: the GPU.
            watcher: receives progress.
            ready: the first child, of ``start_timer``, if it was started before.
        """
        self._project = project
        self._bench = bench
        self._options = options
        self._device = device
        self._watcher = watcher
        self._ready = ready
        self._folder = Path()
        self._checked: set[tuple[str, str]] = set()
        """Row and label of the contenders that were found right, where contenders are eliminated."""

    def measure(self, folder: Path) -> Bench:
        """Brings every contender to an outcome; what is known stands in ``folder`` at every moment.

        Raises:
            NotMeasured: nothing can be measured here, or the user interrupted.
        """
        self._folder = folder
        self._note(replace(self._bench, name=folder.name))
        self._watcher.begun(sum(len(row.entries) for row in self._bench.rows))
        with gpu_lock(self._device.uuid, self._watcher.waiting):
            number = 0
            while rows := [row for row in self._bench.rows if any(e.outcome == "planned" for e in row.entries)]:
                number += 1
                self._process(rows, timer_files(folder, number))
        self._note(replace(self._bench, complete=True))
        return self._bench

    def _process(self, rows: list[BenchRow], stem: Path) -> None:
        """One child process, and what it says of each contender.

        Raises:
            NotMeasured: it says nothing of any, and the next would not either; or the user interrupted.
        """
        stem.parent.mkdir(exist_ok=True)
        plan = bench_plan(self._project, self._bench, rows, self._options, self._checked)
        write_whole(stem.with_suffix(".plan.json"), plan)
        child, self._ready = self._ready or start_timer(self._options, self._device, stem), None
        child.channel.send({"begin": True})
        contenders = _Contenders(child, EventLog(stem.with_suffix(".events.jsonl")), self)
        ended = watch(child, self._options.timeout_s, contenders.hear)
        if ended.interrupted:
            raise NotMeasured("interrupted", f"what was measured so far is in {self._folder}")
        contenders.conclude(ended, self._options.timeout_s)
        if contenders.unable is not None:
            raise NotMeasured(contenders.unable, "name an interpreter that has a CUDA torch and triton with --python")
        if not contenders.heard:
            how = "it sent nothing" if ended.timed_out else f"it ended with {in_words(ended.exit_status)}"
            raise NotMeasured(
                f"the timing child reported no results: {how}", f"see its output in {stem.with_suffix('.log')}"
            )

    # --- what the child says ---

    def describe(self, message: TimerDescribed) -> None:
        """Writes down where the child runs."""
        facts = to_builtins(message)
        facts.pop("event")
        described = BenchEnvironment(**facts, device=self._device.index, driver=self._device.driver)
        spec = self._project.gpu_spec_of(described.gpu)
        rows = [replace(row, ridge=ridge(spec, row.workload) if spec else None) for row in self._bench.rows]
        self._note(replace(self._bench, environment=described, rows=rows))

    def begin_row(self, name: str, needed_bytes: int | None) -> None:
        """Writes down how many bytes a row's workload needs, where the project does not say."""
        if needed_bytes is None:
            return
        rows = [_with_bytes(row, needed_bytes) if row.name == name else row for row in self._bench.rows]
        self._note(replace(self._bench, rows=rows))

    def at_work(self, contender: ContenderStep) -> None:
        """Shows how far the child is. Of the many contenders of a sweep, none is checked twice for another's crash."""
        if contender.step == "warm-up" and self._options.elimination is not None:
            self._checked.add((contender.row, contender.contender))
        self._watcher.at_work(f"{contender.row}/{contender.contender}", contender.step)

    def conclude(self, row_name: str, label: str, found: Entry) -> None:
        """Writes down what became of a contender; one that is not planned, or not any more, is passed over."""
        row = next((row for row in self._bench.rows if row.name == row_name), None)
        old = next((entry for entry in row.entries if entry.label == label), None) if row is not None else None
        if row is None or old is None or old.outcome != "planned":
            return
        new = replace(found, name=old.name, role=old.role, configuration=old.configuration, ceiling=old.ceiling)
        if self._options.clocks and new.samples_us:
            new = replace(new, clock=clock_state(self._device))
        entries = [new if entry.label == label else entry for entry in row.entries]
        rows = [replace(row, entries=entries) if each.name == row_name else each for each in self._bench.rows]
        self._note(replace(self._bench, rows=rows))
        self._watcher.finished(row_name, new)

    def _note(self, bench: Bench) -> None:
        self._bench = bench
        save_bench(self._folder, bench)


def _with_bytes(row: BenchRow, needed_bytes: int) -> BenchRow:
    if row.workload.bytes is not None:
        return row
    return replace(row, workload=replace(row.workload, bytes=needed_bytes))


class _Contenders:
    """Takes the child's lines; knows which contender is to blame when it dies."""

    def __init__(self, child: Spawned, log: EventLog, bencher: Bencher) -> None:
        self._child = child
        self._log = log
        self._bencher = bencher
        self._at_work: ContenderStep | None = None
        self.heard = False
        """Whether any contender has an outcome."""
        self.unable: str | None = None

    def hear(self, line: bytes) -> bool:
        """Takes a line; whether it was a message."""
        try:
            message = timer_message(line)
        except Unreadable:
            self._log.note(self._child.seconds, line, is_message=False)
            return False
        self._log.note(self._child.seconds, line, is_message=True)
        match message:
            case TimerDescribed():
                self._bencher.describe(message)
            case Unable():
                self.unable = message.reason
            case ContenderStep():
                self._at_work = message
                self._bencher.at_work(message)
            case ContenderEnded():
                self._settle(message.row, message.contender, _entry_of(message))
            case RowBegun():
                self._bencher.begin_row(message.name, message.needed_bytes)
            case Lost() | End():
                pass
        return True

    def conclude(self, ended: Ended, timeout_s: float) -> None:
        """Gives the contender that was current when the process ended its outcome."""
        self._log.close()
        at_work = self._at_work
        if at_work is None:
            return
        how = (
            f"it did not finish within {timeout_s:g} s"
            if ended.timed_out
            else f"its process ended with {in_words(ended.exit_status)}"
        )
        found = Entry(
            name="",
            role="peer",
            outcome="timed_out" if ended.timed_out else "crashed",
            reason=f"{how} in step '{at_work.step}'",
        )
        self._settle(at_work.row, at_work.contender, found)

    def _settle(self, row: str, contender: str, found: Entry) -> None:
        self._bencher.conclude(row, contender, found)
        self._at_work = None
        self.heard = True


def _entry_of(message: ContenderEnded) -> Entry:
    """The outcome of a contender; its name is in the plan."""
    facts = {name: getattr(message, name) for name in OUTCOME_FACTS}
    return Entry(name="", role="peer", **facts)


OUTCOME_FACTS = ("outcome", "reason", "method", "calls", "samples_us", "repeated_us", "host_us", "note")
