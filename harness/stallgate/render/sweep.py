"""``sweep.html`` and ``sweep.png``: what a sweep found, in one self-contained page and in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from stallgate.formatting import shortened, spaced
from stallgate.judge.front import ParetoFront
from stallgate.judge.suggestion import Standing, SweepResult, sweep_result
from stallgate.model import FrozenStruct
from stallgate.project.load import Project
from stallgate.render.sweep_figures import SweepMarks, front_svg, sweep_png
from stallgate.render.sweep_screen import sweep_screen
from stallgate.render.sweep_words import (
    check_text,
    effect_text,
    gain_short,
    gain_text,
    headline_of,
    label_of,
    metric_text,
    microseconds,
    remarks_on,
    share_text,
    span_text,
    state_counts,
    state_word,
    targets_short,
    ties_line,
    value_text,
    values_text,
)
from stallgate.render.template import template
from stallgate.runs.folder import SWEEP_FILE, write_whole
from stallgate.runs.sweep import Sweep, Trial, TrialState, sweep_called

SWEEP_PAGE = "sweep.html"
SWEEP_PICTURE = "sweep.png"

_BEST = 10
"""Configurations in the table of the first screen."""


def draw_sweep(project: Project, folder: Path, *, against: str = "") -> list[Path]:
    """Draws the sweep of a folder; the paths of its files, the page first. Nothing where the folder has none."""
    if not (folder / SWEEP_FILE).is_file():
        return []
    sweep = sweep_called(project.reports, folder)
    result = sweep_result(project, sweep, against=against)
    page = folder / SWEEP_PAGE
    write_whole(page, sweep_html(project, sweep, result).encode())
    picture = _picture(sweep, result)
    if picture is None:
        return [page]
    write_whole(folder / SWEEP_PICTURE, picture)
    return [page, folder / SWEEP_PICTURE]


def _picture(sweep: Sweep, result: SweepResult) -> bytes | None:
    front = next((each for each in result.fronts if each.points), None)
    title = f"{sweep.problem}/{sweep.variant}: {headline_of(result)}"
    labels = _labels(sweep)
    marks = SweepMarks(suggested=result.suggestion.configuration, labels=labels)
    return sweep_png(title, front, result.effects, marks)


# --- the page ---------------------------------------------------------------------------------------------------------


_LEGEND = 20
"""Characters of a tunable's name above the table of the best; the table of all trials has the whole name."""


class BestRow(FrozenStruct, frozen=True):
    """A configuration in the table of the best."""

    name: str
    values: str
    """Of its tunables; ``default`` for the default, with its own behind."""
    note: str
    """``suggested``, or ``tie`` with it."""
    final: bool
    time: str
    microseconds: float
    width: float
    """Of its bar, in per cent of the slowest in the table."""
    gain: str
    gain_title: str
    stall: str
    targets: str
    targets_title: str
    style: str


class DrawnFront(FrozenStruct, frozen=True):
    """The front of a workload, drawn."""

    workload: str
    svg: str
    alt: str


class TrialRow(FrozenStruct, frozen=True):
    """A trial in the folded list."""

    trial: Trial
    values: list[str]
    state: str
    time: str
    stall: str
    shared: str


class EffectRow(FrozenStruct, frozen=True):
    """A tunable in the table of sensitivity."""

    tunable: str
    width: float
    share: str
    best: str
    reach: str
    values: str
    matched: int


def sweep_html(project: Project, sweep: Sweep, result: SweepResult) -> str:
    """The page of a sweep."""
    labels = _labels(sweep)
    fronts = [_drawn(front, result, labels) for front in result.fronts if front.points]
    return template("sweep.html.j2").render(
        sweep=sweep,
        result=result,
        headline=headline_of(result),
        style=_style(result),
        screen=sweep_screen(project, sweep, result),
        ties=ties_line(result),
        remarks=remarks_on(sweep, result),
        names=list(sweep.space.tunables),
        legend=" · ".join(shortened(name, _LEGEND) for name in sweep.space.tunables),
        best=_best_rows(sweep, result),
        fronts=fronts,
        effects=_effect_rows(result),
        counts=state_counts(result),
        loads=_load_rows(sweep, result),
        trials=_trial_rows(sweep, result),
        markup=Markup,
    )


def _labels(sweep: Sweep) -> dict[str, str]:
    """Configuration -> what it is called in a figure."""
    names = list(sweep.space.tunables)
    return {t.configuration: label_of(t.configuration, t.tunables, names).replace(" · ", "·") for t in sweep.trials}


def _style(result: SweepResult) -> str:
    """The class of the page's head: green if the suggestion meets the stage, red if it misses a target."""
    return result.suggested.style if result.suggested is not None else "plain"


