"""A new loop as it is planned, the project in which a version stands for the variant, and whether a loop may go on."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from stallgate import __version__
from stallgate.agent.loop.code import code_digest
from stallgate.errors import BadArgument, UnknownName
from stallgate.model import FrozenStruct, Variant
from stallgate.project.commit import commit_of
from stallgate.project.decode import LARGEST_SOURCE, read_bounded
from stallgate.project.digests import CHILD_KEY, subject_digests, text_digest, variant_key, workload_key
from stallgate.project.load import Project
from stallgate.project.own_files import own_digests, own_files
from stallgate.runs.folder import now
from stallgate.runs.journal import (
    JOURNAL_FORMAT,
    START,
    Journal,
    LoopEvidence,
    LoopLimits,
    LoopOptions,
    LoopVersion,
    keep_text,
)


class LoopRequest(FrozenStruct, frozen=True):
    """What is looped on, and how."""

    problem: str
    variant: str
    command: list[str]
    """The answerer's."""
    stages: list[str] = []
    """Empty: those of the problem."""
    limits: LoopLimits = LoopLimits()
    seed: int = 0
    rehearsal: bool = False
    python: str = ""
    """The interpreter that has torch and triton."""
    options: LoopOptions = LoopOptions()


def check_loop_request(project: Project, request: LoopRequest) -> list[str]:
    """The stages of a loop, in order.

    Raises:
        UserFault: the problem, the variant, a workload or a stage does not exist or is broken; or the variant cannot be
            a start.
    """
    variant = looped_variant(project, request.problem, request.variant)
    if variant.role == "roof":
        raise BadArgument(f"{variant.name} is a roof: it computes nothing", "name a candidate or a baseline")
    if not variant.path:
        raise BadArgument(
            f"{variant.name} is of an installed package: there is no code to change",
            "name a variant whose file is the project's",
        )
    known = project.problem(request.problem).workloads
    for name in request.options.workloads:
        if name not in known:
            raise UnknownName("workload", name, known)
    names = list(dict.fromkeys(request.stages or project.stages_of(request.problem)))
    if not names:
        raise BadArgument(f"{request.problem} has no stage", "name one with --stage")
    project.with_included(names)
    return names


def looped_variant(project: Project, problem: str, name: str) -> Variant:
    """The variant of a problem.

    Raises:
        UnknownName: there is none of this name.
    """
    known = project.problem(problem).variants
    if name not in known:
        raise UnknownName("variant", f"{problem}/{name}", [f"{problem}/{each}" for each in known])
    return known[name]


def new_journal(
    project: Project, folder: Path, request: LoopRequest, evidence: list[LoopEvidence], arguments: list[str]
) -> Journal:
    """A loop as it is planned: nothing measured yet. The start's code is copied into the loop's folder."""
    stages = check_loop_request(project, request)
    source = _start_code(project, looped_variant(project, request.problem, request.variant))
    start = LoopVersion(
        name=START,
        digest=code_digest(source.decode("utf-8", errors="replace")),
        source=keep_text(folder, "start.py", source),
    )
    commit, dirty = commit_of(project.root)
    return Journal(
        format=JOURNAL_FORMAT,
        name=folder.name,
        created=now(),
        stallgate=__version__,
        commit=commit,
        dirty=dirty,
        arguments=arguments,
        problem=request.problem,
        variant=request.variant,
        stages=stages,
        command=request.command,
        limits=request.limits,
        seed=request.seed,
        digests=loop_digests(project, request.problem, request.variant),
        versions=[start],
        evidence=evidence,
        rehearsal=request.rehearsal,
        python=request.python,
        options=request.options,
    )


def _start_code(project: Project, variant: Variant) -> bytes:
    """The text of the start's file as it is; of several files with the path of each before it."""
    paths = own_files(project.root, variant.entry)
    texts = {path: read_bounded(project.root / path, LARGEST_SOURCE) for path in paths}
    if len(texts) == 1:
        return texts[variant.path]
    return b"\n\n".join(f"# --- {path}\n\n".encode() + text for path, text in texts.items())


def loop_digests(project: Project, problem: str, variant: str) -> dict[str, str]:
    """What the results of a loop depend on: the start, the reference, the roofs, the workloads, the child."""
    known = project.problem(problem)
    kept = {variant_key(v.name) for v in known.variants.values() if v.role == "roof" or v.name == variant}
    kept |= {workload_key(name) for name in known.workloads}
    digests = subject_digests(known)
    found = {name: digest for name, digest in digests.items() if name in kept or name.startswith("the ")}
    return found | own_digests(project.root, looped_variant(project, problem, variant).entry)


def check_loop_resumable(project: Project, journal: Journal, gpu: str | None) -> None:
    """Refuses to go on with a loop of other code, or on another GPU model.

    Args:
        project: the code as it is now.
        journal: the loop's.
        gpu: the model to go on with; None in a rehearsal.

    Raises:
        BadArgument: what was found and what would be found could not be compared.
    """
    current = loop_digests(project, journal.problem, journal.variant)
    changed = [name for name in {**journal.digests, **current} if journal.digests.get(name) != current.get(name)]
    if changed:
        word = "what measures" if changed[0] == CHILD_KEY else changed[0]
        raise BadArgument(
            f"{word} has changed since {journal.name} was begun",
            f"begin a new loop, with --evidence {journal.name} to keep what it found",
        )
    begun = journal.measured_on
    if gpu is not None and begun is not None and gpu != begun:
        raise BadArgument(f"{journal.name} was begun on {begun}, not {gpu}", "name a GPU of that model with --device")


def project_with(project: Project, folder: Path, journal: Journal, version: LoopVersion) -> Project:
    """The project in which a version stands for the variant, as a candidate; no file is changed.

    Args:
        project: the user's.
        folder: the loop's; it lies below the project's root.
        journal: the loop's.
        version: the start, or an answer in the loop's folder.
    """
    problem, variant = project.problem(journal.problem), project.variant(journal.problem, journal.variant)
    entry = variant.entry
    if version.name != START:
        path = folder / version.source.path
        shown = path.resolve().relative_to(project.root.resolve()).as_posix()
        entry = replace(entry, path=shown, digest=text_digest(path), module="", attribute="", written="")
    known = replace(variant, role="candidate", entry=entry, configurations={"default": {}}, ceiling=None)
    waivers = [each for each in problem.waivers if each.variant != variant.name]
    changed = replace(
        problem,
        variants={**problem.variants, variant.name: known},
        stages=list(dict.fromkeys([*problem.stages, *journal.stages])),
        waivers=waivers,
    )
    return replace(project, problems={**project.problems, problem.name: changed})
