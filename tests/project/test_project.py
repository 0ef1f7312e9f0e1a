"""A project's files: what is read, and what a broken one is told."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from stallgate.errors import BrokenFile, UserFault
from stallgate.measure.plan import Request, plan_cases
from stallgate.project.catalogue import names_in
from stallgate.project.digests import subject_digests, text_digest
from stallgate.project.load import Project, load_project
from stallgate.project.root import find_root
from tests.conftest import ROOT, without_waivers


def names(project: Project, **request: list[str]) -> list[str]:
    return [case.name for case in plan_cases(project, Request(**request))]


def test_the_default_plan_is_every_variant_on_square_and_page_with_all_roofs_first(repository: Project) -> None:
    """No roof runs in a process in which a variant's code ran before."""
    planned = names(repository, subjects=["cumprod"])
    assert planned[:2] == ["cumprod/copy_roof/default/square", "cumprod/copy_roof/default/page"]
    assert [name.rsplit("/", 1)[1] for name in planned[2:]] == ["square"] * 5 + ["page"] * 5


def test_the_default_plan_has_every_problem_with_the_roofs_of_all_first() -> None:
    repository = load_project(ROOT)
    planned = names(repository)
    assert [name.split("/")[0] for name in planned[:5]] == ["cumprod"] * 2 + ["matmul"] + ["rmsnorm"] * 2
    assert all("roof" in name or "/cublas/" in name or "/copy/" in name for name in planned[:5])
    assert set(planned[5:]) == {
        name for problem in repository.problems for name in names_of_others(repository, problem)
    }


def names_of_others(project: Project, problem: str) -> list[str]:
    """The planned cases of a problem that are no roofs."""
    roofs = {name for name, variant in project.problems[problem].variants.items() if variant.role == "roof"}
    return [name for name in names(project, subjects=[problem]) if name.split("/")[1] not in roofs]


def test_a_variant_brings_the_roof_along(repository: Project) -> None:
    planned = names(repository, subjects=["cumprod/naive_serial"], workloads=["flat"])
    assert planned == ["cumprod/copy_roof/default/flat", "cumprod/naive_serial/default/flat"]


