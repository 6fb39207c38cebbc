from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiring.samples import tiny_library

from provision.errors import InvalidFileError
from provision.wiring.elf import Dynamic, read_dynamic


@pytest.mark.parametrize(
    ("runpath", "kind", "search"),
    [
        ("", "", ()),
        ("$ORIGIN/", "RPATH", ("$ORIGIN/",)),
        ("$ORIGIN/", "RUNPATH", ("$ORIGIN/",)),
        ("$ORIGIN:$ORIGIN/../../cublas/lib:", "RUNPATH", ("$ORIGIN", "$ORIGIN/../../cublas/lib")),
        # 2.21.0 repeats its folders hundreds of times.
        (":".join(["$ORIGIN/../nvidia/cublas/lib"] * 300), "RUNPATH", ("$ORIGIN/../nvidia/cublas/lib",)),
    ],
)
def test_the_search_entries_of_a_library_are_read(
    tmp_path: Path, cc: str, runpath: str, kind: str, search: tuple[str, ...]
) -> None:
    dynamic = read_dynamic(tiny_library(tmp_path / "liba.so.1", runpath=runpath, rpath=kind == "RPATH"))
    assert (dynamic.kind, dynamic.search) == (kind, search)


def test_soname_and_needed_are_read(tmp_path: Path, cc: str) -> None:
    first = tiny_library(tmp_path / "libfirst.so.3")
    dynamic = read_dynamic(tiny_library(tmp_path / "file.so", soname="libsecond.so.4", needed=(first,)))
    assert dynamic.soname == "libsecond.so.4"
    assert dynamic.needed == ("libfirst.so.3",)


@pytest.mark.parametrize(
    ("entry", "folder"),
    [
        ("$ORIGIN", "/env/site-packages/nvidia/cudnn/lib"),
        ("${ORIGIN}/", "/env/site-packages/nvidia/cudnn/lib"),
        ("$ORIGIN/../../cublas/lib", "/env/site-packages/nvidia/cublas/lib"),
        ("$ORIGIN/../../../tensorflow", "/env/site-packages/tensorflow"),
        ("/usr/local/cuda/lib64", "/usr/local/cuda/lib64"),
        ("$ORIGIN/../../../../../../../..", "/"),
    ],
)
def test_origin_is_the_folder_in_which_the_library_was_opened(entry: str, folder: str) -> None:
    dynamic = Dynamic("liba.so", (), "RUNPATH", (entry,))
    assert dynamic.folders(Path("/env/site-packages/nvidia/cudnn/lib")) == (Path(folder),)


def test_whether_its_own_folder_is_searched() -> None:
    answers = {
        search: Dynamic("a.so", (), "RUNPATH", (search,)).searches_origin for search in ("$ORIGIN/", "$ORIGIN/x")
    }
    assert answers == {"$ORIGIN/": True, "$ORIGIN/x": False}


def broken_files(folder: Path) -> dict[str, Path]:
    whole = tiny_library(folder / "whole.so").read_bytes()
    contents = {
        "empty": b"",
        "text": b"GROUP ( libc.so.6 )\n",
        "magic-only": b"\x7fELF",
        "header-only": whole[:64],
        "zeros": whole[:64] + bytes(4096),
        "wild-offsets": whole[:32] + b"\xff" * 16 + whole[48:],
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}


@pytest.mark.parametrize("name", ["empty", "text", "magic-only", "header-only", "zeros", "wild-offsets"])
def test_a_broken_file_is_told_and_never_a_crash(tmp_path: Path, cc: str, name: str) -> None:
    path = broken_files(tmp_path)[name]
    with pytest.raises(InvalidFileError) as caught:
        read_dynamic(path)
    assert caught.value.code == "unreadable-library"
    assert str(path) in caught.value.why[0]


@pytest.mark.parametrize("name", ["missing.so", "."])
def test_what_cannot_be_opened_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidFileError, match="cannot be read as a shared library"):
        read_dynamic(tmp_path / name)


@given(st.binary(max_size=400))
def test_any_bytes_behind_the_magic_are_an_invalid_file(tmp_path_factory: pytest.TempPathFactory, tail: bytes) -> None:
    path = tmp_path_factory.mktemp("elf") / "lib.so"
    path.write_bytes(b"\x7fELF\x02\x01\x01" + tail)
    with pytest.raises(InvalidFileError):
        read_dynamic(path)
