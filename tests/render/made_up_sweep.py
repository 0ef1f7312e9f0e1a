"""Made-up sweeps, to see what is made of them: seeded, of any number of trials. No figure in them is measured."""

from __future__ import annotations

import random
from itertools import islice, product
from math import log2

from stallgate.model import CeilingKind
from stallgate.project.space import configuration_names
from stallgate.runs.bench import BenchEnvironment
from stallgate.runs.sweep import (
    SWEEP_FORMAT,
    CounterReading,
    Final,
    Sweep,
    SweepSpace,
    Trial,
    TrialState,
    TunableValue,
    Yardstick,
)

SPACE: dict[str, list[TunableValue]] = {
    "BLOCK_M": [64, 128, 256],
    "BLOCK_N": [64, 128, 256],
    "BLOCK_K": [32, 64],
    "num_warps": [4, 8, 16],
    "num_stages": [2, 3, 4, 5],
    "use_tma": [False, True],
}
DEFAULT: dict[str, TunableValue] = {
    "BLOCK_M": 128, "BLOCK_N": 128, "BLOCK_K": 64, "num_warps": 8, "num_stages": 3, "use_tma": False,
}  # fmt: skip
STALL = "memory_dependency_stall"

ENVIRONMENT = BenchEnvironment(
    gpu="a GPU that was made up", device=0, compute_capability="9.0", driver="0", python="3.11", torch="0", triton="0",
    cuda="0", multiprocessors=132, l2_bytes=2**25, flush_us=50.0, event_us=1.0,
)  # fmt: skip


def made_up_sweep(
    trials: int = 137,
    *,
    seed: int = 0,
    workloads: tuple[str, ...] = ("square",),
    default: dict[str, TunableValue] | None = None,
    finals: int = 6,
) -> Sweep:
    """A sweep of so many configurations on each workload, the default among them."""
    rng = random.Random(seed)
    chosen = [dict(zip(SPACE, values, strict=True)) for values in islice(product(*SPACE.values()), 432)]
    rng.shuffle(chosen)
    tried = chosen[: trials - 1]
    start = default if default is not None else DEFAULT
    named = [("default", start), *zip(configuration_names(tried), tried, strict=True)]
    made = [_trial(rng, name, tunables, load) for load in workloads for name, tunables in named]
    return Sweep(
        format=SWEEP_FORMAT, name="2026-01-01T00-00-00-sweep", created="2026-01-01T00:00:00Z", stallgate="0",
        commit="0123456789abcdef", dirty=False, arguments=["sweep", "matmul/tiled"], problem="matmul",
        variant="tiled", stage="memory_access", effort="quick", seed=seed, seconds=None,
        digests={"variant tiled": "0"},
        space=SweepSpace(
            tunables=SPACE, constraints=["BLOCK_M * BLOCK_N <= 32768"], source="problem.toml", size=trials
        ),
        trials=made, default=start, finals=_finals(rng, made, workloads, finals),
        yardsticks=[_roof(rng, load) for load in workloads],
        environment=ENVIRONMENT, devices=[0], complete=True,
    )  # fmt: skip


def _roof(rng: random.Random, workload: str) -> Yardstick:
    ceiling: CeilingKind = "bytes"
    samples = [355.0 + rng.gauss(0, 0.5) for _ in range(20)]
    counters = {"dram_throughput": CounterReading(median=91.0, least=90.8, most=91.2, samples=3)}
    return Yardstick(
        name="copy_roof", role="roof", workload=workload, ceiling=ceiling, outcome="timed", samples_us=samples,
        counters=counters,
    )  # fmt: skip


def _time(tunables: dict[str, TunableValue]) -> float:
    """Microseconds of a call by a formula: few stages and small tiles are slow."""
    tile = log2(int(tunables["BLOCK_M"]) * int(tunables["BLOCK_N"]))
    stages = int(tunables["num_stages"])
    time = 360 * (1 + 0.04 * (15 - tile) ** 2) * (1 + 0.35 / stages**2)
    time *= 1.15 if tunables["num_warps"] == 16 else 1.0
    return time * (0.985 if tunables["use_tma"] else 1.0)


def _trial(rng: random.Random, name: str, tunables: dict[str, TunableValue], workload: str) -> Trial:
    shared = int(tunables["num_stages"]) * int(tunables["BLOCK_K"]) * (int(tunables["BLOCK_M"]) + 128) * 2
    state, reason = _state(rng, name, tunables, shared)
    if state not in ("stopped", "timed", "profiled"):
        return Trial(
            configuration=name, tunables=tunables, workload=workload, state=state, reason=reason, shared_bytes=shared
        )
    rounds = 3 if state == "stopped" else 20
    time = _time(tunables) * (1.3 if state == "stopped" else 1.0) * rng.uniform(0.995, 1.005)
    return Trial(
        configuration=name, tunables=tunables, workload=workload, state=state, reason=reason,
        samples_us=[time * (1 + abs(rng.gauss(0, 0.002))) for _ in range(rounds)], rounds=rounds,
        registers=rng.choice([64, 96, 128, 168, 255]), spills=0, shared_bytes=shared, compile_s=rng.uniform(0.5, 4),
        counters=_counters(rng, tunables, time) if state == "profiled" else {}, device=0,
    )  # fmt: skip


def _state(rng: random.Random, name: str, tunables: dict[str, TunableValue], shared: int) -> tuple[TrialState, str]:
    if name == "default":
        return "profiled", ""
    if int(tunables["BLOCK_M"]) * int(tunables["BLOCK_N"]) > 32768:
        return "pruned", "BLOCK_M * BLOCK_N <= 32768 does not hold: 65536"
    if shared > 232_448:
        return "too_much_shared_memory", f"it needs {shared:,} bytes a block; the GPU has 232,448"
    if rng.random() < 0.02:
        return "wrong_result", "output 0 is off by 3.1 times its tolerance at [0, 17]"
    if rng.random() < 0.01:
        return "does_not_compile", "triton: out of resource: tensor memory"
    if _time(tunables) > 460:
        return "stopped", "after 3 rounds 1.4 times as slow as the fastest"
    return ("profiled" if _time(tunables) < 410 else "timed"), ""


def _counters(rng: random.Random, tunables: dict[str, TunableValue], time: float) -> dict[str, CounterReading]:
    stall = 48 / int(tunables["num_stages"]) + 24 / int(tunables["num_warps"]) + rng.uniform(-1, 1)
    dram = 92 * 355 / time
    return {
        STALL: CounterReading(median=stall, least=stall - 0.3, most=stall + 0.3, samples=3),
        "dram_throughput": CounterReading(median=dram, least=dram - 0.1, most=dram + 0.1, samples=3),
        "l2_hit_rate": CounterReading(median=50.0, least=49.0, most=51.0, samples=3),
    }


def _finals(rng: random.Random, trials: list[Trial], workloads: tuple[str, ...], count: int) -> list[Final]:
    found = []
    for load in workloads:
        timed = [t for t in trials if t.workload == load and t.state == "profiled"]
        best = sorted(timed, key=lambda t: t.median_us or 0.0)[:count]
        best += [t for t in timed if t.configuration == "default" and t not in best]
        for trial in best:
            time = 1.01 * (trial.median_us or 0.0)
            samples = [time * (1 + abs(rng.gauss(0, 0.001))) for _ in range(40)]
            found.append(Final(configuration=trial.configuration, workload=load, samples_us=samples))
    return found
