"""Runs an answer's process within limits: time, memory, processes, files, network, environment.

The limits are held by ``keeper.py``, a process between stallgate and the measuring child. docs/untrusted-code.md says
what this protects from, and what it does not.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from stallgate.model import FrozenStruct

_GIB = 2**30

KEEPER = Path(__file__).with_name("keeper.py")

_PASSED_ON = (
    r"PATH|PYTHONPATH|PYTHONHASHSEED|VIRTUAL_ENV|CONDA_PREFIX|LD_LIBRARY_PATH|LIBRARY_PATH|LANG|LC_\w+|TZ"
    r"|(CUDA|NVIDIA|NV|NVTX|NSIGHT|TRITON|TORCH|PYTORCH|OMP|OPENBLAS|MKL)_\w+|CUDA_INJECTION64_PATH|CC|CXX"
)
"""Names of variables that a measuring child may need. All others stay here: some are secrets."""

_SECRET = r"(?i)TOKEN|SECRET|PASSWORD|CREDENTIAL|API_?KEY|PRIVATE"


class Limits(FrozenStruct, frozen=True):
    """What an answer's processes may use, all of them together unless it says otherwise."""

    wall_s: float = 600.0
    """Seconds that one answer's check may take."""
    cpu_s: int = 600
    """Seconds of processor time of one process."""
    memory: int = 8 * _GIB
    """Bytes of memory of the host."""
    address_space: int | None = None
    """Bytes of one process; None: no limit. CUDA needs hundreds of GiB."""
    processes: int = 64
    file_bytes: int = 256 * 2**20
    """Bytes of one file, the log among them."""
    folder_bytes: int = 2 * _GIB
    """Bytes of the private temporary folder."""
    open_files: int = 1024


def default_limits(*, on_gpu: bool) -> Limits:
    """The limits of a check on a GPU, or in Triton's interpreter, which needs less."""
    if on_gpu:
        return Limits(memory=32 * _GIB)
    return Limits(wall_s=300.0, cpu_s=300, memory=4 * _GIB, address_space=32 * _GIB)


class KeptProcess(FrozenStruct, frozen=True):
    """What the keeper says of one process."""

    protected: list[str]
    """The namespaces that it had: processes, files, network."""
    exceeded: str
    """The limit that it went over: time, processes, memory; empty: none."""
    asked_to_end: bool
    """Whether stallgate ended it."""
    left: int
    """Processes that ran on after it had ended."""
    processes: int
    """Most at a time."""
    memory: int
    """Most bytes at a time."""


class _Surroundings(FrozenStruct, frozen=True):
    """What a process gets beside its limits."""

    namespaces: bool
    keeps_rights: bool
    """Whether what root may do is left to it."""
    grace_s: float
    """Seconds that the command may take to end after it was asked to."""
    tasks: int
    """Most processes and threads."""
    until: float
    """The moment, by the machine's monotonic clock, at which it is ended."""
    tmpdir: str
    hidden: list[str]
    passed_on: str
    """Names of variables that the command gets, as a regular expression."""
    secret: str
    """Those that it does not get, although their names are among them."""
    environment: dict[str, str]
    """Variables that it gets beside them."""
    report: str


