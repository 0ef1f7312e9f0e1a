"""An answerer without a model: it changes the tunables of the code in the prompt, and nothing else.

    stallgate loop matmul/tiled --command 'python examples/answerers/tuner.py' --rounds 8 --width 2

It knows only what the prompt says, as a model would: the current code, the stage's autotune space, the advice and what
has been tried. Tunables are integer literals: ``num_warps``, ``num_stages``, and names in capitals such as ``BLOCK``,
as keyword defaults, as keywords of calls, as keys of dictionaries, or as constants of the module. Which of them it
changes is drawn at random, with the seed that the loop gives; advice and earlier effects decide on the odds.
"""

from __future__ import annotations

import ast
import json
import os
import random
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

NAME = re.compile(r"num_warps|num_stages|_?[A-Z][A-Z0-9_]*")
TILE = re.compile(r"_?(?:BLOCK|TILE|CHUNK|GROUP)\w*")
LEAST, MOST = {"num_warps": 1, "num_stages": 1}, {"num_warps": 32, "num_stages": 8}
LARGEST_TILE = 65536
TOGETHER = 3
"""Most tunables that one answer changes."""


class Site(NamedTuple):
    """A literal in the code."""

    begin: int
    end: int
    """Offsets into its UTF-8 bytes."""
    name: str
    value: int


class Move(NamedTuple):
    """A tunable that gets another value, wherever it has this one."""

    name: str
    before: int
    after: int

    @property
    def direction(self) -> str:
        return "raised" if self.after > self.before else "lowered"


# --- what the prompt says ---------------------------------------------------------------------------------------------


def section(prompt: str, title: str) -> str:
    """A part of the prompt, by its heading; headings within fenced blocks are none."""
    found, inside, fence = [], False, ""
    for line in prompt.splitlines(keepends=True):
        ticks = re.match(r"`{3,}", line)
        if ticks and not fence:
            fence = ticks.group()
        elif fence and line.strip() == fence:
            fence = ""
        elif not fence and line.startswith("## "):
            inside = line.strip().lower() == f"## {title}".lower()
            continue
        if inside:
            found.append(line)
    return "".join(found)


def blocks(text: str) -> list[str]:
    """The fenced blocks of Python."""
    return [found[2] for found in re.finditer(r"^(`{3,})python\n(.*?)^\1\s*$", text, re.M | re.S)]


def current_code(prompt: str) -> str:
    """The code that is to be changed: the block with the entry, else the first."""
    found = blocks(section(prompt, "Current code"))
    return next((each for each in found if "class ModelNew" in each), found[0] if found else "")


def space(prompt: str) -> dict[str, list[int]]:
    """The values that the stage or the code calls worth trying."""
    known: dict[str, list[int]] = {}
    for name, listed in re.findall(r"`(\w+)` (\[[^\]]*\])", section(prompt, "Stage")):
        try:
            values = json.loads(listed)
        except ValueError:
            continue
        known.setdefault(name, []).extend(each for each in values if type(each) is int)
    return known


def tried(prompt: str) -> list[tuple[frozenset[Move], float | None]]:
    """What earlier answers changed, and how much less time that took in per cent; None where it was refused."""
    found = []
    for line in section(prompt, "What has been tried").splitlines():
        moves = re.findall(r"(\w+) (?:raised|lowered|changed): (\d+) -> (\d+)", line)
        if moves:
            effect = re.search(r"([\d.]+) % (less|more) time", line)
            gain = float(effect[1]) * (1 if effect[2] == "less" else -1) if effect else None
            found.append((frozenset(Move(name, int(a), int(b)) for name, a, b in moves), gain))
    return found


# --- what can be changed ----------------------------------------------------------------------------------------------


def sites(code: str) -> list[Site]:
    """The literals of tunables."""
    starts = [0]
    for line in code.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return [
        Site(starts[n.lineno - 1] + n.col_offset, starts[n.end_lineno - 1] + n.end_col_offset, name, n.value)
        for name, n in named_literals(ast.parse(code))
        if NAME.fullmatch(name) and isinstance(n, ast.Constant) and type(n.value) is int and n.value > 0
    ]


