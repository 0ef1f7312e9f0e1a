"""The rules of advice: read from ``metrics/advice/``, checked, and their arithmetic evaluated."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from stallgate.errors import BrokenFile, UnknownName
from stallgate.model import AdviceRule, Catalogue
from stallgate.project.catalogue import is_measured, names_in
from stallgate.project.checks import check_known, convert_named
from stallgate.project.comparisons import parse_condition
from stallgate.project.decode import read_toml
from stallgate.project.shipped import advice_files, shown_name

FACT_UNITS = {
    "num_stages": "",
    "has_dot": "",
    "has_loop": "",
    "fp64_needed": "",
    "needed_bytes": "byte",
    "needed_flops": "flop",
    "call_time": "ns",
    "waves_begun": "",
    "busiest_cache": "%",
    "roof_known": "",
    "roof_is_library": "",
    "roof_goal": "",
}
"""What rules may name beside metrics -> its unit. ``advise/facts.py`` finds them; docs/advice.md explains them."""

LEVELS = {
    "speed_of_light": None,
    "memory": "speed_of_light",
    "requests": "memory",
    "compute": "speed_of_light",
    "latency": "speed_of_light",
    "issue": "latency",
    "launch": None,
}
"""Level of the tree of causes -> the level above it. ``advise/tree.py`` says how much each can explain."""

_PLACE = re.compile(r"\{([^{}]*)\}")


def places_in(text: str) -> tuple[str, ...]:
    """The names that a sentence has places for, from left to right."""
    return tuple(_PLACE.findall(text))


def filled(text: str, words: Mapping[str, str]) -> str:
    """A sentence with its places filled."""
    return _PLACE.sub(lambda place: words[place[1]], text)


def readings_of(rule: AdviceRule) -> tuple[str, ...]:
    """The metrics and facts that a rule reads, those of its conditions first, each once."""
    names = [name for text in rule.when for name in parse_condition(text).names]
    return tuple(dict.fromkeys([*names, *names_in(rule.explains), *_said(rule), rule.of]))


def _said(rule: AdviceRule) -> list[str]:
    return [name for name in places_in(rule.says) if name != LIMITER]


LIMITER = "limiter"
"""The place in a sentence for what limits the occupancy, in words."""


# --- reading ----------------------------------------------------------------------------------------------------------


def read_advice_rules(root: Path, catalogue: Catalogue) -> dict[str, AdviceRule]:
    """The shipped rules, overlaid by the project's: a file takes the place of the shipped one of its name.

    Raises:
        BrokenFile: a file is invalid; the message names the file and the key.
    """
    files = {path.stem: path for path in advice_files(root)}
    rules = {name: _read(root, path, catalogue) for name, path in files.items()}
    for name, rule in rules.items():
        shown = shown_name(root, files[name])
        _check_parent(f"{shown}: parent", rule, rules)
        check_known(f"{shown}: yields_to", "rule", rule.yields_to, rules)
    return rules


def _read(root: Path, path: Path, catalogue: Catalogue) -> AdviceRule:
    shown = shown_name(root, path)
    rule = convert_named(path.stem, read_toml(path, shown), AdviceRule, shown)
    if not rule.when:
        raise BrokenFile(f"{shown}: when: it is empty", "an advice without evidence is none: add a comparison")
    for number, text in enumerate(rule.when):
        _check_names(f"{shown}: when[{number}]", lambda text: parse_condition(text).names, text, catalogue)
    _check_names(f"{shown}: explains", names_in, rule.explains, catalogue)
    _check_names(f"{shown}: says", lambda _: tuple(_said(rule)), rule.says, catalogue)
    _check_names(f"{shown}: of", lambda name: (name,), rule.of, catalogue)
    _check_words(shown, rule)
    return rule


def _check_names(where: str, names_of: Callable[[str], tuple[str, ...]], text: str, catalogue: Catalogue) -> None:
    """Refuses a text that is no arithmetic, or that names a reading which does not exist."""
    try:
        names = names_of(text)
    except ValueError as error:
        hint = "write arithmetic over names of metrics: numbers, parentheses and + - * /"
        raise BrokenFile(f"{where}: {error}", hint) from None
    check_known(where, "metric or fact", names, [*catalogue.metrics, *FACT_UNITS])


def _check_words(shown: str, rule: AdviceRule) -> None:
    """Refuses a rule that leaves a sentence empty: each advice says what would disprove it, and its trap."""
    for key in ("title", "says", "tries", "disproved_by", "never_for", "source"):
        if not getattr(rule, key).strip():
            raise BrokenFile(f"{shown}: {key}: it is empty", "write a sentence")


def _check_parent(where: str, rule: AdviceRule, rules: Mapping[str, AdviceRule]) -> None:
    """Refuses a parent that does not exist, and a rule that is above itself."""
    known = [*LEVELS, *rules]
    above, seen = rule.parent, {rule.name}
    while above in rules and above not in seen and above not in LEVELS:
        seen.add(above)
        above = rules[above].parent
    if above in seen:
        raise BrokenFile(f"{where}: the rule is above itself", f"name a level of the tree: {', '.join(LEVELS)}")
    if rule.parent not in known:
        unknown = UnknownName("rule or level", rule.parent, known)
        raise BrokenFile(f"{where}: {unknown.message}", unknown.hint)


# --- what to collect --------------------------------------------------------------------------------------------------


def wanted_by(rules: Mapping[str, AdviceRule], catalogue: Catalogue) -> dict[str, list[str]]:
    """Metric that ncu can be asked for -> the rules that read it."""
    found: dict[str, list[str]] = {}
    for rule in rules.values():
        for name in readings_of(rule):
            if name in catalogue.metrics and is_measured(catalogue.metrics[name]):
                found.setdefault(name, []).append(rule.name)
    return found
