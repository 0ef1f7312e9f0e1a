"""What is right: torch's own norm over the last dimensions, those of the weight. And workloads that nobody chose."""

import random

import torch


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """`weight * x / sqrt(mean(x**2) + eps)`."""
    return torch.nn.functional.rms_norm(x, weight.shape, weight, eps)


def draw(rng: random.Random, *, largest: int = 2**27) -> dict[str, list[str]]:
    """Rows of any length in any of three types, of at most `largest` elements together."""
    n = min(largest, round(2 ** rng.uniform(0, 17)))
    n = max(1, n - n % rng.choice([1, 8, 64, 256]))
    rows = max(1, int((largest / n) ** rng.uniform(0.3, 1)))
    dtype = rng.choice(["bfloat16", "float16", "float32"])
    return {"inputs": [f"{dtype}[{rows},{n}] normal(0,0.003)", f"{dtype}[{n}] normal(1,0.1)"]}
