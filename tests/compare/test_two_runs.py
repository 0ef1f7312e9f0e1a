"""Two runs side by side: each word, each reason, and the real command line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from stallgate.compare.two_runs import Pair, RunComparison, compare, refuse_empty
from stallgate.compare.words import Change, compare_metric
from stallgate.errors import NotMeasured
from stallgate.extract.read_run import MeasuredRun
from stallgate.extract.table import Summaries, Summary
from stallgate.model import Attempt, Case, CaseResult, Direction, Environment, LaunchedKernel, Metric, Run, Settings
from stallgate.project.load import Project
from stallgate.render.compare_page import draw_comparison
from stallgate.render.terminal import out
from stallgate.render.terminal_compare import show_comparison as show
from tests.conftest import Stallgate
from tests.judge.judging import case, run_of
from tests.judge.judging import summary as samples
from tests.recordings import OTHER, committed

ABSENT = samples(state="absent")
SETTINGS = Settings(samples=3, timeout_s=1, clock_control="none", cache_control="all", metrics=[])
ENVIRONMENT = Environment(
    gpu="A",
    device=0,
    compute_capability="9.0",
    chip=None,
    driver="1",
    ncu="1",
    python="3",
    torch="2",
    triton="3.6",
    cuda="13",
)
NUMBERS: dict[str, Summary] = {"duration": samples(100, 101, 102), "roof_fraction": samples(0.97, 0.98, 0.99)}


def attempt(**changes: Any) -> Attempt:
    made = Attempt(name="1", kind="samples", command=[], started="", sha256="one", environment=ENVIRONMENT)
    return replace(made, **changes)


def profiled(*cases: Case) -> list[CaseResult]:
    roles = {"copy_roof": "roof", "blocked_scan": "candidate"}
    return [
        CaseResult(case=c, role=roles.get(c.variant, "baseline"), outcome="profiled", attempt="1")  # type: ignore[arg-type]
        for c in cases
    ]


USUAL = profiled(case("copy_roof"), case("blocked_scan"))


def result(
    project: Project,
    name: str = "base",
    results: list[CaseResult] | None = None,
    numbers: dict[str, Summary] | None = None,
    faults: dict[str, str] | None = None,
    **changes: Any,
) -> MeasuredRun:
    results = USUAL if results is None else results
    run: Run = replace(run_of(project, results, settings=SETTINGS, attempts=[attempt()]), **changes)
    usable = [r.case for r in results if r.outcome == "profiled" and r.case.name not in (faults or {})]
    summaries: Summaries = {(c, m): s for c in usable for m, s in (NUMBERS | (numbers or {})).items()}
    return MeasuredRun(folder=project.reports / name, run=run, faults=faults or {}, summaries=summaries)


def with_digest(project: Project, key: str, digest: str = "other") -> dict[str, Any]:
    subject = result(project).run.subjects["cumprod"]
    return {"cumprod": replace(subject, digests={**subject.digests, key: digest})}


def pair_of(found: RunComparison, variant: str = "blocked_scan") -> Pair:
    return next(pair for pair in found.pairs if pair.case.variant == variant)


def metric_of(pair: Pair, name: str) -> Change:
    return next(change for change in pair.changes if change.metric == name)


def metric(direction: Direction, unit: str = "") -> Metric:
    return Metric(name="m", title="", unit=unit, direction=direction)


TIME = replace(metric("lower"), name="duration", unit="ns")


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "base", "run", "word"),
    [
        (TIME, (100, 101, 102), (102, 103, 104), "same"),
        (TIME, (100, 101, 102), (103, 104, 105), "slower"),
        (TIME, (103, 104, 105), (100, 101, 102), "faster"),
        (TIME, (1000, 1000, 1000), (1004, 1004, 1004), "same"),
        (TIME, (1000, 1000, 1000), (1005, 1005, 1005), "slower"),
        (TIME, (0, 0, 0), (1, 1, 1), "slower"),
        (metric("lower"), (100, 101, 102), (103, 104, 105), "moved"),
        (metric("higher"), (103, 104, 105), (100, 101, 102), "moved"),
        (metric("neither"), (103, 104, 105), (100, 101, 102), "moved"),
        (metric("neither"), (100, 101, 102), (100, 101, 102), "same"),
        (metric("lower"), (1000, 1000, 1000), (1001, 1001, 1001), "same"),
        (metric("lower"), (0, 0, 0), (0, 0, 0), "same"),
        (metric("lower"), (0, 0, 0), (1, 1, 1), "moved"),
        (metric("lower", "%"), (11, 11, 11), (11.4, 11.4, 11.4), "same"),
        (metric("lower", "%"), (11, 11, 11), (11.6, 11.6, 11.6), "moved"),
        (metric("lower", "%"), (0, 0, 0), (1, 1, 1), "moved"),
    ],
)
def test_time_decides_and_everything_else_moves(of: Metric, base: Any, run: Any, word: str) -> None:
    assert compare_metric(of, samples(*base), samples(*run)).word == word


def test_a_share_changes_in_points_and_all_else_in_per_cent() -> None:
    share = compare_metric(metric("lower", "%"), samples(11.16), samples(13.23))
    assert (share.text, share.points) == ("+2.1 points", pytest.approx(2.07))
    fraction = compare_metric(replace(metric("higher"), name="roof_fraction"), samples(0.991), samples(0.961))
    assert fraction.text == "-3.0 points"
    count = compare_metric(metric("lower"), samples(100), samples(118.54))
    assert (count.text, count.points) == ("+18.5 %", None)
    assert compare_metric(TIME, samples(100_000), samples(99_999)).text == "<0.01 %"


@pytest.mark.parametrize("crossing", ["better", "worse"])
def test_a_target_that_was_crossed_decides_where_no_time_changed(crossing: Any) -> None:
    share = metric("lower", "%")
    assert compare_metric(share, samples(19, 19), samples(21, 21), crossing).word == crossing
    assert compare_metric(TIME, samples(100, 100), samples(110, 110), crossing).word == "slower"


@pytest.mark.parametrize(
    ("base", "run", "word"),
    [
        ((100,), (101.9,), "same"),
        ((100,), (98.1,), "same"),
        ((100,), (102.1,), "moved"),
        ((100,), (97,), "moved"),
        ((100, 100.5, 101), (102,), "same"),
        ((100, 101, 110), (109,), "same"),
        ((0,), (1,), "moved"),
    ],
)
def test_a_single_sample_does_not_show_its_noise(base: Any, run: Any, word: str) -> None:
    assert compare_metric(metric("lower"), samples(*base), samples(*run)).word == word


@pytest.mark.parametrize("run", [(99, 100, 101), (102, 103, 104), (104, 105, 106), (90, 91, 92), (101.5,), (105,)])
def test_no_change_is_within_the_band_where_the_word_is_same(run: Any) -> None:
    change = compare_metric(metric("lower"), samples(100, 101, 102), samples(*run))
    assert change.band is not None
    low, high = change.band
    assert (low <= 0 <= high) is (change.word == "same")
    assert change.change is not None
    assert low <= change.change <= high


def test_a_change_from_nothing_has_no_ratio() -> None:
    change = compare_metric(metric("lower"), samples(0, 0), samples(1, 1))
    assert (change.change, change.band) == (None, None)


def test_what_is_not_measured_is_not_comparable_and_says_where() -> None:
    change = compare_metric(metric("lower"), samples(1), ABSENT)
    assert (change.word, change.change) == ("not_comparable", None)
    assert change.obstacle is not None
    assert (change.obstacle.code, change.obstacle.sentence) == ("not_measured", "absent in the run after")
    both = compare_metric(metric("lower"), None, ABSENT).obstacle
    assert both is not None
    assert both.sentence == "not collected in the run before and absent in the run after"


# --- reasons ----------------------------------------------------------------------------------------------------------


def reason(found: RunComparison, variant: str = "blocked_scan") -> str:
    pair = pair_of(found, variant)
    assert pair.obstacle is not None
    assert {change.word for change in pair.changes} == {"not_comparable"}
    assert {change.obstacle for change in pair.changes} == {pair.obstacle}
    return pair.obstacle.code


def test_a_case_of_one_run_only(repository: Project) -> None:
    base = result(repository, results=profiled(case("copy_roof"), case("blocked_scan")))
    run = result(repository, "run", results=profiled(case("copy_roof"), case("naive_serial")))
    found = compare(repository, base, run)
    assert reason(found, "blocked_scan") == "only_in_base"
    assert reason(found, "naive_serial") == "only_in_run"
    assert pair_of(found, "copy_roof").duration.word == "same"
    refuse_empty(found)


def test_a_case_without_numbers_says_what_became_of_it(repository: Project) -> None:
    crashed = [USUAL[0], replace(USUAL[1], outcome="crashed", reason="why")]
    found = compare(repository, result(repository), result(repository, "run", crashed))
    assert reason(found) == "not_measured"
    assert pair_of(found).obstacle.sentence == "crashed in the run after"  # type: ignore[union-attr]
    faults = {case("blocked_scan").name: "cut short"}
    damaged = compare(repository, result(repository, faults=faults), result(repository, "run"))
    assert pair_of(damaged).obstacle.sentence == "a damaged ncu report in the run before"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"attempts": [attempt(environment=replace(ENVIRONMENT, gpu="B"))]}, "other_gpu", "different GPU: A and B"),
        ({"attempts": [attempt(environment=None)]}, "other_gpu", "the GPU of the run after is not known"),
        (
            {"settings": replace(SETTINGS, clock_control="base")},
            "other_clock_control",
            "different clock control: none and base",
        ),
        (
            {"settings": replace(SETTINGS, cache_control="none")},
            "other_cache_control",
            "different cache control: all and none",
        ),
        ({"settings": None}, "other_clock_control", "the clock control of the run after is not known"),
    ],
)
def test_other_conditions_are_never_compared(
    repository: Project, changes: dict[str, Any], code: str, said: str
) -> None:
    found = compare(repository, result(repository), result(repository, "run", **changes))
    assert reason(found) == code
    assert reason(found, "copy_roof") == code
    assert [obstacle.sentence for obstacle in found.obstacles].count(said) == 1
    assert found.finding == "No time can be compared"
    with pytest.raises(NotMeasured, match=re.escape(said)):
        refuse_empty(found)


def test_each_case_is_held_to_its_own_gpu(repository: Project) -> None:
    elsewhere = attempt(name="2", environment=replace(ENVIRONMENT, gpu="B"))
    results = [USUAL[0], replace(USUAL[1], attempt="2")]
    found = compare(repository, result(repository), result(repository, "run", results, attempts=[attempt(), elsewhere]))
    assert reason(found) == "other_gpu"
    assert pair_of(found, "copy_roof").duration.word == "same"


@pytest.mark.parametrize(
    ("key", "code"), [("workload square", "workload_changed"), ("the reference", "reference_changed")]
)
def test_what_computes_something_else_is_not_comparable(repository: Project, key: str, code: str) -> None:
    found = compare(repository, result(repository), result(repository, "run", subjects=with_digest(repository, key)))
    assert reason(found) == code


@pytest.mark.parametrize(
    ("key", "code"), [("workload square", "workload_changed"), ("the reference", "reference_changed")]
)
def test_what_may_compute_something_else_is_not_comparable(repository: Project, key: str, code: str) -> None:
    """A digest that both runs lack proves nothing."""
    subject = result(repository).run.subjects["cumprod"]
    unknown = {"cumprod": replace(subject, digests={k: v for k, v in subject.digests.items() if k != key})}
    found = compare(repository, result(repository, subjects=unknown), result(repository, "run", subjects=unknown))
    assert reason(found) == code
    assert pair_of(found).obstacle.sentence.endswith("is not known to be the same")  # type: ignore[union-attr]


def test_that_the_code_changed_is_the_purpose(repository: Project) -> None:
    subjects = with_digest(repository, "variant blocked_scan")
    slower = {"duration": samples(104, 105, 106)}
    found = compare(repository, result(repository), result(repository, "run", numbers=slower, subjects=subjects))
    assert pair_of(found).code == "changed"
    assert pair_of(found).duration.word == "slower"
    assert found.word == "slower"
    assert "the code of blocked_scan changed" in found.notes
    same = "copy_roof is 4.0 % slower on square, though its code is the same"
    assert found.finding == f"blocked_scan is 4.0 % slower on square; {same}"
    assert same not in found.notes


def test_fractions_of_another_roof_are_not_comparable(repository: Project) -> None:
    subjects = with_digest(repository, "variant copy_roof")
    pair = pair_of(compare(repository, result(repository), result(repository, "run", subjects=subjects)))
    assert metric_of(pair, "roof_fraction").obstacle.code == "roof_changed"  # type: ignore[union-attr]
    assert pair.duration.word == "same"


def test_notes_say_what_else_differs(repository: Project) -> None:
    environment = replace(ENVIRONMENT, triton="3.7")
    run = result(
        repository,
        "run",
        numbers={"duration": samples(101)},
        attempts=[attempt(sha256="two", environment=environment)],
        subjects=with_digest(repository, "the measuring child"),
        complete=False,
    )
    found = compare(repository, result(repository), run)
    assert found.notes == [
        "the measuring child changed",
        "different triton: 3.6 and 3.7",
        "the run after is incomplete",
        "the noise of a single sample is unknown: a change below 2 % counts as none",
    ]


# --- what was used ----------------------------------------------------------------------------------------------------


def launched(name: str = "_scan", **configuration: object) -> LaunchedKernel:
    return LaunchedKernel(name=name, module="m", function=name, file="m.py", configuration=configuration)


def used(*kernels: LaunchedKernel, **packages: str) -> list[CaseResult]:
    """The usual cases; the candidate launched these kernels and loaded these packages."""
    return [USUAL[0], replace(USUAL[1], kernels=list(kernels), packages=packages)]


@pytest.mark.parametrize(
    ("base", "run", "said"),
    [
        ({"BLOCK": 1024}, {"BLOCK": 2048}, "BLOCK 1024 before, BLOCK 2048 now"),
        ({"BLOCK": 1024, "num_warps": 4}, {"BLOCK": 1024, "num_warps": 8}, "num_warps 4 before, num_warps 8 now"),
        ({}, {"BLOCK": 1024}, "nothing before, BLOCK 1024 now"),
        ({"BLOCK": 1024, "K": 1}, {"BLOCK": 1024}, "K 1 before, nothing now"),
    ],
)
def test_another_choice_of_an_autotuner_is_noted(
    repository: Project, base: dict[str, object], run: dict[str, object], said: str
) -> None:
    before, after = (result(repository, results=used(launched(**choice), launched("_copy"))) for choice in (base, run))
    found = compare(repository, before, after)
    assert f"blocked_scan on square: the autotuner chose {said}" in found.notes
    (retuned,) = pair_of(found).retuned
    assert retuned.kernel == "_scan"
    assert pair_of(found).duration.word == "same", "a note, and no verdict"


def test_of_several_kernels_a_note_says_which(repository: Project) -> None:
    sides = [used(launched("_scan", B=b), launched("_carry", B=b), launched("_alone", B=1)) for b in (1, 2)]
    found = compare(repository, *(result(repository, results=side) for side in sides))
    assert [note for note in found.notes if "autotuner" in note] == [
        "blocked_scan on square: the autotuner of _scan chose B 1 before, B 2 now",
        "blocked_scan on square: the autotuner of _carry chose B 1 before, B 2 now",
    ]


@pytest.mark.parametrize(
    "sides",
    [
        (used(launched(B=1)), used(launched(B=1))),
        (used(launched("_one", B=1)), used(launched("_other", B=2))),
        (USUAL, used(launched(B=1))),
    ],
    ids=["the same choice", "other kernels", "a run that does not say what it launched"],
)
def test_what_is_no_other_choice_is_not_noted(
    repository: Project, sides: tuple[list[CaseResult], list[CaseResult]]
) -> None:
    found = compare(repository, *(result(repository, results=side) for side in sides))
    assert not [note for note in found.notes if "autotuner" in note]


def test_other_versions_of_packages_are_noted(repository: Project) -> None:
    sides = [used(liger="0.5", einops="1", gone="2"), used(liger="0.6", einops="1")]
    found = compare(repository, *(result(repository, results=side) for side in sides))
    assert [note for note in found.notes if note.startswith("different")] == ["different liger: 0.5 and 0.6"]
    facts = {fact.name: (fact.base, fact.run) for fact in found.facts}
    assert (facts["liger"], facts["einops"], facts["gone"]) == (("0.5", "0.6"), ("1", "1"), ("2", "not loaded"))


def test_code_that_changed_in_a_module_is_changed_code(repository: Project) -> None:
    """Not "slower, though its code is the same"."""
    sides = [[USUAL[0], replace(USUAL[1], modules={"mylib/scan.py": digest})] for digest in ("one", "two")]
    slower = {"duration": samples(104, 105, 106)}
    before, after = result(repository, results=sides[0]), result(repository, "run", sides[1], numbers=slower)
    found = compare(repository, before, after)
    assert pair_of(found).code == "changed"
    assert "the code of blocked_scan changed" in found.notes
    assert metric_of(pair_of(found), "roof_fraction").word == "same"


def test_a_roof_whose_module_changed_is_another_roof(repository: Project) -> None:
    sides = [[replace(USUAL[0], modules={"mylib/copy.py": digest}), USUAL[1]] for digest in ("one", "two")]
    pair = pair_of(compare(repository, *(result(repository, results=side) for side in sides)))
    assert metric_of(pair, "roof_fraction").obstacle.code == "roof_changed"  # type: ignore[union-attr]


# --- terminal and page ------------------------------------------------------------------------------------------------


def moved(project: Project) -> RunComparison:
    """One variant slower, one not measured, one metric absent."""
    results = [*USUAL, replace(profiled(case("naive_serial"))[0], outcome="crashed", reason="why")]
    base = result(project, results=[*USUAL, *profiled(case("naive_serial"))], numbers={"l2_throughput": samples(2, 2)})
    numbers = {"duration": samples(103, 104, 105), "l2_throughput": samples(1, 1), "dram_throughput": ABSENT}
    return compare(project, base, result(project, "run", results, numbers=numbers))


def test_the_terminal_shows_the_stage_and_what_moved(repository: Project) -> None:
    with out.capture() as captured:
        show(moved(repository), every=False)
    rows = [line.split() for line in captured.get().splitlines()]
    assert ["duration", "101", "ns", "→", "104", "ns", "+3.0", "%", "slower"] in rows
    assert ["l2_throughput", "2.00", "%", "→", "1.00", "%", "-1.0", "points", "moved"] in rows
    assert {row[0] for row in rows if row}.isdisjoint({"roof_fraction", "l2_hit_rate", "stall_wait"})
    assert "no change: 2 metrics of 2 cases; --all has every metric" in captured.get()
    assert "naive_serial on square: crashed in the run after" in captured.get()
    same = "though its code is the same"
    conclusion = f"blocked_scan is 3.0 % slower on square, {same}; copy_roof is 3.0 % slower on square, {same}."
    told = " ".join(captured.get().split())
    assert told.startswith(conclusion)
    assert told.endswith(conclusion)
    with out.capture() as captured:
        show(moved(repository), every=True)
    assert "stall_wait" in captured.get()


def test_the_page_says_the_finding_and_has_every_metric(repository: Project, tmp_path: Path) -> None:
    found = moved(repository)
    page = draw_comparison(found, tmp_path)
    assert page.name == "compare-base.html"
    text = page.read_text()
    finding = "blocked_scan is 3.0 % slower on square, though its code is the same; copy_roof is 3.0 % slower on square"
    assert f"<h1>{finding}, though its code is the same</h1>" in text
    assert '<tr class="is-fail"><td>square</td><td>blocked_scan</td><th scope="row">duration</th>' in text
    assert "naive_serial: crashed in the run after" in text
    assert text.count("<figure") == 1
    assert text.count('<th scope="row">') >= 3 * sum(
        1 for metric in repository.catalogue.metrics.values() if metric.names and metric.collect == "always"
    )
    assert not re.search(r'<(link|script|img|iframe|object)\b[^>]*(src|href)="(?!data:)', text), "the page is one file"


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.whole_recording
def test_two_replays_of_a_recording_are_the_same(stallgate: Stallgate, replayed: Path) -> None:
    assert stallgate("profile").returncode == 0
    done = stallgate("compare", replayed.name, "latest", "--json", "--report")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {change["word"] for pair in found["pairs"] for change in pair["changes"]} == {"same"}
    assert len(found["pairs"]) == 12
    assert found["finding"] == "No time moved beyond the noise"
    assert (replayed.parent / "latest" / f"compare-{replayed.name}.html").is_file()
    done = stallgate("compare", replayed.name)
    assert done.returncode == 0
    assert "both runs hold the same ncu reports" in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (committed().gpu, OTHER, f"different GPU: {committed().gpu} and {OTHER}"),
        ('"clock_control": "none"', '"clock_control": "base"', "different clock control: none and base"),
    ],
)
def test_runs_under_other_conditions_end_with_status_3(
    stallgate: Stallgate, replayed: Path, old: str, new: str, said: str
) -> None:
    other = replayed.with_name("other")
    shutil.copytree(replayed, other)
    path = other / "run.json"
    path.write_text(path.read_text().replace(old, new))
    done = stallgate("compare", replayed.name, "other")
    assert done.returncode == 3
    assert done.stdout.count(said) == 1
    assert said in " ".join(done.stderr.split())
    assert "hint: profile the same workloads again" in done.stderr


def test_an_unknown_run_is_a_fault_of_the_user(own_process: Stallgate, replayed: Path) -> None:
    done = own_process("compare", replayed.name[:-1])
    assert done.returncode == 2
    assert f"did you mean {replayed.name}?" in " ".join(done.stderr.split())
