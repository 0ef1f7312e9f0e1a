"""Every variant is right: element by element, wherever a tile ends and whatever stands in it."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from packages import get, put
from rightness import SPECIAL_SEGMENTS, SUBNORMAL_STEPS, ratios, tolerance, verdict, with_segments

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
INTEGERS = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]


class Small(NamedTuple):
    """How a kernel or a form of it is tested: with settings that give a short sequence many tiles."""

    settings: dict[str, int | str]
    is_tiled: bool = True
    """Whether it cuts a sequence into tiles of BLOCK elements, each scanned as a tree."""
    is_for_neighbours: bool = False
    """Whether it takes only sequences whose elements lie beside each other."""


SMALL = {
    "naive_serial": Small({}, is_tiled=False),
    "blocked_scan": Small({"BLOCK": 32, "num_warps": 1, "num_stages": 2}),
    "two_pass_scan": Small({"BLOCK": 32, "num_warps": 1, "TILE": 2}),
    "scan/rows": Small({"form": "rows", "BLOCK": 32, "num_warps": 1}, is_for_neighbours=True),
    "scan/short": Small({"form": "short", "BLOCK": 64, "num_warps": 1}, is_tiled=False, is_for_neighbours=True),
    "scan/strips": Small({"form": "strips", "ROWS": 4, "num_warps": 1, "num_stages": 1}, is_tiled=False),
    "scan/tiles": Small({"form": "tiles", "BLOCK": 32, "COLUMNS": 2, "LOOK": 16, "num_warps": 1, "registers": 0}),
}
KERNELS = list(SMALL)
TILED = [name for name, small in SMALL.items() if small.is_tiled]
ROWS = ["blocked_scan", "scan/rows"]
"""Those that scan a sequence tile by tile, and again from where products may be wrong."""

LEADING = ["scan/rows", "scan/tiles"]
"""Those that see the most. The other tiled ones scan a tile by the same functions, word for word (test_form.py): a
slice of the data shows how they hand on what a tile found, and in the night they see everything.
"""


def in_the_night(*names: str) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.long) for name in names]


def run(variant: ModuleType, x: torch.Tensor, dim: int, **configuration: int) -> torch.Tensor:
    small = SMALL[variant.__name__.removeprefix("cumprod.")]
    model = variant.ModelNew(dim, **{**small.settings, **configuration})
    if small.is_for_neighbours and x.dim():
        model.dim = -1
        return model(x.movedim(dim, -1).contiguous()).movedim(-1, dim).contiguous()
    result: torch.Tensor = model(x)
    return result


def check(variant: ModuleType, x: torch.Tensor, dim: int, **configuration: int) -> None:
    judge(run(variant, x, dim, **configuration), x, dim)


def check_exactly(variant: ModuleType, x: torch.Tensor, **configuration: int) -> None:
    """Only the float64 product is right, also where a float32 product would have left its range for good."""
    got = run(variant, x, 1, **configuration)
    want = torch.cumprod(x.double(), 1).to(x.dtype)
    steps = torch.finfo(x.dtype).smallest_normal * torch.finfo(x.dtype).eps * SUBNORMAL_STEPS
    torch.testing.assert_close(got, want, rtol=tolerance(x, 1), atol=steps, equal_nan=True)


def judge(got: torch.Tensor, x: torch.Tensor, dim: int) -> None:
    found = verdict(got, x, dim, tolerance(x, dim))
    assert not found, found


def some(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(len(shape))
    if dtype.is_floating_point:
        return torch.empty(shape, dtype=torch.float64).uniform_(-1.5, 1.5, generator=generator).to(dtype)
    lowest = 0 if dtype in (torch.bool, torch.uint8) else -3
    return torch.randint(lowest, 4, shape, generator=generator).to(dtype)


@pytest.mark.parametrize("variant", KERNELS, indirect=True)
@pytest.mark.parametrize("dtype", FLOATS + INTEGERS, ids=str)
def test_every_dtype(variant: ModuleType, dtype: torch.dtype) -> None:
    check(variant, some((2, 3, 2), dtype), 1)
    check(variant, some((2, 3), dtype), 1)


@pytest.mark.parametrize("variant", KERNELS, indirect=True)
@pytest.mark.parametrize("dtype", [torch.float32, torch.int8], ids=str)
@pytest.mark.parametrize("shape", [(7,), (2, 5), (2, 1, 3), (1, 2, 3, 2)], ids=str)
def test_every_dimension(variant: ModuleType, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """Counted from the first; of two dimensions also from the last."""
    x = some(shape, dtype)
    for dim in range(len(shape)):
        got = run(variant, x, dim)
        judge(got, x, dim)
        assert len(shape) != 2 or torch.equal(got, run(variant, x, dim - len(shape)))


@pytest.mark.parametrize("variant", KERNELS, indirect=True)
def test_special_segments_one_after_another(variant: ModuleType) -> None:
    """One element of a tile after the other leaves the range."""
    x = torch.tensor([[1e38, 1e38, 1e-38, 1e-38] * 30, [1e-38, 1e-38, 1e38, 1e38] * 30, [3e38, 1e-38, 3e-1, 1.0] * 30])
    check(variant, x, 1)


@pytest.mark.parametrize("variant", KERNELS, indirect=True)
@pytest.mark.parametrize("first", [float("inf"), 0.0])
def test_infinity_and_zero_last(variant: ModuleType, first: float) -> None:
    """However small or large a segment is that follows; and infinity times infinity is no NaN."""
    x = torch.ones(4, 100)
    x[:, 3] = torch.tensor([first, -first, first, -first])
    x[0, 5:] = 1e-38
    x[1, 5:] = -1e38
    x[2, [20, 40, 70]] = float("inf")
    x[3, 90] = -first
    check(variant, x, 1)


@pytest.mark.parametrize("variant", KERNELS, indirect=True)
@pytest.mark.parametrize("n", [1, 2, 13, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 96, 97, 127, 128, 131])
def test_lengths_around_tiles(variant: ModuleType, n: int) -> None:
    check(variant, ratios((2, n), 1, torch.float32, seed=n), 1)


@pytest.mark.parametrize("variant", TILED, indirect=True)
@pytest.mark.parametrize("dtype", [*FLOATS, torch.int8, torch.int64], ids=str)
def test_several_tiles_in_every_dtype(variant: ModuleType, dtype: torch.dtype) -> None:
    x = ratios((2, 150), 1, dtype, seed=3) if dtype.is_floating_point else some((2, 150), dtype) * 2 + 1
    check(variant, x, 1)
    check(variant, x.T.contiguous(), 0)


@pytest.mark.parametrize("variant", TILED, indirect=True)
def test_tiles_of_several_rows(variant: ModuleType) -> None:
    """A tile holds more than its threads hold side by side: 256 elements where 128 are."""
    x = ratios((2, 520), 1, torch.float32, seed=4)
    x[1, 200:204] = torch.tensor([1e30, 1.0, 1e-30, 1e-30])
    check(variant, x, 1, BLOCK=256)


@pytest.mark.parametrize("variant", KERNELS, indirect=True)
@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.int16, marks=pytest.mark.long)], ids=str)
def test_inputs_that_are_not_contiguous(variant: ModuleType, dtype: torch.dtype) -> None:
    x = some((4, 4, 3), dtype)
    for view in (x.transpose(0, 2), x[:, ::2], x[3:, 1:, 1:], x[:1, :2].expand(3, 2, 3), x.flatten()[7:27].view(4, 5)):
        for dim in {0, view.dim() - 1}:
            check(variant, view, dim)


@pytest.mark.parametrize("variant", KERNELS, indirect=True)
@pytest.mark.parametrize("dtype", [torch.bool, torch.float16, torch.int32], ids=str)
def test_empty_and_scalar_inputs(variant: ModuleType, dtype: torch.dtype) -> None:
    for shape, dim in (((), 0), ((), -1), ((0,), 0), ((3, 0), 0), ((3, 0), 1), ((0, 4), -2)):
        check(variant, torch.ones(shape, dtype=dtype), dim)


PLACES = [30, 0, 31, 13, 77]
"""In a sequence of 81: across the edge of a tile, in the first, across the edge, inside and in the last tile."""


def segments(base: torch.Tensor, places: list[int], each: int) -> torch.Tensor:
    """Every special segment at so many of the places, in turn."""
    rows = with_segments(base, places).view(len(SPECIAL_SEGMENTS), len(places), len(base))
    return torch.cat([row[[(k + turn) % len(places) for turn in range(each)]] for k, row in enumerate(rows)])


@pytest.mark.parametrize(
    ("variant", "each"),
    [
        *((name, 2 if name in LEADING else 1) for name in TILED),
        *(pytest.param(name, len(PLACES), marks=pytest.mark.long) for name in TILED),
    ],
    indirect=["variant"],
)
def test_a_special_segment_anywhere(variant: ModuleType, each: int) -> None:
    """Inside a tile, across its edge, in the first and in the last tile: what a serial product does stands."""
    check(variant, segments(ratios((81,), 0, torch.float32, seed=5), PLACES, each), 1)


@pytest.mark.parametrize("variant", [*LEADING, *in_the_night("blocked_scan", "two_pass_scan")], indirect=True)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64], ids=str)
def test_special_segments_in_other_types(variant: ModuleType, dtype: torch.dtype) -> None:
    """Not in bfloat16: the interpreter converts its subnormal numbers wrongly."""
    check(variant, with_segments(torch.ones(70, dtype=dtype), places=[30]), 1)


@pytest.mark.parametrize(
    ("variant", "each"),
    [*((name, 1) for name in TILED), *(pytest.param(name, 2, marks=pytest.mark.long) for name in TILED)],
    indirect=["variant"],
)
def test_special_segments_of_float64(variant: ModuleType, each: int) -> None:
    """Where float64 itself over- and underflows."""
    rows = segments(torch.ones(70, dtype=torch.float64), [30, 5], each)
    rows = rows.abs().pow(9).copysign(rows)
    rows[0] = 1
    rows[0, [5, 8, 9]] = torch.tensor([2.0**-700, 2.0**400, 2.0**700], dtype=torch.float64)
    check(variant, rows, 1)


PAIRS = [(1e30, 1e-30), (1e-20, 1e20), (1e-30, 1e30), (1e20, 1e-20)]


@pytest.mark.parametrize("variant", TILED, indirect=True)
@pytest.mark.parametrize(
    ("gap", "pairs"),
    [(5, PAIRS[:1]), (33, PAIRS[1:3]), *(pytest.param(gap, PAIRS, marks=pytest.mark.long) for gap in (5, 33))],
)
def test_what_happened_in_an_earlier_tile_lasts(
    variant: ModuleType, gap: int, pairs: list[tuple[float, float]]
) -> None:
    rows = []
    for a, b in pairs:
        for order in ((a, a, b, b), (a, b, a, b), (a, a, a, b), (a, 1, b, b), (0.0, a, a, b), (a, a, 0.0, b)):
            row = torch.ones(110)
            row[3 : 3 + 4 * gap : gap] = torch.tensor(order)[: len(row[3 : 3 + 4 * gap : gap])]
            rows.append(row)
    check(variant, torch.stack(rows), 1)


@pytest.mark.parametrize("variant", TILED, indirect=True)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
def test_data_that_vanish_or_grow(variant: ModuleType, dtype: torch.dtype) -> None:
    """Uniform, normal and growing data leave the range for good, masks hold zeros, and 0.6 sinks without halving."""
    generator = torch.Generator().manual_seed(6)
    length = 1400 if dtype == torch.float64 else 400
    uniform = torch.rand(length, generator=generator, dtype=torch.float64)
    mask = (uniform > 0.02).double()
    rows = [uniform, uniform * 2 - 1, torch.randn(length, generator=generator, dtype=torch.float64), uniform + 1, mask]
    check(variant, torch.stack([*rows, mask * 3, uniform * 0 + 0.6]).to(dtype), 1, BLOCK=256)


@pytest.fixture
def careful_scans(variant: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of what is scanned carefully."""
    original = get(variant, "scan_carefully")
    lengths: list[int] = []

    def noting(x_ptr: Any, y_ptr: Any, left: Any, *others: Any) -> Any:
        lengths.append(int(left))
        return original(x_ptr, y_ptr, left, *others)

    put(monkeypatch, variant, "scan_carefully", noting)
    return lengths


