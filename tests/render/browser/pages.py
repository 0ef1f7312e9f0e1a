"""Pages of every kind of run, made by the code that makes them for users.

Each maker takes a tree (a copy of the project) and gives a drawn run. What no recording shows is synthesised from the
recording's launches at the one place where ncu reports come in; everything after it is the real thing.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from stallgate.agent.loop.answerer import Answered
from stallgate.agent.loop.measure import version_reading
from stallgate.extract.evidence import Evidence, ProfiledCall, gather
from stallgate.extract.imported import import_reports
from stallgate.judge.evaluate import JudgedRun, evaluate, write_results
from stallgate.model import Attempt, Case, CaseResult, Catalogue, Launch, RawMetric, Run, WorstElement
from stallgate.project.digests import subject_digests
from stallgate.project.load import Project, load_project
from stallgate.render.loop_page import draw_loop
from stallgate.render.page import draw
from stallgate.render.sweep import draw_sweep
from stallgate.runs.folder import create_folder, load, save
from stallgate.runs.journal import LoopTime, VersionReading, load_journal, save_journal
from stallgate.runs.recording import find_recordings, replay
from stallgate.runs.sweep import CounterReading, save_sweep
from tests.agent.loop.scripted import START_CODE, ScriptedAnswerer, begin, code, looped
from tests.compare.earlier import earlier
from tests.conftest import ROOT, command_line, small_tree, with_fakes, without_waivers
from tests.render.made_up_sweep import made_up_sweep
from tests.small_recording import SMALL


class Drawn(NamedTuple):
    """A run with its page."""

    page: Path
    result: JudgedRun
    seconds: float
    """What reading its numbers, judging and drawing took this process; what else the machine does is not in it."""


Maker = Callable[[Path], Drawn]

Make = Callable[[str], Drawn]
"""Makes a page by its maker's name."""


def drawn(
    project: Project,
    folder: Path,
    evidence: Evidence | None = None,
    run: Run | None = None,
    *,
    base: dict[str, float] | None = None,
    with_files: bool = False,
) -> Drawn:
    """Evaluates and draws a run as the command line does.

    Args:
        project: the tree.
        folder: the run's.
        evidence: stands for its ncu reports.
        run: stands for its run.json, which is refused if it is hostile.
        base: metric -> the candidate's numbers over this run's, of an earlier run that it is held against.
        with_files: also what no browser looks at, the pixels of the PNGs.
    """
    with pytest.MonkeyPatch.context() as patch:
        if not with_files:
            patch.setattr("stallgate.render.sheet.sheet_png", lambda _: b"")
        if run is not None:
            patch.setattr("stallgate.extract.read_run.load", lambda _: run)
        if evidence is not None:
            patch.setattr("stallgate.extract.read_run.gather", lambda *_: evidence)
        started = time.process_time()
        result = evaluate(project, folder, [])
        if base is not None:
            write_results(result)
            earlier(folder, 20, base)
        page = draw(project, result)[0]
        seconds = time.process_time() - started
        write_results(result)
    return Drawn(page, result, seconds)


class Replayed(NamedTuple):
    """The recording as a run, to be drawn as it is or to be changed before."""

    project: Project
    folder: Path
    run: Run

    def evidence(self) -> Evidence:
        return gather(self.folder, self.run, self.project.catalogue)


def replayed(tree: Path, problem: str = "cumprod") -> Replayed:
    """Every case of the tree's recording of a problem."""
    project = load_project(tree)
    cases = [found.case for found in load(next((tree / "reports" / "recorded").glob(f"*/{problem}"))).cases]
    folder = create_folder(project.reports, problem)
    run = replay(project, find_recordings(project, cases), cases, folder, ["profile"])
    return Replayed(project, folder, run)


# --- what the recording shows -----------------------------------------------------------------------------------------


def recorded(tree: Path) -> Drawn:
    """Everything that a page has, on two workloads; it is held against a run that was faster and waited more."""
    start = replayed(tree)
    save(start.folder, replace(start.run, cases=[_with_facts(result, n) for n, result in enumerate(start.run.cases)]))
    return drawn(
        start.project,
        start.folder,
        base={"duration": 0.9, "memory_dependency_stall": 1.3, "stall_long_scoreboard": 1.3},
    )


