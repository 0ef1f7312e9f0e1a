"""A file that is in no package: it imports the file beside it by its name, and from the package."""

import torch
from helpers import loose_kernel
from ways.kernels import BLOCK, launch


def scaled_add(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return launch(loose_kernel, x, z, BLOCK=BLOCK)
