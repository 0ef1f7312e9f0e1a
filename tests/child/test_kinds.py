"""Every kind of kernel, through the child and the referee on the CPU: tuples, changed inputs, weights, gradients."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from stallgate.measure.child_plan import child_plan
from stallgate.measure.outcomes import Finished
from stallgate.measure.plan import Request, plan_cases
from stallgate.project.load import load_project
from tests.child.talk import talk
from tests.conftest import ROOT
from tests.shared import Shared

RIGHT = ""


class Kind(NamedTuple):
    """A problem: its reference, its inputs, its variants with words of why each is wrong, and whatever else it has."""

    reference: str
    inputs: str
    variants: dict[str, str]
    more: str = ""
    workload: str = ""


KINDS = {
    "tuple": Kind(
        "kinds.py:split",
        '"float32[40,30]"',
        {
            "kinds.py:split": RIGHT,
            "kinds.py:split_strided": RIGHT,
            "kinds.py:split_table": RIGHT,
            "kinds.py:split_wrong_order": "output 0: ",
            "kinds.py:split_one_less": "it returned 2 outputs; expected 3",
            "kinds.py:split_one_more": "it returned 4 outputs; expected 3",
            "kinds.py:split_aliased": "output 1: ",
            "kinds.py:split_sparse": "it returned a tensor of layout sparse_coo",
            "kinds.py:split_number": "it returned bool, not a tensor",
            "kinds.py:split_elsewhere": "it returned a tensor on meta",
            "kinds.py:split_wrong_mask": "of rows of zeros: output 2: ",
        },
    ),
    "add_norm": Kind(
        "kinds.py:add_norm",
        '"bfloat16[7,320]", "bfloat16[7,320]", "bfloat16[320]"',
        {
            "kinds.py:add_norm": RIGHT,
            "kinds.py:add_norm_fused": RIGHT,
            "kinds.py:add_norm_returns_both": RIGHT,
            "kinds.py:add_norm_unchanged": "output 1: ",
            "kinds.py:add_norm_of_data": "it resized an input, or gave it other memory",
            "kinds.py:add_norm_set": "it resized an input, or gave it other memory",
            "kinds.py:add_norm_resized": "it resized an input, or gave it other memory",
            "kinds.py:add_norm_changes_x": "it changed its input",
            "kinds.py:add_norm_without_weight": "output 0: ",
        },
        "mutates = [0]",
    ),
    "cache": Kind(
        "kinds.py:append",
        '"float32[2,64,8]", "float32[2,3,8]", 5',
        {"kinds.py:append": RIGHT, "kinds.py:append_copied": RIGHT, "kinds.py:append_to_copy": "output 1: "},
        "mutates = [0]",
    ),
    "quantiser": Kind(
        "kinds.py:quantised",
        '"bfloat16[9,400]"',
        {"kinds.py:quantised": RIGHT, "kinds.py:quantised_by_truncation": "output 0: "},
    ),
    "embedding": Kind(
        "kinds.py:embedding_of_the_next",
        '"float16[500,16]", "int64[3,70] integers(0,500)"',
        {"kinds.py:embedding_of_the_next": RIGHT, "kinds.py:embedding": "elements are wrong"},
    ),
    "adam": Kind(
        "kinds.py:adam",
        '"float32[1000]", "float32[1000]", "float32[1000] uniform(0,1)", "float32[1000]", 3',
        {
            "kinds.py:adam": RIGHT,
            "kinds.py:adam_returning": RIGHT,
            "kinds.py:adam_two_of_three": "output 2: ",
            "kinds.py:adam_without_correction": "output 0: ",
        },
        "mutates = [0, 1, 2]",
    ),
    "softmax_backward": Kind(
        "torch.nn.functional.softmax",
        '"float32[6,500]", -1',
        {
            "kinds.py:softmax": RIGHT,
            "kinds.py:half_softmax": "elements are wrong",
            "kinds.py:softmax_without_gradient": "0 of its results require a gradient",
        },
        workload='direction = "backward"',
    ),
    "sum_backward": Kind(
        "kinds.py:total",
        '"float32[6,50]", "float32[6,50]", "float32[6]"',
        {"kinds.py:total": RIGHT},
        workload='direction = "backward"',
    ),
    "top_backward": Kind("kinds.py:top", '"float32[6,50]"', {"kinds.py:top": RIGHT}, workload='direction = "backward"'),
    "layer": Kind(
        "kinds.py:Layer",
        '"float32[20,32]"',
        {"kinds.py:Layer": RIGHT, "kinds.py:FusedLayer": RIGHT, "kinds.py:OtherWeights": "elements are wrong"},
        "seed = 7",
    ),
    "layer_without_seed": Kind("kinds.py:Layer", '"float32[20,32]"', {"kinds.py:FusedLayer": RIGHT}),
    "kernelbench": Kind(
        "kernelbench.py",
        "",
        {"kernelbench_right.py": RIGHT, "kernelbench_no_epsilon.py": "on 3x300 of "},
    ),
    "scalar": Kind("kinds.py:mean", '"float32[50,60]"', {"kinds.py:mean": RIGHT, "kinds.py:mean_of_row": "[] is"}),
    "table": Kind("kinds.py:named", '"float32[50,60]"', {"kinds.py:named": RIGHT, "kinds.py:named_tuple": RIGHT}),
    "zero_dim": Kind(
        "kinds.py:scaled",
        '"float32[50]", "float32[]"',
        {"kinds.py:scaled": RIGHT, "kinds.py:first_only": "elements are wrong"},
    ),
    "empty": Kind("kinds.py:none_left", '"float32[50,3]", 0', {"kinds.py:none_left": RIGHT}),
    "empty_input": Kind("kinds.py:doubled", '"float32[0,3]"', {"kinds.py:doubled": RIGHT}),
    "eight_bits": Kind("kinds.py:named_tuple", '"float16[50,60]"', {"kinds.py:named_tuple": RIGHT}),
    "complex": Kind("kinds.py:doubled", '"complex64[50,60]"', {"kinds.py:doubled": RIGHT}),
    "stale": Kind(
        "kinds.py:doubled", '"float32[50,60]"', {"kinds.py:doubled": RIGHT, "kinds.py:stale": "of fresh data: "}
    ),
    "huge": Kind(
        "kinds.py:doubled",
        '"bfloat16[50,60] normal(0,1e30)"',
        {"kinds.py:doubled": RIGHT, "kinds.py:tripled": "elements are wrong"},
    ),
    "narrow": Kind("kinds.py:doubled_only_narrow", '"float32[50,60]"', {"kinds.py:doubled": RIGHT}),
}
UNANSWERED = {
    "undeclared": ("kinds.py:doubled_in_place", "", "it changes input 0, and `mutates` does not name it"),
    "nothing": ("kinds.py:nothing", "", "it returns no tensor"),
    "no_tensor": ("kinds.py:doubled_in_place", "mutates = [1]", "`mutates` names input 1, which is no tensor"),
}
"""References that say nothing that a variant could be held to -> what is said of them."""


def name_of(entry: str) -> str:
    return entry.removesuffix(".py").replace(":", ".").rpartition(".")[2].lower()


def project(root: Path) -> Path:
    """All kinds, and the references that say nothing, as one project."""
    shutil.copytree(ROOT / "tests/child/kinds", root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    unanswered = {
        name: Kind(reference, '"float32[4,5]"', {"kinds.py:doubled": words}, more)
        for name, (reference, more, words) in UNANSWERED.items()
    }
    lines = []
    for name, kind in {**KINDS, **unanswered}.items():
        lines += [f"[problems.{name}]", f'reference = "{kind.reference}"', 'stages = ["streaming"]', kind.more]
        lines += [f"[problems.{name}.workloads.main]", kind.workload]
        lines += [f"inputs = [{kind.inputs}]"] if kind.inputs else []
        lines += [f"[problems.{name}.variants]"]
        lines += [f'{name_of(entry)} = {{ entry = "{entry}" }}' for entry in kind.variants]
    (root / "stallgate.toml").write_text("\n".join(lines))
    return root


@pytest.fixture(scope="session")
def found(shared: Shared) -> dict[str, Finished]:
    """What the child says of each variant of each problem."""
    return shared.get("kinds", _measured)


def _measured(folder: Path) -> dict[str, Finished]:
    loaded = load_project(project(folder))
    plan = child_plan(loaded, plan_cases(loaded, Request()), ["0", "1"], "cpu")
    (folder / "plan.json").write_bytes(plan)
    finished = talk(folder, folder / "plan.json").finished
    return {"/".join(name.split("/")[:2]): each for name, each in finished.items()}


@pytest.mark.parametrize(("name", "entry"), [(name, entry) for name, kind in KINDS.items() for entry in kind.variants])
def test_it_is_right_or_wrong_for_what_it_does(found: dict[str, Finished], name: str, entry: str) -> None:
    words, one = KINDS[name].variants[entry], found[f"{name}/{name_of(entry)}"]
    if words == RIGHT:
        assert (one.outcome, one.reason) == ("profiled", "")
    else:
        assert one.outcome in ("wrong_result", "crashed")
        assert words in one.reason


@pytest.mark.parametrize("name", UNANSWERED)
def test_a_reference_that_says_nothing_is_blamed_for_it(found: dict[str, Finished], name: str) -> None:
    one = found[f"{name}/doubled"]
    assert one.outcome == "crashed"
    assert "the reference: NoTruth: " in one.reason
    assert UNANSWERED[name][2] in one.reason
