"""A bench: child processes until every contender of every row has an outcome, written down as it goes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from stallgate import __version__
from stallgate.errors import BadArgument, NotMeasured
from stallgate.measure.device import Device
from stallgate.measure.lock import gpu_lock, leash
from stallgate.measure.process import Ended, Event, watch
from stallgate.measure.profile import LEASH, RUN_LIMIT_S, child_plan
from stallgate.model import Case, FrozenStruct, Workload
from stallgate.project.commit import commit_of
from stallgate.project.digests import package_digest, subject_digests, text_digest
from stallgate.project.layout import gradient_file, peer_file, peer_files
from stallgate.project.load import Project
from stallgate.runs.bench import BENCH_FORMAT, Bench, BenchEnvironment, BenchOutcome, Entry, Gradient, Row, save_bench
from stallgate.runs.folder import now, write_whole

CHILD = Path(__file__).resolve().parents[1] / "child" / "bench" / "__main__.py"

ROW_BUDGET_S = 4.0
"""Seconds of timed calls that a row may take; whoever is slow has fewer rounds."""

COPY = Entry(name="copy", role="copy")


class BenchOptions(FrozenStruct, frozen=True):
    """How to measure."""

    python: str
    """The interpreter that has torch and triton."""
    rounds: int
    timeout_s: float
    """Seconds that a step of the child may take before its contender is given up."""
    gradient: Gradient | None = None
    zeros: int = 0


class BenchWatcher(Protocol):
    """Whoever wants to know how far a bench is."""

    def begun(self, contenders: int) -> None: ...
    def waiting(self) -> None: ...
    def at_work(self, case: str, step: str) -> None: ...
    def finished(self, row: str, entry: Entry) -> None: ...


# --- the plan ---------------------------------------------------------------------------------------------------------


def new_bench(project: Project, cases: list[Case], options: BenchOptions, arguments: list[str]) -> Bench:
    """A bench as it is planned: a row for each workload, with the copy, its cases and the problem's peers.

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
        row_budget_s=ROW_BUDGET_S,
        timeout_s=options.timeout_s,
        clock_control="none",
        digests={name: _digests(project, name) for name in problems},
        rows=[
            _row(project, options, [c for c in cases if (c.problem, c.workload) == (problem, workload)])
            for problem, workload in dict.fromkeys((case.problem, case.workload) for case in cases)
        ],
    )


def _demand_gradient(project: Project, problem: str) -> None:
    if not gradient_file(project.root, problem).is_file():
        raise BadArgument(
            f"{problem} has no gradient to compare with: there is no kernels/{problem}/gradient.py",
            "docs/bench.md says what is in it; or leave out --gradient",
        )


def _demand_differentiable(workload: Workload) -> None:
    dtype = str(workload.arguments.get("dtype", ""))
    if dtype.startswith(("int", "uint", "bool")):
        raise BadArgument(
            f"workload {workload.name} is of {dtype}, which has no gradient",
            "name workloads of floating-point numbers with -w, or leave out --gradient",
        )


def _row(project: Project, options: BenchOptions, cases: list[Case]) -> Row:
    """The row of cases that share a problem and a workload. A roof has no gradient."""
    problem, workload = cases[0].problem, cases[0].workload
    variants = project.problems[problem].variants
    entries = [Entry(name=c.variant, configuration=c.configuration, role=variants[c.variant].role) for c in cases]
    if options.gradient is not None:
        entries = [entry for entry in entries if entry.role != "roof"]
    peers = [Entry(name=path.stem, role="peer") for path in peer_files(project.root, problem)]
    return Row(
        problem=problem,
        workload=project.problems[problem].workloads[workload],
        entries=[COPY, *entries, *peers],
        gradient=options.gradient,
        zeros=options.zeros,
    )


