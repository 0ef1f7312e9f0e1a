"""Rules of a stage that a change broke: on readings, across runs, and through the command line."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from stallgate.compare.grids import LaunchedGrid
from stallgate.compare.rules import (
    NO_READINGS,
    RuleFinding,
    VersionReadings,
    decided_by,
    hold_to_rules,
    version_readings,
)
from stallgate.errors import BrokenFile
from stallgate.extract.read_run import ReadRun, read_run
from stallgate.model import HeldRule, Stage
from stallgate.project.code_changes import CodeChange, CodeDifference, code_difference
from stallgate.project.comparisons import parse_condition
from stallgate.project.held_rules import parse_pattern
from stallgate.project.load import Project, load_project
from tests.agent.loop.climb import SCAN
from tests.compare.earlier import earlier
from tests.conftest import ROOT, Stallgate
from tests.recordings import committed

CODE = SCAN.read_text()
"""A scan whose stages, pattern and grid are all in its own words."""


def change(subject: str = "num_stages", verb: str = "raised", kind: str = "tunable", after: str = "3") -> CodeChange:
    return CodeChange(kind=kind, subject=subject, verb=verb, before="2", after=after, before_place="v.py:1")  # type: ignore[arg-type]


def held(project: Project, rule: HeldRule, *changes: CodeChange, **readings: float) -> list[RuleFinding]:
    """The findings of one rule where the readings before are these on `square`; `after_x` is of the new version."""
    stage = replace(project.stages["memory_access"], held=[rule], includes=[])
    before = {("square", name): value for name, value in readings.items() if not name.startswith("after_")}
    after = {("square", name[6:]): value for name, value in readings.items() if name.startswith("after_")}
    found = hold_to_rules(
        replace(project, stages={**project.stages, "memory_access": stage}),
        "cumprod",
        CodeDifference(changes=list(changes)),
        VersionReadings(values=before),
        VersionReadings(values=after),
        ["memory_access"],
    )
    return found[1]


STALL = HeldRule(text="only if", changes=["num_stages raised"], unless="memory_dependency_stall >= 20")


@pytest.mark.parametrize(
    ("readings", "states"),
    [
        ({"memory_dependency_stall": 6.0}, ["broken"]),
        ({"memory_dependency_stall": 20.0}, []),
        ({"memory_dependency_stall": 63.0}, []),
        ({}, ["cannot_be_told"]),
        ({"duration": 6.0}, ["cannot_be_told"]),
    ],
)
def test_a_reading_allows_a_change_and_its_lack_allows_nothing(
    repository: Project, readings: dict[str, float], states: list[str]
) -> None:
    assert [each.state for each in held(repository, STALL, change(), **readings)] == states


def test_a_finding_says_which_reading_would_have_allowed_the_change(repository: Project) -> None:
    (found,) = held(repository, STALL, change(), memory_dependency_stall=6.0)
    assert decided_by(found) == (
        "allowed by memory_dependency_stall >= 20; read: memory_dependency_stall 6.00 % on square"
    )
    (untold,) = held(repository, STALL, change())
    assert untold.missing == ["memory_dependency_stall"]
    assert "memory_dependency_stall not measured on square" in decided_by(untold)


def test_other_changes_break_no_rule(repository: Project) -> None:
    for other in (change(verb="lowered"), change("num_warps"), change("_kernel", "changed", "grid")):
        assert held(repository, STALL, other, memory_dependency_stall=6.0) == []


def test_the_new_version_can_be_asked_as_well(repository: Project) -> None:
    rule = HeldRule(text="while the time falls", changes=["registers raised"], unless="after.duration < duration")
    readings = {"registers": 32.0, "after_registers": 64.0, "duration": 100.0}
    assert held(repository, rule, after_duration=90.0, **readings) == []
    (found,) = held(repository, rule, after_duration=110.0, **readings)
    assert (found.state, found.changes[0].sentence) == ("broken", "registers raised: 32 -> 64")
    assert found.changes[0].after_place == "square"
    (found,) = held(repository, rule, **readings)
    assert found.state == "cannot_be_told"


def test_one_change_at_a_time(repository: Project) -> None:
    rule = HeldRule(text="one at a time", changes=["several changed"])
    assert held(repository, rule, change()) == []
    assert held(repository, rule, change(), change(verb="lowered")) == []
    (found,) = held(repository, rule, change(), change("num_warps"))
    assert (found.state, len(found.changes)) == ("broken", 2)
    assert decided_by(found) == "nothing allows it in this stage"


@pytest.mark.parametrize(
    ("text", "changed", "expected"),
    [
        ("num_stages raised", change(), True),
        ("num_stages changed", change(), True),
        ("num_stages lowered", change(), False),
        ("num_* raised", change(), True),
        ("BLOCK* changed", change("BLOCK_K", "added"), True),
        ("BLOCK* changed", change("GROUP_M"), False),
        ("grid changed", change("_kernel", "changed", "grid"), True),
        ("grid changed", change("grid", "changed", "access"), False),
        ("access added", change("_kernel", "changed", "access"), False),
        ("accumulator changed to *float16", change("_kernel", "changed", "accumulator", "tl.bfloat16"), True),
        ("accumulator changed to *float16", change("_kernel", "changed", "accumulator", "tl.float32"), False),
        ("anything changed", change("_kernel", "removed", "dot"), True),
        ("registers raised", change("registers", "raised", "launch"), True),
    ],
)
def test_a_pattern_matches_its_changes(text: str, changed: CodeChange, expected: bool) -> None:
    assert parse_pattern(text).matches(changed) == expected


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("a > 1", {"a": 2.0}, True),
        ("a > 1 and b > 1", {"a": 2.0, "b": 1.0}, False),
        ("a > 1 and b > 1", {"a": 2.0}, None),
        ("a > 1 and b > 1", {"a": 1.0}, False),
        ("a > 1 or b > 1", {"a": 2.0}, True),
        ("a > 1 or b > 1", {"a": 1.0}, None),
        ("a / b >= 2", {"a": 4.0, "b": 2.0}, True),
        ("a / b >= 2", {"a": 4.0, "b": 0.0}, None),
        ("100 * (a - b) <= 0", {"a": 1.0, "b": 1.0}, True),
        ("", {}, False),
    ],
)
def test_a_condition_holds_or_not_or_cannot_be_told(
    text: str, values: dict[str, float | None], expected: bool | None
) -> None:
    assert parse_condition(text).holds(values.get) is expected


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ('changes = ["num_stage raised"]', "held[0].changes[0]: no subject of changes is named 'num_stage'"),
        ('changes = ["num_stages grown"]', "held[0].changes[0]: it cannot be `num_stages grown`"),
        ("changes = []", "held[0].changes: it is empty"),
        ('changes = ["grid changed"]\nunless = "stall > 2"', "held[0].unless: no metric is named 'stall'"),
        ('changes = ["grid changed"]\nunless = "waves = 2"', "held[0].unless: `waves = 2` is not two expressions"),
        ('changes = ["grid changed"]\nunless = "waves > "', "held[0].unless: `waves >` is not two expressions"),
        ('changes = ["grid changed"]\nunless = "flop_rate > 1 and waves ** 2 > 1"', "held[0].unless: it cannot be"),
    ],
)
def test_a_rule_that_nothing_can_hold_to_is_refused(tree: Path, row: str, told: str) -> None:
    path = tree / "metrics/stages/memory_access.toml"
    path.write_text(f"{path.read_text().partition('[[held]]')[0]}\n[[held]]\ntext = 'A rule.'\n{row}\n")
    error = load_project(tree).broken_stages["memory_access"]
    assert isinstance(error, BrokenFile)
    assert told in error.message


# --- the shipped stages -----------------------------------------------------------------------------------------------


def test_every_shipped_stage_has_rules_that_are_held(repository: Project) -> None:
    assert all(stage.held for stage in repository.stages.values())
    texts = [text for stage in repository.stages.values() for text in (*stage.rules, *(r.text for r in stage.held))]
    assert len(texts) == len(set(texts))


@cache
def recording_of_cumprod() -> ReadRun:
    return read_run(load_project(ROOT), committed().folder, only_judge=True)


def recorded(variant: str) -> VersionReadings:
    run = recording_of_cumprod()
    mine = [result.case for result in run.run.cases if result.case.variant == variant]
    return version_readings(run, {case: case.workload for case in mine if case.configuration == "default"})


def test_from_the_slow_start_to_the_scan_on_recorded_readings(repository: Project) -> None:
    names = ("naive_serial", "blocked_scan")
    sources = [{"naive_serial.py": (ROOT / "kernels/cumprod/naive_serial.py").read_text()}, {"blocked_scan.py": CODE}]
    before, after = (recorded(name) for name in names)
    changes, findings = hold_to_rules(
        repository, "cumprod", code_difference(*sources), before, after, ["memory_access"]
    )
    seen = {(each.kind, each.verb) for each in changes}
    assert {("kernel", "changed"), ("access", "changed"), ("loop", "changed"), ("launch", "raised")} <= seen
    assert "num_warps raised: 1 -> 16" in [each.sentence for each in changes]
    # The slow start waits for memory, and uses 4 bytes of a sector: its evidence allows stages and another pattern.
    assert [each.text for each in findings if each.state == "broken"] == []


def waiting_little(variant: str) -> VersionReadings:
    """What was recorded of a variant, but that it waits for memory for 13 % of the time."""
    same = recorded(variant)
    return replace(
        same, values={key: 13.0 if key[1] == "memory_dependency_stall" else value for key, value in same.values.items()}
    )


def broken_by_another_scan(repository: Project, grid: str, after: VersionReadings) -> set[str]:
    """The rules that a scan with more stages, another mask and a grid breaks, as far as readings tell."""
    text = CODE.replace("num_stages: int = 4", "num_stages: int = 6").replace("offsets < left", "offsets <= left")
    assert text.count("_launches(y.numel() // max(n, 1))") == 1
    text = text.replace("_launches(y.numel() // max(n, 1))", grid)
    found = hold_to_rules(
        repository,
        "cumprod",
        code_difference({"blocked_scan.py": CODE}, {"blocked_scan.py": text}),
        waiting_little("blocked_scan"),
        after,
        ["memory_access"],
    )[1]
    return {each.text.partition(":")[0] for each in found if each.state == "broken"}


STAGES = "raise num_stages only if memory stalls are high"
PATTERN = "rewrite access patterns only on metric evidence"
GRID = "leave the grid as it is, unless it does not fill the GPU"


def test_the_scan_gives_no_reason_for_more_stages_or_another_pattern(repository: Project) -> None:
    same = waiting_little("blocked_scan")
    other = replace(same, grids={key: (LaunchedGrid(7, (7, 1, 1)),) for key in same.grids})
    assert broken_by_another_scan(repository, "_launches(y.numel() // max(n, 2))", other) == {STAGES, PATTERN, GRID}
    # before it ran, its words alone say neither whether it is faster nor with which grid it is launched
    assert broken_by_another_scan(repository, "_launches(y.numel() // max(n, 2))", NO_READINGS) == {STAGES}


def test_a_scan_that_is_launched_as_before_keeps_its_grid(repository: Project) -> None:
    assert broken_by_another_scan(
        repository, "_launches(math.prod(y.shape) // max(1, n))", waiting_little("blocked_scan")
    ) == {
        STAGES,
        PATTERN,
    }


def test_another_pattern_is_allowed_by_less_time_beyond_noise(repository: Project) -> None:
    same = recorded("blocked_scan")
    for factor, states in ((1.0, {PATTERN}), (0.99, {PATTERN}), (0.97, set())):
        values = {key: value * (factor if key[1] == "duration" else 1) for key, value in same.values.items()}
        broken = broken_by_another_scan(repository, "_launches(y.numel() // max(1, n))", replace(same, values=values))
        assert broken - {STAGES} == states


# --- two runs ---------------------------------------------------------------------------------------------------------


def with_source(folder: Path, text: str) -> None:
    """Keeps a version of the scan beside a run's numbers, as a live run does."""
    run: Any = json.loads((folder / "run.json").read_text())
    for result in run["cases"]:
        result.pop("modules", None)
    (folder / "run.json").write_text(json.dumps(run))
    kept = folder / "source/kernels/cumprod/blocked_scan.py"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(text)


