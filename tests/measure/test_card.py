"""Data sheets of GPUs: consistent in themselves, and held against a live GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from stallgate.measure.card import DeviceProperties, differences_from_card
from stallgate.model import GpuSpec
from stallgate.project.load import Project
from tests.conftest import ROOT, Stallgate

CARDS = sorted(path.stem for path in (ROOT / "metrics/gpus").glob("*.toml"))
WANTED = {
    *("rtx_3090", "rtx_4090", "rtx_5090", "a100_sxm_40gb", "a100_sxm_80gb", "a100_pcie_40gb", "a100_pcie_80gb"),
    *("l4", "l40s", "h100_pcie", "h100_sxm", "h200_sxm", "b200", "gb10"),
}

LIMITS = {  # of each compute capability: warps, KiB of shared memory a multiprocessor
    "8.0": (64, 164),
    "8.6": (48, 100),
    "8.9": (48, 100),
    "9.0": (64, 228),
    "10.0": (64, 228),
    "12.0": (48, 100),
    "12.1": (48, 100),
}

_GRAPHICS = {"fp32_tflops": 256, "fp64_tflops": 4, "fp16_vector_tflops": 256, "int8_tops": 2048}
_HALVED = {"tf32_tflops": 256, "bf16_tflops": 512, "fp16_tflops": 512, "fp8_tflops": 1024}
"""GeForce: tensor cores at half of their rate where they accumulate in FP32."""
_GEFORCE = {**_GRAPHICS, **_HALVED}
_WHOLE = {**_GRAPHICS, **{key: 2 * rate for key, rate in _HALVED.items()}}
_AMPERE = {
    "fp32_tflops": 128,
    "fp64_tflops": 64,
    "fp16_vector_tflops": 512,
    "fp64_tensor_tflops": 128,
    "tf32_tflops": 1024,
    "bf16_tflops": 2048,
    "fp16_tflops": 2048,
    "int8_tops": 4096,
}
_HOPPER = {**{key: 2 * rate for key, rate in _AMPERE.items()}, "fp16_vector_tflops": 512, "fp8_tflops": 8192}

RATES = {
    **dict.fromkeys(["a100_sxm_40gb", "a100_sxm_80gb", "a100_pcie_40gb", "a100_pcie_80gb"], _AMPERE),
    **dict.fromkeys(["h100_sxm", "h100_pcie", "h200_sxm"], _HOPPER),
    **dict.fromkeys(["rtx_3090", "rtx_4090", "rtx_5090"], _GEFORCE),
    **dict.fromkeys(["l4", "l40s"], _WHOLE),
}
"""Operations of a multiprocessor in a clock, as ncu's rooflines have them; B200 and GB10: no clocks are known."""

TENSOR_MHZ = {"h100_sxm": 1830, "h200_sxm": 1830, "h100_pcie": 1620}
"""Where the tensor cores' peaks are those of a lower clock, except that of FP64: table 3 of the white paper."""

KIB, MIB = 2**10, 2**20
DRIVERS = {  # multiprocessors, MiB of L2, bits of memory bus, MHz of the memory (half of the data rate)
    "a100_pcie_40gb": (108, 40, 5120, 1215),
    "a100_pcie_80gb": (108, 40, 5120, 1512),
    "a100_sxm_40gb": (108, 40, 5120, 1215),
    "a100_sxm_80gb": (108, 40, 5120, 1593),
    "b200": (148, 126.5, 7680, 3996),
    "gb10": (48, 24, 256, None),
    "h100_pcie": (114, 50, 5120, 1593),
    "h100_sxm": (132, 50, 5120, 2619),
    "h200_sxm": (132, 60, 6144, 3201),
    "l4": (58, 48, 192, 6251),
    "l40s": (142, 96, 384, 9001),
    "rtx_3090": (82, 6, 384, 9751),
    "rtx_4090": (128, 72, 384, 10501),
    "rtx_5090": (170, 96, 512, 14001),
}
"""What drivers were seen to report of each card."""


