"""The same rules on a CUDA device, where tiles are scanned as trees in earnest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


PROGRAM = Path(__file__).with_name("on_gpu.py")
SANITIZER = shutil.which("compute-sanitizer", path=f"{os.environ['PATH']}:/usr/local/cuda/bin")


def run(*command: str | Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("variant", ["naive_serial", "blocked_scan", "two_pass_scan", "scan"])
def test_a_variant_is_right_on_the_gpu(variant: str) -> None:
    run(sys.executable, PROGRAM, variant)


def test_products_and_norms_are_right_on_the_gpu() -> None:
    run(sys.executable, PROGRAM.with_name("dense_on_gpu.py"))


def test_cumprod_stands_in_for_torch_on_the_gpu() -> None:
    run(sys.executable, PROGRAM.with_name("dropin_on_gpu.py"))


@pytest.mark.skipif(SANITIZER is None, reason="there is no compute-sanitizer")
def test_no_form_touches_memory_that_is_not_its_own() -> None:
    assert SANITIZER
    watched = (SANITIZER, "--tool", "memcheck", "--error-exitcode", "9")
    run(*watched, sys.executable, PROGRAM, "scan", "--small")