def _digests(project: Project, problem: str) -> dict[str, str]:
    """Everything that times depend on: what the counters depend on, the peers, and the timing child."""
    digests = subject_digests(project.problems[problem])
    digests["the timing child"] = package_digest(CHILD.parent)
    if gradient_file(project.root, problem).is_file():
        digests["the gradient"] = text_digest(gradient_file(project.root, problem))
    return digests | {f"peer {path.stem}": text_digest(path) for path in peer_files(project.root, problem)}


def bench_plan(project: Project, bench: Bench, rows: list[Row], events: Path, leash: Path) -> bytes:
    """What the child is told, as JSON: the contenders of each row that have no outcome yet."""
    cases = [_case(row, entry) for row in rows for entry in row.entries if entry.role not in ("peer", "copy")]
    plan: dict[str, Any] = msgspec.json.decode(child_plan(project, cases, [], events, "cuda", leash))
    told = {case["name"]: case for case in plan.pop("cases")}
    plan["rounds"] = bench.rounds
    plan["row_budget_s"] = bench.row_budget_s
    plan["run_limit_s"] = RUN_LIMIT_S
    plan["rows"] = [
        {
            "name": row.name,
            "problem": row.problem,
            "arguments": row.workload.arguments,
            "bytes": row.bytes,
            "gradient": _gradient(project, row),
            "contenders": [
                _contender(project, row, entry, told) for entry in row.entries if entry.outcome == "planned"
            ],
        }
        for row in rows
    ]
    return msgspec.json.format(msgspec.json.encode(plan), indent=2)


def _gradient(project: Project, row: Row) -> dict[str, object] | None:
    """What a gradient is timed and compared with; None where the forward pass is timed."""
    if row.gradient is None:
        return None
    path = gradient_file(project.root, row.problem)
    alone = row.gradient == "backward"
    return {"path": str(path), "digest": text_digest(path), "alone": alone, "zeros": row.zeros}


def _contender(project: Project, row: Row, entry: Entry, told: dict[str, Any]) -> dict[str, Any]:
    """A contender as the child loads it: a case as it is told for profiling, a file of the same form, or the copy."""
    case: dict[str, Any] = {"label": entry.label, "role": entry.role}
    if entry.role == "peer":
        path = peer_file(project.root, row.problem, entry.name)
        case |= {"variant": entry.name, "path": str(path), "digest": text_digest(path), "tunables": {}}
        case |= {"arguments": row.workload.arguments}
    elif entry.role != "copy":
        case = told[_case(row, entry).name] | case
    return case


def _case(row: Row, entry: Entry) -> Case:
    return Case(problem=row.problem, variant=entry.name, configuration=entry.configuration, workload=row.workload.name)


# --- the work ---------------------------------------------------------------------------------------------------------


