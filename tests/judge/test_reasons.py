"""Reason codes: the tables for readers and the one that the code uses are the same."""

from __future__ import annotations

import re
from typing import get_args

import stallgate.judge.reasons
from stallgate.judge.reasons import STATUS_OF_REASON, UNMEASURED
from stallgate.model import Outcome, State, Status
from tests.conftest import ROOT


def test_the_docstring_is_the_table() -> None:
    listing = (stallgate.judge.reasons.__doc__ or "").split("\n====")[2].partition("\n")[2]
    found: dict[str, str] = {}
    status = ""
    for line in listing.splitlines():
        status = line[26:39].strip() or status
        found |= {code.strip(): status for code in line[:25].split(",") if code.strip()}
    assert found == STATUS_OF_REASON


def test_the_docs_have_the_same_codes() -> None:
    table = (ROOT / "docs/gating.md").read_text().partition("## Reason codes")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if "`" in line and line.startswith("|")]
    found, of_row = {}, ""
    for status, codes in rows:  # a row without a status has that of the row above
        of_row = status.partition(":")[0].strip().replace(" ", "_") or of_row
        found |= dict.fromkeys(re.findall(r"`(\w+)`", codes), of_row)
    assert found == STATUS_OF_REASON


def test_every_outcome_and_state_without_a_number_is_a_code() -> None:
    codes = {*get_args(Outcome)} - {"profiled"} | {*get_args(State)} - {"measured"}
    assert codes <= set(STATUS_OF_REASON)
    assert set(STATUS_OF_REASON.values()) == set(get_args(Status))
    assert {STATUS_OF_REASON[code] for code in UNMEASURED} == {"not_measured"}
