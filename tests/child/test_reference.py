"""References: what they say is right, and what they refuse to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from stallgate.child.load import ProjectModules
from stallgate.child.reference import NoTruth, Reference, gradients
from tests.child.plans import entry_of, first_fault, library_reference, plain_case, reference_of


def loaded(folder: Path, text: str, attribute: str = "", **changes: Any) -> Reference:
    path = folder / "reference.py"
    path.write_text(text)
    spec = reference_of(path, entry=entry_of(path, attribute=attribute), **{"specials": "library", **changes})
    return Reference(spec, ProjectModules(str(folder), []))


def right(reference: Reference, case: dict[str, Any], *, special: bool = False) -> tuple[list[Any], list[Any]]:
    inputs = reference.inputs(case, "cpu", 0)
    return inputs, reference.expected(case, inputs, special=special)


def test_what_is_right_is_computed_in_64_bits_and_rounded_once() -> None:
    inputs, expected = right(library_reference("torch.matmul"), plain_case("bfloat16[9,300]", "bfloat16[300,8]"))
    ((_, want),) = expected[0].parts
    assert torch.equal(want, (inputs[0].double() @ inputs[1].double()).bfloat16())


@pytest.mark.parametrize("error", ["RuntimeError()", "AssertionError()", "KeyError('float64')", "TypeError()"])
def test_a_reference_that_refuses_64_bits_is_taken_as_it_is(tmp_path: Path, error: str) -> None:
    text = f"import torch\ndef f(x):\n    if x.dtype == torch.float64: raise {error}\n    return x.cumsum(-1)"
    inputs, expected = right(loaded(tmp_path, text, "f"), plain_case("float32[9,300]"))
    assert first_fault(inputs[0].cumsum(-1), expected) is None


def test_memory_that_is_short_is_no_reason_to_compare_less_exactly(tmp_path: Path) -> None:
    text = "import torch\ndef f(x):\n    if x.dtype == torch.float64: raise torch.OutOfMemoryError()\n    return x"
    with pytest.raises(torch.OutOfMemoryError):
        right(loaded(tmp_path, text, "f"), plain_case("float32[9,300]"))


def test_of_integers_that_64_bits_round_otherwise_only_the_undisputed_are_compared(tmp_path: Path) -> None:
    text = "import torch\ndef f(x): return (x / x.abs().amax() * 127).round().to(torch.int8)"
    inputs, (expected,) = right(loaded(tmp_path, text, "f"), plain_case("bfloat16[64,512]"))
    own = (inputs[0] / inputs[0].abs().amax() * 127).round().to(torch.int8)
    assert expected.trusted is not None
    assert 0.5 < float(expected.trusted.float().mean()) < 1
    assert first_fault(own, [expected]) is None
    assert first_fault((inputs[0].double() / inputs[0].abs().amax() * 127).round().to(torch.int8), [expected]) is None
    assert first_fault(own + 3, [expected]) is not None


@pytest.mark.parametrize(
    ("body", "mutates", "words"),
    [
        ("x.mul_(2); return x.clone()", [], "it changes input 0, and `mutates` does not name it"),
        ("y.mul_(2); x.mul_(2)", [0], "it changes input 1"),
        ("x + y", [], "it returns no tensor"),
        ("return float(x.sum())", [], "it returns no tensor"),
        ("return x", [2], "`mutates` names input 2"),
        ("return x", [7], "`mutates` names input 7"),
    ],
)
def test_what_a_reference_leaves_open_is_said(tmp_path: Path, body: str, mutates: list[int], words: str) -> None:
    case = plain_case("float32[4]", "float32[4]", 3)
    with pytest.raises(NoTruth, match=words):
        right(loaded(tmp_path, f"def f(x, y, n): {body}", "f", mutates=mutates), case)


def test_a_reference_may_return_what_it_changes_or_a_view_of_it(tmp_path: Path) -> None:
    case = plain_case("float32[4,4]")
    for body, outputs in {
        "x.mul_(2)": 1,
        "return x.mul_(2)": 1,
        "x.mul_(2); return x[:]": 1,
        "x.mul_(2); return x.t()": 2,
    }.items():
        assert len(right(loaded(tmp_path, f"def f(x): {body}", "f", mutates=[0]), case)[1]) == outputs


EXPANDED = """
import torch
def get_inputs(*, device, seed):
    generator = torch.Generator(device).manual_seed(seed)
    x = torch.randn(64, generator=generator)
    return [x[:30].expand(20, 30), x.unfold(0, 8, 2)]
class Model(torch.nn.Module):
    def forward(self, x, windows): return x.cumsum(0), windows.sum(-1)
"""


def test_inputs_whose_elements_share_memory(tmp_path: Path) -> None:
    inputs, expected = right(loaded(tmp_path, EXPANDED), plain_case())
    assert inputs[0].stride(0) == 0
    assert first_fault((inputs[0].cumsum(0), inputs[1].sum(-1)), expected) is None


NORM = """
import torch
class Model(torch.nn.Module):
    def forward(self, x): return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()