@pytest.mark.parametrize("variant", ROWS, indirect=True)
def test_usual_data_need_hardly_a_careful_scan(variant: ModuleType, careful_scans: list[int]) -> None:
    """It would be right as well, but slow. Where factors of both kinds vanish it is needed, until all is 0."""
    generator = torch.Generator().manual_seed(9)
    uniform = torch.rand(1, 9001, generator=generator)
    near = ratios((3, 700), 1, torch.float32, seed=9)
    check(variant, near, 1)
    check(variant, (torch.rand(3, 170, generator=generator) > 0.1).float(), 1)
    check(variant, uniform, 1, BLOCK=4096)
    near[:, [5, 300, 650]] *= 1 - torch.eye(3)
    check(variant, near, 1, BLOCK=128)
    check_exactly(variant, 0.85 + uniform[:, :3000] / 5, BLOCK=512)
    check_exactly(variant, 1 + uniform[:, :5000], BLOCK=4096)
    check_exactly(variant, -1 - uniform[:, :5000], BLOCK=4096)
    check_exactly(variant, (uniform[:, :1500] > 0.2) * 3.0, BLOCK=512)
    assert careful_scans == []
    check(variant, torch.randn(1, 9001, generator=generator), 1, BLOCK=4096)
    assert sum(careful_scans) <= 2048


