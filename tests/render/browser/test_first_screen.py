"""Ten questions, each answered by a text on the visible first screen, in a real browser.

What is looked for is taken from the run's own numbers and verdicts, never from the sentences of the page.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from stallgate.compare.history import stored_runs
from stallgate.judge.evaluate import JudgedRun
from stallgate.judge.roof import Roof
from stallgate.judge.suggestion import Standing, SweepResult, sweep_result
from stallgate.model import CaseResult, Verdict
from stallgate.project.load import load_project
from stallgate.runs.conditions import environment_of, origin_of
from stallgate.runs.folder import SWEEP_FILE, load
from stallgate.runs.journal import load_journal
from stallgate.runs.store import Store
from stallgate.runs.sweep import Sweep, load_sweep
from tests.conftest import ROOT
from tests.render.browser.pages import Drawn, Make

CATALOGUE = tomllib.loads((ROOT / "metrics" / "catalogue.toml").read_text())

DESK, PHONE = (1280, 720), (390, 844)

VISIBLE = """() => {
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const range = document.createRange();
    range.selectNodeContents(walk.currentNode);
    const box = range.getBoundingClientRect();
    if (box.height && box.bottom <= innerHeight && box.right <= innerWidth) found.push(walk.currentNode.data.trim());
  }
  return found.filter(Boolean).join(' ');
}"""
"""The texts that lie whole within the window."""

Answers = dict[str, list[str]]
"""Question -> patterns, all of which the screen has to have."""


def visible(browser: Browser, page: Path, size: tuple[int, int]) -> str:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    try:
        opened = context.new_page()
        opened.goto(page.as_uri())
        seen = " ".join(opened.evaluate(VISIBLE).split())
        return re.sub(r"_ (?=\w)", "_", seen)  # a name may break behind an underscore
    finally:
        context.close()


def near(value: float, unit: str = "") -> str:
    """A number as a page may round it: to two, three or four digits, in any multiple of its unit."""
    texts = {
        f"{value / by:{form}}".rstrip(".")
        for by in (1, 1e3, 1e6, 1e9)
        for form in (".2g", "#.3g", ".3g", "#.4g", ".4g")
    }
    numbers = "|".join(sorted(map(re.escape, texts), key=len, reverse=True))
    return rf"(?<![\d.])({numbers})(?!\.?\d)\s?{unit}"


# --- a run ------------------------------------------------------------------------------------------------------------


def worst_case(result: JudgedRun) -> CaseResult:
    """The judged case that misses a target by most; else the one farthest from its roof."""
    judged = {(v.variant, v.configuration, v.workload): v for v in result.judgement.verdicts if v.variant}
    cases = [c for c in result.run.cases if (c.case.variant, c.case.configuration, c.case.workload) in judged]

    def order(case: CaseResult) -> tuple[float, float]:
        missed = [
            abs(v.value - v.bound) / v.bound
            for v in of_case(result, case)
            if v.status == "fail" and v.bound and v.value
        ]
        return -max(missed, default=0.0), median(result, case, "roof_fraction") or 1.0

    return min(cases, key=order)


def of_case(result: JudgedRun, case: CaseResult) -> list[Verdict]:
    key = (case.case.problem, case.case.variant, case.case.configuration, case.case.workload)
    return [v for v in result.judgement.verdicts if (v.problem, v.variant, v.configuration, v.workload) == key]


def median(result: JudgedRun, case: CaseResult, metric: str) -> float | None:
    found = result.summaries.get((case.case, metric))
    return found.median if found is not None else None


def rightness(result: JudgedRun) -> list[str]:
    """How many results are right; of a wrong one where, how large the error is, and what is tolerated."""
    mine = [case for case in result.run.cases if case.role == "candidate"]
    noun = r"cases?\b" if len(mine) > 1 else r"case\b"
    wrong = [case for case in mine if case.outcome == "wrong_result"]
    if not wrong:
        return [f"right: {len(mine)} of {len(mine)} {noun}"]
    told = [f"wrong: {len(wrong)} of {len(mine)} {noun}", re.escape(wrong[0].reason)]
    return told + [rf"{near(worst.used)} times its tolerance \({worst.rule}\)" for worst in wrong[0].worst]


def of_stage(name: str) -> str:
    """A stage by its title, with its name."""
    title = tomllib.loads((ROOT / "metrics" / "stages" / f"{name}.toml").read_text())["title"]
    return re.escape(f"{title} ({name})" if title.lower() != name else title)


MERGE = {0: r"(?<!not to )may be merged", 1: "not to be merged", 3: "not to be merged yet", None: "not judged"}


def covered(result: JudgedRun) -> str:
    """How many targets of a run that may be merged are not met, but waived or excused."""
    counted = [verdict.status for verdict in result.judgement.verdicts if not verdict.warning]
    told = [f"{n} {status}" for status in ("waived", "excused") if (n := counted.count(status))]
    return f", {' and '.join(told)}" if told and result.judgement.exit_status == 0 else ""


def distances(verdicts: list[Verdict]) -> list[str]:
    """Each target's metric, and how far it is from its bound: points of shares, else per cent of the bound."""
    found = []
    for verdict in verdicts:
        if verdict.value is None or verdict.bound is None or verdict.metric is None:
            continue
        far = abs(verdict.value - verdict.bound)
        points = far * 100 if verdict.metric == "roof_fraction" else far
        share = verdict.unit == "%" or verdict.metric == "roof_fraction"
        told = rf"{roughly(points)} points?" if share else rf"{roughly(100 * far / verdict.bound)} %"
        found.append(f"{title_of(verdict.metric)}.*?{told}")
    return found