def get_inputs(): return [torch.randn(4, 64)]
def get_init_inputs(): return []
"""


def test_a_file_in_kernelbenchs_form_has_edge_cases_of_its_own_size(tmp_path: Path) -> None:
    reference = loaded(tmp_path, NORM)
    assert reference.has_edge_cases()
    edges = list(reference.edge_cases(reference.small(plain_case()), "cpu"))
    assert {tuple(edge.inputs[0].shape) for edge in edges} == {(4, 64)}
    assert sum(edge.is_special for edge in edges) > 3
    assert not torch.equal(edges[0].inputs[0], edges[1].inputs[0])


def test_special_data_is_held_to_the_library_or_strictly(tmp_path: Path) -> None:
    """Of numbers whose squares overflow in float32, the reference itself makes zeros."""
    text = "def f(x): return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()"
    case = plain_case("float32[3,8]")
    inputs = [torch.full((3, 8), 1e30)]
    for specials, is_right in {"library": True, "strict": False}.items():
        reference = loaded(tmp_path, text, "f", specials=specials)
        fault = first_fault(torch.zeros(3, 8), reference.expected(case, inputs, special=True))
        assert (fault is None) is is_right
        assert first_fault(torch.zeros(3, 8), reference.expected(case, inputs)) is not None


def test_what_is_finite_on_one_device_only_is_compared_with_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a row with an infinity, one of torch's norms makes NaN and another zeros."""
    reference = loaded(tmp_path, "def f(x): return x * float('nan') if x.isinf().any() else x", "f")
    elsewhere = [torch.tensor([0.0, float("nan"), 0.0])]
    monkeypatch.setattr(Reference, "_on_the_cpu", lambda *_: elsewhere)
    case, inputs = plain_case("float32[3]"), [torch.tensor([1.0, float("inf"), 2.0])]
    expected = reference.expected(case, inputs, special=True)
    assert first_fault(torch.tensor([0.0, float("nan"), 0.0]), expected) is None
    assert first_fault(torch.tensor([0.0, 1.0, 0.0]), expected) is not None


def test_tolerances_are_the_workloads_or_the_problems_one_for_each_output(tmp_path: Path) -> None:
    text = "def f(x): return x * 2, x * 3"
    case = plain_case("float32[40]")
    loose = [{"rtol": 0.1}, {"exact": True}]
    inputs, expected = right(loaded(tmp_path, text, "f", tolerance=loose), case)
    assert first_fault((inputs[0] * 2.1, inputs[0] * 3), expected) is None
    assert first_fault((inputs[0] * 2.1, inputs[0] * 3.0001), expected) is not None
    with pytest.raises(NoTruth, match="3 entries, and there are 2 outputs"):
        right(loaded(tmp_path, text, "f", tolerance=[*loose, {"rtol": 1}]), case)
    _, expected = right(
        loaded(tmp_path, text, "f", tolerance=[{"exact": True}]), {**case, "tolerance": [{"norm": 0.1}]}
    )
    assert first_fault((inputs[0] * 2.1, inputs[0] * 3.1), expected) is None


def test_only_results_that_have_a_gradient_are_given_one() -> None:
    top = library_reference("torch.topk")
    case = plain_case("float32[6,50]", 4, direction="backward")
    inputs = top.inputs(case, "cpu", 0)
    assert top.cotangents_of(case) == 1
    assert inputs[-1].shape == (6, 4)
    found = gradients(lambda x: torch.topk(x, 4), inputs[:1], inputs[-1:])()
    assert first_fault(found, top.expected(case, inputs)) is None


def test_what_is_not_used_has_no_gradient(tmp_path: Path) -> None:
    case = plain_case("float32[6]", "float32[6]", direction="backward")
    inputs, expected = right(loaded(tmp_path, "def f(x, unused): return x * 2", "f"), case)
    assert len(expected) == 1
    assert first_fault(gradients(lambda x, y: x + x, inputs[:2], inputs[2:])(), expected) is None
    with pytest.raises(AssertionError):
        first_fault(gradients(lambda x, y: x + x + 0 * y, inputs[:2], inputs[2:])(), expected)


def test_a_reference_finds_its_own_settings_whatever_a_variant_has_changed(tmp_path: Path) -> None:
    text = "import torch\ntorch.set_float32_matmul_precision('high')\n"
    text += "def f(x):\n    assert torch.get_float32_matmul_precision() == 'high'\n    return x + torch.zeros(3)"
    reference = loaded(tmp_path, text, "f")
    assert torch.get_float32_matmul_precision() == "highest"
    torch.set_default_dtype(torch.float64)
    try:
        ((_, want),) = right(reference, plain_case("float32[3]"))[1][0].parts
    finally:
        torch.set_default_dtype(torch.float32)
    assert want.dtype == torch.float32


def test_weights_are_the_same_for_everybody(tmp_path: Path) -> None:
    """With the seed of the problem, or without one."""
    text = "import torch\nclass L(torch.nn.Linear):\n    def __init__(self): super().__init__(30, 20)"
    for seed in (5, None):
        reference = loaded(tmp_path, text, "L", seed=seed)
        inputs, expected = right(reference, plain_case("float32[4,30]"))
        torch.manual_seed(seed or 0)
        assert first_fault(torch.nn.Linear(30, 20)(inputs[0]).detach(), expected) is None
        torch.manual_seed(99)
        assert first_fault(torch.nn.Linear(30, 20)(inputs[0]).detach(), expected) is not None
