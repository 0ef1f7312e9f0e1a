"""Mutated ncu reports: refused inside a run, and never more than one clear error through an import.

``python -m tests.extract.fuzz [COUNT] [FIRST]`` tries COUNT seeds (500 by default) and names each one that does harm;
then it ends with status 1. A seed gives the same report wherever it is tried.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import zstandard
from msgspec.structs import replace

from stallgate.errors import StallgateError
from stallgate.extract.evidence import read_attempt
from stallgate.extract.imported import import_reports
from stallgate.judge.evaluate import evaluate
from stallgate.model import Run
from stallgate.project.load import Project, load_project
from stallgate.runs.folder import load
from stallgate.runs.report_blocks import taken_apart
from tests.conftest import ROOT
from tests.recordings import committed

LAUNCHES = 8
"""Of the recorded ones, those that are mutated: enough for several kernels, and little to read."""

PAGE = 4096
PATIENCE_S = 60.0
REFUSAL = "is not the one that was written (its SHA-256 differs)"


class Fuzz:
    """A recording whose ncu report is mutated, and a folder to try it in."""

    def __init__(self, recording: Path, folder: Path) -> None:
        self._folder = shutil.copytree(recording, folder / "run")
        self._run: Run = load(self._folder)
        self._project: Project = load_project(ROOT)
        self._reports = folder / "reports"
        (packed,) = [path for path in recording.glob("ncu/*") if path.stem == self._run.attempts[0].name]
        whole = zstandard.ZstdDecompressor().decompressobj().decompress(packed.read_bytes())
        self._report = beginning(whole, LAUNCHES)

    def trial(self, seed: int) -> str:
        """Mutates the report and has it read both ways; what became of the import, in a word or two.

        Raises:
            AssertionError: it was not refused inside a run, or an import took too long.
            Exception: an import ended in something else than a refusal.
        """
        mutated = mutate(self._report, seed)
        assert mutated != self._report
        self._inside_a_run(mutated)
        begin = time.monotonic()
        told = self._imported(mutated, seed)
        assert time.monotonic() - begin < PATIENCE_S, "it took too long"
        return told

    def _inside_a_run(self, mutated: bytes) -> None:
        attempt = replace(self._run.attempts[0], report="ncu/mutated.ncu-rep")
        (self._folder / "ncu" / "mutated.ncu-rep").write_bytes(mutated)
        held = read_attempt(self._folder, self._run, attempt, self._project.catalogue)
        assert held.calls == []
        assert {result.case.name for result in self._run.cases} == set(held.faults)
        assert all(REFUSAL in fault for fault in held.faults.values()), held.faults

    def _imported(self, mutated: bytes, seed: int) -> str:
        packed = seed % 5 == 0
        path = self._folder / f"mutated.ncu-rep{'z' * packed}"
        path.write_bytes(mutate(zstandard.compress(mutated), seed) if packed else mutated)
        refusal: StallgateError | None = None
        try:
            evaluate(self._project, import_reports([path], self._reports, []), [])
        except StallgateError as error:
            refusal = error
        shutil.rmtree(self._reports, ignore_errors=True)
        if refusal is None:
            return "read"
        status = 2 if "is no ncu report" in refusal.message else 3
        assert refusal.status == status, refusal.message
        assert status == 3 or not path.read_bytes().startswith(b"NVR\0"), refusal.message
        assert "\n" not in refusal.message
        return "refused"


# --- mutations --------------------------------------------------------------------------------------------------------


def beginning(report: bytes, launches: int) -> bytes:
    """The first launches of an ncu report."""
    found, blocks = taken_apart(report)
    for block, contained in blocks:
        if launches <= 0:
            break
        found += block
        launches -= contained
    return found


def mutate(report: bytes, seed: int) -> bytes:
    """A report with one kind of damage, the same for the same seed."""
    chance = random.Random(seed)
    damage = chance.choice([_flip, _cut, _splice, _blank])
    mutated = bytearray(report)
    damage(mutated, chance)
    if bytes(mutated) == report:  # a page that was empty, a piece that was moved onto itself
        mutated[chance.randrange(len(mutated))] ^= 1
    return bytes(mutated)


def _flip(report: bytearray, chance: random.Random) -> None:
    """Single bits; half of the time near the beginning, where the structure is."""
    reach = chance.choice([len(report), 512])
    for _ in range(chance.choice([1, 8, 64])):
        report[chance.randrange(min(reach, len(report)))] ^= 1 << chance.randrange(8)


def _cut(report: bytearray, chance: random.Random) -> None:
    del report[chance.randrange(len(report)) :]


def _splice(report: bytearray, chance: random.Random) -> None:
    """A piece of it somewhere else, in place of what stood there or between."""
    length = chance.randrange(1, 2 * PAGE)
    source, target = (chance.randrange(len(report)) for _ in range(2))
    replaced = length if chance.random() < 0.5 else 0
    report[target : target + replaced] = report[source : source + length]


def _blank(report: bytearray, chance: random.Random) -> None:
    """Pages that were never written to the disk."""
    for _ in range(chance.choice([1, 3])):
        start = chance.randrange(0, len(report), PAGE)
        end = min(start + PAGE, len(report))
        report[start:end] = bytes(end - start)


# --- the program ------------------------------------------------------------------------------------------------------


def main(count: int, first: int, say: Callable[[str], None]) -> int:
    told: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        fuzz = Fuzz(committed().folder, Path(folder))
        for seed in range(first, first + count):
            try:
                told[fuzz.trial(seed)] += 1
            except Exception:  # noqa: BLE001  (that is what it looks for)
                told["harm"] += 1
                say(f"seed {seed} does harm:\n{traceback.format_exc()}")
    say(", ".join(f"{number} {what}" for what, number in sorted(told.items())))
    return 1 if told["harm"] else 0


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*(given + [500, 1][len(given) :]), print))