def _with_facts(result: CaseResult, number: int) -> CaseResult:
    """A case that also says how right it is, what an autotuner chose for it, and which package it loaded.

    The first has two outputs.
    """
    rule = "rtol 0.0016, atol 1.2e-05"
    worst = [
        WorstElement(output=output, used=0.0371 * (number + 1) / (output + 1), rule=rule)
        for output in range(1 if number else 2)
    ]
    kernels = [replace(kernel, configuration={"BLOCK": 256 << number}) for kernel in result.kernels]
    return replace(result, worst=worst, kernels=kernels, packages={"liger-kernel": "0.6.2"})


def imported(tree: Path) -> Drawn:
    """The recording's own report, as if it came from elsewhere."""
    return _imported(tree, "samples")


def imported_in_full(tree: Path) -> Drawn:
    """A report of the whole section set with sources."""
    return _imported(tree, "detail")


def _imported(tree: Path, kind: str) -> Drawn:
    project = load_project(tree)
    recording = next((tree / "reports" / "recorded").glob("*/cumprod"))
    reports = [attempt.report for attempt in load(recording).attempts if attempt.kind == kind and attempt.report]
    if not reports:
        pytest.skip(f"the recording has no ncu report of kind {kind}")
    return drawn(project, import_reports([recording / name for name in reports], project.reports, ["import"]))


def matmul(tree: Path) -> Drawn:
    """A problem that arithmetic bounds, held against a library."""
    start = replayed(tree, "matmul")
    return drawn(start.project, start.folder)


def rmsnorm(tree: Path) -> Drawn:
    """A problem that bytes bound, on two workloads."""
    start = replayed(tree, "rmsnorm")
    return drawn(start.project, start.folder)


def failing(tree: Path) -> Drawn:
    """The recording by a stage that asks for more than it has, and without waivers: two of three targets are missed."""
    without_waivers(tree)
    stage = tree / "metrics" / "stages" / "memory_access.toml"
    text = stage.read_text().replace("at_least = 0.97", "at_least = 0.998", 1).replace("below = 20", "below = 8", 1)
    stage.write_text(text)
    start = replayed(tree)
    return drawn(start.project, start.folder)


def swept(tree: Path) -> Drawn:
    """A made-up sweep with the counters that a real one collects, in the folder of a run."""
    start = replayed(tree)
    made = replace(made_up_sweep(137, seed=3), problem="cumprod", variant="blocked_scan", name=start.folder.name)
    rng = Random(3)
    trials = [replace(t, counters={**t.counters, **_counters(rng)}) if t.counters else t for t in made.trials]
    save_sweep(start.folder, replace(made, trials=trials))
    run = drawn(start.project, start.folder)
    return run._replace(page=draw_sweep(start.project, start.folder)[0])


def climbed(tree: Path) -> Drawn:
    """A loop of two stages, judged by a script: every kind of answer, repairs, and diffs of a real kernel."""
    start = replayed(tree)
    folder = tree / "reports" / "20260101-000000-loop-cumprod"
    kernel = (tree / "kernels" / "cumprod" / "blocked_scan.py").read_text().replace("'", '"')
    stages = ["memory_access", "a_stage_with_a_name_of_forty_characters_"]
    journal = begin(folder, stages=stages, seed=5, start=f"{START_CODE}{kernel}", rounds=5, width=2)
    journal = replace(journal, problem="cumprod", variant="blocked_scan", command=["answerer", "--model", "m" * 60])
    save_journal(folder, journal)
    looped(folder, journal, ScriptedAnswerer(lambda number, place, attempt, _: _answer(kernel, number, place, attempt)))
    run = drawn(start.project, start.folder)
    _say_what_was_measured(start.project, folder, run.result)
    return run._replace(page=draw_loop(start.project, folder))


def _say_what_was_measured(project: Project, folder: Path, result: JudgedRun) -> None:
    """Puts a run in the place of that of the best version, and its times in those of the script."""
    journal = load_journal(folder)
    best = journal.best.reading
    assert best is not None
    shutil.copytree(result.folder, folder / best.run)
    asked = replace(journal, stages=result.judgement.stages)
    real = version_reading(project, result, asked, best.run).reading
    assert real is not None
    fastest = best.times["w"].median
    versions = [
        replace(version, reading=_slower(real, reading, reading.times["w"].median / fastest))
        for version in journal.versions
        if (reading := version.reading) is not None
    ]
    save_journal(folder, replace(journal, versions=versions))


