"""Is an answer acceptable? By its form, the stage's rules, its results, its time: each if the one before passed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, Protocol

from msgspec.structs import replace

from stallgate.agent.answer import read_answer
from stallgate.agent.check.adopt import Adopted, adopt, project_state
from stallgate.agent.check.better import WorkloadGain
from stallgate.agent.check.chosen import chosen_against, chosen_problem, chosen_stage, latest_run
from stallgate.agent.check.patterns import pattern_objections
from stallgate.agent.check.right import RightOptions, check_right
from stallgate.agent.check.stage_rules import MeasuredAnswer, StageRules, replaced_sources, stage_objections
from stallgate.agent.check.timing import AnswerTimer, TimingOptions
from stallgate.agent.form.form import objections_to_form
from stallgate.agent.form.triton_names import tl_names, torch_names
from stallgate.agent.limits.isolate import Isolation, Limits, default_limits, interpreter_places, isolation
from stallgate.agent.objection import AnswerPart, Objection
from stallgate.compare.rules import VersionReadings
from stallgate.errors import NotMeasured
from stallgate.measure.checked import CheckReport
from stallgate.measure.device import Device
from stallgate.model import FrozenStruct
from stallgate.project.load import Project
from stallgate.runs.drawn import Draw
from stallgate.runs.folder import new_folder

StepState = Literal["passed", "refused", "not_judged", "not_done"]
"""not_judged: it was tried, and cannot be said. not_done: it was not tried."""


class AnswerOptions(FrozenStruct, frozen=True, kw_only=True):
    """What an answer is held against, and how it is checked."""

    python: str
    """The interpreter that has torch and triton."""
    device: Device | None
    """The GPU; None for Triton's interpreter, in which nothing is timed."""
    problem: str | None = None
    """None: the project's only problem."""
    against: str | None = None
    """The variant that it is to replace; None: the problem's candidate."""
    stage: str | None = None
    """None: the problem's first stage that is not met yet."""
    readings: str | None = None
    """The run with readings of that variant, which the stage's rules ask for; None: the latest."""
    workloads: list[str] = []
    """Those that it is checked on; empty: those marked in problem.toml."""
    drawn: int = 4
    """Workloads that are drawn at random beside them."""
    seed: int | None = None
    """Of the draw; None: another one each time."""
    right_only: bool = False
    """Whether its time is not asked for."""
    rounds: int = 25
    """Rounds in which it is timed beside the version that it replaces."""
    samples: int = 5
    """Profiled calls of each."""
    arguments: list[str] = []
    """The command line, as the run keeps it."""
    timeout_s: float = 120.0
    """Seconds that a step of its process may take."""
    limits: Limits | None = None
    """What its processes may use; None: what is usual on this device."""
    namespaces: bool = True
    """Whether to keep it from network, processes and files by namespaces, where the system allows that."""


class AnswerStep(FrozenStruct, frozen=True):
    """A step of the check."""

    part: AnswerPart
    state: StepState
    why: str = ""
    """Why it was not done, or could not be judged."""
    seconds: float = 0.0


class AnswerReport(FrozenStruct, frozen=True, kw_only=True, tag_field="what", tag="answer"):
    """Whether an answer is accepted, and every reason why not."""

    accepted: bool
    problem: str
    against: str
    stage: str | None
    digest: str
    """SHA-256 of the answer's Python without comments and layout: the same for answers that do the same."""
    objections: list[Objection]
    notes: list[str]
    steps: list[AnswerStep]
    right: CheckReport | None = None
    """Its results, case by case; None where they were not looked at."""
    gains: list[WorkloadGain] = []
    """Empty where it was not timed."""
    stage_met: bool | None = None
    """Whether it meets the stage; None where it was not profiled."""
    run: str | None = None
    """The folder of the run that it was profiled in; None where it was not."""
    exit_status: int

    def step(self, part: AnswerPart) -> AnswerStep:
        """The step of a part."""
        return next(step for step in self.steps if step.part == part)


