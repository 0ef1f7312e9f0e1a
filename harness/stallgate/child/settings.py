"""Settings of torch that code may change for the whole process, and what puts them back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch


class _Setting(NamedTuple):
    """How a setting is read and written."""

    read: Callable[[], Any]
    write: Callable[[Any], Any]

    def current(self) -> Any:
        """Its value; None where torch does not say it: it refuses to while its two interfaces for TF32 are mixed."""
        try:
            return self.read()
        except RuntimeError:
            return None


class TorchSettings:
    """The settings as they were at one moment."""

    def __init__(self) -> None:
        self._values = [setting.current() for setting in _SETTINGS]

    def restore(self) -> None:
        """Puts back what differs."""
        for setting, value in zip(_SETTINGS, self._values, strict=True):
            if value is not None and setting.current() != value:
                setting.write(value)


@contextmanager
def kept_settings() -> Iterator[None]:
    """Puts back the settings that code changes in between."""
    before = TorchSettings()
    try:
        yield
    finally:
        before.restore()


def _attribute(owner: Any, name: str) -> _Setting:
    return _Setting(partial(getattr, owner, name), partial(setattr, owner, name))


def _found(path: str, *names: str) -> list[_Setting]:
    """Attributes below ``torch.backends``, as far as this torch has them."""
    owner: Any = torch.backends
    for part in filter(None, path.split(".")):
        owner = getattr(owner, part, None)
    return [_attribute(owner, name) for name in names if hasattr(owner, name)]


def _set_device(device: torch.device) -> None:
    """A default device of its own slows down every call: where it is the CPU, there is none."""
    torch.set_default_device(None if device.type == "cpu" else device)


def _autocast(device: str) -> _Setting:
    return _Setting(partial(torch.is_autocast_enabled, device), partial(torch.set_autocast_enabled, device))


def _attention(kind: str) -> _Setting:
    """Whether torch may take one of its kinds of attention."""
    backends = torch.backends.cuda
    return _Setting(getattr(backends, f"{kind}_sdp_enabled"), getattr(backends, f"enable_{kind}_sdp"))


_SETTINGS = [
    _Setting(torch.get_default_dtype, torch.set_default_dtype),
    _Setting(torch.get_default_device, _set_device),
    _Setting(torch.is_grad_enabled, torch.set_grad_enabled),
    _Setting(torch.get_num_threads, torch.set_num_threads),
    _Setting(torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    _attribute(torch.utils.deterministic, "fill_uninitialized_memory"),
    *map(_autocast, ("cuda", "cpu")),
    *_found("", "fp32_precision"),
    *_found("cudnn", "enabled", "benchmark", "deterministic", "fp32_precision"),
    *_found("cudnn.rnn", "fp32_precision"),
    *_found("cudnn.conv", "fp32_precision"),
    *_found(
        "cuda.matmul",
        "fp32_precision",
        "allow_fp16_reduced_precision_reduction",
        "allow_bf16_reduced_precision_reduction",
        "allow_fp16_accumulation",
    ),
    _Setting(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    *_found("cudnn", "allow_tf32"),
    *map(_attention, ("flash", "mem_efficient", "math", "cudnn")),
]
"""Those of TF32 by its newer interface come before those by the older one."""
