"""Which form a call takes, with which settings: the first rule that suits it. A new form is a new row of `RULES`.

Settings were measured on H100s and an H200.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import triton

from .lines import whole_line_vector

Settings = dict[str, int]


class Call(NamedTuple):
    """What is asked for: a result of `outer` x `axis` x `inner` elements, multiplied along `axis`; and where."""

    outer: int
    axis: int
    inner: int
    dtype: torch.dtype
    """The result's."""
    processors: int
    """Streaming multiprocessors of the GPU."""
    program_memory: int = 232448
    """Bytes of shared memory that a program can have; those of an H100."""
    generation: int = 9
    """The major number of the GPU's compute capability: compilers spill for some what they do not for others."""


def _whole_lines_suits(call: Call) -> bool:
    """Sequences of 1, 2, 4 or 8, of which 16 bytes of results hold whole ones."""
    return call.inner == 1 and whole_line_vector(call.outer * call.axis, call.dtype) % call.axis == 0


def _lines_suits(call: Call) -> bool:
    """Sequences that are short, or so many that a thread for each keeps memory at work. Half types that lie far apart
    go to strips only if they are long, or their strips many.
    """
    lines = call.outer * call.inner
    if call.inner == 1:
        return call.axis < 5
    if call.axis <= 32:
        return True
    if _is_wide(call):
        return call.dtype.itemsize == 2 and call.axis <= (128 if lines >= 2**14 else 256) and lines >= 2**13
    return (call.axis <= 128 and lines >= 4096) or lines >= 512 * call.processors


def _power_of_2(most: int) -> int:
    """The largest power of two that is no larger, or 1."""
    return 1 << max(0, most.bit_length() - 1)