class Isolation:
    """The limits of one answer's processes, and what became of them."""

    def __init__(self, limits: Limits, folder: Path, needed: list[Path], *, namespaces: bool = True) -> None:
        """Prepares it.

        Args:
            limits: what its processes may use.
            folder: takes the files of this; nothing that runs within the limits can write there.
            needed: files and folders that have to stay visible.
            namespaces: whether to use them where the system allows it.
        """
        self._limits = limits
        self._folder = folder
        self._needed = [*needed, folder, KEEPER.parents[1]]
        self._namespaces = namespaces
        self._until = time.monotonic() + limits.wall_s
        (folder / "tmp").mkdir(parents=True, exist_ok=True)

    @property
    def within(self) -> list[str]:
        """The words that go before a command, so that it runs within the limits."""
        return self._words("limits.json", namespaces=self._namespaces, keeps_rights=False, grace_s=0.0)

    def around_ncu(self, grace_s: float) -> list[str]:
        """The same for an ncu command: without namespaces, and with the rights that hardware counters may need.

        Args:
            grace_s: seconds that ncu may take to write its report after it was asked to end.
        """
        return self._words("ncu.json", namespaces=False, keeps_rights=True, grace_s=grace_s)

    def _words(self, file: str, *, namespaces: bool, keeps_rights: bool, grace_s: float) -> list[str]:
        tmpdir = self._folder / "tmp"
        around = _Surroundings(
            namespaces=namespaces,
            keeps_rights=keeps_rights,
            grace_s=grace_s,
            tasks=self._limits.processes + 64 + 16 * (os.cpu_count() or 1),
            until=self._until,
            tmpdir=str(tmpdir),
            hidden=[str(path) for path in hidden_places(self._needed)],
            passed_on=_PASSED_ON,
            secret=_SECRET,
            environment=_private(tmpdir),
            report=str(self._report),
        )
        path = self._folder / file
        path.write_bytes(msgspec.json.encode(msgspec.to_builtins(self._limits) | msgspec.to_builtins(around)))
        return [sys.executable, "-I", "-S", str(KEEPER), str(path)]

    @property
    def _report(self) -> Path:
        return self._folder / "kept.jsonl"

    @property
    def processes(self) -> list[KeptProcess]:
        """What is known of each process that has ended."""
        lines = self._report.read_bytes().splitlines() if self._report.is_file() else []
        return [msgspec.json.decode(line, type=KeptProcess) for line in lines]

    @property
    def notes(self) -> list[str]:
        """What the system did not allow, in sentences."""
        had = [set(each.protected) for each in self.processes]
        missing = {name for protected in had for name in _WITHOUT if name not in protected}
        return [text for name, text in _WITHOUT.items() if name in missing]


_WITHOUT = {
    "network": "no network namespace here: the answer's process could reach the network",
    "files": "no mount namespace here: the answer's process could write files; the project's were compared afterwards",
    "processes": "no PID namespace here: the answer's process could see and end other processes of this user",
}
"""What is said where a namespace cannot be had."""


@contextmanager
def isolation(limits: Limits, needed: list[Path], *, namespaces: bool = True) -> Iterator[Isolation]:
    """Limits for as long as the block runs; their files are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="stallgate-limits-", ignore_cleanup_errors=True) as name:
        yield Isolation(limits, Path(name), needed, namespaces=namespaces)


def _private(tmpdir: Path) -> dict[str, str]:
    """Variables by which programs find a folder that they may write to: a private one, empty at the start."""
    names = ("HOME", "TMPDIR", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "XDG_CACHE_HOME")
    return {**dict.fromkeys(names, str(tmpdir)), "PYTHONDONTWRITEBYTECODE": "1", "MALLOC_ARENA_MAX": "4"}


def interpreter_places(python: str) -> list[Path]:
    """Where an interpreter finds what it runs and imports."""
    path = Path(python)
    prefixes = [path.parent.parent, path.resolve().parent.parent, Path(sys.prefix), Path(sys.base_prefix)]
    listed = [os.environ.get(name, "").split(os.pathsep) for name in ("PYTHONPATH", "LD_LIBRARY_PATH", "CUDA_HOME")]
    return [*prefixes, *(Path(each).absolute() for names in listed for each in names if each)]


def hidden_places(needed: list[Path]) -> list[Path]:
    """Places that an answer's process does not get to see: the user's home, and the sockets of services.

    Where the interpreter is somewhere in the home, it is everything in it that does not hold what is needed.
    """
    home = Path.home()
    homes = [home] if not _holds(home, needed) else sorted(home.iterdir()) if home.is_dir() else []
    return [
        each for each in [*homes, Path("/run")] if not each.is_symlink() and each.exists() and not _holds(each, needed)
    ]


def _holds(place: Path, needed: list[Path]) -> bool:
    return any(path.resolve().is_relative_to(place) or path.is_relative_to(place) for path in needed)