def title_of(metric: str) -> str:
    """The name of a metric for readers; its short name, which phones have no room for, stands beside it."""
    title = CATALOGUE["metrics"][metric]["title"]
    assert isinstance(title, str)
    return re.escape(title)


def roughly(value: float) -> str:
    """A difference, which has fewer digits than what it is of."""
    return f"({near(value)}|{re.escape(f'{value:.1f}')}|{re.escape(f'{value:.2g}')})"


def waits(result: JudgedRun, case: CaseResult) -> str:
    """The state in which the warps of a case were most of the time, of those that are waits."""
    return waiting(lambda metric: median(result, case, metric))


def waiting(read: Callable[[str], float | None]) -> str:
    """The same from readings. The waits for memory have two names: a run has one of them at least."""
    names = {each["state"]: name for name, each in CATALOGUE["metrics"].items() if "state" in each}
    states = {state: read(name) for state, name in names.items() if state not in ("selected", "not_selected")}
    if states["long_scoreboard"] is None:
        states["long_scoreboard"] = read("memory_dependency_stall")
    known = {state: value for state, value in states.items() if value is not None}
    most = max(known, key=lambda state: known[state])
    return rf"wait {near(known[most], '%')} of the time for [^,(]*\({most}\)"


UNITS = {"dram_throughput": "DRAM", "l2_throughput": "L2", "l1_throughput": "L1", "sm_throughput": "SM"}
UNITS |= {"tensor_pipe_utilization": "tensor pipe"}


def utilisation(result: JudgedRun, case: CaseResult) -> list[str]:
    """How busy each unit is."""
    busy = busy_units(result, case)
    return [rf"Limit: .*\b{name} {near(value, '%')}" for name, value in busy.items() if value >= 1]


def busy_units(result: JudgedRun, case: CaseResult) -> dict[str, float]:
    """Unit -> per cent of its peak, by the samples, or else by the launch with every section."""
    detail = {
        row.metric: row.value
        for row in result.rows
        if row.case == case.case and row.sample == "detail" and row.launch is None and row.state == "measured"
    }
    return {name: median(result, case, metric) or detail.get(metric, 0.0) for metric, name in UNITS.items()}


def where(result: JudgedRun) -> list[str]:
    problem = result.run.cases[0].case.problem
    environment, made = environment_of(result.run, problem), origin_of(result.run, problem)
    assert environment is not None
    commit = made.commit[:12] if made.commit else "unknown commit"
    return [re.escape(environment.gpu), re.escape(made.created), commit]


