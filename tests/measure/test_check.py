"""``stallgate check``: every answer that a variant can get, in Triton's interpreter, through the real command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stallgate.measure.outcomes import Finished
from stallgate.measure.witness import is_its_own, next_group
from stallgate.model import Case
from tests.child.cheating import cheating
from tests.conftest import Stallgate, command_line
from tests.measure.drawing import REFERENCE, drawing_project
from tests.shared import Shared

Variants = dict[str, dict[str, Any]]

# --- every answer -----------------------------------------------------------------------------------------------------

EVERY = ("right", "spoiling", "wrong", "raising", "dying", "short_rows", "last")


@pytest.fixture(scope="session")
def every(shared: Shared) -> dict[str, Any]:
    """A check of a variant for every answer, in one command."""
    return shared.get("check-every", _check_every)


def _check_every(folder: Path) -> dict[str, Any]:
    done = command_line(drawing_project(folder, *EVERY))("check", "--drawn", "2", "--seed", "5", "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["status"] == done.returncode
    return found


def variants_of(found: dict[str, Any]) -> Variants:
    return {variant["variant"]: variant for variant in found["variants"]}


def test_each_variant_has_its_own_answer(every: dict[str, Any]) -> None:
    assert {name: variant["answer"] for name, variant in variants_of(every).items()} == {
        "limit": "right",
        "right": "right",
        "spoiling": "wrong",
        "wrong": "wrong",
        "raising": "not_checked",
        "dying": "not_checked",
        "short_rows": "wrong",
        "last": "right",
    }
    assert (every["command"], every["ok"], every["status"]) == ("check", False, 1)


def test_a_variant_that_spoils_the_process_costs_itself_only(every: dict[str, Any]) -> None:
    """After it `Tensor.cumprod` is another function, in the process that all of them share."""
    last = variants_of(every)["last"]
    assert (last["answer"], last["right"]) == ("right", len(last["cases"]))


def test_a_drawn_workload_finds_what_the_small_one_hides(every: dict[str, Any]) -> None:
    cases = {case["workload"]: case for case in variants_of(every)["short_rows"]["cases"]}
    assert cases["main"]["outcome"] == "right"
    assert cases["drawn-5-0"]["outcome"] == "wrong_result"
    assert "elements are wrong; the first: [0, 99] is 0.0" in cases["drawn-5-0"]["reason"]
    assert cases["drawn-5-0"]["number"] == 0
    assert cases["drawn-5-0"]["arguments"]["shape"][1] > 100


def test_an_exception_is_no_wrong_result(every: dict[str, Any]) -> None:
    (first, *_) = variants_of(every)["raising"]["cases"]
    assert (first["outcome"], first["reason"]) == ("crashed", "ValueError: no such thing")


def test_who_kills_its_process_is_given_up_and_says_why(every: dict[str, Any]) -> None:
    (first, *rest) = variants_of(every)["dying"]["cases"]
    assert first["outcome"] == "crashed"
    assert re.match("its process ended with signal 6 in step 'check': .", first["reason"])
    assert {(case["outcome"], case["reason"]) for case in rest} == {
        ("skipped", "not tried: its process did not survive main")
    }


def test_the_workloads_are_small_and_the_same_once(every: dict[str, Any]) -> None:
    assert (every["device"], every["gpu"], every["small"], every["seed"]) == ("cpu", None, True, 5)
    assert every["stand_ins"] == {"product/other": "main"}
    cases = variants_of(every)["right"]["cases"]
    assert [case["workload"] for case in cases] == ["main", "drawn-5-0", "drawn-5-1"]
    assert cases[0]["arguments"] == {"shape": [3, 7]}
    assert all(case["arguments"]["shape"][1] < 2**13 for case in cases[1:])


# --- through the command line -----------------------------------------------------------------------------------------


def test_what_is_right_is_status_0_and_a_line(tmp_path: Path) -> None:
    done = command_line(drawing_project(tmp_path, "right"))("check", "product/right")
    assert done.returncode == 0, done.stderr
    assert "right       product/right on 1 of 1, worst error 0.00 of its tolerance" in done.stdout
    assert "limit" not in done.stdout, "a roof is checked only where it is asked for"
    assert "Triton's interpreter on the CPU: small inputs" in done.stdout
    assert not (tmp_path / "reports").exists()


def test_a_wrong_drawn_case_can_be_run_again_alone(tmp_path: Path) -> None:
    check = command_line(drawing_project(tmp_path, "short_rows"))
    done = check("check", "product/short_rows", "--drawn", "2", "--seed", "5")
    assert done.returncode == 1
    assert max(map(len, done.stdout.splitlines())) <= 80
    arguments = re.search(r"arguments = \{ shape = \[2, (\d+)\] \}", done.stdout)
    again = re.search(r"stallgate (check product/short_rows --seed 5 --drawn-only 0)", done.stdout)
    assert again is not None
    assert arguments is not None
    (variant,) = json.loads(check(*again[1].split(), "--json").stdout)["variants"]
    assert [case["workload"] for case in variant["cases"]] == ["drawn-5-0"]
    assert variant["cases"][0]["arguments"] == {"shape": [2, int(arguments[1])]}


def test_what_hangs_is_not_checked_and_given_up(tmp_path: Path) -> None:
    done = command_line(drawing_project(tmp_path, "hanging", "last"))(
        "check", "--drawn", "3", "--seed", "1", "--timeout", "8"
    )
    assert done.returncode == 3, done.stderr
    words = " ".join(done.stdout.split())
    assert "not checked product/hanging: right on 1 of 4" in words
    assert "timed out: step 'check' did not finish within 8 s" in words
    assert words.count("not tried: its process did not survive drawn-1-0") == 2
    assert "right product/last on 4 of 4" in words


def test_a_problem_without_a_draw_says_so(tmp_path: Path) -> None:
    reference = REFERENCE[: REFERENCE.index("def draw")]
    check = command_line(drawing_project(tmp_path, "right", reference=reference))
    done = check("check", "--drawn", "2")
    assert done.returncode == 2
    assert "the reference has no draw(rng)" in " ".join(done.stderr.split())
    assert check("check").returncode == 0


def test_a_draw_that_raises_is_the_users_fault(tmp_path: Path) -> None:
    reference = REFERENCE + "\ndef draw(rng): raise ValueError('nothing to draw')\n"
    done = command_line(drawing_project(tmp_path, "right", reference=reference))("check", "--drawn", "2")
    assert done.returncode == 2
    assert "ValueError: nothing to draw" in " ".join(done.stderr.split())


def test_an_interpreter_without_torch_is_not_checked(tmp_path: Path, without_torch: str) -> None:
    done = command_line(drawing_project(tmp_path, "right"))("check", "--python", without_torch)
    assert done.returncode == 3
    assert "cannot import torch" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--device", "cuda"), 3, "this machine has no CUDA device"),
        (("--drawn-only", "1"), 2, "--drawn-only needs the seed"),
        (("--drawn", "2", "--drawn-only", "1", "--seed", "1"), 2, "contradict each other"),
        (("--seed", "1"), 2, "--seed is only for drawn workloads"),
        (("nonesuch",), 2, "no problem is named 'nonesuch'"),
        (("product/nonesuch",), 2, "no variant is named 'nonesuch'"),
        (("-w", "nonesuch"), 2, "no workload is named 'nonesuch'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    tmp_path: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    done = command_line(drawing_project(tmp_path, "right"))("check", *arguments)
    assert done.returncode == status
    assert words in " ".join(done.stderr.split())


# --- real kernels -----------------------------------------------------------------------------------------------------


def test_a_kernel_is_right_or_wrong_for_what_it_does(tmp_path: Path) -> None:
    done = command_line(cheating(tmp_path))("check", "cheats/last_tile", "cheats/workspace")
    assert done.returncode == 1, done.stderr
    assert "right       cheats/workspace on 1 of 1" in done.stdout
    assert "759 of 3063 elements are wrong" in " ".join(done.stdout.split())


@pytest.mark.whole_recording
def test_the_problem_of_this_repository_is_right_on_what_it_draws(stallgate: Stallgate) -> None:
    done = stallgate("check", "cumprod/adaptive_scan", "--drawn", "6", "--seed", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "right       cumprod/adaptive_scan on 7 of 7" in done.stdout


TUNED = """
import torch, triton, triton.language as tl

