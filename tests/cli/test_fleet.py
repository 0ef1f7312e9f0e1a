"""Which GPU models of a fleet are measured, and which one is gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from stallgate.cli.fleet import chosen_models, of_its_model
from stallgate.cli.options import FleetOptions
from stallgate.errors import BadArgument, UnknownName
from tests.conftest import Stallgate

NESTED = ["NVIDIA H200", "NVIDIA H200 NVL", "NVIDIA GeForce RTX 4070", "NVIDIA GeForce RTX 4070 Ti"]


@pytest.mark.parametrize("name", NESTED)
@pytest.mark.parametrize("each", [True, False])
def test_a_model_can_be_named_whose_name_is_a_part_of_another(name: str, each: bool) -> None:
    assert chosen_models(NESTED, name.lower(), each=each) == [name]


def test_a_part_of_a_name_is_every_model_that_has_it() -> None:
    assert chosen_models(NESTED, "4070", each=True) == NESTED[2:]
    with pytest.raises(BadArgument, match="GPUs of 2 models"):
        chosen_models(NESTED, "h200", each=False)
    with pytest.raises(UnknownName):
        chosen_models(NESTED, "B200", each=True)


def options(gpu: str | None = None, *, each_model: bool = False) -> FleetOptions:
    return FleetOptions(on="local", gpu=gpu, each_model=each_model, wait=1.0)


def test_what_is_gone_on_with_is_measured_on_its_own_model() -> None:
    assert of_its_model(options(), NESTED[0]).gpu == NESTED[0]
    assert of_its_model(options("h200"), NESTED[0]).gpu == NESTED[0]
    assert of_its_model(options("h200"), None).gpu == "h200"


def test_another_model_is_refused_and_so_is_each() -> None:
    with pytest.raises(BadArgument, match="begun on NVIDIA H200"):
        of_its_model(options("H100"), NESTED[0])
    with pytest.raises(BadArgument, match="--each-model is not allowed with --resume"):
        of_its_model(options(each_model=True), NESTED[0])


@pytest.mark.parametrize("command", ["profile", "check", "bench", "sweep"])
@pytest.mark.parametrize("option", [("--gpu", "H200"), ("--each-model",), ("--wait", "1")])
def test_what_chooses_among_a_fleet_is_refused_without_one(
    stallgate: Stallgate, command: str, option: tuple[str, ...]
) -> None:
    """Whoever asks for a GPU model must not take this machine's answer for that model's."""
    done = stallgate(command, "cumprod/blocked_scan", *option)
    assert done.returncode == 2
    assert f"{option[0]} is for measuring on a fleet" in done.stderr
    assert "--on" in done.stderr


def test_an_answer_is_not_checked_on_a_fleet(stallgate: Stallgate, tree: Path) -> None:
    (tree / "answer.py").write_text("x = 1\n")
    done = stallgate("check", "answer.py", "--on", "local")
    assert done.returncode == 2
    assert "--on is not for answers" in done.stderr
