"""Every sentence with a number that a page may say of a run, composed here of the run's files and of nothing else.

A number on the page has a source if the phrase that it stands in is one of these, word for word: a number beside the
wrong case, metric or workload, or rounded in another way, makes another phrase. Numbers come from

- ``metrics.csv``: medians over samples, their lowest and highest; a time over the roof's; the change of a median since
  the base, in per cent of the base's;
- ``verdicts.json`` and ``run.json``: bounds, counts, and what they say in words, which may stand on the page as it is;
- the catalogue and the stages, whose fixed words the page quotes.
"""

from __future__ import annotations

import csv
import json
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

from tests.render.page_text import Text

NUMBER = re.compile(r"(?<!\w)\d[\d.,]*")
"""A digit within a word is part of a name: L2, H100, float32."""

SIGNS = {"at_least": "≥", "above": ">", "at_most": "≤", "below": "<"}
UNITS = {
    "ns": ((1e9, " s"), (1e6, " ms"), (1e3, " µs"), (1, " ns")),
    "byte": ((1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1, " B")),
    "": ((1e9, " G"), (1e6, " M"), (1, "")),
}
KEY = ("problem", "variant", "configuration", "workload")


def digits(value: float) -> str:
    """Four digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def brief(value: float) -> str:
    """Three digits, or all before the point, as a figure's labels have them."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def short(value: float, unit: str) -> str:
    """In a multiple of its unit."""
    if unit == "%":
        return f"{value:.2f} %"
    scales = UNITS.get(unit, UNITS[""])
    factor, sign = next((scale for scale in scales if abs(value) >= scale[0]), scales[-1])
    return digits(value / factor) + sign


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

    def times(self, factor: float, unit: str) -> Spread:
        return Spread(tuple(factor * value for value in self.values), unit)

    def __str__(self) -> str:
        low, high = short(self.low, self.unit), short(self.high, self.unit)
        return f"{short(self.median, self.unit)} {low} to {high}"


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


@dataclass(frozen=True)
class Case:
    """A case of a run."""

    key: str
    name: str
    """As the page calls it."""
    workload: str
    role: str


class Files:
    """What the files of a run have, of its base, and of the project that it is a run of."""

    def __init__(self, run: Path, base: Path, root: Path) -> None:
        self.run = json.loads((run / "run.json").read_text())
        self.judged = json.loads((run / "verdicts.json").read_text())
        self.base = json.loads((base / "run.json").read_text())
        self.now, self.before, self.detail = spreads(run), spreads(base), spreads(run, detail=True)
        self.root = root
        self.catalogue = tomllib.loads((root / "metrics" / "catalogue.toml").read_text())
        self.metrics = self.catalogue["metrics"]
        stages = root / "metrics" / "stages"
        self.stages = {name: tomllib.loads((stages / f"{name}.toml").read_text()) for name in self.judged["stages"]}
        self.cases = [_case(result) for result in self.run["cases"]]
        self.details: dict[str, list[Any]] = defaultdict(list)
        """What ``run.json`` says of the launches of each case with every section."""
        for detail in (detail for attempt in self.run["attempts"] for detail in attempt["details"]):
            self.details["/".join(detail["case"][part] for part in KEY)].append(detail)

    def median(self, case: Case, metric: str) -> float:
        return self.now[case.key, metric].median

    def waits(self, case: Case) -> list[tuple[str, float]]:
        """The states that warps of a case wait in and their shares, the largest first; who issues does not wait."""
        states = [(m["state"], name) for name, m in self.metrics.items() if "state" in m and m["family"] != "issue"]
        shares = [(state, self.median(case, name)) for state, name in states if (case.key, name) in self.now]
        return sorted(shares, key=lambda pair: -pair[1])

    def quoted(self) -> set[str]:
        """What they say in words, but not of single launches; what is only a number has to stand in a sentence."""
        attempts = [{**attempt, "details": []} for attempt in self.run["attempts"]]
        strings = [
            *_strings({**self.run, "attempts": attempts}),
            *_strings(self.judged),
            *_strings(self.catalogue),
            *_strings(self.stages),
        ]
        words = {" ".join(string.split()) for string in strings}
        return {string for string in words if NUMBER.search(string) and not _is_plain(string)}


