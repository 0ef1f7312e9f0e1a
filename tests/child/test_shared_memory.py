"""Tensors that travel through shared memory keep every bit, whatever their form."""

from __future__ import annotations

import base64
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stallgate.child import cuda_ipc
from stallgate.child.correctness import same_bits
from stallgate.child.referee_client import RefereeClient
from stallgate.child.shared_memory import (
    CannotShare,
    Lender,
    borrowed,
    contiguous_form,
    end_of,
    form,
    laid_out,
    seen_as,
    span,
    span_of,
)

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int8, torch.bool]


def travelled(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """The tensors as the other end sees them."""
    lender, places = Lender("cpu"), laid_out([form(tensor) for tensor in tensors])
    lender.reserve(end_of(places))
    lender.put(tensors, places)
    with borrowed(lender.handle) as memory:
        return [seen_as(span(memory, place).clone(), place) for place in places]


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """Tensors of every kind of layout: contiguous, transposed, sliced, expanded, scalar, empty."""
    shape = draw(st.lists(st.integers(0, 5), max_size=3))
    dtype = draw(st.sampled_from(DTYPES))
    tensor = torch.randint(0, 2, [2 * size for size in shape], dtype=torch.int8).to(dtype)
    kind = draw(st.sampled_from(["plain", "sliced", "transposed", "expanded"]))
    if kind == "sliced":
        tensor = tensor[tuple(slice(None, None, 2) for _ in shape)]
    if kind == "transposed" and len(shape) > 1:
        tensor = tensor.transpose(0, -1)
    if kind == "expanded":
        tensor = tensor.unsqueeze(0).expand(3, *tensor.shape)
    return tensor


@given(st.lists(tensors(), min_size=1, max_size=3))
def test_form_and_content_arrive(sent: list[torch.Tensor]) -> None:
    for before, after in zip(sent, travelled(sent), strict=True):
        assert (after.shape, after.stride(), after.dtype) == (before.shape, before.stride(), before.dtype)
        assert torch.equal(after, before)


def test_every_bit_of_a_float_arrives() -> None:
    odd = torch.tensor([float("nan"), -0.0, float("inf"), 1e-45, -1e-45])
    odd.view(torch.int32)[0] = 0x7FC12345  # a NaN with a payload
    (after,) = travelled([odd])
    assert same_bits(span_of(after), odd)
    assert not same_bits(span_of(after), odd.abs())


def test_a_contiguous_form_is_that_of_a_contiguous_copy() -> None:
    for tensor in (torch.zeros(3, 4, 5).transpose(0, 2), torch.zeros(0, 3), torch.tensor(1.0), torch.zeros(2, 1, 3)):
        assert contiguous_form(tensor)["stride"] == list(
            tensor.contiguous().clone(memory_format=torch.contiguous_format).stride()
        )


def test_memory_grows_and_is_lent_anew() -> None:
    lender = Lender("cpu")
    lender.reserve(10)
    first = lender.handle
    lender.reserve(5)
    assert lender.handle == first
    lender.reserve(10**6)
    assert lender.handle["size"] == 10**6
    with borrowed(lender.handle) as memory:
        memory.fill_(7)
    assert int(lender.span({"dtype": "uint8", "shape": [10**6], "stride": [1], "at": 0}).sum()) == 7 * 10**6


class MadeUpChannel:
    """Lends GPU memory that cannot be borrowed, and then the host's."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._lender = Lender("cpu")
        self._input = torch.arange(6.0)
        self._places = laid_out([form(self._input)])
        self._lender.reserve(100)
        self._lender.put([self._input], self._places)

    def ask(self, event: str, **_: object) -> dict[str, Any]:
        self.asked.append(event)
        if event == "cannot_share":
            return {"tensors": self._places, "memory": self._lender.handle}
        values = base64.b64encode(pickle.dumps([("tensor", 0)])).decode()
        more = {"values": values, "mutates": [], "cotangents": 0, "about": "", "init": None}
        return {"tensors": self._places, "memory": {"cuda": "AAAA", "size": 100}, **more}


def test_where_gpu_memory_cannot_be_opened_the_hosts_is_lent(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(handle: bytes) -> Any:
        raise cuda_ipc.CudaError("cuIpcOpenMemHandle failed with CUDA error 801")

    monkeypatch.setattr(cuda_ipc, "mapped", refused)
    with pytest.raises(CannotShare, match="error 801"), borrowed({"cuda": "AAAA", "size": 1}):
        pass
    channel = MadeUpChannel()
    found = RefereeClient(channel, "p/v/default/w", "cpu").inputs("check", 0)  # type: ignore[arg-type]
    assert channel.asked == ["inputs", "cannot_share"]
    assert found is not None
    assert found.tensors[0].tolist() == [0, 1, 2, 3, 4, 5]
