"""What ``init`` finds out about a kernel without running it, and what it writes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from stallgate.errors import BadArgument, BrokenFile
from stallgate.project.adoption import AdoptedKernel, Wish, examine_wish
from stallgate.project.load import load_project
from stallgate.project.scaffold import WrittenFile, write_scaffold
from stallgate.project.tomltext import toml_value

SOFTMAX = """
import torch, triton
from .kernels import softmax_kernel

def softmax(x):
    return x

def scaled(x, factor, dim=0, *, eps):
    return x

if torch.cuda.is_available():
    def guarded(x): return x
else:
    guarded = softmax

class Softmax(torch.nn.Module): ...
"""
KERNELS = """
import triton

@triton.autotune(configs=[], key=[])
@triton.jit(repr=str)
def softmax_kernel(x): ...
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a package below src/, whose names are re-exported."""
    package = tmp_path / "src" / "mykernels"
    package.mkdir(parents=True)
    (package / "softmax.py").write_text(SOFTMAX)
    (package / "kernels.py").write_text(KERNELS)
    (package / "__init__.py").write_text("from .softmax import softmax as fast_softmax\nfrom .softmax import *\n")
    return tmp_path


def wish(**changes: Any) -> Wish:
    usual = {"kernel": "mykernels.softmax:softmax", "reference": "torch.softmax", "inputs": ["float32[8192,4096]"]}
    return Wish(**{**usual, **changes})


def subject_of(root: Path, **changes: Any) -> AdoptedKernel:
    return examine_wish(root, wish(**changes), force=False)


def write(root: Path, subject: AdoptedKernel, **changes: bool) -> dict[str, WrittenFile]:
    files = write_scaffold(root, subject, **{"pyproject": False, "ci": False, "force": False, **changes})
    return {file.path: file for file in files}


def tables(root: Path, file: str = "stallgate.toml") -> dict[str, Any]:
    return tomllib.loads((root / file).read_text())


# --- what the repository has ---


@pytest.mark.parametrize(
    "kernel",
    [
        "mykernels.softmax:softmax",
        "mykernels.softmax:guarded",
        "mykernels.softmax:Softmax",
        "mykernels:fast_softmax",
        "mykernels:softmax",
        "mykernels.softmax.softmax",
        "src/mykernels/softmax.py:softmax",
    ],
)
def test_a_kernel_is_found_where_it_is_defined_or_exported(root: Path, kernel: str) -> None:
    assert subject_of(root, kernel=kernel).kernel == kernel


@pytest.mark.parametrize(
    ("kernel", "message", "hint"),
    [
        ("mykernel.softmax:softmax", "there is no module mykernel.softmax below the project's root", "--root"),
        ("mykernels.sotfmax:softmax", "there is no module mykernels.sotfmax", "mykernels is there"),
        ("mykernels.softmax:sotfmax", "does not define sotfmax", "did you mean softmax"),
        ("mykernels.softmax", "does not define ModelNew, which is used where no function is named", "known: "),
        ("mykernels.kernels:softmax_kernel", "softmax_kernel is a Triton kernel", "launches it"),
        ("mykernels:softmax_kernel", "softmax_kernel is a Triton kernel", "launches it"),
        ("nowhere.py", "nowhere.py does not exist", "project's root"),
        ("my kernels", "is not an entry", "package.module:function"),
        ("mykernels.softmax:scaled", "scaled has no value for factor, eps", "--input"),
    ],
)
def test_what_the_repository_lacks_is_refused(root: Path, kernel: str, message: str, hint: str) -> None:
    with pytest.raises(BadArgument) as refused:
        subject_of(root, kernel=kernel)
    assert message in refused.value.message
    assert hint in refused.value.hint
    noted = examine_wish(root, wish(kernel=kernel), force=True)
    assert any(message in note for note in noted.notes)


def test_a_reference_of_the_repository_is_looked_for_as_well(root: Path) -> None:
    subject = subject_of(root, reference="mykernels.softmax:guarded")
    assert (subject.name, subject.baseline) == ("guarded", "reference")
    with pytest.raises(BadArgument, match=r"--reference: src/mykernels/softmax\.py does not define nothing"):
        subject_of(root, reference="mykernels.softmax:nothing")


def test_everything_that_is_missing_is_said_at_once(root: Path) -> None:
    with pytest.raises(BadArgument) as refused:
        subject_of(root, kernel="mykernels.softmax:nothing", reference="mykernels.reference:softmax")
    assert "--kernel: " in refused.value.message
    assert "--reference: " in refused.value.message


def test_a_module_that_is_not_python_is_refused(root: Path) -> None:
    (root / "src/mykernels/softmax.py").write_text("def softmax(x) return x\n")
    with pytest.raises(BadArgument, match="not valid Python"):
        subject_of(root)


def test_more_inputs_than_parameters_are_refused(root: Path) -> None:
    with pytest.raises(BadArgument, match="softmax takes 1 arguments by place, and 2 inputs are given"):
        subject_of(root, inputs=["float32[4]", "float32[4]"])


def test_an_installed_package_is_taken_at_its_word(root: Path) -> None:
    assert subject_of(root, kernel="msgspec.json:encode").kernel == "msgspec.json:encode"


# --- keywords, inputs, names ---


def test_a_kernel_gets_those_keywords_of_the_reference_that_it_takes(root: Path) -> None:
    subject = subject_of(root, kernel="mykernels.softmax:scaled", keywords=["factor=2", "eps=1e-6", "dtype=none"])
    assert subject.kernel_keywords == {"factor": 2, "eps": 1e-6, "dim": -1}
    assert subject.keywords == {"factor": 2, "eps": 1e-6, "dtype": "none", "dim": -1}


@pytest.mark.parametrize(
    ("reference", "given", "keywords"),
    [
        ("torch.softmax", [], {"dim": -1}),
        ("torch.nn.functional.log_softmax", [], {"dim": -1}),
        ("torch.cumsum", ["dim=0"], {"dim": 0}),
        ("torch.nn.functional.layer_norm", [], {"normalized_shape": [4096]}),
        ("torch.exp", [], {}),
        ("torch.nn.functional.gelu", ["approximate=tanh"], {"approximate": "tanh"}),
        ("mykernels.softmax:softmax", [], {}),
    ],
)
def test_keywords_that_torch_needs_are_assumed(
    root: Path, reference: str, given: list[str], keywords: dict[str, object]
) -> None:
    subject = subject_of(root, reference=reference, keywords=given)
    assert subject.keywords == keywords
    assert subject.is_assumed is (bool(keywords) and not given)
    assert bool(subject.notes) is subject.is_assumed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("float32[8192,4096]", "float32[8192,4096]"),
        (" int64[64]  integers(0, 9) ", "int64[64] integers(0, 9)"),
        ("-1", -1),
        ("0.5", 0.5),
        ("true", True),
        ("[1, 2]", [1, 2]),
    ],
)
def test_an_input_is_a_tensor_or_a_value(root: Path, text: str, value: object) -> None:
    assert subject_of(root, inputs=[text]).inputs == [value]


@pytest.mark.parametrize("text", ["float33[8]", "float32(8)", "float32[8] gauss", "inf", "", "none", "{a = 1}"])
def test_other_inputs_are_refused_whatever_is_forced(root: Path, text: str) -> None:
    with pytest.raises(BadArgument):
        examine_wish(root, wish(inputs=[text]), force=True)


@pytest.mark.parametrize("text", ["dim", "=1", "a b=1", "dim=nan"])
def test_other_keywords_are_refused(root: Path, text: str) -> None:
    with pytest.raises(BadArgument):
        subject_of(root, keywords=[text])


def test_names_do_not_collide(root: Path) -> None:
    (root / "src/mykernels/softmax.py").write_text("def torch(x): ...\ndef copy(x): ...\nclass ModelNew: ...\n")
    assert subject_of(root, kernel="mykernels.softmax:torch").variant == "torch_kernel"
    assert subject_of(root, kernel="mykernels.softmax:copy").variant == "copy_kernel"
    assert subject_of(root, kernel="mykernels.softmax").variant == "softmax"
    assert subject_of(root, kernel="src/mykernels/softmax.py").variant == "softmax"
    with pytest.raises(BadArgument, match="--name"):
        subject_of(root, kernel="mykernels.softmax:copy", name="Two Words")


@pytest.mark.parametrize(
    ("reference", "inputs", "flops"),
    [
        ("torch.matmul", ["bfloat16[512,64]", "bfloat16[64,128]"], 2 * 512 * 64 * 128),
        ("torch.bmm", ["float16[8,32,64]", "float16[8,64,16]"], 2 * 8 * 32 * 64 * 16),
        ("torch.nn.functional.linear", ["float16[32,64]", "float16[16,64]"], 2 * 32 * 64 * 16),
    ],
)
def test_a_product_is_judged_by_its_arithmetic(root: Path, reference: str, inputs: list[str], flops: int) -> None:
    (root / "src/mykernels/softmax.py").write_text("def product(a, b): ...\n")
    subject = subject_of(root, kernel="mykernels.softmax:product", reference=reference, inputs=inputs)
    assert (subject.stage, subject.flops) == ("tensor_core", flops)
    write(root, subject)
    problem = load_project(root).problem(subject.name)
    assert problem.workloads["main"].flops == flops
    assert (problem.variants["torch"].role, problem.variants["torch"].ceiling) == ("roof", "library")


# --- what is written ---


def test_what_is_written_is_a_project(root: Path) -> None:
    files = write(root, subject_of(root), ci=True)
    assert {path: file.change for path, file in files.items()} == dict.fromkeys(
        ["stallgate.toml", ".gitignore", ".github/workflows/stallgate.yml"], "written"
    )
    assert files["stallgate.toml"].lines == len((root / "stallgate.toml").read_text().splitlines()) <= 25
    problem = load_project(root).problem("softmax")
    assert {name: variant.role for name, variant in problem.variants.items()} == {
        "softmax": "candidate",
        "torch": "baseline",
        "copy": "roof",
    }
    assert problem.variants["softmax"].path == "src/mykernels/softmax.py"
    assert problem.workloads["main"].inputs == ["float32[8192,4096]"]
    assert problem.workloads["main"].default
    assert problem.reference.keywords == problem.variants["torch"].entry.keywords == {"dim": -1}
    assert (root / ".gitignore").read_text() == "/reports/*\n!/reports/recorded/\n"


def test_a_second_kernel_is_added(root: Path) -> None:
    write(root, subject_of(root))
    before = (root / "stallgate.toml").read_text()
    files = write(root, subject_of(root, name="guarded", kernel="mykernels.softmax:guarded"), ci=True)
    assert (files["stallgate.toml"].change, files[".gitignore"].change) == ("extended", "kept")
    assert (root / "stallgate.toml").read_text().startswith(before)
    assert set(load_project(root).problems) == {"softmax", "guarded"}


def test_nothing_is_overwritten(root: Path) -> None:
    write(root, subject_of(root), ci=True)
    workflow = root / ".github/workflows/stallgate.yml"
    workflow.write_text("mine\n")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    with pytest.raises(BadArgument, match=r"stallgate\.toml has a problem softmax already"):
        write(root, subject_of(root), ci=True)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    files = write(root, subject_of(root, name="other"), ci=True)
    assert files[".github/workflows/stallgate.yml"].reason == "it exists already"
    assert workflow.read_text() == "mine\n"


def test_force_replaces_one_problem_and_nothing_else(root: Path) -> None:
    for name in ("first", "softmax", "last.one"):
        write(root, subject_of(root, name=name))
    path = root / "stallgate.toml"
    path.write_text(path.read_text().replace("[problems.first]", "[problems.first]\ntitle = 'by hand'"))
    write(root, subject_of(root, keywords=["dim=0"]), force=True)
    found = tables(root)["problems"]
    assert found["softmax"]["reference"]["keywords"] == {"dim": 0}
    assert found["first"]["title"] == "by hand"
    assert set(found) == {"first", "softmax", "last.one"}
    assert set(load_project(root).problems) == set(found)


def test_a_problem_that_cannot_be_cut_out_is_left(root: Path) -> None:
    path = root / "stallgate.toml"
    path.write_text('problems.softmax = { stages = ["streaming"] }\n')
    with pytest.raises(BrokenFile, match=r"problems\.softmax is not under headings of its own"):
        write(root, subject_of(root), force=True)
    assert path.read_text() == 'problems.softmax = { stages = ["streaming"] }\n'


def test_a_problem_with_a_folder_keeps_its_name(root: Path) -> None:
    (root / "kernels/softmax").mkdir(parents=True)
    (root / "kernels/softmax/problem.toml").write_text("")
    with pytest.raises(BadArgument, match=r"kernels/softmax/problem\.toml"):
        write(root, subject_of(root), force=True)


def test_pyproject_holds_the_problem_and_keeps_its_text(root: Path) -> None:
    path = root / "pyproject.toml"
    with pytest.raises(BadArgument, match=r"no pyproject\.toml"):
        write(root, subject_of(root), pyproject=True)
    path.write_bytes(b'[project]\r\nname = "mykernels"  # a comment\r\n')
    write(root, subject_of(root), pyproject=True)
    assert path.read_bytes().startswith(b'[project]\r\nname = "mykernels"  # a comment\r\n\r\n')
    assert b"\n" not in path.read_bytes().replace(b"\r\n", b"")
    files = write(root, subject_of(root, name="second"))
    assert files["pyproject.toml"].change == "extended"
    write(root, subject_of(root), force=True)
    assert set(load_project(root).problems) == {"softmax", "second"}
    assert not (root / "stallgate.toml").exists()


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ("*.pyc", "extended", "*.pyc\n/reports/*\n!/reports/recorded/\n"),
        ("/reports/*\n", "extended", "/reports/*\n!/reports/recorded/\n"),
        ("/reports/*\n!/reports/recorded/\n", "kept", "/reports/*\n!/reports/recorded/\n"),
        ("reports/\n", "kept", "reports/\n"),
    ],
)
def test_git_ignores_runs_and_not_recordings(root: Path, before: str, change: str, after: str) -> None:
    (root / ".gitignore").write_text(before)
    files = write(root, subject_of(root))
    assert files[".gitignore"].change == change
    assert (root / ".gitignore").read_text() == after


@pytest.mark.parametrize(
    "value", ["a", 'quotes " and \\', "\x7f\n é 🔥", True, -1, 1e-6, [1, "a"], {"a b": [1], "c": {}}]
)
def test_values_are_written_as_toml_reads_them(value: object) -> None:
    assert tomllib.loads(f"value = {toml_value(value)}")["value"] == value
