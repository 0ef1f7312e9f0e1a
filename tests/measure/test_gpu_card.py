"""A live GPU against its data sheet, through the real command line."""

from __future__ import annotations

import json

import pytest

from stallgate.measure.device import find_devices
from tests.conftest import ROOT
from tests.measure.test_gpu import stallgate

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not find_devices(), reason="there is no GPU")]


def test_doctor_holds_every_gpu_that_torch_sees_against_its_card() -> None:
    findings = json.loads(stallgate(ROOT, "doctor", "--json").stdout)["findings"]
    cards = [finding for finding in findings if finding["name"] == "card"]
    assert cards
    assert [finding["text"] for finding in cards if finding["state"] != "ok"] == []
