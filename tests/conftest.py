"""What tests share: a project to work in, and the real command line."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import hypothesis
import msgspec
import pytest
from msgspec.structs import replace

from stallgate.project.load import Project, load_project
from tests import warm
from tests.forked import origin
from tests.shared import Shared, shared
from tests.small_recording import JUDGED, SMALL, narrow

__all__ = ["shared"]

ROOT = Path(__file__).resolve().parents[1]
FAKES = ROOT / "tests" / "fakes"

hypothesis.settings.register_profile("stallgate", deadline=None)  # a machine with other work is slow
hypothesis.settings.load_profile("stallgate")

Stallgate = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_finish() -> None:
    """What is loaded by now stays: a collection of garbage, which a bench asks for, need not look through it again."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """At its end a process frees it all."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def repository() -> Project:
    """This repository as a project of one problem, without its waivers and what it accepted as a baseline; not to be
    written to.
    """
    project = load_project(ROOT)
    return replace(project, problems={"cumprod": replace(project.problem("cumprod"), waivers=[])}, baselines={})


Size = Literal["small", "whole"]
"""How much of the recording a tree has: two cases, or all of them."""


def _size(request: pytest.FixtureRequest) -> Size:
    return "whole" if request.node.get_closest_marker("whole_recording") else "small"


@pytest.fixture
def tree(request: pytest.FixtureRequest, tmp_path: Path, shared: Shared) -> Path:
    """A copy of this repository's cumprod, its recordings and the yardsticks, to be changed at will.

    Its plan and its recording have two cases; a test marked ``whole_recording`` has all of them.
    """
    size = _size(request)
    template = shared.get(f"tree-{size}", lambda folder: TREES[size](folder / "project"))
    return shutil.copytree(template, tmp_path / "project")


def copy_tree(root: Path, *, detail: bool = False, problem: str = "cumprod") -> Path:
    """A copy of a project with one problem; without the recording's detail report, which takes longest to read."""
    recordings = [path.relative_to(ROOT).as_posix() for path in ROOT.glob(f"reports/recorded/*/{problem}")]
    for name in (f"kernels/{problem}", "metrics", *recordings):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "baselines"))
    if not detail:
        for path in (root / "reports" / "recorded").glob("*/*/run.json"):
            _without_detail(path)
    return root


def copy_problems(root: Path, problems: tuple[str, ...]) -> Path:
    """The same with several problems."""
    for problem in problems:
        copied = copy_tree(root / problem, problem=problem)
        shutil.copytree(copied, root / "project", dirs_exist_ok=True)
        shutil.rmtree(copied)
    return root / "project"


def _without_detail(path: Path) -> None:
    run = msgspec.json.decode(path.read_bytes())
    for attempt in run["attempts"]:
        if attempt["kind"] == "detail":
            (path.parent / attempt["report"]).unlink()
    run["attempts"] = [attempt for attempt in run["attempts"] if attempt["kind"] != "detail"]
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=2))


def small_tree(
    root: Path,
    *,
    variants: tuple[str, ...] = SMALL,
    workloads: tuple[str, ...] = JUDGED,
    detail: bool = False,
    problem: str = "cumprod",
) -> Path:
    """The same with a plan and a recording of two cases, or of others, which are read and drawn in less time."""
    return narrow(copy_tree(root, detail=detail, problem=problem), variants, workloads)


def without_waivers(tree: Path) -> None:
    """Takes its waivers from a tree's cumprod, of which each is a heading and the lines up to an empty one."""
    path = tree / "kernels/cumprod/problem.toml"
    tables = path.read_text().split("\n\n")
    path.write_text("\n\n".join(table for table in tables if "[[waivers]]\n" not in table))
    assert not load_project(tree).problem("cumprod").waivers


TREES: dict[Size, Callable[[Path], Path]] = {"small": small_tree, "whole": copy_tree}


def with_small_workloads(problem: str) -> str:
    """A problem.toml of which every matrix is one that the interpreter is done with in no time, on any machine."""
    small = re.sub(r"shape = \[\d+, \d+\]", "shape = [2, 1024]", problem)
    return re.sub(r"\nbytes = [\d_]+", "\nbytes = 16_384", small)


@pytest.fixture
def recording(tree: Path) -> Path:
    """The recording in the tree."""
    return next((tree / "reports" / "recorded").glob("*/cumprod"))


@pytest.fixture
def stallgate(tree: Path) -> Stallgate:
    """Runs ``stallgate`` in the tree, on a machine without a GPU and without ncu."""
    return command_line(tree)


@pytest.fixture
def own_process(tree: Path) -> Stallgate:
    """Runs ``stallgate`` as ``stallgate`` does, in a process that Python starts for it."""
    return new_process(tree)


@pytest.fixture
def signals() -> Iterator[None]:
    """Signals as a terminal gives them; what a shell starts in the background ignores SIGINT, and nohup's SIGHUP."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {each: signal.signal(each, handler) for each, handler in usual.items()}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.fixture
def warm_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children that this process starts are forks as well (`warm.py`), and not Pythons that import torch."""
    monkeypatch.setattr(subprocess, "Popen", warm.starting_at(warm.address()))


@pytest.fixture
def without_torch(tmp_path: Path) -> str:
    """An interpreter that has no torch, and says so at once: with torch it takes three seconds to look for a GPU."""
    python = tmp_path / "without_torch"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    python.chmod(0o755)
    return str(python)


