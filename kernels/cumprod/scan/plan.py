"""The launch plan of a repeated call: what the first call of a kind launched, launched again."""

from typing import ClassVar

import torch

from .forms import prepared, products
from .launches import Work
from .private import Launcher, current_device_of, empty_on_gpu, launcher


class Plan:
    """What calls of one kind launch, as the first of them found out: all others need no more than to launch it.

    To choose a form, bind arguments and find the compiled kernel takes several times as long as a launch. A plan is for
    contiguous input on the current device that begins at a vector, as fresh memory does: that is what kernels were
    compiled for.
    """

    known: ClassVar[dict[tuple[object, ...], "Plan"]] = {}
    """Plans by kind of call: shape, dtype, dimension, device."""

    most = 4096
    """So many are kept: lengths may differ from call to call for ever."""

    def __init__(self, y: torch.Tensor, words: int, launches: list[Launcher]) -> None:
        """Results are like `y`; so many words of 0 go to the launches as well. Without any, each call is worked out."""
        self.empty, self.result = empty_on_gpu(), (tuple(y.shape), y.stride(), y.dtype)
        self.told = ((words,), (1,), torch.int64) if words else None
        self.launches = launches

    @classmethod
    def follow(cls, x: torch.Tensor, dim: int) -> torch.Tensor:
        """Cumulative products by the plan for such a call, if there can be one."""
        device, address = x.get_device(), x.data_ptr()  # a device below 0 is the CPU
        if address % 16 or device < 0 or not x.is_contiguous() or _current_device() != device:
            return products(x, dim)
        kind = (x.shape, x.dtype, dim, device)
        plan = cls.known.get(kind)
        if plan is None:
            if len(cls.known) >= cls.most:
                cls.known.clear()
            y, cls.known[kind] = cls.made(x, dim)
            return y
        return plan.followed(address) if plan.launches else products(x, dim)

    @classmethod
    def made(cls, x: torch.Tensor, dim: int) -> tuple[torch.Tensor, "Plan"]:
        """The result of a first call, and the plan that it leaves."""
        read, y, work = prepared(x, dim)
        compiled = work.run(read, y)
        launches = _launchers(compiled, work, x.get_device()) if read.data_ptr() == x.data_ptr() else []
        return y, cls(y, work.words, launches)

    def followed(self, address: int) -> torch.Tensor:
        """Cumulative products of what begins at an address on the current device."""
        y = self.empty(*self.result)
        addresses = [address, y.data_ptr()]
        if self.told is not None:
            told = self.empty(*self.told).zero_()
            addresses.append(told.data_ptr())
        for launch in self.launches:
            launch(*addresses)
        return y


_current_device = current_device_of()


def _launchers(compiled: list[object], work: Work, device: int) -> list[Launcher]:
    """The same launches once more; none if one of them cannot be launched without asking triton again."""
    pairs = zip(compiled, work.launches, strict=True)
    found = [launcher(kernel, (*launch.grid, 1, 1), launch.numbers, device) for kernel, launch in pairs]
    return [each for each in found if each is not None] if None not in found else []
