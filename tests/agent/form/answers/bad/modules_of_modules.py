import dataclasses

import torch
import torch.nn as nn
import triton
import triton.language as tl
from triton.language import core
from triton.language.core import builtins  # refused: import


@triton.jit
def copy_kernel(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.core.inspect.currentframe()  # refused: forbidden_attribute
    core.builtins.open("x")  # refused: forbidden_attribute
    dataclasses.sys.exit()  # refused: forbidden_attribute
    triton.runtime.driver.active.launcher_cls()  # refused: forbidden_attribute
    memory = at.handle.data  # refused: forbidden_attribute
    tl.store(y_ptr + at, tl.load(x_ptr + at, mask=at < n), mask=at < n)


def copy(x):
    y = torch.empty_like(x)
    copy_kernel[(1,)](x, y, x.numel(), BLOCK=1024)
    builtins.exec("1")  # refused: forbidden_attribute
    tl.core.os.listdir("/")  # refused: forbidden_attribute, unknown_triton_name
    triton.runtime.driver.active.get_benchmarker()  # refused: forbidden_attribute
    triton.runtime.driver.active.utils.os.listdir("/")  # refused: forbidden_attribute
    return y


class ModelNew(nn.Module):
    def forward(self, x):
        return copy(x)