class Sentences:
    """What may be said of a run, and of which of its workloads it may be said.

    Args:
        run: its folder.
        base: the folder of the run that it is held against.
        root: the project, whose files the page shows and quotes.
    """

    def __init__(self, run: Path, base: Path, root: Path) -> None:
        files = Files(run, base, root)
        places = dict.fromkeys((r["case"]["problem"], r["case"]["workload"]) for r in files.run["cases"])
        workloads = [Workload(files, *place) for place in places]
        self._files = files
        self._below = {f"workload-{i}-title": workload for i, workload in enumerate(workloads, start=1)}
        self._quoted = files.quoted()
        self._everywhere = {*_of_run(files), *_of_changes(files), *_glances(files)}

    def unsaid(self, text: Text) -> list[str]:
        """The numbers of a text that have no source; ticks of an axis are a scale, and need none."""
        if NUMBER.search(text.words) is None or (text.on_axis and _is_plain(text.words)):
            return []
        workload = self._below.get(text.section)
        if text.hover is not None:
            return [] if workload is not None and workload.label(text) == text.words else [text.words]
        if text.words in self._quoted or text.words in self._whole(text):
            return []
        if text.tag in ("td", "tr", "pre"):
            return NUMBER.findall(text.words)
        here = workload.phrases | workload.panel(text.metric) if workload is not None else set()
        return _left(text.words, here | {*_advice(self._files, text.case)} | self._everywhere | self._quoted)

    def _whole(self, text: Text) -> set[str]:
        """What a cell, a row of hot lines or a file may say, from its first character to its last."""
        if text.tag == "td":
            return _cell(text, self._files)
        if text.tag == "tr":
            return {row for detail in self._files.details[text.case] for row in _hot_lines(detail)}
        if text.tag == "pre":
            return {_code(self._files, text.case)} if text.case else set(_commands(self._files))
        return set()


def _left(words: str, phrases: set[str]) -> list[str]:
    """The numbers of a sentence that are in none of the phrases; the longest phrases are taken first."""
    for phrase in sorted((phrase for phrase in phrases if phrase in words), key=len, reverse=True):
        words = re.sub(rf"(?<![\w.,]){re.escape(phrase)}(?!\w|[.,]\d)", " ", words)
    return NUMBER.findall(words)


def _cell(text: Text, files: Files) -> set[str]:
    """What a cell, or the title of one, may say; that its ``data-value`` is right is asked elsewhere."""
    if text.attribute:
        s = files.now.get((text.case, text.metric))
        return {f"{s.low:,.6g} to {s.high:,.6g} in {len(s.values)} samples"} if s is not None else set()
    if not text.attributes.get("data-value"):
        return set()
    value = float(str(text.attributes["data-value"]))
    if "data-change" in text.attributes:
        return {f"{value:+.2f}"}
    if text.section == "since":
        return {str((files.before if "data-base" in text.attributes else files.now)[text.case, text.metric])}
    if text.section == "verdicts":
        bounds = [verdict for verdict in files.judged["verdicts"] if verdict["bound"] == value]
        return {digits(value), *(f"{SIGNS[verdict['comparison']]} {digits(value)}" for verdict in bounds)}
    return {f"{value:.1f}"} if text.metric == "share" else {digits(value)}


# --- of the run as a whole --------------------------------------------------------------------------------------------


def _of_run(files: Files) -> Iterator[str]:
    run = files.run
    yield f"stallgate {run['stallgate']}"
    yield f"at commit {(run['origin'] or run)['commit'][:12]}"
    yield f"{run['settings']['samples']} samples, clock control"
    for attempt in run["attempts"]:
        yield f"ncu process {attempt['name']} ({attempt['kind']}), {attempt['seconds']:.1f} s"
        its = attempt["environment"]
        yield f"device {its['device']}, compute capability {its['compute_capability']}, {its['chip']}"
        yield f"CUDA {its['cuda']}"
    yield f"its sheet says {files.judged['gpu_spec']['dram_bandwidth_gb_s']:g} GB/s"
    counted = Counter((verdict["variant"], verdict["stage"]) for verdict in files.judged["verdicts"])
    for (variant, stage), number in counted.items():
        yield f"{variant} · {files.stages[stage]['title']}: meets all {number} targets"


def _commands(files: Files) -> Iterator[str]:
    for attempt in files.run["attempts"]:
        yield " ".join(shlex.join(attempt["command"]).split())


def _glances(files: Files) -> Iterator[str]:
    """A time, its fraction of the roof, and the state that most warps wait in."""
    for case in files.cases:
        time, share = files.median(case, "duration"), files.median(case, "roof_fraction")
        state, waited = files.waits(case)[0]
        yield (
            f"{case.name} on {case.workload} takes {short(time, 'ns')}, {100 * share:.1f} % of the roof; "
            f"its warps wait most for {state}, {waited:.0f} %"
        )


# --- what changed -----------------------------------------------------------------------------------------------------


