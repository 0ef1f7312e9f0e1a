"""The plugin in a real pytest: with the recording, with the fakes' GPU and ncu, and with neither."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from tests.conftest import ROOT, Stallgate, environment, with_fakes

pytest_plugins = ["pytester"]

KERNELS = """
import pytest

@pytest.mark.stallgate(problem="cumprod", stage="memory_access")
def test_meets(stallgate_run):
    assert {verdict["status"] for verdict in stallgate_run.verdicts} - {"waived"} == {"pass"}
    assert "cumprod/blocked_scan/default/square" in stallgate_run.metrics
    assert (stallgate_run.folder / "run.json").is_file()

@pytest.mark.stallgate("cumprod/blocked_scan", stage="no_waiting")
def test_misses():
    raise AssertionError("the body of a test that is not met does not run")

def test_of_their_own():
    pass
"""
MISSED = "cumprod/blocked_scan on square: memory_dependency_stall is "
NO_WAITING = """
title = "No waiting"
focus = "a bound that nothing meets"
targets = [{ metric = "memory_dependency_stall", below = 1 }]
"""

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def project(tree: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tree as pytester's folder, on a machine without a GPU and without ncu."""
    shutil.copytree(tree, pytester.path, dirs_exist_ok=True)
    (pytester.path / "metrics/stages/no_waiting.toml").write_text(NO_WAITING)
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return pytester.path


@pytest.fixture
def pytest_run(project: Path, pytester: pytest.Pytester) -> Run:
    """Runs pytest with the plugin in a process of its own, on a file of tests."""

    def run(*arguments: str, tests: str = KERNELS) -> pytest.RunResult:
        pytester.makepyfile(test_kernels=tests)
        return pytester.runpytest_subprocess("-p", "stallgate.plugin.hooks", "--strict-markers", "-rA", *arguments)

    return run


