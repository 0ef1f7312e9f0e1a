"""What the files of a run have that a page may say: numbers with their units, and words.

Numbers are those of ``metrics.csv`` (medians over samples, the lowest and the highest), what follows from them
(distances from the roof, changes since the base), and counts, bounds and settings in ``verdicts.json`` and
``run.json``.
"""

from __future__ import annotations

import csv
import json
import math
import re
import shlex
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)*(?:e[+-]?\d+)?")
"""A digit within a word is part of a name: L2, H100, float32. Several points are a version's."""

ELSEWHERE = re.compile(r"(?<![\d\w])(?<!\d[ \u00a0])(%|[A-Za-zµ]+(?:/[a-z]+)?)(?!\w)")
UNIT = re.compile(r"[ \u00a0]?(%|[A-Za-zµ]+(?:/[a-z]+)?)(?!\w)")
PREFIXES = {"": 1.0, "n": 1e-9, "µ": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
BASES = {"s": "s", "B": "byte", "byte": "byte", "B/s": "byte/s", "byte/s": "byte/s", "FLOP/s": "flop/s"}
UNITS = {f"{prefix}{unit}": (base, factor) for unit, base in BASES.items() for prefix, factor in PREFIXES.items()}
UNITS |= {"%": ("%", 1.0), "FLOP/byte": ("flop/byte", 1.0)}
UNITS |= {sign: ("", factor) for sign, factor in (("M", 1e6), ("G", 1e9), ("T", 1e12))}
"""What is printed behind a number -> its unit without a prefix, and the factor that the prefix stands for."""

UNITS_OF_LIMIT = {"dram_throughput": "DRAM", "l2_throughput": "L2", "l1_throughput": "L1", "sm_throughput": "SM"}
"""Metric -> what the sentence on the limit of a case calls its unit."""

KEY = ("problem", "variant", "configuration", "workload")
SMALL_STATE = 0.75
"""Warp states below this share, in per cent, in every case are drawn together."""


@dataclass(frozen=True)
class Shown:
    """A number as a text has it."""

    start: int
    end: int
    value: float
    step: float
    """What its last digit counts."""
    units: tuple[tuple[str, float], ...]
    """The unit that is printed behind it, without its prefix and with the factor of that; or else those that stand
    elsewhere in the text, as before a list.
    """
    has_unit: bool

    def is_rounded(self, value: float, slack: float = 0.0) -> bool:
        """Whether a value in the printed unit is this number, as far as its digits go."""
        return abs(value - self.value) <= self.step / 2 * (1 + 1e-6) + 1e-12 * abs(value) + slack


def shown(words: str) -> list[Shown]:
    elsewhere = tuple({UNITS[name]: None for name in ELSEWHERE.findall(words) if name in UNITS})
    return [_shown(words, match, elsewhere) for match in NUMBER.finditer(words)]


def _shown(words: str, match: re.Match[str], elsewhere: tuple[tuple[str, float], ...]) -> Shown:
    digits, _, exponent = match[0].replace(",", "").partition("e")
    if digits.count(".") > 1:
        return Shown(*match.span(), math.nan, 0.0, (), False)
    step = 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
    printed = UNIT.match(words, match.end())
    unit = UNITS.get(printed[1]) if printed else None
    return Shown(
        *match.span(), float(match[0].replace(",", "")), step, (unit,) if unit else elsewhere, unit is not None
    )


@dataclass(frozen=True)
class Fact:
    """A number that the files have, or that follows from them."""

    kind: str
    value: float
    """An integer without a unit is said in full."""
    unit: str = ""
    """As in ``metrics.csv``."""
    names: tuple[str, ...] = ()
    """One of these words has to stand near the number, if there are any."""
    on_axis: bool = False
    """Whether its unit is said outside of the text, with whatever prefix."""

    def is_in(self, number: Shown) -> bool:
        if isinstance(self.value, int) and not self.unit and number.step != 1:
            return False
        base, factor = UNITS.get(self.unit, ("", 1.0))
        if not base and number.has_unit:
            return any(not unit and number.is_rounded(self.value / scale) for unit, scale in number.units)
        if not base or (self.on_axis and not number.has_unit):
            scales = (1.0, 1e3, 1e6, 1e9) if base not in ("", "%") else (1.0,)
            return not number.has_unit and any(number.is_rounded(self.value / scale) for scale in scales)
        return any(number.is_rounded(self.value * factor / scale) for unit, scale in number.units if unit == base)


# --- files ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A case of a run."""

    key: str
    name: str
    """As the page calls it."""
    workload: str
    role: str


@dataclass(frozen=True)
class Spread:
    """The samples of a metric of a whole call."""

    values: tuple[float, ...]
    unit: str

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    @property
    def all(self) -> tuple[float, ...]:
        return self.median, self.low, self.high


Spreads = dict[tuple[str, str], Spread]


def spreads(folder: Path, *, detail: bool = False) -> Spreads:
    """(case, metric) -> its samples, from ``metrics.csv``; or what its launches with every section have."""
    found: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    with (folder / "metrics.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if not row["launch"] and (row["sample"] == "detail") == detail:
                found["/".join(row[part] for part in KEY), row["metric"]].append(row)
    return {
        key: Spread(tuple(float(row["value"]) for row in rows), rows[0]["unit"])
        for key, rows in found.items()
        if all(row["value"] for row in rows)
    }


class Files:
    """What the files of a run have, of its base if there is one, and of the project that it is a run of."""

    def __init__(self, run: Path, base: Path | None, root: Path) -> None:
        self.root = root
        self.run = json.loads((run / "run.json").read_text())
        self.advice = json.loads((run / "advice.json").read_text())
        self.judged = json.loads((run / "verdicts.json").read_text())
        self.base = json.loads((base / "run.json").read_text()) if base else {}
        self.now, self.detail = spreads(run), spreads(run, detail=True)
        self.before = spreads(base) if base else {}
        self.catalogue = tomllib.loads((root / "metrics" / "catalogue.toml").read_text())
        self.metrics = self.catalogue["metrics"]
        stages = root / "metrics" / "stages"
        self.stages = {name: tomllib.loads((stages / f"{name}.toml").read_text()) for name in self.judged["stages"]}
        self.cases = [_case(result) for result in self.run["cases"]]
        self.details: dict[str, list[Any]] = defaultdict(list)
        """What ``run.json`` says of the launches of each case with every section."""
        for detail in (detail for attempt in self.run["attempts"] for detail in attempt["details"]):
            self.details["/".join(detail["case"][part] for part in KEY)].append(detail)

    @cached_property
    def quoted(self) -> list[str]:
        """What they say in words, the longest first; what is only a number has to be about something."""
        attempts = [{**attempt, "details": []} for attempt in self.run["attempts"]]
        runs = (self.run, *self.run["origins"].values(), self.base)
        commits = {str(found["commit"])[:length] for found in runs if found.get("commit") for length in (12, 40)}
        kernels = [kernel for result in self.run["cases"] for kernel in result["kernels"]]
        strings = [
            *_strings([{**self.run, "attempts": attempts}, self.judged, self.catalogue, self.stages]),
            *_strings([{**self.base, "attempts": []}]),
            *_strings([self.advice]),  # whose numbers tests/advise holds against the run
            *(shlex.join(attempt["command"]) for attempt in attempts),
            *(f"{name} {value}" for kernel in kernels for name, value in kernel["configuration"].items()),
            *(str(each) for needs in self._needs.values() for each in needs["arguments"].values()),
        ]
        words = {" ".join(string.split()) for string in strings}
        return sorted(commits | {w for w in words if NUMBER.search(w) and not is_plain(w)}, key=len, reverse=True)

    @property
    def _needs(self) -> dict[str, Any]:
        return {name: load for subject in self.run["subjects"].values() for name, load in subject["workloads"].items()}

    # --- what a text may say of the run as a whole, or of a workload ---

    @cached_property
    def of_run(self) -> list[Fact]:
        settings = self.run["settings"] or {}
        facts = [Fact("setting", settings[name], names=("sample",)) for name in ("samples",) if name in settings]
        facts += [fact for attempt in self.run["attempts"] for fact in _of_attempt(attempt)]
        spec = self.judged["gpu_spec"]
        facts += [Fact("sheet", spec["dram_bandwidth_gb_s"], "GB/s")] if spec else []
        peaks = {name: value for name, value in (spec or {}).items() if name.endswith("_tflops") and value}
        facts += [Fact("sheet", peak, "TFLOP/s", names=("data sheet",)) for peak in peaks.values()]
        counted = Counter((verdict["variant"], verdict["stage"]) for verdict in self.judged["verdicts"])
        facts += [Fact("count", number, names=("target",)) for number in counted.values()]
        statuses = Counter(verdict["status"] for verdict in self.judged["verdicts"] if not verdict["warning"])
        facts += [Fact("count", statuses[name], names=(f" {name}",)) for name in ("waived", "excused")]
        right = [result for result in self._judged_cases if result["outcome"] == "profiled"]
        facts += [Fact("count", len(cases), names=("cases",)) for cases in (right, self._judged_cases)]
        bars = [fact.value for case in self.cases for metric in self.metrics for fact in self.headroom(case, metric)]
        rounded_up = (step * 10.0**power for power in range(9) for step in (1, 2, 5) if step * 10.0**power > 1)
        facts += [Fact("scale", next(s for s in rounded_up if s >= max(bars)), names=("each half",))] if bars else []
        return facts + [Fact("count", number, names=(word,)) for word, number in self._tally.items()]

    @property
    def _judged_cases(self) -> list[Any]:
        """The candidates' cases: they are counted at the top."""
        return [result for result in self.run["cases"] if result["role"] == "candidate"]

    @property
    def _tally(self) -> Counter[str]:
        """What became of the time and the stages' metrics of candidates since the base."""
        names = [target["metric"] for stage in self.stages.values() for target in stage["targets"]]
        names += [name for stage in self.stages.values() for name in stage["shown"]]
        metrics = dict.fromkeys(["duration", *(self.catalogue["aliases"].get(name, name) for name in names)])
        keys = [(case.key, name) for case in self.cases if case.role == "candidate" for name in metrics]
        return Counter(self._word(key) for key in keys if key in self.now and key in self.before)

    def _word(self, key: tuple[str, str]) -> str:
        """Samples that overlap are no change, and so is less than 0.5 %, or 0.5 points. No target is crossed."""
        now, before = self.now[key], self.before[key]
        scale = 1 / before.median if before.median else 1.0
        if self.metrics[key[1]].get("unit") == "%":
            scale = 0.01
        elif key[1] == "roof_fraction":
            scale = 1.0
        if (now.low <= before.high and before.low <= now.high) or abs(scale * (now.median - before.median)) < 0.005:
            return "no change"
        if key[1] != "duration":
            return "moved"
        return "slower" if now.median > before.median else "faster"

    def of_workload(self, workload: str) -> list[Fact]:
        needs = self._needs.get(workload)
        if needs is None:
            return []
        numbers = {name: value for name, value in needs["arguments"].items() if isinstance(value, int | float)}
        small = Fact("state", len(self.small_states(workload)), names=("state",))
        here = [result for result in self.run["cases"] if result["case"]["workload"] == workload]
        derived = [result["needed_bytes"] for result in here if result["needed_bytes"]]
        facts = [
            Fact("need", needs["bytes"] or derived[0], "byte"),
            small,
            Fact("state", SMALL_STATE, "%", names=("state",)),
        ]
        return [*facts, *(Fact("need", value, names=(name,)) for name, value in numbers.items())]

    def small_states(self, workload: str) -> list[str]:
        """Metrics of warp states that are drawn together."""
        cases = [case for case in self.cases if case.workload == workload]
        states = [name for name, metric in self.metrics.items() if "state" in metric]
        shares = {name: [self.now[c.key, name].median for c in cases if (c.key, name) in self.now] for name in states}
        return [name for name in states if max(shares[name], default=0.0) < SMALL_STATE]

    # --- of a case ---

    def of_case(self, case: Case) -> list[Fact]:
        """What follows from a case's metrics."""
        found = self._of_the_roof(case)
        if (case.key, "duration") in self.before and (case.key, "duration") in self.now:
            now, before = (side[case.key, "duration"].median for side in (self.now, self.before))
            found.append(Fact("change", abs(100 * (now - before) / before), "%"))
        if (case.key, "duration") in self.now:
            time = self.now[case.key, "duration"]
            farthest = max(time.high - time.median, time.median - time.low)
            found.append(Fact("spread", 100 * farthest / time.median, "%", names=("samples",)))
        small = [
            self.now[case.key, name].median for name in self.small_states(case.workload) if (case.key, name) in self.now
        ]
        found += [Fact("state", sum(small), "%", names=("state",)), *self._cycles(case, sum(small))]
        found += self._of_one_more_block(case)
        return [*found, *self.roofline(case), *self.moved(case), *self._results(case), *self._utilisation(case)]

    def _utilisation(self, case: Case) -> Iterator[Fact]:
        """How busy each unit is, and how long warps wait, as the sentences on limit and waits name them."""
        for name, metric in self.metrics.items():
            share = self.now.get((case.key, name)) if "state" in metric else None
            if share is not None:
                yield Fact("wait", share.median, "%", names=(f"({metric['state']})",))
        for metric, unit in UNITS_OF_LIMIT.items():
            value = self.now.get((case.key, metric)) or self.detail.get((case.key, metric))
            if value is not None:
                yield Fact("unit", value.median, "%", names=(f"{unit} ",))

    def _of_one_more_block(self, case: Case) -> list[Fact]:
        """Registers of a thread, and KiB of shared memory of a block, with which one more block fits."""
        names = ("occupancy_limit_registers", "occupancy_limit_shared_memory", "block_size")
        registers, shared, threads = (self.now.get((case.key, name)) for name in names)
        if registers is None or shared is None or threads is None or not self.judged["gpu_spec"]:
            return []
        blocks = min(registers.median, shared.median) + 1
        whole = self.judged["gpu_spec"]["shared_memory_per_multiprocessor_kb"]
        most = 65_536 // (8 * blocks * threads.median) * 8
        near = ("one more block",)
        return [Fact("block", int(most), names=near), Fact("block", whole / blocks, names=near)]

    def _cycles(self, case: Case, small: float) -> list[Fact]:
        """Cycles of a warp for each instruction: all, and those in each state."""
        names = ("warps_active", "instructions")
        active, count = (self.now.get((case.key, name)) for name in names)
        if active is None or count is None:
            return []
        whole = active.median / count.median
        found = [Fact("cycles", whole * share / 100, names=("cycles",)) for share in (100.0, small)]
        for name, metric in self.metrics.items():
            share = self.now.get((case.key, name)) if "state" in metric else None
            if share is not None:
                found.append(Fact("cycles", whole * share.median / 100, names=(f"({metric['state']})",)))
        return found

    def _results(self, case: Case) -> list[Fact]:
        """How much of the tolerance each output's worst element takes."""
        worst = next(result["worst"] for result in self.run["cases"] if _case(result) == case)
        used = [Fact("worst", each["used"], names=("tolerance",)) for each in worst]
        return [*used, *(Fact("output", each["output"], names=("output",)) for each in worst)]

    def _of_the_roof(self, case: Case) -> list[Fact]:
        """How far a case is from the fastest roof of its workload."""
        roofs = [c for c in self.cases if (c.role, c.workload) == ("roof", case.workload)]
        times = [self.now[c.key, "duration"].median for c in roofs if (c.key, "duration") in self.now]
        if not times or (case.key, "duration") not in self.now:
            return []
        ratio = self.now[case.key, "duration"].median / min(times)
        found = [Fact("roof", abs(100 * (ratio - 1)), "%"), Fact("roof", ratio)]
        fraction = self.now.get((case.key, "roof_fraction"))
        if fraction is None:
            return found
        left = Fact("roof", 100 * (1 - fraction.median), "%", names=("left",))
        return [*found, Fact("roof", 100 * fraction.median, "%"), left]

    def moved(self, case: Case) -> list[Fact]:
        """The bytes that went between L2 and DRAM."""
        ways = [self.now.get((case.key, name)) for name in ("dram_bytes_read", "dram_bytes_written")]
        known = [spread.median for spread in ways if spread is not None]
        return [Fact("moved", sum(known), "byte", names=("moved",))] if known else []

    def headroom(self, case: Case, metric: str) -> list[Fact]:
        """The distance of a judged median from its bound: points of a share, per cent of anything else."""
        found = []
        for verdict in self.judged["verdicts"]:
            if verdict["metric"] == metric and "/".join(verdict[part] for part in KEY) == case.key:
                off = abs(verdict["value"] - verdict["bound"])
                if verdict["unit"] == "%" or metric == "roof_fraction":
                    found.append(Fact("headroom", off * (1 if verdict["unit"] else 100), names=("point",)))
                else:
                    found.append(Fact("headroom", 100 * off / verdict["bound"], "%", names=("headroom",)))
        return found

    def roofline(self, case: Case) -> list[Fact]:
        """What the launches with every section say of bytes and operations a second."""
        names = ("dram_rate", "flop_rate", "tflops", "fp64_flops", "fp16_flops")
        moved, of_fp32, of_all, *others = (self.detail.get((case.key, name)) for name in names)
        needed = self.now.get((case.key, "effective_bandwidth"))
        roof = [Fact("roofline", needed.median, "GB/s", names=("the roof",))] if needed and case.role == "roof" else []
        if moved is None or of_fp32 is None:
            return roof
        several = of_all is not None and any(other is not None and other.median for other in others)
        done = 1e12 * of_all.median if of_all is not None and several else of_fp32.median
        rates = [Fact("roofline", moved.median, "byte/s"), Fact("roofline", done, "FLOP/s")]
        rates += [Fact("roofline", done / moved.median, "FLOP/byte"), *self._by_cache(case, done)]
        return [*roof, *rates]

    def _by_cache(self, case: Case, done: float) -> Iterator[Fact]:
        """Bytes a second through L1 and L2, and operations for each of them."""
        for names in (("l1_bytes_loaded", "l1_bytes_stored"), ("l2_bytes_read", "l2_bytes_written")):
            parts = [self.detail.get((case.key, name)) for name in names]
            time = self.now.get((case.key, "duration"))
            moved = sum(part.median for part in parts if part is not None)
            if moved and time is not None:
                yield Fact("roofline", 1e9 * moved / time.median, "byte/s")
                yield Fact("roofline", done / (1e9 * moved / time.median), "FLOP/byte")
            peak = self.detail.get((case.key, f"{names[0][:2]}_peak_rate"))
            if peak is not None:
                yield Fact("roofline", peak.median / 1e9, "GB/s", names=("by its counters",))

    def of_metric(self, case: Case, metric: str, *, in_panel: bool = False) -> list[Fact]:
        """The median of a metric; in its panel also the lowest and highest sample, and what it is judged by."""
        spread = self.now.get((case.key, metric), self.detail.get((case.key, metric)))
        values = spread.all[: 3 if in_panel else 1] if spread else ()
        bounds = [
            Fact("bound", verdict["bound"], verdict["unit"], on_axis=True)
            for verdict in self.judged["verdicts"]
            if in_panel and verdict["metric"] == metric and "/".join(verdict[part] for part in KEY) == case.key
        ]
        unit = spread.unit if spread else ""
        before = self.before.get((case.key, metric))
        earlier = [Fact("before", before.median, before.unit, names=("before",))] if before else []
        return bounds + earlier + [Fact("metric", value, unit, on_axis=in_panel) for value in values]


def _of_attempt(attempt: Any) -> Iterator[Fact]:
    yield Fact("setting", attempt["seconds"], "s")
    names = {"compute_capability": "capability", "cuda": "CUDA", "device": "device"}
    plain = [(name, str((attempt["environment"] or {}).get(key, ""))) for key, name in names.items()]
    for name, value in [("process", attempt["name"]), *plain]:
        if is_plain(value):
            yield Fact("setting", int(value) if value.isdigit() else float(value), names=(name,))


def _case(result: Any) -> Case:
    parts = result["case"]
    name = parts["variant"]
    if parts["configuration"] != "default":
        name += f" ({parts['configuration']})"
    return Case("/".join(parts[part] for part in KEY), name, parts["workload"], result["role"])


def _strings(value: Any) -> Iterator[str]:
    """Every string in what a file has, and in lists and tables within."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        yield from (
            string for each in (value.values() if isinstance(value, dict) else value) for string in _strings(each)
        )


def is_plain(words: str) -> bool:
    """Whether a text is a number and nothing else."""
    return re.fullmatch(r"[−+-]?[\d,]*\.?\d+(e[+-]?\d+)?", words) is not None
