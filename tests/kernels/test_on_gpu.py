"""The same rules on a CUDA device, where tiles are scanned as trees in earnest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.mark.parametrize("variant", ["naive_serial", "blocked_scan", "two_pass_scan"])
def test_a_variant_is_right_on_the_gpu(variant: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    program = Path(__file__).with_name("on_gpu.py")
    told = subprocess.run(
        [sys.executable, program, variant], env=environment, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
