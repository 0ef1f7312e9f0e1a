"""Runs and accepted baselines between a project and a place that several machines share.

There, a run is ``runs/<run>+<identity>+<digest>.tar.zst`` and a baseline ``baselines/<gpu>+<problem>+<digest>.json``.
A name says what the file holds, so nobody has to open it, and machines that write at the same time write different
files. Nothing is ever written over or removed there.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from stallgate.errors import BadArgument, BrokenFile, NoRun, StallgateError
from stallgate.formatting import listed
from stallgate.model import Baseline, FrozenStruct
from stallgate.project.layout import baseline_file, baseline_files
from stallgate.project.load import Project
from stallgate.project.paths import inside
from stallgate.project.yardsticks import read_baseline
from stallgate.runs.archive import ArchiveName, digest_in_name, identity_of, pack_run, unpack_run
from stallgate.runs.folder import SWEEP_FILE, write_whole
from stallgate.runs.outlines import outlined_runs
from stallgate.runs.remote import Remote
from stallgate.runs.store import Store
from stallgate.runs.sweep import load_sweep

_RUNS, _BASELINES = "runs", "baselines"
_MOST_SHOWN = 5


class Shared(FrozenStruct, frozen=True):
    """What was pushed or pulled."""

    runs: list[str]
    """The runs that were missing there."""
    known: int
    """How many runs were there already."""
    baselines: list[str]
    """The baselines that were missing or older there, as ``<gpu>/<problem>``."""
    incomplete: list[str] = []
    """The runs that are not pushed: they did not come to their end, or cannot be read."""


def push(project: Project, remote: Remote) -> Shared:
    """Sends every complete run and every accepted baseline that is missing there.

    Raises:
        BadArgument: a run or a baseline is there with other content; then nothing is sent.
        RemoteRefused: the place refuses, or cannot be reached.
    """
    complete, incomplete = _own_runs(project.reports)
    there = _packed_runs(remote)
    missing = [folder for folder in complete if folder.name not in there]
    known = [folder for folder in complete if folder.name in there]
    differing = [folder.name for folder in known if {each.identity for each in there[folder.name]} != {_id(folder)}]
    baselines = _Baselines(project, remote)
    _refuse(differing, baselines.conflicts)
    for folder in missing:
        name, content = pack_run(folder)
        if ArchiveName.read(name.file) is None:
            raise BadArgument(f"a run named '{folder.name}' cannot be shared", "rename its folder: a-z, 0-9, _ . and -")
        remote.write(f"{_RUNS}/{name.file}", content)
    sent = baselines.send()
    return Shared(
        runs=[folder.name for folder in missing], known=len(known), baselines=sent, incomplete=sorted(incomplete)
    )


def pull(project: Project, remote: Remote) -> Shared:
    """Brings every run and every accepted baseline that is missing here.

    Raises:
        BadArgument: a run or a baseline is here with other content; then nothing is brought.
        BrokenFile: what was pushed is damaged.
        NoRun: nothing was ever pushed there.
        RemoteRefused: the place refuses, or cannot be reached.
    """
    there = _packed_runs(remote)
    baselines = _Baselines(project, remote)
    if not there and not baselines.there:
        raise NoRun(f"nothing was pushed to {remote.shown}", "`stallgate push` does, where runs were measured")
    here = {name for name in there if (project.reports / name).exists()}
    differing = [name for name in here if {each.identity for each in there[name]} != {_id(project.reports / name)}]
    doubled = [name for name, found in there.items() if len({each.identity for each in found}) > 1]
    _refuse(sorted({*differing, *doubled}), baselines.conflicts)
    missing = [name for name in there if name not in here]
    for name in missing:
        _bring(project.reports, remote, there[name][0])
    return Shared(runs=missing, known=len(here), baselines=baselines.bring())


def _refuse(runs: list[str], baselines: list[str]) -> None:
    """Refuses to go on where the two sides contradict each other."""
    if runs:
        more = f" and {len(runs) - _MOST_SHOWN} more" if len(runs) > _MOST_SHOWN else ""
        raise BadArgument(
            f"not the same measurement here and there, under the same name: {', '.join(runs[:_MOST_SHOWN])}{more}",
            "nothing was copied: rename the folder under reports/, or remove it, and try again",
        )
    if baselines:
        raise BadArgument(
            f"other numbers are accepted here than there, and neither are newer: {listed(baselines)}",
            "nothing was copied: remove the file in metrics/baselines/ to take theirs, or accept numbers again on a "
            "later day",
        )


# --- runs -------------------------------------------------------------------------------------------------------------


def _own_runs(reports: Path) -> tuple[list[Path], list[str]]:
    """The folders of the runs and sweeps that are complete, and the names of the others."""
    store = Store(reports)
    states = {
        folder: found.outline is not None and found.outline.complete for folder, found in outlined_runs(store).items()
    }
    for folder in store.folders(SWEEP_FILE):
        states[folder] = states.get(folder, True) and _is_complete_sweep(folder)
    return sorted(folder for folder, done in states.items() if done), [f.name for f, done in states.items() if not done]


def _is_complete_sweep(folder: Path) -> bool:
    try:
        return load_sweep(folder).complete
    except (StallgateError, OSError):
        return False


def _packed_runs(remote: Remote) -> dict[str, list[ArchiveName]]:
    """Run -> its packed files there: several if machines pushed it at the same time."""
    found: dict[str, list[ArchiveName]] = {}
    for file in remote.names(_RUNS):
        name = ArchiveName.read(file)
        if name is not None:
            found.setdefault(name.run, []).append(name)
    return found


def _id(folder: Path) -> str:
    """What identifies the run of a folder; empty where it has none."""
    try:
        return identity_of(folder)
    except OSError:
        return ""


def _bring(reports: Path, remote: Remote, name: ArchiveName) -> None:
    """Unpacks a run beside its place and moves it there whole."""
    content = remote.read(f"{_RUNS}/{name.file}")
    target = inside(reports, name.run)
    with _beside(reports) as folder:
        unpack_run(name, content, folder)
        try:
            os.rename(folder, target)  # noqa: PTH104  (never into a folder that is there)
        except OSError:
            if _id(target) != name.identity:
                raise BrokenFile(f"{target} cannot be written, or has appeared meanwhile", "try again") from None


@contextmanager
def _beside(reports: Path) -> Iterator[Path]:
    """A folder that no list shows; whatever is left of it is removed."""
    reports.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix=".pull-", dir=reports))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- baselines --------------------------------------------------------------------------------------------------------


_BASELINE_FILE = re.compile(r"(?P<gpu>[A-Za-z0-9_.-]+)\+(?P<problem>[A-Za-z0-9_.-]+)\+(?P<digest>[0-9a-f]{32})\.json")


class _Baselines:
    """The accepted baselines of both sides, as ``<gpu>/<problem>`` -> content."""

    def __init__(self, project: Project, remote: Remote) -> None:
        self._project, self._remote = project, remote
        self._here = {f"{path.parent.name}/{path.stem}": path.read_bytes() for path in baseline_files(project.root)}
        versions = self._versions()
        newest = {name: self._newest(name, found) for name, found in versions.items()}
        self.there = {name: content for name, content in newest.items() if content is not None}
        both = [name for name in self.there if name in self._here and self._order(name) is None]
        self.conflicts = sorted({*both, *(name for name, content in newest.items() if content is None)})

    def _versions(self) -> dict[str, list[bytes]]:
        """Every version that was ever pushed."""
        found: dict[str, list[bytes]] = {}
        for file in self._remote.names(_BASELINES):
            named = _BASELINE_FILE.fullmatch(file)
            if named is None:
                continue
            content = self._remote.read(f"{_BASELINES}/{file}")
            if digest_in_name(content) != named["digest"]:
                raise BrokenFile(f"{file} is not what was pushed: its digest differs", "remove it there")
            found.setdefault(f"{named['gpu']}/{named['problem']}", []).append(content)
        return found

    def _newest(self, name: str, versions: list[bytes]) -> bytes | None:
        """The version that follows all others; None where there is none."""
        read = {content: self._read(name, content) for content in versions}
        return next(
            (a for a in versions if all(a == b or _follows(read[a], read[b]) for b in versions)),
            None,
        )

    def _order(self, name: str) -> int | None:
        """0 where both sides are the same, 1 where this one is newer, -1 where the other is; else None."""
        here, there = self._here[name], self.there[name]
        if here == there:
            return 0
        ours, theirs = self._read(name, here), self._read(name, there)
        return 1 if _follows(ours, theirs) else -1 if _follows(theirs, ours) else None

    def _read(self, name: str, content: bytes) -> Baseline:
        with TemporaryDirectory() as folder:
            path = inside(Path(folder), f"{name.partition('/')[2]}.json")
            path.write_bytes(content)
            return read_baseline(Path(folder), path, self._project.catalogue)

    def send(self) -> list[str]:
        """Sends what is missing or older there."""
        newer = [name for name in self._here if name not in self.there or self._order(name) == 1]
        for name in newer:
            content = self._here[name]
            self._remote.write(f"{_BASELINES}/{name.replace('/', '+')}+{digest_in_name(content)}.json", content)
        return newer

    def bring(self) -> list[str]:
        """Brings what is missing or older here."""
        newer = [name for name in self.there if name not in self._here or self._order(name) == -1]
        for name in newer:
            gpu, _, problem = name.partition("/")
            path = baseline_file(self._project.root, gpu, problem)
            path = inside(self._project.root, path.relative_to(self._project.root).as_posix())
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, self.there[name])
        return newer


def _follows(new: Baseline, old: Baseline) -> bool:
    """Whether a baseline was accepted after another: every case is the same, or of a later day."""
    if (new.gpu, new.clock_control, new.cache_control) != (old.gpu, old.clock_control, old.cache_control):
        return False
    last = max((case.accepted for case in new.cases.values()), default=None)
    return new != old and all(
        (new.cases[name] == case or new.cases[name].accepted > case.accepted)
        if name in new.cases
        else last is not None and last > case.accepted
        for name, case in old.cases.items()
    )
