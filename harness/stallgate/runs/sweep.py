"""What ``stallgate sweep`` measured: ``sweep.json``, a trial for each configuration and workload."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Literal

from msgspec.structs import replace

from stallgate.errors import NoRun
from stallgate.model import CeilingKind, FrozenStruct, TimeLimit
from stallgate.runs.bench import BenchEnvironment, BenchOutcome, ContenderRole
from stallgate.runs.clocks import ClockState
from stallgate.runs.folder import SWEEP_FILE, as_argument, find_holding, pretty, read_versioned, write_whole

SWEEP_FORMAT = 1
"""Version of ``sweep.json``. History: 1, the first."""


TunableValue = int | float | str | bool

TrialState = Literal[
    "planned",
    "pruned",
    "does_not_compile",
    "too_much_shared_memory",
    "wrong_result",
    "crashed",
    "timed_out",
    "stopped",
    "timed",
    "profiled",
]
"""planned: not reached. pruned: a constraint excludes it, before anything ran. stopped: too slow after a few rounds to
be the best. timed: all rounds. profiled: timed, and its counters were collected."""

Effort = Literal["quick", "full"]

Profiled = Literal["front", "all"]
"""Whose counters are collected: of the trials near the best time, or of all."""


class SweepSpace(FrozenStruct, frozen=True):
    """The configurations that a sweep chooses from."""

    tunables: dict[str, list[TunableValue]]
    """Tunable -> the values that were tried."""
    constraints: list[str] = []
    """As they are written."""
    source: Literal["problem.toml", "stage", "decorator"] = "problem.toml"
    """Where the space is declared: in the problem's file, in the stage's `autotune`, in `@triton.autotune`."""
    size: int = 0
    """The number of configurations, the pruned ones included."""


class CounterReading(FrozenStruct, frozen=True):
    """A metric of one trial, over its profiled samples."""

    median: float
    least: float
    most: float
    samples: int


class Trial(FrozenStruct, frozen=True):
    """One configuration on one workload."""

    configuration: str
    """``default``, or the name of its case in the run; the tunables identify it."""
    tunables: dict[str, TunableValue]
    """The values of all tunables of the space; of the default those that the code declares, where they are known."""
    workload: str
    state: TrialState = "planned"
    reason: str = ""
    """Why it was not timed or not timed to the end, in a sentence."""
    samples_us: list[float] = []
    """Unprofiled times of a call in microseconds, one a round."""
    rounds: int = 0
    """Rounds in which it was timed."""
    registers: int | None = None
    """Registers a thread of the heaviest kernel that was compiled for it; None: not known."""
    spills: int | None = None
    """Registers that do not fit and are kept in local memory."""
    shared_bytes: int | None = None
    """Shared memory a block."""
    compile_s: float | None = None
    """Seconds that its kernels took to compile."""
    counters: dict[str, CounterReading] = {}
    """Short name of a metric -> its readings; only of profiled trials."""
    device: int | None = None
    """Index of the GPU that timed it; None: not timed."""

    @property
    def median_us(self) -> float | None:
        return median(self.samples_us) if self.samples_us else None


class Yardstick(FrozenStruct, frozen=True):
    """What the trials of a workload are held against: the copy, a roof, a library."""

    name: str
    role: ContenderRole
    workload: str
    ceiling: CeilingKind | None = None
    outcome: BenchOutcome = "planned"
    reason: str = ""
    samples_us: list[float] = []
    device: int | None = None
    counters: dict[str, CounterReading] = {}
    """Of a roof: the metrics of which a target asks for a fraction."""

    @property
    def median_us(self) -> float | None:
        return median(self.samples_us) if self.samples_us else None


class Final(FrozenStruct, frozen=True):
    """One of the best configurations, timed again in turn with the others: forwards, then backwards (ABBA)."""

    configuration: str
    workload: str
    samples_us: list[float] = []
    clock: ClockState | None = None
    """After its last sample."""

    @property
    def median_us(self) -> float | None:
        return median(self.samples_us) if self.samples_us else None


class SweepOptions(FrozenStruct, frozen=True):
    """How a sweep measures, so that it can be gone on with."""

    counters: Profiled = "front"
    against: str = ""
    """The metric that is weighed against time; '': the stage's stall."""
    timeout_s: TimeLimit = 120.0
    """What a step of a child may take."""
    grace_s: TimeLimit = 10.0
    """What ncu may take to write its report after it was told to end."""
    devices: list[int] = []
    """Indices of the GPUs that it was gone on with last."""


