"""Loops on a GPU, through the real command line: recorded answers climb, the tuner climbs by itself, journals replay.

    pytest -s -m gpu tests/agent/loop/test_gpu_loop.py

Each test prints what it measured before it judges: a failure has its figures.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stallgate.agent.loop.replay import check_replay
from stallgate.measure.device import find_devices
from stallgate.runs.journal import load_journal
from tests.agent.loop.climb import RECORDED, SCAN, rewritten, scan_in_registers
from tests.conftest import ROOT, command_line, python_path

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not find_devices(), reason="there is no GPU")]

ANSWERERS = ROOT / "examples" / "answerers"
TUNER = f"{sys.executable} {ANSWERERS / 'tuner.py'}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with this repository's problems, and without runs."""
    for name in ("kernels", "metrics"):
        shutil.copytree(ROOT / name, tmp_path / "project" / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "project"


def loop(project: Path, *arguments: str) -> Any:
    """What a loop prints as JSON. Its progress is shown as it comes: what is ended by a time limit has told it."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "stallgate", "loop", *arguments, "--json"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": python_path()},
        stdout=subprocess.PIPE,
        text=True,
        timeout=580,
        check=False,
    )
    print(f"\nloop {' '.join(arguments)}: {time.monotonic() - begun:.1f} s, status {done.returncode}")
    assert done.returncode in (0, 1), done.stdout
    told = json.loads(done.stdout)
    print(told["sentence"], told["stop"])
    return told


def test_recorded_answers_climb_from_naive_serial_to_the_stage(project: Path, tmp_path: Path) -> None:
    """The second answer meets the stage on an H100; an H200, whose memory is faster, needs the third."""
    answers = shutil.copytree(RECORDED, tmp_path / "answers", ignore=shutil.ignore_patterns("2.1.*"))
    shutil.copy(SCAN, answers / "2.1.py")
    (answers / "3.1.py").write_text(scan_in_registers())
    command = f"{sys.executable} {ANSWERERS / 'recorded.py'} {answers}"
    told = loop(project, "cumprod/naive_serial", "--command", command, "--stage", "memory_access", "--samples", "3")
    outcomes = {each["name"]: each["outcome"] for each in told["tries"]}
    assert (outcomes["1.1"], outcomes["1.1 repair"], outcomes["2.1"]) == ("refused", "accepted", "accepted")
    rounds = max(outcomes)[0]
    assert told["best"] == f"{rounds}.1"
    assert told["versions"][-1]["met"] == ["memory_access"]
    assert told["ladder"] == [{"stage": "memory_access", "state": "met", "rounds": list(range(1, int(rounds) + 1))}]
    assert told["gain_percent"] > 80
    replays(project, Path(told["folder"]))


BADLY = {
    "BLOCK: int = 8192": "BLOCK: int = 4096",
    "num_warps: int = 16": "num_warps: int = 32",
    "num_stages: int = 4": "num_stages: int = 1",
}
"""The slowest but one of a hundred configurations on an H200: 4.70 ms where the best takes 2.05."""


def test_the_tuner_climbs_from_a_badly_tuned_scan(project: Path) -> None:
    path = project / "kernels/cumprod/blocked_scan.py"
    path.write_text(rewritten(SCAN.read_text(), BADLY))
    told = loop(project, "cumprod/blocked_scan", "--command", TUNER, "--rounds", "1", "--width", "2", "--samples", "3")
    assert told["gain_percent"] > 5
    assert told["best"] != "start"
    replays(project, Path(told["folder"]))


def test_the_tuner_climbs_from_a_badly_tuned_product(project: Path) -> None:
    told = loop(project, "matmul/naive", "--command", TUNER, "--rounds", "2", "--width", "2", "--samples", "3")
    assert told["gain_percent"] > 5
    assert told["best"] != "start"
    replays(project, Path(told["folder"]))


def replays(project: Path, folder: Path) -> None:
    """A journal goes through again where there is no GPU, and comes to the same."""
    journal = load_journal(folder)
    check_replay(folder, journal)
    (folder / "loop.html").unlink()
    done = command_line(project)("loop", "--replay", str(folder))
    assert done.returncode in (0, 1), done.stderr
    assert (folder / "loop.html").is_file()
    assert load_journal(folder) == journal
    assert re.search(r"% less time after \d+ rounds?", " ".join(done.stdout.split()))
