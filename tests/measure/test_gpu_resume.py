"""A real profile that is killed three times is finished by --resume."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import msgspec
import pytest

from stallgate.measure.device import find_devices
from stallgate.project.load import load_project
from tests.conftest import ROOT, python_path
from tests.measure.test_gpu import stallgate
from tests.measure.test_resume import killed, latest_of, nobody_is_at_work_in

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not find_devices() or shutil.which("ncu") is None, reason="there is no GPU, or no ncu"),
]

KILLS = [(signal.SIGKILL, 8), (signal.SIGTERM, 16), (signal.SIGKILL, 12)]
"""How, and after how many steps of the child."""


def test_a_run_that_is_killed_three_times_is_whole_in_the_end(tmp_path: Path) -> None:
    for name in ("kernels", "metrics"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": python_path()}
    begin = ["profile", "cumprod", "--live", "-w", "page", "--samples", "2"]
    for number, (how, steps) in enumerate(KILLS):
        arguments = ["profile", "--resume"] if number else begin
        killed(tmp_path, environment, arguments, steps=steps, pause_s=0.1, how=how)
        assert nobody_is_at_work_in(tmp_path), "the child ends with whoever started it"
    done = stallgate(tmp_path, "profile", "--resume")
    assert done.returncode == 0, done.stderr
    run = msgspec.json.decode((latest_of(tmp_path) / "run.json").read_bytes())
    assert run["complete"]
    assert {case["outcome"] for case in run["cases"]} == {"profiled"}
    assert len(run["cases"]) == len(load_project(ROOT).problems["cumprod"].variants)
    assert len(run["attempts"]) > len(KILLS), "it was killed in the middle of its work each time"
    assert nobody_is_at_work_in(tmp_path)
