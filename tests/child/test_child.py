"""The measuring child, run as ncu would run it, on the CPU: every outcome that a variant can have."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from stallgate.child.channel import PARENT_GONE
from stallgate.measure.attempt import CHILD_ENTRY
from stallgate.measure.messages import Unable, child_message
from stallgate.measure.outcomes import Finished
from stallgate.measure.process import Spawned, watch
from stallgate.measure.referee import REFEREE_ENTRY as REFEREE
from tests.child.plans import entry_of, fault, places_of, reference_of, workload_of
from tests.child.talk import Talk, talk
from tests.conftest import ROOT
from tests.shared import Shared

REFERENCE = """
import torch
def get_init_inputs(**_): return [1]
def get_inputs(*, shape, dim, dtype, device, seed):
    generator = torch.Generator(device).manual_seed(seed)
    return [torch.rand(shape, generator=generator, device=device, dtype=getattr(torch, dtype)) + 0.5]
def expected(inputs, **_):
    for start in range(0, len(inputs[0]), 2):
        part = (slice(start, start + 2),)
        yield part, inputs[0][part].double().cumprod(1).to(inputs[0].dtype)
def expected_roof(inputs, **_): yield (slice(None),), inputs[0]
def tolerance(**_): return 1e-5
"""

FORM = """
import torch
from torch import nn
class ModelNew(nn.Module):
    def __init__(self, dim, **configuration):
        super().__init__()
        self.dim, self.configuration, self.calls = dim, configuration, 0
    def forward(self, x, *_):
        self.calls += 1
        {body}
"""

VARIANTS = {
    "right": ("return x.cumprod(1)", "profiled", ""),
    "wrong": ("return x.cumprod(1) * 1.001", "wrong_result", "elements are wrong; the first: [0, 0] is"),
    "short": ("return x.cumprod(1)[:, :-1]", "wrong_result", "float32[2, 7]; expected float32[2, 8]"),
    "flat": ("return x.cumprod(1).flatten()", "wrong_result", "expected float32[2, 8]"),
    "half": ("return x.cumprod(1).half()", "wrong_result", "float16[2, 8]; expected float32[2, 8]"),
    "none": ("return None", "wrong_result", "it returned nothing"),
    "unwritten": ("y = torch.empty_like(x); y[:, :4] = x.cumprod(1)[:, :4]; return y", "wrong_result", "is nan, exp"),
    "raising": ("raise ValueError('no such thing\\nsecond line')", "crashed", "ValueError: no such thing"),
    "leaving": ("raise SystemExit(0)", "crashed", "SystemExit"),
    "later": ("return x.cumprod(1) * (1 if self.calls < 4 else 2)", "wrong_result", "elements are wrong"),
    "overwriting": ("x *= 2; return x.cumprod(1)", "wrong_result", "it changed its input"),
    "clearing": ("return x.zero_()", "wrong_result", "it changed its input"),
    "in_place_later": (
        "return x.cumprod(1) if self.calls < 4 else x.cumprod_(1)",
        "wrong_result",
        "it changed its input",
    ),
    "greedy": (
        "raise torch.OutOfMemoryError('tried to allocate 9 TiB')",
        "skipped",
        "does not fit in GPU memory: tried",
    ),
    "slow": ("__import__('time').sleep(1.1); return x.cumprod(1)", "skipped", "over the limit of 1 s"),
    "broken": ("return (", "crashed", "SyntaxError"),
    "aliasing": ("x.cumprod(1); return x[:]", "wrong_result", "its output shares memory with its input"),
    "lazy": (
        "return x.cumprod(1).as_subclass(type('Lazy', (torch.Tensor,), {}))",
        "wrong_result",
        "it returned Lazy, not a tensor",
    ),
}


ROOFS = {"copy": "return x.clone()", "scan": "return x.cumprod(1)"}

SMALL = """
def expected_flops_roof(inputs, **_): yield (slice(None),), inputs[0] * 2
def small_arguments(*, shape, dim, dtype): return {"shape": [3, 7], "dim": dim, "dtype": dtype}
def get_special_inputs(**arguments):
    (x,) = get_inputs(**arguments)
    x[:, 2] = 0
    return {"a zero": [x]}
"""

STRAYING = {
    "right": ("return x.cumprod(1)", ""),
    "even_only": ("return x.cumprod(1) * (1 + x.shape[1] % 2)", "on 3x7 of fresh data: 21 of 21 elements are wrong"),
    "no_zeros": ("return x.log().cumsum(1).exp() + 0 / x.min()", "on 3x7 of a zero: "),
    "refusing": ("assert x.shape[1] % 2 == 0, 'even only'; return x.cumprod(1)", "it raises AssertionError: even only"),
}

SPYING = f"""
        import sys
        assert not [path for path in sys.path if path.startswith({str(ROOT / "harness" / "stallgate")!r})], sys.path
        return x.cumprod(1)