@pytest.mark.parametrize(
    ("request_", "hint"),
    [
        ({"subjects": ["cumprd"]}, "cumprod"),
        ({"subjects": ["cumprod/blocked_scann"]}, "blocked_scan"),
        ({"workloads": ["sqare"]}, "square"),
        ({"configurations": ["nonesuch"]}, "default"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(
    repository: Project, request_: dict[str, list[str]], hint: str
) -> None:
    with pytest.raises(UserFault) as refused:
        names(repository, **request_)
    assert hint in refused.value.hint


def test_a_file_without_a_role_is_pointed_at(tree: Path) -> None:
    (tree / "kernels/cumprod/mine.py").write_text("")
    with pytest.raises(UserFault) as refused:
        names(load_project(tree), subjects=["cumprod/mine"])
    assert "give it a role in kernels/cumprod/problem.toml" in refused.value.hint


def test_bytes_and_flops_are_what_the_shapes_say(repository: Project) -> None:
    moved = {"float16": 2 + 2, "bfloat16": 2 + 2, "float32": 4 + 4, "float64": 8 + 8, "int32": 4 + 8}
    for workload in repository.problem("cumprod").workloads.values():
        shape = workload.arguments["shape"]
        assert isinstance(shape, list)
        count = math.prod(shape)
        assert workload.bytes == count * moved[str(workload.arguments["dtype"])]
        assert workload.flops == count


BREAKS = [
    (
        "kernels/cumprod/problem.toml",
        "[variants.two_pass_scan]",
        "[variants.blocked_scan.configurations.default]\nBLOCK = 64\n\n[variants.two_pass_scan]",
        "variants.blocked_scan.configurations.default",
        "another name",
    ),
    ("metrics/stages/memory_access.toml", "title =", "titel =", "unknown field `titel`", "title"),
    ("metrics/stages/memory_access.toml", "below = 20", 'below = "20"', "targets[2].below", "docs files"),
    (
        "metrics/stages/memory_access.toml",
        "below = 20",
        "below = 20\nabove = 3",
        "exactly one of",
        "docs files",
    ),
    ("metrics/stages/memory_access.toml", "below = 20", "below = nan", "finite", "docs files"),
    ("metrics/stages/memory_access.toml", "below = 20", "", "exactly one of", "docs files"),
    ("metrics/stages/memory_access.toml", "below = 20", "below = inf", "finite", "docs files"),
    (
        "metrics/stages/memory_access.toml",
        "below = 20",
        "below = 101",
        "targets[2].below: memory_dependency_stall cannot be bounded by 101 %",
        "0 to 100",
    ),
    (
        "metrics/stages/memory_access.toml",
        "below = 20",
        "above = -1",
        "targets[2].above: memory_dependency_stall cannot be bounded by -1 %",
        "0 to 100",
    ),
    (
        "metrics/stages/memory_access.toml",
        "below = 20",
        "tolerance = 2",
        "a fraction from 0 to 1",
        "docs files",
    ),
    ("metrics/stages/memory_access.toml", "below = 20", "tolerance = nan", "finite", "docs files"),
    (
        "metrics/stages/memory_access.toml",
        "below = 20",
        "tolerance = 0.02",
        "targets[2].tolerance: memory_dependency_stall is a share",
        "tolerance_points",
    ),
    (
        "metrics/stages/no_regression.toml",
        "tolerance = 0.02",
        "tolerance_points = 2",
        "duration is no share",
        "tolerance",
    ),
    ("metrics/stages/memory_access.toml", "below = 20", "tolerance_points = 100", "from 0 to 100", "docs files"),
    (
        "metrics/stages/memory_access.toml",
        "below = 20",
        "below = 20\ninsist = true",
        "`insist` goes with",
        "docs files",
    ),
    (
        "metrics/stages/memory_access.toml",
        "below = 20",
        "below = 20\ntolerance = 0.1",
        "exactly one",
        "docs files",
    ),
    (
        "metrics/stages/memory_access.toml",
        "below = 20",
        'tolerance = 0.1\nof = "roof"',
        "neither `of`",
        "docs files",
    ),
    (
        "metrics/stages/memory_access.toml",
        "below = 20",
        'tolerance = 0.1\nscope = "kernel"',
        "`scope`",
        "docs files",
    ),
    ("metrics/stages/memory_access.toml", "below = 20", 'below = 20\nscope = "grid"', "targets[2].scope", ""),
    (
        "metrics/stages/memory_access.toml",
        "at_least = 0.97",
        'at_least = 0.97\nscope = "kernel"',
        "targets[0].scope: roof_fraction exists only for a whole call",
        "leave",
    ),
    (
        "metrics/stages/block_tiling.toml",
        "above = 50",
        "tolerance = 0.1",
        "targets[0].tolerance: achieved_occupancy has no better direction",
        "direction",
    ),
    (
        "metrics/stages/memory_access.toml",
        "below = 20",
        'below = 20\nworkloads = ["square"]',
        "targets[2].workloads: a stage does not name workloads",
        'judged = ["memory_access"]',
    ),
    (
        "metrics/stages/block_tiling.toml",
        '"roof_fraction", at_least = 0.95 }',
        '"roof_fractio", at_least = 0.95 }',
        "targets[0].unless.metric: no metric is named 'roof_fractio'",
        "roof_fraction",
    ),
    (
        "metrics/stages/block_tiling.toml",
        "at_least = 0.95 }",
        "at_least = 0.95, above = 0.9 }",
        "a condition of `unless` wants exactly one of at_least, at_most, above, below",
        "docs files",
    ),
    ("metrics/stages/block_tiling.toml", ", at_least = 0.95 }", " }", "wants exactly one of", "docs files"),
    ("metrics/stages/block_tiling.toml", "at_least = 0.95 }", "at_least = nan }", "finite", "docs files"),
    (
        "metrics/stages/block_tiling.toml",
        "at_least = 0.95 }",
        'at_least = 0.95, of = "roof" }',
        "targets[0].unless: Object contains unknown field `of`",
        "",
    ),
    (
        "metrics/stages/block_tiling.toml",
        'unless = { metric = "roof_fraction", at_least = 0.95 }',
        'unless = { metric = "l2_hit_rate", above = 101 }',
        "targets[0].unless.above: l2_hit_rate cannot be bounded by 101 %",
        "0 to 100",
    ),
    (
        "kernels/cumprod/problem.toml",
        '"grid_and_parallel"]',
        '"grid_and_paralel"]',
        "workloads.page.judged: no stage is named 'grid_and_paralel'",
        "grid_and_parallel",
    ),
    (
        "kernels/cumprod/problem.toml",
        "default = true\n",
        "default = true\njudged = 1\n",
        "workloads.square.judged",
        "docs files",
    ),
    (
        "metrics/stages/memory_access.toml",
        "below = 20",
        'below = 20\nvariants = ["blocked"]',
        "targets[2].variants: no variant is named 'blocked'",
        "blocked_scan",
    ),
    ("metrics/stages/advanced_memory.toml", '["memory_access"]', '["memory_acces"]', "includes", "memory_access"),
    ("metrics/stages/advanced_memory.toml", "includes =", 'undecided = "ignore"\nincludes =', "undecided", ""),
    (
        "metrics/catalogue.toml",
        "occupancy_limit_registers = ",
        "occupancy_limits = ",
        "achieved_occupancy.limiters",
        "",
    ),
    ("metrics/stages/memory_access.toml", '"l2_hit_rate"]', '"l2_hit_rat"]', "shown[3]", "l2_hit_rate"),
    ("metrics/stages/memory_access.toml", "[autotune]", "[autotune", "not valid TOML", "toml.io"),
    ("metrics/catalogue.toml", 'weight = "duration"', 'weight = "durations"', "weight", "duration"),
    ("metrics/gpus/rtx_4090.toml", "multiprocessors = 128", "multiprocessors = '128'", "multiprocessors", ""),
    ("kernels/cumprod/problem.toml", 'role = "roof"', 'role = "rof"', "variants[...].role", ""),
    ("kernels/cumprod/problem.toml", 'ceiling = "bytes"', "", "variants.copy_roof.ceiling", "bytes"),
    (
        "kernels/cumprod/problem.toml",
        'stages = ["memory_access"]',
        'stages = ["memory_acces"]',
        "stages",
        "memory_access",
    ),
    ("kernels/cumprod/problem.toml", "[variants.naive_serial]", "[variants.Naive]", "Naive", "lower-case"),
    ("kernels/cumprod/problem.toml", "[variants.naive_serial]", "[variants.missing]", "missing.py does not exist", ""),
    ("kernels/cumprod/problem.toml", "dim = 1", "dim = 2026-01-01", "workloads.square.arguments.dim", "finite"),
    ("kernels/cumprod/problem.toml", "dim = 1", "dim = [1, nan]", "workloads.square.arguments.dim[1]", "finite"),
    ("kernels/cumprod/problem.toml", "dim = 1", f"dim = 1{'0' * 30}", "workloads.square.arguments.dim", "64 bits"),
    (
        "metrics/gpus/rtx_4090.toml",
        "multiprocessors =",
        "name = 'x'\nmultiprocessors =",
        "name: its place already gives the name `rtx_4090`",
        "remove",
    ),
    (
        "metrics/stages/memory_access.toml",
        "title =",
        "name = 'x'\ntitle =",
        "name: its place already gives the name `memory_access`",
        "remove",
    ),
    (
        "metrics/catalogue.toml",
        "[metrics.duration]",
        "[metrics.duration]\nname = 'x'",
        "metrics.duration.name",
        "remove",
    ),
    ("metrics/catalogue.toml", 'names = ["gpu__time_duration.sum"]', "names = []", "metrics.duration.names", "ncu"),
    ("metrics/catalogue.toml", 'weight = "duration"', "", "metrics.dram_throughput.weight", "duration"),
    (
        "metrics/catalogue.toml",
        'weight = "duration"',
        'weight = "traffic"',
        "traffic is not measured per launch",
        "ncu name",
    ),
    *(
        ("metrics/catalogue.toml", "[metrics.duration]", f"[metrics.duration]\nformula = '{formula}'", said, "+ - * /")
        for formula, said in [
            (")(", "`)(`: unexpected `)(`"),
            ("abs(x)", "`abs(x)`"),
            ("a ** 2", "`a ** 2`"),
            ("", "formula"),
        ]
    ),
]


def use(tree: Path, file: str) -> None:
    """Reads a project, and asks for what a file of it is about."""
    project, path = load_project(tree), Path(file)
    if path.name == "problem.toml":
        project.problem(path.parent.name)
    if path.parent.name == "stages":
        project.stage(path.stem)


@pytest.mark.parametrize(("file", "old", "new", "message", "hint"), BREAKS)
@pytest.mark.whole_recording
def test_a_broken_file_is_named_with_its_key(
    tree: Path, file: str, old: str, new: str, message: str, hint: str
) -> None:
    path = tree / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(BrokenFile) as refused:
        use(tree, file)
    assert refused.value.message.startswith(f"{file}: ")
    assert message in refused.value.message
    assert hint in refused.value.hint


WAIVER = {
    "variant": '"blocked_scan"',
    "stage": '"memory_access"',
    "metric": '"memory_dependency_stall"',
    "until": "2026-12-31",
    "reason": '"triton 3.7 lays the tiles out anew"',
}


def with_waiver(tree: Path, **changes: str) -> None:
    """Gives a tree one waiver, and no other."""
    without_waivers(tree)
    path = tree / "kernels/cumprod/problem.toml"
    lines = [f"{key} = {value}" for key, value in {**WAIVER, **changes}.items() if value]
    path.write_text("\n".join([path.read_text(), "[[waivers]]", *lines, ""]))


def test_a_waiver_is_read_with_its_last_day(tree: Path) -> None:
    with_waiver(tree, metric='"smsp__warp_issue_stalled_memory_dependency_per_warp_active.pct"')
    [waiver] = load_project(tree).problem("cumprod").waivers
    assert (waiver.variant, waiver.until.isoformat()) == ("blocked_scan", "2026-12-31")


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"variant": '"blocked"'}, "waivers[0].variant: no variant is named 'blocked'", "blocked_scan"),
        ({"stage": '"memory"'}, "waivers[0].stage: no stage is named 'memory'", "memory_access"),
        ({"metric": '"duration"'}, "waivers[0].metric: no target of memory_access", "roof_fraction"),
        ({"metric": '"stall"'}, "waivers[0].metric: no target of memory_access", ""),
        ({"workloads": '["sqare"]'}, "waivers[0].workloads: no workload is named 'sqare'", "square"),
        ({"reason": '"  "'}, "waivers[0].reason: it is empty", "why"),
        ({"reason": ""}, "reason", ""),
        ({"until": ""}, "until", ""),
        ({"until": '"soon"'}, "until", "docs files"),
        ({"untill": "2026-12-31"}, "unknown field `untill`", "until"),
    ],
)
def test_a_waiver_of_nothing_is_refused(tree: Path, changes: dict[str, str], message: str, hint: str) -> None:
    with_waiver(tree, **changes)
    with pytest.raises(BrokenFile) as refused:
        use(tree, "kernels/cumprod/problem.toml")
    assert refused.value.message.startswith("kernels/cumprod/problem.toml: ")
    assert message in refused.value.message
    assert hint in refused.value.hint


