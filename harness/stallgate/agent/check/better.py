"""Is an answer better than the version that it replaces? By times of both, and by counters, which no process can set.

Both are timed interleaved, in a process that runs the answer's code: that process could lie. So the replaced version is
timed alone as well, and both are profiled, the answer in a process of its own. A gain that the counters do not show is
none. Each round has inputs that no call had before; a call that is quicker when it is made again keeps results.
"""

from __future__ import annotations

from statistics import median, quantiles
from typing import NamedTuple

from stallgate.agent.objection import Objection
from stallgate.formatting import listed, percent, rounded, scaled
from stallgate.judge.roof import BEYOND_ROOF
from stallgate.model import FrozenStruct

LEAST_SAVED = 0.02
"""Share of the time that an answer has to save, beyond noise."""

_SLOWED = 1.15
"""How much slower the replaced version may be beside the answer than it is alone."""

_REPLAYED = 0.85
"""Share of its time that a call takes at least when it is made again on the same inputs: caches are cleared before."""

_NOISE_US = 2.0
"""What calls differ by in any case: events are no finer."""

_BELOW_COUNTERS = 0.75
"""How far a call's time may lie below the time that ncu measured of its kernels: clocks differ by less."""

_HOST_BOUND = 1.2
"""Above this, calls take so much longer than their kernels that a gain need not show in the kernels."""

_CONFIRMED = 0.5
"""Share of a gain that the counters have to show."""


class WorkloadGain(FrozenStruct, frozen=True):
    """How much faster an answer is on one workload than the version that it replaces."""

    workload: str
    before_us: float
    """Median time of a call of the version that is replaced."""
    after_us: float
    gain: float
    """Share of the time that is saved: 0.1 is 10 % less."""
    low: float
    high: float
    """Between them lie half of the rounds."""


class WorkloadTimes(NamedTuple):
    """What was measured on one workload. Times of calls are in microseconds, one a round."""

    workload: str
    before: list[float]
    after: list[float]
    again: list[float]
    """Of the answer's same calls, made again at once."""
    alone: list[float]
    """Of the replaced version where the answer's code was not loaded."""
    before_kernels: float | None
    """Summed duration of its kernels by ncu, in microseconds; None where it was not measured."""
    after_kernels: float | None
    limit: float | None
    """The same of the hardware's roof; None where the problem has none."""
    limit_call: float | None
    """Time of a call of that roof."""


class Better(FrozenStruct, frozen=True):
    """What times and counters say."""

    gains: list[WorkloadGain]
    objections: list[Objection]


def judge_times(measured: list[WorkloadTimes], *, newly_met: bool) -> Better:
    """Whether an answer is better.

    Args:
        measured: what was measured, on every workload.
        newly_met: whether it meets the stage, and the version that it replaces does not.
    """
    gains = [gain_on(each) for each in measured]
    doubts = [doubt for each, gain in zip(measured, gains, strict=True) for doubt in _doubts(each, gain)]
    return Better(gains=gains, objections=doubts or _too_little(gains, newly_met=newly_met))


def gain_on(times: WorkloadTimes) -> WorkloadGain:
    """The gain on a workload: of each round, which both were in, then the median and the quartiles."""
    rounds = [1 - after / before for before, after in zip(times.before, times.after, strict=False)]
    low, _, high = quantiles(rounds, n=4, method="inclusive") if len(rounds) > 1 else (rounds[0], 0, rounds[0])
    before, after = median(times.before), median(times.after)
    return WorkloadGain(
        workload=times.workload, before_us=before, after_us=after, gain=median(rounds), low=low, high=high
    )


def _too_little(gains: list[WorkloadGain], *, newly_met: bool) -> list[Objection]:
    """Why the gains are not enough: a workload lost time, or none gained."""
    lost = [gain for gain in gains if gain.high <= -LEAST_SAVED]
    if lost:
        named = listed([f"{percent(-gain.gain)} on {gain.workload}" for gain in lost])
        return [_objection("slower", f"it takes more time than the version that it replaces: {named}")]
    if newly_met or any(gain.low >= LEAST_SAVED for gain in gains):
        return []
    best = max(gains, key=lambda gain: gain.low)
    text = (
        f"its gain is not {percent(LEAST_SAVED)} beyond noise: at best {percent(best.gain)} on {best.workload}, "
        f"half of the rounds between {percent(best.low)} and {percent(best.high)}"
    )
    return [_objection("no_gain", text, "save more time, or meet the stage at no loss of time")]


