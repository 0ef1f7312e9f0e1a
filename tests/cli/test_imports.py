"""A variant that imports a module of the project: both are what was measured, and the gate knows when either changed.

The child and the referee are real and run in Triton's interpreter on small shapes; the counters are the recording's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from tests.agent.loop.climb import SCAN
from tests.conftest import Stallgate, with_small_workloads

MODULE = "mylib/scan.py"
CHANGED = f"stale: module {MODULE} changed since it was measured"


@pytest.fixture
def importing(tree: Path) -> Path:
    """The tree with the candidate's code in a package of the project, of which the variant's file imports its model."""
    problem, variant = tree / "kernels/cumprod/problem.toml", tree / "kernels/cumprod/blocked_scan.py"
    small = with_small_workloads(problem.read_text())
    problem.write_text('own_kernels = ["_blocked_scan_kernel"]  # the interpreter launches none\n' + small)
    (tree / "mylib").mkdir()
    (tree / "mylib/__init__.py").write_text("")
    (tree / MODULE).write_text(SCAN.read_text())  # one file, which may lie anywhere
    variant.write_text("from mylib.scan import ModelNew\n\n__all__ = ['ModelNew']\n")
    return tree


def test_a_changed_module_is_not_green(importing: Path, with_ncu: Stallgate, latest: Callable[[str], Any]) -> None:
    done = with_ncu("profile", FAKE_NCU="run", FAKE_GPU_NAME="none")
    assert done.returncode == 0, done.stderr
    measured = next(r for r in latest("run.json")["cases"] if r["case"]["variant"] == "blocked_scan")
    assert sorted(measured["modules"]) == ["mylib/__init__.py", MODULE]
    assert (importing / "reports/latest/source" / MODULE).read_text() == (importing / MODULE).read_text()
    passed = with_ncu("gate")
    assert passed.returncode == 0, passed.stdout

    (importing / MODULE).write_text("raise RuntimeError\n")
    done = with_ncu("gate")
    assert done.returncode == 3, done.stdout
    assert f"○ stale blocked_scan on square: {CHANGED.removeprefix('stale: ')}" in " ".join(done.stdout.split())
    (test,) = Xml.parse(importing / "reports/latest/junit.xml").iter("testcase")
    (error,) = test
    assert (error.tag, error.get("type"), error.get("message")) == ("error", "stale", CHANGED)

    assert with_ncu("report").returncode == 0
    page = (importing / "reports/latest/report.html").read_text()
    assert "Stale: the code changed since</h1>" in page
    assert f"<strong>blocked_scan</strong> · every stage: on square, {CHANGED}</li>" in page

    (importing / "mylib/__init__.py").unlink()
    done = with_ncu("gate")
    assert done.returncode == 3, done.stdout
    assert "square: module mylib/__init__.py and module mylib/scan.py changed since it was measured" in " ".join(
        done.stdout.split()
    )
