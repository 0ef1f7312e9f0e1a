"""The stages' verdicts on the committed recording: a stage for any problem says the same of this one."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from stallgate.extract.read_run import ReadRun, read_run
from stallgate.judge.evaluate import judge
from stallgate.model import Verdict
from stallgate.project.load import Project, load_project
from tests.conftest import ROOT
from tests.judge.judging import TODAY, with_judged
from tests.recordings import committed

JUDGED = {
    "grid_and_parallel": ["square", "page"],
    "block_tiling": ["square", "page"],
    "memory_access": ["square"],
    "advanced_memory": ["square"],
}
"""Stage -> the workloads of cumprod that it is for: on ``page`` a row is one tile, and there is nothing to pipeline."""

Key = tuple[str | None, ...]


@pytest.fixture(scope="module")
def project() -> Project:
    return load_project(ROOT)


@pytest.fixture(scope="module")
def recorded(project: Project) -> ReadRun:
    return read_run(project, committed().folder, only_judge=True)


def strict(project: Project) -> Project:
    """A project whose stages excuse nothing."""
    stages = {
        name: replace(stage, targets=[replace(target, unless=None) for target in stage.targets])
        for name, stage in project.stages.items()
    }
    return replace(project, stages=stages)


def verdicts(recorded: ReadRun, project: Project, stage: str) -> dict[Key, Verdict]:
    found = judge(recorded, project, [stage], today=TODAY).judgement.verdicts
    keyed = {(v.stage, v.metric, str(v.tolerance is None), v.variant, v.workload): v for v in found}
    assert len(keyed) == len(found)
    return keyed


@pytest.mark.parametrize("stage", JUDGED)
def test_only_what_the_roof_excuses_is_judged_otherwise(recorded: ReadRun, project: Project, stage: str) -> None:
    plain = with_judged(strict(project), dict.fromkeys(JUDGED[stage], True))
    before, after = verdicts(recorded, plain, stage), verdicts(recorded, project, stage)
    assert before.keys() == after.keys()
    for key, verdict in after.items():
        was = before[key]
        if verdict.reason == "at_the_roof":
            assert was.status in ("fail", "undecided")
            assert verdict.stage in ("block_tiling", "grid_and_parallel")
            assert verdict.excuse is not None
            assert (verdict.excuse.metric, verdict.excuse.low >= 0.95) == ("roof_fraction", True)
        else:
            assert (verdict.status, verdict.reason, verdict.sentence) == (was.status, was.reason, was.sentence)


@pytest.mark.parametrize("stage", JUDGED)
def test_a_stage_judges_the_workloads_that_it_is_for(recorded: ReadRun, project: Project, stage: str) -> None:
    assert project.judged_workloads("cumprod", stage) == JUDGED[stage]
    found = [verdict for verdict in verdicts(recorded, project, stage).values() if verdict.metric is not None]
    assert {verdict.workload for verdict in found} <= set(JUDGED[stage])
