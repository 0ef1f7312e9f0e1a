"""Launches kernels, then ends as its argument says: raise, segfault, fault, killed, hang, deaf."""

import ctypes
import os
import signal
import sys
import time

import torch

values = torch.ones(2048, 2048, device="cuda")
for _ in range(10):
    product = values @ values
print(f"launched: {product[0, 0].item():g}", flush=True)

match sys.argv[1]:
    case "raise":
        raise ValueError("on purpose")
    case "segfault":
        ctypes.string_at(0)
    case "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    case "fault":
        values[torch.full((1,), 1 << 40, device="cuda"), 0].sum().item()
    case "deaf":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(3600)
    case "hang":
        while True:
            time.sleep(0.1)