@pytest.mark.parametrize("variant", ROWS, indirect=True)
def test_only_the_tile_with_a_nan_needs_a_careful_scan(variant: ModuleType, careful_scans: list[int]) -> None:
    x = ratios((1, 400), 1, torch.float32, seed=9)
    x[0, 40] = float("nan")
    check_exactly(variant, x)
    assert careful_scans == [32]


LOST = [1e30, 1e30, 1e-30, 1e-30]
"""After these the serial float32 product is infinite for good, so that only the float64 one is right."""


@pytest.mark.parametrize("variant", TILED, indirect=True)
def test_a_tile_dies_out_only_past_return(variant: ModuleType) -> None:
    """Uniform data end in zeros after one tile. 512 halvings leave float32 as well, but can be undone."""
    check(variant, torch.rand(1, 9000, generator=torch.Generator().manual_seed(9)), 1, BLOCK=4096)
    check(variant, torch.tensor([LOST + [1.0] * 508 + [0.5] * 512 + [2.0] * 600]), 1, BLOCK=512)
    check(variant, torch.tensor([[1e-25] + [0.5, 2.0] * 3000]), 1, BLOCK=4096)


@pytest.mark.parametrize("variant", TILED, indirect=True)
@pytest.mark.parametrize("depth", [60, 900])
@pytest.mark.parametrize("factor", [0.6, 0.25, 3.0])
@pytest.mark.parametrize("block", [128])
def test_products_come_back_from_far_away(variant: ModuleType, factor: float, depth: int, block: int) -> None:
    """From where float32 has no number. Errors of equal factors would be alike, and add up: these differ a little."""
    steps = int(depth / abs(torch.tensor(factor).log2().item()))
    there = factor * (1 + 0.02 * (torch.rand(steps, generator=torch.Generator().manual_seed(depth)) - 0.5))
    x = torch.cat([torch.tensor(LOST), there, 1 / there])
    check(variant, x[None], 1, BLOCK=block)