def _slower(real: VersionReading, scripted: VersionReading, factor: float) -> VersionReading:
    """A measured version as another, that many times slower, which meets what the script says."""
    times = {
        load: LoopTime(factor * time.median, factor * time.low, factor * time.high) for load, time in real.times.items()
    }
    fractions = {load: fraction / factor for load, fraction in real.roof_fractions.items()}
    return replace(real, run=scripted.run, times=times, roof_fractions=fractions, met=scripted.met)


def _answer(kernel: str, number: int, place: int, attempt: int) -> str | Answered:
    """The answers of the loop, by their place in it: refused, repaired, slower, repeated, none, and better ones."""
    changed = kernel.replace("num_warps", f"num_warps_{number}").replace("BLOCK", f"BLOCK_{place}")
    met = ("memory_access",) if number > 2 else ()
    answers: dict[tuple[int, int, int], str | Answered] = {
        (1, 1, 1): code(80, "SHAPELESS", changed),
        (1, 1, 2): code(70, changed),
        (1, 2, 1): code(99, "WRONG", changed),
        (1, 2, 2): Answered("failed", b"", "the model's program is not installed", 127, 0.4),
        (2, 1, 1): code(130, changed),
        (2, 2, 1): "```python\na = 1\n```\nor\n```python\nb = 2\n```\n",
        (3, 1, 1): code(40, changed, meets=met),
    }
    return answers.get((number, place, attempt), code(70, kernel, meets=met))


def _counters(rng: Random) -> dict[str, CounterReading]:
    """What a profiled trial has beside the metrics of its stage."""
    read, waits = rng.uniform(4e9, 5e9), rng.uniform(20, 30)
    found = {"dram_bytes_read": read, "dram_bytes_written": 4.1e9, "traffic": (read + 4.1e9) / 8.59e9}
    found |= {"l1_hit_rate": 12.0, "stall_short_scoreboard": waits, "stall_wait": 9.0, "stall_selected": 40.0}
    return {name: CounterReading(median=value, least=value, most=value, samples=3) for name, value in found.items()}


def imported_launches(tree: Path) -> Drawn:
    """137 launches of one kernel in as many configurations, from a report made elsewhere."""
    project = load_project(tree)
    report = ROOT / "tests" / "extract" / "reports" / "configurations.ncu-repz"
    return drawn(project, import_reports([report], project.reports, ["import"]))


# --- what goes wrong --------------------------------------------------------------------------------------------------


def wrong_result(tree: Path) -> Drawn:
    return _failed(tree, "wrong_result")


def crashed(tree: Path) -> Drawn:
    return _failed(tree, "killed")


def _failed(tree: Path, mode: str) -> Drawn:
    """A live run of one workload, on fakes, in which the candidate fails."""
    recording = next((tree / "reports" / "recorded").glob("*/cumprod"))
    run = with_fakes(command_line(tree), recording, tree / "bin")
    done = run("profile", "-w", "square", FAKE_NCU=mode, FAKE_NCU_CASE="cumprod/blocked_scan/default/square")
    assert done.returncode in (1, 3), done.stderr
    if mode == "wrong_result":
        _say_how_wrong((tree / "reports" / "latest").resolve())
    return drawn(load_project(tree), (tree / "reports" / "latest").resolve())


def _say_how_wrong(folder: Path) -> None:
    """Tells of a wrong case what the referee tells: the first wrong element, and the largest error by its tolerance."""
    run = load(folder)
    reason = "3 of 1073741824 elements are wrong; the first: [17, 4096] is 1.25, expected 1"
    worst = [WorstElement(output=0, used=152.6, rule="rtol 0.0016, atol 1.2e-05")]
    cases = [replace(c, reason=reason, worst=worst) if c.outcome == "wrong_result" else c for c in run.cases]
    save(folder, replace(run, cases=cases))


GAPS = {
    "duration": ("gpu__time_duration.sum", None),
    "dram_throughput": ("dram__throughput.avg.pct_of_peak_sustained_elapsed", RawMetric(True, 1e9, "%")),
    "l2_hit_rate": ("lts__t_sector_hit_rate.pct", RawMetric(True, math.nan, "%")),
    "achieved_occupancy": ("sm__warps_active.avg.pct_of_peak_sustained_active", RawMetric(False, None, "%")),
}
"""Metric -> its ncu name and what the report says in place of the number; None: nothing."""

UNREADABLE = "torch_cumprod"


