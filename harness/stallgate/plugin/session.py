"""What the tests of a session want judged, measured by as few profiles as possible."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from stallgate.plugin.command import Ask, CommandAnswer

_State = Literal["pass", "fail", "error", "unable"]
"""error: it could not be judged. unable: this machine cannot measure, which a user may allow."""

_UNABLE = frozenset({"no_device", "no_profiler", "counters_blocked", "no_recording"})
"""Error codes of ``stallgate profile`` that say that this machine cannot measure, whatever the code of the variants."""


_REFUSED = 2
"""The exit status for wrong arguments."""


# --- what is asked for ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """What a test wants judged."""

    problem: str
    variants: tuple[str, ...] = ()
    """Empty: every candidate of the problem."""
    workloads: tuple[str, ...] = ()
    """Empty: those that the problem measures by default."""
    stages: tuple[str, ...] = ()
    """Empty: those that the problem names."""
    drawn: int = 0
    """How many drawn workloads it has to be right on as well."""

    @property
    def subjects(self) -> list[str]:
        """As the command line names them."""
        return [f"{self.problem}/{variant}" for variant in self.variants] or [self.problem]


def wanted_from(
    problem: str,
    *,
    stage: str | Iterable[str] | None = None,
    variants: str | Iterable[str] = (),
    workloads: str | Iterable[str] = (),
    drawn: int = 0,
) -> Wanted:
    """What the arguments of ``@pytest.mark.stallgate`` ask for; ``problem`` may be ``problem/variant``.

    Raises:
        TypeError: an argument is of another type, or a name is empty.
    """
    if not isinstance(drawn, int) or isinstance(drawn, bool) or drawn < 0:
        raise TypeError(f"drawn is a number of workloads, not {drawn!r}")
    [whole] = _names("problem", problem)
    name, slash, variant = whole.partition("/")
    if slash and variants:
        raise TypeError(f"problem={problem!r} names a variant already: leave variants out")
    named = _names("variants", variant if slash else variants)
    stages = () if stage is None else _names("stage", stage)
    return Wanted(name, named, _names("workloads", workloads), stages, drawn)


def _names(argument: str, given: object) -> tuple[str, ...]:
    """Names, each once; one alone may be given as it is."""
    names = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else (given,)
    for name in names:
        if not isinstance(name, str) or not name or name.startswith("-"):
            raise TypeError(f"{argument} takes names, not {name!r}")
    return tuple(dict.fromkeys(names))


# --- what came out ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GatedRun:
    """What a test wanted judged, and the answer."""

    wanted: Wanted
    state: _State
    message: str
    """Why it does not pass: a sentence a line."""
    folder: Path | None = None
    """The run's folder; None if nothing was measured."""
    page: Path | None = None
    """``report.html``; None if there is none."""
    page_fault: str = ""
    """Why the page could not be drawn."""
    replayed: bool = False
    """Whether the numbers are of a recording, not of this session."""
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    """The verdicts on what was wanted, as ``verdicts.json`` has them."""
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Case -> metric -> what was measured, as ``stallgate profile --json`` has it."""


@dataclass(frozen=True)
class Measuring:
    """How a session measures."""

    ask: Ask
    """Runs a command."""
    replay: bool = False
    """Whether a recording may be replayed where there is no GPU."""
    python: str | None = None
    """The interpreter that has torch and triton."""


@dataclass(frozen=True)
class _Measured:
    """The run that has what a test wants."""

    profile: CommandAnswer
    stages: tuple[str, ...]
    """The stages that its page shows; empty: those that its problems name."""


class Session:
    """The runs of a session. Every process of it that collected the same tests gives the same answers."""

    def __init__(self, measuring: Measuring) -> None:
        self._measuring = measuring
        self._measured: dict[Wanted, _Measured] = {}

    def measure(self, wanted: Iterable[Wanted]) -> None:
        """Measures what tests want: in one profile, and in one more what names workloads."""
        every = list(dict.fromkeys(wanted))
        for group in ([each for each in every if not each.workloads], [each for each in every if each.workloads]):
            self._measure_together(group)

    def judged(self, wanted: Wanted) -> GatedRun:
        """The answer to what a test wants; measured now if it was not before."""
        if wanted not in self._measured:
            self.measure([wanted])
        measured = self._measured[wanted]
        if measured.profile.code or "run" not in measured.profile.facts:
            return _unmeasured(wanted, measured.profile)
        return self._gated(wanted, measured)

    # --- measuring ---

    def _measure_together(self, group: list[Wanted]) -> None:
        """Takes one profile; where it is refused, one without the tests that it cannot be taken for."""
        answer = self._profile(group) if group else None
        if answer is not None and answer.status == _REFUSED and len(group) > 1:
            group = self._without_refused(group)
            answer = self._profile(group) if group else None
        if answer is not None:
            self._keep(group, answer)
            self._replay_alone([each for each in group if not _is_in(each, answer)])

    def _replay_alone(self, unrecorded: list[Wanted]) -> None:
        """Tells a test whose problem has no recording so; a replay of several problems goes on without it."""
        for each in unrecorded:
            self._keep([each], self._profile([each]))

    def _profile(self, group: list[Wanted]) -> CommandAnswer:
        options = [] if self._measuring.replay else ["--live"]
        options += ["--python", self._measuring.python] if self._measuring.python else []
        return self._measuring.ask(["profile", *_cases(group), *options])

    def _without_refused(self, group: list[Wanted]) -> list[Wanted]:
        """Keeps the refusal of each test that names something unknown; the tests that can be planned."""
        plans = {each: self._measuring.ask(["plan", *_cases([each])]) for each in group}
        for each, plan in plans.items():
            if plan.code:
                self._keep([each], plan)
        return [each for each, plan in plans.items() if not plan.code]

    def _keep(self, group: list[Wanted], answer: CommandAnswer) -> None:
        named = [each.stages for each in group]
        stages = () if () in named else tuple(dict.fromkeys(stage for stages in named for stage in stages))
        self._measured |= {each: _Measured(answer, stages) for each in group}

    # --- judging ---

    def _gated(self, wanted: Wanted, measured: _Measured) -> GatedRun:
        facts = measured.profile.facts
        replayed = facts.get("kind") != "live"
        gate = self._measuring.ask(["gate", str(facts["run"]), *_options("--stage", wanted.stages)])
        verdicts = [verdict for verdict in gate.facts.get("verdicts", []) if _is_about(wanted, verdict)]
        state, message = _refused(gate) if gate.code else _settled(wanted, verdicts)
        if state == "pass" and wanted.drawn:
            state, message = self._checked(wanted)
        if replayed and not self._measuring.replay:
            state, message = "error", "not measured: the run is a recording"
        page, page_fault = self._page(measured)
        return GatedRun(
            wanted=wanted,
            state=state,
            message=message,
            folder=Path(facts["run"]),
            page=page,
            page_fault=page_fault,
            replayed=replayed,
            verdicts=verdicts,
            metrics={case: found for case, found in facts.get("metrics", {}).items() if _has(wanted, case)},
        )

    def _page(self, measured: _Measured) -> tuple[Path | None, str]:
        """The page of a run, or why it could not be drawn."""
        options = _options("--stage", measured.stages)
        drawn = self._measuring.ask(["report", str(measured.profile.facts["run"]), *options])
        files = drawn.facts.get("files") or [None]
        return (None, drawn.message) if drawn.code or files[0] is None else (Path(files[0]), "")

    def _checked(self, wanted: Wanted) -> tuple[_State, str]:
        """Whether the variants are right on drawn workloads."""
        options = ["--python", self._measuring.python] if self._measuring.python else []
        check = self._measuring.ask(["check", *wanted.subjects, "--drawn", str(wanted.drawn), *options])
        return _refused(check) if check.code else _right(wanted, check)


def _is_in(wanted: Wanted, profile: CommandAnswer) -> bool:
    """Whether a profile has what a test wants, or says why it has nothing at all."""
    cases = profile.facts.get("cases", [])
    return bool(profile.code) or any(case["case"].startswith(f"{wanted.problem}/") for case in cases)


def _cases(group: Sequence[Wanted]) -> list[str]:
    """Subjects and workloads as arguments."""
    subjects = [subject for each in group for subject in each.subjects]
    workloads = dict.fromkeys(name for each in group for name in each.workloads)
    return [*dict.fromkeys(subjects), *_options("--workload", workloads)]


def _options(option: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _unmeasured(wanted: Wanted, profile: CommandAnswer) -> GatedRun:
    state, message = _refused(profile)
    folder = profile.facts.get("run")
    return GatedRun(wanted, "unable" if profile.code in _UNABLE else state, message, Path(folder) if folder else None)


def _refused(answer: CommandAnswer) -> tuple[_State, str]:
    hint = f"\nhint: {answer.hint}" if answer.hint and answer.code not in _UNABLE else ""
    message = answer.message or f"`stallgate` ended with status {answer.status}"
    return "error", f"not measured: {message}{hint}"


def _is_about(wanted: Wanted, verdict: dict[str, Any]) -> bool:
    """Whether a verdict is on what a test wants; one without a workload is on all of them."""
    return (
        verdict["problem"] == wanted.problem
        and verdict["variant"] in (wanted.variants or (verdict["variant"],))
        and verdict["workload"] in ("", *(wanted.workloads or (verdict["workload"],)))
    )


def _has(wanted: Wanted, case: str) -> bool:
    """Whether a case is of what a test wants, or a peer of its problem that is there to compare."""
    problem, _, _, workload = case.split("/")
    return problem == wanted.problem and workload in (wanted.workloads or (workload,))


def _settled(wanted: Wanted, verdicts: list[dict[str, Any]]) -> tuple[_State, str]:
    """Whether all verdicts pass, and the sentences of those that do not. Whatever is no pass does not pass."""
    unasked = _unasked(wanted, verdicts)
    if unasked:
        return "error", unasked
    missed = [verdict for verdict in verdicts if verdict["status"] == "fail"]
    open_ = [verdict for verdict in verdicts if verdict["status"] not in ("pass", "waived", "fail")]
    open_ = [verdict for verdict in open_ if not verdict.get("warning")]
    if not missed and not open_:
        return "pass", ""
    return "fail" if missed else "error", "\n".join(_sentence(verdict) for verdict in missed + open_)


_WHAT_IS_JUDGED = "only candidates are judged, on the workloads that the problem has judged by the stage"


def _unasked(wanted: Wanted, verdicts: list[dict[str, Any]]) -> str:
    """Names what a test wants judged and no verdict is about, in a sentence."""
    for variant in wanted.variants or ("",):
        for workload in wanted.workloads or ("",):
            mine = [v for v in verdicts if variant in ("", v["variant"]) and workload in ("", v["workload"])]
            if not mine and not any(v["workload"] == "" and variant in ("", v["variant"]) for v in verdicts):
                subject = f"{wanted.problem}/{variant}" if variant else wanted.problem
                on = f" on {workload}" if workload else ""
                stages = f" of {' and '.join(wanted.stages)}" if wanted.stages else ""
                return f"not measured: no target{stages} judges {subject}{on}; {_WHAT_IS_JUDGED}"
    return ""


def _sentence(verdict: dict[str, Any]) -> str:
    on = f" on {verdict['workload']}" if verdict["workload"] else ""
    status = "" if verdict["status"] == "fail" else f"{verdict['status'].replace('_', ' ')}: "
    return f"{status}{verdict['problem']}/{verdict['variant']}{on}: {verdict['sentence']}"


def _right(wanted: Wanted, check: CommandAnswer) -> tuple[_State, str]:
    """Whether what a test wants is right by ``stallgate check``; and the first case of each variant that is not."""
    found = [v for v in check.facts.get("variants", []) if v["role"] == "candidate" or v["variant"] in wanted.variants]
    if not found:
        return "error", f"not measured: `stallgate check` checks no candidate of {wanted.problem}"
    answers = {variant["answer"] for variant in found}
    if answers == {"right"}:
        return "pass", ""
    seed = check.facts.get("seed")
    again = (
        ""
        if seed is None
        else f"\nagain: stallgate check {' '.join(wanted.subjects)} --drawn {wanted.drawn} --seed {seed}"
    )
    sentences = [_fault(variant) for variant in found if variant["answer"] != "right"]
    return "fail" if "wrong" in answers else "error", "\n".join(sentences) + again


def _fault(variant: dict[str, Any]) -> str:
    case: dict[str, Any] = next((case for case in variant["cases"] if case["outcome"] != "right"), {})
    on = f" on {case['workload']}" if case else ""
    reason = case.get("reason") or str(case.get("outcome", "not checked")).replace("_", " ")
    return f"{variant['problem']}/{variant['variant']}{on}: {reason}"