def _lines_settings(call: Call) -> Settings:
    """A sequence a thread, where there are too few to have several each.

    Neighbours that are longer than a sector of 32 bytes share cache lines, which a program of four warps would lose
    before it is through with them: programs of theirs have one.

    At once 256 bytes of neighbours, where those are few: what is left of a cache line is gone before its turn. A thread
    then has so many elements ahead that it has no room for those of further sequences. Where no vector is whole, memory
    is kept at work by twice as many elements ahead.
    """
    size = call.dtype.itemsize
    if call.axis > 16 and call.outer * call.inner < 4096 * call.processors:
        return {"VECTOR": _power_of_2(4 // size), "AHEAD": 16, "num_warps": 4}
    if call.axis <= 16:
        num_warps = 1 if call.inner == 1 and call.axis * size >= 32 else 4
        return {"VECTOR": _power_of_2(128 // (call.axis * size)), "AHEAD": 16, "num_warps": num_warps}
    ahead = min(max(8, triton.next_power_of_2(triton.cdiv(256, call.inner * size))), 128 // max(4, size))
    vector = _power_of_2(128 // (ahead * size))
    if call.inner % 2 and _is_wide(call):
        ahead = min(2 * ahead, 16)
    return {"VECTOR": vector, "AHEAD": ahead, "num_warps": 4}


def _short_suits(call: Call) -> bool:
    return call.inner == 1 and (call.axis <= 1024 or (call.axis <= 4096 and call.outer <= call.processors))


def _short_settings(call: Call) -> Settings:
    """Tiles of which a thread has 32 elements, of 64 bits half and of 16 bits twice as many; or smaller ones, where
    there would be few programs for all processors: then a thread has 16, and 8 of the smallest.

    A thread has 128 registers: 16 warps a multiprocessor.
    """
    of_thread = 128 // call.dtype.itemsize
    block, least = 128 * of_thread, max(256, triton.next_power_of_2(call.axis))
    while block > least and triton.cdiv(call.outer, block // call.axis) < 2 * call.processors:
        block, of_thread = block // 2, 16
    block = max(block, least)
    if triton.cdiv(call.outer, block // call.axis) < 2 * call.processors:
        of_thread = 16
    num_warps = min(16, max(1, block // (32 * of_thread)))
    return {"BLOCK": block, "num_warps": num_warps, "registers": 128}


def _rows_suits(call: Call) -> bool:
    """As many sequences as processors; or fewer that are short, and would make a few tiles each."""
    if call.inner > 1:
        return False
    if call.axis <= 8192:
        return call.outer > 4 or call.dtype.itemsize <= 4
    return call.outer >= (call.processors if call.axis <= 2**16 else 4 * call.processors)


def _rows_settings(call: Call) -> Settings:
    """Tiles as large as registers have room for with the next one beside: the longer the pieces are in which memory is
    read, the faster it is. Few warps a program, of which several run at once; more, where there is a program or less a
    processor.
    """
    if call.dtype.itemsize <= 4 and call.axis <= 8192 and call.outer <= call.processors:
        return {"BLOCK": 8192, "num_warps": 8, "registers": 128}
    if call.dtype == torch.float64:
        is_whole = call.axis % 2 == 0
        return {"BLOCK": 4096 if is_whole else 2048, "num_warps": 4, "registers": 255 if is_whole else 168}
    if call.dtype == torch.int64:
        return {"BLOCK": 4096, "num_warps": 8, "registers": 128}
    if call.dtype.itemsize == 2:
        return {"BLOCK": 2048, "num_warps": 2, "registers": 128}
    if call.axis % 4:
        return {"BLOCK": 4096, "num_warps": 4, "registers": 168}
    if call.axis < 2**14:
        return {"BLOCK": 2048, "num_warps": 2, "registers": 128 if call.axis <= 4096 else 144}
    return {"BLOCK": 8192, "num_warps": 8, "registers": 128}


def _strip_programs(call: Call) -> int:
    """How many strips of 1 KiB of results there are."""
    return call.outer * triton.cdiv(call.inner, 256 * 4 // call.dtype.itemsize)


def _is_wide(call: Call) -> bool:
    """Whether a warp moves whole vectors of neighbours, each of another sequence."""
    return call.inner > 1 and call.inner >= 512 // call.dtype.itemsize


def _strips_suits(call: Call) -> bool:
    """From so many programs on, each of many warps, memory is at work all the time."""
    return _is_wide(call) and (call.axis <= 256 or _strip_programs(call) >= 3 * call.processors // 4)


def _strips_settings(call: Call) -> Settings:
    """Two programs a processor keep memory at work from registers, where those have room for rows that wait.

    A single one has to load further ahead, where shared memory has room for two such programs.
    """
    if call.dtype in (torch.float32, torch.float64) and _strip_programs(call) >= 3 * call.processors // 2:
        return {"ROWS": 16, "num_warps": 2, "num_stages": 1}
    is_far = call.axis > 256 and call.dtype != torch.int64 and call.program_memory >= 2**17
    return {"ROWS": 16, "num_warps": 2, "num_stages": 6 if is_far else 3}


def _largest_tile(call: Call) -> int:
    """Bytes of a tile: 64 elements of 4 bytes a thread. Half as many of wide columns without vectors, whose elements
    have an address each, of int64 in few columns, and on GPUs of small multiprocessors: some compilers spill those. One
    sequence has smaller tiles, if it has no 128 of them: what takes time is a tile, not all that follow.
    """
    if call.inner > 1:
        largest = 2**15 if call.program_memory >= 2**17 else 2**14
        if call.inner < 32:
            is_whole = _power_of_2(call.inner) == call.inner
            return largest if is_whole or call.dtype != torch.int64 else largest // 2
        return largest if call.inner % 4 == 0 else largest // (4 if call.dtype.itemsize == 2 else 2)
    whole = triton.next_power_of_2(triton.cdiv(call.outer * call.axis * max(4, call.dtype.itemsize), 128))
    return max(2**13, min(2**15, whole))


def _columns(call: Call) -> int:
    """How many sequences beside each other are cut into tiles together. They share a window: where there are few in
    all, fewer at once leave room for more tiles in it. int64 has two words a tile. 32, where those are 8 strips or more
    and nearly full.

    Of 9 or 17 one would be left for tiles of its own: they are taken together, and not turned.
    """
    wide = 32 * triton.cdiv(call.inner, 32)
    is_full = call.inner >= 32 and 8 * wide <= 9 * call.inner
    if is_full and call.outer * wide >= 256 and call.dtype != torch.int64:
        return 32
    if call.inner >= 32 or (call.inner == 16 and call.outer > 2):
        return 16
    if call.inner in (9, 17):
        return triton.next_power_of_2(call.inner)
    return min(_power_of_2(call.inner), 4 if call.dtype == torch.int64 else 8)


def _window(call: Call, columns: int) -> int:
    """How many tiles before it one looks at: from window to window takes a round trip through L2, however many tiles a
    window has. What a thread looks at takes registers: up to eight words, of strips up to four.
    """
    strips = call.outer * triton.cdiv(call.inner, columns)
    if columns > call.inner:
        return 64 if call.outer < 8 else 32
    if columns <= 8:
        return 128 if columns == call.inner else 64
    if columns == 32:
        return 16
    return 64 if strips <= 3 and call.dtype != torch.int64 else 32


def _tiles_settings(call: Call) -> Settings:
    """As large a tile as registers have room for, where there is little to do at once.

    A thread has 128 registers in all: four programs a processor; or 168 and three, for columns, whose rows have an
    address each.
    """
    columns = _columns(call)
    block = max(1024, _largest_tile(call) // max(4, call.dtype.itemsize))
    is_light = call.inner == 1 and call.generation != 10
    if call.dtype.itemsize == 8:
        is_light = is_light and call.axis % 4 == 0 and call.program_memory >= 2**17
    return {
        "BLOCK": block,
        "COLUMNS": max(2, columns),
        "LOOK": _window(call, columns),
        "num_warps": 4,
        "registers": 128 if is_light else 168,
    }


class Rule(NamedTuple):
    """A form, the calls that it suits, and its settings for one."""

    form: str
    suits: Callable[[Call], bool]
    settings: Callable[[Call], Settings]


RULES = [
    Rule("whole_lines", _whole_lines_suits, lambda call: {"num_warps": 4}),  # noqa: ARG005
    Rule("lines", _lines_suits, _lines_settings),
    Rule("short", _short_suits, _short_settings),
    Rule("rows", _rows_suits, _rows_settings),
    Rule("strips", _strips_suits, _strips_settings),
    Rule("tiles", lambda call: True, _tiles_settings),  # noqa: ARG005  (it takes every call)
]
"""In the order in which they are asked."""


def choice(call: Call, form: str = "") -> tuple[str, Settings]:
    """The form of the work and its settings: the first that suits, or the one that is named."""
    rule = next(rule for rule in RULES if (rule.form == form if form else rule.suits(call)))
    return rule.form, rule.settings(call)


def gradient_choice(call: Call) -> tuple[str, Settings]:
    """The form of a linear recurrence, and its settings.

    Rows and strips as for `choice`; a program takes several sequences at once if they are short. Where there are too
    few to keep all processors at work, each is cut into chunks, which costs reading two of the tensors once more.
    """
    if call.inner > 1:
        return "strips", _linear_strips_settings(call)
    block, num_warps = min(512, max(16, triton.next_power_of_2(call.axis))), 4
    most_warps = 8 if call.dtype == torch.float64 else 16  # for more, each thread has too few registers
    while call.outer * num_warps < 16 * call.processors and num_warps < most_warps and block < call.axis:
        block, num_warps = block * 2, num_warps * 2
    if call.outer * num_warps < 12 * call.processors and call.axis > 4 * block:
        # Chunks keep everyone at work with small tiles.
        chunks = min(triton.cdiv(16 * call.processors, call.outer), triton.cdiv(call.axis, 4 * 1024))
        return "rows", {"ROWS": 1, "BLOCK": 1024, "chunks": chunks, "num_warps": 4, "num_stages": 1}
    rows = max(1, 512 // block)
    while rows > 1 and triton.cdiv(call.outer, rows) < 4 * call.processors:
        rows //= 2
    if call.axis <= block:
        num_warps = max(1, min(num_warps, rows * block // 256))
    return "rows", {"ROWS": rows, "BLOCK": block, "chunks": 1, "num_warps": num_warps, "num_stages": 1}


def _linear_strips_settings(call: Call) -> Settings:
    """One warp with a vector a thread, or several elements of a sequence beside each other where that is narrow.

    What a program loads ahead keeps memory at work, so that a strip or two a processor suffice. Of half types a thread
    has twice as many columns, and without vectors an address for each element: then it has half as many rows, and loads
    twice as many stages ahead.
    """
    widest = 32 * (16 // call.dtype.itemsize)
    columns = min(widest, triton.next_power_of_2(call.inner))
    rows = min(4 * min(widest, 128) // columns, max(8, triton.next_power_of_2(call.axis)))
    num_stages = 4
    is_full = call.dtype.itemsize == 2 or (call.dtype.itemsize == 4 and call.inner % 4 != 0)
    if columns == widest:
        rows, num_stages = (4, 7) if is_full else (8, 4)
    programs = call.outer * triton.cdiv(call.inner, columns)
    wanted, most = triton.cdiv(16 * call.processors, programs), triton.cdiv(call.axis, 8 * rows)
    chunks = 1 if programs >= call.processors else min(wanted, most)
    return {"ROWS": rows, "COLUMNS": columns, "chunks": chunks, "num_warps": 1, "num_stages": num_stages}
