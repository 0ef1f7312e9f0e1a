"""``stallgate mcp`` as a client has it: the SDK's own client drives the server's process."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stallgate.agent.mcp.fit import DIGEST_CHARACTERS, SECTION_CHARACTERS, as_answer
from stallgate.agent.mcp.tools import CommandWords, agent_tools
from stallgate.agent.tokens import estimated_tokens
from tests.agent.form.answering import ANSWERS
from tests.conftest import ROOT, command_line, environment
from tests.measure.test_process import gone

anyio = pytest.importorskip("anyio")
pytest.importorskip("mcp")

from mcp import StdioServerParameters  # noqa: E402
from mcp.client.client import Client  # noqa: E402
from mcp.client.stdio import stdio_client  # noqa: E402
from mcp.server.lowlevel import Server  # noqa: E402
from mcp.shared.exceptions import MCPError  # noqa: E402

from stallgate.agent.mcp.process import CommandRunner, Tell, ToolAnswer  # noqa: E402
from stallgate.agent.mcp.server import agent_server  # noqa: E402

MOST_TOOLS = 8
MOST_TOKENS_OF_ALL_TOOLS = 6_000
MOST_TOKENS_OF_A_RUN = 1_500
SQUARE = {"subjects": ["cumprod"], "workloads": ["square"]}


class Session:
    """A connected client, which keeps what it is told meanwhile."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.heard: list[str] = []

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """What a tool answers, which has to be no error."""
        is_error, found = await self.ask(tool, **arguments)
        assert not is_error, found
        return found

    async def refused(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The error that a tool answers with."""
        is_error, found = await self.ask(tool, **arguments)
        assert is_error, found
        assert set(found["error"]) == {"code", "message", "hint"}
        error: dict[str, Any] = found["error"]
        return error

    async def ask(self, tool: str, **arguments: Any) -> tuple[bool, dict[str, Any]]:
        async def hear(_: float, __: float | None, message: str | None) -> None:
            self.heard.append(message or "")

        answer = await self.client.call_tool(tool, arguments, progress_callback=hear)
        (content,) = answer.content
        most = DIGEST_CHARACTERS if arguments.get("section", "digest") == "digest" else SECTION_CHARACTERS
        assert len(content.text) <= most
        found: dict[str, Any] = json.loads(content.text)
        assert isinstance(found["status"], int)
        return bool(answer.is_error), found


def server(tree: Path, *options: str, **variables: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable, args=["-m", "stallgate", "mcp", *options], env=environment(**variables), cwd=tree
    )


class Forked:
    """Runs the tools' commands as forks of a process that has the libraries, one at a time."""

    def __init__(self, tree: Path) -> None:
        self._run = command_line(tree)
        self._free = anyio.Lock()

    async def ask(self, line: CommandWords, tell: Tell) -> ToolAnswer:
        async with self._free:
            call = partial(self._run, *line.words, "--json", "--", *line.places)
            done = await anyio.to_thread.run_sync(call)
        return ToolAnswer(done.returncode, json.loads(done.stdout))


def within(tree: Path, *, read_only: bool = False) -> Server[Any]:
    """A server in this process: what it answers is the same, and it costs no start."""
    return agent_server(Forked(tree), agent_tools(read_only=read_only))  # type: ignore[arg-type]


def in_a_thread(task: Callable[..., Awaitable[Any]], *given: Any) -> Any:
    """Runs a task in a thread of its own: in this one, a browser that tests of pages opened may still have its loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(anyio.run, task, *given).result()


def drive(
    served: StdioServerParameters | Server[Any], talk: Callable[[Session], Awaitable[None]], mode: str = "auto"
) -> None:
    """Connects to a server, talks, and leaves."""

    async def main() -> None:
        with anyio.fail_after(600):
            line = stdio_client(served) if isinstance(served, StdioServerParameters) else served
            async with Client(line, mode=mode) as client:
                await talk(Session(client))

    in_a_thread(main)


def contents(tree: Path) -> dict[str, str]:
    files = [path for path in tree.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# --- the flow ---


def test_a_client_goes_from_profile_to_advice_to_a_check(tree: Path) -> None:
    async def talk(session: Session) -> None:
        profiled = await session.call("profile", **SQUARE)
        assert profiled["kind"] == "recorded"
        assert "nothing was measured" in profiled["note"]
        assert (tree / "reports" / profiled["run"] / "run.json").is_file()
        candidate = next(case for case in profiled["cases"] if case["role"] == "candidate")
        assert 0.9 < candidate["roof_fraction"] < 1.1
        assert await session.call("run", run=profiled["run"]) == profiled

        advised = await session.call("advise", run=profiled["run"], variant="blocked_scan")
        (case,) = advised["cases"]
        assert case["advice"][0]["readings"]["dram_throughput"] > 80
        assert case["advice"][0]["disproved_by"]

        checked = await session.call("check", subjects=["cumprod/blocked_scan"], workloads=["tiny"])
        assert [each["answer"] for each in checked["variants"]] == ["right"]
        assert "interpreter" in checked["checked_on"]
        assert any("check has run for" in message for message in session.heard)

        judged = await session.call("gate")
        assert (judged["status"], set(judged["tally"])) == (0, {"pass", "waived"})

    drive(server(tree), talk)


def test_a_client_takes_the_prompt_and_checks_its_answer(tree: Path) -> None:
    """The prompt is the command's, an honest answer is accepted, a cheat is refused at its line; no code changes."""
    honest = (ANSWERS / "good" / "one_kernel.py").read_text()
    cheat = honest.replace("x.movedim(self.dim, -1)", "torch.cumprod(x, self.dim)")
    line = cheat.splitlines().index(next(each for each in cheat.splitlines() if "torch.cumprod(" in each)) + 1
    drawn = {
        "workloads": ["tiny"],
        "drawn": 1,
        "seed": 7,
    }  # other seeds may draw bfloat16, which the interpreter converts wrongly
    asked = {"stage": "no_regression", "against": "blocked_scan", "right_only": True, **drawn}
    before = contents(tree)

    async def talk(session: Session) -> None:
        (offered,) = (await session.client.list_prompts()).prompts
        assert [each.name for each in offered.arguments or [] if each.required] == ["subject"]
        subject = {"subject": "cumprod/blocked_scan", "stage": "no_regression"}
        found = await session.client.get_prompt(offered.name, subject)
        (message,) = found.messages
        assert (
            message.content.text
            == command_line(tree)("prompt", "cumprod/blocked_scan", "--stage", "no_regression").stdout
        )

        accepted = await session.call("check", answer=honest, **asked)
        assert (accepted["status"], accepted["accepted"], accepted["objections"]) == (0, True, [])
        assert accepted["steps"] == {
            "form": "passed",
            "stage": "passed",
            "right": "passed",
            "better": "not_done: it was not asked for",
        }
        refused = await session.call("check", answer=f"Faster:\n```python\n{cheat}```\n", **asked)
        assert (refused["status"], refused["accepted"]) == (1, False)
        assert (refused["objections"][0]["code"], refused["objections"][0]["line"]) == ("torch_operation", line + 2)

    drive(server(tree), talk)
    assert contents(tree) == before


def test_what_a_client_gets_wrong_of_prompts_and_answers_is_said(tree: Path) -> None:
    async def talk(session: Session) -> None:
        for subject in ("cumprod", "../x/y", "cumprod/--help", "cumprod/nonesuch"):
            with pytest.raises(MCPError, match=r"variant|subject"):
                await session.client.get_prompt("prompt", {"subject": subject})
        with pytest.raises(MCPError, match="there is prompt"):
            await session.client.get_prompt("rm")
        assert (await session.refused("check", answer="x", subjects=["cumprod"]))["code"] == "bad_argument"
        assert (await session.refused("check", stage="streaming"))["code"] == "bad_argument"

    drive(within(tree), talk)


def test_older_clients_are_served_too(tree: Path, replayed_square: Path) -> None:
    async def talk(session: Session) -> None:
        assert session.client.protocol_version < "2026"
        assert (await session.call("list", what="runs"))["latest"] == replayed_square.name

    drive(within(tree), talk, mode="legacy")


@pytest.mark.whole_recording
def test_tools_and_default_answers_cost_few_tokens(tree: Path, replayed_square: Path) -> None:
    async def talk(session: Session) -> None:
        tools = (await session.client.list_tools()).tools
        assert len(tools) <= MOST_TOOLS
        schemas = [tool.model_dump(by_alias=True, exclude_none=True) for tool in tools]
        assert estimated_tokens(as_answer(schemas)) < MOST_TOKENS_OF_ALL_TOOLS
        for tool in ("run", "advise", "gate"):
            assert estimated_tokens(as_answer(await session.call(tool))) < MOST_TOKENS_OF_A_RUN
        everything = await session.call("run", section="metrics", case="blocked_scan")
        digest = await session.call("run", case="blocked_scan")
        (all_of_it,), (some,) = everything["cases"], digest["cases"]
        assert some["duration"] == all_of_it["metrics"]["duration"]["median"]
        assert len(all_of_it["metrics"]) > 2 * len(some)

    drive(within(tree), talk)


def test_tools_that_say_so_write_nothing(tree: Path, replayed_square: Path) -> None:
    before = contents(tree)

    async def talk(session: Session) -> None:
        tools = {tool.name: tool.annotations for tool in (await session.client.list_tools()).tools}
        assert set(tools) == {"list", "run", "advise", "compare", "doctor"}
        assert all(hints is not None and hints.read_only_hint for hints in tools.values())
        await session.call("list", what="stages")
        await session.call("run", section="cases")
        await session.call("advise")
        await session.call("compare", base=replayed_square.name)
        await session.call("doctor")
        with pytest.raises(MCPError, match="no tool is named 'profile'"):
            await session.ask("profile")

    drive(within(tree, read_only=True), talk)
    assert contents(tree) == before


# --- what a client may get wrong ---


def test_odd_arguments_are_refused_and_the_server_lives_on(tree: Path, replayed_square: Path) -> None:
    async def talk(session: Session) -> None:
        for run in ("../..", "/etc", "reports/../../x", "~/x"):
            assert (await session.refused("run", run=run))["code"] == "bad_argument"
        assert (await session.refused("run", run="nonesuch"))["code"] == "unknown_name"
        assert (await session.refused("run", run="--help"))["code"] == "unknown_name"
        assert (await session.refused("run", run="a\0b"))["code"] == "bad_argument"
        assert (await session.refused("run", run="x" * 5000))["code"] == "bad_argument"
        assert (await session.refused("run", section="everything"))["code"] == "bad_argument"
        assert (await session.refused("run", offset=-1))["code"] == "bad_argument"
        assert (await session.refused("compare"))["code"] == "bad_argument"
        assert (await session.refused("check", subjects=["../kernels/x.py"]))["code"] == "bad_argument"
        assert (await session.refused("check", subjects=["cumprod/nonesuch"]))["code"] == "unknown_name"
        assert "it takes: " in (await session.refused("run", runs="latest"))["hint"]
        assert (await session.refused("run", case="nonesuch"))["code"] == "unknown_name"
        assert (await session.call("run", offset=10_000))["cases"] == []
        recorded = next(iter(sorted((tree / "reports/recorded").glob("*/*/run.json")))).parent
        name = recorded.relative_to(tree / "reports").as_posix()
        assert (await session.call("gate", run=f"reports/{name}"))["run"] == name
        with pytest.raises(MCPError, match="there are list, profile"):
            await session.ask("rm")
        assert (await session.call("run"))["run"] == replayed_square.name

    drive(within(tree), talk)


def test_calls_at_once_are_all_answered(tree: Path, replayed_square: Path) -> None:
    async def talk(session: Session) -> None:
        found: list[dict[str, Any]] = []

        async def one(tool: str, arguments: dict[str, Any]) -> None:
            found.append(await session.call(tool, **arguments))

        async with anyio.create_task_group() as group:
            for what in ("runs", "problems", "stages", "runs", "problems", "stages"):
                group.start_soon(one, "list", {"what": what})
        assert len(found) == 6

    drive(agent_server(CommandRunner(tree, None, None), agent_tools()), talk)


def test_standard_output_has_the_protocol_and_nothing_else(tree: Path, replayed_square: Path) -> None:
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "0"},
        },
    }
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "run", "arguments": {}}}
    process = subprocess.Popen(
        [sys.executable, "-m", "stallgate", "mcp"],
        cwd=tree,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        for line in (json.dumps(hello), "no JSON at all", '{"jsonrpc": "2.0"}', json.dumps(call)):
            process.stdin.write(line + "\n")
            process.stdin.flush()
        answers = []
        while not answers or answers[-1].get("id") != 2:
            answers.append(json.loads(process.stdout.readline()))
        process.stdin.close()
        answers += [json.loads(line) for line in process.stdout]
        assert process.wait(60) == 0
    assert all(answer["jsonrpc"] == "2.0" for answer in answers)
    assert not answers[-1]["result"].get("isError")


# --- what was started is ended ---


@pytest.fixture
def hanging(tree: Path, recording: Path, tmp_path: Path) -> tuple[StdioServerParameters, Path]:
    """A server on a machine whose ncu hangs, and the file that then has the ids of ncu's processes."""
    fakes = tmp_path / "bin"
    fakes.mkdir()
    for fake in (ROOT / "tests" / "fakes").iterdir():
        wrapper = fakes / fake.name
        wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{fake}" "$@"\n')
        wrapper.chmod(0o755)
    pids = tmp_path / "pids"
    variables = {"FAKE_NCU_RECORDING": str(recording), "FAKE_NCU": "hang_at_once", "FAKE_NCU_PIDS": str(pids)}
    parameters = server(tree, "--python", str(fakes / "python"), PATH=f"{fakes}:/usr/bin:/bin", **variables)
    return parameters, pids


async def wait_for(path: Path) -> list[int]:
    """The process ids in a file, as soon as it is there."""
    while not path.exists() or not path.read_text().strip():
        await anyio.sleep(0.05)
    return [int(word) for word in path.read_text().split()]


def test_a_cancelled_profile_is_ended_with_its_processes(hanging: tuple[StdioServerParameters, Path]) -> None:
    parameters, pids = hanging
    found: list[int] = []

    async def talk(session: Session) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(session.call, "profile")
            found.extend(await wait_for(pids))
            group.cancel_scope.cancel()
        with anyio.fail_after(60):
            while not all(gone(pid) for pid in found):
                await anyio.sleep(0.1)
        assert (await session.call("list", what="runs"))["runs"]  # the server lives on, and so does what was begun

    drive(parameters, talk)
    assert len(found) == 2


def test_a_client_that_leaves_during_a_profile_leaves_nothing_running(
    hanging: tuple[StdioServerParameters, Path],
) -> None:
    parameters, pids = hanging
    found: list[int] = []

    async def talk(session: Session) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(session.ask, "profile")
            found.extend(await wait_for(pids))
            raise ConnectionAbortedError

    with pytest.raises(BaseExceptionGroup) as left:
        drive(parameters, talk)
    assert left.group_contains(ConnectionAbortedError)
    assert all(gone(pid) for pid in found)


def test_a_server_that_is_ended_ends_what_it_started(hanging: tuple[StdioServerParameters, Path]) -> None:
    parameters, pids = hanging
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "0"},
        },
    }
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "profile", "arguments": {}}}
    process = subprocess.Popen(
        [parameters.command, *parameters.args],
        cwd=parameters.cwd,
        env=parameters.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    process.stdin.write("".join(json.dumps(each) + "\n" for each in (hello, call)).encode())
    process.stdin.flush()
    found = in_a_thread(wait_for, pids)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(60) == -signal.SIGTERM
    process.stdin.close()
    assert all(gone(pid) for pid in found)
