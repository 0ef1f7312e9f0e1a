"""What changed between two versions of a variant: each kind of change, and what looks like one and is none."""

from __future__ import annotations

import ast
import random

import pytest

from stallgate.project.code_changes import CodeChange, code_difference
from tests.conftest import ROOT

BASE = '''
"""A product of a matrix and a row, and a copy."""

import torch
import triton
import triton.language as tl

WIDTH = 128


@triton.jit
def _row(x_ptr, row, n, BLOCK: tl.constexpr):
    """A row of a matrix."""
    columns = tl.arange(0, BLOCK)
    return tl.load(x_ptr + row * n + columns, mask=columns < n, other=0.0)


@triton.jit
def _scale_kernel(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * n + columns, mask=columns < n, other=0.0, eviction_policy="evict_first")
    tl.store(y_ptr + row * n + columns, 2 * x, mask=columns < n)


@triton.jit
def _product_kernel(a_ptr, b_ptr, c_ptr, K, stride, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr):
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    k = tl.arange(0, BLOCK_K)
    accumulator = tl.zeros((BLOCK_M, BLOCK_M), dtype=tl.float32)
    for start in tl.range(0, K, BLOCK_K, num_stages=2):
        a = tl.load(a_ptr + rows[:, None] * stride + (start + k)[None, :])
        b = tl.load(b_ptr + (start + k)[:, None] * stride + rows[None, :])
        accumulator = tl.dot(a, b, accumulator)
    tl.store(c_ptr + rows[:, None] * stride + rows[None, :], accumulator)


def _programs(n):
    return triton.cdiv(n, 4)


def scale(x, *, BLOCK: int = 1024, num_warps: int = 4):
    y = torch.empty_like(x)
    n = x.shape[1]
    _scale_kernel[(x.shape[0],)](x, y, n, BLOCK=BLOCK, num_warps=num_warps)
    return y


def product(a, b):
    c = torch.empty_like(a)
    grid = lambda meta: (triton.cdiv(a.shape[0], meta["BLOCK_M"]), _programs(a.shape[1]))
    _product_kernel[grid](a, b, c, a.shape[1], a.stride(0), BLOCK_M=64, BLOCK_K=32, num_warps=4, num_stages=3)
    return c
'''

LOAD = 'tl.load(x_ptr + row * n + columns, mask=columns < n, other=0.0, eviction_policy="evict_first")'
STORE = "tl.store(y_ptr + row * n + columns, 2 * x, mask=columns < n)"
LOOP = "tl.range(0, K, BLOCK_K, num_stages=2)"
GRID = "_scale_kernel[(x.shape[0],)]"


def changed(*pairs: tuple[str, str]) -> str:
    text = BASE
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def changes(after: str, before: str = BASE) -> list[CodeChange]:
    found = code_difference({"v.py": before}, {"v.py": after})
    assert not found.unread
    return found.changes