def named_literals(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Values that stand beside a name, wherever a tunable may."""
    for node in ast.walk(tree):
        match node:
            case ast.arguments():
                places = [*node.posonlyargs, *node.args]
                yield from (
                    (a.arg, d) for a, d in zip(places[len(places) - len(node.defaults) :], node.defaults, strict=True)
                )
                yield from ((a.arg, d) for a, d in zip(node.kwonlyargs, node.kw_defaults, strict=True) if d is not None)
            case ast.Call():
                yield from ((each.arg, each.value) for each in node.keywords if each.arg)
            case ast.Dict():
                yield from (
                    (k.value, v) for k, v in zip(node.keys, node.values, strict=True) if isinstance(k, ast.Constant)
                )
    for node in tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=value)
            ):
                yield name, value


def is_power(value: int) -> bool:
    return value & (value - 1) == 0


def moves_of(site: Site, worth: list[int]) -> list[Move]:
    """Where a tunable can go from here: one step up and down, two for tiles, and what is worth trying."""
    value, name = site.value, site.name
    steps = [value - 1, value + 1] if name == "num_stages" else [value // 2, value * 2]
    if TILE.fullmatch(name):
        steps += [value // 4, value * 4]
    if name not in LEAST and not is_power(value):
        steps = []
    least, most = LEAST.get(name, 1), MOST.get(name, LARGEST_TILE)
    return [
        Move(name, value, after)
        for after in dict.fromkeys([*steps, *worth])
        if least <= after <= most and after != value
    ]


# --- the odds ---------------------------------------------------------------------------------------------------------

HINTS = [
    (r"num_stages|pipelin|bytes in flight|loads in flight", "num_stages", "raised", 4),
    (r"bytes in flight|larger tile|reuse|wider|16 bytes", "TILE", "raised", 3),
    (r"spill|smaller tile|registers", "TILE", "lowered", 3),
    (r"too deep|shared memory is full", "num_stages", "lowered", 3),
    (r"more warps|occupancy|latency", "num_warps", "raised", 2),
    (r"fewer warps|barrier", "num_warps", "lowered", 3),
]
"""Words of the advice -> which tunable they speak for, in which direction, and by how much."""


def odds(
    move: Move, advice: str, known: list[tuple[frozenset[Move], float | None]], worth: dict[str, list[int]]
) -> float:
    """How promising a move is."""
    kind = "TILE" if TILE.fullmatch(move.name) else move.name
    weight = 1.0 if kind in ("TILE", *LEAST) else 0.1
    weight *= 2 if move.after in worth.get(move.name, []) else 1
    for words, about, direction, factor in HINTS:
        if (about, direction) == (kind, move.direction) and re.search(words, advice, re.I):
            weight *= factor
    for changes, gain in known:
        for each in changes:
            if (each.name, each.direction) == (move.name, move.direction):
                weight *= 0.7 if gain is None else 2 if gain > 1 else 0.4 if gain < -1 else 0.8
    return weight


def answer(prompt: str, rng: random.Random) -> str:
    """The code with other tunables; the code as it is where it has none."""
    code, worth, known = current_code(prompt), space(prompt), tried(prompt)
    advice = section(prompt, "Advice")
    found = sites(code)
    options = list(dict.fromkeys(move for site in found for move in moves_of(site, worth.get(site.name, []))))
    if not options:
        return code
    weights = [odds(move, advice, known, worth) for move in options]
    before = {changes for changes, _ in known}
    chosen: dict[tuple[str, int], Move] = {}
    for _ in range(200):
        count = rng.choice([1, 1, 2, TOGETHER])
        chosen = {(m.name, m.before): m for m in rng.choices(options, weights, k=count)}
        if frozenset(chosen.values()) not in before:
            break
    return changed(code, found, chosen)


def changed(code: str, found: list[Site], chosen: dict[tuple[str, int], Move]) -> str:
    """The code with the chosen values."""
    text = code.encode()
    for site in sorted(found, reverse=True):
        move = chosen.get((site.name, site.value))
        if move is not None:
            text = text[: site.begin] + str(move.after).encode() + text[site.end :]
    return text.decode()


if __name__ == "__main__":
    seed = int(os.environ.get("STALLGATE_SEED", "0"))
    sys.stdout.write(f"```python\n{answer(sys.stdin.read(), random.Random(seed)).rstrip()}\n```\n")
