"""Some steps of training a small network in bfloat16: products, elementwise kernels, reductions, an optimiser."""

import torch
from torch import nn

STEPS, BATCH, WIDTH, CLASSES = 8, 4096, 2048, 1000

torch.manual_seed(0)
model = nn.Sequential(
    nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)
).cuda()
optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
data = torch.randn(BATCH, WIDTH, device="cuda")
labels = torch.randint(0, CLASSES, (BATCH,), device="cuda")

for step in range(STEPS):
    torch.cuda.nvtx.range_push("training step")
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss = nn.functional.cross_entropy(model(data), labels)
    loss.backward()
    optimiser.step()
    optimiser.zero_grad()
    torch.cuda.nvtx.range_pop()
    print(f"step {step}: loss {loss.item():.4f}", flush=True)