@triton.autotune([triton.Config({"K": 32}), triton.Config({"K": 16})], key=["n"])
@triton.jit
def product_kernel(a_ptr, b_ptr, c_ptr, n, N: tl.constexpr, K: tl.constexpr):
    at = tl.arange(0, N)
    total = tl.zeros((N, N), tl.float32)
    for first in range(0, n, K):
        k = first + tl.arange(0, K)
        a = tl.load(a_ptr + at[:, None] * n + k[None, :])
        b = tl.load(b_ptr + k[:, None] * N + at[None, :])
        total += tl.dot(a, b)
    tl.store(c_ptr + at[:, None] * N + at[None, :], total.to(tl.bfloat16))

def product(a, b):
    c = torch.empty(a.shape[0], b.shape[1], dtype=a.dtype, device=a.device)
    product_kernel[(1,)](a, b, c, a.shape[1], N=a.shape[0])
    return c

def half_product(a, b):
    return product(a, b) / 2
"""
"""A product of bfloat16, which is rounded and tuned: the interpreter alone gets none of the three right."""

TUNED_PROBLEM = """
[problems.product]
reference = "torch.matmul"
stages = []
[problems.product.variants]
tuned = { entry = "product.py:product" }
half = { entry = "product.py:half_product" }
[problems.product.workloads.main]
inputs = ["bfloat16[64,256]", "bfloat16[256,64]"]
"""


def test_tuned_kernels_of_bfloat16_can_be_checked_without_a_gpu(tmp_path: Path) -> None:
    (tmp_path / "stallgate.toml").write_text(TUNED_PROBLEM)
    (tmp_path / "product.py").write_text(TUNED)
    done = command_line(tmp_path)("check", "--json")
    answers = {variant["variant"]: variant["answer"] for variant in json.loads(done.stdout)["variants"]}
    assert answers == {"tuned": "right", "half": "wrong"}, done.stdout + done.stderr


ADDED = """
import torch, triton, triton.language as tl

