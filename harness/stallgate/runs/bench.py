"""What ``stallgate bench`` measured: ``bench.json``, and the statistics of each contender's samples."""

from __future__ import annotations

from pathlib import Path
from statistics import median, quantiles
from typing import Literal

from stallgate.errors import NoRun
from stallgate.model import CeilingKind, FrozenStruct, Role, Workload, display_name
from stallgate.runs.clocks import ClockState
from stallgate.runs.drawn import Draw
from stallgate.runs.folder import find_holding, pretty, read_versioned, write_whole

BENCH_FORMAT = 1
"""Version of ``bench.json``. History: 1, the first."""

BENCH_FILE = "bench.json"

_LONGEST_US = 1e15
"""Most microseconds of a sample: no call takes years."""

ContenderRole = Role | Literal["peer", "copy"]
"""peer: somebody else's implementation. copy: ``Tensor.copy_`` of the bytes that have to move."""

BenchOutcome = Literal["planned", "timed", "stopped", "wrong_result", "crashed", "timed_out", "skipped", "absent"]
"""planned: not reached. stopped: in a sweep, after a few rounds, as too slow to be the best. absent: a peer whose
library is not installed."""

Gradient = Literal["backward", "both"]
"""backward: the gradient of the input, for an existing result. both: the result, then its gradient."""

Method = Literal["events", "graph"]
"""events: single calls between two CUDA events. graph: a CUDA graph of many, divided by their number."""


class Entry(FrozenStruct, frozen=True):
    """One contender on one workload."""

    name: str
    role: ContenderRole
    configuration: str = "default"
    ceiling: CeilingKind | None = None
    """What limits a roof; None for other roles."""
    outcome: BenchOutcome = "planned"
    reason: str = ""
    """Why it was not timed, in a sentence."""
    method: Method | None = None
    calls: int = 1
    """Calls that one sample is the mean of."""
    samples_us: list[float] = []
    """Time of a call in microseconds, one per round."""
    repeated_us: list[float] = []
    """The same of the call made again at once, on the inputs that it just had; recorded where an answer is judged."""
    host_us: list[float] = []
    """Microseconds from a call on the host to its return, without waiting for the GPU."""
    note: str = ""
    """A remark that the reader of its time needs."""
    clock: ClockState | None = None
    """After its last sample; recorded where finalists of a sweep are timed."""

    def __post_init__(self) -> None:
        if not all(0 < time < _LONGEST_US for time in self.samples_us):
            raise ValueError("`samples_us` holds an impossible time")

    @property
    def label(self) -> str:
        return display_name(self.name, self.configuration)

    @property
    def median_us(self) -> float | None:
        return median(self.samples_us) if self.samples_us else None

    @property
    def quartiles_us(self) -> tuple[float, float] | None:
        """Between them lie half of the samples."""
        return quartiles_of(self.samples_us)

    @property
    def host_median_us(self) -> float | None:
        return median(self.host_us) if self.host_us else None

    @property
    def drift(self) -> float | None:
        """How much slower the later half of the samples is than the earlier; None with fewer than six samples."""
        half = len(self.samples_us) // 2
        return median(self.samples_us[-half:]) / median(self.samples_us[:half]) - 1 if half >= 3 else None


def quartiles_of(samples: list[float]) -> tuple[float, float] | None:
    """The lower and the upper quartile of samples; None where there are none."""
    if len(samples) < 2:
        return (samples[0], samples[0]) if samples else None
    low, _, high = quantiles(samples, n=4, method="inclusive")
    return low, high


def _time(entry: Entry) -> float:
    return median(entry.samples_us)


