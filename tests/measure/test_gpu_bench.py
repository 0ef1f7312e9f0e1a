"""Times on a GPU: every way to fail, short calls, and what cannot be captured, through the real command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from stallgate.measure.device import find_devices
from tests.conftest import ROOT
from tests.measure.test_gpu import STAGE, stallgate

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not find_devices(), reason="there is no GPU")]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project whose variants fail, and one more that waits for its own result, which no graph can hold."""
    root = tmp_path_factory.mktemp("gpu") / "project"
    folder = root / "kernels" / "faulty"
    shutil.copytree(ROOT / "tests" / "child" / "faulty", folder)
    shutil.copytree(ROOT / "metrics", root / "metrics", ignore=shutil.ignore_patterns("stages", "baselines"))
    (root / "metrics/stages").mkdir()
    (root / "metrics/stages/memory_access.toml").write_text(STAGE)
    right = (folder / "right.py").read_text()
    (folder / "waiting.py").write_text(right.replace("return scale(x, 2.0)", "return scale(x, 2.0 + 0 * x[0].item())"))
    with (folder / "problem.toml").open("a") as problem:
        problem.write('\n[variants.waiting]\nrole = "baseline"\n')
        problem.write("\n[workloads.large]\narguments = { size = 268_435_456 }\nbytes = 2_147_483_648\nflops = 1\n")
    return root


def entries(done: Any, row: int = 0) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in json.loads(done.stdout)["rows"][row]["entries"]}


def test_a_contender_that_fails_costs_itself(faulty: Path) -> None:
    done = stallgate(faulty, "bench", "--timeout", "20", "--rounds", "5", "--json")
    found = entries(done)
    outcomes = {name: entry["outcome"] for name, entry in found.items()}
    assert {name: outcomes[name] for name in ("copy", "roof", "right", "right_again", "waiting")} == dict.fromkeys(
        ("copy", "roof", "right", "right_again", "waiting"), "timed"
    ), done.stderr
    assert outcomes["wrong"] == "wrong_result"
    assert outcomes["slow"] == "skipped"
    assert outcomes["hanging"] == "timed_out"
    assert {outcomes[name] for name in ("raising", "astray_when_checked", "killed")} == {"crashed"}
    assert done.returncode == 1
    assert found["right"]["method"] == "graph"
    assert found["waiting"]["method"] == "events"
    assert "no CUDA graph of it" in found["waiting"]["note"]
    assert "Traceback" not in done.stderr


def test_two_copies_are_as_fast_as_each_other(faulty: Path) -> None:
    """A kernel that writes twice its input moves the bytes of a copy, and is timed within a tenth of it."""
    done = stallgate(faulty, "bench", "faulty/right", "-w", "large", "--json")
    assert done.returncode == 0, done.stderr
    found = entries(done)
    assert found["right"]["method"] == "events"
    assert 0.9 < found["right"]["of_copy"]["median"] < 1.1
    assert 0.9 < found["right"]["of_roof"]["median"] < 1.1
    time = found["right"]["time"]
    low, high = time["lower_quartile"], time["upper_quartile"]
    assert low <= time["median"] <= high < 1.05 * low
    assert 0 < found["right"]["host_time"]["median"] < 1000


@pytest.mark.parametrize("way", ["backward", "both"])
def test_gradients_are_compared_and_timed(tmp_path: Path, way: str) -> None:
    """Those of cumprod, with a zero in each row, beside as large a copy as they have to move."""
    for name in ("kernels", "metrics"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("peers"))
    chosen = ("cumprod/adaptive_scan", "cumprod/torch_cumprod", "-w", "page")
    done = stallgate(tmp_path, "bench", *chosen, "--gradient", way, "--zeros", "1", "--rounds", "3", "--json")
    assert done.returncode == 0, done.stderr
    found = entries(done)
    assert {name: entry["outcome"] for name, entry in found.items()} == dict.fromkeys(
        ("copy", "adaptive_scan", "torch_cumprod"), "timed"
    )
    assert found["adaptive_scan"]["time"]["median"] < found["torch_cumprod"]["time"]["median"]
    assert found["adaptive_scan"]["of_copy"]["median"] < 1.05
