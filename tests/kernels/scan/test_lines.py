"""A thread a sequence: right for every shape, type and data, because it multiplies as a serial product does."""

from __future__ import annotations

import random
from types import ModuleType

import pytest
import torch
from loading import load
from packages import get
from rightness import SPECIAL_SEGMENTS, ratios, tolerance, verdict

FLOATS = [torch.float16, torch.float32, torch.float64]
INTEGERS = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
H100 = 132


@pytest.fixture
def scan() -> ModuleType:
    return load("scan")


def drawn(shape: tuple[int, ...], dim: int, dtype: torch.dtype, rng: random.Random) -> torch.Tensor:
    """Factors whose products stay, of which some are special in floats."""
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    if not dtype.is_floating_point:
        lowest = 0 if dtype in (torch.bool, torch.uint8) else -3
        return torch.randint(lowest, 4, shape, generator=generator).to(dtype)
    x = ratios(shape, dim, dtype, seed=rng.randrange(2**31))
    rows = x.movedim(dim, -1)
    for _ in range(3):
        segment = torch.tensor(rng.choice(list(SPECIAL_SEGMENTS.values())), dtype=torch.float64).to(dtype)
        row = rows[tuple(rng.randrange(size) for size in rows.shape[:-1])]
        at = rng.randrange(len(row))
        row[at : at + len(segment)] = segment[: len(row) - at]
    return x


def assert_right(got: torch.Tensor, x: torch.Tensor, dim: int) -> None:
    found = verdict(got, x, dim, tolerance(x, dim))
    assert not found, (tuple(x.shape), dim, x.dtype, found)
    if x.is_floating_point():
        want = torch.cumprod(x, dim)
        zeros = (got == 0) & (want == 0)
        assert torch.equal(got[zeros].signbit(), want[zeros].signbit()), (tuple(x.shape), dim, x.dtype)


@pytest.mark.parametrize("part", range(4))
def test_lines_of_any_shape_type_and_data(scan: ModuleType, part: int) -> None:
    """Odd sizes, a single sequence, lengths around what is loaded ahead, with and without vectors."""
    rng = random.Random(part)
    for _ in range(12):
        shape = tuple(rng.choice([1, 2, 3, 4, 5, 8, 12, 17]) for _ in range(rng.randint(1, 4)))
        dim = rng.randrange(len(shape))
        x = drawn(shape, dim, rng.choice(FLOATS + INTEGERS), rng)
        settings = {"VECTOR": rng.choice([1, 2, 4, 8]), "AHEAD": rng.choice([1, 2, 4, 8]), "num_warps": 1}
        assert_right(scan.products(x, dim, form="lines", **settings), x, dim)


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS, ids=str)
def test_several_programs_of_every_type(scan: ModuleType, dtype: torch.dtype) -> None:
    rng = random.Random(str(dtype))
    for shape, dim in (((97, 9, 3), 1), ((40, 5, 20), 1), ((150, 3), 1)):
        x = drawn(shape, dim, dtype, rng)
        assert_right(scan.products(x, dim, form="lines", VECTOR=4, AHEAD=4, num_warps=1), x, dim)


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS, ids=str)
def test_whole_lines_of_every_type(scan: ModuleType, dtype: torch.dtype) -> None:
    """Of every length that 16 bytes of results hold, in several programs of which the last is not full."""
    rng = random.Random(str(dtype))
    for axis in (1, 2, 4, 8):
        if axis <= 16 // scan.products(torch.ones(1, dtype=dtype), 0).itemsize:
            x = drawn((1000, axis), 1, dtype, rng)
            assert_right(scan.products(x, 1, form="whole_lines", num_warps=1), x, 1)


def test_lines_that_are_not_whole_in_a_vector_are_refused(scan: ModuleType) -> None:
    with pytest.raises(ValueError, match="sequences of 3 are not whole in vectors of 4"):
        scan.products(torch.ones(4, 3), 1, form="whole_lines")
    with pytest.raises(ValueError, match="sequences of 4 are not whole in vectors of 2"):
        scan.products(torch.ones(1, 4, dtype=torch.float64), 1, form="whole_lines")