def with_gaps(tree: Path) -> Drawn:
    """Every state of a reading but the good one, and a variant whose launches cannot be relied on."""
    start = replayed(tree)
    whole = start.evidence()
    calls = [_with_gaps(call) for call in whole.calls if call.case.variant != UNREADABLE]
    faults = {r.case.name: "the ncu report has 3 of its 5 samples" for r in start.run.cases if _unreadable(r)}
    return drawn(start.project, start.folder, replace(whole, calls=calls, faults=faults))


def _unreadable(result: CaseResult) -> bool:
    return result.case.variant == UNREADABLE


def _with_gaps(call: ProfiledCall) -> ProfiledCall:
    return call if call.case.variant != "blocked_scan" else replace(call, launches=list(map(_gappy, call.launches)))


def _gappy(launch: Launch) -> Launch:
    altered = {**launch.metrics, **{name: raw for name, raw in GAPS.values() if raw is not None}}
    gone = {name.partition(".")[0] for name, raw in GAPS.values() if raw is None}  # other rollups stand in for one
    return replace(launch, metrics={name: raw for name, raw in altered.items() if name.partition(".")[0] not in gone})


# --- many launches ----------------------------------------------------------------------------------------------------


def configurations(number: int) -> list[str]:
    """Names as an autotune space has them, the default first."""
    space = [
        f"b{b}_w{w}_s{s}" for b in (256, 512, 1024, 2048, 4096, 8192, 16384) for w in (1, 2, 4, 8) for s in range(6)
    ]
    return ["default", *space[: number - 1]]


def many_configurations(tree: Path) -> Drawn:
    """137 launches of one variant in 137 configurations, and the roof."""
    start = replayed(tree)
    roof, candidate = (_case_of(start.run, variant, "square") for variant in ("copy_roof", "blocked_scan"))
    return _multiplied(start, [roof], [(candidate, [_in(candidate, c) for c in configurations(137)])])


def two_thousand(tree: Path) -> Drawn:
    """20 variants on 4 workloads in 25 configurations, a launch each."""
    variants = [f"scan_{number:02}" for number in range(19)]
    _add_variants(tree, variants)
    start = replayed(tree)
    roof, candidate = (_case_of(start.run, variant, "square") for variant in ("copy_roof", "blocked_scan"))
    cases = [
        (
            source,
            [
                Case("cumprod", variant, configuration, workload)
                for workload in ("square", "page", "flat", "long")
                for variant in names
                for configuration in configurations(25)
            ],
        )
        for source, names in ((roof, ["copy_roof"]), (candidate, variants))
    ]
    return _multiplied(start, [], cases)


def _add_variants(tree: Path, names: Iterable[str]) -> None:
    folder = tree / "kernels" / "cumprod"
    for name in names:
        (folder / f"{name}.py").write_text((folder / "blocked_scan.py").read_text())
    with (folder / "problem.toml").open("a") as file:
        file.writelines(f'\n[variants.{name}]\nrole = "candidate"\n' for name in names)


def _multiplied(start: Replayed, kept: list[CaseResult], copies: list[tuple[CaseResult, list[Case]]]) -> Drawn:
    """A run of some recorded cases as they are, and of others as cases that are a little different each."""
    random = Random(6)
    whole = start.evidence()
    models = {call.case: call for call in whole.calls if call.sample == "0"}
    calls = [call for call in whole.calls if call.case in [result.case for result in kept]]
    calls += [_like(models[r.case], case, random) for r, cases in copies for case in cases]
    results = kept + [replace(result, case=case) for result, cases in copies for case in cases]
    save(start.folder, _run_of(start, results))
    return drawn(start.project, start.folder, replace(whole, calls=calls), with_files=True)


def _run_of(start: Replayed, results: list[CaseResult]) -> Run:
    """The recorded run with other cases, of the code that the tree holds."""
    problem = start.project.problems["cumprod"]
    subject = replace(start.run.subjects["cumprod"], workloads=problem.workloads, digests=subject_digests(problem))
    return replace(start.run, cases=results, subjects={"cumprod": subject})


def _like(call: ProfiledCall, case: Case, random: Random) -> ProfiledCall:
    launches = [replace(launch, metrics=_jittered(launch, random)) for launch in call.launches]
    return ProfiledCall(case=case, sample="0", launches=launches)


def _jittered(launch: Launch, random: Random) -> dict[str, RawMetric]:
    """Percentages and counts shrink, so that they stay plausible; the duration grows."""
    return {
        name: replace(raw, value=raw.value * (1 + random.random() if "duration" in name else 1 - random.random() / 3))
        if isinstance(raw.value, float)
        else raw
        for name, raw in launch.metrics.items()
    }