def _drawn(front: ParetoFront, result: SweepResult, labels: dict[str, str]) -> DrawnFront:
    on_front = front.front
    names = [point.configuration for point in on_front]
    title = f"{len(names)} of {len(front.points)} configurations are on the front"
    unit = front.y.unit
    told = [
        f"{labels.get(p.configuration)} {microseconds(p.x.median)}, {metric_text(p.y.median, unit)}"
        for p in on_front[:5]
    ]
    svg = front_svg(title, front, SweepMarks(suggested=result.suggestion.configuration, labels=labels))
    return DrawnFront(workload=front.workload, svg=svg, alt=f"On {front.workload} {title}: {'; '.join(told)}")


def _best_rows(sweep: Sweep, result: SweepResult) -> list[BestRow]:
    """The best, with the suggested one in any case; the default last."""
    chosen = result.suggestion.configuration
    others = [each for each in result.standings if each.configuration != "default"]
    behind = [each for each in others[_BEST:] if each.configuration == chosen]
    behind += [each for each in result.standings if each.configuration == "default"]
    shown = [*others[: _BEST + 1 - len(behind)], *behind]
    slowest = max((each.score for each in shown), default=1.0)
    return [_best_row(sweep, result, each, slowest) for each in shown]


def _best_row(sweep: Sweep, result: SweepResult, each: Standing, slowest: float) -> BestRow:
    is_chosen = each.configuration == result.suggestion.configuration
    notes = ["suggested"] if is_chosen else ["tie"] if each.tie else []
    return BestRow(
        name=each.configuration,
        note=", ".join(notes),
        final=each.final,
        values=_values(sweep, each),
        time=microseconds(each.score),
        microseconds=each.score,
        width=100 * each.score / slowest,
        gain=gain_short(each.gain) if each.configuration != "default" else "",
        gain_title=gain_text(each.gain),
        stall=_stall_of(result, each.configuration),
        targets=targets_short(each),
        targets_title="; ".join(check_text(check) for check in each.checks),
        style=f"is-{each.style}" if each.style == "pass" or (each.style == "fail" and each.profiled) else "",
    )


def _values(sweep: Sweep, each: Standing) -> str:
    text = values_text(each.tunables, list(sweep.space.tunables))
    return f"default: {text}" if each.configuration == "default" else text


def _stall_of(result: SweepResult, configuration: str) -> str:
    """The metric beside time, on the first workload that has it."""
    if result.axis is None:
        return ""
    for front in result.fronts:
        for point in front.points:
            if point.configuration == configuration:
                return metric_text(point.y.median, result.axis.unit)
    return "–"


def _effect_rows(result: SweepResult) -> list[EffectRow]:
    rows = []
    for effect in result.effects:
        told = [f"{value_text(each.value)}: {effect_text(each.slower)}" for each in effect.values if each.slower > 0]
        rows.append(
            EffectRow(
                tunable=effect.tunable,
                width=100 * effect.share,
                share=share_text(effect.share),
                best=value_text(effect.best),
                reach=effect_text(effect.reach),
                values=", ".join(told),
                matched=effect.matched,
            )
        )
    return rows


def _load_rows(sweep: Sweep, result: SweepResult) -> list[dict[str, str]]:
    """Each workload with the time of the suggestion, the default and the best of its own."""
    rows = []
    labels = _labels(sweep)
    for best in result.best:
        suggested, default = result.suggested, result.default
        rows.append(
            {
                "workload": best.workload,
                "suggested": span_text(suggested.times[best.workload]) if suggested is not None else "–",
                "default": span_text(default.times[best.workload]) if default is not None else "–",
                "best": labels[best.configuration],
                "time": span_text(best.time),
                "gain": gain_text(best.gain),
                "over": gain_short(best.suggested),
            }
        )
    return rows


_STATE_ORDER: list[TrialState] = ["profiled", "timed", "stopped"]


def _trial_rows(sweep: Sweep, result: SweepResult) -> list[TrialRow]:
    """Every trial: those with times first, the fastest first; then by state."""
    names = list(sweep.space.tunables)
    return [_trial_row(trial, names, result) for trial in sorted(sweep.trials, key=_trial_rank)]


def _trial_rank(trial: Trial) -> tuple[bool, bool, float, str, str]:
    time = trial.median_us
    return trial.state not in _STATE_ORDER, trial.state == "stopped", time or 0.0, trial.state, trial.configuration


def _trial_row(trial: Trial, names: Sequence[str], result: SweepResult) -> TrialRow:
    reading = trial.counters.get(result.axis.metric) if result.axis is not None else None
    unit = result.axis.unit if result.axis is not None else ""
    return TrialRow(
        trial=trial,
        values=[value_text(trial.tunables[name]) if name in trial.tunables else "–" for name in names],
        state=state_word(trial.state) if trial.state in _STATE_ORDER else spaced(trial.state),
        time=microseconds(trial.median_us) if trial.median_us is not None else "–",
        stall=metric_text(reading.median, unit) if reading is not None else "–",
        shared=f"{trial.shared_bytes / 1024:.0f} KiB" if trial.shared_bytes is not None else "–",
    )
