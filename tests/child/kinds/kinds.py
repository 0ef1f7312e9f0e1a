"""References of every kind, and what is right and wrong beside them, in plain torch."""

import math

import torch
from torch import nn


def split(x):
    return x.relu(), (x - 1).relu(), x > 0


def split_wrong_order(x):
    a, b, c = split(x)
    return b, a, c


def split_one_less(x):
    return split(x)[:2]


def split_one_more(x):
    return *split(x), x.clone()


def split_aliased(x):
    """Two outputs in one memory, of which one is wrong."""
    a, _, c = split(x)
    return a, a[:], c


def split_strided(x):
    """Honest: results with gaps, with a graph, and one that is expanded."""
    a, b, c = split(x.detach().requires_grad_())
    return a.t().contiguous().t(), torch.stack([b, b], -1)[..., 0], c


def split_table(x):
    a, b, c = split(x)
    return {"a": a, "rest": [b, c]}


def split_sparse(x):
    a, b, c = split(x)
    return a.to_sparse(), b, c


def split_number(x):
    a, b, _ = split(x)
    return a, b, True


def split_elsewhere(x):
    a, b, c = split(x)
    return a.to("meta"), b, c


def split_wrong_mask(x):
    a, b, _ = split(x)
    return a, b, x >= 0


# --- a residual that is changed, and its norm ---


def add_norm(residual, x, weight):
    residual += x
    wide = residual if residual.dtype == torch.float64 else residual.float()
    return (wide * (wide.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * weight).to(x.dtype)


def add_norm_fused(residual, x, weight):
    total = residual.float() + x.float()
    residual.copy_(total)
    return (total * (total.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * weight.float()).to(x.dtype)


def add_norm_returns_both(residual, x, weight):
    return add_norm_fused(residual, x, weight), residual


def add_norm_unchanged(residual, x, weight):
    return add_norm_fused(residual.clone(), x, weight)


def add_norm_of_data(residual, x, weight):
    total = residual.clone()
    y = add_norm_fused(total, x, weight)
    residual.data = total
    return y


def add_norm_set(residual, x, weight):
    total = residual.clone()
    y = add_norm_fused(total, x, weight)
    residual.set_(total)
    return y


def add_norm_resized(residual, x, weight):
    y = add_norm_fused(residual, x, weight)
    residual.resize_(residual.shape[0] + 1, residual.shape[1])
    return y


def add_norm_changes_x(residual, x, weight):
    y = add_norm_fused(residual, x, weight)
    x.zero_()
    return y


def add_norm_without_weight(residual, x, weight):
    return add_norm_fused(residual, x, torch.ones_like(weight))


# --- a cache, whose filled part is returned ---


def append(cache, new, at):
    cache[:, at : at + new.shape[1]] = new
    return cache[:, : at + new.shape[1]]


def append_copied(cache, new, at):
    return append(cache, new, at).clone()


def append_to_copy(cache, new, at):
    return append(cache.clone(), new, at)


# --- integers ---


def quantised(x):
    scale = x.abs().amax(-1, keepdim=True).float() / 127
    return (x.float() / scale.clamp(min=1e-12)).round().to(torch.int8), scale


def quantised_by_truncation(x):
    scale = quantised(x)[1]
    return (x.float() / scale.clamp(min=1e-12)).to(torch.int8), scale


def embedding(table, index):
    return nn.functional.embedding(index, table)


def embedding_of_the_next(table, index):
    return nn.functional.embedding((index + 1) % table.shape[0], table)


# --- an optimiser's step ---


def adam(parameter, momentum, variance, gradient, step):
    momentum.mul_(0.9).add_(gradient, alpha=0.1)
    variance.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
    scale = math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    parameter.addcdiv_(momentum, variance.sqrt() + 1e-8, value=-1e-3 * scale)


def adam_two_of_three(parameter, momentum, variance, gradient, step):
    adam(parameter, momentum, variance.clone(), gradient, step)


def adam_returning(parameter, momentum, variance, gradient, step):
    adam(parameter, momentum, variance, gradient, step)
    return parameter, momentum, variance


def adam_without_correction(parameter, momentum, variance, gradient, step):
    adam(parameter, momentum, variance, gradient, 10**6)


# --- backward passes ---


class Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = torch.softmax(x.float(), -1).to(x.dtype)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        product = y.float() * g.float()
        return (product - y.float() * product.sum(-1, keepdim=True)).to(g.dtype)


class HalfSoftmax(Softmax):
    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return y * g


def softmax(x, dim):
    return Softmax.apply(x)


def half_softmax(x, dim):
    return HalfSoftmax.apply(x)


def softmax_without_gradient(x, dim):
    return torch.softmax(x, dim).detach()


def total(x, y, mask):
    """Its gradient is what it is given, of both; the mask has none."""
    return x + y


def top(x):
    """Values, which have a gradient, and indices, which have none."""
    return torch.topk(x, 4)


# --- modules ---


class Layer(nn.Module):
    def __init__(self, features=32):
        super().__init__()
        self.linear = nn.Linear(features, 16)

    def forward(self, x):
        return self.linear(x)


class FusedLayer(Layer):
    def forward(self, x):
        return torch.addmm(self.linear.bias, x, self.linear.weight.t())


class OtherWeights(Layer):
    def __init__(self, features=32):
        super().__init__(features)
        nn.init.zeros_(self.linear.bias)


# --- small things ---


def mean(x):
    return x.mean()


def mean_of_row(x):
    return x[:1].mean()


def named(x):
    return {"double": x * 2, "half": x / 2}


def named_tuple(x):
    return x * 2, x / 2


def scaled(x, factor):
    return x * factor


def none_left(x, rows):
    return x[:rows]


def stale(x):
    """The result of its first call, again and again."""
    if not hasattr(stale, "kept"):
        stale.kept = x * 2
    return stale.kept.clone()


def doubled(x):
    return x * 2


def doubled_only_narrow(x):
    if x.dtype == torch.float64:
        raise AssertionError("no float64")
    return x * 2


def doubled_in_place(x):
    x *= 2
    return x.clone()


def nothing(x):
    x + 1


def first_only(x, factor):
    return x.clone()


def tripled(x):
    return x * 3
