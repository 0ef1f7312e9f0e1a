"""What the committed recordings say of themselves, so that no test knows which GPU they are of.

A test whose expectation is of a recording takes the GPU, the folder and the figures from here. Where recordings of
another GPU replace these, no test has to change.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

from stallgate.judge.evaluate import JudgedRun, evaluate
from stallgate.model import Case, GpuSpec, Run
from stallgate.project.load import load_project
from stallgate.runs.folder import load

ROOT = Path(__file__).resolve().parents[1]


class Recording(NamedTuple):
    """A committed recording of a problem."""

    folder: Path
    run: Run

    @property
    def path(self) -> str:
        """Its folder, relative to the project."""
        return self.folder.relative_to(ROOT).as_posix()

    @property
    def name(self) -> str:
        """The name under which commands take it as a run."""
        return self.folder.relative_to(ROOT / "reports").as_posix()

    @property
    def gpu(self) -> str:
        """The GPU by the name that its driver reports."""
        (name,) = {attempt.environment.gpu for attempt in self.run.attempts if attempt.environment}
        return name

    @property
    def card(self) -> GpuSpec:
        """The data sheet of its GPU."""
        return sheet_of(self.gpu)


@cache
def committed(problem: str = "cumprod") -> Recording:
    """The one committed recording of a problem."""
    (folder,) = (ROOT / "reports" / "recorded").glob(f"*/{problem}")
    return Recording(folder, load(folder))


def sheet_of(gpu: str) -> GpuSpec:
    """The data sheet of a GPU, by the name that its driver reports."""
    found = load_project(ROOT).gpu_spec_of(gpu)
    assert found is not None, gpu
    return found


def unlike_recorded(*gpus: str) -> list[str]:
    """Those of some GPUs that the committed recordings are not of."""
    recorded = {committed(folder.name).gpu for folder in (ROOT / "reports" / "recorded").glob("*/*")}
    return [gpu for gpu in gpus if gpu not in recorded]


OTHER, THIRD = unlike_recorded("NVIDIA H200", "NVIDIA B200", "NVIDIA L4")[:2]
"""Two GPUs with a data sheet that no recording is of."""


def made_up_name(gpu: str) -> str:
    """The name of a GPU that does not exist. It is as long as another's, which it can replace in an ncu report."""
    assert "NVIDIA" in gpu
    return gpu.replace("NVIDIA", "MADEUP")


@cache
def judged(problem: str = "cumprod") -> JudgedRun:
    """The committed recording of a problem, read and judged."""
    return evaluate(load_project(ROOT), committed(problem).folder, [])


def median_of(case: str, metric: str = "duration") -> float:
    """The median of a metric over a case's samples, in the metric's unit.

    Args:
        case: ``problem/variant/workload``; of the default configuration.
        metric: by its name in the catalogue.
    """
    problem, variant, workload = case.split("/")
    named = Case(problem=problem, variant=variant, configuration="default", workload=workload)
    median = judged(problem).summaries[named, metric].median
    assert median is not None, (case, metric)
    return median


def milliseconds(ns: float, digits: int = 4) -> str:
    """A duration as it is told: ``2.810 ms``."""
    return f"{ns / 1e6:#.{digits}g} ms"
