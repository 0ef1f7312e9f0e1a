"""The tools of ``stallgate mcp``: what each takes, the command line that it runs, and what it answers first.

A tool is a command of stallgate under the same name, so that what is known of one holds for the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from stallgate.agent.mcp import digests
from stallgate.agent.mcp.digests import Facts, run_label
from stallgate.errors import BadArgument, UnknownName
from stallgate.formatting import is_text, shortened
from stallgate.model import LABEL_PART, FrozenStruct

_LONGEST = 300
"""Characters of a text that a caller may give."""

_SUBJECT = re.compile(rf"{LABEL_PART}(/{LABEL_PART})?")
_ENVELOPE = ("schema", "command", "ok", "status")

Section = Literal["digest", "full"]
_Run = Annotated[str, Meta(description="Name of a run, as tool list gives it; default: the latest")]
_Subjects = Annotated[list[str], Meta(description="PROBLEM or PROBLEM/VARIANT; default: all")]
_Workloads = Annotated[list[str], Meta(description="Default: those that the problem marks")]
_Section = Annotated[Section, Meta(description="full: everything that the command prints as JSON")]
_Answer = Annotated[str, Meta(description="New code to judge: Python, or a text with one fenced block of it")]
_Drawn = Annotated[int, Meta(ge=0, le=1000, description="Also N workloads drawn at random; an answer gets 4 unasked")]
_Offset = Annotated[int, Meta(ge=0, description="Where to go on: next_offset of the answer before")]


class ToolCall(FrozenStruct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every tool may be given; the texts are for the model that fills it in."""

    offset: _Offset = 0


class SectionCall(ToolCall, frozen=True, kw_only=True):
    """What a tool may be given that has more to tell than its digest."""

    section: _Section = "digest"


class ListCall(SectionCall, frozen=True, kw_only=True):
    """Of the tool ``list``."""

    what: Literal["runs", "problems", "stages"]
    name: Annotated[str, Meta(description="One problem or stage; default: all")] = ""


class ProfileCall(ToolCall, frozen=True, kw_only=True):
    """Of the tool ``profile``."""

    subjects: _Subjects = []
    workloads: _Workloads = []
    live: Annotated[bool, Meta(description="Refuse to replay a recording where there is no GPU")] = False
    detail: Annotated[bool, Meta(description="One more launch a case with all of ncu's sections: hot lines")] = False


class RunCall(ToolCall, frozen=True, kw_only=True):
    """Of the tool ``run``."""

    run: _Run = ""
    section: Annotated[
        Literal["digest", "cases", "metrics", "sweep"],
        Meta(description="cases: outcomes with reasons; metrics: every metric with its spread"),
    ] = "digest"
    case: Annotated[str, Meta(description="Only cases whose name has this text")] = ""


class AdviseCall(SectionCall, frozen=True, kw_only=True):
    """Of the tool ``advise``."""

    run: _Run = ""
    variant: Annotated[str, Meta(description="Only this variant; default: all of the run")] = ""
    limit: Annotated[int, Meta(ge=1, le=20, description="Most advice on a case")] = 1


class CheckCall(SectionCall, frozen=True, kw_only=True):
    """Of the tool ``check``."""

    subjects: _Subjects = []
    answer: _Answer | UnsetType = UNSET
    problem: Annotated[str, Meta(description="Of the answer; default: the project's only one")] = ""
    against: Annotated[str, Meta(description="The variant that the answer replaces; default: the candidate")] = ""
    stage: Annotated[str, Meta(description="Whose rules the answer keeps to; default: the first that is missed")] = ""
    right_only: Annotated[bool, Meta(description="Do not ask whether the answer is faster: that needs a GPU")] = False
    workloads: _Workloads = []
    drawn: _Drawn = 0
    seed: Annotated[int, Meta(ge=-1, description="Seed of the drawn workloads; -1: a new one")] = -1


class GateCall(SectionCall, frozen=True, kw_only=True):
    """Of the tool ``gate``."""

    run: _Run = ""
    stage: Annotated[str, Meta(description="Judge by this stage; default: those of the problem")] = ""


class CompareCall(SectionCall, frozen=True, kw_only=True):
    """Of the tool ``compare``."""

    base: Annotated[str, Meta(description="The run before the change")]
    run: Annotated[str, Meta(description="The run after it; default: the latest")] = ""
    every_metric: bool = False


class CommandWords(FrozenStruct, frozen=True):
    """A command line, without ``stallgate``."""

    words: list[str]
    """The command and its options, each in one word, so that no value is taken for an option."""
    places: list[str] = []
    """The arguments by place."""
    standard_input: bytes = b""


Digest = Callable[[Facts], Facts]


