"""The parts that say what is wanted: role and aim, the task, and the rules of the output."""

from __future__ import annotations

from collections.abc import Sequence

from stallgate.agent.objection import Objection
from stallgate.agent.prompt.ground import Ground
from stallgate.agent.prompt.part import Part, bullets, code_span, inline, paragraphs
from stallgate.formatting import listed


def role_part(ground: Ground) -> Part:
    """Who is addressed, and what the aim is."""
    text = (
        "You are an engineer of GPU kernels in Triton. Write the fastest correct kernel for "
        f"{code_span(ground.problem.name)}: a replacement of {code_span(ground.variant.name)} that computes the same "
        "in less time. Code that is wrong anywhere is refused, however fast it is. Time decides; counters explain it."
    )
    return Part(name="role", title="Role and aim", text=text)


def refused_part(refused: Sequence[Objection]) -> Part:
    """Why the answer before was refused."""
    text = paragraphs(
        "The last answer was refused. Mend each of these:", bullets([_objection(each) for each in refused])
    )
    return Part(name="refused", title="Why the last answer was refused", text=text)


def _objection(found: Objection) -> str:
    line = f"line {found.line}: " if found.line is not None else ""
    hint = f" Instead: {inline(found.hint)}" if found.hint else ""
    return f"{line}{inline(found.text)} ({found.part}, {code_span(found.code)}){hint}"


def task_part(ground: Ground) -> Part:
    """What to do now."""
    lines = [
        f"Rewrite the current code so that it meets the stage {code_span(ground.stage.name)} and takes less time; "
        "change what the readings give a reason to change, and keep the stage's rules.",
        "Keep it right for every input that the reference takes: any shape, strides, dtype and data.",
        "Do all of the work in your own Triton kernels, in each call, on the current stream: nothing is kept from "
        "earlier calls, computed by torch, or deferred.",
    ]
    return Part(name="task", title="Task", text=bullets(lines))


def output_part(ground: Ground) -> Part:
    """The form that an answer has to have."""
    parts = [
        "imports: `torch`, `torch.nn as nn`, `triton`, `triton.language as tl`, the standard library;",
        "kernels, each decorated with `@triton.jit`;",
        "wrappers that allocate outputs and launch kernels;",
        f"`class ModelNew(nn.Module)`: `__init__` takes {_constructed_with(ground)}; `forward` takes the inputs and "
        "returns the outputs.",
    ]
    numbered = "\n".join(f"{place}. {each}" for place, each in enumerate(parts, start=1))
    never = (
        "No test code, no timing, no printing, no `__main__`, no `get_inputs`, no `get_init_inputs`; at module level "
        "nothing but imports, definitions and constants."
    )
    head = "Answer with one complete Python file in one fenced block, and no other code. In this order:"
    return Part(name="output_rules", title="Output rules", text=paragraphs(head, numbered, never))


def _constructed_with(ground: Ground) -> str:
    """What the class is constructed with."""
    reference, entry = ground.problem.reference, ground.variant.entry
    keywords = entry.keywords or reference.keywords
    given = ["what `get_init_inputs` gives"] * ground.is_module_reference
    given += [f"the keywords {code_span(', '.join(f'{name}={value!r}' for name, value in keywords.items()))}"] * bool(
        keywords
    )
    return f"{listed(given) or 'nothing'}, and tunables as keywords with defaults"