def said(after: str, before: str = BASE) -> list[str]:
    return [f"{change.kind} {change.subject} {change.verb}" for change in changes(after, before)]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("num_warps: int = 4", "num_warps: int = 8")], ["tunable num_warps raised"]),
        ([("num_warps: int = 4", "num_warps: int = 2")], ["tunable num_warps lowered"]),
        ([("num_stages=3)", "num_stages=4)")], ["tunable num_stages raised"]),
        ([(", num_stages=3)", ", num_stages=1)")], ["tunable num_stages lowered"]),
        ([("BLOCK_K=32", "BLOCK_K=64")], ["tunable BLOCK_K raised"]),
        ([("BLOCK: int = 1024", "BLOCK: int = triton.next_power_of_2(9)")], ["tunable BLOCK changed"]),
        ([("WIDTH = 128", "WIDTH = 256")], ["tunable WIDTH raised"]),
        ([("BLOCK=BLOCK, num_warps=num_warps", "BLOCK=BLOCK, num_warps=16")], ["tunable num_warps raised"]),
        ([("BLOCK=BLOCK,", "BLOCK=BLOCK, maxnreg=64,")], ["tunable maxnreg added"]),
        ([("num_stages=2)", "num_stages=4)")], ["tunable num_stages raised"]),
        ([(", num_stages=2)", ")")], ["tunable num_stages removed"]),
        ([("num_stages=2)", "num_stages=2, loop_unroll_factor=4)")], ["tunable loop_unroll_factor added"]),
        ([(GRID, "_scale_kernel[(x.shape[0] // 2,)]")], ["grid _scale_kernel changed"]),
        ([(GRID, "_scale_kernel[(x.shape[0], 2)]")], ["grid _scale_kernel changed"]),
        ([('meta["BLOCK_M"])', 'meta["BLOCK_K"])')], ["grid _product_kernel changed"]),
        ([("triton.cdiv(n, 4)", "triton.cdiv(n, 8)")], ["grid _product_kernel changed", "code _programs changed"]),
        ([(LOAD, LOAD.replace("row * n + columns", "columns * n + row"))], ["access _scale_kernel changed"]),
        ([(LOAD, LOAD.replace("mask=columns < n, other=0.0, ", ""))], ["access _scale_kernel changed"]),
        ([(LOAD, LOAD.replace("columns < n", "columns < n - 1"))], ["access _scale_kernel changed"]),
        ([(STORE, f"{STORE}\n    {STORE}")], ["access _scale_kernel added"]),
        ([(STORE, STORE.replace("tl.store(", "tl.atomic_add("))], ["access _scale_kernel removed", "added"]),
        ([(LOAD, LOAD.replace("evict_first", "evict_last"))], ["cache_policy _scale_kernel changed"]),
        ([(LOAD, LOAD.replace(', eviction_policy="evict_first"', ""))], ["cache_policy _scale_kernel changed"]),
        ([("mask=columns < n)", 'mask=columns < n, cache_modifier=".cs")')], ["cache_policy _scale_kernel changed"]),
        ([(LOOP, "tl.range(0, K, 2 * BLOCK_K, num_stages=2)")], ["loop _product_kernel changed", "access"]),
        ([(LOOP, "tl.static_range(0, K, BLOCK_K)")], ["loop _product_kernel changed", "num_stages removed"]),
        ([("dtype=tl.float32", "dtype=tl.float16")], ["accumulator _product_kernel changed"]),
        ([("tl.dot(a, b, accumulator)", 'tl.dot(a, b, accumulator, input_precision="tf32")')], ["accumulator"]),
        ([("tl.dot(a, b, accumulator)", "accumulator + tl.sum(a, 1)")], ["dot _product_kernel removed"]),
        ([("_scale_kernel", "_other_kernel")], ["kernel _other_kernel changed"]),
        ([("2 * x", "3 * x")], ["code _scale_kernel changed"]),
    ],
)
def test_each_kind_of_change_is_recognised_and_nothing_beside_it(
    pairs: list[tuple[str, str]], expected: list[str]
) -> None:
    found = said(changed(*pairs))
    assert len(found) == len(expected) or len(found) == 3, found
    assert all(any(part in each for each in found) for part in expected), found


@pytest.mark.parametrize(
    "pairs",
    [
        [("columns", "places")],
        [("x_ptr", "source"), ("y_ptr", "target")],
        [("row * n + columns", "columns + n * row")],
        [("mask=columns < n, other=0.0", "mask=n > columns, other=0")],
        [("mask=columns < n, other=0.0, eviction", "columns < n, 0.0, eviction")],
        [("row * n + columns", "(row.to(tl.int64) * n + columns)")],
        [("row * n + columns", "tl.cast(row, tl.int64) * n + columns")],
        [
            (LOAD, LOAD.replace("x_ptr + row * n + columns", "origin + columns")),
            ("row = tl.program_id(0)\n", "row = tl.program_id(0)\n    origin = x_ptr + row * n\n"),
        ],
        [(f"x = {LOAD}", f"inside = columns < n\n    x = {LOAD.replace('mask=columns < n', 'mask=inside')}")],
        [("for start in tl.range(0, K, BLOCK_K", "for begin in tl.range(0, K, BLOCK_K"), ("start + k", "begin + k")],
        [(GRID, "_scale_kernel[(x.shape[0], 1, 1)]")],
        [(GRID, "programs = (x.shape[0],)\n    _scale_kernel[programs]")],
        [("_programs", "_count")],
        [("BLOCK=BLOCK, num_warps=num_warps", "num_warps=num_warps, BLOCK=BLOCK")],
        [("x, y, n, BLOCK=BLOCK", "x, y, n, BLOCK")],
        [("BLOCK_M=64, BLOCK_K=32", "BLOCK_K=32, BLOCK_M=64")],
        [("num_stages=3)", "num_stages=3,  # deeper does not pay\n    )")],
        [(", num_warps=4, num_stages=3)", ", num_warps=4)")],
        [('"""A row of a matrix."""', '"""One row, as it is."""')],
        [("import triton.language as tl", "import triton.language as language"), ("tl.", "language.")],
        [("n = x.shape[1]", "n: int = x.shape[1]")],
        [("lambda meta:", "lambda values:"), ('meta["BLOCK_M"]', 'values["BLOCK_M"]')],
        [('eviction_policy="evict_first"', 'cache_modifier="", eviction_policy="evict_first"')],
    ],
)
def test_what_says_the_same_in_other_words_is_no_change(pairs: list[tuple[str, str]]) -> None:
    found = [change for change in changes(changed(*pairs)) if change.kind != "code"]
    assert found == []