def changed(result: JudgedRun, case: CaseResult) -> str:
    """How much the time changed since the newest earlier run of these reports, or that there is none."""
    before = [r for r in stored_runs(Store(result.folder.parent), ["duration"]) if r.folder != result.folder]
    then = [s.median for r in before for of, s in r.summaries.get("duration", {}).items() if of == case.case]
    now = median(result, case, "duration")
    if not then or then[0] is None or now is None:
        return "nothing to compare with"
    share = 100 * (now / then[0] - 1)
    same = load(before[0].folder).subjects[case.case.problem].digests == result.run.subjects[case.case.problem].digests
    word = "slower" if share > 0 else "faster"
    passes = word == "slower" and result.judgement.exit_status == 0
    statuses = {verdict.status for verdict in result.judgement.verdicts if not verdict.warning}
    allowed = next((f"what is missed is {each}" for each in ("waived", "excused") if each in statuses), ALLOWED)
    told = f"{near(abs(share), '%')} {word}.*{'though its code is the same' if same else ''}"
    return f"{told}; {allowed} .* {near(abs(share), '%')} slower than last time; {allowed}" if passes else told


ALLOWED = "no target forbids it"


def next_step(result: JudgedRun, case: CaseResult) -> str:
    """A command where one helps; else that nothing is left, or the first advice."""
    if case.outcome == "wrong_result":
        return f"stallgate check {case.case.problem}/{case.case.variant}"
    fraction = median(result, case, "roof_fraction") or 0.0
    if result.judgement.exit_status == 0 and "slower" in changed(result, case):
        return (
            r"(measure again, because the code is the same|look at what changed, or take it back);.* stallgate compare"
        )
    if fraction > 0.97:
        return (
            "stop"
            if result.judgement.exit_status == 0
            else f"{near(100 * (1 - fraction), '%')} left. If that is enough"
        )
    advised = [row for row in json.loads((result.folder / "advice.json").read_text()) if row["case"] == case.case.name]
    going = [row["title"] for row in advised if not row["stops"]]
    return f"(?i:{'|'.join(map(re.escape, going))}|largest distance to a target)"


def headline(result: JudgedRun) -> list[str]:
    """Where targets are missed: how many of how many, and the worst by how much, at the very top."""
    counted = [v for v in result.judgement.verdicts if v.metric is not None and not v.warning]
    missed = [v for v in counted if v.status == "fail" and v.value is not None and v.bound]
    if not missed:
        return [rf"^Pass{covered(result)}\b"]
    worst = max(missed, key=lambda v: abs((v.value or 0) - (v.bound or 0)) / (v.bound or 1))
    count = f"{len(missed)} of {len(counted)} targets missed: " if len(missed) > 1 else ""
    return [rf"(?i)^{count}{each.replace('.*?', ' (missed )?by ')}" for each in distances([worst])]


def of_run(drawn: Drawn) -> Answers:
    result = drawn.result
    case = worst_case(result)
    common = {
        "right": rightness(result),
        "merge": [rf"{MERGE[result.judgement.exit_status]} · {', '.join(map(of_stage, result.judgement.stages))}"],
        "changed": [changed(result, case)],
        "next": [f"Next .*{next_step(result, case)}"],
        "where": where(result),
    }
    if case.outcome == "wrong_result":
        return common | {
            "target": ["^Wrong result", *untold_targets(result)],
            **unmeasured("wrong result"),
        }
    roof = result.roofs[case.case.problem, case.case.workload].deciding
    fraction, traffic = median(result, case, "roof_fraction"), median(result, case, "traffic")
    assert fraction is not None
    assert traffic is not None
    assert isinstance(roof, Roof)
    busiest = {"bytes": "memory bandwidth", "library": r"tensor cores|compute|memory|L2|L1"}[roof.ceiling]
    at = rf"runs at {near(100 * fraction, '%')} of {roof.case.variant}'s speed"
    to_peak = 100 - max(busy_units(result, case).values())
    below_peak = f", {near(to_peak)} points below peak" if roof.ceiling == "library" else ""
    behind = rf"runs {roughly(100 * (1 - fraction))} % behind {roof.case.variant} \(a library"
    return common | {
        "target": [*headline(result), *distances(of_case(result, case))],
        "distance": [behind if roof.ceiling == "library" else at],
        "limit": [f"Limit: ({busiest}){below_peak};", *utilisation(result, case)],
        "waits": [waits(result, case)],
        "bytes": [f"{near(traffic)} times the bytes needed"],
    }


