"""``stallgate docs``: the documents that come with stallgate."""

from __future__ import annotations

import click

from stallgate.cli.examples import examples
from stallgate.cli.options import json_option
from stallgate.cli.output import print_result
from stallgate.model import FrozenStruct
from stallgate.project.documents import document_text, document_titles


class DocsFacts(FrozenStruct, frozen=True):
    """The documents, or one of them."""

    documents: dict[str, str]
    """Name -> title."""
    text: str | None = None
    """The Markdown of the one that was asked for."""


@click.command("docs", epilog=examples("stallgate docs", "stallgate docs gating"))
@click.argument("name", required=False)
@json_option(DocsFacts)
def docs_command(name: str | None, as_json: bool) -> int:
    """Print a document, or list all of them."""
    titles = document_titles()
    if name is None:
        facts = DocsFacts(documents=titles)
    else:
        short = name.removesuffix(".md")
        facts = DocsFacts(text=document_text(name), documents={short: titles[short]})
    if as_json:
        return print_result("docs", facts)
    click.echo(facts.text.rstrip("\n") if facts.text is not None else _listing(titles))
    return 0


def _listing(titles: dict[str, str]) -> str:
    width = max(map(len, titles), default=0)
    return "\n".join(f"stallgate docs {name:{width}}  {title}" for name, title in titles.items())
