"""What changed between two versions of a variant's source, in terms that a stage's rules speak of.

Nothing is run or imported: both versions are syntax trees, whose expressions are compared in a normal form. What
changed in no way that a rule knows is a change of the kind ``code``, so that a list of changes is never empty by
mistake.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from stallgate.model import FrozenStruct
from stallgate.project.normal_form import digest_of
from stallgate.project.source_tree import Function, SourceTree
from stallgate.project.variant_facts import (
    SourceFact,
    SourceLaunch,
    Tunable,
    kernel_facts,
    kernels_named,
    other_tunables,
    source_launches,
)

ChangeKind = Literal[
    "tunable", "grid", "access", "cache_policy", "loop", "kernel", "accumulator", "dot", "code", "launch"
]
"""launch: a fact of the launches that were measured, such as the registers of a thread."""

Verb = Literal["raised", "lowered", "changed", "added", "removed"]

_DEFAULTS = {"num_warps": "4", "num_stages": "3", "num_ctas": "1"}
"""What Triton takes on an NVIDIA GPU where a launch does not say."""


class CodeChange(FrozenStruct, frozen=True):
    """One change between two versions of a variant."""

    kind: ChangeKind
    subject: str
    """The tunable or the launch's fact; for other kinds the kernel."""
    verb: Verb
    before: str
    """As written; empty for what was added."""
    after: str
    before_place: str = ""
    """file:line; for a fact of launches the workloads."""
    after_place: str = ""
    measured: str = ""
    """What launches showed of it, such as ``32768 -> 512 programs on square``."""

    @property
    def title(self) -> str:
        """What changed, in words."""
        if self.kind in ("tunable", "launch"):
            return self.subject
        return f"{self.kind.replace('_', ' ')} of {self.subject}"

    @property
    def sentence(self) -> str:
        """Such as ``num_stages raised: 1 -> 3``."""
        measured = f" ({self.measured})" if self.measured else ""
        return f"{self.title} {self.verb}: {self.before or 'nothing'} -> {self.after or 'nothing'}{measured}"


class CodeDifference(FrozenStruct, frozen=True):
    """All changes between two versions."""

    changes: list[CodeChange]
    unread: list[str] = []
    """Files that could not be parsed, with the reason: what changed there cannot be told."""


def code_difference(before: Mapping[str, str], after: Mapping[str, str]) -> CodeDifference:
    """The changes between two versions of a variant's Python files.

    Args:
        before: path -> text.
        after: path -> text.
    """
    old, new = SourceTree(before), SourceTree(after)
    changes = [*_kernels(old, new), *_host(old, new)]
    changes = list(dict.fromkeys(changes))
    unread = [f"{path}: {why}" for tree in (old, new) for path, why in tree.unread.items()]
    return CodeDifference(changes=[*changes, *_rest(old, new, changes)], unread=list(dict.fromkeys(unread)))


def _change(kind: ChangeKind, subject: str, verb: Verb, texts: tuple[str, str], places: tuple[str, str]) -> CodeChange:
    return CodeChange(
        kind=kind,
        subject=subject,
        verb=verb,
        before=texts[0],
        after=texts[1],
        before_place=places[0],
        after_place=places[1],
    )


# --- which function is which ------------------------------------------------------------------------------------------


def _counterparts(old: Mapping[str, Function], new: Mapping[str, Function]) -> dict[str, str]:
    """Function after -> the one before: of the same name; of those that are left, the names that are most alike."""
    found = {name: name for name in new if name in old}
    pairs = [(name, former) for name in new if name not in old for former in old if former not in new]
    for name, former in sorted(pairs, key=lambda pair: -SequenceMatcher(None, *pair).ratio()):
        if name not in found and former not in found.values():
            found[name] = former
    return found


def _entries(tree: SourceTree) -> dict[str, Function]:
    """The kernels that host code names, to launch them in whatever way; where it names none, all."""
    named = kernels_named(tree)
    return {name: kernel for name, kernel in tree.kernels.items() if name in named} or dict(tree.kernels)


def _matched(old: SourceTree, new: SourceTree) -> dict[str, str]:
    """Launched kernel after -> the one before: the pairs that are most alike, until one version has none left.

    So a kernel that is one of several now is the one of them that does its work, whatever their names and order.
    """
    before = {name: _work(kernel, old) for name, kernel in _entries(old).items()}
    after = {name: _work(kernel, new) for name, kernel in _entries(new).items()}
    alike = {
        (name, former): _likeness((former, before[former]), (name, after[name])) for name in after for former in before
    }
    found: dict[str, str] = {}
    for name, former in sorted(alike, key=lambda pair: alike[pair], reverse=True):
        if name not in found and former not in found.values():
            found[name] = former
    return {name: found[name] for name in after if name in found}


class _Work(NamedTuple):
    """What a kernel does."""

    digest: str
    is_product: bool
    """Whether it multiplies matrices: a kernel that does is not taken for one that does not, if there is another."""
    facts: Counter[str]
    """What it touches, loops over and is given, counted."""