def test_compare_says_which_rule_a_change_broke(stallgate: Stallgate, tree: Path, replayed_square: Path) -> None:
    stage = tree / "metrics/stages/memory_access.toml"
    stage.write_text(stage.read_text().replace("memory_dependency_stall >= 20", "memory_dependency_stall >= 60"))
    base = earlier(replayed_square, 1, {})
    with_source(base, CODE)
    with_source(replayed_square, CODE.replace("num_stages: int = 4", "num_stages: int = 6"))
    done = stallgate("compare", base.name, replayed_square.name)
    assert done.returncode == 0, done.stderr
    words = " ".join(done.stdout.split())
    assert "broken: raise num_stages only if memory stalls are high" in words
    assert "num_stages raised: 4 -> 6 (kernels/cumprod/blocked_scan.py:" in words
    assert "memory_dependency_stall >= 60; read: memory_dependency_stall" in words
    (rules,) = json.loads(stallgate("compare", base.name, replayed_square.name, "--json").stdout)["rules"]
    assert (rules["variant"], len(rules["changes"])) == ("blocked_scan", 1)
    assert rules["broken"][0]["readings"][0]["workload"] == "square"


def test_compare_holds_a_grid_to_what_was_launched(stallgate: Stallgate, replayed_square: Path) -> None:
    base = earlier(replayed_square, 1, {})
    with_source(base, CODE)
    other = CODE.replace("_launches(y.numel() // max(n, 1))", "_launches(math.prod(y.shape) // max(1, n))")
    assert other != CODE
    with_source(replayed_square, other)
    (rules,) = json.loads(stallgate("compare", base.name, replayed_square.name, "--json").stdout)["rules"]
    assert [each["kind"] for each in rules["changes"]] == ["grid"]
    assert (rules["broken"], rules["untold"]) == ([], [])


def test_compare_says_nothing_of_rules_where_the_code_is_the_same(stallgate: Stallgate, replayed_square: Path) -> None:
    base = earlier(replayed_square, 1, {})
    shutil.rmtree(replayed_square / "source", ignore_errors=True)
    assert json.loads(stallgate("compare", base.name, replayed_square.name, "--json").stdout)["rules"] == []


def test_a_stage_without_a_problem_has_no_workload_to_look_at(repository: Project) -> None:
    stage: Stage = repository.stages["memory_access"]
    found = hold_to_rules(repository, "none", CodeDifference(changes=[change()]), stages=[stage.name])[1]
    assert [each.state for each in found] == ["cannot_be_told"]
    assert "no workload" in decided_by(found[0])