@pytest.mark.parametrize("variant", TILED, indirect=True)
@pytest.mark.parametrize("up", [1e38, 1e-38])
def test_segments_that_leave_float64(variant: ModuleType, up: float) -> None:
    """A segment of 14 factors is 2**1767 on its own, while prefixes stay within 2**884; one of 9 is subnormal."""
    check(variant, torch.tensor([[*LOST, 1.0, *[up] * 7, *[1 / up] * 14, *[up] * 7, 0.5] * 2]), 1)
    check(
        variant,
        torch.tensor([[*LOST, *[1e38] * 7, *[1.0] * 7, *[1e-38] * 8, 1.3e-17, *[up, 1 / up] * 18, 1e38]]),
        1,
        BLOCK=64,
    )


@pytest.mark.parametrize("variant", TILED, indirect=True)
def test_carries_below_normal_numbers(variant: ModuleType) -> None:
    """A tile's product has no normal float32 number at its end, and comes back."""
    x = ratios((3, 100), 1, torch.float32, seed=11)
    x[:, :4] = torch.tensor(LOST)
    for place, value in ((10, 1e-22), (15, 1e-22), (70, 1e22), (75, 1e22)):
        x[:, place] *= value
    check(variant, x, 1)


UP, DOWN, INFINITY, NAN = 2.0**60, 2.0**-60, float("inf"), float("nan")
JOURNEYS: dict[str, list[list[float]]] = {
    "down and back": [[DOWN], [DOWN], [DOWN], [], [UP], [UP, -1], [UP]],
    "up and back": [[UP], [UP], [-UP], [], [DOWN], [DOWN], [DOWN]],
    "past the range of a tile and back": [[DOWN, DOWN], [UP, UP], [UP, UP, DOWN, DOWN], [UP], [DOWN]],
    "a zero among ordinary factors": [[], [-0.0], [], [UP], [UP], [UP]],
    "a zero before an overflow": [[0, UP, UP, UP], [], [UP]],
    "a zero after an overflow": [[UP, UP, UP, 0], [DOWN]],
    "a zero in an overflow": [[UP, UP, UP], [UP, 0, UP, UP], [UP]],
    "a zero after an underflow": [[DOWN], [DOWN], [0], [UP], [UP]],
    "a zero, infinity in the same tile": [[], [0, INFINITY], [UP]],
    "a zero, infinity in the next tile": [[0, UP, UP], [INFINITY], [UP]],
    "a zero, infinity in a later tile": [[0], [UP], [UP, UP, UP], [INFINITY], [DOWN]],
    "infinity, then a zero in the same tile": [[INFINITY, 0], [UP]],
    "infinity, then a zero in a later tile": [[INFINITY], [DOWN], [-1], [0], [UP]],
    "infinity, then factors that shrink": [[-INFINITY], [DOWN, DOWN, DOWN], [DOWN, -1], [INFINITY]],
    "NaN": [[NAN], [], [DOWN, DOWN, DOWN], [0], [INFINITY]],
    "zeros and NaN": [[0], [UP], [NAN], [0]],
}
"""What factors are planted in a tile after the other, among others near 1."""


