"""Settings of torch that one variant leaves behind are not those of the next."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch

from stallgate.child.settings import TorchSettings, kept_settings

CHANGES: dict[str, Callable[[], object]] = {
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "gradients": lambda: torch.set_grad_enabled(False),
    "precision": lambda: torch.set_float32_matmul_precision("medium"),
    "allow_tf32": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "cudnn allow_tf32": lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
    "matmul's fp32_precision": lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    "everybody's fp32_precision": lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    "conv's fp32_precision": lambda: setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee"),
    "reduction": lambda: setattr(torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction", False),
    "accumulation": lambda: setattr(torch.backends.cuda.matmul, "allow_fp16_accumulation", True),
    "benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "attention": lambda: torch.backends.cuda.enable_flash_sdp(False),
    "deterministic": lambda: torch.use_deterministic_algorithms(True),
    "filling": lambda: setattr(torch.utils.deterministic, "fill_uninitialized_memory", False),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
}


def state() -> dict[str, object]:
    return {
        "dtype": torch.get_default_dtype(),
        "device": torch.empty(0).device.type,
        "gradients": torch.is_grad_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "tf32": (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32),
        "attention": torch.backends.cuda.flash_sdp_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "filling": torch.utils.deterministic.fill_uninitialized_memory,
        "benchmark": torch.backends.cudnn.benchmark,
        "accumulation": torch.backends.cuda.matmul.allow_fp16_accumulation,
        "reduction": torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction,
        "autocast": torch.is_autocast_enabled("cpu"),
    }


@pytest.mark.parametrize("pair", list(itertools.permutations(CHANGES, 2)), ids=" then ".join)
def test_what_is_changed_is_put_back(pair: tuple[str, str]) -> None:
    """Two at a time: torch's two interfaces for TF32, once mixed, refuse to say what is set."""
    before = state()
    with kept_settings():
        for name in pair:
            try:
                CHANGES[name]()
            except RuntimeError as error:
                assert "legacy and new APIs" in str(error)  # noqa: PT017  (whether it is raised depends on the pair)
    assert state() == before


def test_they_are_put_back_after_an_exception() -> None:
    def lose() -> None:
        torch.set_default_dtype(torch.float64)
        raise ValueError("lost")

    with pytest.raises(ValueError, match="lost"), kept_settings():
        lose()
    assert torch.get_default_dtype() == torch.float32


def test_a_variants_own_settings_can_be_had_again() -> None:
    with kept_settings():
        torch.set_float32_matmul_precision("high")
        own = TorchSettings()
    assert torch.get_float32_matmul_precision() == "highest"
    with kept_settings():
        own.restore()
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == "highest"