class BenchRow(FrozenStruct, frozen=True):
    """One workload and all its contenders, timed interleaved."""

    problem: str
    workload: Workload
    entries: list[Entry]
    gradient: Gradient | None = None
    """What a call computes if not the forward pass alone."""
    zeros: int = 0
    """Planted in each sequence of the inputs of a gradient."""
    ridge: float | None = None
    """FLOP a byte from which arithmetic limits the workload on this GPU, by its data sheet; None: not known."""

    @property
    def name(self) -> str:
        return f"{self.problem}/{self.workload.name}"

    @property
    def title(self) -> str:
        calls = {None: "", "backward": " · backward alone", "both": " · forward and backward"}
        planted = f" · zeros per sequence: {self.zeros}" if self.zeros else ""
        return f"{self.problem} · {self.workload.name}{calls[self.gradient]}{planted}"

    @property
    def bytes(self) -> int:
        """Bytes that a call has to move. A backward pass reads input, result and cotangent, and writes the gradient."""
        return (self.workload.bytes or 0) * {None: 1, "backward": 2, "both": 3}[self.gradient]

    @property
    def limit(self) -> Literal["copy", "roof"]:
        """What speeds are fractions of: the roof where arithmetic is the limit and a copy says nothing, else the copy.

        Of a gradient the operations are not known, and it has no roof.
        """
        if self.gradient is not None:
            return "copy"
        roofs = [self.roof] if self.roof is not None else [entry for entry in self.entries if entry.role == "roof"]
        if any(roof.ceiling in ("flops", "library") for roof in roofs):
            return "roof"
        dense = self.ridge is not None and self.bytes and self.workload.flops / self.bytes > self.ridge
        return "roof" if dense else "copy"

    def tflops(self, entry: Entry) -> float | None:
        """10^12 operations a second that a contender does, of those that the workload needs."""
        if entry.median_us is None or not self.workload.flops or self.gradient is not None:
            return None
        return self.workload.flops / entry.median_us / 1e6

    def fraction(self, entry: Entry, of: Literal["copy", "roof"]) -> float | None:
        """The copy's or the roof's time divided by a contender's; None if they were timed by different methods."""
        limit = self.roof if of == "roof" else next((e for e in self.entries if e.role == of), None)
        return self.speedup(limit, entry) if limit is not None else None

    @property
    def roof(self) -> Entry | None:
        """The roof that counts, as a gate decides: of each ceiling the fastest, of those the slowest."""
        roofs: dict[str | None, list[Entry]] = {}
        for entry in self.entries:
            if entry.role == "roof":
                roofs.setdefault(entry.ceiling, []).append(entry)
        fastest = [min(timed, key=_time) for kind in roofs.values() if (timed := [e for e in kind if e.samples_us])]
        return max(fastest, key=_time) if fastest and len(fastest) == len(roofs) else None

    def speedup(self, slow: Entry, fast: Entry) -> float | None:
        """How many times as fast one is as the other."""
        if slow.method != fast.method or slow.median_us is None or fast.median_us is None:
            return None
        return slow.median_us / fast.median_us

    def entry(self, label: str) -> Entry:
        return next(entry for entry in self.entries if entry.label == label)


class BenchEnvironment(FrozenStruct, frozen=True):
    """The machine and the software of a bench."""

    gpu: str
    device: int
    """Index of the GPU on its machine."""
    compute_capability: str
    driver: str
    python: str
    torch: str
    triton: str
    cuda: str
    multiprocessors: int
    l2_bytes: int
    flush_us: float
    """Microseconds that one pass over twice the L2 takes."""
    event_us: float
    """Microseconds between two events with nothing in between."""


class Bench(FrozenStruct, frozen=True):
    """The content of ``bench.json``."""

    format: int
    name: str
    created: str
    """UTC, ISO 8601."""
    stallgate: str
    commit: str | None
    dirty: bool
    arguments: list[str]
    rounds: int
    row_budget_s: float
    timeout_s: float
    clock_control: str
    """``none``: clocks are left as they are."""
    digests: dict[str, dict[str, str]]
    """Problem -> SHA-256 of what was timed, by name."""
    rows: list[BenchRow]
    environment: BenchEnvironment | None = None
    complete: bool = False
    drawn: Draw | None = None
    """Which workloads were drawn."""


def status(bench: Bench) -> int:
    """The exit status: 1 where a variant is wrong; 3 where one crashed, hung or was not reached; else 0.

    A peer that is wrong, fails or is absent is reported and does not change the status.
    """
    outcomes = {entry.outcome for row in bench.rows for entry in row.entries if entry.role != "peer"}
    if "wrong_result" in outcomes:
        return 1
    return 0 if outcomes <= {"timed", "skipped"} and bench.complete else 3


def save_bench(folder: Path, bench: Bench) -> None:
    """Writes ``bench.json``."""
    write_whole(folder / BENCH_FILE, pretty(bench))


def load_bench(folder: Path) -> Bench:
    """The bench of a folder.

    Raises:
        NoRun: there is no ``bench.json``.
        OtherFormat: an older or a newer stallgate wrote it.
        BrokenFile: it is not what stallgate writes.
    """
    path = folder / BENCH_FILE
    if not path.is_file():
        raise NoRun(f"{folder} has no {BENCH_FILE}", "name the folder of a bench; `stallgate bench` makes one")
    return read_versioned(path, Bench, BENCH_FORMAT, again="measure again")


def find_bench(reports: Path, name: str | None) -> Path:
    """The folder of a bench: a path, a name under ``reports/``, or the newest.

    Raises:
        NoRun: there is no bench yet.
        UnknownName: none has the name.
    """
    return find_holding(BENCH_FILE, reports, name, "bench", "make one with `stallgate bench` (or `make bench`)")
