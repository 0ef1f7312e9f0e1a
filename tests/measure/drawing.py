"""A small project whose problem draws workloads, with a variant for every answer of a check."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.conftest import ROOT

REFERENCE = """
import torch
def get_init_inputs(**_): return [1]
def get_inputs(*, shape, device, seed):
    return [torch.rand(shape, generator=torch.Generator(device).manual_seed(seed), device=device) + 0.5]
def expected(inputs, **_): yield (slice(None),), inputs[0].double().cumprod(1).float()
def expected_roof(inputs, **_): yield (slice(None),), inputs[0]
def tolerance(**_): return 1e-5
def small_arguments(*, shape): return {"shape": [min(shape[0], 3), 7]}
def get_special_inputs(**arguments): return {}
def draw(rng, largest=2**20): return {"shape": [2, rng.randrange(1, largest // 2, 2)]}
"""

FORM = """
import torch
from torch import nn
class ModelNew(nn.Module):
    def __init__(self, dim):
        super().__init__()
    def forward(self, x):
        {body}
"""

VARIANTS = {
    "limit": "return x.clone()",
    "right": "return x.cumprod(1)",
    "spoiling": "torch.Tensor.cumprod = lambda x, dim: x * 2; return x.cumprod(1)",
    "wrong": "return x.cumprod(1) * 1.001",
    "raising": "raise ValueError('no such thing')",
    "dying": "import os; print('it dies', flush=True); os.abort()",
    "hanging": "import time; time.sleep(60) if x.shape[1] > 7 else None; return x.cumprod(1)",
    "short_rows": "y = x.cumprod(1); y[:, 99:] = 0; return y",
    "last": "return x.clone().cumprod_(1)",
}
"""Name -> what it returns for `x`. All but the roof are candidates, and are called in this order."""

WORKLOADS = {"main": [4096, 4096], "other": [128, 128]}


def drawing_project(root: Path, *names: str, reference: str = REFERENCE) -> Path:
    """The project, with the roof and the variants of these names."""
    for name in ("catalogue.toml", "gpus"):
        target = root / "metrics" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if name != "catalogue.toml" else shutil.copyfile)(ROOT / "metrics" / name, target)
    problem = root / "kernels" / "product"
    problem.mkdir(parents=True)
    (problem / "reference.py").write_text(reference)
    table = ['title = "Products"', "stages = []", '[variants.limit]\nrole = "roof"\nceiling = "bytes"']
    table += [f'[variants.{name}]\nrole = "candidate"' for name in names]
    for name, shape in WORKLOADS.items():
        size = 8 * shape[0] * shape[1]
        table.append(
            f"[workloads.{name}]\narguments = {{ shape = {shape} }}\nbytes = {size}\nflops = 0\ndefault = true"
        )
    (problem / "problem.toml").write_text("\n".join(table))
    for name in ("limit", *names):
        (problem / f"{name}.py").write_text(FORM.format(body=VARIANTS[name]))
    return root