def _of_changes(files: Files) -> Iterator[str]:
    base = files.base
    yield base["name"]
    gpu = base["attempts"][0]["environment"]["gpu"]
    yield f"Before: Measured on {gpu}, {base['created']}, at commit {base['commit'][:12]}"
    for case in files.cases:
        before = files.before[case.key, "duration"].median
        change = 100 * (files.median(case, "duration") - before) / before
        yield f"{case.name} is {abs(change):.1f} % {'slower' if change > 0 else 'faster'} on {case.workload}"
    candidates = [case for case in files.cases if case.role == "candidate"]
    words = Counter(_word(files, case, metric) for case in candidates for metric in _judged_by(files))
    told = (f"{words[word]} {word}" for word in ("worse", "better", "changed", "same") if words[word])
    yield f"Time and stage metrics of candidates: {', '.join(told)}."


def _word(files: Files, case: Case, metric: str) -> str:
    """Samples that overlap are the same; what is better of those that do not, the catalogue tells."""
    now, before = files.now[case.key, metric], files.before[case.key, metric]
    if now.low <= before.high and before.low <= now.high:
        return "same"
    direction = files.metrics[metric]["direction"]
    if direction == "neither":
        return "changed"
    return "better" if (direction == "higher") == (now.median > before.median) else "worse"


def _judged_by(files: Files) -> list[str]:
    """The time and the stages' metrics, each once."""
    names = [target["metric"] for stage in files.stages.values() for target in stage["targets"]]
    names += [name for stage in files.stages.values() for name in stage["shown"]]
    return list(dict.fromkeys(["duration", *(files.catalogue["aliases"].get(name, name) for name in names)]))


# --- of one workload --------------------------------------------------------------------------------------------------


class Workload:
    """What may be said below the heading of a workload."""

    def __init__(self, files: Files, problem: str, workload: str) -> None:
        self._files = files
        self._cases = [c for c in files.cases if c.key.startswith(f"{problem}/") and c.workload == workload]
        self._needed = files.run["subjects"][problem]["workloads"][workload]

    @cached_property
    def phrases(self) -> set[str]:
        """What may stand in a sentence."""
        return {
            *self._needs(),
            *self._titles(),
            *self._values(),
            *self._bars,
            *self._small_states(),
            *self._occupancy(),
            *self._roofline(),
        }

    def _needs(self) -> Iterator[str]:
        arguments = ", ".join(f"{name} {value}" for name, value in self._needed["arguments"].items())
        yield f"{arguments}; needs {self._needed['bytes'] / 1e9:.4g} GB of memory traffic"

    def _titles(self) -> Iterator[str]:
        """Distances from the fastest roof, and the two states that most warps wait in."""
        roof = min(self._files.median(case, "duration") for case in self._cases if case.role == "roof")
        for case in self._cases:
            yield f"{case.name} runs at {100 * self._files.median(case, 'roof_fraction'):.1f} % of the roof on"
            ratio = self._files.median(case, "duration") / roof
            yield f"{case.name} takes {100 * abs(ratio - 1):.1f} % {'longer' if ratio >= 1 else 'less time'} than the"
            yield f"{case.name} takes {ratio:.3g} times as long as the roof"
            yield f"{case.name} moves {self._files.median(case, 'traffic'):.2g} times the bytes needed"
            states = " and ".join(f"{state}, {share:.0f} %" for state, share in self._files.waits(case)[:2])
            yield f"Warps of {case.name} wait most for {states}"

    def _values(self) -> Iterator[str]:
        """A panel in words: every case's value of a metric."""
        for metric, its in self._files.metrics.items():
            found = [(case, self._drawn(case, metric)) for case in self._having(metric)]
            if found:
                title = "Time" if metric == "duration" else its["title"]
                values = ", ".join(f"{case.name} {spread.median:.3g}" for case, spread in found)
                yield f"{title} in {found[0][1].unit or 'parts of 1'}: {values}"

    def _having(self, metric: str) -> list[Case]:
        return [case for case in self._cases if (case.key, metric) in self._files.now]

    def _drawn(self, case: Case, metric: str) -> Spread:
        """A metric as figures have it: times in milliseconds."""
        found = self._files.now[case.key, metric]
        return found.times(1e-6, "ms") if metric == "duration" else found

    def _occupancy(self) -> Iterator[str]:
        for case in self._cases:
            achieved = self._files.median(case, "achieved_occupancy")
            yield f"{case.name} {digits(achieved)} %"
            possible = self._files.median(case, "theoretical_occupancy")
            yield f"{case.name}: {achieved:.4g} % achieved of {possible:.4g} % possible"

    def _roofline(self) -> Iterator[str]:
        """What the launches with every section say of bytes and operations a second."""
        rates = {case: self._files.detail[case.key, "dram_rate"].median for case in self._cases}
        for case, moved in rates.items():
            done = self._files.detail[case.key, "flop_rate"].median
            yield f"{case.name} {done:.3g} flop/s with {moved:.3g} byte/s"
            yield f"{case.name}: {done / 1e12:.4g} Tflop/s at {done / moved:.4g} flop/byte"
        yield f"the roof, {max(moved for case, moved in rates.items() if case.role == 'roof') / 1e9:,.0f} GB/s"

    def _small_states(self) -> Iterator[str]:
        """Warp states below 0.75 % in every case, together."""
        states = [name for name, metric in self._files.metrics.items() if "state" in metric]
        shares = [{case: self._files.median(case, name) for case in self._having(name)} for name in states]
        small = [found for found in shares if max(found.values(), default=0.0) < 0.75]
        yield f"{len(small)} states under 0.75 %"
        for case in self._cases:
            together = sum(found.get(case, 0.0) for found in small)
            yield f"{case.name}: {len(small)} states under 0.75 % {together:.3g} %"

    # --- marks of figures ---

    def panel(self, metric: str) -> set[str]:
        """What may be said in the panel of a metric: its dots, when they are pointed at, and the bounds."""
        return {*self._dots(metric), *self._bounds(metric)}

    def label(self, text: Text) -> str | None:
        """What stands beside the mark that a label is of; None where there is no such mark."""
        marks = self._dots(text.metric) if text.metric else self._bars
        return marks.get(" ".join(str(text.hover).split()))

    def _dots(self, metric: str) -> dict[str, str]:
        """What is said of each dot in the panel of a metric -> its label."""
        found = {}
        for case in self._having(metric):
            spread = self._drawn(case, metric)
            median, low, high = (f"{value:.6g}" for value in (spread.median, spread.low, spread.high))
            found[" ".join(f"{case.name}: {median} {spread.unit} ({low} to {high})".split())] = brief(spread.median)
        return found

    def _bounds(self, metric: str) -> Iterator[str]:
        for verdict in self._files.judged["verdicts"]:
            if verdict["metric"] == metric and "/".join(verdict[part] for part in KEY) in {c.key for c in self._cases}:
                yield f"{SIGNS[verdict['comparison']]} {brief(verdict['bound'])}"

    @cached_property
    def _bars(self) -> dict[str, str]:
        """What is said of each part of a bar of warp states -> its label."""
        found = {}
        for name, metric in self._files.metrics.items():
            for case in self._having(name) if "state" in metric else []:
                share = self._files.median(case, name)
                found[f"{case.name}: {metric['state']} {share:.3g} %. {metric['about']}"] = f"{share:.0f}"
        return found


