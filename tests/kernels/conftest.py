"""Kernel tests run in triton's interpreter on the CPU, with the order of multiplication that a GPU has."""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"  # triton asks when it is imported, and again whenever it runs

import importlib.util
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from loading import load
from quick import quick_interpreter
from trees import tree_products
from triton.runtime import interpreter

del os.environ["TRITON_INTERPRET"]  # programs that tests elsewhere start shall compile


def load_file(path: Path, name: str) -> ModuleType:
    """The module of a file, or the package of an `__init__.py`, under a name of its own."""
    below = [str(path.parent)] if path.name == "__init__.py" else None
    for stale in [each for each in sys.modules if each.startswith(f"{name}.")]:
        del sys.modules[stale]
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=below)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def variant(request: pytest.FixtureRequest) -> ModuleType:
    """The variant that a test is parametrised with, by name; after a slash the form that the test asks it for."""
    name, _, form = request.param.partition("/")
    if not form:
        return load(name)
    named = ModuleType(f"cumprod.{request.param}")
    vars(named).update({key: value for key, value in vars(load(name)).items() if key != "__name__"})
    return named


@pytest.fixture
def reference() -> ModuleType:
    return load("reference")


@pytest.fixture(scope="package", autouse=True)
def _quick() -> Iterator[None]:
    with quick_interpreter():
        yield


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Scans multiply as a tree, memory never written shows, and arithmetic on infinities is silent."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(interpreter.ScanOps, "cumprod", _tree_cumprod)
    monkeypatch.setattr(interpreter.ScanOps, "generic_scan", _tree_scan)
    monkeypatch.setattr(interpreter.ReduceOps, "generic_reduce", _tree_reduce)
    torch.set_deterministic_debug_mode("warn")  # fills fresh memory with NaN or the largest integer
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        # Triton 3.6 with a numpy older than 2.4.
        warnings.filterwarnings("ignore", "Conversion of an array with ndim > 0", DeprecationWarning)
        yield
    torch.set_deterministic_debug_mode("default")


def _tree_cumprod(scan: interpreter.ScanOps, tile: Any) -> list[Any]:
    """Instead of the interpreter's serial product, which forms no segments and so cannot go wrong as a GPU can.

    Down the first of several dimensions it stays serial: that is how kernels multiply what a thread holds by itself.
    """
    y = tile.handle.data
    if y.ndim > 1 and scan.axis == 0 and y.shape[0] > 1:
        return [scan.to_tensor(np.multiply.accumulate(y, axis=0), dtype=tile.dtype)]
    y = tree_products(np.moveaxis(y, scan.axis, 0))
    return [scan.to_tensor(np.moveaxis(y, 0, scan.axis), dtype=tile.dtype)]


def _tree_scan(scan: interpreter.ScanOps, tiles: tuple[Any, ...]) -> list[Any]:
    """Instead of the interpreter's scan with a function of one's own, which is serial and takes elements one by one.

    Down the first of several dimensions it is serial too, as in `_tree_cumprod`.
    """
    parts = [tile.handle.data for tile in tiles]
    length = parts[0].shape[scan.axis]
    if parts[0].ndim > 1 and scan.axis == 0 and length > 1:
        return _serial_scan(scan, tiles)
    place = np.arange(length).reshape([-1 if axis == scan.axis else 1 for axis in range(parts[0].ndim)])

    def tensors(arrays: list[Any]) -> list[Any]:
        return [scan.to_tensor(array, dtype=tile.dtype) for array, tile in zip(arrays, tiles, strict=True)]

    reach = 1
    while reach < length:
        before = [np.roll(part, reach, scan.axis) for part in parts]
        joined = scan.combine_fn.fn(*tensors(before), *tensors(parts))
        joined = joined if isinstance(joined, tuple) else (joined,)
        parts = [np.where(place < reach, part, one.handle.data) for part, one in zip(parts, joined, strict=True)]
        reach *= 2
    return tensors(parts)


def _serial_scan(scan: interpreter.ScanOps, tiles: tuple[Any, ...]) -> list[Any]:
    """A scan down the first dimension, one after the other."""
    rows = [[tile.handle.data[0] for tile in tiles]]
    for place in range(1, tiles[0].handle.data.shape[0]):
        before, here = (
            [scan.to_tensor(array, dtype=tile.dtype) for array, tile in zip(arrays, tiles, strict=True)]
            for arrays in (rows[-1], [tile.handle.data[place] for tile in tiles])
        )
        joined = scan.combine_fn.fn(*before, *here)
        rows.append([one.handle.data for one in (joined if isinstance(joined, tuple) else (joined,))])
    columns = [np.stack(parts) for parts in zip(*rows, strict=True)]
    return [scan.to_tensor(array, dtype=tile.dtype) for array, tile in zip(columns, tiles, strict=True)]


def _tree_reduce(reduction: interpreter.ReduceOps, tiles: tuple[Any, ...]) -> list[Any]:
    """Instead of the interpreter's reduction with a function of one's own, which takes elements one by one.

    Halves are combined, of which Triton's axes have as many as there are powers of two.
    """
    axis = 0 if reduction.axis is None else reduction.axis
    parts = [tile.handle.data for tile in tiles]
    shape = parts[0].shape
    if reduction.axis is None:
        parts = [part.reshape(-1) for part in parts]

    def tensors(arrays: list[Any]) -> list[Any]:
        return [reduction.to_tensor(array, dtype=tile.dtype) for array, tile in zip(arrays, tiles, strict=True)]

    while (length := parts[0].shape[axis]) > 1:
        first, second = ([np.take(part, half, axis) for part in parts] for half in np.split(np.arange(length), 2))
        joined = reduction.combine_fn.fn(*tensors(first), *tensors(second))
        parts = [one.handle.data for one in (joined if isinstance(joined, tuple) else (joined,))]
    if reduction.axis is None:
        return tensors([part.reshape([1] * len(shape)) if reduction.keep_dims else part.item() for part in parts])
    return tensors(parts if reduction.keep_dims else [part.squeeze(axis) for part in parts])
