"""``stallgate mcp``: stallgate as tools for agents, over standard input and output."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

import click

from stallgate.agent.mcp.fit import as_answer
from stallgate.agent.mcp.tools import AgentTool, agent_tools
from stallgate.agent.tokens import estimated_tokens
from stallgate.cli.examples import examples
from stallgate.cli.options import json_option, python_option, root_option
from stallgate.cli.output import print_result
from stallgate.cli.shared import interpreter
from stallgate.errors import UserFault
from stallgate.model import FrozenStruct
from stallgate.project.root import find_root


class AgentToolFacts(FrozenStruct, frozen=True):
    """A tool."""

    name: str
    text: str
    """What it does."""
    writes: bool
    """Whether it writes below ``reports/`` or runs code of the project; --read-only leaves it out."""
    tokens: int
    """What its description costs a model that may use it: an upper estimate."""


class McpFacts(FrozenStruct, frozen=True):
    """The tools that the server offers."""

    root: str
    """The folder that they work in."""
    tools: list[AgentToolFacts]


@click.command("mcp", epilog=examples("stallgate mcp --read-only", "stallgate mcp --show"))
@click.option("--show", is_flag=True, help="Only show the tools; so does --json.")
@click.option("--read-only", is_flag=True, help="Leave out tools that write below reports/ or run the project's code.")
@python_option
@root_option
@json_option(McpFacts)
def mcp_command(show: bool, read_only: bool, python: str | None, root: Path | None, as_json: bool) -> int:
    """Serve the commands as tools for agents, by the Model Context Protocol.

    It speaks over standard input and output until the client leaves. Needs the extra: pip install 'stallgate[mcp]'.
    """
    folder = root.resolve() if root is not None else find_root(Path.cwd(), needed=False)
    tools = [_facts(tool) for tool in agent_tools(read_only=read_only).values()]
    if as_json:
        return print_result("mcp", McpFacts(root=str(folder), tools=tools))
    if show:
        _show(tools)
        return 0
    try:
        from stallgate.agent.mcp.server import serve_tools  # an extra, which no other command needs
    except ImportError as error:
        raise UserFault(f"`stallgate mcp` needs the package mcp: {error}", "pip install 'stallgate[mcp]'") from None
    chosen = interpreter(python) if python is not None else None
    serve_tools(folder, folder if root is not None else None, chosen, read_only=read_only)
    return 0


def _facts(tool: AgentTool) -> AgentToolFacts:
    tokens = estimated_tokens(as_answer([tool.name, tool.text, tool.schema]))
    return AgentToolFacts(name=tool.name, text=tool.text, writes=tool.writes, tokens=tokens)


def _show(tools: list[AgentToolFacts]) -> None:
    for tool in tools:
        marks = ", writes" if tool.writes else ""
        click.echo(f"{tool.name}  (about {tool.tokens} tokens{marks})")
        click.echo(fill(tool.text, 80, initial_indent="  ", subsequent_indent="  "))
