"""What a loop did: ``journal.json``, every round with its prompt, answers, reasons and measurements.

Long texts are files beside it. The journal names them by paths relative to its folder, and has their SHA-256, so that a
replay can tell whether they are the ones that were judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from stallgate.errors import BrokenFile, NoRun
from stallgate.model import Comparison, FrozenStruct, Samples, TimeLimit
from stallgate.project.digests import file_digest
from stallgate.project.paths import inside
from stallgate.runs.folder import as_argument, find_holding, pretty, read_versioned, write_whole

JOURNAL_FORMAT = 1
"""Version of ``journal.json``. History: 1, the first."""

JOURNAL_FILE = "journal.json"
"""What makes a folder a loop's."""

START = "start"
"""The name of the version that a loop begins with."""

AnswererOutcome = Literal["answered", "empty", "failed", "timed_out", "too_long"]
"""empty: it printed nothing but space. failed: it ended with another status than 0. too_long: it printed too much."""

TryOutcome = Literal["accepted", "refused", "repeated", "no_answer"]
"""repeated: the same source was judged before. no_answer: the answerer had none."""

ObjectionPart = Literal["form", "stage", "right", "better", "loop"]
"""What an objection is about; ``loop``: the loop itself refused it, before the check."""

StopCode = Literal["roof_reached", "stages_met", "no_gain", "rounds_used", "rehearsed"]
"""Why a loop ended. rehearsed: nothing could be measured, so no answer could become the best."""


class KeptText(FrozenStruct, frozen=True):
    """A text that is a file of the loop's folder."""

    path: str
    """Relative to the loop's folder."""
    sha256: str


class KeptObjection(FrozenStruct, frozen=True):
    """One reason why an answer was not accepted."""

    part: ObjectionPart
    code: str
    text: str
    hint: str = ""
    line: int | None = None
    """Of the answer's own text, counted from 1, where there is one."""


class KeptGain(FrozenStruct, frozen=True):
    """How much less time an answer takes than the version that it replaces, in per cent; below 0 it takes more."""

    percent: float
    low: float
    high: float
    """What the samples allow."""


class AnswererRun(FrozenStruct, frozen=True):
    """One run of the answerer."""

    outcome: AnswererOutcome
    seconds: float
    status: int | None = None
    """Its exit status; None where it was ended from here."""
    answer: KeptText | None = None
    """What it printed, as far as it was read; None where it was nothing."""
    complaint: str = ""
    """The end of what it printed on standard error."""


class LoopTry(FrozenStruct, frozen=True):
    """One answer that was asked for, or its repair."""

    round: int
    number: int
    """Of the answer in its round, from 1."""
    seed: int
    """What the answerer is told to draw its random numbers with."""
    prompt: KeptText
    repair: bool = False
    asked: AnswererRun | None = None
    """None: not asked yet."""
    source: KeptText | None = None
    """The code of the answer; None where none could be told from the text."""
    digest: str = ""
    """SHA-256 of the normalised source."""
    outcome: TryOutcome | None = None
    """None: not judged yet."""
    objections: list[KeptObjection] = []
    repeats: str = ""
    """The try, or the version, that has the same source."""
    gain: KeptGain | None = None
    """Over the version that the round began with; None where it was not timed."""
    meets: bool = False
    """Whether the check found the round's stage met."""
    run: str = ""
    """The folder of the check's measurement, relative to the loop's folder; empty where there is none."""

    @property
    def name(self) -> str:
        """``3.1``, the first answer of round 3; ``3.1 repair``."""
        return f"{self.round}.{self.number}{' repair' if self.repair else ''}"

    @property
    def is_mendable(self) -> bool:
        """Whether a repair can help: the answer was refused for what it is, not for its speed."""
        if self.repair or self.outcome not in ("refused", "repeated"):
            return False
        return any(each.part != "better" for each in self.objections)


class LoopRound(FrozenStruct, frozen=True):
    """A prompt, its answers and what became of them."""

    number: int
    """From 1, over all stages."""
    stage: str
    base: str
    """The version that the prompt shows, and that answers are compared with."""
    tries: list[LoopTry]
    begun: str
    """UTC, ISO 8601."""
    best: str | None = None
    """The try that became the best version; None where no answer was accepted."""
    ended: bool = False