def untold_targets(result: JudgedRun) -> list[str]:
    """That no target is judged, and the name of each."""
    stages = load_project(result.folder.parents[1]).with_included(result.judgement.stages)
    return [
        r"Targets \(.*\): not judged, because",
        *(f"(?i){title_of(t.metric.name)}" for stage in stages for t in stage.targets),
    ]


def unmeasured(why: str) -> Answers:
    """The questions on speed, of a case that has none: each is named in a sentence that says why."""
    asked = {"distance": "distance", "limit": "Limit", "waits": "waits", "bytes": "bytes"}
    return {question: [rf"(?i)\b{name}\b[^.]*: not measured \({why}"] for question, name in asked.items()}


def of_import(drawn: Drawn) -> Answers:
    result = drawn.result
    kernels = [case for case in result.run.cases if case.identity is None or case.identity.kind != "call"]
    case = max(kernels, key=lambda each: (median(result, each, "duration") or 0.0) * _launches(each))
    read, written = (median(result, case, f"dram_bytes_{way}") or 0.0 for way in ("read", "written"))
    busy = median(result, case, "dram_throughput")
    assert busy is not None
    (gpu,) = {attempt.environment.gpu for attempt in result.run.attempts if attempt.environment is not None}
    return {
        "right": ["not checked"],
        "merge": ["not judged"],
        "target": ["no stage was named"],
        "distance": [r"Limit: [^.]*\bleft is not known\b[^.;]*\broof\b", f"DRAM {near(busy, '%')}.* of peak"],
        "limit": [r"Limit: (memory|compute|latency|L[12])"],
        "waits": [waits(result, case)],
        "bytes": [f"DRAM {near(read + written)} ?[kMG]?B moved.*bytes needed: not known"],
        "changed": ["nothing to compare with"],
        "next": [f"stallgate gate {result.run.name} --stage"],
        "where": [re.escape(gpu), re.escape(result.run.created), "does not say when"],
    }


def _launches(case: CaseResult) -> int:
    return case.identity.launches if case.identity is not None else 1


# --- a sweep ----------------------------------------------------------------------------------------------------------


def of_sweep(drawn: Drawn) -> Answers:
    folder = drawn.page.parent
    assert (folder / SWEEP_FILE).is_file()
    sweep = load_sweep(folder)
    found = sweep_result(load_project(folder.parents[1]), sweep)
    best = found.suggested
    assert best is not None
    assert best.gain is not None
    ran = [t for t in sweep.trials if t.state in ("timed", "profiled", "stopped", "wrong_result")]
    right = [t for t in ran if t.state != "wrong_result"]
    counters = sweep.trial(best.configuration, found.workloads[0]).counters
    assert sweep.environment is not None
    assert sweep.commit is not None
    met = f"meets {sum(c.holds for c in best.checks)} of {len(best.checks)} targets"
    return {
        "right": [f"right: {len(right)} of {len(ran)}"],
        "merge": [f"not judged.*{met} of {of_stage(sweep.stage)}"],
        "target": _targets_of(best),
        "distance": [_distance(sweep, found, best)],
        "limit": ["Limit: memory bandwidth"],
        "waits": [
            waiting(lambda metric: counters[metric].median if metric in counters else None),
            rf"{near(counters['memory_dependency_stall'].median, '%')} for [^,(]*\(long_scoreboard\)",
        ],
        "bytes": [f"{near(counters['traffic'].median)} times the bytes needed"],
        "changed": [f"{near(abs(best.gain.percent), '%')} {'less' if best.gain.percent > 0 else 'more'} time"],
        "next": [f"stallgate sweep --show {sweep.name} --apply && stallgate profile {sweep.problem}/{sweep.variant}"],
        "where": [re.escape(sweep.environment.gpu), re.escape(sweep.created), sweep.commit[:12]],
    }


