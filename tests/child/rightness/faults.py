"""Honest code and code with planted faults, in plain torch."""

import math

import torch


def lost_last_k(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a[:, :-1] @ b[:-1]


def half_sums(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Each 64 of k are added in float32, and their sums in the operands' type."""
    total = torch.zeros(a.shape[0], b.shape[1], dtype=a.dtype, device=a.device)
    for start in range(0, a.shape[1], 64):
        total += (a[:, start : start + 64].float() @ b[start : start + 64].float()).to(a.dtype)
    return total


def tf32_operands(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Ten bits of each operand's mantissa."""
    return _shortened(a) @ _shortened(b)


def _shortened(x: torch.Tensor) -> torch.Tensor:
    return ((x.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def layer_norm_without_epsilon(x: torch.Tensor, shape: list[int]) -> torch.Tensor:
    return torch.nn.functional.layer_norm(x.double(), shape, eps=0.0).to(x.dtype)


def layer_norm_of_half_sums(x: torch.Tensor, shape: list[int]) -> torch.Tensor:
    """The mean and the mean square are rounded to the input's type; of float32 to half of its digits."""
    kind = torch.bfloat16 if x.dtype == torch.bfloat16 else torch.float16
    wide = x.double()
    mean = wide.mean(-1, keepdim=True).to(kind).double()
    variance = ((wide - mean) ** 2).mean(-1, keepdim=True).to(kind).double()
    return ((wide - mean) * (variance.to(kind).double() + 1e-5).rsqrt().to(kind).double()).to(x.dtype)


def rms_norm(x: torch.Tensor, shape: list[int]) -> torch.Tensor:
    """Right, and zeros in a row with an infinity, of which torch's own kernel makes NaN on a GPU if rows are odd."""
    wide = x.float()
    return (wide * (wide.square().mean(-1, keepdim=True) + 1e-6).rsqrt()).to(x.dtype)


def rms_norm_without_epsilon(x: torch.Tensor, shape: list[int]) -> torch.Tensor:
    wide = x.double()
    return (wide * (wide**2).mean(-1, keepdim=True).rsqrt()).to(x.dtype)


def softmax_without_maximum(x: torch.Tensor) -> torch.Tensor:
    e = x.float().exp()
    return (e / e.sum(-1, keepdim=True)).to(x.dtype)


def softmax_without_last_column(x: torch.Tensor) -> torch.Tensor:
    y = torch.softmax(x.float()[..., :-1], -1)
    return torch.nn.functional.pad(y, (0, 1)).to(x.dtype)


def _scores(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    return q.float() @ k.float().mT / math.sqrt(q.shape[-1])


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The output, and the logarithm of the sum of exponentials in float32, or in the inputs' type if that is wider."""
    scores = q @ k.mT / math.sqrt(q.shape[-1]) if q.dtype == torch.float64 else _scores(q, k)
    return (torch.softmax(scores, -1) @ v.to(scores.dtype)).to(q.dtype), torch.logsumexp(scores, -1)


def flash_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Torch's own on a GPU. On a CPU what such a kernel does: the weights are rounded before they meet the values."""
    if q.is_cuda:
        out, lse, *_ = torch.ops.aten._scaled_dot_product_flash_attention(q, k, v)
        return out, lse
    scores = _scores(q, k)
    weights = (scores - scores.amax(-1, keepdim=True)).exp()
    out = (weights.to(q.dtype).float() @ v.float()) / weights.sum(-1, keepdim=True)
    return out.to(q.dtype), torch.logsumexp(scores, -1)


def attention_without_scale(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return flash_attention(q * math.sqrt(q.shape[-1]), k, v)


def attention_with_lse_of_half_sums(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    out, lse = flash_attention(q, k, v)
    return out, lse.to(q.dtype).float()


def attention_of_half_sums(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each 64 keys are added in float32, and their sums in the inputs' type."""
    weights = torch.softmax(_scores(q, k), -1)
    out = torch.zeros_like(q)
    for start in range(0, k.shape[-2], 64):
        out += (weights[..., start : start + 64] @ v[..., start : start + 64, :].float()).to(q.dtype)
    return out, flash_attention(q, k, v)[1]