class LoopTarget(FrozenStruct, frozen=True):
    """A target of a stage, and how a version stands to it."""

    stage: str
    metric: str
    workload: str
    status: str
    """Of the verdict: pass, fail, excused, …"""
    value: float | None
    unit: str
    comparison: Comparison | None
    bound: float | None
    sentence: str


class LoopTime(FrozenStruct, frozen=True):
    """The profiled time of a call on a workload, in microseconds."""

    median: float
    low: float
    high: float


class VersionReading(FrozenStruct, frozen=True):
    """What was measured of a version."""

    run: str
    """The run's folder, relative to the loop's."""
    gpu: str
    times: dict[str, LoopTime]
    """Workload -> time."""
    roof_fractions: dict[str, float]
    """Workload -> the roof's time over its own, where the roof is known."""
    targets: list[LoopTarget]
    met: list[str]
    """The stages all of whose targets it meets."""
    at_roof: bool = False
    """Whether nothing is left to gain: on every workload it is as fast as the hardware's roof."""

    @property
    def roof_fraction(self) -> float | None:
        """On the workload that is farthest from its roof."""
        return min(self.roof_fractions.values(), default=None)


class LoopVersion(FrozenStruct, frozen=True):
    """A version that was the best: the start, or an accepted answer."""

    name: str
    """``start``, or the try's."""
    digest: str
    """SHA-256 of the normalised source."""
    source: KeptText
    reading: VersionReading | None = None
    """None: not measured yet, or, of a rehearsal, never."""


class LoopEvidence(FrozenStruct, frozen=True):
    """A judged answer of an earlier journal."""

    journal: str
    """The earlier loop's name."""
    name: str
    stage: str
    digest: str
    outcome: TryOutcome
    change: str
    """What it changed, in a line."""
    objections: list[KeptObjection] = []
    gain: KeptGain | None = None


class LoopStop(FrozenStruct, frozen=True):
    """Why a loop ended."""

    code: StopCode
    sentence: str


class LoopLimits(FrozenStruct, frozen=True):
    """How far a loop goes, and what an answerer may take."""

    rounds: int = 5
    """At most so many rounds a stage."""
    width: int = 1
    """Answers a round."""
    patience: int = 3
    """A stage ends after so many rounds in a row without a gain."""
    answer_timeout_s: float = 600.0
    answer_bytes: int = 1_000_000


class LoopOptions(FrozenStruct, frozen=True):
    """How a loop measures and asks, so that it can be gone on with."""

    workloads: list[str] = []
    """Empty: those that its stages judge."""
    samples: Samples = 5
    """Profiled calls of a case."""
    timeout_s: TimeLimit = 120.0
    """What a step of the child may take."""
    grace_s: TimeLimit = 10.0
    """What ncu may take to write its report after it was told to end."""
    device: int | None = None
    """Index of the GPU; None in a rehearsal."""
    budget: int | None = None
    """Tokens of a prompt; None: any number."""
    gpu: str | None = None
    """The card that the code is to run on; None: the GPU that is measured."""


class Journal(FrozenStruct, frozen=True):
    """The content of ``journal.json``."""

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
    stages: list[str]
    """In the order in which they are gone through."""
    command: list[str]
    """The answerer's."""
    limits: LoopLimits
    seed: int
    digests: dict[str, str]
    """What the results depend on, by name; a loop goes on only if it is the same."""
    versions: list[LoopVersion]
    """The start, and each version that became the best, in order."""
    rounds: list[LoopRound] = []
    evidence: list[LoopEvidence] = []
    rehearsal: bool = False
    """Whether answers are checked without a GPU: none of them can become the best."""
    python: str = ""
    """The interpreter that has torch and triton; '' in loops of an older stallgate."""
    options: LoopOptions | None = None
    """None in loops of an older stallgate."""
    stop: LoopStop | None = None
    """None: it is not over."""
    applied: str = ""
    """The file that the best answer was written to, relative to the project's root."""

    @property
    def best(self) -> LoopVersion:
        return self.versions[-1]

    @property
    def measured_on(self) -> str | None:
        """The GPU model of its readings; None where there is none yet."""
        return next((each.reading.gpu for each in self.versions if each.reading is not None), None)

    def tries(self) -> Iterator[LoopTry]:
        """All tries, in the order in which they were begun."""
        for each in self.rounds:
            yield from each.tries

    def version(self, name: str) -> LoopVersion:
        return next(each for each in self.versions if each.name == name)


