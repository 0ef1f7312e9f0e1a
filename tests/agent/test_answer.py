"""An answer is read from whatever a program wrote, soon and without an exception."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stallgate.agent.answer import LARGEST_ANSWER, Answer, read_answer
from tests.agent.form.answering import GOOD

CODE = "import torch\n\nx = 1\n"
FENCE = "```"


def code_of(answer: Answer) -> str:
    (objection,) = answer.objections
    assert objection.part == "form"
    assert objection.hint
    return objection.code


def test_a_python_file_is_its_own_source() -> None:
    answer = read_answer(CODE)
    assert (answer.source, answer.first_line, answer.objections) == (CODE, 1, ())


@pytest.mark.parametrize("label", ["python", "py", "Python", "triton", "", "{.python}", "python title=x.py"])
@pytest.mark.parametrize("mark", [FENCE, "~~~~", "````"])
def test_one_block_of_a_text_is_the_source_and_its_place_is_known(label: str, mark: str) -> None:
    answer = read_answer(f"Faster now.\n\n{mark}{label}\n{CODE}{mark}\nEnjoy.\n")
    assert (answer.source, answer.first_line, answer.objections) == (CODE, 4, ())


def test_an_indented_block_loses_its_indentation() -> None:
    inside = "".join(f"  {line}\n" if line else "\n" for line in CODE.splitlines())
    assert read_answer(f"1. Here:\n\n  {FENCE}python\n{inside}  {FENCE}\n").source == CODE


def test_a_fence_in_a_docstring_begins_no_block() -> None:
    text = f'"""Use it so:\n\n{FENCE}python\nModelNew(1)\n{FENCE}\n"""\n{CODE}'
    assert read_answer(text).source == text


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("", "empty", None),
        (" \n\t\n", "empty", None),
        (f"Here:\n{FENCE}\n\n{FENCE}\n", "empty", 2),
        ("I cannot help with that.", "no_block", None),
        ("Sorry", "no_block", None),
        (f"a\n{FENCE}python\n{CODE}{FENCE}\nor\n{FENCE}python\n{CODE}{FENCE}\n", "several_blocks", 8),
        (f"{FENCE}bash\npip install x\n{FENCE}\n{FENCE}python\n{CODE}{FENCE}\n", "several_blocks", 4),
        (f"Here:\n{FENCE}python\n{CODE}", "unclosed_block", 2),
        (f"Here:\n\n{FENCE}cuda\n__global__ void f() {{}}\n{FENCE}\n", "block_language", 3),
        (f"Here:\n{FENCE}python\nimport torch\nx = (\n{FENCE}\n", "syntax_error", 4),
        ("import torch\n\ndef f(:\n    pass\n", "syntax_error", 3),
        ("import torch\nx = 1\0\n", "nul_byte", 2),
        ("# coding: utf-7\nimport torch\n", "not_utf8", 1),
        ("\n# -*- coding: latin-1 -*-\nimport torch\n", "not_utf8", 2),
        (f"Here:\n{FENCE}python\n# vim: set fileencoding=utf-16 :\nimport torch\n{FENCE}\n", "not_utf8", 3),
        (b"import torch\nx = '\xff'\n", "not_utf8", 2),
        ("import torch\nx = '\ud800'\n", "not_utf8", None),
        (f"import torch\nx = {'(' * 5000}1{')' * 5000}\n", "syntax_error", 2),
        (f"import torch\nx = {'-' * 50_000}1\n", "too_deep", None),
        (f"import torch\nx = {'+'.join('1' * 30_000)}\n", "too_deep", None),
        (f"import torch\nx = a{'.b' * 40_000}\n", "too_deep", None),
        (f"import torch\nx = {'9' * 10_000}\n", "syntax_error", 2),
        ("x=1\n" * 60_000, "too_large", None),
    ],
)
def test_what_cannot_be_read_says_why(text: str | bytes, code: str, line: int | None) -> None:
    answer = read_answer(text)
    assert code_of(answer) == code
    assert answer.objections[0].line == line


@pytest.mark.parametrize("text", ["x = 1\n" * 900_000, "é" * (LARGEST_ANSWER // 2 + 1), b"\xff" * 5_000_000])
def test_five_megabytes_are_refused_at_once(text: str | bytes) -> None:
    started = time.process_time()
    assert code_of(read_answer(text)) == "too_large"
    assert time.process_time() - started < 0.5


def test_huge_powers_are_read_and_not_computed() -> None:
    started = time.process_time()
    assert read_answer("import torch\nx = 10**10**10\ny = [0] * 10**12\n").objections == ()
    assert time.process_time() - started < 1


def test_line_ends_and_marks_of_the_byte_order_make_no_difference() -> None:
    plain = read_answer(CODE)
    for text in (
        CODE.replace("\n", "\r\n"),
        CODE.replace("\n", "\r"),
        "\ufeff" + CODE,
        b"\xef\xbb\xbf" + CODE.encode(),
    ):
        assert read_answer(text) == plain


def test_warnings_about_strings_are_nobodys_concern() -> None:
    assert read_answer('import torch\nx = "\\d"\n').objections == ()


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_the_digest_is_of_what_the_code_says(path: object) -> None:
    answer = read_answer(path.read_text())  # type: ignore[attr-defined]
    spaced = "# a comment\n" + answer.source.replace("\n\n\n", "\n\n\n\n") + "\n# the end\n"
    assert read_answer(spaced).digest == answer.digest
    assert read_answer(f"Text.\n\n```python\n{answer.source}```\n").digest == answer.digest
    assert read_answer(answer.source.replace("self.dim = dim", "self.dim = dim + 1")).digest != answer.digest


@given(st.one_of(st.text(max_size=300), st.binary(max_size=300)))
def test_reading_raises_nothing(text: str | bytes) -> None:
    answer = read_answer(text)
    assert bool(answer.objections) or answer.tree is not None


@given(
    st.lists(
        st.sampled_from(["```", "```python", "~~~", "import torch", "x = (", '"""', "", "  ```", "text here"]),
        max_size=12,
    )
)
def test_whatever_the_fences_are_there_is_one_source_or_a_reason(lines: list[str]) -> None:
    answer = read_answer("\n".join(lines))
    if not answer.objections:
        given = "\n".join(lines).split("\n")
        first = next(line for line in answer.source.split("\n") if line.strip())
        assert first.strip() == given[answer.first_line - 1 + answer.source.split("\n").index(first)].strip()
