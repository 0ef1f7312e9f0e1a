"""Holds cumprod against torch.cumprod on a CUDA device, in what only a device shows, and says what is wrong.

A program of its own because the other kernel tests make triton interpret. Prints a line for each case that is wrong;
its exit status is 1 if there is one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import torch
import triton
from loading import load
from on_gpu import told
from packages import get
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap

Cumprod = Callable[..., torch.Tensor]
module = load("scan")
ours: Cumprod = module.cumprod

SHAPES = [
    ((128, 4000), 1),
    ((32, 100), 1),
    ((100, 300), 0),
    ((200, 9000), 1),
    ((3, 100000), 1),
    ((64, 70000), 0),
    ((), 0),
]
"""One for each form, down columns and along rows."""


def some(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, *, zeros: int = 0) -> torch.Tensor:
    """Numbers so near 1 that many of them have a product about 1; zeros at places drawn."""
    generator = torch.Generator(device="cuda").manual_seed(len(shape))
    x = (torch.rand(shape, generator=generator, dtype=torch.float64, device="cuda") - 0.5) / 256 + 1
    for place in torch.randint(0, max(1, x.numel()), (zeros,), generator=generator, device="cuda"):
        x.view(-1)[place] = 0
    return x.to(dtype)


def same(got: object, wanted: object, tolerance: float = 1e-4) -> None:
    torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance)


def loss(y: torch.Tensor) -> torch.Tensor:
    """A sum with weights of one sign: a gradient is then as exact as its terms are."""
    weights = torch.linspace(0.5, 1.5, y.numel(), device="cuda").view(y.shape)
    return (y * weights.to(y.dtype)).sum()


def trained(cumprod: Cumprod, x: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The result, and the gradient of a sum of it."""
    x = x.detach().requires_grad_()
    y = cumprod(x, dim)
    loss(y).backward()
    return y.detach(), x.grad