@dataclass(frozen=True)
class AgentTool:
    """A tool."""

    name: str
    text: str
    """What it does, for the model that chooses."""
    arguments: type[ToolCall]
    words: Callable[[Any], CommandWords]
    """The command line for its arguments."""
    digest: Digest
    items: str
    """The list of its answers, which is cut where it is too long."""
    writes: bool = False
    """Whether it writes below ``reports/``, or runs code of the project."""
    repeatable: bool = True
    """Whether a second call with the same arguments changes nothing more."""

    def read(self, given: Mapping[str, object]) -> Any:
        """Its arguments.

        Raises:
            BadArgument: they are not what the tool takes.
        """
        return read_arguments(f"tool {self.name}", self.arguments, given)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        _, parts = msgspec.json.schema_components([self.arguments])
        found = parts[self.arguments.__name__]
        return {"type": "object", "properties": found["properties"], "additionalProperties": False} | (
            {"required": found["required"]} if found["required"] else {}
        )


# --- arguments that become words --------------------------------------------------------------------------------------

_Arguments = TypeVar("_Arguments", bound=FrozenStruct)


def read_arguments(of: str, takes: type[_Arguments], given: Mapping[str, object]) -> _Arguments:
    """What a caller gave, as what is taken.

    Raises:
        BadArgument: it is not what is taken.
    """
    for key, value in given.items():
        for text in _texts(value) if key != _ANSWER else ():
            _refuse_odd(text)
    try:
        return msgspec.convert(dict(given), takes, strict=False)
    except msgspec.ValidationError as error:
        names = ", ".join(field.name for field in msgspec.structs.fields(takes))
        raise BadArgument(f"{of}: {error}", f"it takes: {names}") from None


_ANSWER = "answer"
"""The one argument that may be any text: no word of a command line is made of it."""


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _texts(part)]


def _refuse_odd(text: str) -> None:
    """Refuses what no name has, and what no process can be given."""
    if len(text) > _LONGEST or not is_text(text) or any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        shown = shortened(text.encode("ascii", "backslashreplace").decode(), 60)
        raise BadArgument(f"{shown!r} is no name", f"names are printable, and at most {_LONGEST} characters long")


def _run_places(*runs: str) -> list[str]:
    """Runs as arguments; the tools see those below the project's ``reports/`` alone.

    Raises:
        BadArgument: a name leads elsewhere.
    """
    for run in runs:
        if run.startswith(("/", "~")) or ".." in run.split("/"):
            raise BadArgument(f"run '{run}' is not below reports/", "give the name of a run, as tool list has it")
    return list(runs)


def _latest_or(run: str) -> list[str]:
    return _run_places(run) if run else []


def subject_places(subjects: list[str]) -> list[str]:
    """Subjects as arguments.

    Raises:
        BadArgument: one is no name of a problem or a variant.
    """
    for subject in subjects:
        if not _SUBJECT.fullmatch(subject) or {".", ".."} & set(subject.split("/")):
            raise BadArgument(f"'{subject}' is no subject", "give PROBLEM or PROBLEM/VARIANT, as tool list has them")
    return subjects


def _options(name: str, values: list[str]) -> list[str]:
    return [f"--{name}={value}" for value in values if value]


# --- the command lines ------------------------------------------------------------------------------------------------


def _list_words(given: ListCall) -> CommandWords:
    return CommandWords(["show"], [given.what, *([given.name] if given.name else [])])


def _profile_words(given: ProfileCall) -> CommandWords:
    flags = [f"--{name}" for name in ("live", "detail") if getattr(given, name)]
    return CommandWords(["profile", *_options("workload", given.workloads), *flags], subject_places(given.subjects))


def _run_words(given: RunCall) -> CommandWords:
    return CommandWords(["show", *(["--all"] if given.section == "metrics" else [])], ["run", *_latest_or(given.run)])


def _advise_words(given: AdviseCall) -> CommandWords:
    words = ["advise", f"--limit={given.limit}", *_options("variant", [given.variant])]
    return CommandWords(words, _latest_or(given.run))


def _check_words(given: CheckCall) -> CommandWords:
    words = ["check", *_options("workload", given.workloads), *([f"--drawn={given.drawn}"] if given.drawn else [])]
    if given.seed >= 0 and (given.drawn or given.answer is not UNSET):
        words += [f"--seed={given.seed}"]
    for name in ("problem", "against", "stage"):
        words += _options(name, [getattr(given, name)])
    words += ["--right-only"] if given.right_only else []
    if isinstance(given.answer, UnsetType):
        return CommandWords(words, subject_places(given.subjects))
    if given.subjects:
        raise BadArgument("an answer is no subject of the project yet", "give either answer or subjects")
    if not is_text(given.answer):
        raise BadArgument("the answer has characters that no file can have", "give text that is valid in UTF-8")
    return CommandWords(words, ["-"], given.answer.encode())


def _gate_words(given: GateCall) -> CommandWords:
    return CommandWords(["gate", *_options("stage", [given.stage])], _latest_or(given.run))


def _compare_words(given: CompareCall) -> CommandWords:
    words = ["compare", *(["--all"] if given.every_metric else [])]
    return CommandWords(words, [*_run_places(given.base), *_latest_or(given.run)])