def journeys(dtype: torch.dtype, *, power: int, times: int) -> torch.Tensor:
    """A row each. Planted factors are taken to a power, or are that of so many factors together.

    None through infinity in bfloat16, which the interpreter takes for a finite number where it makes float64 of it.
    """
    chosen = [tiles for name, tiles in JOURNEYS.items() if dtype != torch.bfloat16 or "infinity" not in name]
    x = ratios((len(chosen), 7 * 32 + 3), 1, torch.float64, seed=12)
    for row, tiles in zip(x, chosen, strict=True):
        for tile, factors in enumerate(tiles):
            for place, factor in enumerate(factors):
                root = abs(factor) ** (power / times) if factor == factor else factor
                begin = 32 * tile + 2 + 7 * place
                row[begin : begin + times] *= root
                row[begin] *= -1 if factor < 0 else 1
    return x.to(dtype)


@pytest.mark.parametrize(
    ("variant", "dtype", "power", "times"),
    [
        *((name, torch.float32, 1, 1) for name in (*ROWS, "two_pass_scan")),
        *((name, torch.float64, 8, 1) for name in ROWS),
        ("scan/rows", torch.float16, 1, 4),
        ("blocked_scan", torch.bfloat16, 1, 1),
        pytest.param("blocked_scan", torch.float16, 1, 4, marks=pytest.mark.long),
        pytest.param("scan/rows", torch.bfloat16, 1, 1, marks=pytest.mark.long),
    ],
    indirect=["variant"],
    ids=str,
)
def test_journeys_through_many_tiles(variant: ModuleType, dtype: torch.dtype, power: int, times: int) -> None:
    """Rows of an odd length: each begins at another place between vectors."""
    check_exactly(variant, journeys(dtype, power=power, times=times))