def _work(kernel: Function, tree: SourceTree) -> _Work:
    facts, _ = kernel_facts(tree, kernel, {})
    done = [text for kind in facts for fact in facts[kind] for text in {f"{kind} {_call_of(kind, fact)}", fact.form}]
    given = [f"parameter {name}" for name in kernel.parameters]
    return _Work(digest_of(kernel, tree), bool(facts["dot"]), Counter([*done, *given]))


def _likeness(before: tuple[str, _Work], after: tuple[str, _Work]) -> tuple[bool, bool, float]:
    """How alike two kernels are: those that do exactly the same first, then by their role, what they do and name."""
    (former, old), (name, new) = before, after
    either = (old.facts | new.facts).total()
    done = (old.facts & new.facts).total() / either if either else 1.0
    by_name = SequenceMatcher(None, former, name).ratio()
    return old.digest == new.digest, old.is_product == new.is_product, 2 * done + by_name


def _renamed(before: Sequence[str], after: Sequence[str]) -> dict[str, str]:
    """Parameter after -> the one before, where as many others stand in the same place."""
    found: dict[str, str] = {}
    for tag, i, j, k, m in SequenceMatcher(a=before, b=after, autojunk=False).get_opcodes():
        if tag == "replace" and j - i == m - k:
            found |= dict(zip(after[k:m], before[i:j], strict=True))
    return {name: former for name, former in found.items() if name not in before and former not in after}


# --- kernels ----------------------------------------------------------------------------------------------------------


def _kernels(old: SourceTree, new: SourceTree) -> Iterator[CodeChange]:
    """Changes of which kernels there are, and of what each does."""
    before, after, matched = _entries(old), _entries(new), _matched(old, new)
    for name, kernel in after.items():
        if name not in matched:
            yield _change("kernel", name, "added", ("", name), ("", kernel.module.place(kernel.node)))
    for name, kernel in before.items():
        if name not in matched.values():
            yield _change("kernel", name, "removed", (name, ""), (kernel.module.place(kernel.node), ""))
    for name, former in matched.items():
        places = before[former].module.place(before[former].node), after[name].module.place(after[name].node)
        if name != former:
            yield _change("kernel", name, "changed", (former, name), places)
        yield from _inside(old, before[former], new, after[name])


def _inside(old: SourceTree, former: Function, new: SourceTree, kernel: Function) -> Iterator[CodeChange]:
    """What changed in one kernel and the helper functions that it calls."""
    facts, loops = kernel_facts(old, former, {})
    now, loops_now = kernel_facts(new, kernel, _renamed(former.parameters, kernel.parameters))
    same_accesses = [fact.form for fact in facts["access"]] == [fact.form for fact in now["access"]]
    for kind in facts:
        if kind == "cache_policy" and same_accesses:
            yield from _in_place(kind, kernel.name, facts[kind], now[kind])
        else:
            yield from _as_sets(kind, kernel.name, facts[kind], now[kind])
    yield from _tunables(loops, loops_now)


def _in_place(
    kind: ChangeKind, subject: str, before: list[SourceFact], after: list[SourceFact]
) -> Iterator[CodeChange]:
    """Facts that differ from those in their place."""
    for former, fact in zip(before, after, strict=True):
        if former.form != fact.form:
            yield _change(kind, subject, "changed", (former.text, fact.text), (former.place, fact.place))


def _as_sets(kind: ChangeKind, subject: str, before: list[SourceFact], after: list[SourceFact]) -> Iterator[CodeChange]:
    """Facts that only one version has: those of one call that replace each other in pairs, the rest alone."""
    gone, come = _without(before, after), _without(after, before)
    for call in dict.fromkeys(_call_of(kind, fact) for fact in (*gone, *come)):
        old, new = ([fact for fact in side if _call_of(kind, fact) == call and fact.form] for side in (gone, come))
        for former, fact in zip(old, new, strict=False):
            yield _change(kind, subject, "changed", (former.text, fact.text), (former.place, fact.place))
        for former in old[len(new) :]:
            yield _change(kind, subject, "removed", (former.text, ""), (former.place, ""))
        for fact in new[len(old) :]:
            yield _change(kind, subject, "added", ("", fact.text), ("", fact.place))


def _call_of(kind: ChangeKind, fact: SourceFact) -> str:
    """The function that an access calls; empty for other facts, which may replace each other."""
    return fact.form.partition("(")[0] if kind == "access" else ""


def _without(facts: list[SourceFact], others: Iterable[SourceFact]) -> list[SourceFact]:
    """The facts that are not among others, counted."""
    spare = Counter(fact.form for fact in others)
    left = []
    for fact in facts:
        if spare[fact.form]:
            spare[fact.form] -= 1
        else:
            left.append(fact)
    return left


# --- host code --------------------------------------------------------------------------------------------------------