def exactly(x: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    y, dx = trained(torch.cumprod, x.double(), dim)
    return y.to(x.dtype), dx.to(x.dtype)


def values_and_gradients() -> None:
    """Called three times: the second call of a kind is the first that follows a plan."""
    for shape, dim in SHAPES:
        for dtype, tolerance in ((torch.float32, 1e-3), (torch.float64, 1e-9), (torch.bfloat16, 2e-2)):
            x = some(shape, dtype, zeros=2)
            for _ in range(3):
                same(ours(x, dim), exactly(x, dim)[0], tolerance)
            same(trained(ours, x, dim), exactly(x, dim), tolerance)


def unaligned() -> None:
    """Kernels that were compiled for whole vectors must not be launched for what begins between two."""
    memory = some((128 * 4000 + 1,))
    for x in (memory[:-1], memory[1:], memory[:-1]):
        x = x.view(128, 4000)
        same(ours(x, 1), torch.cumprod(x, 1), 1e-3)


def other_streams() -> None:
    """What is launched on a stream waits for what that stream does."""
    x, big = some((128, 4000)), some((8192, 8192))
    wanted = torch.cumprod(x * 1.001, 1)
    ours(x, 1)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(10):
            big = (big @ big) * 1e-4
        late = x * 1.001 + 0 * big[0, 0].nan_to_num(0, 0, 0)
        got = ours(late, 1)
    stream.synchronize()
    same(got, wanted, 1e-3)


def in_graphs(cumprod: Cumprod, dim: int, shape: tuple[int, ...]) -> None:
    """Captured once, forward and backward; replayed over other numbers."""
    x = some(shape).requires_grad_()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            x.grad = None
            loss(cumprod(x, dim)).backward()
            cumprod(x.detach(), dim)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    x.grad = None
    with torch.cuda.graph(graph):
        alone = cumprod(x.detach(), dim)
        y = cumprod(x, dim)
        loss(y).backward()
    for factor in (0.999, 1.001):
        with torch.no_grad():
            x.mul_(factor)
        graph.replay()
        wanted = exactly(x, dim)
        same((alone, y.detach(), x.grad), (wanted[0], *wanted), 1e-3)


def compiled(**options: str) -> None:
    """In one graph, for one shape and then for any."""
    torch.compiler.reset()

    def function(cumprod: Cumprod, x: torch.Tensor, dim: int) -> torch.Tensor:
        return cumprod(x + 2.0**-16, dim) + 1

    in_one_graph = torch.compile(partial(function, ours), fullgraph=True, **options)
    for shape in ((128, 4000), (3, 100000)):
        x = some(shape)
        wanted = tuple(t.float() for t in trained(partial(function, torch.cumprod), x.double(), 1))
        for _ in range(3):
            same(trained(in_one_graph, x, 1), wanted, 1e-3)


def autocast() -> None:
    x = some((64, 500), torch.float16)
    with torch.autocast("cuda"):
        got, wanted = trained(ours, x, 1), trained(torch.cumprod, x, 1)
    assert got[0].dtype == wanted[0].dtype == torch.float32
    assert got[1].dtype == wanted[1].dtype == torch.float16
    same(got, wanted, 1e-2)


def transformed(cumprod: Cumprod) -> list[object]:
    x, t = some((6, 20), torch.float64, zeros=3), some((6, 20), torch.float64)

    def waves(x: torch.Tensor) -> torch.Tensor:
        return cumprod(x, -1).sin().sum()

    return [
        grad(waves)(x),
        jvp(waves, (x,), (t,)),
        vmap(partial(cumprod, dim=0), in_dims=1)(x),
        vmap(grad(waves))(x),
        jacrev(partial(cumprod, dim=0))(x),
        jacfwd(partial(cumprod, dim=0))(x),
        hessian(waves)(x[0]),
    ]


def checks_of_torch() -> None:
    x, y, g = (some((2, 5), torch.float64, zeros=1).add(k / 10).requires_grad_() for k in range(3))
    assert gradcheck(partial(ours, dim=1), x, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(partial(ours, dim=1), x, check_fwd_over_rev=True)
    torch.library.opcheck(get(module, "Cumprod"), (x, 1))
    torch.library.opcheck(get(module, "Gradient"), (x, y, g, 1))
    torch.library.opcheck(get(module, "Recurrence"), (x, g, 1, True))


def out_is_filled() -> None:
    x = some((128, 4000))
    wanted = torch.cumprod(x, 1)
    for out in (torch.empty_like(x), torch.empty(4000, 128, device="cuda").T, torch.empty(0, device="cuda")):
        assert ours(x, 1, out=out) is out
        same(out, wanted, 1e-3)
    half = torch.empty(128, 4000, dtype=torch.float16, device="cuda")
    same(ours(x.half(), 1, out=half), exactly(x.half(), 1)[0], 1e-2)
    same(ours(x, 1, out=x), wanted, 1e-3)


def same_bits() -> None:
    """Few long sequences too, whoever of a tile's predecessors is done first."""
    x = some((3, 3000000))
    first = ours(x, 1)
    assert all(torch.equal(ours(x, 1), first) for _ in range(20))


def hooks() -> None:
    """Triton's profiler is told of every launch."""
    x, names = some((128, 4000)), []
    ours(x, 1)
    chain = triton.knobs.runtime.launch_enter_hook
    note = lambda metadata: names.append(metadata.get()["name"])  # noqa: E731  (is taken out by identity)
    chain.add(note)
    ours(x, 1)
    chain.remove(note)
    assert names == ["_short_kernel"], names


def another_device() -> None:
    """A tensor need not be on the current device."""
    if torch.cuda.device_count() < 2:
        return
    x = some((128, 4000)).to("cuda:1")
    for _ in range(2):
        same(ours(x, 1), torch.cumprod(x, 1), 1e-3)
    same(trained(ours, x, 1), exactly(x, 1), 1e-3)


CASES: dict[str, Callable[[], None]] = {
    "values and gradients": values_and_gradients,
    "unaligned": unaligned,
    "other streams": other_streams,
    "in a graph, short": lambda: in_graphs(ours, 1, (128, 4000)),
    "in a graph, tiles": lambda: in_graphs(ours, 1, (3, 100000)),
    "compiled": compiled,
    "compiled, in a CUDA graph": lambda: compiled(mode="reduce-overhead"),
    "autocast": autocast,
    "transformed": lambda: same(transformed(ours), transformed(torch.cumprod)),
    "checks of torch": checks_of_torch,
    "out": out_is_filled,
    "same bits": same_bits,
    "hooks": hooks,
    "another device": another_device,
}


def raised(case: Callable[[], None]) -> str:
    """A case finds what is wrong by raising it."""
    case()
    torch.cuda.synchronize()
    return ""


def main() -> int:
    found = {name: told(raised, case) for name, case in CASES.items()}
    print("\n".join(f"{name}: {what}" for name, what in found.items() if what))
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