def test_a_load_in_a_helper_function_is_the_same_load() -> None:
    with_helper = changed((LOAD, "_row(x_ptr, row, n, BLOCK)"))
    without = changed((', eviction_policy="evict_first"', ""))
    assert [change for change in changes(with_helper, without) if change.kind != "code"] == []


def test_a_constant_with_a_name_is_the_same_tunable() -> None:
    named = changed(("BLOCK_K=32", "BLOCK_K=BLOCK_K"), ("WIDTH = 128", "WIDTH = 128\nBLOCK_K = 32"))
    assert [change for change in changes(named) if change.kind != "code"] == []


def test_a_change_says_where_it_is_in_both_versions() -> None:
    (found,) = changes(changed(("num_warps: int = 4", "num_warps: int = 8")))
    line = 1 + BASE.split("\n").index("def scale(x, *, BLOCK: int = 1024, num_warps: int = 4):")
    assert (found.before, found.after, found.before_place, found.after_place) == (
        "4",
        "8",
        f"v.py:{line}",
        f"v.py:{line}",
    )
    assert found.sentence == "num_warps raised: 4 -> 8"


def test_autotuned_configurations_are_tunables() -> None:
    def tuned(*stages: int) -> str:
        listed = ", ".join(f'triton.Config({{"BLOCK": 64}}, num_stages={number})' for number in stages)
        return changed(("@triton.jit\ndef _scale", f"@triton.autotune([{listed}], key=['n'])\n@triton.jit\ndef _scale"))

    assert said(tuned(1, 2, 5), tuned(1, 2, 3)) == ["tunable num_stages raised"]
    assert said(tuned(1, 2), tuned(1, 2)) == []


@pytest.mark.parametrize("text", ["def", "x = " + " + ".join(["1"] * 3000), "x = '\0'"])
def test_a_file_that_cannot_be_read_as_python_is_named(text: str) -> None:
    found = code_difference({"v.py": BASE}, {"v.py": BASE, "w.py": text})
    assert found.changes == []
    assert found.unread[0].startswith("w.py: ")


def test_an_access_by_descriptor_and_by_block_pointer_is_one() -> None:
    before = changed((LOAD, "x_ptr.load([row, 0])"))
    assert said(changed((LOAD, "x_ptr.load([0, row])")), before) == ["access _scale_kernel changed"]
    block = "tl.load(tl.make_block_ptr(x_ptr, (n,), (1,), ({},), (BLOCK,), (0,)))"
    found = said(changed((LOAD, block.format("row"))), changed((LOAD, block.format("row * 2"))))
    assert set(found) == {"access _scale_kernel changed"}


# --- a property: a kernel beside others is an addition ----------------------------------------------------------------

KERNELS = {
    "scale": """
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * n + columns, mask=columns < n, other=0.0, eviction_policy="evict_first")
    tl.store(y_ptr + row * n + columns, 2 * x, mask=columns < n)
""",
    "product": """
    rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    k = tl.arange(0, BLOCK)
    accumulator = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    for start in tl.range(0, n, BLOCK, num_stages=2):
        a = tl.load(x_ptr + rows[:, None] * n + (start + k)[None, :])
        b = tl.load(x_ptr + (start + k)[:, None] * n + rows[None, :])
        accumulator = tl.dot(a, b, accumulator)
    tl.store(y_ptr + rows[:, None] * n + rows[None, :], accumulator)
""",
    "fold": """
    places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), dtype=tl.float32)
    for part in range(4):
        total += tl.load(x_ptr + part * n + places, mask=places < n)
    tl.store(y_ptr + places, total, mask=places < n)
""",
    "count": """
    places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.atomic_add(y_ptr, tl.sum(tl.load(x_ptr + places, mask=places < n)))
""",
}


def launching(rng: random.Random, kernels: dict[str, str], *, blocks: int) -> str:
    """A variant that launches kernels, name -> body, from functions in any order."""
    pieces = []
    for name, body in kernels.items():
        pieces.append(f"@triton.jit\ndef {name}(x_ptr, y_ptr, n, BLOCK: tl.constexpr):{body}")
        size = 64 if body == KERNELS["product"] else blocks
        pieces.append(
            f"def run_{name}(x, y, *, BLOCK: int = {size}):\n"
            f"    {name}[(x.shape[0],)](x, y, x.shape[1], BLOCK=BLOCK, num_warps={size // 16})\n"
        )
    rng.shuffle(pieces)
    return "\n\n".join(["import triton\nimport triton.language as tl", *pieces])


def any_names(rng: random.Random, count: int) -> list[str]:
    """Names of kernels, which lead astray."""
    words = [*KERNELS, "partial", "matmul", "kernel", "row"]
    return rng.sample([f"_{first}_{second}" for first in words for second in words], count)


