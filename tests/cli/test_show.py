"""``stallgate show`` and ``stallgate schema``: what a program asks before it runs anything."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from stallgate.cli.group import COMMANDS
from stallgate.cli.schema import json_schema
from tests.conftest import Stallgate
from tests.json_schema import violations
from tests.recordings import committed
from tests.runs.many_runs import make_runs


def shown(stallgate: Stallgate, *arguments: str) -> dict[str, Any]:
    done = stallgate("show", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def lines(stallgate: Stallgate, *arguments: str) -> str:
    """The text of a list, of 80 columns at most; its words in one line."""
    done = stallgate("show", *arguments, COLUMNS="80")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    return " ".join(done.stdout.split())


def test_runs_are_listed_newest_first_with_what_became_of_them(
    stallgate: Stallgate, replayed_square: Path, tree: Path
) -> None:
    assert stallgate("profile", "-w", "square").returncode == 0
    (tree / "reports/latest/verdicts.json").unlink()
    found = shown(stallgate, "runs")
    newest, oldest = found["runs"]
    assert found["latest"] == newest["name"]
    assert oldest["name"] == replayed_square.name
    assert newest["kind"] == "recorded"
    assert newest["gpus"] == [committed().gpu]
    assert newest["problems"] == ["cumprod"]
    assert newest["outcomes"] == {"profiled": 2}
    assert newest["complete"]
    assert (oldest["verdict"], newest["verdict"]) == ("pass", "not_judged")
    assert (oldest["gaps"], newest["gaps"]) == ([], ["there is no verdicts.json"])
    text = lines(stallgate, "runs")
    assert "✓ pass" in text
    assert committed().gpu.split()[1] in text


def test_the_list_of_runs_reads_no_ncu_report_and_no_table(stallgate: Stallgate, replayed_square: Path) -> None:
    expected = shown(stallgate, "runs")
    shutil.rmtree(replayed_square / "ncu")
    (replayed_square / "metrics.csv").unlink()
    assert shown(stallgate, "runs") == expected


def test_a_terminal_lists_the_newest_runs_and_says_how_to_see_the_rest(
    stallgate: Stallgate, replayed_square: Path
) -> None:
    """Laying out a row costs more than reading its run: of many, none is laid out that is not listed."""
    older = make_runs(replayed_square, 70)
    told = stallgate("show", "runs").stdout
    assert len(listed(told)) == 50
    assert listed(told) == [run["name"] for run in shown(stallgate, "runs", "--limit", "50")["runs"]]
    assert "21 older runs are not listed: `stallgate show runs --limit 71` lists all" in told
    whole = stallgate("show", "runs", "--limit", "71").stdout
    assert set(listed(whole)) == {replayed_square.name, *(folder.name for folder in older)}
    assert "not listed" not in whole
    assert "1 older run is not listed" in stallgate("show", "runs", "--limit", "70").stdout


def listed(text: str) -> list[str]:
    """The names of runs at the beginning of the lines of a wide terminal."""
    return [words[0] for line in text.splitlines() if (words := line.split()) and re.match(r"\d{8}-\d{6}", words[0])]


def test_a_program_is_given_all_runs_unless_it_asks_for_fewer(stallgate: Stallgate, replayed_square: Path) -> None:
    make_runs(replayed_square, 70)
    found = shown(stallgate, "runs")
    assert (len(found["runs"]), found["older"]) == (71, 0)
    fewer = shown(stallgate, "runs", "--limit", "3")
    assert (fewer["runs"], fewer["older"], fewer["latest"]) == (found["runs"][:3], 68, found["latest"])


def test_a_limit_is_for_runs(stallgate: Stallgate) -> None:
    done = stallgate("show", "problems", "--limit", "3")
    assert done.returncode == 2
    assert "--limit is for `show runs`" in done.stderr


def test_a_run_that_cannot_be_read_is_listed_with_the_reason(stallgate: Stallgate, replayed_square: Path) -> None:
    (replayed_square / "run.json").write_text("{")
    (run,) = shown(stallgate, "runs")["runs"]
    assert (run["kind"], run["created"], run["verdict"]) == (None, None, "not_judged")
    assert run["gaps"][0].startswith("run.json: ")
    assert "run.json" in lines(stallgate, "runs")


def test_no_runs_are_an_empty_list(stallgate: Stallgate) -> None:
    found = shown(stallgate, "runs")
    assert (found["latest"], found["runs"]) == (None, [])
    assert lines(stallgate, "runs") == "There is no run yet."


def test_a_problem_is_listed_with_what_can_be_asked_of_it(stallgate: Stallgate, tree: Path) -> None:
    (problem,) = shown(stallgate, "problems")["problems"]
    assert problem == shown(stallgate, "problems", "cumprod")["problems"][0]
    roles = {variant["name"]: variant["role"] for variant in problem["variants"]}
    assert roles["copy_roof"] == "roof"
    assert roles["blocked_scan"] == "candidate"
    assert problem["stages"] == ["memory_access"]
    defaults = {workload["name"] for workload in problem["workloads"] if workload["default"]}
    assert defaults
    assert problem["recordings"] == [committed().name]
    assert stallgate("show", "run", problem["recordings"][0]).returncode == 0
    text = lines(stallgate, "problems")
    assert "candidates: blocked_scan" in text
    assert f"recordings: {committed().name}" in text
    shutil.rmtree(tree / "reports/recorded")
    assert shown(stallgate, "problems")["problems"][0]["recordings"] == []


def test_a_stage_is_listed_with_its_targets_and_the_problems_that_it_gates(stallgate: Stallgate, tree: Path) -> None:
    path = tree / "kernels/cumprod/problem.toml"
    path.write_text(path.read_text().replace('stages = ["memory_access"]', 'stages = ["advanced_memory"]'))
    stages = {stage["name"]: stage for stage in shown(stallgate, "stages")["stages"]}
    assert stages["advanced_memory"]["problems"] == ["cumprod"]
    assert stages["memory_access"]["problems"] == ["cumprod"], "it is included"
    assert stages["block_tiling"]["problems"] == []
    targets = {target["metric"]: target for target in stages["memory_access"]["targets"]}
    assert (targets["dram_throughput"]["bound"], targets["dram_throughput"]["comparison"]) == (None, "at_least")
    assert 0 < targets["dram_throughput"]["of_roof"] < 1
    assert targets["memory_dependency_stall"]["unit"] == "%"
    assert stages["advanced_memory"]["targets"][0]["tolerance"] == 0.02
    text = lines(stallgate, "stages")
    assert "memory_dependency_stall < 20 %" in text
    assert "duration at most 2.0 % worse than the baseline" in text
    assert "% of the roof's" in text


def test_a_run_is_shown_with_the_metrics_of_its_stages(stallgate: Stallgate, replayed_square: Path) -> None:
    found = shown(stallgate, "run")
    assert found["run"] == str(replayed_square)
    assert (found["verdict"], found["stages"], found["complete"]) == ("pass", ["memory_access"], True)
    assert {case["outcome"] for case in found["cases"]} == {"profiled"}
    metrics = found["metrics"]["cumprod/blocked_scan/default/square"]
    assert {"duration", "roof_fraction", "dram_throughput", "memory_dependency_stall"} <= set(metrics)
    assert "instructions" not in metrics
    assert metrics["roof_fraction"]["state"] == "measured"
    assert metrics["duration"]["low"] <= metrics["duration"]["median"] <= metrics["duration"]["high"]
    assert "blocked_scan" in lines(stallgate, "run", replayed_square.name)


# --- schemas ---


def test_schemas_are_printed_as_they_are(stallgate: Stallgate) -> None:
    assert stallgate("schema").stdout.split() == list(COMMANDS)
    printed = json.loads(stallgate("schema", "gate").stdout)
    assert printed == json_schema("gate")
    assert printed["$schema"].endswith("2020-12/schema")
    assert printed == json.loads(stallgate("schema", "gate", "--json").stdout)["schemas"]["gate"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_schema_refuses_what_is_no_answer(command: str) -> None:
    schema = json_schema(command)
    envelope = {"schema": 3, "command": command, "ok": False, "status": 2}
    error = {"code": "a", "message": "b", "hint": "c"}
    assert not violations({**envelope, "error": error}, schema, schema)
    assert violations(envelope, schema, schema)
    assert violations({**envelope, "error": error, "more": 1}, schema, schema)
    assert violations({**envelope, "error": {"code": "a"}}, schema, schema)
    assert violations({**envelope, "error": error, "command": "other"}, schema, schema)


def test_schemas_say_what_fields_mean() -> None:
    parts = json_schema("gate")["$defs"]
    assert parts["MetricValue"]["properties"]["low"]["description"] == "The lowest sample."
    assert parts["GateFactsAnswer"]["description"] == "A run's judgement."
    assert "baseline" in parts["VerdictFacts"]["properties"]["tolerance"]["description"]
