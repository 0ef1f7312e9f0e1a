"""Texts of figures can be read, whatever the names, the metrics and the values: none covers another or is cut."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import get_args

import pytest

from stallgate.judge.front import FrontAxis, FrontPoint, ParetoFront
from stallgate.judge.sensitivity import TunableEffect
from stallgate.judge.sweep_times import TimeSpan
from stallgate.model import Family, Metric, Role
from stallgate.render.bench_figure import SpeedBar, SpeedPanel, speeds_figure
from stallgate.render.compare_figures import Shift, times_figure
from stallgate.render.figures import (
    Dot,
    EarlierStates,
    FigureRow,
    Limit,
    Occupancy,
    Panel,
    RooflineCeiling,
    Share,
    ShareBar,
    TradePoint,
    Work,
    occupancy_figure,
    panels_figure,
    program_figure,
    roofline_figure,
    trade_figure,
    warp_states_figure,
)
from stallgate.render.memory_chart import Link, MemoryPath, memory_figure
from stallgate.render.sheet import INK, NARROW, WIDE, Sheet
from stallgate.render.sweep_figures import SweepMarks, draw_effects, front_figure
from stallgate.render.trend_figure import Stretch, Trend, Trends, trends_figure
from stallgate.render.units import Unit, units_figure
from tests.render.readable import unreadable

LayOut = Callable[[float], Sheet]
Chance = random.Random

SIGNS = "abcdefghijklmnopqrstuvwxyzABCWM_-./ 0123456789"


def _name(chance: Chance, length: int = 40) -> str:
    """A name of so many characters, with or without places where it may be cut."""
    signs = chance.choice([SIGNS, "W", "abc_", "il", "Ж漢🔥w"])
    return "".join(chance.choice(signs) for _ in range(length)).strip() or "name"


def _rows(chance: Chance) -> list[FigureRow]:
    count, length = chance.randint(1, 12), chance.choice([3, 12, 40])
    roles = ["candidate", *(chance.choice(get_args(Role)) for _ in range(count - 1))]
    return [FigureRow(name=_name(chance, length), role=role) for role in roles]


def _value(chance: Chance) -> float:
    return chance.choice([0.0, 1.0, 0.99, 99.9, 7.531e-08, 1_340_448.0, 1.7e11, 10 ** chance.uniform(-4, 12)])


def _title(chance: Chance) -> str:
    return " ".join(_name(chance, chance.choice([5, 40])) for _ in range(chance.randint(1, 12)))


def _metric(chance: Chance) -> Metric:
    unit = chance.choice(["%", "byte", "ns", "", "TFLOP/s", "register", "a rather long unit of something"])
    return Metric(
        name="metric",
        title=_name(chance, chance.choice([8, 40])),
        unit=unit,
        direction=chance.choice(["higher", "lower", "neither"]),
        names=[],
    )


def _dot(chance: Chance, around: float) -> Dot:
    if chance.random() < 0.15:
        return Dot(median=None, low=None, high=None, gap=chance.choice(["absent", _name(chance, 40)]))
    median = chance.choice([around, around * chance.uniform(0.9, 1.1), _value(chance)])
    return Dot(
        median=median,
        low=median * 0.99,
        high=median * 1.01,
        before=chance.choice([None, around]),
        earlier=chance.choice([None, median, _value(chance)]),
    )


def _panel(chance: Chance, rows: int) -> Panel:
    around = _value(chance)
    limit = Limit(comparison=chance.choice(["at_least", "above", "at_most", "below"]), bound=around * 0.97)
    return Panel(
        metric=_metric(chance),
        dots=[_dot(chance, around) for _ in range(rows)],
        limit=chance.choice([None, limit]),
        roof=chance.choice([None, around, around * 1.01]),
        roof_label=chance.choice(["roof", "library", "needed"]),
    )


def panels(chance: Chance) -> LayOut:
    rows = _rows(chance)
    drawn = [_panel(chance, len(rows)) for _ in range(chance.randint(2, 20))]
    return partial(panels_figure, _title(chance), rows, drawn, _name(chance))


def warp_states(chance: Chance) -> LayOut:
    rows = _rows(chance)
    states = [
        Share(
            _name(chance, 20),
            chance.choice(get_args(Family)),
            [chance.choice([None, 0.1, 30.0]) for _ in rows],
            before=[chance.choice([None, 0.1, 40.0]) for _ in rows],
        )
        for _ in range(chance.randint(1, 19))
    ]
    cycles = chance.choice([[], [chance.choice([None, 3.0, 107.0, 2e4]) for _ in rows], [1e3 for _ in rows]])
    before = EarlierStates(_name(chance), [chance.choice([None, 3.0, 2e4]) for _ in rows])
    return partial(warp_states_figure, _title(chance), rows, states, cycles, chance.choice([None, before]))


def occupancy(chance: Chance) -> LayOut:
    rows = _rows(chance)
    found = [
        Occupancy(
            achieved=chance.choice([None, 0.0, 3.0, 100.0, 25.0]),
            possible=chance.choice([25.0, 100.0]),
            limiter=chance.choice(["not limited", "limited by registers, shared memory, warps of a multiprocessor"]),
            more=chance.choice(
                [[], ["one more block: 56 registers a thread", "one more block: 75 kB of shared memory"]]
            ),
            before=chance.choice([None, 0.0, 25.0, 100.0]),
        )
        for _ in rows
    ]
    return partial(occupancy_figure, _title(chance), rows, found, _name(chance))


def trade(chance: Chance) -> LayOut:
    rows = _rows(chance)
    same = (chance.uniform(0, 100), _value(chance) + 0.1)
    points = []
    for row in rows:
        stall, speed = chance.choice([same, (chance.uniform(0, 100), same[1] * chance.uniform(0.5, 1.1))])
        before = chance.choice([None, same, (chance.uniform(0, 100), speed * 0.7)])
        points.append(TradePoint(name=row.name, role=row.role, stall=stall, speed=speed, before=before))
    axes = ("waits for global memory [%]", "fraction of the roof")
    return partial(trade_figure, _title(chance), points, axes, _name(chance))


def roofline(chance: Chance) -> LayOut:
    works = [
        Work(
            name=row.name,
            role=row.role,
            bytes_per_second=chance.choice([1e12, 10 ** chance.uniform(9, 12.5)]),
            flops_per_second=chance.choice([1e12, 10 ** chance.uniform(9, 15)]),
            by_need=chance.random() < 0.3,
            before=chance.choice([None, (1e12, 1e12), (2e11, 3e13)]),
        )
        for row in _rows(chance)
    ]
    levels = [10 ** chance.uniform(12, 15) for _ in range(chance.randint(1, 5))]
    ceilings = [RooflineCeiling(name=f"{_name(chance)}, {level:.4g}", flops_per_second=level) for level in levels]
    ceilings += [RooflineCeiling(name=_name(chance), bytes_per_second=10 ** chance.uniform(11, 13)) for _ in "abc"]
    return partial(roofline_figure, _title(chance), works, ceilings, "FP32 operations", _name(chance))


def program(chance: Chance) -> LayOut:
    bars = [
        ShareBar(name=row.name, share=chance.random(), label=_name(chance, 45), measured=chance.random() < 0.5)
        for row in _rows(chance)
    ]
    return partial(program_figure, _title(chance), bars)


def speed_of_light(chance: Chance) -> LayOut:
    rows = _rows(chance)
    found = [
        Unit(
            _name(chance, chance.choice([4, 16])),
            "title",
            [chance.choice([None, 0.0, 55.5, 104.9]) for _ in rows],
            chance.choice([[], [chance.choice([None, 0.0, 55.5, 104.9]) for _ in rows]]),
        )
        for _ in range(chance.randint(1, 10))
    ]
    return partial(units_figure, _title(chance), rows, found, _name(chance))


def memory(chance: Chance) -> LayOut:
    def known(value: float) -> float | None:
        return chance.choice([None, 0.0, value])

    paths = [
        MemoryPath(
            name=row.name,
            role=row.role,
            links=[
                Link(
                    name, known(9.99e11), known(1.234e8), known(104.95), (known(8.88e11), known(9.87e10), known(99.95))
                )
                for name in ("a", "b", "c")
            ],
            hits_before=(known(100.0), known(12.3)),
            hits=[known(99.95), known(100.0)],
            needed=known(8.59e9),
            traffic=known(1.234),
        )
        for row in _rows(chance)
    ]
    return partial(memory_figure, _title(chance), paths, chance.choice(["", _title(chance)]), _name(chance))


def speeds(chance: Chance) -> LayOut:
    def bar(name: str) -> SpeedBar:
        if chance.random() < 0.2:
            return SpeedBar(name=name, colour=INK, said=chance.choice(["no copy to compare with", "wrong result"]))
        fraction = chance.uniform(0.01, 1.3)
        said = chance.choice([f"{fraction:.3f}", f"{fraction:.3f} · 1,234 TFLOP/s"])
        return SpeedBar(name, INK, said, fraction, (fraction * 0.98, fraction * 1.02))

    drawn = [SpeedPanel(_name(chance), [bar(row.name) for row in _rows(chance)]) for _ in range(chance.randint(1, 5))]
    return partial(speeds_figure, _title(chance), drawn)


def trends(chance: Chance) -> LayOut:
    rows, labels = _rows(chance), [_name(chance, chance.choice([7, 16, 40])) for _ in range(chance.randint(2, 30))]
    conditions = [_name(chance, chance.choice([40, 90])) for _ in range(chance.randint(1, 6))]
    columns = [_name(chance, chance.choice([8, 40])) for _ in range(chance.randint(2, 20))]

    def stretch(around: float) -> Stretch:
        places = sorted(chance.sample(range(len(labels)), chance.randint(2, len(labels))))
        return Stretch(chance.randrange(len(conditions)), places, [_dot(chance, around) for _ in places])

    def trend() -> Trend:
        around = _value(chance)
        found = [stretch(around) for _ in range(chance.choice([0, 1, 1, 3]))]
        limit = Limit(comparison="at_most", bound=around * 1.02) if chance.random() < 0.5 else None
        return Trend(found, limit, [chance.randrange(len(labels))])

    panels = [[trend() for _ in columns] for _ in rows]
    return partial(trends_figure, _title(chance), Trends(labels, conditions, rows, columns, panels))


def two_runs(chance: Chance) -> LayOut:
    def shift() -> Shift:
        said = chance.choice(["same: +0.012 %", "✗ slower: +1,234 %", "not comparable", _name(chance)])
        change = chance.choice([None, 0.0, 0.01, chance.uniform(-0.9, 30)])
        if change is None or chance.random() < 0.3:
            return Shift(change=change, low=None, high=None, said=said, word="shown")
        return Shift(change=change, low=change - 0.01, high=change + 0.01, said=said, word="slower")

    rows = _rows(chance)
    return partial(times_figure, _title(chance), rows, [shift() for _ in rows])


def _span(value: float) -> TimeSpan:
    return TimeSpan(median=value, low=value, high=value, samples=3)


def sweep_front(chance: Chance) -> LayOut:
    """1 to 60 configurations on a front, tied with it or behind it, of which some coincide."""
    same = (10 ** chance.uniform(-1, 6), chance.choice([0.0, 30.0, _value(chance)]))
    points, names = [], []
    for number in range(chance.choice([1, 2, chance.randint(3, 60), 60])):
        x, y = chance.choice([same, (same[0] * chance.uniform(0.9, 1.3), same[1] * chance.uniform(0.5, 1.1))])
        name, on_front = f"{number}", chance.random() < 0.6
        ties = [] if on_front or chance.random() < 0.5 else ["0"]
        points.append(FrontPoint(name, _span(x), _span(y), on_front, ties))
        names.append(_name(chance, chance.choice([6, 40])))
    unit = chance.choice(["%", "", "a rather long unit of something"])
    axes = FrontAxis("time", _name(chance), "us"), FrontAxis("stall", _name(chance), unit)
    marks = SweepMarks(
        suggested=chance.choice([None, points[-1].configuration]),
        default=chance.choice(["default", points[0].configuration]),
        labels={point.configuration: name for point, name in zip(points, names, strict=True)},
    )
    return partial(front_figure, _title(chance), ParetoFront("workload", *axes, points), marks)


def sweep_effects(chance: Chance) -> LayOut:
    effects = [
        TunableEffect(
            tunable=row.name,
            share=chance.choice([0.0, 1.0, chance.random()]),
            reach=chance.choice([0.0, 0.1234, 17.0]),
            best=chance.choice([128, True, _name(chance)]),
            matched=0,
            values=[],
        )
        for row in _rows(chance)
    ]
    title = _title(chance)

    def lay_out(width: float) -> Sheet:
        sheet = Sheet(title, width)
        draw_effects(sheet, effects)
        return sheet

    return lay_out


FIGURES = [
    sweep_front,
    sweep_effects,
    trends,
    two_runs,
    speeds,
    panels,
    speed_of_light,
    memory,
    warp_states,
    occupancy,
    trade,
    roofline,
    program,
]
DRAWN = 12
"""Figures of each kind that are laid out."""


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.__name__)
def test_no_text_covers_another_or_leaves_its_figure(figure: Callable[[Chance], LayOut]) -> None:
    for seed in range(DRAWN):
        lay_out = figure(Chance(seed))
        for width in (WIDE, NARROW):
            assert unreadable(lay_out(width)) == [], f"seed {seed}, {width:g} pixels wide"