def _case_of(run: Run, variant: str, workload: str) -> CaseResult:
    return next(r for r in run.cases if (r.case.variant, r.case.workload) == (variant, workload))


def _in(result: CaseResult, configuration: str) -> Case:
    return replace(result.case, configuration=configuration)


# --- hostile text -----------------------------------------------------------------------------------------------------

HOSTILE = (
    '<script>window.hacked=1</script><img src=x onerror=window.hacked=2>" onmouseover="window.hacked=3" x="\' '
    "onfocus='window.hacked=4' </style></svg></script>--> {{ 7 * 7 }} {% raw %} $\\frac{x$ %s \\ & &amp; 🔥👩‍🚀 "
)
"""Everything that HTML, JavaScript, Jinja, matplotlib's formulas and format strings take for their own."""


def hostile_text(what: str, length: int = 10_000) -> str:
    """Text that begins with what it is in place of, and is evil for as long as wanted."""
    return f"{what} {HOSTILE * (length // len(HOSTILE) + 1)}"[:length]


def hostile(tree: Path) -> Drawn:
    """Kernel and variant names, reasons, errors and the catalogue's words, all hostile and long."""
    start = replayed(tree)
    whole = start.evidence()
    run = replace(start.run, cases=list(map(_hostile_case, start.run.cases)), attempts=_hostile_attempts(start.run))
    calls = [
        replace(call, case=_renamed(call.case), launches=list(map(_renamed_kernel, call.launches)))
        for call in whole.calls
    ]
    project = replace(start.project, catalogue=_hostile_catalogue(start.project))
    return drawn(project, start.folder, replace(whole, calls=calls), run)


def _renamed(case: Case) -> Case:
    return case if case.variant != "two_pass_scan" else replace(case, variant=hostile_text("variant"))


def _renamed_kernel(launch: Launch) -> Launch:
    return replace(launch, kernel=hostile_text(f"kernel {launch.kernel}"))


def _hostile_case(result: CaseResult) -> CaseResult:
    """One variant has an evil name, the candidate fails with evil words."""
    failed = result.case.variant == "blocked_scan"
    fate = {"outcome": "crashed", "reason": hostile_text("reason")} if failed else {}
    return replace(result, case=_renamed(result.case), **fate)


def _hostile_attempts(run: Run) -> list[Attempt]:
    return [
        replace(a, errors=[hostile_text("error")], command=[*a.command, hostile_text("argument")]) for a in run.attempts
    ]


def _hostile_catalogue(project: Project) -> Catalogue:
    metrics = {
        name: replace(metric, title=hostile_text("title", 200), about=hostile_text("about"))
        for name, metric in project.catalogue.metrics.items()
    }
    return replace(project.catalogue, metrics=metrics)


LOOKED_AT = (
    recorded,
    imported,
    imported_in_full,
    wrong_result,
    crashed,
    with_gaps,
    many_configurations,
    hostile,
    swept,
    climbed,
)
"""Pages that are opened in the browser."""

MAKERS: dict[str, Maker] = {
    maker.__name__: maker for maker in (*LOOKED_AT, matmul, rmsnorm, failing, imported_launches, two_thousand)
}

SEVERAL_KERNELS = (*SMALL, "two_pass_scan")
"""A call of two_pass_scan is three kernels."""

HELD: dict[str, dict[str, Any]] = {
    "recorded": {"variants": SEVERAL_KERNELS, "workloads": ("square", "page"), "detail": True},
    "imported": {"variants": SEVERAL_KERNELS},
    "imported_in_full": {"variants": SEVERAL_KERNELS, "detail": True},
    "with_gaps": {"variants": (*SMALL, UNREADABLE)},
    "hostile": {"variants": SEVERAL_KERNELS, "detail": True},
    "matmul": {"problem": "matmul", "variants": ("cublas", "tiled"), "workloads": ("bf16",), "detail": True},
    "rmsnorm": {"problem": "rmsnorm", "variants": ("copy", "fused"), "workloads": ("bf16", "fp32"), "detail": True},
}
"""Page -> what the recording has that it shows, where it is more than two cases."""


def made(name: str, folder: Path) -> Drawn:
    """A page by the name of its maker, in a tree of its own."""
    return MAKERS[name](small_tree(folder / "project", **HELD.get(name, {})))