class Bencher:
    """Times the rows of a bench, in as many child processes as it takes."""

    def __init__(
        self, project: Project, bench: Bench, options: BenchOptions, device: Device, watcher: BenchWatcher
    ) -> None:
        self._project = project
        self._bench = bench
        self._options = options
        self._device = device
        self._watcher = watcher
        self._folder = Path()

    def measure(self, folder: Path) -> Bench:
        """Brings every contender to an outcome; what is known stands in ``folder`` at every moment.

        Raises:
            NotMeasured: nothing can be measured here, or the user interrupted.
        """
        self._folder = folder
        self._note(replace(self._bench, name=folder.name))
        self._watcher.begun(sum(len(row.entries) for row in self._bench.rows))
        with (
            gpu_lock(self._device.uuid, self._watcher.waiting),
            tempfile.TemporaryDirectory(prefix="stallgate-bench-") as tmpdir,
            leash(Path(tmpdir) / LEASH),
        ):
            number = 0
            while rows := [row for row in self._bench.rows if any(e.outcome == "planned" for e in row.entries)]:
                number += 1
                self._process(rows, folder / "processes" / str(number), Path(tmpdir) / LEASH)
        self._note(replace(self._bench, complete=True))
        return self._bench

    def _process(self, rows: list[Row], stem: Path, leash: Path) -> None:
        """One child process, and what it says of each contender.

        Raises:
            NotMeasured: it says nothing of any, and the next would not either; or the user interrupted.
        """
        stem.parent.mkdir(exist_ok=True)
        log, events, plan = (stem.with_suffix(suffix) for suffix in (".log", ".events.jsonl", ".plan.json"))
        write_whole(plan, bench_plan(self._project, self._bench, rows, events, leash))
        hearing = _Hearing(self._describe, self._conclude, self._watcher.at_work)
        command = [self._options.python, str(CHILD), str(plan)]
        ended = watch(command, self._environment(), log, events, self._options.timeout_s, hearing.hear)
        if ended.interrupted:
            raise NotMeasured("interrupted", f"what was measured so far is in {self._folder}")
        hearing.conclude(ended, self._options.timeout_s)
        if hearing.unable is not None:
            raise NotMeasured(hearing.unable, "name an interpreter that has a CUDA torch and triton with --python")
        if not hearing.heard:
            cause = f"it ended with status {ended.exit_status}" if not ended.timed_out else "nothing was heard of it"
            raise NotMeasured(f"the timing child brought nothing: {cause}", f"its own words are in {log}")

    def _describe(self, event: Event) -> None:
        facts = {name: event[name] for name in BenchEnvironment.__struct_fields__ if name in event}
        described = BenchEnvironment(**facts, device=self._device.index, driver=self._device.driver)
        self._note(replace(self._bench, environment=described))

    def _conclude(self, row_name: str, label: str, facts: dict[str, Any]) -> None:
        """Writes down what became of a contender."""
        row = next(row for row in self._bench.rows if row.name == row_name)
        new = replace(row.entry(label), **facts)
        entries = [new if entry.label == label else entry for entry in row.entries]
        rows = [replace(row, entries=entries) if old.name == row_name else old for old in self._bench.rows]
        self._note(replace(self._bench, rows=rows))
        self._watcher.finished(row_name, new)

    def _note(self, bench: Bench) -> None:
        self._bench = bench
        save_bench(self._folder, bench)

    def _environment(self) -> dict[str, str]:
        """The child sees one GPU."""
        return {**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": self._device.uuid}


class _Hearing:
    """Takes a child's events; knows who is to blame when it dies."""

    def __init__(
        self,
        describe: Callable[[Event], None],
        conclude: Callable[[str, str, dict[str, Any]], None],
        on_step: Callable[[str, str], None],
    ) -> None:
        self._describe = describe
        self._conclude = conclude
        self._on_step = on_step
        self._at_work: tuple[str, str] | None = None
        self._step = ""
        self.heard = False
        """Whether any contender came to an outcome."""
        self.unable: str | None = None

    def hear(self, event: Event) -> None:
        """Takes an event; an unknown one says nothing."""
        match event["event"]:
            case "environment":
                self._describe(event)
            case "unable":
                self.unable = event["reason"]
            case "step":
                self._at_work, self._step = (event["row"], event["contender"]), event["step"]
                self._on_step(f"{event['row']}/{event['contender']}", self._step)
            case "outcome":
                facts = {name: event[name] for name in OUTCOME_FACTS if name in event}
                self._settle((event["row"], event["contender"]), facts)

    def conclude(self, ended: Ended, timeout_s: float) -> None:
        """Blames whoever was at work when the process ended before its end."""
        if self._at_work is None:
            return
        outcome: BenchOutcome = "timed_out" if ended.timed_out else "crashed"
        how = f"no end within {timeout_s:g} s" if ended.timed_out else f"its process ended with {_status(ended)}"
        self._settle(self._at_work, {"outcome": outcome, "reason": f"{how} in step '{self._step}'"})

    def _settle(self, contender: tuple[str, str], facts: dict[str, Any]) -> None:
        self._conclude(*contender, facts)
        self._at_work = None
        self.heard = True


OUTCOME_FACTS = ("outcome", "reason", "method", "calls", "samples_us", "host_us", "note")


def _status(ended: Ended) -> str:
    status = ended.exit_status
    return f"signal {-status}" if status is not None and status < 0 else f"status {status}"
