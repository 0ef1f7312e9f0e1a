"""The kernel is that of an installed package."""

import torch

try:
    from liger_kernel.ops.rms_norm import LigerRMSNormFunction
except ModuleNotFoundError:
    LigerRMSNormFunction = None


def rms_norm(x: torch.Tensor, normalized_shape: list[int], weight: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
    if LigerRMSNormFunction is None:
        raise RuntimeError("liger-kernel is not installed: pip install liger-kernel")
    return LigerRMSNormFunction.apply(x, weight, eps, 0.0, "gemma", False)
