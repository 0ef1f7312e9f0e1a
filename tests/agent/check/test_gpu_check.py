"""Answers on a GPU: form, rules, results, times and counters; all of them in one process, one after the other.

A check holds its GPU from its first process on, so that more workers than GPUs wait for each other.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from msgspec.structs import replace

from stallgate.agent.check.adopt import adopt, project_state
from stallgate.agent.check.check import AnswerOptions, AnswerReport, check_answer
from stallgate.agent.check.right import RightOptions, check_right
from stallgate.agent.check.timing import AnswerTimer, TimingOptions
from stallgate.agent.limits.isolate import default_limits, interpreter_places, isolation
from stallgate.agent.objection import Objection
from stallgate.measure.device import Device, choose, find_devices
from stallgate.project.load import load_project
from tests.agent.check.cheating import CATALOGUE, CHEATS, cheated_project
from tests.agent.check.test_check import GOOD, TEXTS, _Quiet

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(shutil.which("ncu") is None, reason="needs ncu")]

LIMITS = replace(default_limits(on_gpu=True), processes=64, memory=16 * 2**30)
WORKLOAD = "page"

BY_COUNTERS = {"beyond_roof", "wrong_result", "time_contradicts_counters", "implausible"}
"""Codes by which times and counters see that the work was not done, whatever else is said of it."""


@pytest.fixture(scope="module")
def device() -> Device:
    devices = find_devices()
    if not devices:
        pytest.skip("needs a GPU")
    return choose(devices, None)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cheated_project(tmp_path_factory.mktemp("gpu") / "project")


def options(device: Device, **more: object) -> AnswerOptions:
    usual = AnswerOptions(
        python=sys.executable, device=device, drawn=0, limits=LIMITS, timeout_s=60.0, rounds=11, samples=3
    )
    return replace(usual, **more)


def unchanged(project: Path, text: str | bytes, asked: AnswerOptions) -> AnswerReport:
    before, begin = project_state(project), time.monotonic()
    found = check_answer(load_project(project), text, asked)
    assert project_state(project) == before, told(found)
    assert time.monotonic() - begin < LIMITS.wall_s, told(found)
    return found


def told(found: AnswerReport) -> str:
    """All that a report says, a line each: a failure on a machine far away has its reasons."""
    steps = [f"{each.part}: {each.state} after {each.seconds:g} s {each.why}".rstrip() for each in found.steps]
    times = [f"{each.workload}: {each.before_us:g} -> {each.after_us:g} us" for each in found.gains]
    shares = [f"gain {each.gain:.1%} ({each.low:.1%} to {each.high:.1%})" for each in found.gains]
    gains = [", ".join(pair) for pair in zip(times, shares, strict=True)]
    notes = [f"note: {each}" for each in found.notes]
    return "\n".join([f"status {found.exit_status}", *steps, *refusals(found.objections), *gains, *notes])


def refusals(objections: Iterable[Objection]) -> list[str]:
    """Objections in words."""
    return [f"{each.part}, {each.code}, line {each.line}: {each.text} {each.hint}".rstrip() for each in objections]


# --- honest answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(GOOD.iterdir()), ids=lambda path: path.stem)
def test_a_good_answer_is_right(project: Path, device: Device, path: Path) -> None:
    found = unchanged(project, path.read_bytes(), options(device, right_only=True))
    assert found.accepted, told(found)


def test_a_good_answer_is_better_than_the_slow_start(project: Path, device: Device) -> None:
    """Timed beside it and profiled with it: the gain, its spread, and a run that can be looked at."""
    found = unchanged(project, (GOOD / "one_kernel.py").read_bytes(), options(device, drawn=2, seed=3))
    assert found.accepted, told(found)
    (gain,) = found.gains
    assert gain.workload == WORKLOAD, told(found)
    assert 0.02 < gain.low <= gain.gain <= gain.high < 1, told(found)
    assert found.run is not None, told(found)
    assert (Path(found.run) / "run.json").is_file(), told(found)


def test_an_answer_is_not_better_than_itself(device: Device, tmp_path: Path) -> None:
    project = cheated_project(tmp_path / "project")
    source = (GOOD / "one_kernel.py").read_bytes()
    (project / "kernels" / "scan" / "naive_serial.py").write_bytes(source)
    found = unchanged(project, source, options(device))
    assert (found.exit_status, [each.code for each in found.objections]) == (1, ["no_gain"]), told(found)


# --- bad answers, as they are -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_cheat_is_refused(project: Path, device: Device, name: str) -> None:
    found = unchanged(project, (CHEATS / f"{name}.py").read_bytes(), options(device, right_only=True))
    assert found.exit_status == 1, told(found)
    wanted = CATALOGUE[name].source or {"wrong_result"}
    assert wanted & {each.code for each in found.objections}, f"wanted {sorted(wanted)}\n{told(found)}"


@pytest.mark.parametrize("name", [name for name, (text, _) in TEXTS.items() if text is not None])
def test_what_is_no_answer_is_refused(project: Path, device: Device, name: str) -> None:
    text, code = TEXTS[name]
    assert text is not None
    found = unchanged(project, text, options(device))
    assert code in {each.code for each in found.objections}, f"wanted {code}\n{told(found)}"


# --- the layers behind the form, as if it had let them pass -----------------------------------------------------------


@pytest.mark.parametrize("name", ["works_in_thread", "fork_bomb", "finds_expected", "exit_hook"])
def test_results_and_limits_refuse_what_the_form_would(
    project: Path, device: Device, name: str, tmp_path: Path
) -> None:
    adopted = adopt(load_project(project), "scan", "naive_serial", (CHEATS / f"{name}.py").read_text(), tmp_path)
    asked = RightOptions(sys.executable, 60.0, device, None, [])
    with isolation(LIMITS, [tmp_path, *interpreter_places(sys.executable)]) as limited:
        found = check_right(adopted, asked, limited, LIMITS, _Quiet())
    cases = [f"{case.workload}: {case.outcome} {case.reason}" for each in found.report.variants for case in each.cases]
    assert found.objections, "\n".join(["nothing was refused", found.unjudged, *cases, *found.notes])


@pytest.mark.parametrize("name", [name for name, cheat in CATALOGUE.items() if cheat.counters])
def test_times_and_counters_refuse_what_computes_rightly(
    project: Path, device: Device, name: str, tmp_path: Path
) -> None:
    """The code is that of the table, or another by which times and counters saw it: it is never accepted.

    The workload is large: what takes no less time than the slow start is refused for that, whether it cheats or not.
    """
    copy, run = tmp_path / "copy", tmp_path / "run"
    copy.mkdir()
    run.mkdir()
    adopted = adopt(load_project(project), "scan", "naive_serial", (CHEATS / f"{name}.py").read_text(), copy)
    asked = TimingOptions(sys.executable, device, None, ["large"], 11, 3, 60.0, [])
    with isolation(LIMITS, [copy, *interpreter_places(sys.executable)]) as limited:
        found = AnswerTimer(adopted, asked, limited, LIMITS, run, _Quiet()).measure()
    codes = {each.code for each in found.better.objections}
    said = "\n".join([*refusals(found.better.objections), *map(str, found.better.gains), *found.notes])
    assert codes & {CATALOGUE[name].counters, *BY_COUNTERS}, f"wanted {CATALOGUE[name].counters}\n{said}"