def test_a_target_needs_something_that_measures_it(tree: Path) -> None:
    catalogue, stage = tree / "metrics/catalogue.toml", tree / "metrics/stages/memory_access.toml"
    catalogue.write_text(catalogue.read_text() + '\n[metrics.mine]\ntitle = "Mine"\nunit = ""\n')
    stage.write_text(stage.read_text() + '\n[[targets]]\nmetric = "mine"\nabove = 1\n')
    with pytest.raises(BrokenFile, match=r"targets\[3\].metric: nothing measures mine"):
        use(tree, "metrics/stages/memory_access.toml")


def test_an_unknown_key_is_compared_with_those_of_its_own_kind(tree: Path) -> None:
    path = tree / "metrics/gpus/rtx_4090.toml"
    path.write_text("of_rof = 1\n" + path.read_text())
    with pytest.raises(BrokenFile) as refused:
        load_project(tree)
    assert "of_roof" not in refused.value.hint


def test_a_formula_that_divides_by_a_difference_is_read(tree: Path) -> None:
    path = tree / "metrics/catalogue.toml"
    path.write_text(path.read_text().replace("[metrics.duration]", "[metrics.duration]\nformula = 'a / (b.c - d)'"))
    assert names_in(load_project(tree).catalogue.metrics["duration"].formula or "") == ("a", "b.c", "d")


