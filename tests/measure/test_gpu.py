"""The real thing: Triton under ncu on a GPU, through the real command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stallgate.measure.device import find_devices
from tests.conftest import ROOT

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not find_devices() or shutil.which("ncu") is None, reason="there is no GPU, or no ncu"),
]


STAGE = """
title = "Any time"
focus = "Be measured."
targets = [{ metric = "duration", above = 0 }]
"""


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose only problem has a variant for every way to fail."""
    root = tmp_path_factory.mktemp("gpu") / "project"
    shutil.copytree(ROOT / "tests" / "child" / "faulty", root / "kernels" / "faulty")
    shutil.copytree(ROOT / "metrics", root / "metrics", ignore=shutil.ignore_patterns("stages"))
    (root / "metrics/stages").mkdir()
    (root / "metrics/stages/memory_access.toml").write_text(STAGE)
    return root


def stallgate(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stallgate", *arguments, "--root", str(root)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "harness"), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def latest(root: Path) -> Any:
    return json.loads((root / "reports/latest/run.json").read_text())


def test_a_case_that_fails_costs_itself(faulty: Path) -> None:
    """A wrong result, exceptions, faults in a kernel, a killed, a slow and a hanging process: the rest go on."""
    done = stallgate(faulty, "profile", "--samples", "3", "--timeout", "20", "--report")
    outcomes = {result["case"]["variant"]: result["outcome"] for result in latest(faulty)["cases"]}
    assert outcomes == {
        "roof": "profiled",
        "right": "profiled",
        "wrong": "wrong_result",
        "raising": "crashed",
        "astray_when_checked": "crashed",
        "astray_when_profiled": "crashed",
        "killed": "crashed",
        "slow": "skipped",
        "hanging": "timed_out",
        "right_again": "profiled",
    }, done.stderr
    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout
    assert (faulty / "reports/latest/report.html").is_file()


def test_detail_adds_a_launch_that_nothing_is_judged_by(faulty: Path) -> None:
    done = stallgate(faulty, "profile", "faulty/right", "--samples", "2", "--detail", "--json")
    assert done.returncode == 0, done.stderr
    run, folder = latest(faulty), (faulty / "reports/latest").resolve()
    assert [attempt["kind"] for attempt in run["attempts"]] == ["samples", "detail"]
    table = (faulty / "reports/latest/metrics.csv").read_text()
    assert ",detail," in table
    for attempt in run["attempts"]:
        imported = stallgate(faulty, "import", str(folder / attempt["report"]), "--json")
        assert imported.returncode == 0, imported.stderr


def test_only_some_metrics(faulty: Path) -> None:
    done = stallgate(faulty, "profile", "faulty/right", "--samples", "2", "--metrics", "duration,dram_throughput")
    assert done.returncode == 0, done.stderr
    assert "gpu__time_duration.sum,dram__throughput" in " ".join(latest(faulty)["attempts"][0]["command"])


def test_doctor_finds_this_machine_able(faulty: Path) -> None:
    done = stallgate(faulty, "doctor", "--json")
    assert done.returncode == 0, done.stdout
