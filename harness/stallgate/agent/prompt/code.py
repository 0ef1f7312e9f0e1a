"""The part with the present code: every file of the project that the variant consists of."""

from __future__ import annotations

from stallgate.agent.prompt.ground import Ground
from stallgate.agent.prompt.part import Part, code_span, fenced, inline, paragraphs


def code_part(ground: Ground) -> Part:
    """The code that is to be replaced."""
    files = ground.files
    entry = ground.variant.entry
    title = "Current code"
    if not files:
        called = code_span(entry.written or entry.module)
        text = f"There is none to show: the variant is {called} of an installed package. Write it from the start."
        return Part(name="code", title=title, text=text)
    called = f" Its entry is {code_span(entry.attribute)}." if entry.attribute else ""
    passed = f" It is always called with {inline(_given(entry.keywords))}." if entry.keywords else ""
    head = f"The {ground.variant.role} {code_span(ground.asked.subject)}.{called}{passed}"
    several = "Several files; the answer is one file with everything that it needs." if len(files) > 1 else ""
    blocks = [f"{code_span(path)}:\n\n{fenced(text, 'python')}" for path, text in files.items()]
    return Part(name="code", title=title, text=paragraphs(head, several, *blocks))


def _given(keywords: dict[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in keywords.items())