# --- what the counters contradict -------------------------------------------------------------------------------------


def _doubts(times: WorkloadTimes, gain: WorkloadGain) -> list[Objection]:
    """Reasons why the times cannot be those of the work."""
    tests = (_replayed, _beyond_limit, _slowed, _below_kernels, _unconfirmed)
    found = [test(times, gain) for test in tests]
    return [each for each in found if each is not None][:1]


def _replayed(times: WorkloadTimes, gain: WorkloadGain) -> Objection | None:
    """A call that takes less time on inputs that it had before."""
    again = median(times.again) if times.again else gain.after_us
    if again >= _REPLAYED * gain.after_us or gain.after_us - again <= _NOISE_US:
        return None
    text = (
        f"{times.workload}: a call took {_us(gain.after_us)} on inputs that no call had before, "
        f"and {_us(again)} when it was made again"
    )
    return _objection("replayed_result", text, "keep no results: do the work in every call")


def _beyond_limit(times: WorkloadTimes, gain: WorkloadGain) -> Objection | None:
    """A call or its kernels that take less time than the hardware's roof."""
    pairs = [("its kernels", times.limit, times.after_kernels), ("a call", times.limit_call, gain.after_us)]
    for what, limit, taken in pairs:
        if limit is not None and taken is not None and limit / max(taken, 1e-9) > BEYOND_ROOF:
            text = (
                f"{times.workload}: {what} took {_us(taken)}, and moving the bytes that are needed takes {_us(limit)}: "
                f"{rounded(limit / max(taken, 1e-9))} of the roof's speed"
            )
            return _objection("beyond_roof", text)
    return None


def _slowed(times: WorkloadTimes, gain: WorkloadGain) -> Objection | None:
    """A replaced version that is slower where the answer's code is loaded."""
    alone = median(times.alone) if times.alone else gain.before_us
    if gain.before_us <= _SLOWED * alone:
        return None
    text = (
        f"{times.workload}: the version that it replaces took {_us(gain.before_us)} beside it, and {_us(alone)} alone"
    )
    return _objection("slowed_other", text)


def _below_kernels(times: WorkloadTimes, gain: WorkloadGain) -> Objection | None:
    """Calls that take less time than their kernels do under ncu."""
    if times.after_kernels is None or times.before_kernels is None:
        return None
    trusted = median(times.alone) if times.alone else gain.before_us
    usual = min(1.0, trusted / times.before_kernels)
    if gain.after_us >= _BELOW_COUNTERS * usual * times.after_kernels:
        return None
    text = (
        f"{times.workload}: a call took {_us(gain.after_us)} by its process's clock, "
        f"and its kernels {_us(times.after_kernels)} by ncu's"
    )
    return _objection("time_contradicts_counters", text)


def _unconfirmed(times: WorkloadTimes, gain: WorkloadGain) -> Objection | None:
    """A gain in time that the kernels do not show, although they are what takes the time."""
    if times.after_kernels is None or times.before_kernels is None or gain.low < LEAST_SAVED:
        return None
    if gain.before_us > _HOST_BOUND * times.before_kernels:
        return None
    shown = 1 - times.after_kernels / times.before_kernels
    if shown >= _CONFIRMED * gain.gain:
        return None
    text = (
        f"{times.workload}: it saves {percent(gain.gain)} of a call's time, and {percent(shown)} of its kernels' by ncu"
    )
    return _objection("gain_not_confirmed", text)


def _us(microseconds: float) -> str:
    return scaled(1e3 * microseconds, "ns")


def _objection(code: str, text: str, hint: str = "") -> Objection:
    return Objection(part="better", code=code, text=text, hint=hint)
