"""The names of a run's cases for a reader. Cases of imported reports go by the names in the report, not by slugs."""

from __future__ import annotations

from collections.abc import Callable, Collection

from stallgate.formatting import listed, numbered
from stallgate.model import Case, Identity, IdentityKind, Run, display_name

_LONGEST_HEAD = 160
"""Characters of a kernel's name; a longer one is cut in its middle."""

RANGE = "NVTX range"


def case_names(run: Run) -> dict[Case, str]:
    """Case -> its name among the run's others.

    An imported case is named by its kernel or NVTX range, and by whatever tells it apart from others of that name.
    """
    known = [(result.case, result.identity) for result in run.cases if result.identity is not None]
    alike: dict[tuple[bool, str], list[Identity]] = {}
    for _, identity in known:
        alike.setdefault(_group(identity), []).append(identity)
    differing = {group: _Differing(found) for group, found in alike.items()}
    names = {result.case: _range_name(run, result.case) for result in run.cases}
    told = numbered(differing[_group(identity)].name(identity) for _, identity in known)
    return names | dict(zip((case for case, _ in known), told, strict=True))


def _range_name(run: Run, case: Case) -> str:
    """The name of a case that an NVTX range of stallgate's own form names.

    The configuration of an imported one begins with the report that it is from, which is told where there are several.
    """
    reports = [attempt.name for attempt in run.attempts if run.kind == "imported"]
    own = next((name for name in reports if f"{case.configuration}.".startswith(f"{name}.")), None)
    if own is None:
        return case.display_name
    name = display_name(case.variant, case.configuration[len(own) + 1 :] or "default")
    return f"{name} (from {own})" if len(reports) > 1 else name


def place_name(identity: Identity) -> str:
    """What stands beside each other: the kernels of one GPU, and the NVTX ranges on it."""
    gpu = gpu_name(identity)
    return f"{RANGE}s on {gpu}" if identity.kind == "call" else gpu


def case_places(run: Run) -> dict[Case, str]:
    """Case -> where it was measured, for a reader: its workload, or the GPU of an imported one."""
    return {
        result.case: gpu_name(result.identity) if result.identity is not None else result.case.workload
        for result in run.cases
    }


def gpu_name(identity: Identity) -> str:
    """The GPU of an imported case, with its index where one is known."""
    index = f", device {identity.device_index}" if identity.device_index is not None else ""
    return f"{identity.device or 'an unknown GPU'}{index}"


def facts_of(identity: Identity) -> str:
    """What a case is, in words: how often it was launched, and how."""
    counted = launches_in_words(identity)
    if identity.kind == "call":
        return f"{counted} of {_kernels(identity)}, together"
    if identity.kind in _WHOLES:
        return _facts_of_whole(identity, counted)
    said = (say(identity) for say in (_grid, _block, _registers, _static, _dynamic, _within))
    return ", ".join([counted, *filter(None, said)])


_WHOLES = {"range": "range", "graph": "CUDA graph", "other": "result"}


def whole_name(identity: Identity) -> str:
    """The name of a range or a graph that ncu replayed as a whole: its kernels, or of very many how many there are."""
    noun = _WHOLES.get(identity.kind, "result")
    if len(identity.kernels) > 3:
        count = len(set(identity.kernels))
        return f"{noun} of {len(identity.kernels)} launches of {count} kernel{'s' * (count != 1)}"
    return f"{noun} of {_kernels(identity)}" if identity.kernels else noun


def _facts_of_whole(identity: Identity, counted: str) -> str:
    """What a range or a graph is: ncu has one value for all of its launches together."""
    inside = (
        f" of {len(identity.kernels)} kernel launch{'es' * (len(identity.kernels) != 1)}" if identity.kernels else ""
    )
    what = f"{counted} of a CUDA graph" if identity.kind == "graph" else counted
    said = (say(identity) for say in (_grid, _block, _within))
    return ", ".join([f"{what}{inside}", "measured as a whole", *filter(None, said)])


