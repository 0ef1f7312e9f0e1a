"""``stallgate init --agents``: what it writes for programs that work on a repository, and what it leaves alone."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import click
import pytest

from stallgate.agent.tokens import estimated_tokens
from stallgate.cli.group import COMMANDS
from stallgate.cli.group import stallgate as group
from stallgate.project.documents import document_titles
from stallgate.project.load import load_project
from stallgate.project.scaffold_agents import GUIDE, SKILLS, write_agents
from tests.conftest import ROOT, Stallgate, command_line

KERNEL = ("--kernel", "mykernels:softmax", "--reference", "torch.softmax", "--input", "float32[64,64]")
FILES = (GUIDE, *SKILLS)
SENTENCE = "`stallgate gate`: may it be merged?"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A repository that has not adopted stallgate."""
    root = tmp_path / "theirs"
    root.mkdir()
    (root / "pyproject.toml").write_text("[project]\nname = 'mykernels'\n")
    (root / "mykernels.py").write_text("def softmax(x): ...\n")
    return root


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def changes(root: Path, *options: str) -> dict[str, str]:
    """What ``init --agents`` did to each file."""
    done = command_line(root)("init", "--agents", *options, "--json")
    assert done.returncode == 0, done.stderr
    return {file["path"]: file["change"] for file in json.loads(done.stdout)["files"]}


# --- which files ---


def test_a_repository_that_has_not_adopted_is_told_to(theirs: Path) -> None:
    before = files(theirs)
    assert changes(theirs) == dict.fromkeys(FILES, "written")
    after = files(theirs)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == set(FILES)
    for name in FILES:
        assert "No kernel is adopted here yet" in after[name].decode()
        assert "stallgate init --kernel" in after[name].decode()
    assert changes(theirs) == dict.fromkeys(FILES, "kept")
    assert files(theirs) == after


def test_adopting_a_kernel_names_it(theirs: Path) -> None:
    changes(theirs)
    done = changes(theirs, *KERNEL)
    assert done == {"stallgate.toml": "written", ".gitignore": "written", **dict.fromkeys(FILES, "updated")}
    for name in FILES:
        text = (theirs / name).read_text()
        assert "- `softmax`: `softmax`; stages `streaming`" in text
        assert "stallgate profile softmax/softmax" in text
        assert "PROBLEM/VARIANT" not in text
        assert "No kernel is adopted" not in text


def test_an_adopted_project_gets_its_problems_named(tree: Path) -> None:
    before = files(tree)
    changes(tree)
    after = files(tree)
    assert {name: after[name] for name in before} == before
    assert "- `cumprod`: " in (tree / GUIDE).read_text()


def test_one_text_for_all_agents(theirs: Path) -> None:
    changes(theirs)
    assert len({(theirs / name).read_text() for name in SKILLS}) == 1


def test_what_their_file_says_besides_stays(theirs: Path) -> None:
    ours = "# Ours\n\nUse tabs."
    (theirs / GUIDE).write_text(ours)
    assert changes(theirs)[GUIDE] == "extended"
    text = (theirs / GUIDE).read_text()
    assert text.startswith(f"{ours}\n\n<!-- stallgate:begin")
    (theirs / GUIDE).write_text(text.replace(SENTENCE, "an old sentence") + "\n## After\n")
    assert changes(theirs)[GUIDE] == "updated"
    again = (theirs / GUIDE).read_text()
    assert again == text + "\n## After\n"
    skill = theirs / SKILLS[0]
    skill.write_text(skill.read_text().replace("name: stallgate\n", "name: stallgate\nlicense: ours\n") + "Ours.\n")
    kept = skill.read_text()
    assert changes(theirs)[SKILLS[0]] == "kept"
    assert skill.read_text() == kept


def test_line_ends_of_their_file_stay(theirs: Path) -> None:
    (theirs / GUIDE).write_bytes(b"# Ours\r\n")
    changes(theirs)
    written = (theirs / GUIDE).read_bytes()
    assert written.count(b"\n") == written.count(b"\r\n") > 10
    (theirs / GUIDE).write_bytes(written.replace(b"merged?", b"merged??"))
    changes(theirs)
    assert (theirs / GUIDE).read_bytes() == written


def test_a_skill_of_that_name_that_is_not_ours_stays(theirs: Path) -> None:
    path = theirs / SKILLS[1]
    path.parent.mkdir(parents=True)
    path.write_text("---\nname: stallgate\n---\nMine.\n")
    done = changes(theirs)
    assert (done[SKILLS[0]], done[SKILLS[1]]) == ("written", "kept")
    assert path.read_text().endswith("Mine.\n")


def test_folders_that_are_links_to_each_other_are_written_once(theirs: Path) -> None:
    (theirs / ".agents/skills").mkdir(parents=True)
    (theirs / ".claude").mkdir()
    (theirs / ".claude/skills").symlink_to("../.agents/skills")
    assert changes(theirs) == {GUIDE: "written", SKILLS[0]: "written"}
    assert (theirs / ".claude/skills").is_symlink()
    assert changes(theirs) == {GUIDE: "kept", SKILLS[0]: "kept"}


