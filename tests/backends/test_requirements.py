from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.backends.requirements import COUNT_LIMIT, SIZE_LIMIT, check_all, check_requirement, read_file
from provision.errors import InvalidFileError, UsageError

GOOD = {
    "pandas": "pandas",
    " pandas >= 2 ": "pandas>=2",
    "scikit-learn[alldeps]~=1.4": "scikit-learn[alldeps]~=1.4",
    "tqdm; python_version < '3.9'": 'tqdm; python_version < "3.9"',
    "A.b_C==1!2.0.post1+cu118": "A.b_C==1!2.0.post1+cu118",
    "pkg (>=1,<2)": "pkg<2,>=1",
}

BAD = [
    "",
    "   ",
    "-r other.txt",
    "--index-url http://evil.example/simple",
    "--extra-index-url=http://evil.example",
    "-e .",
    "--find-links .",
    "--no-binary :all:",
    "-",
    "--",
    "git+https://evil.example/x.git",
    "https://evil.example/x.whl",
    "HTTP://evil.example/x.whl",
    "file:///etc/passwd",
    "x @ https://evil.example/x.whl",
    "x @ file:///etc/passwd",
    "x@git+ssh://git@evil.example/x",
    "./x",
    "../x.whl",
    "/abs/x.whl",
    "~/x",
    ".",
    "x --hash=sha256:00",
    "x \\",
    "${HOME}",
    "x; import os",
    "x\n--index-url=http://evil.example",
    "x\r--index-url=http://evil.example",
    "x\x00y",
    "x\u2028--index-url",
    "a b",
    "pandas>=",
    "x" * 3000,
]


@pytest.mark.parametrize("text", GOOD)
def test_plain_requirements_are_taken(text: str) -> None:
    assert check_requirement(text) == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_nothing_else_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"it |not taken"):
        check_requirement(text)


@given(st.text(max_size=60))
def test_what_is_taken_can_never_be_an_option_an_address_or_a_second_line(text: str) -> None:
    try:
        taken = check_requirement(text)
    except ValueError:
        return
    assert not taken.startswith("-")
    assert "://" not in taken.partition(";")[0]
    assert len(taken.splitlines()) == 1


def test_all_that_is_wrong_on_the_command_line_is_told_at_once() -> None:
    with pytest.raises(UsageError) as failure:
        check_all(("pandas", "-e .", "./x"), "--with")
    assert failure.value.code == "requirement-not-allowed"
    assert len(failure.value.why) == 2
    assert failure.value.why[0].startswith("--with '-e .'")


def test_a_file_gives_its_requirements_without_comments(tmp_path: Path) -> None:
    file = tmp_path / "r.txt"
    file.write_bytes(b"\xef\xbb\xbf# mine\r\npandas>=2  # why\r\n\r\n  tqdm\r\n")
    assert read_file(file) == ("pandas>=2", "tqdm")


def test_an_empty_file_gives_none(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("")
    assert read_file(tmp_path / "r.txt") == ()


def test_every_wrong_line_is_named_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "r.txt"
    file.write_text("pandas\n-r more.txt\n\nhttps://user:secret@evil.example/x.whl\n")
    with pytest.raises(InvalidFileError) as failure:
        read_file(file)
    assert failure.value.code == "requirement-not-allowed"
    assert [line.split(": ")[0] for line in failure.value.why] == [f"{file}:2", f"{file}:4"]
    assert "secret" not in "".join(failure.value.why)


def test_many_wrong_lines_do_not_fill_the_screen(tmp_path: Path) -> None:
    file = tmp_path / "r.txt"
    file.write_text("-e .\n" * 100)
    with pytest.raises(InvalidFileError) as failure:
        read_file(file)
    assert len(failure.value.why) == 21
    assert failure.value.why[-1] == "… and 80 more"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"a\n" * SIZE_LIMIT, "larger than"),
        (b"\x7fELF\x00\x01\x02\xff", "not UTF-8"),
        (b"pan\x00das\n", "NUL"),
        ("pandas\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_file_that_is_no_requirements_file_is_refused(tmp_path: Path, content: bytes, part: str) -> None:
    (tmp_path / "r.txt").write_bytes(content)
    with pytest.raises(InvalidFileError) as failure:
        read_file(tmp_path / "r.txt")
    assert failure.value.code == "requirements-file"
    assert part in failure.value.why[0]


def test_too_many_requirements_are_refused(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("".join(f"p{number}\n" for number in range(COUNT_LIMIT + 1)))
    with pytest.raises(InvalidFileError, match="cannot be taken"):
        read_file(tmp_path / "r.txt")


@pytest.mark.parametrize("path", ["absent.txt", ".", "/dev/zero", "/dev/stdin", "x\0y"])
def test_what_is_no_file_is_refused_without_being_read(tmp_path: Path, path: str) -> None:
    with pytest.raises((InvalidFileError, ValueError)):
        read_file(tmp_path / path)
