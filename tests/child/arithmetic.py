"""References, honest code and planted faults in plain torch: what the default tolerances have to tell apart."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Code = Callable[..., object]

# --- matmul -----------------------------------------------------------------------------------------------------------


def lost_last_k(a: Tensor, b: Tensor) -> Tensor:
    return a[:, :-1] @ b[:-1]


def lost_last_row(a: Tensor, b: Tensor) -> Tensor:
    y = a @ b
    y[-1] = 0
    return y


def lost_last_column(a: Tensor, b: Tensor) -> Tensor:
    y = a @ b
    y[:, -1] = 0
    return y


def sums_in(kind: torch.dtype, step: int) -> Code:
    """Each `step` of k are added in float32, and their sums in another type."""

    def matmul(a: Tensor, b: Tensor) -> Tensor:
        total = torch.zeros(a.shape[0], b.shape[1], dtype=kind)
        for k in range(0, a.shape[1], step):
            total += (a[:, k : k + step].float() @ b[k : k + step].float()).to(kind)
        return total.to(a.dtype)

    return matmul


def in_order(a: Tensor, b: Tensor) -> Tensor:
    """One k after the other, in float32: as honest as slow."""
    total = torch.zeros(a.shape[0], b.shape[1])
    for k in range(a.shape[1]):
        total += a[:, k : k + 1].float() * b[k : k + 1].float()
    return total.to(a.dtype)


def split_k(a: Tensor, b: Tensor) -> Tensor:
    """Four sums in float32, each rounded once to the operands' type before they are added in float32."""
    parts = zip(a.chunk(4, 1), b.chunk(4, 0), strict=True)
    return sum((x.float() @ y.float()).to(a.dtype).float() for x, y in parts).to(a.dtype)  # type: ignore[union-attr]


def _tf32(x: Tensor) -> Tensor:
    return ((x.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def tf32_operands(a: Tensor, b: Tensor) -> Tensor:
    return _tf32(a) @ _tf32(b)


def three_times_tf32(a: Tensor, b: Tensor) -> Tensor:
    """What libraries do to keep float32's precision on tensor cores."""
    high_a, high_b = _tf32(a), _tf32(b)
    return high_a @ high_b + high_a @ _tf32(b - high_b) + _tf32(a - high_a) @ high_b


def half_operands(a: Tensor, b: Tensor) -> Tensor:
    return (a.half() @ b.half()).float()


def in_float32(a: Tensor, b: Tensor) -> Tensor:
    return (a.float() @ b.float()).double()


def first_input_only(a: Tensor, b: Tensor) -> Tensor:
    return a @ torch.ones_like(b)


# --- rows -------------------------------------------------------------------------------------------------------------


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    """As models write it: the normalised row is rounded before it is scaled."""
    wide = x if x.dtype == torch.float64 else x.float()
    return (wide * (wide.square().mean(-1, keepdim=True) + 1e-6).rsqrt()).to(x.dtype) * weight


def fused_rms_norm(x: Tensor, weight: Tensor, *, eps: float = 1e-6) -> Tensor:
    wide = x.float()
    return (wide * (wide.square().mean(-1, keepdim=True) + eps).rsqrt() * weight.float()).to(x.dtype)


def rms_norm_with(eps: float) -> Code:
    return lambda x, weight: fused_rms_norm(x, weight, eps=eps)


def rms_norm_without_weight(x: Tensor, weight: Tensor) -> Tensor:
    return fused_rms_norm(x, torch.ones_like(weight))


def layer_norm(x: Tensor) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:])


def layer_norm_with(eps: float) -> Code:
    def normalised(x: Tensor) -> Tensor:
        wide = x.double()
        centred = wide - wide.mean(-1, keepdim=True)
        return (centred * (centred.square().mean(-1, keepdim=True) + eps).rsqrt()).to(x.dtype)

    return normalised


def softmax(x: Tensor) -> Tensor:
    return torch.softmax(x, -1)


def softmax_in_powers_of_two(x: Tensor) -> Tensor:
    """As kernels do it."""
    wide = x.float()
    e = torch.exp2((wide - wide.amax(-1, keepdim=True)) * math.log2(math.e))
    return (e / e.sum(-1, keepdim=True)).to(x.dtype)


