"""``stallgate mcp``: the tools over standard input and output, by the official SDK. Nothing else imports it.

Standard output is the protocol's: the SDK points the descriptor at standard error while it serves, so that nothing that
prints can break a message.
"""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import anyio
from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from stallgate import __version__
from stallgate.agent.mcp.fit import DIGEST_CHARACTERS, SECTION_CHARACTERS, as_answer, fitted
from stallgate.agent.mcp.process import CommandRunner, Tell, ToolAnswer
from stallgate.agent.mcp.prompts import (
    PROMPT,
    PROMPT_TEXT,
    PromptCall,
    prompt_arguments,
    prompt_summary,
    prompt_words,
)
from stallgate.agent.mcp.tools import AgentTool, CommandWords, agent_tools, answer_of, error_facts, read_arguments
from stallgate.errors import StallgateError

_INSTRUCTIONS = (
    "Measures, checks and gates GPU kernels of one project. Flow: doctor, profile, advise, change one thing, check, "
    "profile, compare, gate. New code: the prompt 'prompt' asks for it, check judges it as 'answer'. Every answer has "
    "'status': 0 yes, 1 no, 2 wrong files or arguments, 3 not measured, 70 a bug. Answers are short; 'section' and "
    "'offset' give more."
)

_Context: TypeAlias = ServerRequestContext[Any, Any]


def serve_tools(folder: Path, root: Path | None, python: str | None, *, read_only: bool) -> None:
    """Serves until standard input ends or a signal ends the server; then every command that runs is ended too.

    Args:
        folder: the commands' working directory.
        root: what they are given for ``--root``.
        python: what those that run variants are given for ``--python``.
        read_only: offer only tools that neither write nor run code of the project.
    """
    anyio.run(_serve, CommandRunner(folder, root, python), agent_tools(read_only=read_only))


def agent_server(runner: CommandRunner, tools: dict[str, AgentTool]) -> Server[Any]:
    """The server, which speaks over no line yet."""
    return Server(
        "stallgate",
        version=__version__,
        instructions=_INSTRUCTIONS,
        on_list_tools=partial(_list_tools, tools),
        on_call_tool=partial(_call_tool, runner, tools),
        on_list_prompts=_list_prompts,
        on_get_prompt=partial(_get_prompt, runner),
    )


async def _serve(runner: CommandRunner, tools: dict[str, AgentTool]) -> None:
    server = agent_server(runner, tools)
    async with anyio.create_task_group() as group:
        group.start_soon(_end_on_signals, runner)
        try:
            async with stdio_server() as (incoming, outgoing):
                await server.run(incoming, outgoing, server.create_initialization_options())
        except* (BrokenPipeError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the client is gone
        group.cancel_scope.cancel()


async def _end_on_signals(runner: CommandRunner) -> None:
    """Ends the commands, then this process by the same signal: a thread of it waits for standard input for ever."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as received:
        async for number in received:
            await runner.stop()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


# --- requests ---------------------------------------------------------------------------------------------------------


async def _list_tools(
    tools: dict[str, AgentTool], _: _Context, __: types.PaginatedRequestParams | None
) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[_described(tool) for tool in tools.values()])


def _described(tool: AgentTool) -> types.Tool:
    hints = types.ToolAnnotations(
        read_only_hint=not tool.writes,
        destructive_hint=False,
        idempotent_hint=tool.repeatable,
        open_world_hint=False,
    )
    return types.Tool(name=tool.name, description=tool.text, input_schema=tool.schema, annotations=hints)


async def _call_tool(
    runner: CommandRunner, tools: dict[str, AgentTool], context: _Context, call: types.CallToolRequestParams
) -> types.CallToolResult:
    tool = tools.get(call.name)
    if tool is None:
        raise MCPError(types.INVALID_PARAMS, f"no tool is named {call.name!r:.80}; there are {', '.join(tools)}")
    try:
        return await _answered(runner, tool, tool.read(call.arguments or {}), partial(_tell, context))
    except StallgateError as error:
        refused = {"code": error.code, "message": error.message, "hint": error.hint}
        return _text(as_answer({"status": error.status, "error": refused}), is_error=True)


async def _answered(runner: CommandRunner, tool: AgentTool, given: Any, tell: Tell) -> types.CallToolResult:
    """The answer of a tool, or its command's error.

    Raises:
        StallgateError: its arguments are not what they should be.
    """
    answer, facts = await _asked(runner, tool.words(given), tell, tool)
    if "error" in facts:
        return _text(as_answer({"status": answer.status, **error_facts(facts)}), is_error=True)
    content, items = answer_of(tool, given, facts)
    most = DIGEST_CHARACTERS if getattr(given, "section", "digest") == "digest" else SECTION_CHARACTERS
    return _text(fitted({"status": answer.status, **content}, items, given.offset, most))


async def _list_prompts(_: _Context, __: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
    arguments = [
        types.PromptArgument(name=each.name, description=each.text, required=each.required)
        for each in prompt_arguments()
    ]
    return types.ListPromptsResult(prompts=[types.Prompt(name=PROMPT, description=PROMPT_TEXT, arguments=arguments)])


async def _get_prompt(runner: CommandRunner, _: _Context, asked: types.GetPromptRequestParams) -> types.GetPromptResult:
    if asked.name != PROMPT:
        raise MCPError(types.INVALID_PARAMS, f"no prompt is named {asked.name!r:.80}; there is {PROMPT}")
    try:
        line = prompt_words(read_arguments(f"prompt {PROMPT}", PromptCall, asked.arguments or {}))
    except StallgateError as error:
        raise MCPError(types.INVALID_PARAMS, f"{error.message}: {error.hint}") from None
    answer = await runner.ask(line, _tell_nobody)
    if (refused := answer.facts.get("error")) is not None:
        raise MCPError(types.INVALID_PARAMS, f"{refused['message']}: {refused['hint']}")
    content = types.TextContent(type="text", text=answer.facts["text"])
    return types.GetPromptResult(
        description=prompt_summary(answer.facts), messages=[types.PromptMessage(role="user", content=content)]
    )


async def _tell_nobody(_: float, __: str) -> None:
    """A prompt is written in a second."""


async def _asked(
    runner: CommandRunner, line: CommandWords, tell: Tell, tool: AgentTool
) -> tuple[ToolAnswer, dict[str, Any]]:
    """The answer of a tool's command, and the facts to tell: of a profile those of the run that it made."""
    answer = await runner.ask(line, tell)
    if tool.name != "profile" or "error" in answer.facts:
        return answer, answer.facts
    shown = await runner.ask(CommandWords(["show"], ["run", answer.facts["run"]]), tell)
    return answer, shown.facts


async def _tell(context: _Context, seconds: float, command: str) -> None:
    await context.session.report_progress(round(seconds, 1), None, f"{command} has run for {seconds:.0f} s")


def _text(text: str, *, is_error: bool = False) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=is_error)
