"""The cumulative products stand the trial that the measuring child puts a candidate to."""

from __future__ import annotations

import pytest

from stallgate.child.edge_cases import stray
from stallgate.project.digests import text_digest
from tests.kernels.conftest import KERNELS

SUBJECTS = [
    ("blocked_scan", {"shape": [32768, 32768], "dim": 1, "dtype": "float32"}),
    ("blocked_scan", {"shape": [1048576, 64], "dim": 0, "dtype": "float16"}),
    ("two_pass_scan", {"shape": [536870912], "dim": 0, "dtype": "bfloat16"}),
]


@pytest.mark.parametrize(("name", "arguments"), SUBJECTS)
def test_a_kernel_is_right_on_small_and_special_data(name: str, arguments: dict[str, object]) -> None:
    variant, reference = (
        {"path": str(path), "digest": text_digest(path)} for path in (KERNELS / f"{name}.py", KERNELS / "reference.py")
    )
    case = {**variant, "variant": name, "role": "candidate", "tunables": {}, "arguments": arguments}
    assert stray(reference, case, "cpu") == ""