@pytest.mark.parametrize("seed", range(30))
def test_a_kernel_beside_those_that_stay_removes_nothing(seed: int) -> None:
    rng = random.Random(seed)
    stay = rng.sample(sorted(KERNELS), rng.randrange(1, len(KERNELS)))
    come = [each for each in KERNELS if each not in stay]
    names, others = any_names(rng, len(stay)), any_names(rng, len(KERNELS))
    renamed = [rng.choice(pair) for pair in zip(names, others, strict=False)] if seed % 2 else others[: len(stay)]
    if len(set(renamed)) < len(renamed):
        renamed = names
    free = [each for each in dict.fromkeys([*names, *others]) if each not in renamed]
    before = launching(rng, {name: KERNELS[each] for name, each in zip(names, stay, strict=True)}, blocks=64)
    bodies = {name: KERNELS[each] for name, each in zip([*renamed, *free], [*stay, *come], strict=False)}
    found = changes(launching(rng, bodies, blocks=64), before)
    added = [change.subject for change in found if change.verb == "added"]
    assert sorted(added) == sorted(set(bodies) - set(renamed))
    rest = {(change.before, change.after) for change in found if change.verb != "added"}
    assert rest == {pair for pair in zip(names, renamed, strict=True) if pair[0] != pair[1]}
    assert {change.kind for change in found} <= {"kernel"}


@pytest.mark.parametrize("seed", range(30))
def test_a_product_that_is_split_keeps_its_dot_whatever_its_kernels_are_called(seed: int) -> None:
    """Two kernels take the place of one: the one with the product changed, the other is added with its tunables."""
    rng = random.Random(seed)
    (name, part, fold) = any_names(rng, 3)
    split = KERNELS["product"].replace("0, n, BLOCK", "tl.program_id(1) * 128, n, BLOCK")
    split = split.replace("tl.store(y_ptr", "tl.store(y_ptr + tl.program_id(1) * n * n")
    part, fold = rng.choice([(part, fold), (name, fold), (part, name)])
    parts = list({part: split, fold: KERNELS["fold"]}.items())
    rng.shuffle(parts)
    after = launching(rng, dict(parts), blocks=1024).replace("range(4)", rng.choice(["range(4)", "range(8)"]))
    found = changes(after, launching(rng, {name: KERNELS["product"]}, blocks=64))
    assert "removed" not in {change.verb for change in found}
    assert [change.subject for change in found if (change.kind, change.verb) == ("kernel", "added")] == [fold]
    assert {change.kind for change in found} - {"tunable", "code"} <= {"kernel", "access", "loop"}


def test_a_product_that_is_gone_is_removed_whatever_is_added() -> None:
    rng = random.Random(0)
    before = launching(rng, {"_product": KERNELS["product"]}, blocks=64)
    for bodies in ({"_other": "fold"}, {"_sums": "fold", "_product": "count"}, {"_product": "scale", "_fold": "fold"}):
        after = launching(rng, {name: KERNELS[each] for name, each in bodies.items()}, blocks=64)
        assert any((change.kind, change.verb) == ("dot", "removed") for change in changes(after, before)), bodies


def test_a_kernel_that_is_launched_by_another_name_is_no_removal() -> None:
    later = changed(("_product_kernel[grid](", "launch = _product_kernel[grid]\n    launch("))
    assert "removed" not in {change.verb for change in changes(later) if change.kind in ("kernel", "dot")}


# --- a property: writing it differently changes nothing ---------------------------------------------------------------

FILES = [
    "cumprod/naive_serial.py",
    "cumprod/two_pass_scan.py",
    "matmul/naive.py",
    "matmul/tiled.py",
    "rmsnorm/fused.py",
]


class _Renamed(ast.NodeTransformer):
    """Renames what each function assigns, and turns keyword arguments around."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._names: dict[str, str] = {}

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        nested = [each for each in ast.walk(node) if isinstance(each, ast.FunctionDef | ast.Lambda)][1:]
        arguments = {each.arg for each in ast.walk(node) if isinstance(each, ast.arg)}
        stored = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
        if not nested:
            self._names = {name: f"{name}_{self._rng.randrange(1000)}" for name in sorted(stored - arguments)}
        done = self.generic_visit(node)
        self._names = {}
        return done

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.copy_location(ast.Name(id=self._names.get(node.id, node.id), ctx=node.ctx), node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if all(each.arg is not None for each in node.keywords):
            self._rng.shuffle(node.keywords)
        return node


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", FILES)
def test_layout_comments_names_of_locals_and_order_of_keywords_change_nothing(name: str, seed: int) -> None:
    text = (ROOT / "kernels" / name).read_text()
    tree = _Renamed(random.Random(seed)).visit(ast.parse(text))
    other = "# another comment\n\n" + ast.unparse(ast.fix_missing_locations(tree)).replace("\n\n", "\n\n\n")
    assert other != text
    assert code_difference({name: text}, {name: other}).changes == []
