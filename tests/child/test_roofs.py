"""The built-in roof reads all that it is given, writes as much as it is to, and says what is right."""

from __future__ import annotations

import random

import pytest
import torch
import triton.runtime.interpreter

from stallgate.child import roofs
from stallgate.child.roofs import moved, moved_bytes, traffic_result, traffic_source

DRAWN = random.Random(3)
SIZES = [
    (4096, 4096),
    (1, 1),
    (7, 3),
    (8192, 4096),
    (4096, 8192),
    (100_000, 4),
    (4, 100_000),
    (12_288, 4096),
    (5000, 4999),
]
SIZES += [(DRAWN.randrange(1, 40_000), DRAWN.randrange(1, 40_000)) for _ in range(12)]
SIZES += [(4 * DRAWN.randrange(1, 10_000), 4 * DRAWN.randrange(1, 10_000)) for _ in range(12)]


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    if not isinstance(roofs._traffic_kernel, triton.runtime.interpreter.InterpretedFunction):
        function = roofs._traffic_kernel.fn
        monkeypatch.setattr(roofs, "_traffic_kernel", triton.runtime.interpreter.InterpretedFunction(function))


@pytest.mark.parametrize(("reads", "writes"), SIZES)
@pytest.mark.usefixtures("interpreted")
def test_it_moves_what_it_is_to_move(reads: int, writes: int) -> None:
    x = traffic_source(reads, "cpu", 1)
    y = moved(x, writes)
    assert y.numel() == writes
    assert torch.equal(y, traffic_result(x, writes))


@pytest.mark.parametrize(("reads", "writes"), SIZES)
def test_every_word_lies_in_one_programs_share(reads: int, writes: int) -> None:
    shares = roofs._Shares.of(reads, writes)
    assert shares.programs * shares.read >= reads
    assert shares.programs * shares.written >= writes
    assert max(shares.read, shares.written) <= shares.block


def test_what_a_workload_says_is_moved_in_the_proportion_of_inputs_and_outputs() -> None:
    assert moved_bytes(None, 300, 100) == (300, 100)
    assert moved_bytes(800, 300, 100) == (600, 200)
    assert sum(moved_bytes(1001, 300, 100)) == 1001
