"""A program that uses no GPU, and starts others that do: one by a shell, one by Python, one of its own fork."""

import os
import subprocess
import sys

WORK = """
import sys, torch
torch.manual_seed(0)
values = torch.randn(4096, 4096, device="cuda")
for _ in range(20):
    result = {work}
torch.cuda.synchronize()
print(sys.argv[1], result.sum().item())
"""

PRODUCT = WORK.format(work="values @ values")
SORTED = WORK.format(work="values.sort(dim=1).values")
CHAIN = WORK.format(work="(values * 1.5).sin()")

subprocess.run(["sh", "-c", '"$0" -c "$1" product', sys.executable, PRODUCT], check=True)
subprocess.run([sys.executable, "-c", SORTED, "sorted"], check=True)
child = os.fork()
if child == 0:
    os.execv(sys.executable, [sys.executable, "-c", CHAIN, "chain"])
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