def test_input_between_vectors_is_multiplied_one_by_one_as_well(scan: ModuleType) -> None:
    """Where nothing is aligned, a thread does not hold whole sequences."""
    x = ratios((9,), 0, torch.float32, seed=1)[1:].view(2, 4)
    (launch,) = get(scan, "prepared")(x, 1, form="whole_lines").work.launches
    assert launch.kernel is get(scan, "_lines_kernel")
    assert_right(scan.products(x, 1), x, 1)


def test_places_beyond_32_bits_are_counted_in_64(scan: ModuleType) -> None:
    """Between the sequences of a program, and from the first program on."""
    lines_form, task, x = get(scan, "lines_form"), get(scan, "Task"), torch.ones(1)
    settings = {"VECTOR": 4, "AHEAD": 8, "num_warps": 4}
    is_wide = {
        shape: lines_form(task(x, x, *shape), **settings).launches[0].numbers[-2]
        for shape in ((2**25, 8, 8), (1, 2**24, 127), (2**10, 2**25, 1), (2, 2**20, 3))
    }
    assert is_wide == {(2**25, 8, 8): False, (1, 2**24, 127): True, (2**10, 2**25, 1): True, (2, 2**20, 3): False}


def test_many_programs_are_several_launches(scan: ModuleType) -> None:
    lines_form, task, x = get(scan, "lines_form"), get(scan, "Task"), torch.ones(1)
    work = lines_form(task(x, x, 2**38, 3, 1), VECTOR=1, AHEAD=8, num_warps=4)
    assert [(launch.grid, launch.numbers[0]) for launch in work.launches] == [((2**30,), 0), ((2**30,), 2**30)]


@pytest.mark.parametrize(
    ("outer", "axis", "inner", "dtype", "form"),
    [
        (2**22, 2, 2, torch.float32, "lines"),
        (2**24, 3, 1, torch.float32, "lines"),
        (2**25, 2, 1, torch.float32, "whole_lines"),
        (97990022, 2, 1, torch.bfloat16, "whole_lines"),
        (2**20, 3, 32, torch.float32, "lines"),
        (2**25, 1, 8, torch.float32, "lines"),
        (2**25, 1, 1, torch.int64, "whole_lines"),
        (29733 * 4 * 365, 3, 1, torch.float32, "lines"),
        (29733 * 4, 365, 3, torch.float32, "lines"),
        (8192, 128, 64, torch.float32, "lines"),
        (8192, 128, 128, torch.float32, "strips"),
        (1, 2**20, 64, torch.float32, "tiles"),
        (1, 2**25, 8, torch.float32, "tiles"),
        (2**22, 16, 1, torch.float32, "short"),
        (2**20, 4, 1, torch.int64, "lines"),
    ],
)
def test_short_and_many_sequences_go_to_a_thread_each(
    scan: ModuleType, outer: int, axis: int, inner: int, dtype: torch.dtype, form: str
) -> None:
    call = get(scan, "Call")(outer, axis, inner, dtype, H100)
    assert get(scan, "choice")(call)[0] == form


def test_a_thread_has_room_for_what_it_is_given(scan: ModuleType) -> None:
    """Whatever the shape, a batch takes 32 registers, of half types 16, or there are no vectors."""
    rng = random.Random(0)
    for _ in range(300):
        outer, axis, inner = (int(2 ** rng.uniform(0, most)) for most in (26, 9, 7))
        dtype = rng.choice([torch.float16, torch.float32, torch.float64, torch.int64])
        form, settings = get(scan, "choice")(get(scan, "Call")(outer, axis, inner, dtype, H100))
        if form == "lines":
            batch = min(settings["AHEAD"], axis) * dtype.itemsize
            vector = min(settings["VECTOR"], 16 // dtype.itemsize, inner & -inner)
            assert batch <= 128, settings
            assert vector == 1 or vector * batch <= 128, settings


@pytest.mark.parametrize("axis", range(5, 33))
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
def test_a_thread_has_a_power_of_two_of_sequences(scan: ModuleType, axis: int, dtype: torch.dtype) -> None:
    for inner in (2, 3, 5, 6, 7, 12, 15):
        x = ratios((2, axis, inner), 1, dtype, seed=axis)
        (launch,) = get(scan, "prepared")(x, 1).work.launches
        assert launch.kernel.__name__ == "_lines_kernel"
        assert_right(scan.products(x, 1), x, 1)
