"""Where the numbers come from that a page says in words: from the run's files, whatever the words are.

A number has a source if a value that the files have, rounded as the number is and in its unit, is that number; and if
the text is about what the value is of. That is a case, a workload and a metric, which the text names or its place on
the page stands for. What the files say in words may stand in a text as it is.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from stallgate.model import Detail
from stallgate.render.callers import callers
from tests.render.facts import NUMBER, Case, Fact, Files, Shown, is_plain, shown
from tests.render.page_text import Text

NEAR = 45
"""Characters before and behind a number, within which a word is near it."""

UNNAMED = ("duration", "roof_fraction", "traffic", "achieved_occupancy", "theoretical_occupancy")
"""Metrics that a text may speak of without their names."""


@dataclass(frozen=True)
class Found:
    """A number of a text, and what kind of source it has; empty where it has none."""

    number: Shown
    kind: str


@dataclass
class Sources:
    """What may be said of a run, by what a text is about."""

    files: Files
    names: dict[str, re.Pattern[str]] = field(init=False)
    """Metric -> what a text calls it: its name, an alias, its title, the warp state that it is the share of."""

    def __post_init__(self) -> None:
        aliases = defaultdict(list)
        for alias, metric in self.files.catalogue["aliases"].items():
            aliases[metric].append(alias)
        self.names = {
            name: _any_of([name, *aliases[name], metric.get("title", name), metric.get("state", name)])
            for name, metric in self.files.metrics.items()
        }
        places = dict.fromkeys(
            (result["case"]["problem"], result["case"]["workload"]) for result in self.files.run["cases"]
        )
        self._codes: dict[str, list[str]] = {}
        self._below = {f"workload-{i}-title": workload for i, (_, workload) in enumerate(places, start=1)}

    def of(self, text: Text) -> list[Found]:
        """Each number of a text; ticks of an axis are a scale, and need no source."""
        if text.on_axis and is_plain(text.words):
            return []
        numbers = shown(text.words)
        if not numbers:
            return []
        if text.hover is not None:
            return [_of_label(number, text.words, text.hover) for number in numbers]
        if text.tag == "pre" and text.case:
            kind = "code" if text.words in self._code(text.case) else ""
            return [Found(number, kind) for number in numbers]
        if text.tag == "tr":
            return self._of_hot_line(text, numbers)
        quoted = _spans(text.words, [*_advice(self.files, text.case), *self.files.quoted])
        if text.section == "advice":  # word for word as advice.json has it
            return [Found(number, "quoted" if _is_within(number, quoted) else "") for number in numbers]
        return [
            Found(number, "quoted" if _is_within(number, quoted) else self._kind(text, number)) for number in numbers
        ]

    def unsaid(self, text: Text) -> list[str]:
        """The numbers of a text that have no source."""
        return [text.words[found.number.start : found.number.end] for found in self.of(text) if not found.kind]

    def _kind(self, text: Text, number: Shown) -> str:
        facts = self._of_cell(text, number) if text.attributes.get("data-value") else self._about(text, number)
        bracket = text.words.find(")", number.end) + 1  # a name in brackets may stand behind several words
        near = text.words[max(0, number.start - NEAR) : max(number.end + NEAR, bracket)].lower()
        named = (fact for fact in facts if not fact.names or any(name.lower() in near for name in fact.names))
        if text.words[: number.start].endswith("<"):
            is_limit = math.log10(number.value).is_integer() if number.value > 0 else False
            return next((fact.kind for fact in named if is_limit and 0 < abs(fact.value) < number.value), "")
        return next((fact.kind for fact in named if fact.is_in(number)), "")

    def _rank(self, text: Text) -> int:
        """The place of a case among those of its workload, the shortest time first."""
        mine = next(case for case in self.files.cases if case.key == text.case)
        keys = [(case.key, "duration") for case in self.files.cases if case.workload == mine.workload]
        times = [self.files.now[key].median for key in keys if key in self.files.now]
        return 1 + sum(time < self.files.now[text.case, "duration"].median for time in times)

    def _of_cell(self, text: Text, number: Shown) -> Iterator[Fact]:
        """What a cell that says which number it shows may say; that the number is right is asked elsewhere.

        A cell begins with the number, a spread may follow.
        """
        given, spread = text.attributes, self.files.now.get((text.case, text.metric))
        for verdict in self.files.judged["verdicts"] if text.section == "verdicts" else ():
            if float(str(given["data-value"])) in (verdict["value"], verdict["bound"]):
                yield Fact("cell", abs(float(str(given["data-value"]))), verdict["unit"])
        if "data-change" in given and number.has_unit:  # in per cent: points have a word, and no unit
            yield Fact("cell", abs(float(str(given["data-value"]))), "%")
        if "data-base" in given:
            spread = self.files.before.get((text.case, text.metric))
        unit = spread.unit if spread is not None and number.has_unit else ""
        if not text.attribute and not NUMBER.search(text.words[: number.start]):
            yield Fact("cell", abs(float(str(given["data-value"]))), unit)
        elif spread is not None and text.words[number.end :].startswith(" sample"):
            yield Fact("cell", len(spread.values))
        elif spread is not None:
            yield from (Fact("cell", value, unit) for value in (spread.low, spread.high))

    def _about(self, text: Text, number: Shown) -> Iterator[Fact]:
        """What may be said where a number stands."""
        if "data-rank" in text.attributes:
            yield Fact("rank", self._rank(text))
        workloads = self._workloads(text)
        here = [case for case in self.files.cases if case.workload in workloads]
        cases = self._cases(text, number, here)
        metrics = [name for name, called in self.names.items() if name == text.metric or called.search(text.words)]
        bracketed = re.search(r"\((\w+)\)[^()]*$", text.words[: number.start])
        states = {metric.get("state") for metric in self.files.metrics.values()}
        if bracketed and bracketed[1] in states:  # a share behind a state's name is of no other state
            metrics = [name for name in metrics if self.files.metrics[name].get("state") == bracketed[1]]
        for case in cases or (here if text.metric else []):
            yield from (f for name in metrics for f in self.files.of_metric(case, name, in_panel=name == text.metric))
        for case in cases:
            yield from (fact for name in UNNAMED for fact in self.files.of_metric(case, name))
            yield from self.files.of_case(case)
            judged = [name for name in metrics if name == text.metric or "(missed by " in text.words]
            yield from (fact for name in judged for fact in self.files.headroom(case, name))
        yield from (fact for case in here for fact in self.files.roofline(case) if not cases)
        yield from (fact for workload in workloads for fact in self.files.of_workload(workload))
        yield from self.files.of_run
        for advice in (advice for detail in self.files.details[text.case] for advice in detail["advice"]):
            if "speedup" in advice:
                yield Fact("estimate", advice["speedup"], "%", names=(advice["rule"],))

    def _workloads(self, text: Text) -> list[str]:
        here = self._below.get(text.section)
        known = list(self._below.values())
        return [here] if here else [name for name in known if _any_of([name]).search(text.words)] or known

    def _cases(self, text: Text, number: Shown, here: list[Case]) -> list[Case]:
        """Those of the name that was said last before a number, or else of the names in the text."""
        if text.case:
            return [case for case in here if case.key == text.case]
        said = [
            (m.start(), case.name)
            for case in here
            for m in _any_of([case.name]).finditer(text.words)
            if not text.words[m.end() :].startswith("'s speed, ")  # what another case is held against
        ]
        before = max((place for place in said if place[0] < number.start), default=None)
        names = [before[1]] if before else [name for _, name in said]
        return [case for case in here if case.name in names]

    def _code(self, case: str) -> list[str]:
        """The variant's files, their lines with their numbers and their shares of all samples of the case's kernels."""
        if case not in self._codes:
            files = _own_files(self.files.root, case)
            self._codes[case] = [_listing(self.files.root, case, file, self.files.details[case]) for file in files]
        return self._codes[case]

    def _of_hot_line(self, text: Text, numbers: list[Shown]) -> list[Found]:
        """A row says a line's or an instruction's share of its kernel's samples, and of its own most frequent state.

        It also says where that is, the share of what the line called, and who called a library's line.
        """
        for detail in self.files.details[text.case]:
            called = called_lines(self.files.root, text.case, detail)
            for line in [
                *detail["lines"],
                *detail.get("instructions", []),
                *self._only_called(text.case, detail, called),
            ]:
                quoted = _spans(text.words, _quoted_of(line, called))
                if all(_is_within(n, quoted) or any(map(n.is_rounded, _shares(detail, line, called))) for n in numbers):
                    return [Found(number, "hot line") for number in numbers]
        return [Found(number, "") for number in numbers]

    def _only_called(self, case: str, detail: Any, called: Called) -> list[Any]:
        """The lines without samples of their own that called a library."""
        own = {(line["file"], line["line"]) for line in detail["lines"]}
        texts = {file.name: file.read_text().splitlines() for file in _own_files(self.files.root, case)}
        return [
            {"file": file, "line": line, "text": texts[file][line - 1], "samples": 0, "reason_samples": 0}
            for file, line in set(called.values()) - own
        ]


Called = dict[tuple[str, int], tuple[str, int]]
"""Line of a library -> the line that called it."""


def called_lines(root: Path, case: str, detail: Any) -> Called:
    """Who called the libraries' lines of a kernel, by the variant's files in a tree."""
    key = (root, case, json.dumps(detail, sort_keys=True))
    if key not in _known:
        _known[key] = _called_lines(root, case, detail)
    return _known[key]


_known: dict[tuple[Path, str, str], Called] = {}


def _called_lines(root: Path, case: str, detail: Any) -> Called:
    texts = {file.name: file.read_text() for file in _own_files(root, case)}
    found = callers(texts, msgspec.convert(detail, Detail))
    return {(line.file, line.line): (place.file, place.line) for line, place in found.items()}


def _own_files(root: Path, case: str) -> list[Path]:
    """The variant's own file, and those of the package that its problem's variants share."""
    problem, variant, *_ = case.split("/")
    folder = root / "kernels" / problem
    own = folder / f"{variant}.py"
    return [own, *sorted(folder.glob("scan/*.py"))] if own.exists() else []


def _quoted_of(line: Any, called: Called) -> list[str]:
    """What is word for word that of a hot line or instruction; of a line that was only called all but its numbers."""
    if "offset" in line:
        return [line["text"], f"0x{line['offset']:04x}", f"{line['file']}:{line['line']}"]
    caller = called.get((line["file"], line["line"]))
    told = [":".join(map(str, caller))] if caller else []
    return [line.get("text", "").strip() or "\0", f"{line['file']}:{line['line']}", *told]


def _shares(detail: Any, line: Any, called: Called) -> list[float]:
    """The numbers of a row, in per cent, and those of its line and of its caller's."""
    place = (line["file"], line["line"])
    libraries = [each for each in detail["lines"] if called.get((each["file"], each["line"])) == place]
    found = [line["line"], 100 * line["samples"] / detail["samples"]]
    found += [100 * line["reason_samples"] / line["samples"]] if line["samples"] else []
    found += [100 * sum(each["samples"] for each in libraries) / detail["samples"]] * bool(libraries)
    return found + ([called[place][1]] if place in called else [])


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in dict.fromkeys(names)), re.IGNORECASE)