def _host(old: SourceTree, new: SourceTree) -> Iterator[CodeChange]:
    """Changes of grids, and of tunables outside of kernels."""
    functions = _counterparts(old.hosts, new.hosts)
    renamed = {name: _renamed(old.hosts[was].parameters, new.hosts[name].parameters) for name, was in functions.items()}
    before, given = source_launches(old, {})
    after, given_now = source_launches(new, renamed)
    matched = _matched(old, new)
    for name, former in matched.items():
        grids = [launch.grid for launch in before if launch.kernel == former]
        yield from _as_sets("grid", name, grids, [launch.grid for launch in after if launch.kernel == name])
    gone = _alone(before, set(matched.values()), set(functions.values()))
    come = _alone(after, set(matched), set(functions))
    tunables = [each for each in (*given, *other_tunables(old)) if each.of not in gone]
    tunables_now = [each for each in (*given_now, *other_tunables(new)) if each.of not in come]
    yield from _tunables(tunables, tunables_now)


def _alone(launches: list[SourceLaunch], matched: set[str], functions: set[str]) -> set[str]:
    """Kernels that only one version has, and the functions of that version alone which launch nothing else.

    Their tunables came or went with them, and are no change of another kernel's.
    """
    kernels = {launch.kernel for launch in launches} - matched
    launching = {launch.function for launch in launches if launch.kernel in kernels} - functions
    return kernels | launching - {launch.function for launch in launches if launch.kernel in matched}


def _tunables(before: list[Tunable], after: list[Tunable]) -> Iterator[CodeChange]:
    """Tunables whose values changed, wherever they stand."""
    names = dict.fromkeys(each.name for each in (*before, *after))
    pairs = {name: (_values_of(before, after, name), _values_of(after, before, name)) for name in names}
    alone = [[_forms(side) for side in pair if side] for pair in pairs.values() if not all(pair)]
    for name, (former, now) in pairs.items():
        mine = [_forms(side) for side in (former, now) if side]
        if len(mine) == 1 and alone.count(mine) == 2:
            continue  # the same values under another name
        yield from _values(name, former, now)


def _values_of(tunables: list[Tunable], others: list[Tunable], name: str) -> list[Tunable]:
    """The values of a tunable; of one that a version does not speak of, what Triton takes by itself."""
    named = [each for each in tunables if each.name == name]
    if named or name not in _DEFAULTS:
        return [each for each in named if each.fact.form not in (name, f"${name}")]
    launched = [each for each in others if each.name == name and each.where == "launch"]
    fact = SourceFact(form=_DEFAULTS[name], text=_DEFAULTS[name], place="")
    return [Tunable(name=name, where="launch", fact=fact)] if launched else []


def _forms(tunables: list[Tunable]) -> list[str]:
    return [each.fact.form for each in tunables]


def _values(name: str, before: list[Tunable], after: list[Tunable]) -> Iterator[CodeChange]:
    """The changed values of one tunable in one kind of place."""
    if len(before) == len(after):
        for former, now in zip(before, after, strict=True):
            if former.fact.form != now.fact.form:
                yield _value(name, [former], [now])
    elif sorted(set(_forms(before))) != sorted(set(_forms(after))):
        yield _value(name, before, after)


def _value(name: str, before: list[Tunable], after: list[Tunable]) -> CodeChange:
    texts = _both(", ".join(dict.fromkeys(each.fact.text for each in side)) for side in (before, after))
    places = _both(side[0].fact.place if side else "" for side in (before, after))
    return _change("tunable", name, _verb(before, after), texts, places)


def _both(texts: Iterable[str]) -> tuple[str, str]:
    before, after = texts
    return before, after


def _verb(before: list[Tunable], after: list[Tunable]) -> Verb:
    if not before or not after:
        return "removed" if before else "added"
    highest = []
    for side in (before, after):
        values = [each.value for each in side]
        highest.append(max((value for value in values if value is not None), default=None))
    former, now = highest
    if former is None or now is None or former == now:
        return "changed"
    return "raised" if now > former else "lowered"


# --- the rest ---------------------------------------------------------------------------------------------------------


def _rest(old: SourceTree, new: SourceTree, changes: list[CodeChange]) -> Iterator[CodeChange]:
    """Functions that do something else, where no other change says what."""
    told = {place for change in changes for place in (change.before_place, change.after_place)}
    for before, after in ((old.kernels, new.kernels), (old.hosts, new.hosts)):
        digests = Counter(digest_of(function, old) for function in before.values())
        for name, function in after.items():
            former = before.get(name)
            if former is None or digest_of(former, old) == digest_of(function, new):
                continue
            if digests[digest_of(function, new)] or _is_told(former, told) or _is_told(function, told):
                continue
            places = former.module.place(former.node), function.module.place(function.node)
            yield _change("code", name, "changed", (former.name, name), places)


def _is_told(function: Function, places: set[str]) -> bool:
    """Whether a change lies in a function."""
    return any(f"{function.module.path}:{line}" in places for line in function.lines)
