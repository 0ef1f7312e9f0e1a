"""Files that are not what they should be: named, with their key, in a sentence, and before they cost time or memory."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import pytest

from stallgate.errors import BrokenFile
from stallgate.project.decode import decode_json, read_bounded, read_json, read_toml

LIMIT = 1000


def toml(tmp_path: Path, content: bytes) -> dict[str, object]:
    path = tmp_path / "file.toml"
    path.write_bytes(content)
    return read_toml(path, "file.toml")


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_and_other_line_ends_are_read(tmp_path: Path, start: str, end: str) -> None:
    assert toml(tmp_path, f"{start}a = 1{end}b = 2{end}".encode()) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a = 1".encode("utf-16"), "cannot be read"),
        (b"a = \xff", "cannot be read"),
        (b"a = 1\0", "not valid TOML"),
        (b"a = " + b"[" * 5000, "nested too deeply"),
        (b"a = " + b"{a=" * 5000, "nested too deeply"),
        (b"a." * 300_000 + b"a = 1", "a key has more than 64 parts"),
        (b"'a b' . " * 100_000 + b"a = 1", "a key has more than 64 parts"),
        (b'"a\xe2\x80\xa8".' * 50_000 + b"a = 1", "a key has more than 64 parts"),
        (b"a = { " + b"'#'." * 100_000 + b"a = 1 }", "a key has more than 64 parts"),
        (b"a = 0x" + b"f" * 5000, "a: it has more than 64 bits"),
        (b"[a]\nb = [1, { c = 9223372036854775808 }]", "a.b[1].c: it has more than 64 bits"),
        (b"a = " + b"9" * 5000, "not valid TOML"),
        (b"a = 2026-02-31", "not valid TOML"),
        (b"#" * (2 << 20), "larger than 1 MiB"),
    ],
)
def test_toml_that_cannot_be_read(tmp_path: Path, content: bytes, words: str) -> None:
    begin = time.process_time()
    with pytest.raises(BrokenFile, match=r"file\.toml: ") as refused:
        toml(tmp_path, content)
    assert words in refused.value.message
    assert refused.value.hint
    assert len(refused.value.message) < 500
    assert time.process_time() - begin < 5


def test_dots_that_are_no_key_are_let_pass(tmp_path: Path) -> None:
    numbers = ", ".join(["1.5"] * 200)
    content = f"# {'.' * 200}\na = [{numbers}]\nb = '{'x. ' * 200}'\n"
    assert len(toml(tmp_path, content.encode())) == 2


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b'{"a": 1e999}', b"\xff", b"1" * 5000])
def test_json_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(BrokenFile, match=r"file\.json: not valid JSON") as refused:
        read_json(path, "file.json")
    assert refused.value.hint


def test_an_unknown_key_may_hold_anything() -> None:
    class Known(msgspec.Struct):
        a: int = 0

    with pytest.raises(ValueError, match="nested too deeply"):
        decode_json(b'{"b": ' + b"[" * 100_000, Known)


# --- what is no file of a size ---


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * LIMIT)
    assert read_bounded(path, LIMIT) == b"x" * LIMIT
    path.write_bytes(b"x" * (LIMIT + 1))
    with pytest.raises(OSError, match="it is larger than"):
        read_bounded(path, LIMIT)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(OSError):  # noqa: PT011  (a folder is refused in the system's words)
        read_bounded(path, LIMIT)
