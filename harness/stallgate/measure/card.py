"""A live GPU held against its data sheet: what the driver says of it, through torch's device properties."""

from __future__ import annotations

from stallgate.formatting import rounded
from stallgate.model import FrozenStruct, GpuSpec

_CLOSE = 0.03
"""Relative difference of bandwidths and sizes that is none: data sheets round."""

_MAY_VARY = ("MiB", "GB/", "bit")
"""Beginnings of the figures that may: devices of one model have a part of L2 or a channel of memory more or less."""


class DeviceProperties(FrozenStruct, frozen=True):
    """What torch says of a GPU; None for what its version does not say."""

    name: str
    major: int
    minor: int
    multi_processor_count: int
    L2_cache_size: int | None = None
    """Bytes."""
    shared_memory_per_multiprocessor: int | None = None
    """Bytes."""
    shared_memory_per_block_optin: int | None = None
    """Bytes."""
    max_threads_per_multi_processor: int | None = None
    memory_bus_width: int | None = None
    """Bits."""
    memory_clock_rate: int | None = None
    """kHz, half of the data rate."""

    @property
    def bandwidth_gb_s(self) -> float | None:
        """Of the memory: bus width times clock, twice a cycle; None where they are not known, as on shared memory."""
        if not self.memory_bus_width or not self.memory_clock_rate:
            return None
        return self.memory_bus_width / 8 * 2 * self.memory_clock_rate / 1e6


PROPERTIES = DeviceProperties.__struct_fields__
"""The names of the attributes that torch is asked for."""


def differences_from_card(spec: GpuSpec, found: DeviceProperties) -> list[str]:
    """A phrase for each figure in which a GPU differs from its data sheet."""
    kib, mib = 2**10, 2**20
    capability = f"{found.major}.{found.minor}"
    said = (
        []
        if capability == spec.compute_capability
        else [f"compute capability {capability}, not {spec.compute_capability}"]
    )
    pairs = [
        ("multiprocessors", found.multi_processor_count, spec.multiprocessors),
        ("threads a multiprocessor", found.max_threads_per_multi_processor, spec.threads_per_multiprocessor),
        (
            "KiB of shared memory a multiprocessor",
            found.shared_memory_per_multiprocessor,
            spec.shared_memory_per_multiprocessor_kb * kib,
        ),
        ("KiB of shared memory a block", found.shared_memory_per_block_optin, spec.shared_memory_per_block_kb * kib),
        ("MiB of L2", found.L2_cache_size, spec.l2_cache_mb * mib if spec.l2_cache_mb is not None else None),
        ("bits of memory bus", found.memory_bus_width, spec.memory_bus_bits),
        ("GB/s of memory", found.bandwidth_gb_s, spec.dram_bandwidth_gb_s),
    ]
    units = {"KiB": kib, "MiB": mib}
    for name, live, card in pairs:
        if live and card is not None and abs(live - card) > _CLOSE * card * (name[:3] in _MAY_VARY):
            unit = units.get(name[:3], 1)
            said.append(f"{rounded(live / unit, 4)} {name}, not {rounded(card / unit, 4)}")
    return said
