"""Workloads that nobody chose: products of any shape in half types."""

import random


def draw(rng: random.Random, *, largest: int = 2**26) -> dict[str, list[str]]:
    """Two matrices; neither they nor their product have more than `largest` elements.

    float32 is not drawn: as TF32 it needs a tolerance that grows with the length of the sums.
    """
    most = largest**0.5
    sizes = [int(most ** rng.uniform(0.1, 1)) for _ in range(3)]
    m, n, k = (max(1, size - size % rng.choice([1, 8, 64, 128])) for size in sizes)
    dtype = rng.choice(["bfloat16", "float16"])
    return {"inputs": [f"{dtype}[{m},{k}]", f"{dtype}[{k},{n}]"]}