def as_driver_reports(spec: GpuSpec) -> DeviceProperties:
    multiprocessors, l2, bus, clock = DRIVERS[spec.name]
    warps, shared = LIMITS[spec.compute_capability]
    major, minor = spec.compute_capability.split(".")
    return DeviceProperties(
        name=spec.device_names[0],
        major=int(major),
        minor=int(minor),
        multi_processor_count=multiprocessors,
        L2_cache_size=int(l2 * MIB),
        shared_memory_per_multiprocessor=shared * KIB,
        shared_memory_per_block_optin=(shared - 1) * KIB,
        max_threads_per_multi_processor=32 * warps,
        memory_bus_width=bus,
        memory_clock_rate=1000 * clock if clock else None,
    )


def peaks_of(spec: GpuSpec) -> dict[str, float]:
    keys = [key for key in spec.__struct_fields__ if key.endswith(("_tflops", "_tops"))]
    return {key: value for key in keys if (value := getattr(spec, key)) is not None}


def peaks_off_their_units(spec: GpuSpec) -> list[str]:
    """The peaks that are not multiprocessors, times operations in a clock, times the clock; 1.5 % for rounding."""
    tensor = TENSOR_MHZ.get(spec.name, spec.boost_mhz)
    off = []
    for key, peak in peaks_of(spec).items():
        clock = tensor if key in _HALVED or key == "int8_tops" else spec.boost_mhz
        if peak != pytest.approx(spec.multiprocessors * RATES[spec.name][key] * clock / 1e6, rel=0.015):
            off.append(key)
    return off


def test_a_channel_of_memory_less_is_no_other_card(repository: Project) -> None:
    """An H200 was seen with 6,016 bits, where others have 6,144."""
    spec = repository.gpu_specs["h200_sxm"]
    found = replace(as_driver_reports(spec), memory_bus_width=6016)
    assert differences_from_card(spec, found) == []
    assert differences_from_card(spec, replace(found, memory_bus_width=5120)) != []


def test_the_cards_that_are_shipped() -> None:
    assert set(CARDS) == WANTED


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_consistent(repository: Project, name: str) -> None:
    spec = repository.gpu_specs[name]
    warps, shared = LIMITS[spec.compute_capability]
    assert spec.source
    assert repository.catalogue.chips[spec.chip].compute_capability == spec.compute_capability
    assert (spec.warps_per_multiprocessor, spec.shared_memory_per_multiprocessor_kb) == (warps, shared)
    assert spec.threads_per_multiprocessor == 32 * warps
    assert spec.shared_memory_per_block_kb == shared - 1
    assert (spec.registers_per_thread, spec.threads_per_block) == (255, 1024)
    assert set(spec.unseen_names) <= set(spec.device_names)
    lanes = 64 if spec.compute_capability == "8.0" else 128
    if spec.fp32_tflops is not None and spec.boost_mhz is not None:
        assert spec.fp32_tflops == pytest.approx(spec.multiprocessors * lanes * 2 * spec.boost_mhz / 1e6, rel=0.005)


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_as_drivers_report_the_gpu(repository: Project, name: str) -> None:
    spec = repository.gpu_specs[name]
    assert differences_from_card(spec, as_driver_reports(spec)) == []
    assert spec.memory_bus_bits == DRIVERS[name][2]


@pytest.mark.parametrize("name", sorted(RATES))
def test_every_peak_follows_from_the_units_and_the_clock(repository: Project, name: str) -> None:
    assert peaks_off_their_units(repository.gpu_specs[name]) == []


@pytest.mark.parametrize("name", sorted(RATES))
def test_a_peak_with_sparsity_would_be_found_out(repository: Project, name: str) -> None:
    spec = repository.gpu_specs[name]
    for key, peak in peaks_of(spec).items():
        assert peaks_off_their_units(replace(spec, **{key: 2 * peak})) == [key]
        assert peaks_off_their_units(replace(spec, **{key: 1.03 * peak})) == [key]


def test_every_card_whose_clock_is_known_is_held_against_its_units(repository: Project) -> None:
    assert {name for name, spec in repository.gpu_specs.items() if spec.boost_mhz is not None} == set(RATES)


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
