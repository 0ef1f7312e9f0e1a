"""What the GPU is like that a tensor is on. Without a GPU, an H100."""

import torch

from .private import shared_memory

H100_PROCESSORS, H100_SHARED_MEMORY, H100_GENERATION = 132, 232448, 9
"""Streaming multiprocessors, bytes of shared memory that a program can have, major compute capability."""


def processors(device: torch.device) -> int:
    """Streaming multiprocessors of a GPU."""
    if device.type != "cuda":
        return H100_PROCESSORS
    count: int = torch.cuda.get_device_properties(device).multi_processor_count
    return count


def program_memory(device: torch.device) -> int:
    """Bytes of shared memory that a program can have."""
    return shared_memory(device) if device.type == "cuda" else H100_SHARED_MEMORY


def generation(device: torch.device) -> int:
    """The major number of a GPU's compute capability."""
    return torch.cuda.get_device_capability(device)[0] if device.type == "cuda" else H100_GENERATION