def softmax_without_maximum(x: Tensor) -> Tensor:
    e = x.float().exp()
    return (e / e.sum(-1, keepdim=True)).to(x.dtype)


def softmax_without_last_column(x: Tensor) -> Tensor:
    return functional.pad(torch.softmax(x.float()[..., :-1], -1), (0, 1)).to(x.dtype)


def softmax_with_unmasked_nan(x: Tensor) -> Tensor:
    y = softmax(x).clone()
    y[-1, -1] = math.nan
    return y


def softmax_in_halves(x: Tensor) -> Tensor:
    """The logits less their maximum in half precision: of wide ones most digits are gone."""
    return torch.softmax(x.half(), -1).to(x.dtype)


def cumsum(x: Tensor) -> Tensor:
    return x.cumsum(-1)


def cumsum_in_bfloat16(x: Tensor) -> Tensor:
    y, total = torch.empty_like(x), torch.zeros(x.shape[0], dtype=torch.bfloat16)
    for k in range(x.shape[1]):
        total = total + x[:, k].bfloat16()
        y[:, k] = total
    return y


def cumsum_before(x: Tensor) -> Tensor:
    return x.cumsum(-1) - x


def gelu_by_tanh(x: Tensor) -> Tensor:
    return functional.gelu(x, approximate="tanh")


def mean_of_losses(logits: Tensor, target: Tensor) -> Tensor:
    """As fused kernels do it: in float32, and rounded once."""
    return functional.cross_entropy(logits.float(), target).to(logits.dtype)


def losses_of_the_next(logits: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(logits, target.roll(1))


def conv1d_without_last_tap(x: Tensor, w: Tensor) -> Tensor:
    return functional.conv1d(x, functional.pad(w[..., :-1], (0, 1)))


# --- attention --------------------------------------------------------------------------------------------------------


def _scores(q: Tensor, k: Tensor) -> Tensor:
    wide = torch.float64 if q.dtype == torch.float64 else torch.float32
    return q.to(wide) @ k.to(wide).mT / math.sqrt(q.shape[-1])


def attention(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """The output, and the logarithm of the sum of exponentials in float32, or in the inputs' type if that is wider."""
    scores = _scores(q, k)
    return (torch.softmax(scores, -1) @ v.to(scores.dtype)).to(q.dtype), torch.logsumexp(scores, -1)


def torch_attention(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    out, lse, *_ = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v)
    return out, lse


def flash_attention(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Block by block with a running maximum; the weights are rounded before they meet the values."""
    out, total = torch.zeros(q.shape), torch.zeros(q.shape[:-1])
    largest = torch.full(q.shape[:-1], -math.inf)
    for keys, values in zip(k.split(64, -2), v.split(64, -2), strict=True):
        scores = _scores(q, keys)
        now = torch.maximum(largest, scores.amax(-1))
        weights, kept = (scores - now[..., None]).exp(), (largest - now).exp()
        total = total * kept + weights.sum(-1)
        out = out * kept[..., None] + weights.to(q.dtype).float() @ values.float()
        largest = now
    return (out / total[..., None]).to(q.dtype), largest + total.log()


def attention_in_halves(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Each 64 keys are added in float32, and their sums in the inputs' type."""
    weights, out = torch.softmax(_scores(q, k), -1), torch.zeros_like(q)
    for k0 in range(0, k.shape[-2], 64):
        out += (weights[..., k0 : k0 + 64] @ v[..., k0 : k0 + 64, :].float()).to(q.dtype)
    return out, attention(q, k, v)[1]


def attention_without_scale(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return attention(q * math.sqrt(q.shape[-1]), k, v)


def attention_without_last_key(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return attention(q, k[..., :-1, :], v[..., :-1, :])


def attention_with_lse_in_halves(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    out, lse = flash_attention(q, k, v)
    return out, lse.to(q.dtype).float()


def attention_with_lse_to_base_2(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    out, lse = flash_attention(q, k, v)
    return out, lse / math.log(2)