# --- its files --------------------------------------------------------------------------------------------------------


def keep_text(folder: Path, path: str, content: bytes) -> KeptText:
    """Writes a text into a loop's folder, whole or not at all."""
    target = inside(folder, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, content)
    return KeptText(path=path, sha256=file_digest(target))


def read_kept(folder: Path, kept: KeptText) -> str:
    """The text of a loop's file; bytes that are not UTF-8 are replaced.

    Raises:
        BrokenFile: it is missing, or not the one that was written.
    """
    path = inside(folder, kept.path)
    if not path.is_file():
        raise BrokenFile(f"{path} is missing", "restore the loop's folder: it is needed whole")
    if file_digest(path) != kept.sha256:
        raise BrokenFile(f"{path} is not what the journal says", "restore the file, or begin a new loop")
    return path.read_text(encoding="utf-8", errors="replace")


def save_journal(folder: Path, journal: Journal) -> None:
    """Writes ``journal.json``, whole or not at all."""
    write_whole(folder / JOURNAL_FILE, pretty(journal))


def load_journal(folder: Path) -> Journal:
    """The journal of a folder, by the name that the folder has now: commands take it by that.

    Raises:
        NoRun: there is no ``journal.json``.
        OtherFormat: an older or a newer stallgate wrote it.
        BrokenFile: it is not what stallgate writes.
    """
    path = folder / JOURNAL_FILE
    if not path.is_file():
        raise NoRun(f"{folder} has no {JOURNAL_FILE}", "name the folder of a loop; `stallgate loop` makes one")
    journal = read_versioned(path, Journal, JOURNAL_FORMAT, again="begin a new loop")
    _check_journal(path, journal)
    return replace(journal, name=folder.resolve().name)


def journal_called(reports: Path, folder: Path) -> Journal:
    """The journal of a folder, by the name that commands take: a path where the folder is not in ``reports/``.

    Raises:
        NoRun, OtherFormat, BrokenFile: as ``load_journal`` does.
    """
    return replace(load_journal(folder), name=as_argument(reports, folder))


def _check_journal(path: Path, journal: Journal) -> None:
    """Refuses a journal that does not hang together: what decides looks versions and tries up by their names.

    Raises:
        BrokenFile: it names a version or a try that it does not have, or has one twice.
    """
    restore = "restore the file, or begin a new loop"
    if not journal.versions or journal.versions[0].name != START:
        raise BrokenFile(f"{path}: versions: the first is not '{START}'", restore)
    names = [each.name for each in journal.tries()]
    versions = [each.name for each in journal.versions]
    for noun, found in (("try", names), ("version", versions)):
        if len(set(found)) < len(found):
            raise BrokenFile(f"{path}: it has the same {noun} twice", restore)
    for each in journal.rounds:
        if each.base not in versions or (each.best is not None and each.best not in versions):
            raise BrokenFile(f"{path}: round {each.number} names a version that is not there", restore)
    if [each.number for each in journal.rounds] != list(range(1, len(journal.rounds) + 1)):
        raise BrokenFile(f"{path}: rounds: their numbers are not 1, 2, 3, …", restore)
    if not all(re.fullmatch(r"[a-z0-9_.-]+", part) for part in (journal.problem, journal.variant)):
        raise BrokenFile(f"{path}: problem, variant: not valid names", restore)


def find_loop(reports: Path, name: str | None) -> Path:
    """The folder of a loop: a path, a name under ``reports/``, or the newest.

    Raises:
        NoRun: there is no loop yet.
        UnknownName: none has the name.
    """
    if name is not None and Path(name).name == JOURNAL_FILE and Path(name).is_file():
        return Path(name).parent
    return find_holding(JOURNAL_FILE, reports, name, "loop", "make one with `stallgate loop PROBLEM/VARIANT`")