def _doctor_words(_: ToolCall) -> CommandWords:
    return CommandWords(["doctor"])


# --- the tools --------------------------------------------------------------------------------------------------------

_TOOLS = (
    AgentTool(
        "list",
        "List runs (newest first), problems (variants, workloads, recordings) or stages (targets) of this project.",
        ListCall,
        _list_words,
        digests.listed_things,
        "",
    ),
    AgentTool(
        "profile",
        "Measure variants under Nsight Compute on a GPU: makes a new run and answers with its digest. Takes minutes; "
        "reports progress. Without a GPU it replays recordings and says kind 'recorded': then nothing was measured.",
        ProfileCall,
        _profile_words,
        digests.run_digest,
        "cases",
        writes=True,
        repeatable=False,
    ),
    AgentTool(
        "run",
        "Show a run: each case with its outcome, time and the metrics of its stages. Time decides, counters explain; "
        "a text in the place of a number says why there is none.",
        RunCall,
        _run_words,
        digests.run_digest,
        "cases",
    ),
    AgentTool(
        "advise",
        "What to try next on each variant of a run: cause, readings, the most time that it explains, what would "
        "disprove it, trap. Ranked; 'stop' means that nothing is left to gain.",
        AdviseCall,
        _advise_words,
        digests.advice_digest,
        "cases",
    ),
    AgentTool(
        "check",
        "Are variants right? Runs their code: on the GPU, or in Triton's interpreter on small inputs. Answers right, "
        "wrong (status 1) or not_checked (3). Report no speed of a variant that is not right. With 'answer': is this "
        "code acceptable in place of a variant? accepted, or every reason why not. The project's code stays as it is.",
        CheckCall,
        _check_words,
        digests.check_digest,
        "variants",
        writes=True,
    ),
    AgentTool(
        "gate",
        "May it be merged? Judges a run by its stages and writes the verdicts into it. Status 0: yes; 1: no; 3: "
        "something is not measured, stale or undecided, which is never a pass.",
        GateCall,
        _gate_words,
        digests.gate_digest,
        "verdicts",
        writes=True,
    ),
    AgentTool(
        "compare",
        "Two runs, before and after a change: which times changed beyond noise (faster, slower, same), which targets "
        "were crossed.",
        CompareCall,
        _compare_words,
        digests.comparison_digest,
        "pairs",
    ),
    AgentTool(
        "doctor",
        "Can this machine measure, and which recordings are up to date?",
        ToolCall,
        _doctor_words,
        digests.doctor_digest,
        "findings",
    ),
)


def agent_tools(*, read_only: bool = False) -> dict[str, AgentTool]:
    """The tools by name.

    Args:
        read_only: leave out those that write below ``reports/`` or run code of the project.
    """
    return {tool.name: tool for tool in _TOOLS if not (read_only and tool.writes)}


# --- answers ----------------------------------------------------------------------------------------------------------


def answer_of(tool: AgentTool, given: Any, facts: Facts) -> tuple[Facts, str]:
    """What a tool answers from a command's facts, and the key of the list that may be cut.

    Raises:
        UnknownName: no case has the text that was asked for.
    """
    items = given.what if isinstance(given, ListCall) else "objections" if "accepted" in facts else tool.items
    if getattr(given, "section", "digest") == "full":
        return _without_envelope(facts), items
    content = _run_answer(given, facts) if isinstance(given, RunCall) else tool.digest(facts)
    return content | _named_as_given(given), items


def _named_as_given(given: Any) -> Facts:
    """The runs under the names that the caller has for them: a recording was made under another."""
    named = {key: getattr(given, key, "") for key in ("base", "run")}
    return {key: name.removeprefix("reports/").rstrip("/") for key, name in named.items() if name not in ("", "latest")}


def _run_answer(given: RunCall, facts: Facts) -> Facts:
    if given.case:
        cases = [case for case in facts["cases"] if given.case in case["case"] or given.case in case["name"]]
        if not cases:
            raise UnknownName("case", given.case, [case["case"] for case in facts["cases"]])
        names = {case["case"] for case in cases}
        metrics = {name: metrics for name, metrics in facts["metrics"].items() if name in names}
        facts = {**facts, "cases": cases, "metrics": metrics}
    return _RUN_SECTIONS[given.section](facts)


_RUN_SECTIONS: dict[str, Digest] = {
    "digest": digests.run_digest,
    "cases": digests.run_cases,
    "metrics": digests.run_metrics,
    "sweep": digests.run_sweep,
}


def _without_envelope(facts: Facts) -> Facts:
    return {key: value for key, value in facts.items() if key not in _ENVELOPE}


def error_facts(facts: Facts) -> Facts:
    """What a tool answers where a command could not do its work: its error, and the run that it may have begun."""
    run = facts.get("run")
    return {"error": facts["error"]} | ({"run": run_label(run)} if isinstance(run, str) else {})
