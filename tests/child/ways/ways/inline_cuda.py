"""The kernel is CUDA C++, which torch compiles when it is first called; that takes nvcc and ninja."""

from functools import cache
from typing import Any

import torch
from torch.utils.cpp_extension import load_inline

DECLARATION = "torch::Tensor scaled_add(torch::Tensor x, torch::Tensor z);"
SOURCE = """
#include <torch/extension.h>
#include <c10/cuda/CUDAStream.h>

__global__ void scaled_add_cuda_kernel(const float* x, const float* z, float* y, long long n) {
    long long place = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (place < n) y[place] = x[place] + 2.0f * z[place];
}

torch::Tensor scaled_add(torch::Tensor x, torch::Tensor z) {
    auto y = torch::empty_like(x);
    long long n = x.numel();
    scaled_add_cuda_kernel<<<(n + 255) / 256, 256, 0, c10::cuda::getCurrentCUDAStream()>>>(
        x.data_ptr<float>(), z.data_ptr<float>(), y.data_ptr<float>(), n);
    return y;
}
"""


@cache
def extension() -> Any:
    return load_inline("ways_scaled_add", DECLARATION, SOURCE, functions=["scaled_add"])


def scaled_add(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return extension().scaled_add(x, z)