class Sweep(FrozenStruct, frozen=True):
    """The content of ``sweep.json``."""

    format: int
    name: str
    created: str
    """UTC, ISO 8601."""
    stallgate: str
    commit: str | None
    dirty: bool
    arguments: list[str]
    problem: str
    variant: str
    stage: str | None
    """The stage whose judged counters are collected; None: the problem has none."""
    effort: Effort
    seed: int
    seconds: float | None
    """The time frame; None: none was given."""
    digests: dict[str, str]
    """SHA-256 of what was measured, by name; a sweep is resumed only if they are the same."""
    space: SweepSpace
    trials: list[Trial]
    default: dict[str, TunableValue] = {}
    """The tunables of the default configuration, as far as the code says."""
    finals: list[Final] = []
    yardsticks: list[Yardstick] = []
    environment: BenchEnvironment | None = None
    clocks_before: list[ClockState] = []
    """One for each GPU, and again after each interruption."""
    clocks_after: list[ClockState] = []
    devices: list[int] = []
    """Indices of the GPUs that the trials were split over."""
    gpu: str = ""
    """Their model, known before anything is measured; '' in sweeps of an older stallgate."""
    python: str | None = None
    """The interpreter that has torch and triton; '': each fleet worker's own. None in sweeps of an older stallgate."""
    options: SweepOptions | None = None
    """None in sweeps of an older stallgate."""
    enumerated: bool = True
    """False: the space is larger than a sweep tries whole, and its configurations were suggested by Optuna."""
    notes: list[str] = []
    """Remarks that a reader of the result needs."""
    complete: bool = False

    @property
    def against(self) -> str:
        """The metric that it was begun to weigh against time; '': the stage's stall."""
        return self.options.against if self.options is not None else ""

    @property
    def model(self) -> str | None:
        """The GPU model that its numbers are from, or will be; None where it is not known."""
        return self.gpu or (self.environment.gpu if self.environment is not None else None)

    def trial(self, configuration: str, workload: str) -> Trial:
        return next(t for t in self.trials if (t.configuration, t.workload) == (configuration, workload))


def save_sweep(folder: Path, sweep: Sweep) -> None:
    """Writes ``sweep.json``, whole or not at all."""
    write_whole(folder / SWEEP_FILE, pretty(sweep))


def load_sweep(folder: Path) -> Sweep:
    """The sweep of a folder, by the name that the folder has now: commands take it by that.

    Raises:
        NoRun: there is no ``sweep.json``.
        OtherFormat: an older or a newer stallgate wrote it.
        BrokenFile: it is not what stallgate writes.
    """
    path = folder / SWEEP_FILE
    if not path.is_file():
        raise NoRun(f"{folder} has no {SWEEP_FILE}", "name the folder of a sweep; `stallgate sweep` makes one")
    found = read_versioned(path, Sweep, SWEEP_FORMAT, again="sweep again")
    return replace(found, name=folder.resolve().name)


def sweep_called(reports: Path, folder: Path) -> Sweep:
    """The sweep of a folder, by the name that commands take: a path where the folder is not in ``reports/``.

    Raises:
        NoRun, OtherFormat, BrokenFile: as ``load_sweep`` does.
    """
    return replace(load_sweep(folder), name=as_argument(reports, folder))


def find_sweep(reports: Path, name: str | None) -> Path:
    """The folder of a sweep: a path, a name under ``reports/``, or the newest.

    Raises:
        NoRun: there is no sweep yet.
        UnknownName: none has the name.
    """
    return find_holding(SWEEP_FILE, reports, name, "sweep", "make one with `stallgate sweep PROBLEM/VARIANT`")