def _targets_of(best: Standing) -> list[str]:
    checks = [check for check in best.checks if check.value is not None and check.bound is not None]
    return [f"{title_of(check.metric)}.*?{near(check.value or 0.0)}.*?{near(check.bound or 0.0)}" for check in checks]


def _distance(sweep: Sweep, found: SweepResult, best: Standing) -> str:
    fraction = next(check.value for check in best.checks if check.metric == "roof_fraction")
    assert fraction is not None
    (roof,) = {each.name for each in sweep.yardsticks if each.role == "roof"}
    return f"runs at {near(100 * fraction, '%')} of {roof}'s speed"


# --- a loop -----------------------------------------------------------------------------------------------------------


def of_loop(drawn: Drawn) -> Answers:
    journal, result = load_journal(drawn.page.parent), drawn.result
    best, start = journal.best.reading, journal.versions[0].reading
    assert best is not None
    assert start is not None
    (place,) = best.times
    time, fraction = best.times[place].median, best.roof_fractions[place]
    tries = list(journal.tries())
    repeated = sum(each.outcome == "repeated" for each in tries)
    case = next(c for c in result.run.cases if (c.case.variant, c.case.workload) == (journal.variant, place))
    roof, traffic = result.roofs[case.case.problem, place].deciding, median(result, case, "traffic")
    assert isinstance(roof, Roof)
    assert traffic is not None
    met = [stage for stage in journal.stages if stage in best.met]
    return {
        "right": [r"right: \d+ of \d+ answers"],
        "merge": [rf"not judged.*meets {of_stage(met[0])}"],
        "target": distances(of_case(result, case)),
        "distance": [
            rf"answer {journal.best.name} on {place} {near(time, 'ms')}",
            rf"runs at {near(100 * fraction, '%')} of {roof.case.variant}'s speed",
        ],
        "limit": ["Limit: memory bandwidth;", *utilisation(result, case)],
        "waits": [waits(result, case)],
        "bytes": [f"{near(traffic)} times the bytes needed"],
        "changed": [
            f"{near(100 * (1 - time / start.times[place].median), '%')} less time than the start; \\d+ lines? added"
        ],
        "next": [f"stallgate loop --replay {journal.name} --apply"],
        "where": [re.escape(best.gpu), re.escape(journal.created), f"{len(tries)} answers.*{repeated} repeated"],
    }


# --- the test ---------------------------------------------------------------------------------------------------------

PAGES: dict[str, Callable[[Drawn], Answers]] = {
    "recorded": of_run,
    "failing": of_run,
    "wrong_result": of_run,
    "matmul": of_run,
    "rmsnorm": of_run,
    "swept": of_sweep,
    "climbed": of_loop,
    "imported_in_full": of_import,
    "imported": of_import,
}


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("name", PAGES)
def test_ten_questions_are_answered_on_the_first_screen(
    browser: Browser, make: Make, name: str, size: tuple[int, int]
) -> None:
    drawn = make(name)
    answers = PAGES[name](drawn)
    assert len(answers) == 10
    seen = visible(browser, drawn.page, size)
    unanswered = {q: told for q, told in answers.items() if not all(re.search(each, seen) for each in told)}
    assert unanswered == {}, seen


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_case_that_crashed_says_why_nothing_of_it_is_judged(
    browser: Browser, make: Make, size: tuple[int, int]
) -> None:
    drawn = make("crashed")
    seen = visible(browser, drawn.page, size)
    wanted = untold_targets(drawn.result) + [each for found in unmeasured("crashed").values() for each in found]
    assert [each for each in wanted if not re.search(each, seen)] == [], seen