class AnswerWatcher(Protocol):
    """Receives progress."""

    def part(self, part: AnswerPart) -> None: ...
    def begun(self, cases: int) -> None: ...
    def waiting(self) -> None: ...
    def at_work(self, case: str, step: str) -> None: ...
    def finished(self, *_: object) -> None: ...


class _Nobody:
    """Watches, and shows nothing."""

    def part(self, part: AnswerPart) -> None: ...
    def begun(self, cases: int) -> None: ...
    def waiting(self) -> None: ...
    def at_work(self, case: str, step: str) -> None: ...
    def finished(self, *_: object) -> None: ...


def check_answer(
    project: Project, text: str | bytes, options: AnswerOptions, watcher: AnswerWatcher | None = None
) -> AnswerReport:
    """Checks an answer. The user's project is read, and runs are written under its ``reports/``; nothing else is.

    Args:
        project: what the answer is for.
        text: Python, or a text with one fenced block of it; bytes are UTF-8.
        options: what it is held against, and how.
        watcher: receives progress.

    Raises:
        UserFault: what it is to be held against is unknown or broken.
    """
    check = _Check(project, text, options, watcher or _Nobody())
    return check.report()


class _Check:
    """One check, from step to step."""

    def __init__(self, project: Project, text: str | bytes, options: AnswerOptions, watcher: AnswerWatcher) -> None:
        self._project = project
        self._answer = read_answer(text)
        self._options = options
        self._watcher = watcher
        self._problem = chosen_problem(project, options.problem)
        self._against, how = chosen_against(project, self._problem, options.against)
        self._latest = latest_run(project, self._problem, self._against, options.readings)
        self._stage, which = chosen_stage(project, self._problem, self._against, options.stage, self._latest)
        self._notes = [note for note in (how, which) if note]
        self._rules_found = StageRules()
        self._objections: list[Objection] = []
        self._steps: list[AnswerStep] = []
        self._right: CheckReport | None = None
        self._limits = options.limits or default_limits(on_gpu=options.device is not None)
        self._gains: list[WorkloadGain] = []
        self._stage_met: bool | None = None
        self._run: str | None = None
        self._adopted: Adopted | None = None
        self._isolation: Isolation | None = None

    def report(self) -> AnswerReport:
        """Does the steps, each only if the one before passed."""
        with ExitStack() as stack:
            works: list[tuple[AnswerPart, Callable[[], None]]] = [
                ("form", self._form),
                ("stage", self._rules),
                ("right", lambda: self._is_right(stack)),
                ("better", self._is_better),
            ]
            for part, work in works:
                self._steps.append(self._done(part, work))
        asked = self._steps[: 3 if self._options.right_only else 4]
        accepted = all(step.state == "passed" for step in asked)
        return AnswerReport(
            accepted=accepted,
            problem=self._problem,
            against=self._against,
            stage=self._stage,
            digest=self._answer.digest,
            objections=self._objections,
            notes=list(dict.fromkeys([*self._notes, *self._rules_found.notes])),
            steps=self._steps,
            right=self._right,
            gains=self._gains,
            stage_met=self._stage_met,
            run=self._run,
            exit_status=0 if accepted else 1 if self._objections else 3,
        )

    def _done(self, part: AnswerPart, work: Callable[[], None]) -> AnswerStep:
        """A step, done unless one before it has not passed."""
        if part == "better" and self._options.right_only:
            return AnswerStep(part, "not_done", "it was not asked for")
        stopped = next((step.part for step in self._steps if step.state != "passed"), None)
        if stopped is not None:
            return AnswerStep(part, "not_done", f"it comes after {stopped}, which did not pass")
        self._watcher.part(part)
        begin, before = time.monotonic(), len(self._objections)
        state: StepState = "passed"
        why = ""
        try:
            work()
        except NotMeasured as error:
            state, why = "not_judged", error.message
        if len(self._objections) > before:
            state, why = "refused", ""
        return AnswerStep(part, state, why, round(time.monotonic() - begin, 3))

    # --- the steps ----------------------------------------------------------------------------------------------------

    def _form(self) -> None:
        """Its text, without running it."""
        if self._answer.objections:  # without a tree nothing else can be looked at
            self._objections += self._answer.objections
            return
        python = self._options.python
        self._objections += objections_to_form(self._answer, tl_names(python), partial(torch_names, python))
        patterns = pattern_objections(self._answer)
        self._objections += patterns.objections
        self._notes += [patterns.note] if patterns.note else []

    def _rules(self) -> None:
        """The rules of the stage, against the version that is replaced."""
        if self._stage is not None:
            self._hold_to_rules(self._latest.readings)

    def _hold_to_rules(self, readings: VersionReadings, measured: MeasuredAnswer | None = None) -> None:
        assert self._stage is not None
        replaced = replaced_sources(self._project, self._problem, self._against)
        stages = [self._stage]
        found = stage_objections(self._project, self._problem, self._answer, replaced, readings, stages, measured)
        self._rules_found = found
        self._objections += found.objections

    def _is_right(self, stack: ExitStack) -> None:
        """Its results.

        Raises:
            NotMeasured: they cannot be judged here.
        """
        options = self._options
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="stallgate-answer-", ignore_cleanup_errors=True)))
        self._adopted = adopt(self._project, self._problem, self._against, self._answer.source, folder)
        needed = [folder, *interpreter_places(options.python)]
        self._isolation = stack.enter_context(isolation(self._limits, needed, namespaces=options.namespaces))
        before = project_state(self._project.root)
        asked = RightOptions(
            python=options.python,
            timeout_s=options.timeout_s,
            device=options.device,
            draw=self._draw(),
            workloads=options.workloads,
        )
        found = check_right(self._adopted, asked, self._isolation, self._limits, self._watcher)
        self._right = found.report
        self._notes += [*found.notes, *self._isolation.notes]
        self._objections += [self._placed(each) for each in found.objections]
        self._refuse_changes(before)
        if found.unjudged and not self._objections:
            raise NotMeasured(found.unjudged)

    def _is_better(self) -> None:
        """Its time and its counters.

        Raises:
            NotMeasured: they cannot be judged here.
        """
        options = self._options
        if options.device is None:
            raise NotMeasured("there is no CUDA device: its results were checked, its time was not taken")
        assert self._adopted is not None
        assert self._isolation is not None
        folder = new_folder(self._project.reports, f"{self._problem}-answer-{self._answer.digest[:8]}")
        self._run = str(folder)
        asked = TimingOptions(
            python=options.python,
            device=options.device,
            stage=self._stage,
            workloads=options.workloads,
            rounds=options.rounds,
            samples=options.samples,
            timeout_s=options.timeout_s,
            arguments=options.arguments,
        )
        timer = AnswerTimer(self._adopted, asked, self._isolation, self._limits, folder, self._watcher)
        found = timer.measure()
        self._gains, self._stage_met = found.better.gains, found.stage_met
        self._notes += found.notes
        self._objections += found.better.objections
        if found.readings is not None and self._rules_found.untold:
            before, after = found.readings
            self._hold_to_rules(before, MeasuredAnswer(after, self._rules_found.untold))

    # --- what they share ----------------------------------------------------------------------------------------------

    def _draw(self) -> Draw | None:
        options = self._options
        if not options.drawn:
            return None
        seed = random.randrange(10**6) if options.seed is None else options.seed
        return Draw(seed=seed, numbers=list(range(options.drawn)))

    def _placed(self, objection: Objection) -> Objection:
        """An objection whose line is that of the text, of which the answer may be a part."""
        return (
            objection
            if objection.line is None
            else replace(objection, line=objection.line + self._answer.first_line - 1)
        )

    def _refuse_changes(self, before: dict[str, tuple[int, int, int]]) -> None:
        """Objects to changes of the user's project, where its process could make them."""
        if self._isolation is None or all("files" in each.protected for each in self._isolation.processes):
            return
        now = project_state(self._project.root)
        changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        if changed:
            text = f"files of the project changed while it ran: {', '.join(changed[:3])}"
            self._objections.append(Objection(part="right", code="changed_files", text=text))
