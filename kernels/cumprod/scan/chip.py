"""What the GPU is like that a tensor is on. Without a GPU, an H100."""

import math

import torch
import triton

from .private import shared_memory

H100_PROCESSORS, H100_SHARED_MEMORY, H100_MEMORY_SPEED = 132, 232448, 3.352e12
"""Streaming multiprocessors, bytes of shared memory that a program can have, bytes a second of its memory."""


def processors(device: torch.device) -> int:
    """Streaming multiprocessors of a GPU."""
    if device.type != "cuda":
        return H100_PROCESSORS
    count: int = torch.cuda.get_device_properties(device).multi_processor_count
    return count


def memory_speed(device: torch.device) -> float:
    """Bytes a second that a GPU's memory moves at most, by its clock and width; 0 if torch does not say."""
    if device.type != "cuda":
        return H100_MEMORY_SPEED
    properties = torch.cuda.get_device_properties(device)
    kilohertz, bits = (getattr(properties, name, 0) for name in ("memory_clock_rate", "memory_bus_width"))
    return 2 * 1000.0 * kilohertz * bits / 8  # twice a clock


def program_memory(device: torch.device) -> int:
    """Bytes of shared memory that a program can have."""
    return shared_memory(device) if device.type == "cuda" else H100_SHARED_MEMORY


def fitting_block(largest: int, n: int, held: int, device: torch.device) -> int:
    """Elements of a tile: a power of two, enough for a sequence of `n`, at most `largest`, and such that shared memory
    has room for tiles of which an element each takes `held` bytes.
    """
    fitting = 2 ** int(math.log2(program_memory(device) // max(held, 1)))
    return max(16, min(largest, fitting, triton.next_power_of_2(n)))
