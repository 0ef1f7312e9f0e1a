"""A run that was killed, at any moment, is finished: nothing lost, nothing left behind, nothing measured twice."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.test_failures import said
from tests.conftest import ROOT, Stallgate

SHORT = ("cumprod/blocked_scan", "cumprod/naive_serial", "-w", "page")
KILLS = [signal.SIGKILL] * 8 + [signal.SIGINT, signal.SIGTERM]
"""How a run is ended. An interrupt leaves time to write the tables of what was measured."""

THREE_KILLS = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]


@pytest.fixture
def own(with_ncu: Stallgate, tmp_path: Path) -> Stallgate:
    """The fakes, with one GPU that stays the same and a folder for temporary files of its own."""
    (tmp_path / "tmp").mkdir()

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return with_ncu(*arguments, **{"TMPDIR": str(tmp_path / "tmp"), "FAKE_GPU_UUID": "one", **variables})

    return run


def planned(tree: Path) -> list[list[str]]:
    """The variants that each attempt of the latest run was to measure."""
    plans = sorted((tree / "reports/latest/ncu").glob("*.plan.json"))
    return [[case["variant"] for case in msgspec.json.decode(path.read_bytes())["cases"]] for path in plans]


@pytest.mark.whole_recording
def test_only_what_is_missing_or_stale_is_measured_again(
    own: Stallgate, tree: Path, latest: Callable[[str], Any]
) -> None:
    assert own("profile", *SHORT).returncode == 0
    again = own("profile", "--resume")
    assert again.returncode == 0, again.stderr
    assert planned(tree) == [["copy_roof", "blocked_scan", "naive_serial"]]
    with (tree / "kernels/cumprod/blocked_scan.py").open("a") as file:
        file.write("# changed\n")
    name = (tree / "reports/latest").resolve().name
    assert own("profile", "--resume", name).returncode == 0
    assert planned(tree)[1:] == [["blocked_scan"]]
    attempts = {case["case"]["variant"]: case["attempt"] for case in latest("run.json")["cases"]}
    assert attempts == {"copy_roof": "1", "blocked_scan": "2", "naive_serial": "1"}
    with (tree / "reports/latest/ncu/1.ncu-rep").open("ab") as report:
        report.write(b"damage")
    assert own("profile", "--resume").returncode == 0
    assert planned(tree)[2:] == [["copy_roof", "naive_serial"]]
    assert latest("run.json")["complete"]


@pytest.mark.whole_recording
def test_a_name_of_an_attempt_is_used_once(own: Stallgate, tree: Path, latest: Callable[[str], Any]) -> None:
    """Also of one that was dropped from the run: its files are still there."""
    assert own("profile", *SHORT).returncode == 0
    (tree / "reports/latest/ncu/7.plan.json").write_text("{}")
    with (tree / "kernels/cumprod/blocked_scan.py").open("a") as file:
        file.write("# changed\n")
    assert own("profile", "--resume").returncode == 0
    assert [attempt["name"] for attempt in latest("run.json")["attempts"]] == ["1", "8"]


REFUSED: list[tuple[tuple[str, ...], dict[str, str], tuple[str, ...]]] = [
    (("--resume", "latest", "--samples", "3"), {}, ("was begun with --samples 5, not 3", "without --resume")),
    (("cumprod", "--resume"), {}, (f"was begun with {', '.join(SHORT[:2])}, not cumprod",)),
    (("--resume",), {"FAKE_GPU_NAME": "NVIDIA H100"}, ("NVIDIA H200 then, NVIDIA H100 now", "start a new run")),
    (("--resume", "nonesuch"), {}, ("no run is named 'nonesuch'",)),
]


@pytest.mark.whole_recording
def test_a_run_is_gone_on_with_as_it_was_begun_and_where(stallgate: Stallgate, own: Stallgate, tree: Path) -> None:
    nothing = own("profile", "--resume")
    assert nothing.returncode == 3
    said(nothing, "there is no run yet")
    own("profile", *SHORT)
    for arguments, variables, words in REFUSED:
        done = own("profile", *arguments, **variables)
        assert done.returncode == 2, done.stderr
        said(done, *words)
    assert len(planned(tree)) == 1
    stallgate("profile", *SHORT)
    replayed = own("profile", "--resume")
    assert replayed.returncode == 2
    said(replayed, "was not measured here")


# --- killed ---


@pytest.mark.whole_recording
@pytest.mark.parametrize("kills", [THREE_KILLS, pytest.param(KILLS, marks=pytest.mark.long)], ids=len)
def test_a_run_that_is_killed_ends_as_if_it_had_not_been(
    own: Stallgate, tree: Path, tmp_path: Path, recording: Path, kills: list[signal.Signals]
) -> None:
    assert own("profile", *SHORT).returncode == 0
    whole = (tree / "reports/latest").resolve()
    chance = random.Random(5)
    variables = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT / "harness"),
        "TMPDIR": str(tmp_path / "tmp"),
        "FAKE_GPU_UUID": "one",
        "FAKE_NCU_PAUSE": "0.05",
        "FAKE_NCU_RECORDING": str(recording),
    }
    for how in chance.sample(kills, k=len(kills)):
        begun = (tree / "reports/latest").resolve() != whole
        killed(
            tree,
            variables,
            ["profile", *(["--resume"] if begun else [*SHORT, "--python", str(tmp_path / "bin" / "python")])],
            steps=chance.randrange(12),
            pause_s=chance.uniform(0, 0.2),
            how=how,
        )
    done = own("profile", "--resume")
    assert done.returncode == 0, done.stderr
    run, expected = (msgspec.json.decode((path / "run.json").read_bytes()) for path in (latest_of(tree), whole))
    assert latest_of(tree) != whole
    assert run["complete"]
    assert [(c["case"], c["outcome"]) for c in run["cases"]] == [(c["case"], "profiled") for c in expected["cases"]]
    assert (latest_of(tree) / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    assert not list(latest_of(tree).rglob(".*"))
    assert nobody_is_at_work_in(tree)
    (lock,) = (tmp_path / "tmp").iterdir()
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def killed(
    tree: Path, variables: dict[str, str], arguments: list[str], *, steps: int, pause_s: float, how: signal.Signals
) -> None:
    """Runs ``stallgate`` and ends it soon after its child told so many steps, or when it ended by itself."""
    before = told(tree)
    process = subprocess.Popen(
        [sys.executable, "-m", "stallgate", *arguments],
        cwd=tree,
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and told(tree) - before < steps:
        time.sleep(0.05)
    time.sleep(pause_s)
    process.send_signal(how)
    process.wait(timeout=60)


def told(tree: Path) -> int:
    """Events of all attempts of all runs."""
    return sum(path.read_bytes().count(b"\n") for path in tree.glob("reports/2*/ncu/*.events.jsonl"))


def latest_of(tree: Path) -> Path:
    return (tree / "reports/latest").resolve()


def nobody_is_at_work_in(tree: Path) -> bool:
    """Whether every process that was started for a run in the tree has ended."""
    for _ in range(100):
        commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        if not any(str(tree / "reports").encode() in command for command in commands):
            return True
        time.sleep(0.1)
    return False
