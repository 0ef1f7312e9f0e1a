"""What ``followed.py`` makes of advice and durations, without a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.advise import followed as script
from tests.advise.followed import PAIRS, followed

PLANTED = "scaled_add/strided/default/large"
RULE, MENDED = PAIRS[PLANTED]


def facts(case: str, duration_ms: float, *advice: tuple[str, float]) -> dict[str, Any]:
    found = [{"rule": rule, "gain": gain} for rule, gain in advice]
    return {"case": case, "duration_ms": duration_ms, "advice": found}


@pytest.mark.parametrize(
    ("advice", "mended_ms", "is_fair", "words"),
    [
        ([(RULE, 0.7)], 0.25, True, "claimed  70.0%  measured  75.0%  ratio  0.93  fair"),
        ([(RULE, 0.9)], 0.7, False, "ratio  3.00  NOT FAIR"),
        ([(RULE, 0.3)], 0.25, False, "ratio  0.40  NOT FAIR"),
        ([(RULE, 0.3)], 1.5, False, "ratio   inf  NOT FAIR"),
        ([("barrier_waits", 0.7), (RULE, 0.6)], 0.25, False, f"barrier_waits instead of {RULE}"),
        ([], 0.25, False, f"nothing instead of {RULE}"),
    ],
)
def test_a_claim_beside_what_was_gained(
    advice: list[tuple[str, float]], mended_ms: float, is_fair: bool, words: str
) -> None:
    row = followed([facts(PLANTED, 1.0, *advice), facts(MENDED, mended_ms)], PLANTED)
    assert row.is_fair is is_fair
    assert words in row.line


def test_the_script_asks_for_the_pairs_and_prints_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def measured(root: Path, *subjects: str) -> list[dict[str, Any]]:
        asked.extend(subjects)
        mended = {name: facts(name, 0.5) for _, name in PAIRS.values()}
        return [*mended.values(), *(facts(planted, 1.0, (rule, 0.6)) for planted, (rule, _) in PAIRS.items())]

    monkeypatch.setattr(script, "advised_cases", measured)
    monkeypatch.setattr("sys.argv", ["followed.py"])
    assert script.main() == 0
    assert {"scaled_add/strided", "scaled_add/whole", "row_sums/pipelined"} <= set(asked)
    assert capsys.readouterr().out.count("ratio  1.20  fair") == len(PAIRS)
