"""The kernels that provoke advice are right: each on a small workload, in Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.advise.followed import KERNELS
from tests.conftest import ROOT


@pytest.mark.long
def test_each_variant_is_right_in_the_interpreter() -> None:
    """In one process of its own: the interpreter is chosen before triton is imported."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "harness")}
    done = subprocess.run(
        [sys.executable, str(KERNELS.with_name("interpreted.py"))],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("right") >= 25