def test_the_root_is_found_from_below(tree: Path) -> None:
    assert find_root(tree / "kernels" / "cumprod") == tree


def test_outside_of_a_project_there_is_a_hint(tmp_path: Path) -> None:
    with pytest.raises(UserFault) as refused:
        find_root(tmp_path)
    assert "--root" in refused.value.hint


def test_line_endings_do_not_change_a_digest(tmp_path: Path) -> None:
    (tmp_path / "unix").write_bytes(b"a\nb\n")
    (tmp_path / "windows").write_bytes(b"a\r\nb\r\n")
    assert text_digest(tmp_path / "unix") == text_digest(tmp_path / "windows")


def test_digests_name_everything_that_is_measured(repository: Project) -> None:
    keys = set(subject_digests(repository.problem("cumprod")))
    assert {"the measuring child", "the reference", "variant blocked_scan", "workload square"} <= keys


def test_data_sheets_know_their_devices(repository: Project) -> None:
    spec = repository.gpu_spec_of("NVIDIA GeForce RTX 4090")
    assert spec is not None
    assert (spec.name, spec.chip, spec.dram_bandwidth_gb_s) == ("rtx_4090", "AD102", 1008)
    assert repository.gpu_spec_of("Some other GPU") is None


# --- broken files stop only those who use them ---


