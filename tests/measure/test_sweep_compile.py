"""Compilation ahead for a GPU that is not there, and how compilers end. Where they are made up, nothing is compiled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from stallgate.measure import sweep_compile
from stallgate.measure.device import Device
from stallgate.measure.sweep_compile import CompileAhead, Compiled, CompileTarget, ToCompile
from stallgate.measure.sweep_plan import SweepRequest, new_sweep, sweep_case, swept_project
from stallgate.model import Case
from stallgate.project.load import Project
from tests.conftest import ROOT
from tests.processes import processes_in

GPU = Device(0, "GPU-made-up", "NVIDIA H200", "580", "9.0", 143771, 143000)
NO_GPU = CompileTarget("cpu", "9.0", shared_bytes=5_000)

STAYING = f"""#!{sys.executable}
import json, socket, sys, time
from stallgate.child.parent_watchdog import end_with_parent
end_with_parent(int(sys.argv[4]))
line = socket.socket(fileno=int(sys.argv[3]))
for number, case in enumerate(json.load(open(sys.argv[2]))["cases"]):
    line.sendall(json.dumps({{"event": "compiled", "number": number, "outcome": "compiled"}}).encode() + b"\\n")
time.sleep(600)
"""
"""An interpreter whose compilers have compiled, and do not end."""


def swept(project: Project, number: int) -> tuple[Project, list[Case]]:
    """A project with the configurations of a sweep, and the first cases of it."""
    sweep = new_sweep(project, SweepRequest("cumprod", "blocked_scan", sys.executable, [GPU], ["square"]), [])
    planned = [trial for trial in sweep.trials if trial.state == "planned"]
    return swept_project(project, sweep), [sweep_case(sweep, trial) for trial in planned[:number]]


class _Ahead:
    """Compilers of two cases, and what they told."""

    def __init__(self, project: Project, folder: Path, python: str, target: CompileTarget | None = None) -> None:
        self.found: dict[Case, Compiled] = {}
        self.all_told = Event()
        self.folder = folder
        project, self.cases = swept(project, 2)
        to_compile = ToCompile(self.cases, self._hear)
        self.compilers = CompileAhead(project, to_compile, python, GPU, folder, processes=1, target=target)

    def _hear(self, case: Case, found: Compiled) -> None:
        self.found[case] = found
        if len(self.found) == len(self.cases):
            self.all_told.set()


@pytest.fixture
def staying(repository: Project, tmp_path: Path) -> _Ahead:
    python = tmp_path / "staying_python"
    python.write_text(STAYING)
    python.chmod(0o755)
    return _Ahead(repository, tmp_path / "compile", str(python))


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "harness"))


@pytest.mark.usefixtures("own_cache")
def test_what_came_of_each_case_is_told_and_noted(repository: Project, tmp_path: Path) -> None:
    ahead = _Ahead(repository, tmp_path / "compile", sys.executable, NO_GPU)
    with ahead.compilers as compilers:
        notes = compilers.notes
        compilers.wait()
    default, other = (ahead.found[case] for case in ahead.cases)
    assert (default.outcome, other.outcome) == ("too_much_shared_memory", "compiled")
    assert "the GPU has 5000" in default.reason
    assert other.seconds > 0
    assert other.shared_bytes is not None
    assert notes is not None
    names = [case.name for case in ahead.cases]
    assert notes.names == names
    assert Path(notes.notes).read_text().splitlines() == [*names, "over"]


def test_compilers_that_do_not_end_are_ended_with_the_block(staying: _Ahead, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_compile, "_PATIENCE_S", 0.1)
    with staying.compilers as compilers:
        assert staying.all_told.wait(60)
        assert processes_in(staying.folder) != []
        assert compilers.notes is not None
    assert processes_in(staying.folder) == []
    assert Path(compilers.notes.notes).read_text().splitlines() == ["over"]


def test_they_are_ended_at_once_where_what_takes_times_is_interrupted(staying: _Ahead) -> None:
    def interrupted() -> float:
        with staying.compilers:
            assert staying.all_told.wait(60)
            begun = time.monotonic()
            raise KeyboardInterrupt(begun)

    with pytest.raises(KeyboardInterrupt) as raised:
        interrupted()
    assert time.monotonic() - raised.value.args[0] < sweep_compile._PATIENCE_S
    assert processes_in(staying.folder) == []
    assert set(staying.found) == set(staying.cases), "what was known is told"


def test_without_cores_or_cases_nothing_is_started(repository: Project, tmp_path: Path) -> None:
    project, cases = swept(repository, 1)
    for number, (some, processes) in enumerate(((cases, 0), ([], 4))):
        folder = tmp_path / str(number)
        to_compile = ToCompile(some, lambda *_: None)
        with CompileAhead(project, to_compile, sys.executable, GPU, folder, processes) as compilers:
            assert compilers.notes is None
        assert not folder.exists()


ALONE = """
import sys
from pathlib import Path
from stallgate.project.load import load_project
from tests.measure.test_sweep_compile import NO_GPU, _Ahead

ahead = _Ahead(load_project(Path(sys.argv[1])), Path(sys.argv[2]), sys.executable, NO_GPU)
with ahead.compilers as compilers:
    compilers.wait()
"""


def test_real_compilers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Whoever takes times may be a fleet's worker, which is lost."""
    folder = tmp_path / "compile"
    kept = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    own = {"PYTHONPATH": f"{ROOT / 'harness'}:{ROOT}", "TRITON_CACHE_DIR": str(tmp_path / "cache")}
    parent = subprocess.Popen([sys.executable, "-c", ALONE, str(ROOT), str(folder)], env={**kept, **own})
    try:
        waits_until(lambda: sum("sweep/__main__.py" in " ".join(words) for words in processes_in(folder)) == 2)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        waits_until(lambda: processes_in(folder) == [])
    finally:
        parent.kill()
        parent.wait()
    assert not (folder / "notes").exists() or "over" not in (folder / "notes").read_text()


def waits_until(moment: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not moment():
        assert time.monotonic() < end
        time.sleep(0.02)