@pytest.mark.parametrize("variant", ROWS, indirect=True)
def test_journeys_to_the_end_of_float64(variant: ModuleType) -> None:
    """From 2**-960 the way leads back; from 2**1080 it does not, even within a tile, whatever follows."""
    x = ratios((4, 32 * 36 + 1), 1, torch.float32, seed=13)
    x[0, 9 : 32 * 16 : 32] *= DOWN
    x[0, 32 * 16 + 9 : 32 * 32 : 32] *= UP
    x[1:3, 9 : 32 * 18 : 32] *= UP
    x[1:3, 32 * 18 + 9 :: 32] *= DOWN
    x[2, 1000] = 0
    x[3, 9 : 32 * 17 : 32] *= UP
    x[3, [32 * 17 + 9, 32 * 17 + 20]] *= torch.tensor([UP, DOWN])
    x[3, 32 * 18 + 9 :: 32] *= DOWN
    check_exactly(variant, x)


@pytest.mark.parametrize("variant", ROWS, indirect=True)
def test_a_row_leaves_the_range_before_its_first_vector(variant: ModuleType) -> None:
    x = ratios((8, 131), 1, torch.float32, seed=14)
    x[:4, :2] *= UP * 32
    x[:4, 10:12] *= DOWN
    x[4:, :2] *= DOWN / 32
    x[4:, 70:72] *= UP
    check_exactly(variant, x)


@pytest.mark.parametrize("variant", ROWS, indirect=True)
def test_a_tile_vanishes_or_explodes_only_past_return(variant: ModuleType) -> None:
    """From 2**1022 in one tile, from 2**1000 after 1060 doublings, and likewise down, the way leads back."""
    x = torch.ones(6, 3 * 4096)
    x[0, 5:1753] = 1.5
    x[0, 5000:6000] = 0.5
    x[1, :60] = 0.5
    x[1, 4096:5156] = 2
    x[1, 9000:9990] = 0.5
    x[2, 5:1000] = 0.5
    x[2, 5000:5990] = 2
    x[3, :60] = 2
    x[3, 4096:5171] = 0.5
    x[3, 9000:10010] = 2
    x[4, 5:1757] = -1.5
    x[4, 17:1017] = -2
    x[4, 8000] = -1
    x[4, 9000:] = 0.5
    x[5] = -1.5
    x[5, 10000] = 0
    check_exactly(variant, x, BLOCK=4096)


@pytest.mark.parametrize("variant", ["two_pass_scan"], indirect=True)
def test_chunks_whose_products_together_leave_float64(variant: ModuleType) -> None:
    """16 chunks make 2**992, the next 18 on their own 2**-1062, which float64 holds to 12 bits only."""
    x = torch.ones(64, 16)
    x[:16, 7] = 1.99 * 2.0**61
    x[16:33, 7] = 1.3 * 2.0**-62
    x[33, 7] = 1.3 * 2.0**-15
    check(variant, x.reshape(1, -1), 1, BLOCK=16, TILE=64)