def test_what_includes_a_broken_stage_is_not_judged_by(tree: Path) -> None:
    (tree / "metrics/stages/memory_access.toml").write_text("title = 3\n")
    project = load_project(tree)
    assert set(project.broken_stages) == {"memory_access"}
    with pytest.raises(BrokenFile, match=r"metrics/stages/memory_access\.toml"):
        project.with_included(["advanced_memory"])
    assert [stage.name for stage in project.with_sound(["advanced_memory", "block_tiling"])] == ["block_tiling"]


def test_a_problem_may_be_gated_by_a_broken_stage_and_still_be_read(tree: Path) -> None:
    with_waiver(tree, metric='"what only the stage knows"')
    (tree / "metrics/stages/memory_access.toml").write_text("title = 3\n")
    assert load_project(tree).problem("cumprod").stages == ["memory_access"]


def test_variants_of_targets_are_not_held_against_problems_that_cannot_be_read(tree: Path) -> None:
    stage = tree / "metrics/stages/memory_access.toml"
    stage.write_text(stage.read_text().replace("below = 20", 'below = 20\nvariants = ["theirs"]'))
    assert "memory_access" in load_project(tree).broken_stages
    (tree / "kernels/other").mkdir()
    (tree / "kernels/other/problem.toml").write_text("title = 3\n")
    project = load_project(tree)
    assert (set(project.broken_problems), project.broken_stages) == ({"other"}, {})


# --- which workloads are judged ---


@pytest.mark.parametrize(
    ("line", "stage", "judged"),
    [
        ("default = true", "streaming", True),
        ("", "streaming", False),
        ("judged = true", "streaming", True),
        ("default = true\njudged = false", "streaming", False),
        ('default = true\njudged = ["streaming"]', "streaming", True),
        ('default = true\njudged = ["streaming"]', "memory_access", False),
        ('judged = ["advanced_memory"]', "memory_access", True),
        ('judged = ["memory_access"]', "advanced_memory", False),
        ("default = true\njudged = []", "streaming", False),
    ],
)
def test_a_problem_says_which_workloads_are_judged(tree: Path, line: str, stage: str, judged: bool) -> None:
    path = tree / "kernels/cumprod/problem.toml"
    path.write_text(path.read_text().replace("[workloads.flat]", f"[workloads.flat]\n{line}"))
    assert ("flat" in load_project(tree).judged_workloads("cumprod", stage)) == judged


def test_what_is_judged_changes_no_digest(tree: Path) -> None:
    before = subject_digests(load_project(tree).problem("cumprod"))
    path = tree / "kernels/cumprod/problem.toml"
    path.write_text(path.read_text().replace("[workloads.flat]", "[workloads.flat]\njudged = true"))
    assert subject_digests(load_project(tree).problem("cumprod")) == before
