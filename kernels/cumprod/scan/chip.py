"""What the GPU is like that a tensor is on. Without a GPU, an H100."""

import math

import torch
import triton

from .private import shared_memory

H100_PROCESSORS, H100_SHARED_MEMORY = 132, 232448
"""Streaming multiprocessors, and bytes of shared memory that a program can have."""


def processors(device: torch.device) -> int:
    """Streaming multiprocessors of a GPU."""
    if device.type != "cuda":
        return H100_PROCESSORS
    count: int = torch.cuda.get_device_properties(device).multi_processor_count
    return count


def fitting_block(largest: int, n: int, held: int, device: torch.device) -> int:
    """Elements of a tile: a power of two, enough for a sequence of `n`, at most `largest`, and such that shared memory
    has room for tiles of which an element each takes `held` bytes.
    """
    room = shared_memory(device) if device.type == "cuda" else H100_SHARED_MEMORY
    fitting = 2 ** int(math.log2(room // max(held, 1)))
    return max(16, min(largest, fitting, triton.next_power_of_2(n)))