@pytest.fixture
def gpu(project: Path, tmp_path: Path, stallgate: Stallgate, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fakes' GPU and ncu; their folder."""
    recording = next(project.glob("reports/recorded/*/cumprod"))
    folder = tmp_path / "fakes"
    with_fakes(stallgate, recording, folder)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_NCU_RECORDING", str(recording))
    return folder


def runs(project: Path) -> list[Path]:
    return [path.parent for path in project.glob("reports/*/run.json") if not path.parent.is_symlink()]


def counts(done: pytest.RunResult) -> dict[str, int]:
    return done.parseoutcomes()


# --- sessions that do not measure -------------------------------------------------------------------------------------


def test_a_usual_session_skips_them_and_says_how_to_run_them(pytest_run: Run, project: Path) -> None:
    done = pytest_run(tests=KERNELS + "\ndef test_fixture(stallgate):\n    stallgate.gate('cumprod')\n")
    assert counts(done) == {"passed": 1, "skipped": 3}
    assert "SKIPPED [1] test_kernels.py:16: measured on a GPU by `pytest --stallgate`" in done.stdout.str()
    assert "SKIPPED [1] test_kernels.py:3: measured on a GPU by `pytest --stallgate`" in done.stdout.str()
    assert done.ret == 0
    assert not runs(project)


def test_nothing_is_measured_to_list_tests(pytest_run: Run, project: Path) -> None:
    done = pytest_run("--stallgate", "--stallgate-replay", "--co", "-q")
    assert "test_kernels.py::test_meets" in done.stdout.str()
    assert not runs(project)


def test_the_marker_explains_itself(pytest_run: Run) -> None:
    assert "@pytest.mark.stallgate(problem, *, stage=None" in pytest_run("--markers").stdout.str()


def test_loading_the_plugin_imports_nothing_of_stallgate() -> None:
    script = """
import sys
import pytest
before = set(sys.modules)
import stallgate.plugin.hooks
print(*(set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert {name for name in done.stdout.split() if not name.startswith("stallgate")} == set()
    assert set(done.stdout.split()) == {"stallgate", "stallgate.plugin", "stallgate.plugin.hooks"}


def test_a_fixture_of_their_own_name_is_theirs(pytest_run: Run) -> None:
    theirs = """
import pytest

@pytest.fixture
def stallgate():
    return "theirs"

def test_theirs(stallgate):
    assert stallgate == "theirs"
"""
    assert counts(pytest_run(tests=theirs)) == {"passed": 1}


def test_the_wheel_names_the_plugin() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    plugin = import_module(settings["project"]["entry-points"]["pytest11"]["stallgate"])
    assert plugin.pytest_addoption


def test_a_page_that_cannot_be_drawn_is_told(pytest_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without/matplotlib.py").write_text("raise MemoryError")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'without'}:{ROOT / 'harness'}")
    done = pytest_run("--stallgate", "--stallgate-replay", "-k", "meets")
    assert counts(done) == {"passed": 1, "deselected": 2}
    assert "no page: not enough memory" in done.stdout.str()


# --- a recording ------------------------------------------------------------------------------------------------------


def test_a_recording_is_judged_if_the_user_says_so(pytest_run: Run, project: Path) -> None:
    done = pytest_run("--stallgate", "--stallgate-replay", "--junit-xml=junit.xml")
    assert counts(done) == {"passed": 2, "failed": 1}
    assert done.ret == 1
    said = done.stdout.str()
    assert f"\n{MISSED}" in said
    [run] = runs(project)
    page = f"reports/{run.name}/report.html"
    assert f"page: {page} (a recording, not measured in this session)" in said
    assert (project / page).is_file()
    assert "not measured\n" not in said
    junit = (project / "junit.xml").read_text()
    assert '<property name="stallgate" value="fail"' in junit
    assert str(run / "report.html") in junit


def test_a_missed_target_is_a_sentence_without_a_traceback(pytest_run: Run) -> None:
    done = pytest_run("--stallgate", "--stallgate-replay", "-k", "misses")
    lines = done.stdout.lines
    begin = next(number for number, line in enumerate(lines) if "_ test_misses _" in line)
    end = next(number for number, line in enumerate(lines) if "= stallgate =" in line)
    assert [line[: len(MISSED)] for line in lines[begin + 1 : end]] == [MISSED]


def test_a_stale_recording_is_an_error_whatever_is_allowed(pytest_run: Run, project: Path) -> None:
    path = project / "kernels/cumprod/blocked_scan.py"
    path.write_text(path.read_text() + "\n# another\n")
    done = pytest_run("--stallgate", "--stallgate-replay", "--stallgate-allow-unmeasured", "-k", "meets")
    assert counts(done) == {"errors": 1, "deselected": 2}
    assert "not measured: cumprod/blocked_scan on square: " in done.stdout.str()
    assert "stallgate: 1 not measured" in done.stdout.str()


def test_the_workers_of_xdist_measure_once(pytest_run: Run, project: Path) -> None:
    done = pytest_run("--stallgate", "--stallgate-replay", "-p", "xdist", "-n", "2")
    assert counts(done) == {"passed": 2, "failed": 1}
    assert len(runs(project)) == 1
    assert done.stdout.str().count("page: ") == 1


# --- a machine that cannot measure ------------------------------------------------------------------------------------


def test_without_a_gpu_they_are_errors(pytest_run: Run, project: Path) -> None:
    done = pytest_run("--stallgate")
    assert counts(done) == {"passed": 1, "errors": 2}
    assert done.ret == 1
    said = done.stdout.str()
    assert "not measured: this machine has no CUDA device\nhint: --stallgate-replay judges" in said
    assert "stallgate: 2 not measured" in said
    assert not runs(project)


def test_without_ncu_they_are_errors(pytest_run: Run, gpu: Path) -> None:
    (gpu / "ncu").unlink()
    done = pytest_run("--stallgate", "--stallgate-replay")
    assert counts(done) == {"passed": 1, "errors": 2}
    assert "not measured: " in done.stdout.str()


@pytest.mark.parametrize("setting", ["option", "ini"])
def test_what_a_user_allows_is_skipped_and_counted(pytest_run: Run, project: Path, setting: str) -> None:
    if setting == "ini":
        (project / "pytest.ini").write_text("[pytest]\nstallgate_allow_unmeasured = true\n")
    tests = KERNELS + "\ndef test_fixture(stallgate):\n    stallgate.gate('cumprod')\n"
    done = pytest_run("--stallgate", *(["--stallgate-allow-unmeasured"] if setting == "option" else []), tests=tests)
    assert counts(done) == {"passed": 1, "skipped": 3}
    assert done.ret == 0
    said = done.stdout.str()
    assert "SKIPPED [1] test_kernels.py:3: not measured: this machine has no CUDA device" in said
    assert "SKIPPED [1] test_kernels.py:16: not measured: this machine has no CUDA device" in said
    assert "stallgate: 3 not measured" in said


# --- a GPU ------------------------------------------------------------------------------------------------------------


def test_one_profile_measures_all_tests_of_a_session(pytest_run: Run, project: Path, gpu: Path) -> None:
    (project / "pytest.ini").write_text(f"[pytest]\nstallgate_python = {gpu / 'python'}\n")
    tests = KERNELS + "\ndef test_fixture(stallgate):\n    stallgate.gate('cumprod', stage='memory_access')\n"
    done = pytest_run("--stallgate", tests=tests)
    assert counts(done) == {"passed": 3, "failed": 1}
    [run] = runs(project)
    assert len(list(run.glob("ncu/*.ncu-rep"))) == 1
    assert f"page: reports/{run.name}/report.html\n" in done.stdout.str()


def test_a_wrong_result_fails(pytest_run: Run, gpu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_NCU", "wrong_result")
    monkeypatch.setenv("FAKE_NCU_CASE", "cumprod/blocked_scan/default/square")
    done = pytest_run("--stallgate", f"--stallgate-python={gpu / 'python'}", "-k", "meets")
    assert counts(done) == {"failed": 1, "deselected": 2}
    assert "1 of 4 elements are wrong" in done.stdout.str()


def test_a_crash_is_an_error_that_cannot_be_allowed(
    pytest_run: Run, gpu: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_NCU", "killed")
    monkeypatch.setenv("FAKE_NCU_CASE", "cumprod/blocked_scan/default/square")
    done = pytest_run(
        "--stallgate", "--stallgate-allow-unmeasured", f"--stallgate-python={gpu / 'python'}", "-k", "meets"
    )
    assert counts(done) == {"errors": 1, "deselected": 2}


# --- what a test asks for ---------------------------------------------------------------------------------------------

REFUSED = """
import pytest

@pytest.mark.stallgate(problem="cumprod", stage="memory_access")
def test_meets(): ...

@pytest.mark.stallgate("cumprod/blocked_scna")
def test_variant(): ...

@pytest.mark.stallgate("cumprod", stage="memory_acess")
def test_stage(): ...

@pytest.mark.stallgate(problme="cumprod")
def test_mark(): ...

@pytest.mark.stallgate("cumprod/copy_roof")
def test_roof(): ...

@pytest.mark.skip(reason="theirs")
@pytest.mark.stallgate("nonesuch")
def test_skipped(): ...

def test_without_mark(stallgate_run): ...
"""


def test_a_test_that_names_something_unknown_is_refused_alone(pytest_run: Run, project: Path) -> None:
    done = pytest_run("--stallgate", "--stallgate-replay", tests=REFUSED)
    assert counts(done) == {"passed": 1, "errors": 5, "skipped": 1}
    said = done.stdout.str()
    assert "no variant is named 'blocked_scna'\nhint: did you mean blocked_scan?" in said
    assert "no stage is named 'memory_acess'\nhint: did you mean memory_access" in said
    assert "@pytest.mark.stallgate: got an unexpected keyword argument 'problme'" in said
    assert "no target judges cumprod/copy_roof; only candidates are judged" in said
    assert "the fixture stallgate_run needs @pytest.mark.stallgate" in said
    assert len(runs(project)) == 1


def test_the_project_may_be_elsewhere(pytest_run: Run, project: Path) -> None:
    inner = project / "gpu"
    inner.mkdir()
    for name in ("kernels", "metrics", "reports"):
        (project / name).rename(inner / name)
    done = pytest_run("--stallgate", "--stallgate-replay", "--stallgate-root=gpu", "-k", "meets")
    assert counts(done) == {"passed": 1, "deselected": 2}
    (project / "pytest.ini").write_text("[pytest]\nstallgate_root = nowhere\n")
    assert "nowhere" in pytest_run("--stallgate", "-k", "meets").stdout.str()