# --- of the launches of a case with every section ---------------------------------------------------------------------


def _advice(files: Files, case: str) -> Iterator[str]:
    """What NVIDIA's rules say, word for word, and what they estimate."""
    for advice in (advice for detail in files.details[case] for advice in detail["advice"]):
        yield " ".join(advice["message"].split())
        if "speedup" in advice:
            yield f"{advice['section']} · {advice['rule']} · estimates {advice['speedup']:.1f} %"


def _code(files: Files, case: str) -> str:
    """The variant's file, its lines with their numbers and their shares of all samples of the case's kernels."""
    problem, variant, *_ = case.split("/")
    file, samples, details = files.root / "kernels" / problem / f"{variant}.py", Counter[int](), files.details[case]
    for line in (line for detail in details for line in detail["lines"] if line["file"] == file.name):
        samples[line["line"]] += line["samples"]
    said = []
    for number, text in enumerate(file.read_text().splitlines(), start=1):
        share = 100 * samples[number] / sum(detail["samples"] for detail in details)
        said += ["" if not samples[number] else f"{share:.1f} %" if share >= 0.05 else "<0.1 %", str(number), text]
    return " ".join(" ".join(said).split())


def _hot_lines(detail: Any) -> Iterator[str]:
    """Rows: a line's share of its kernel's samples, and what it mostly waited for."""
    for line in (line for line in detail["lines"] if line["samples"]):
        is_own = line["file"] == f"{detail['case']['variant']}.py"
        place = str(line["line"]) if is_own else f"{line['file']}:{line['line']}"
        share, mostly = 100 * line["samples"] / detail["samples"], 100 * line["reason_samples"] / line["samples"]
        source = line["text"].strip() or line.get("function", "")
        yield " ".join(f"{share:.1f} {place} {line['reason']} {mostly:.0f} % {source}".split())


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
    elif isinstance(value, dict):
        yield from (string for each in value.values() for string in _strings(each))
    elif isinstance(value, list):
        yield from (string for each in value for string in _strings(each))


def _is_plain(words: str) -> bool:
    """Whether a text is a number and nothing else."""
    return re.fullmatch(r"[−-]?[\d,]*\.?\d+(e[+-]?\d+)?", words) is not None