@pytest.mark.parametrize("variant", ["two_pass_scan"], indirect=True)
def test_a_zero_stays_however_large_the_chunks(variant: ModuleType) -> None:
    """The second 64 carries: 32 chunks make 2**1920, and 0 times infinity a NaN."""
    x = torch.ones(100, 16)
    x[:, 7] = 2.0**60
    x[0, 3] = 0
    check(variant, x.reshape(1, -1), 1, BLOCK=16, TILE=64)


VALUES = [0.0, -0.0, float("inf"), -float("inf"), float("nan"), 1e30, -1e30, 1e-30, 1e-20, 1e20, 1e-40, 3e38, 0.5, -1]


in_types = pytest.mark.parametrize(("dtype", "power"), [(torch.float32, 1), (torch.float64, 8)], ids=str)
anywhere = given(
    n=st.integers(1, 140),
    planted=st.lists(st.tuples(st.integers(0, 139), st.sampled_from(VALUES)), max_size=12),
    seed=st.integers(0, 99),
)
drawn = settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@pytest.mark.parametrize("variant", TILED, indirect=True)
@in_types
@drawn
@anywhere
def test_special_values_anywhere(
    variant: ModuleType, dtype: torch.dtype, power: int, n: int, planted: list[tuple[int, float]], seed: int
) -> None:
    check(variant, with_values(n, planted, seed, dtype, power), 1)


@pytest.mark.long
@pytest.mark.parametrize("variant", TILED, indirect=True)
@in_types
@settings(drawn, max_examples=200, derandomize=False)
@anywhere
def test_special_values_anywhere_many_times(
    variant: ModuleType, dtype: torch.dtype, power: int, n: int, planted: list[tuple[int, float]], seed: int
) -> None:
    """Where a product is subnormal in float64, it has too few digits to say what is right later."""
    x = with_values(n, planted, seed, dtype, power)
    sizes = torch.cumprod(x.double(), 1).abs()
    assume(not ((sizes > 0) & (sizes < torch.finfo(torch.float64).smallest_normal)).any())
    check(variant, x, 1)


def with_values(n: int, planted: list[tuple[int, float]], seed: int, dtype: torch.dtype, power: int) -> torch.Tensor:
    """A sequence of factors near 1, with special ones in places."""
    x = ratios((1, n), 1, dtype, seed)
    for place, value in planted:
        x[0, place % n] = value * abs(value) ** (power - 1) if value else value
    return x


@pytest.mark.parametrize("variant", KERNELS, indirect=True)
@pytest.mark.parametrize(("shape", "dim"), [((), 1), ((), -2), ((3,), 1), ((3, 4), -3), ((3, 0), 2)], ids=str)
def test_a_dimension_that_is_not_there(variant: ModuleType, shape: tuple[int, ...], dim: int) -> None:
    x = torch.ones(shape)
    with pytest.raises(IndexError) as by_torch:
        torch.cumprod(x, dim)
    with pytest.raises(IndexError) as by_us:
        run(variant, x, dim)
    assert str(by_us.value) == str(by_torch.value)


@pytest.mark.parametrize("variant", KERNELS, indirect=True)
@pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e4m3fn], ids=str)
def test_dtypes_without_a_product(variant: ModuleType, dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match=str(dtype)):
        run(variant, torch.ones(3).to(dtype), 0)


@pytest.mark.parametrize("variant", ["blocked_scan"], indirect=True)
@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("n", [5, 32, 33, 64, 65, 96, 131])
def test_every_number_of_stages(variant: ModuleType, stages: int, n: int) -> None:
    check(variant, ratios((2, n), 1, torch.float32, seed=n), 1, num_stages=stages)


@pytest.mark.parametrize("variant", TILED, indirect=True)
def test_the_same_input_gives_the_same_bits(variant: ModuleType) -> None:
    x: Any = ratios((2, 200), 1, torch.float32, seed=8)
    assert torch.equal(run(variant, x, 1), run(variant, x, 1))
