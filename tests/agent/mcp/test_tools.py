"""The tools without a server: what becomes of their arguments, what fits, and what the command line says of them."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stallgate.agent.mcp.fit import as_answer, fitted
from stallgate.agent.mcp.tools import AgentTool, agent_tools
from stallgate.cli.group import COMMANDS
from stallgate.errors import BadArgument
from tests.conftest import ROOT, Stallgate

TOOLS = agent_tools()


def drawn_value(rng: random.Random, depth: int) -> Any:
    """Any JSON, such as a command may print; some of it is large."""
    match rng.randrange(7 if depth else 4):
        case 0:
            return rng.choice([None, True, 1.5, -(10**30), 1e300])
        case 1 | 2 | 3:
            return rng.choice(["", "a", 'é\n"', "🔥"]) * rng.randrange(rng.choice([5, 400]))
        case 4 | 5:
            return [drawn_value(rng, depth - 1) for _ in range(rng.randrange(8))]
        case _:
            keys = [rng.choice(["k", "a long key "]) * (place + 1) for place in range(rng.randrange(8))]
            return {key: drawn_value(rng, depth - 1) for key in keys}


# --- what fits ---


@settings(max_examples=100)
@given(st.randoms(use_true_random=False), st.integers(0, 30))
def test_an_answer_is_never_longer_than_it_may_be(drawn: random.Random, offset: int) -> None:
    rng = random.Random(drawn.random())
    rest = {f"key{place}": drawn_value(rng, 3) for place in range(rng.randrange(6))}
    rows = [drawn_value(rng, 3) for _ in range(rng.randrange(30))]
    text = fitted({**rest, "rows": rows}, "rows", offset, 1000)
    assert len(text) <= 1000
    assert isinstance(json.loads(text), dict)


@settings(max_examples=50)
@given(st.lists(st.text("aé\n", max_size=200), max_size=60))
def test_pages_have_every_item_once_and_in_order(rows: list[str]) -> None:
    seen: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = json.loads(fitted({"status": 0, "rows": rows}, "rows", offset, 700))
        seen += page["rows"]
        offset = page.get("next_offset")
    assert seen == rows


def test_an_item_that_is_too_large_is_trimmed_and_says_so() -> None:
    page = json.loads(fitted({"rows": [{"text": "x" * 5000, "name": "a"}, {"name": "b"}]}, "rows", 0, 800))
    assert page["rows"][0]["trimmed"]
    assert page["rows"][0]["name"] == "a"
    assert page["next_offset"] == 1


# --- arguments ---

odd = st.text(st.sampled_from(string.ascii_lowercase + "-/.=_ \0\n;'\"~$é"), max_size=30)


@given(st.sampled_from(sorted(TOOLS)), odd, st.lists(odd, max_size=3))
def test_no_text_becomes_an_option_or_leads_elsewhere(name: str, text: str, texts: list[str]) -> None:
    tool = TOOLS[name]
    given_texts: dict[str, Any] = {}
    for key, schema in tool.schema["properties"].items():
        if schema.get("type") == "string" and "enum" not in schema:
            given_texts[key] = text
        elif schema.get("type") == "array":
            given_texts[key] = texts
    if name == "list":
        given_texts["what"] = "runs"
    try:
        line = tool.words(tool.read(given_texts))
    except BadArgument:
        return
    assert line.words[0] in COMMANDS
    flags = {"--all", "--live", "--detail"}
    assert all(word in flags or (word.startswith("--") and "=" in word) for word in line.words[1:])
    assert not any("\0" in word for word in (*line.words, *line.places))
    if name in ("run", "advise", "gate", "compare"):
        places = [Path(place) for place in line.places]
        assert not any(place.is_absolute() or ".." in place.parts for place in places)


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_the_schema_of_a_tool_is_what_it_takes(tool: AgentTool) -> None:
    schema = tool.schema
    assert "$ref" not in json.dumps(schema)
    assert not schema["additionalProperties"]
    required = {name: "runs" if name == "what" else "x" for name in schema.get("required", [])}
    tool.read(required)
    for name in required:
        with pytest.raises(BadArgument, match=name):
            tool.read({key: value for key, value in required.items() if key != name})


# --- the command ---


def test_the_command_shows_the_tools(stallgate: Stallgate) -> None:
    found = json.loads(stallgate("mcp", "--json").stdout)
    assert [tool["name"] for tool in found["tools"]] == list(TOOLS)
    assert {tool["name"] for tool in found["tools"] if tool["writes"]} == {"profile", "check", "gate"}
    shown = stallgate("mcp", "--show", "--read-only").stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert all((f"{name}  (about" in shown) is not tool.writes for name, tool in TOOLS.items())


def test_without_the_extra_the_command_says_what_to_install(own_process: Stallgate, tmp_path: Path) -> None:
    """And nothing else needs it: the tools are shown without it."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "mcp.py").write_text("raise ModuleNotFoundError(\"No module named 'mcp'\")\n")
    path = f"{tmp_path / 'hidden'}:{ROOT / 'harness'}"
    done = own_process("mcp", PYTHONPATH=path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'stallgate[mcp]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert own_process("mcp", "--show", PYTHONPATH=path).returncode == 0


def test_answers_are_short_json() -> None:
    assert as_answer({"a": [1, "é"]}) == '{"a":[1,"é"]}'
