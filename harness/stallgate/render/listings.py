"""Lists of runs, problems and stages for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from stallgate.formatting import SIGNS, limit, percent, without_controls

if TYPE_CHECKING:
    from stallgate.compare.history import StoredRun
    from stallgate.model import Problem, Stage, Target
    from stallgate.render.loop_listing import LoopListed
    from stallgate.render.sweep_listing import SweepListed


def _text(words: str, style: str = "") -> Text:
    return Text(without_controls(words), style)


def runs_table(
    runs: Sequence[StoredRun], sweeps: Mapping[Path, SweepListed], loops: Mapping[Path, LoopListed]
) -> Table:
    """A row for each run, sweep and loop, in the given order; a run that cannot be read has its reason."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("run", overflow="fold", min_width=12)
    for heading in ("kind", "problems", "GPU"):
        table.add_column(heading, overflow="fold")
    table.add_column("cases", justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold", min_width=14)
    for stored in runs:
        swept, looped = sweeps.get(stored.folder), loops.get(stored.folder)
        if swept is not None:
            table.add_row(*_sweep_cells(stored.folder.name, swept))
        elif looped is not None:
            table.add_row(*_loop_cells(stored.folder.name, looped))
        else:
            table.add_row(*_run_cells(stored))
    return table


def older_text(older: int, total: int) -> Iterator[Text]:
    """What a list of runs leaves out, and how to see it; nothing where it is whole."""
    if older:
        be = "run is" if older == 1 else "runs are"
        yield _text(f"{older:,} older {be} not listed: `stallgate show runs --limit {total}` lists all", "dim")


def _sweep_cells(name: str, listed: SweepListed) -> list[Text]:
    cells = [name, "sweep", listed.problem, _short_gpus(listed.gpus), listed.timed.replace(" of ", "/")]
    return [_text(words) for words in [*cells, listed.word]]


def _loop_cells(name: str, listed: LoopListed) -> list[Text]:
    """A loop; where runs have cases, it has answers: accepted of all."""
    cells = [name, "loop", listed.problem, _short_gpus(listed.gpus), listed.accepted.replace(" of ", "/")]
    return [_text(words) for words in [*cells, listed.word]]


def _short_gpus(gpus: Sequence[str]) -> str:
    return ", ".join(gpu.removeprefix("NVIDIA ") for gpu in gpus) or "–"


def _run_cells(stored: StoredRun) -> list[Text]:
    run = stored.outline
    if run is None:
        return [_text(stored.folder.name), *[_text("–")] * 4, _text("; ".join(stored.gaps), "yellow")]
    profiled = run.outcomes.get("profiled", 0)
    answer = stored.mark or "not judged"
    return [
        _text(stored.folder.name),
        _text(run.kind, "yellow" if run.kind == "recorded" else ""),
        _text(", ".join(run.problems)),
        _text(_short_gpus(run.gpus)),
        _text(f"{profiled}/{run.cases}", "" if profiled == run.cases else "yellow"),
        _text(answer if run.complete or run.kind != "live" else f"{answer}, incomplete"),
    ]


def problems_text(problems: Sequence[Problem], recorded: dict[str, list[str]]) -> Iterator[Text]:
    """A paragraph for each problem."""
    for problem in problems:
        yield _text(problem.name, "bold") + _text(f"  {problem.title}")
        for role in ("candidate", "baseline", "roof", "unknown"):
            names = [variant.name for variant in problem.variants.values() if variant.role == role]
            if names:
                yield _text(f"  {role}s: {', '.join(names)}")
        marked = [f"{name} (default)" if found.default else name for name, found in problem.workloads.items()]
        yield _text(f"  workloads: {', '.join(marked) or 'none'}")
        yield _text(f"  stages: {', '.join(problem.stages) or 'none'}")
        yield _text(f"  recordings: {', '.join(recorded[problem.name]) or 'none'}", "dim")


def stages_text(stages: Sequence[Stage], gated: dict[str, list[str]]) -> Iterator[Text]:
    """A paragraph for each stage, with its targets."""
    for stage in stages:
        yield _text(stage.name, "bold") + _text(f"  {stage.title}")
        for target in stage.targets:
            yield _text(f"  {_target(target)}")
        for name in stage.includes:
            yield _text(f"  and the targets of {name}")
        yield _text(f"  gates: {', '.join(gated[stage.name]) or 'no problem'}", "dim")


def _target(target: Target) -> str:
    """A target in words."""
    name = target.metric.name
    if target.bound is None:
        points = target.tolerance_points
        slack = percent(target.tolerance or 0.0) if points is None else f"{points:g} points"
        words = f"{name} at most {slack} worse than the baseline{', whatever the time' * target.insist}"
    else:
        comparison, bound = target.bound
        held = f"{percent(bound)} of the roof's" if target.of == "roof" else limit(bound, target.metric.unit)
        words = f"{name} {SIGNS[comparison]} {held}"
    whose = f" for {', '.join(target.variants)}" if target.variants else ""
    return f"{words}{whose}{', in each kernel' if target.scope == 'kernel' else ''}"