@pytest.fixture
def replayed(request: pytest.FixtureRequest, tree: Path, shared: Shared) -> Path:
    """The tree's latest run: the recording, replayed by ``stallgate profile`` in a tree like this one."""
    return _copied(_replayed(shared, _size(request)), tree)


@pytest.fixture
def replayed_square(request: pytest.FixtureRequest, tree: Path, shared: Shared) -> Path:
    """The same of the workload that is judged, whose page takes half the time to draw."""
    return _copied(_replayed(shared, _size(request), "-w", "square"), tree)


def _replayed(shared: Shared, size: Size, *arguments: str) -> Path:
    name = "-".join(["replayed", size, *arguments])
    return shared.get(name, lambda folder: _replay(TREES[size](folder / "project"), *arguments))


def _copied(reports: Path, tree: Path) -> Path:
    """The latest run of a reports folder, in the tree."""
    shutil.copytree(reports, tree / "reports", symlinks=True, dirs_exist_ok=True)
    return (tree / "reports" / "latest").resolve()


def _replay(tree: Path, *arguments: str) -> Path:
    """A reports folder with a replay and nothing else."""
    done = command_line(tree)("profile", *arguments)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(tree / "reports" / "recorded")
    return tree / "reports"


class DrawnRun(NamedTuple):
    """A run with its page, and what the command that made both of them said."""

    done: subprocess.CompletedProcess[str]
    folder: Path


@pytest.fixture(scope="session")
def drawn(shared: Shared) -> DrawnRun:
    """The recording, replayed and drawn by ``stallgate profile --report``; not to be written to."""
    return shared.get("drawn", _draw)


def _draw(folder: Path) -> DrawnRun:
    tree = copy_tree(folder / "project")
    done = command_line(tree)("profile", "--report")
    assert done.returncode == 0, done.stderr
    return DrawnRun(done, tree / "reports" / "latest")


def command_line(tree: Path, timeout_s: int = 120) -> Stallgate:
    """``stallgate`` in a tree, as a machine has it that has neither a GPU nor ncu."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return origin().run(arguments, tree, environment(**variables), timeout_s=timeout_s)

    return run


def in_this_process(tree: Path) -> Stallgate:
    """The command line without a process of its own: for what it refuses before it starts anything.

    A command that is forked imports all of stallgate's modules, which takes longer than refusing.
    """
    from stallgate import cli

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patch.chdir(tree)
            patch.setattr(sys, "argv", ["stallgate", *arguments])
            for name in WISHES:
                patch.delenv(name, raising=False)
            patch.setenv("PATH", "/usr/bin:/bin")
            status = cli._status()
        return subprocess.CompletedProcess(["stallgate", *arguments], status, out.getvalue(), err.getvalue())

    return run


def new_process(tree: Path) -> Stallgate:
    """The same in a process that Python starts for it: for streams, signals, and what a command has to import."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stallgate", *arguments],
            cwd=tree,
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


WISHES = ("NO_COLOR", "FORCE_COLOR", "CUDA_VISIBLE_DEVICES", "COLUMNS", "GITHUB_TOKEN", "GH_TOKEN")


def environment(**variables: str) -> dict[str, str]:
    """Environment of a command: without ncu, tokens and what a user wishes on its terminal, and with what is given."""
    usual = {name: value for name, value in os.environ.items() if name not in WISHES}
    return {**usual, "PATH": "/usr/bin:/bin", "PYTHONPATH": python_path(), **variables}


def python_path() -> str:
    """The checkout's ``stallgate`` before whatever is on the path already."""
    return os.pathsep.join(filter(None, [str(ROOT / "harness"), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def with_ncu(stallgate: Stallgate, recording: Path, tmp_path: Path) -> Stallgate:
    """Runs ``stallgate`` on a machine with the fakes' GPU and ncu; keywords set the fakes' variables."""
    return with_fakes(stallgate, recording, tmp_path / "bin")


def with_fakes(stallgate: Stallgate, recording: Path, bin_folder: Path) -> Stallgate:
    """``stallgate`` beside the fakes, which are put into a folder of their own and play a recording.

    Temporary files have a folder beside it: locks of GPUs are there, and no test waits for the GPU of another one.
    """
    bin_folder.mkdir()
    temporary = bin_folder.with_name(f"{bin_folder.name}-tmp")
    temporary.mkdir()
    for fake in FAKES.iterdir():
        wrapper = bin_folder / fake.name
        wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{fake}" "$@"\n')
        wrapper.chmod(0o755)

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        if arguments[0] == "profile" and not {"--python", "--resume"} & set(arguments):
            arguments = (*arguments, "--python", str(bin_folder / "python"))
        return stallgate(
            *arguments,
            **{
                "PATH": f"{bin_folder}:/usr/bin:/bin",
                "TMPDIR": str(temporary),
                "FAKE_NCU_RECORDING": str(recording),
                "FAKE_NCU_CHILDREN": warm.address().removeprefix("\0"),
                **variables,
            },
        )

    return run


@pytest.fixture
def latest(tree: Path) -> Callable[[str], Any]:
    """Reads a JSON file of the latest run."""

    def read(name: str) -> Any:
        return msgspec.json.decode((tree / "reports" / "latest" / name).read_bytes())

    return read