def noun_of(kinds: Collection[IdentityKind]) -> str:
    """What imported cases are, for the head of their table."""
    nouns: dict[str, str] = {"call": RANGE, **_WHOLES}
    return nouns.get(next(iter(kinds)), "kernel") if len(set(kinds)) == 1 else "kernel"


def launches_in_words(identity: Identity) -> str:
    """How many launches a case has, and how many of them without counters."""
    noun = {"range": "range", "other": "result"}.get(identity.kind, "launch")
    plural = "es" if noun == "launch" else "s"
    counted = f"{identity.launches} {noun}{plural * (identity.launches != 1)}"
    return f"{counted}, {identity.without_counters} without counters" if identity.without_counters else counted


def _kernels(identity: Identity) -> str:
    if len(identity.kernels) > 3:
        return f"{len(identity.kernels)} kernels"
    return listed([_shortened(kernel) for kernel in identity.kernels])


# --- what tells cases of one kernel apart -----------------------------------------------------------------------------


def _group(identity: Identity) -> tuple[bool, str]:
    return identity.kind == "call", _plain(identity)


class _Differing:
    """The cases of one kernel, and the facts in which they differ."""

    def __init__(self, found: list[Identity]) -> None:
        self._head = _head_for(found)
        self._tells = [say for say in _FACTS if len({say(identity) for identity in found}) > 1]

    def name(self, identity: Identity) -> str:
        tells = list(filter(None, (say(identity) for say in self._tells)))
        head = _shortened(self._head(identity))
        return f"{head} ({', '.join(tells)})" if tells else head


def _head_for(found: list[Identity]) -> Callable[[Identity], str]:
    """The shortest of a kernel's names that tells signatures apart."""
    if found[0].kind == "call" or len({identity.signature for identity in found}) == 1:
        return _plain
    if len({_with_template(identity) for identity in found}) == len({identity.signature for identity in found}):
        return _with_template
    return lambda identity: identity.signature or _plain(identity)


def _plain(identity: Identity) -> str:
    if identity.kind in _WHOLES:
        return whole_name(identity)
    return identity.kernel or " > ".join(identity.ranges) or "unnamed"


def _with_template(identity: Identity) -> str:
    """A signature without its return type and parameters."""
    text = identity.signature.removeprefix("void ")
    depth = 0
    for place in range(len(text) - 1, -1, -1) if text.endswith(")") else ():
        depth += {")": 1, "(": -1}.get(text[place], 0)
        if not depth:
            return text[:place] or text
    return text or _plain(identity)


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST_HEAD:
        return text
    half = _LONGEST_HEAD // 2
    return f"{text[:half]}…{text[1 - half :]}"


def _grid(identity: Identity) -> str:
    return _extent("grid", identity.grid, identity.grid_size)


def _block(identity: Identity) -> str:
    return _extent("block", identity.block, identity.block_size)


def extent_text(extent: tuple[int, int, int] | None, size: int | None) -> str:
    """A grid or a block in x, y and z, else its number of blocks or threads; empty where neither is known."""
    if extent is not None:
        return "x".join(map(str, extent))
    return str(size) if size is not None else ""


def _extent(noun: str, extent: tuple[int, int, int] | None, size: int | None) -> str:
    text = extent_text(extent, size)
    return f"{noun} {'of ' * (extent is None)}{text}" if text else ""


def _registers(identity: Identity) -> str:
    return f"{identity.registers} registers" if identity.registers is not None else ""


def _static(identity: Identity) -> str:
    return _bytes(identity.static_shared_bytes, "static")


def _dynamic(identity: Identity) -> str:
    return _bytes(identity.dynamic_shared_bytes, "dynamic")


def _bytes(size: int | None, kind: str) -> str:
    return f"{size} bytes of {kind} shared memory" if size else ""


def _within(identity: Identity) -> str:
    return f"in {' > '.join(identity.ranges)}" if identity.ranges and identity.kind != "call" else ""


def _report(identity: Identity) -> str:
    return f"from {identity.report}" if identity.report else ""


_FACTS = (_grid, _block, _registers, _static, _dynamic, gpu_name, _within, _report)
"""What may tell launches of one kernel apart, the plainest first."""