"""


def case_of(tmp_path: Path, name: str, body: str, **changes: Any) -> dict[str, Any]:
    path = tmp_path / f"{name}.py"
    path.write_text(FORM.format(body=body))
    case = {
        "problem": "p",
        "variant": name,
        "role": "candidate",
        "ceiling": None,
        "entry": entry_of(path),
        "tunables": {},
        "labels": ["a", "b", "c"],
        **workload_of(arguments={"shape": [5, 8], "dim": 1, "dtype": "float32"}),
        **changes,
    }
    return {**case, "name": name_of(name, case["role"], case["problem"])}


def changed(case: dict[str, Any]) -> dict[str, Any]:
    """A case whose file is not the one that was planned."""
    return {**case, "entry": {**case["entry"], "digest": "0" * 64}}


def name_of(variant: str, role: str = "candidate", problem: str = "p") -> str:
    return f"{problem}/{variant}/{role}/w"


def every_case(folder: Path) -> list[dict[str, Any]]:
    """What one child measures for all tests that need none of their own: its start takes longer than all of them."""
    right, tuned = "return x.cumprod(1)", "return x.cumprod(1) * self.configuration['factor']"
    return [
        *[case_of(folder, name, body) for name, (body, _, _) in VARIANTS.items()],
        *[case_of(folder, name, body, role="roof") for name, body in ROOFS.items()],
        *[
            case_of(folder, name, body, problem="small", role=role)
            for role in ("candidate", "baseline")
            for name, (body, _) in STRAYING.items()
        ],
        case_of(folder, "library_scan", ROOFS["scan"], role="roof", ceiling="library"),
        case_of(folder, "library_copy", ROOFS["copy"], role="roof", ceiling="library"),
        case_of(folder, "flops_copy", ROOFS["copy"], role="roof", ceiling="flops"),
        case_of(folder, "flops_double", "return x * 2", role="roof", ceiling="flops", problem="small"),
        case_of(folder, "tuned", tuned, tunables={"factor": 1}),
        changed(case_of(folder, "changed", right)),
        case_of(folder, "large", right, bytes=2**60),
        case_of(folder, "spying", SPYING),
    ]


def write_plan(folder: Path, cases: list[dict[str, Any]], **changes: Any) -> None:
    references = {}
    for problem, text in {"p": REFERENCE, "small": REFERENCE + SMALL}.items():
        path = folder / f"{problem}_reference.py"
        path.write_text(text)
        references[problem] = reference_of(path)
    plan = {
        "device": "cpu",
        "run_limit_s": 1.0,
        **places_of(folder),
        "references": references,
        "cases": cases,
        **changes,
    }
    (folder / "plan.json").write_text(json.dumps(plan))


Found = dict[str, Finished]


def measure(folder: Path, cases: list[dict[str, Any]], **changes: Any) -> Talk:
    write_plan(folder, cases, **changes)
    return talk(folder, folder / "plan.json")


@pytest.fixture(scope="session")
def everything(shared: Shared) -> Talk:
    return shared.get("child", lambda folder: measure(folder, every_case(folder)))


@pytest.fixture(scope="session")
def found(everything: Talk) -> Found:
    """Outcomes by case."""
    return everything.finished


def test_every_outcome_is_one_variants_own(everything: Talk, found: Found) -> None:
    for name, (_, outcome, reason) in VARIANTS.items():
        assert found[name_of(name)].outcome == outcome, found[name_of(name)]
        assert reason in found[name_of(name)].reason
    assert everything.said[0]["said"]["event"] == "environment"
    assert everything.said[-1]["said"]["event"] == "end"
    assert everything.ended.exit_status == 0


def test_the_roof_is_held_against_what_a_roof_does(found: Found) -> None:
    assert found[name_of("copy", "roof")].outcome == "profiled"
    assert found[name_of("scan", "roof")].outcome == "wrong_result"


def test_what_a_roof_has_to_return_depends_on_its_ceiling(found: Found) -> None:
    """A library computes the problem; a roof of arithmetic may have a right result of its own."""
    assert found[name_of("library_scan", "roof")].outcome == "profiled"
    assert found[name_of("library_copy", "roof")].outcome == "wrong_result"
    assert found[name_of("flops_copy", "roof")].outcome == "profiled"
    assert found[name_of("flops_double", "roof", "small")].outcome == "profiled"


def test_a_candidate_is_right_beside_its_workload_and_a_baseline_is_shown(found: Found) -> None:
    for name, (_, words) in STRAYING.items():
        candidate, baseline = (found[name_of(name, role, "small")] for role in ("candidate", "baseline"))
        assert candidate.outcome == ("wrong_result" if words else "profiled"), candidate
        assert words in candidate.reason
        assert baseline.outcome == "profiled", baseline
        assert bool(baseline.edge_case_fault) == bool(words)
        assert words in baseline.edge_case_fault


def test_tunables_reach_the_variant(found: Found) -> None:
    assert found[name_of("tuned")].outcome == "profiled"


def test_a_file_that_changed_since_the_plan_is_not_measured(found: Found) -> None:
    assert found[name_of("changed")].outcome == "crashed"
    assert "has changed since the run was planned" in found[name_of("changed")].reason


def test_what_does_not_fit_is_skipped_with_both_sizes(found: Found) -> None:
    assert found[name_of("large")].outcome == "skipped"
    assert "GiB" in found[name_of("large")].reason


def test_the_child_sees_nothing_of_the_harness_environment(found: Found) -> None:
    """It is loaded by path: neither the packages beside it nor its own files become importable names."""
    assert found[name_of("spying")].outcome == "profiled", found[name_of("spying")]


def test_an_interpreter_without_a_gpu_says_so(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    unable = measure(tmp_path, [], device="cuda").unable
    assert unable is not None
    assert "CUDA" in unable


def test_an_interpreter_without_torch_says_so(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"device": "cuda", "cases": []}))
    script = f"import sys, runpy; sys.modules['torch'] = None; sys.argv[1:1] = [{str(tmp_path / 'plan.json')!r}]\n"
    script += f"sys.path.insert(0, 'x'); runpy.run_path({str(CHILD_ENTRY)!r}, run_name='__main__')"
    heard: list[bytes] = []
    child = Spawned([sys.executable, "-c", script], os.environ, tmp_path / "log", 10.0)
    watch(child, 60.0, lambda line: not heard.append(line))
    assert len(heard) == 1, (tmp_path / "log").read_text()
    message = child_message(heard[0])
    assert isinstance(message, Unable)
    assert "cannot import torch" in message.reason


@pytest.mark.parametrize(("entry", "last"), [(CHILD_ENTRY, b'"id"'), (REFEREE, b'"ready"')], ids=["child", "referee"])
def test_it_ends_with_whoever_started_it(tmp_path: Path, entry: Path, last: bytes) -> None:
    """While it waits for a word from the starter, who may have been killed: for an answer, or for a request."""
    write_plan(tmp_path, [case_of(tmp_path, "sleeping", "import time; time.sleep(60)")])
    process = Spawned(
        [sys.executable, str(entry), str(tmp_path / "plan.json")],
        {**os.environ, "TRITON_INTERPRET": "1"},
        tmp_path / "log",
        10.0,
    )
    heard = [b""]
    while last not in heard[-1]:
        assert process.channel.receive(60.0), "it says nothing before it begins to work"
        heard += process.channel.lines()
    process.channel.close()
    assert process.process.wait(timeout=20) in (0, PARENT_GONE), "by its own end, or by its watchdog"


# --- comparing ---

WANT = torch.tensor([[1.0, 2.0, float("nan"), float("inf")]])


@pytest.mark.parametrize(
    ("got", "message"),
    [
        ([1.0, 2.0, float("nan"), float("inf")], None),
        ([1.0 + 1e-6, 2.0, float("nan"), float("inf")], None),
        ([1.0 + 1e-4, 2.0, float("nan"), float("inf")], "[0, 0]"),
        ([1.0, 2.0, 0.0, float("inf")], "[0, 2] is 0.0, expected nan"),
        ([1.0, float("nan"), float("nan"), float("inf")], "[0, 1] is nan, expected 2.0"),
        ([1.0, 2.0, float("nan"), -float("inf")], "[0, 3] is -inf, expected inf"),
        ([1.0, 2.0, float("nan"), 3e38], "1 of 4 elements are wrong"),
    ],
)
def test_elements(got: list[float], message: str | None) -> None:
    found = fault(torch.tensor([got]), [((slice(0, 1),), WANT)], 1e-5)
    assert (found is None) is (message is None)
    if message is not None:
        assert found is not None
        assert message in found


def test_an_index_counts_from_the_outputs_start() -> None:
    output = torch.zeros(4, 3)
    output[3, 1] = 1
    parts = [((slice(0, 2),), torch.zeros(2, 3)), ((slice(2, 4),), torch.zeros(2, 3))]
    assert "[3, 1] is 1.0, expected 0.0" in str(fault(output, parts, 1e-5))


def test_integers_are_exact() -> None:
    big = torch.tensor([2**62 + 1])
    assert fault(big, [((slice(None),), big.clone())], 0) is None
    assert fault(big - 1, [((slice(None),), big)], 0) is not None


def test_a_scalar_and_an_empty_output() -> None:
    assert fault(torch.tensor(2.0), [((), torch.tensor(2.0))], 1e-5) is None
    assert fault(torch.empty(0, 3), [((slice(None),), torch.empty(0, 3))], 1e-5) is None


def test_float64_is_looked_at_twice_and_left_as_it_is() -> None:
    """Where a ratio says nothing, as for 0, differences decide; neither may work in the memory of what it compares."""
    got, want = torch.tensor([2.0, 0.0, 5.0]).double(), torch.tensor([2.0, 0.0, 5.0]).double()
    assert fault(got, [((slice(None),), want)], 1e-12) is None
    assert got.tolist() == want.tolist() == [2.0, 0.0, 5.0]
    assert "1 of 3 elements are wrong" in str(fault(got + torch.tensor([0, 0, 1]), [((slice(None),), want)], 1e-12))


def test_parts_that_do_not_cover_the_output_are_a_fault() -> None:
    assert "4 elements; expected 3" in str(fault(torch.zeros(4), [((slice(0, 3),), torch.zeros(3))], 1e-5))