@pytest.mark.parametrize(
    "text",
    [
        "<!-- stallgate:begin -->\nno end\n",
        "<!-- stallgate:end -->\n<!-- stallgate:begin -->\n",
        "<!-- stallgate:begin -->\n<!-- stallgate:end -->\n" * 2,
        b"\xff\xfe",
    ],
)
def test_a_file_that_cannot_be_updated_is_refused_and_nothing_is_written(theirs: Path, text: str | bytes) -> None:
    (theirs / GUIDE).write_bytes(text if isinstance(text, bytes) else text.encode())
    before = files(theirs)
    done = command_line(theirs)("init", "--agents", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "broken_file"
    assert files(theirs) == before


def test_a_link_out_of_the_project_is_not_followed(theirs: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.md").write_text("theirs\n")
    (theirs / GUIDE).symlink_to(tmp_path / "elsewhere.md")
    assert command_line(theirs)("init", "--agents").returncode == 2
    assert (tmp_path / "elsewhere.md").read_text() == "theirs\n"


def test_half_a_wish_is_no_wish_for_agents_alone(theirs: Path) -> None:
    done = command_line(theirs)("init", "--agents", "--ci", "--json")
    assert done.returncode == 2
    assert "--kernel" in json.loads(done.stdout)["error"]["message"]
    assert not (theirs / GUIDE).exists()


def test_many_problems_are_not_all_named(tree: Path) -> None:
    (problem,) = load_project(tree).problems.values()
    write_agents(tree, [problem] * 500, COMMANDS)
    assert len((tree / GUIDE).read_text()) < 6000
    assert "and 480 more: `stallgate show problems`" in (tree / GUIDE).read_text()


# --- what the texts say ---


def text_with_every_command(root: Path) -> str:
    """All that is written for this repository, with the sentences on commands that there may not be yet."""
    write_agents(root, list(load_project(ROOT).problems.values()), {*COMMANDS, "prompt", "loop"})
    return "\n".join((root / name).read_text() for name in (GUIDE, SKILLS[0]))


def command_lines(text: str) -> list[list[str]]:
    """Every command line of stallgate in a text: in backticks, or a line of a block."""
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    spans = re.findall(r"`(stallgate [^`]+)`", text) + blocks.splitlines()
    return [shlex.split(span)[1:] for span in spans]


def test_commands_and_options_that_the_texts_name_exist(tmp_path: Path) -> None:
    """Those of commands that come later are held against these commands once they are there."""
    lines = command_lines(text_with_every_command(tmp_path))
    later = {"prompt", "loop"} - set(COMMANDS)
    assert len(lines) > 30
    for name, *arguments in lines:
        if name == "COMMAND" or name in later:
            continue
        if "FILE" in arguments and later:
            continue
        command = group.get_command(click.Context(group), name)
        assert command is not None, name
        command.make_context(name, list(arguments))  # refuses an option or a value that does not exist


def test_sentences_on_answers_are_there_exactly_if_the_commands_are(theirs: Path) -> None:
    changes(theirs)
    assert ("stallgate loop" in (theirs / SKILLS[0]).read_text()) is ({"prompt", "loop"} <= set(COMMANDS))


def test_bare_options_that_the_texts_name_exist(tmp_path: Path) -> None:
    text = text_with_every_command(tmp_path)
    known = {
        option
        for name in COMMANDS
        if (command := group.get_command(click.Context(group), name)) is not None
        for parameter in command.params
        for option in parameter.opts
    }
    named = set(re.findall(r"`(--[a-z-]+)", text))
    assert named
    assert named <= known | {"--help"}


def test_documents_and_metrics_that_the_texts_name_exist(tmp_path: Path) -> None:
    text = text_with_every_command(tmp_path)
    more = re.search(r"lists the documents: (.*?)\. `stallgate COMMAND", text, re.DOTALL)
    assert more is not None
    named = set(re.findall(r"`(\w+)`", more[1])) | set(re.findall(r"stallgate docs (\w+)", text))
    assert {"json", "sweep", "gating"} <= named <= set(document_titles())
    table = re.search(r"\| metric \| meaning.*?\n\n", text, re.DOTALL)
    assert table is not None
    rows = table[0].strip().splitlines()[2:]
    metrics = {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    catalogue = load_project(ROOT).catalogue.metrics
    assert len(metrics) > 8
    assert {name for name in metrics if name != "stall_<state>"} <= set(catalogue)
    assert any(name.startswith("stall_") for name in catalogue)


def test_the_skill_is_short_and_its_head_shorter(tmp_path: Path) -> None:
    write_agents(tmp_path, list(load_project(ROOT).problems.values()), {*COMMANDS, "prompt", "loop"})
    head, _, body = (tmp_path / SKILLS[0]).read_text().removeprefix("---\n").partition("\n---\n")
    assert len(body.splitlines()) < 500
    assert estimated_tokens(body) < 5_000
    keys = dict(line.split(": ", 1) for line in head.splitlines())
    assert keys["name"] == Path(SKILLS[0]).parent.name == "stallgate"
    assert not re.search(r": | #", keys["description"])  # plain YAML
    assert len(keys["description"]) <= 1024
    assert estimated_tokens(head) <= 130


def test_the_traps_are_told(tmp_path: Path) -> None:
    words = " ".join(text_with_every_command(tmp_path).split())
    for trap in (
        "never raise it for its own sake",
        "Time decides, counters explain",
        "`num_stages` does nothing in a kernel without a `tl.range` loop",
        "A red check means that no speed is reported",
        "It is never a pass",
    ):
        assert trap in words


def test_the_command_says_what_it_did(stallgate: Stallgate, tree: Path) -> None:
    done = stallgate("init", "--agents")
    assert f"written   {GUIDE}: " in done.stdout
    assert "stallgate doctor" in done.stdout
    (tree / GUIDE).write_text((tree / GUIDE).read_text().replace(SENTENCE, "no"))
    assert f"updated   {GUIDE}: what stands between" in stallgate("init", "--agents").stdout
    shutil.rmtree(tree / ".agents")
    assert f"written   {SKILLS[0]}: " in stallgate("init", "--agents").stdout
