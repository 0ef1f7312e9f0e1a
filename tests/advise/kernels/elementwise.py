"""``x + 2 y``, each time with one planted cause of slowness."""

import torch
import triton
import triton.language as tl


def _processors(x: torch.Tensor) -> int:
    return torch.cuda.get_device_properties(x.device).multi_processor_count if x.is_cuda else 4


@triton.jit
def _whole_kernel(x_ptr, y_ptr, z_ptr, n, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = place < n
    x, y = tl.load(x_ptr + place, mask=mask), tl.load(y_ptr + place, mask=mask)
    tl.store(z_ptr + place, x + 2 * y, mask=mask)


def whole(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Nothing is wrong with it: a counterpart of most others. A thread loads 16 bytes at once."""
    z, block = torch.empty_like(x), 2048 // x.element_size()
    _whole_kernel[(triton.cdiv(x.numel(), block),)](x, y, z, x.numel(), BLOCK=block, num_warps=4)
    return z


def narrow(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """An element a thread: of a type of one byte, a warp's load touches one sector."""
    z = torch.empty_like(x)
    _whole_kernel[(triton.cdiv(x.numel(), 128),)](x, y, z, x.numel(), BLOCK=128, num_warps=4)
    return z


@triton.jit
def _strided_kernel(x_ptr, y_ptr, z_ptr, n, LOADS: tl.constexpr, BLOCK: tl.constexpr, STEP: tl.constexpr):
    """Neighbouring threads are STEP elements apart, in loads and stores or in stores alone."""
    i = tl.arange(0, BLOCK)
    apart = (i % (BLOCK // STEP)) * STEP + i // (BLOCK // STEP)
    begin = tl.program_id(0).to(tl.int64) * BLOCK
    place = begin + (apart if LOADS else i)
    x, y = tl.load(x_ptr + place, mask=place < n), tl.load(y_ptr + place, mask=place < n)
    z = x + 2 * y
    tl.store(z_ptr + place, z, mask=place < n)


def strided(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    z = torch.empty_like(x)
    _strided_kernel[(triton.cdiv(x.numel(), 4096),)](x, y, z, x.numel(), LOADS=True, BLOCK=4096, STEP=16, num_warps=4)
    return z


@triton.jit
def _scattered_kernel(x_ptr, y_ptr, z_ptr, n, BLOCK: tl.constexpr, STEP: tl.constexpr):
    """Each program stores one element of every STEP: sectors are written in parts, by programs far apart."""
    part, begin = tl.program_id(0) % STEP, tl.program_id(0) // STEP * BLOCK * STEP
    place = begin.to(tl.int64) + tl.arange(0, BLOCK) * STEP + part
    mask = place < n
    x, y = tl.load(x_ptr + place, mask=mask), tl.load(y_ptr + place, mask=mask)
    tl.store(z_ptr + place, x + 2 * y, mask=mask)


def scattered(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    z = torch.empty_like(x)
    grid = (triton.cdiv(x.numel(), 1024 * 8) * 8,)
    _scattered_kernel[grid](x, y, z, x.numel(), BLOCK=1024, STEP=8, num_warps=4)
    return z


@triton.jit
def _shared_out_kernel(x_ptr, y_ptr, z_ptr, n, share, first, BLOCK: tl.constexpr):
    """Program 0 takes `first` elements, each other one `share`."""
    program = tl.program_id(0)
    begin = tl.where(program == 0, 0, first + (program - 1).to(tl.int64) * share)
    end = tl.minimum(begin + tl.where(program == 0, first, share), n)
    for start in range(begin, end, BLOCK):
        place = start + tl.arange(0, BLOCK)
        mask = place < end
        x, y = tl.load(x_ptr + place, mask=mask), tl.load(y_ptr + place, mask=mask)
        tl.store(z_ptr + place, x + 2 * y, mask=mask)


def _shared_out(x: torch.Tensor, y: torch.Tensor, programs: int, first: int, num_warps: int) -> torch.Tensor:
    z = torch.empty_like(x)
    share = triton.cdiv(x.numel() - first, programs - 1)
    _shared_out_kernel[(programs,)](x, y, z, x.numel(), share, first, BLOCK=2048, num_warps=num_warps)
    return z


def few(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Programs for an eighth of the multiprocessors."""
    programs = max(2, _processors(x) // 8)
    return _shared_out(x, y, programs, triton.cdiv(x.numel(), programs), 8)


def partial_wave(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Programs of 1,024 threads, of which a multiprocessor holds two: 1.1 waves."""
    programs = 2 * _processors(x) + max(1, _processors(x) // 5)
    return _shared_out(x, y, programs, triton.cdiv(x.numel(), programs), 32)


def unequal(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """One program has an eighth of the work of all."""
    return _shared_out(x, y, 4 * _processors(x), x.numel() // 8, 8)


@triton.jit
def _double_kernel(x_ptr, y_ptr, z_ptr, n, ROUNDS: tl.constexpr, BLOCK: tl.constexpr):
    """The sum by way of float64, to and fro."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = place < n
    x, y = tl.load(x_ptr + place, mask=mask).to(tl.float64), tl.load(y_ptr + place, mask=mask).to(tl.float64)
    z = x + 2 * y
    for _ in range(ROUNDS):
        z = z + y
    for _ in range(ROUNDS):
        z = z - y
    tl.store(z_ptr + place, z.to(z_ptr.dtype.element_ty), mask=mask)


def double(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    z = torch.empty_like(x)
    _double_kernel[(triton.cdiv(x.numel(), 1024),)](x, y, z, x.numel(), ROUNDS=128, BLOCK=1024, num_warps=4)
    return z


@triton.jit
def _special_kernel(x_ptr, y_ptr, z_ptr, n, ROUNDS: tl.constexpr, BLOCK: tl.constexpr):
    """The sum, and beside it special functions whose result is too small to change it."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = place < n
    z = tl.load(x_ptr + place, mask=mask) + 2 * tl.load(y_ptr + place, mask=mask)
    small = tl.exp2(-tl.abs(z))
    for _ in range(ROUNDS):
        small = tl.exp2(-small)
    tl.store(z_ptr + place, z + 1e-30 * small, mask=mask)


def special(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    z = torch.empty_like(x)
    _special_kernel[(triton.cdiv(x.numel(), 1024),)](x, y, z, x.numel(), ROUNDS=64, BLOCK=1024, num_warps=4)
    return z


# --- exchanges between threads ----------------------------------------------------------------------------------------


@triton.jit
def _exchange_kernel(x_ptr, y_ptr, z_ptr, n, STRIDE: tl.constexpr, ROUNDS: tl.constexpr, BLOCK: tl.constexpr):
    """The sum, after its elements went to other threads and back, ROUNDS times.

    STRIDE is how far apart the elements are that neighbouring threads take: 1 is free of conflicts; with 32, a warp's
    threads meet in one bank of shared memory.
    """
    i = tl.arange(0, BLOCK)
    there = i % (BLOCK // STRIDE) * STRIDE + i // (BLOCK // STRIDE)
    before = (i + BLOCK - 1) % BLOCK
    back = before % STRIDE * (BLOCK // STRIDE) + before // STRIDE
    place = tl.program_id(0).to(tl.int64) * BLOCK + i
    mask = place < n
    z = tl.load(x_ptr + place, mask=mask, other=0.0) + 2 * tl.load(y_ptr + place, mask=mask, other=0.0)
    for _ in range(ROUNDS):
        z = tl.gather(tl.gather(z, (there + 1) % BLOCK, 0), back, 0)
    tl.store(z_ptr + place, z, mask=mask)


def _exchanged(x: torch.Tensor, y: torch.Tensor, stride: int) -> torch.Tensor:
    z = torch.empty_like(x)
    grid = (triton.cdiv(x.numel(), 2048),)
    _exchange_kernel[grid](x, y, z, x.numel(), STRIDE=stride, ROUNDS=8, BLOCK=2048, num_warps=8)
    return z


def exchanging(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Neighbouring threads take neighbouring elements from shared memory."""
    return _exchanged(x, y, 1)


def conflicting(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """All threads of a warp take theirs from one bank."""
    return _exchanged(x, y, 32)


# --- warps ------------------------------------------------------------------------------------------------------------


def single_warps(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """A warp a program: a multiprocessor takes 32 programs, so half of the warps that it could have."""
    z = torch.empty_like(x)
    _whole_kernel[(triton.cdiv(x.numel(), 32),)](x, y, z, x.numel(), BLOCK=32, num_warps=1)
    return z


@triton.jit
def _meeting_kernel(x_ptr, y_ptr, z_ptr, n, zero, ROUNDS: tl.constexpr, BLOCK: tl.constexpr):
    """The sum, and meetings of all warps, each after one of them has fetched an element once more."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = place < n
    z = tl.load(x_ptr + place, mask=mask) + 2 * tl.load(y_ptr + place, mask=mask)
    first = mask & (tl.arange(0, BLOCK) < 32)
    ahead = tl.zeros((BLOCK,), tl.int32)  # stays 0, and makes each fetch wait for the one before
    for _ in range(ROUNDS):
        again = tl.load(x_ptr + place + ahead, mask=first & (place + ahead < n), other=0.0, volatile=True)
        ahead = (again > 0).to(tl.int32) * zero
        tl.debug_barrier()
    tl.store(z_ptr + place + ahead, z, mask=mask)


def meeting(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Thirty-two warps a program, with one element a thread, which wait for each other."""
    z = torch.empty_like(x)
    _meeting_kernel[(triton.cdiv(x.numel(), 1024),)](x, y, z, x.numel(), 0, ROUNDS=16, BLOCK=1024, num_warps=32)
    return z


# --- instructions -----------------------------------------------------------------------------------------------------


@triton.jit
def _busy_kernel(x_ptr, y_ptr, z_ptr, n, ROUNDS: tl.constexpr, BLOCK: tl.constexpr):
    """The sum, and beside it multiplications whose result is too small to change it."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = place < n
    z = tl.load(x_ptr + place, mask=mask) + 2 * tl.load(y_ptr + place, mask=mask)
    small = z * 1e-6
    for _ in range(ROUNDS):
        small = small * 0.5 + 1e-6
    tl.store(z_ptr + place, z + 1e-24 * small, mask=mask)


def busy(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """More instructions than the schedulers can issue while the data arrives."""
    z = torch.empty_like(x)
    _busy_kernel[(triton.cdiv(x.numel(), 1024),)](x, y, z, x.numel(), ROUNDS=1024, BLOCK=1024, num_warps=4)
    return z


@triton.jit
def _unrolled_kernel(x_ptr, y_ptr, z_ptr, n, ROUNDS: tl.constexpr, BLOCK: tl.constexpr):
    """The same without a loop, each multiplication by a factor of its own: code that no instruction cache holds."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = place < n
    z = tl.load(x_ptr + place, mask=mask) + 2 * tl.load(y_ptr + place, mask=mask)
    small = z * 1e-6
    for turn in tl.static_range(ROUNDS):
        small = small * (1.0 / (turn + 2)) + 1e-6
    tl.store(z_ptr + place, z + 1e-24 * small, mask=mask)


def unrolled(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    z = torch.empty_like(x)
    rounds = 3000 if x.is_cuda else 4
    _unrolled_kernel[(triton.cdiv(x.numel(), 128),)](x, y, z, x.numel(), ROUNDS=rounds, BLOCK=128, num_warps=1)
    return z


@triton.jit
def _diverging_kernel(x_ptr, y_ptr, z_ptr, n, ROUNDS: tl.constexpr, BLOCK: tl.constexpr):
    """The sum, and beside it sines: of arguments so large in one thread of a warp that it takes a branch of its own."""
    i = tl.arange(0, BLOCK)
    place = tl.program_id(0).to(tl.int64) * BLOCK + i
    mask = place < n
    z = tl.load(x_ptr + place, mask=mask, other=1.0) + 2 * tl.load(y_ptr + place, mask=mask, other=1.0)
    scale = tl.where(i // 4 % 32 == 0, 1e8, 1e-2)
    small = tl.where(tl.abs(z) < 1, z, 0.5)
    for _ in range(ROUNDS):
        small = tl.sin((1.0 + small * small) * scale)
    tl.store(z_ptr + place, z + 1e-30 * small, mask=mask)


def diverging(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    z = torch.empty_like(x)
    _diverging_kernel[(triton.cdiv(x.numel(), 512),)](x, y, z, x.numel(), ROUNDS=8, BLOCK=512, num_warps=4)
    return z
