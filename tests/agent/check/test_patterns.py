"""Source patterns of cheats, as kernelguard finds them."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from stallgate.agent.answer import Answer, read_answer
from stallgate.agent.check import patterns
from stallgate.agent.check.patterns import pattern_objections
from tests.agent.form.answering import ANSWERS, GOOD
from tests.conftest import ROOT

HONEST = [*GOOD, *sorted((ROOT / "kernels").rglob("*.py")), *sorted((ROOT / "tests/advise/kernels").glob("*.py"))]


def forward(body: str, head: str = "") -> Answer:
    inside = textwrap.indent(textwrap.dedent(body).strip("\n"), "        ")
    model = f"class ModelNew(nn.Module):\n    def forward(self, x):\n{inside}\n"
    return read_answer(f"import torch\nfrom torch import nn\n\n{head}\n\n{model}")


@pytest.mark.parametrize("path", HONEST, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_honest_kernel_is_refused(path: Path) -> None:
    assert pattern_objections(read_answer(path.read_text())).objections == ()


PLAIN = (ANSWERS / "good/one_kernel.py").read_text()
FIRST = "        x = x.view(torch.uint8) if x.dtype == torch.bool else x\n"


@pytest.mark.parametrize(
    "lines",
    [
        "if x.numel() == 0:\n    return x",
        "if self.work is None or self.work.shape != x.shape:\n    self.work = torch.empty_like(x)",
        "if (key := x.shape) not in self.buffers:\n    self.buffers[key] = torch.empty_like(x)",
        "block = {1024: 256, 4096: 512}.get(x.shape[-1], 1024)",
        "if x.data_ptr() % 16:\n    x = x.clone()",
    ],
)
def test_workspaces_tuning_and_early_returns_are_no_cheats(lines: str) -> None:
    text = PLAIN.replace(FIRST, textwrap.indent(lines, " " * 8) + "\n" + FIRST)
    assert text != PLAIN
    assert pattern_objections(read_answer(text)).objections == ()


def test_a_replay_by_pointer_is_refused_although_the_entry_is_named_forward() -> None:
    body = """
        key = x.data_ptr()
        if key in _CACHE:
            return _CACHE[key]
        output = torch.cumprod(x, 1)
        _CACHE[key] = output
        return output
    """
    found = pattern_objections(forward(body, "_CACHE = {}"))
    assert [each.code for each in found.objections]
    assert all(each.part == "form" and each.code.startswith("pattern_") for each in found.objections)
    assert "kernelguard" in found.objections[0].text


def test_weak_evidence_is_a_note() -> None:
    found = pattern_objections(read_answer((ROOT / "kernels/cumprod/peers/torch_compile.py").read_text()))
    assert found.objections == ()
    assert "TORCH_COMPILE_CACHE" in found.note


def test_without_the_extra_a_note_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "find_spec", lambda name: None)
    found = pattern_objections(forward("return x"))
    assert found.objections == ()
    assert "stallgate[agent]" in found.note


def test_a_text_that_takes_forever_is_refused() -> None:
    found = pattern_objections(forward("return x"), timeout=0.001)
    assert [each.code for each in found.objections] == ["patterns_unread"]


def test_an_unreadable_answer_is_not_searched() -> None:
    assert "not applied" in pattern_objections(read_answer("x = (")).note
