"""Refuses patterns of allowed kernels that are too broad to review.

A pattern is judged by what it matches, not by how it is spelled: ``*``, ``?*``, ``[!~]*`` and ``*e*`` are the same.
"""

from __future__ import annotations

import fnmatch
import re

_SHORTEST_LITERAL = 4
"""Literal characters in a row that a pattern with wildcards needs: fewer occur in almost every name."""

_UNRELATED = (
    "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, std::array<char *, 3>>(int)",
    "void at::native::tensor_kernel_scan_innermost_dim<float, std::multiplies<float>>(T1 *, const T1 *, unsigned int)",
    "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::MeanOps<float>, unsigned int>>(T3)",
    "void cub::DeviceScanKernel<cub::Policy900, const float *, float *>(float *, int)",
    "void cub::DeviceReduceKernel<cub::Policy600, double *, double *, unsigned int>(double *, int)",
    "void cutlass::Kernel2<cutlass_80_tensorop_s1688gemm_128x128_16x5_nn_align4>(T1::Params)",
    "void cutlass::Kernel2<cutlass_80_tensorop_f16_s16816fprop_optimized_f16_64x64_64x6_nhwc_align8>(T1::Params)",
    "void cudnn::bn_fw_inf_1C11_kernel_NCHW<float, float, true, 1>(T1, T1, cudnnTensorStruct)",
    "void cudnn::ops::nchwToNhwcKernel<__half, __half, float, false, true>(cudnn::ops::nchw2nhwc_params_t<float>)",
    "void flash_fwd_kernel<Flash_fwd_kernel_traits<128, 128, 64, 4>, false, true>(Flash_fwd_params)",
    "ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096>)",
    "triton_poi_fused_add_mul_0",
    "triton_red_fused_cumprod_3",
    "_layer_norm_fwd_fused",
    "_blocked_scan_kernel",
)
"""Unrelated kernels: no wrapper needs two of them for the same reason."""

_GENERIC = frozenset(
    [
        *("kernel", "kernels", "void", "at", "native", "cub", "cutlass", "cudnn", "cuda", "std", "device", "triton"),
        *("fused", "float", "double", "half", "int", "unsigned", "long", "char", "const", "bool", "size", "type"),
        *("array", "reduce", "scan", "elementwise"),
    ]
)
"""Words that are part of names of all kinds: alone they name nothing."""

_WILDCARD = re.compile(r"\*|\?|\[!?\]?[^\]]*\]")


def too_wide(pattern: str) -> str:
    """Why a pattern would allow kernels that nobody looked at, or ''."""
    literals = _WILDCARD.split(pattern)
    if len(literals) > 1 and max(map(len, literals)) < _SHORTEST_LITERAL:
        return f"'{pattern}' is too broad: a pattern needs at least {_SHORTEST_LITERAL} literal characters in a row"
    if len(literals) > 1 and not any(_says_something(literal) for literal in literals):
        return f"'{pattern}' is too broad: its words are part of names of all kinds"
    matched = [name for name in _UNRELATED if fnmatch.fnmatchcase(name, pattern)]
    return f"'{pattern}' allows unrelated kernels: {matched[0]} and {matched[1]}" if len(matched) > 1 else ""


def _says_something(literal: str) -> bool:
    """Whether a literal has a word that few kernels have in their names."""
    words = re.findall(r"[a-z]+|[0-9]+", literal.lower())
    return any(word not in _GENERIC and len(word) >= _SHORTEST_LITERAL for word in words)
