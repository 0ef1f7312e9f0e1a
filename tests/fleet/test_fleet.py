"""A plan of forty cases on four workers: whoever is killed, the results are those of one process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from tests.cli.test_failures import said
from tests.fleet.conftest import PROBLEMS, VARIANTS, WORKLOADS, FleetTree
from tests.processes import processes_in

FATAL = ("cumprod/blocked_scan/default/page", "cumfold/two_pass_scan/default/square", "cumtake/copy_roof/default/page")
"""A worker is killed when it comes to one of these cases for the first time; each is of another part."""

PATIENT = ("--wait", "300")
"""On a busy machine a worker takes a minute to start again."""


def test_forty_cases_on_four_workers_of_which_three_are_killed(fleet: FleetTree) -> None:
    alone = fleet.run("profile")
    assert alone.returncode == 0, alone.stderr
    expected = fleet.latest
    struck = fleet.root.parent / "struck"
    struck.mkdir()
    lost = {"FAKE_NCU": "host_lost", "FAKE_NCU_CASE": ",".join(FATAL), "FAKE_NCU_STRUCK": str(struck)}
    done = fleet.run("profile", "--on", "local", *PATIENT, **lost)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in struck.iterdir()} == {name.replace("/", ".") for name in FATAL}
    assert len({path.read_text() for path in struck.iterdir()}) == len(FATAL), "each kill ended a worker of its own"
    assert fleet.latest != expected
    assert numbers_of(fleet.latest).equals(numbers_of(expected))
    assert verdicts_of(fleet.latest) == verdicts_of(expected)
    nothing_is_lost_or_doubled(fleet.latest)
    nothing_is_left(fleet.tmp)


def numbers_of(folder: Path) -> pd.DataFrame:
    """Every number of a run, whatever attempt it is from."""
    table = pd.read_csv(folder / "metrics.csv")
    return table.drop(columns=[name for name in ("source", "attempt", "device") if name in table])


def verdicts_of(folder: Path) -> Any:
    return [
        {key: value for key, value in verdict.items() if key != "run"}
        for verdict in msgspec.json.decode((folder / "verdicts.json").read_bytes())["verdicts"]
    ]


def nothing_is_lost_or_doubled(folder: Path) -> None:
    run = msgspec.json.decode((folder / "run.json").read_bytes())
    names = [tuple(found["case"].values()) for found in run["cases"]]
    assert len(set(names)) == len(names) == len(PROBLEMS) * len(VARIANTS) * len(WORKLOADS)
    assert {found["outcome"] for found in run["cases"]} == {"profiled"}
    assert run["complete"]
    attempts = [attempt["name"] for attempt in run["attempts"]]
    assert len(set(attempts)) == len(attempts) == len(PROBLEMS) * len(WORKLOADS)
    assert {found["attempt"] for found in run["cases"]} == set(attempts)
    environments = [attempt["environment"] for attempt in run["attempts"]]
    assert all(found["host"] and found["uuid"].startswith("GPU-fake-one-") for found in environments)
    assert len({found["uuid"] for found in environments}) > 1, "one worker did everything"
    assert len(list((folder / "ncu").glob("*.ncu-rep"))) == len(attempts)


def nothing_is_left(tmp: Path) -> None:
    """No process that knows the folder. Of files there are locks, and what the next profile on a GPU removes."""
    for _ in range(200):
        if not processes_in(tmp):
            break
        time.sleep(0.1)
    assert processes_in(tmp) == []
    assert [path for path in tmp.iterdir() if not path.name.startswith("stallgate-GPU-fake-one-")] == []


def test_a_case_that_takes_two_workers_with_it_is_given_up(fleet: FleetTree) -> None:
    case = "cumprod/adaptive_scan/default/page"
    variables = {"FAKE_GPUS": "2", "FAKE_NCU": "host_lost", "FAKE_NCU_CASE": case}
    done = fleet.run("profile", "--on", "local", *PATIENT, "cumprod", "-w", "page", **variables)
    assert done.returncode == 3, done.stderr
    run = msgspec.json.decode((fleet.latest / "run.json").read_bytes())
    outcomes = {"/".join(found["case"].values()): (found["outcome"], found["reason"]) for found in run["cases"]}
    outcome, reason = outcomes.pop(case)
    assert outcome == "crashed"
    assert reason.startswith("its worker was lost 2 times: on ")
    assert reason.count("GPU-fake-one-") == reason.count("in step 'sample 2 of 5'") == 2
    assert set(outcomes.values()) == {("profiled", "")}
    assert run["complete"]
    nothing_is_left(fleet.tmp)


def test_what_a_worker_could_not_measure_is_resumed(fleet: FleetTree) -> None:
    words = ("--on", "local", *PATIENT)
    fails = {"FAKE_NCU": "no_torch", "FAKE_NCU_CASE": "cumprod/copy_roof/default/page"}
    done = fleet.run("profile", "cumprod", *words, FAKE_GPUS="2", **fails)
    assert done.returncode == 3, done.stderr
    said(done, "GPU-fake-one-", "cannot import torch", "--resume")
    folder, begun = fleet.latest, outcomes_of(fleet.latest)
    assert {case.rpartition("/")[2] for case, (outcome, _) in begun.items() if outcome == "profiled"} == {"square"}
    assert {case.rpartition("/")[2] for case, (outcome, _) in begun.items() if outcome == "planned"} == {"page"}
    done = fleet.run("profile", "--resume", "latest", *words, FAKE_GPUS="2")
    assert done.returncode == 0, done.stderr
    ended = outcomes_of(folder)
    assert {outcome for outcome, _ in ended.values()} == {"profiled"}
    assert {case: found for case, found in ended.items() if case.endswith("/square")} == {
        case: found for case, found in begun.items() if case.endswith("/square")
    }, "what was measured is not measured again"
    nothing_is_left(fleet.tmp)


def outcomes_of(folder: Path) -> dict[str, tuple[str, str | None]]:
    """Case -> its outcome, and the attempt that it is from."""
    run = msgspec.json.decode((folder / "run.json").read_bytes())
    return {"/".join(found["case"].values()): (found["outcome"], found["attempt"]) for found in run["cases"]}


def test_gpu_models_have_runs_of_their_own(fleet: FleetTree) -> None:
    variables = {"FAKE_GPUS": "2", "FAKE_GPU_NAME": "NVIDIA H200,NVIDIA H100 PCIe"}
    words = ("profile", "cumprod", "-w", "page", "--on", "local")
    refused = fleet.run(*words, **variables)
    assert refused.returncode == 2
    said(refused, "GPUs of 2 models: NVIDIA H100 PCIe and NVIDIA H200", "--gpu", "--each-model")
    done = fleet.run(*words, "--each-model", "--json", **variables)
    found = msgspec.json.decode(done.stdout)
    runs = [msgspec.json.decode((Path(each["run"]) / "run.json").read_bytes()) for each in [found, *found["others"]]]
    models = [{attempt["environment"]["gpu"] for attempt in run["attempts"]} for run in runs]
    assert models == [{"NVIDIA H100 PCIe"}, {"NVIDIA H200"}]
    assert [len(run["cases"]) for run in runs] == [len(VARIANTS)] * 2
    assert done.returncode == 0, done.stderr


def test_a_worker_that_cannot_measure_is_named_before_the_first_task(fleet: FleetTree) -> None:
    (fleet.root.parent / "bin" / "ncu").unlink()
    doctor = fleet.run("doctor", "--on", "local", FAKE_GPUS="1", FAKE_SMI_SAYS="MIG Mode\n    Current : Enabled")
    assert doctor.returncode == 3
    assert "Nsight Compute (ncu) is not on its PATH" in " ".join(doctor.stdout.split())
    assert "NVIDIA H200 (MIG)" in " ".join(doctor.stdout.split())
    assert "0 of 1 workers can measure" in doctor.stdout
    done = fleet.run("profile", "--on", "local", FAKE_GPUS="1")
    assert done.returncode == 3
    said(done, "cannot measure: Nsight Compute (ncu) is not on its PATH", "stallgate doctor --on")
    assert not (fleet.root / "reports" / "latest").exists()