def _of_label(number: Shown, words: str, hover: str) -> Found:
    """A label beside a mark has the first number that the mark says when it is pointed at, in fewer digits.

    If it has a unit, it is that of the mark's number.
    """
    said = shown(" ".join(hover.split()))
    if words[: number.start].endswith("(") and hover.endswith(" before"):  # what it was before stands last
        said = said[-1:]
    first = next(iter(said), None)
    is_same = first is not None and number.is_rounded(first.value, slack=first.step / 2)
    has_its_unit = not number.has_unit or (first is not None and number.units == first.units)
    return Found(number, "label" if is_same and has_its_unit else "")


def _spans(words: str, phrases: Iterable[str]) -> list[tuple[int, int]]:
    """Where phrases stand in a text by themselves."""
    return [
        match.span()
        for phrase in phrases
        if phrase in words
        for match in re.finditer(rf"(?<![\w.,]){re.escape(phrase)}(?!\w|[.,]\d)", words)
    ]


def _is_within(number: Shown, spans: list[tuple[int, int]]) -> bool:
    return any(start <= number.start and number.end <= end for start, end in spans)


def _advice(files: Files, case: str) -> Iterator[str]:
    """What NVIDIA's rules say, word for word."""
    return (" ".join(advice["message"].split()) for detail in files.details[case] for advice in detail["advice"])


def _listing(root: Path, case: str, file: Path, details: list[Any]) -> str:
    samples = Counter[int]()
    for detail in details:
        called = called_lines(root, case, detail)
        for line in detail["lines"]:
            name, number = called.get((line["file"], line["line"]), (line["file"], line["line"]))
            samples[number] += line["samples"] if name == file.name else 0
    said = []
    for number, text in enumerate(file.read_text().splitlines(), start=1):
        share = 100 * samples[number] / sum(detail["samples"] for detail in details)
        said += ["" if not samples[number] else f"{share:.1f} %" if share >= 0.05 else "<0.1 %", str(number), text]
    return " ".join(" ".join(said).split())