@triton.jit
def add_kernel(x_ptr, y_ptr, z_ptr, n, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    tl.store(z_ptr + at, tl.load(x_ptr + at, mask=at < n) + tl.load(y_ptr + at, mask=at < n), mask=at < n)

def add(x, y):
    z = torch.empty_like(x)
    add_kernel[(1,)](x, y, z, x.numel(), BLOCK=64)
    return z

def draw(rng):
    one = f"{rng.choice(['float32', 'bfloat16'])}[{rng.randrange(1, 64)}]"
    return {"inputs": [one, one]}
"""
"""A sum in the type of its terms: the interpreter adds the bits of bfloat16."""

ANSWER = f"""
from torch import nn
{ADDED.partition("def add(x, y)")[0]}
class ModelNew(nn.Module):
    def forward(self, x, y):
        z = torch.empty_like(x)
        add_kernel[(1,)](x, y, z, x.numel(), BLOCK=64)
        return z
"""

ADDED_PROBLEM = """
[problems.sum]
reference = "torch.add"
draw = "sums.py:draw"
stages = []
[problems.sum.variants]
mine = { entry = "sums.py:add" }
[problems.sum.workloads.main]
inputs = ["float32[64]", "float32[64]"]
[problems.sum.workloads.half]
inputs = ["bfloat16[64]", "bfloat16[64]"]
"""


def test_who_computes_in_bfloat16_is_not_wrong_for_what_was_drawn(tmp_path: Path) -> None:
    """A workload that the problem names is checked as it is; what may then be wrong is said beside it."""
    (tmp_path / "stallgate.toml").write_text(ADDED_PROBLEM)
    (tmp_path / "sums.py").write_text(ADDED)
    check = command_line(tmp_path)
    drawn = check("check", "-w", "main", "--drawn", "12", "--seed", "1")
    assert drawn.returncode == 0, drawn.stdout + drawn.stderr
    assert "right       sum/mine on 13 of 13" in drawn.stdout
    assert "no bfloat16 was drawn for sum: Triton's interpreter" in " ".join(drawn.stdout.split())
    (tmp_path / "answer.py").write_text(ANSWER)
    answer = check("check", "answer.py", "-w", "main", "--drawn", "6", "--seed", "1", "--right-only")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "note: no bfloat16 was drawn for sum: Triton's interpreter" in " ".join(answer.stdout.split())
    named = check("check", "-w", "half")
    assert named.returncode == 1
    assert "sum was checked in bfloat16, which Triton's interpreter" in " ".join(named.stdout.split())


# --- who shares a process ---------------------------------------------------------------------------------------------


def case(variant: str, workload: str = "main") -> Case:
    return Case(problem="product", variant=variant, configuration="default", workload=workload)


def test_all_share_a_process_but_whoever_has_to_be_confirmed() -> None:
    planned = [case("one"), case("two"), case("one", "other")]
    assert next_group(planned, set(), isolate=False) == planned
    assert next_group(planned, {planned[1]}, isolate=False) == [planned[0], planned[2]]
    assert next_group(planned, set(planned), isolate=False) == [planned[0], planned[2]]
    assert next_group(planned, set(), isolate=True) == [planned[0], planned[2]]


def test_code_that_is_not_trusted_has_a_process_of_its_own_after_the_others() -> None:
    planned = [case("answer"), case("roof"), case("old"), case("answer", "other"), case("old", "other")]
    groups, left = [], planned
    while left:
        groups.append(next_group(left, {case("roof")}, isolate=False, apart=["answer"]))
        left = [each for each in left if each not in groups[-1]]
    names = [{each.variant for each in group} for group in groups]
    assert names == [{"old"}, {"answer"}, {"roof"}]
    assert next_group(planned, set(), isolate=False, apart=["answer"]) == [planned[1], planned[2], planned[4]]


def test_an_outcome_that_speaks_against_a_case_needs_a_process_of_its_own() -> None:
    wrong = Finished(outcome="wrong_result", reason="")
    assert is_its_own([case("one"), case("one", "other")], case("one", "other"), wrong)
    assert not is_its_own([case("one"), case("two")], case("two"), wrong)
    assert is_its_own([case("one"), case("two")], case("two"), Finished(outcome="profiled", reason=""))
