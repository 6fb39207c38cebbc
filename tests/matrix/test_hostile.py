"""Damaged and hostile files: refused quickly, with a line, and without ever running or expanding anything."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provision.errors import InvalidFileError
from provision.matrix import canonical, load, tree
from provision.matrix.loading import read

BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 8)}]\n" for n in range(20)
)


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (b"", 1, "the file is empty"),
        (b"\n \n\n", 1, "the file is empty"),
        (b"# only a comment\n", 1, "the file is empty"),
        (b"\x7fELF\x02\x01\x01\x00\x00\x00", 1, "NUL byte"),
        (b"schema: 1\nevil: \x00\n", 2, "NUL byte"),
        (b"schema: 1\ncaf\xe9: x\n", 2, "not UTF-8 text (byte 13)"),
        ("schema: 1\n".encode("utf-16"), 1, "not UTF-8"),
        (b"schema: [1, 2\nother: x\n", 2, "not YAML"),
        (b"schema: 1\n\tevidence: x\n", 2, "not YAML"),
        (b"schema: '1\n", 2, "not YAML"),
        (b"schema: 1\x07\n", 1, "not YAML"),
        (b"- a\n- b\n", 1, "must be a mapping of tables"),
        (b"just words\n", 1, "must be a mapping of tables"),
        (b"a: &x 1\nb: 2\n", 1, "anchors are not allowed"),
        (b"a: 1\nb: *x\n", 2, "aliases are not allowed"),
        (BOMB.encode(), 1, "anchors are not allowed"),
        (b"schema: !!python/object/apply:os.system [id]\n", 1, "tags are not allowed"),
        (b"schema: !!int 1\n", 1, "tags are not allowed"),
        (b"schema: 1\nx: !local y\n", 2, "tags are not allowed"),
        (b"<<: {schema: 1}\n", 1, "unknown key '<<'"),
        (b"schema: 1\n---\nschema: 1\n", 2, "only one YAML document"),
        (b"? [a, b]\n: c\n", 1, "a key must be text"),
        (b"? {a: b}\n: c\n", 1, "a key must be text"),
        (b"x: " + b"[" * 400 + b"]" * 400 + b"\n", 1, "nested deeper"),
        (b"x: " + b"{a: " * 400 + b"1" + b"}" * 400 + b"\n", 1, "nested deeper"),
        (b"x: " + b"[" * 200_000, 1, "nested deeper"),
        (b"x: [" + b"a," * 300_000 + b"a]\n", 1, "more than 200000 values"),
        (b"schema: 1 #" + b"x" * (3 << 20), 1, "larger than"),
    ],
)
def test_it_is_refused_with_a_line(tmp_path: Path, data: bytes, line: int, message: str) -> None:
    path = tmp_path / "hostile.yaml"
    path.write_bytes(data)
    start = time.process_time()
    with pytest.raises(InvalidFileError) as caught:
        load(path)
    assert time.process_time() - start < 5, "refusing must be cheap"
    assert any(error.startswith(f"{path}:{line}: ") and message in error for error in caught.value.why), (
        caught.value.why
    )
    assert all(len(error) < 1000 for error in caught.value.why), "what is hostile is not repeated at length"


def test_a_device_that_never_ends_is_read_only_to_the_limit() -> None:
    with pytest.raises(InvalidFileError) as caught:
        load(Path("/dev/zero"))
    assert "larger than" in caught.value.why[0]


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise_anything_but_the_promise(data: bytes) -> None:
    problems = tree.Problems("x")
    assert read(data, "x", problems) is None
    assert problems, "what is refused is refused with a reason"


@given(st.text(alphabet="ab:{}[]-,&*!|>'\"#%@`?\n 1.", max_size=120))
@settings(max_examples=300, deadline=None)
def test_no_text_of_yaml_signs_raises_anything_but_the_promise(text: str) -> None:
    problems = tree.Problems("x")
    assert read(text.encode(), "x", problems) is None
    assert problems
    try:
        again = canonical(text)
    except InvalidFileError:
        return
    assert canonical(again) == again


def test_the_reader_does_not_need_the_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parent / "minimal.yaml").read_bytes()
    monkeypatch.setattr(tree, "_BASE_LOADER", yaml.BaseLoader)
    problems = tree.Problems("x")
    matrix = read(text, "x", problems)
    assert not problems
    assert matrix is not None
    assert [str(row.release) for row in matrix.rows] == ["2.9.3", "2.10.0"]


@pytest.mark.parametrize("data", [b"a: &x 1\n", b"a: *x\n", b"a: !!int 1\n", b"a: [1\n", b"x: " + b"[" * 5000])
def test_without_the_c_library_the_same_is_refused(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(tree, "_BASE_LOADER", yaml.BaseLoader)
    problems = tree.Problems("x")
    assert read(data, "x", problems) is None
    assert problems
