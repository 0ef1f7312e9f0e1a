"""Data sheets of GPUs: consistent in themselves, and held against a live GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from stallgate.measure.card import DeviceProperties, differences_from_card
from stallgate.project.load import Project
from tests.conftest import ROOT, Stallgate

CARDS = sorted(path.stem for path in (ROOT / "metrics/gpus").glob("*.toml"))
WANTED = {
    *("rtx_3090", "rtx_4090", "rtx_5090", "a100_sxm_40gb", "a100_sxm_80gb", "a100_pcie_40gb", "a100_pcie_80gb"),
    *("l4", "l40s", "h100_pcie", "h100_sxm", "h200_sxm", "b200", "gb10"),
}

LIMITS = {  # of each compute capability: warps, KiB of shared memory a multiprocessor, FP32 lanes
    "8.0": (64, 164, 64),
    "8.6": (48, 100, 128),
    "8.9": (48, 100, 128),
    "9.0": (64, 228, 128),
    "10.0": (64, 228, 128),
    "12.0": (48, 100, 128),
    "12.1": (48, 100, 128),
}


def test_the_cards_that_are_shipped() -> None:
    assert set(CARDS) == WANTED


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_consistent(repository: Project, name: str) -> None:
    spec = repository.gpu_specs[name]
    warps, shared, lanes = LIMITS[spec.compute_capability]
    assert spec.source
    assert repository.catalogue.chips[spec.chip].compute_capability == spec.compute_capability
    assert (spec.warps_per_multiprocessor, spec.shared_memory_per_multiprocessor_kb) == (warps, shared)
    assert spec.threads_per_multiprocessor == 32 * warps
    assert spec.shared_memory_per_block_kb == shared - 1
    assert set(spec.unseen_names) <= set(spec.device_names)
    if spec.fp32_tflops is not None and spec.boost_mhz is not None:
        assert spec.fp32_tflops == pytest.approx(spec.multiprocessors * lanes * 2 * spec.boost_mhz / 1e6, rel=0.005)


@pytest.mark.parametrize("name", CARDS)
def test_the_peaks_of_a_card_stand_in_the_ratios_of_its_units(repository: Project, name: str) -> None:
    spec = repository.gpu_specs[name]
    pairs = [
        (spec.bf16_tflops, spec.fp16_tflops, 1),
        (spec.bf16_tflops, spec.tf32_tflops, 2),
        (spec.fp8_tflops, spec.bf16_tflops, 2),
        (spec.fp64_tensor_tflops, spec.fp64_tflops, 2),
    ]
    for peak, other, ratio in pairs:
        if peak is not None and other is not None:
            assert peak == pytest.approx(ratio * other, rel=0.02)


def test_no_gpu_has_two_cards_or_two_chips(repository: Project) -> None:
    names = [name for spec in repository.gpu_specs.values() for name in spec.device_names]
    names += [name for chip in repository.catalogue.chips.values() for name in chip.device_names]
    assert len(names) == len(set(names))


LIVE = DeviceProperties(
    name="NVIDIA A100-SXM4-40GB",
    major=8,
    minor=0,
    multi_processor_count=108,
    L2_cache_size=41943040,
    shared_memory_per_multiprocessor=167936,
    shared_memory_per_block_optin=166912,
    max_threads_per_multi_processor=2048,
    memory_bus_width=5120,
    memory_clock_rate=1215000,
)
"""As drivers report it."""


def test_a_gpu_as_its_card_says(repository: Project) -> None:
    assert differences_from_card(repository.gpu_specs["a100_sxm_40gb"], LIVE) == []
    nothing = DeviceProperties(name="NVIDIA A100-SXM4-40GB", major=8, minor=0, multi_processor_count=108)
    assert differences_from_card(repository.gpu_specs["a100_sxm_40gb"], nothing) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"multi_processor_count": 42}, "42 multiprocessors, not 108"),
        ({"minor": 6}, "compute capability 8.6, not 8.0"),
        ({"L2_cache_size": 20971520}, "20 MiB of L2, not 40"),
        ({"memory_clock_rate": 1593000}, "2,039 GB/s of memory, not 1,555"),
        ({"shared_memory_per_multiprocessor": 102400}, "100 KiB of shared memory a multiprocessor, not 164"),
        ({"max_threads_per_multi_processor": 1536}, "1,536 threads a multiprocessor, not 2,048"),
    ],
)
def test_each_difference_from_a_card_is_said(repository: Project, change: dict[str, int], said: str) -> None:
    found = differences_from_card(repository.gpu_specs["a100_sxm_40gb"], replace(LIVE, **change))
    assert said in found


def test_doctor_reports_a_gpu_that_is_not_as_its_card_says(stallgate: Stallgate, tmp_path: Path) -> None:
    facts = '{"name": "NVIDIA H200", "major": 9, "minor": 0, "multi_processor_count": 16}'
    other = facts.replace("NVIDIA H200", "NVIDIA Nonesuch")
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho \'["2.11", "3.6", "13.0", true, [{facts}, {other}]]\'\n')
    program.chmod(0o755)
    done = stallgate("doctor", "--python", str(program))
    words = " ".join(done.stdout.split())
    assert "NVIDIA H200 differs from its data sheet h200_sxm: 16 multiprocessors, not 132" in words
    assert "NVIDIA Nonesuch has no data sheet" in words
