"""A variant over GPU models in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from stallgate.compare.gpu_models import OnModel, OverModels, shown_metrics
from stallgate.model import Metric
from stallgate.project.load import Project
from stallgate.render.model_words import cell_of, controls_of, notes_of, place_in_words
from stallgate.render.terminal_text import hang, out, styled


def show_charts(project: Project, charts: Sequence[OverModels]) -> None:
    """For each variant a table for each workload, a column for each GPU model; then what differs beside the GPU."""
    if not charts:
        out.print(styled("Nothing of this was measured on a known GPU; `stallgate profile` measures."))
    groups: dict[str, list[OverModels]] = {}
    for each in charts:
        groups.setdefault(f"{each.case.problem}/{each.case.variant}", []).append(each)
    for name, mine in groups.items():
        out.print(styled(name, "bold"))
        for each in mine:
            metrics = [project.catalogue.metrics[metric] for metric in shown_metrics(project, each)]
            hang(out, styled("  "), f"{place_in_words(each)}, {controls_of(each)}", 4)
            for models in _in_width(each.models, metrics):
                out.print(_table(models, metrics))
        for sentence in notes_of(mine):
            hang(out, styled("· "), sentence, 2)


_LEAST_WIDTH = 16
"""Characters of a GPU model's column, with the gap beside it: numbers and dates are not broken."""


def _in_width(models: Sequence[OnModel], metrics: Sequence[Metric]) -> Iterator[Sequence[OnModel]]:
    """As many GPU models at a time as have room beside the metrics' names."""
    room = out.width - max(len(metric.name) for metric in metrics)
    most = max(1, room // _LEAST_WIDTH)
    return (models[start : start + most] for start in range(0, len(models), most))


def _table(models: Sequence[OnModel], metrics: Sequence[Metric]) -> Table:
    """A column for each GPU model: names of GPUs are long, and there are fewer than metrics."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for found in models:
        table.add_column(styled(found.gpu.removeprefix("NVIDIA ")), overflow="fold")
    for metric in metrics:
        cells = [cell_of(found, metric) for found in models]
        table.add_row(metric.name, *(styled(cell.text, "yellow" if cell.gap else "") for cell in cells))
    table.add_row("numbers", *(_standing(found) for found in models))
    table.add_row("measured", *(styled(found.time.created[:10]) for found in models))
    table.add_row("run", *(styled(found.run) for found in models))
    return table


def _standing(found: OnModel) -> Text:
    return styled(found.standing, "yellow" if found.stale or found.kind == "recorded" else "")
