"""The prompt that ``stallgate mcp`` offers: what ``stallgate prompt`` writes, for a client and its model."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from stallgate.agent.mcp.digests import Facts
from stallgate.agent.mcp.tools import CommandWords, subject_places
from stallgate.errors import BadArgument
from stallgate.formatting import listed
from stallgate.model import FrozenStruct

PROMPT = "prompt"
PROMPT_TEXT = (
    "Write a faster kernel: the stage with its readings, what is computed, the code, advice and the form of the "
    "answer, which the tool check takes as 'answer'."
)


class PromptCall(FrozenStruct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the prompt may be given; a client shows the texts to its user."""

    subject: Annotated[str, Meta(description="PROBLEM/VARIANT: the code to begin with")]
    stage: Annotated[str, Meta(description="Default: the problem's first that the variant does not meet")] = ""
    gpu: Annotated[str, Meta(description="The data sheet of the GPU to write for; default: the measured one")] = ""
    budget: Annotated[int, Meta(ge=0, description="Most tokens; default: all that there is to say")] = 0


class OfferedArgument(NamedTuple):
    """An argument of the prompt."""

    name: str
    text: str
    required: bool


def prompt_arguments() -> list[OfferedArgument]:
    """The arguments of the prompt, in their order."""
    _, parts = msgspec.json.schema_components([PromptCall])
    found = parts[PromptCall.__name__]
    return [
        OfferedArgument(name, schema["description"], name in found["required"])
        for name, schema in found["properties"].items()
    ]


def prompt_words(given: PromptCall) -> CommandWords:
    """The command that writes it.

    Raises:
        BadArgument: the subject is no variant's name.
    """
    if "/" not in given.subject:
        raise BadArgument(f"'{given.subject}' names no variant", "give PROBLEM/VARIANT, as tool list has them")
    words = [f"--{name}={value}" for name in ("stage", "gpu") if (value := getattr(given, name))]
    words += [f"--budget={given.budget}"] if given.budget else []
    return CommandWords(["prompt", *words], subject_places([given.subject]))


def prompt_summary(facts: Facts) -> str:
    """What a reader of the prompt alone could overlook."""
    subject = f"{facts['problem']}/{facts['variant']}"
    readings = "" if facts["has_readings"] else "; there are no readings of the present code"
    dropped = [each["loses"] for each in facts["dropped"]]
    return f"{subject}, stage {facts['stage']}{readings}" + (f"; left out: {listed(dropped)}" if dropped else "")
