from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snapshot.small_environment import elf

from provision.snapshot.elf_file import elf_fault

KINDS = {"truncated", "not-elf", "architecture", "unreadable"}


def kind(path: Path, data: bytes, machine: str = "x86_64") -> str:
    path.write_bytes(data)
    fault = elf_fault(path, machine)
    return fault.kind if fault else ""


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (elf(), ""),
        (elf(claimed=5000), "truncated"),
        (elf()[:40], "truncated"),
        (elf()[:80], "truncated"),
        (b"", "truncated"),
        (elf(machine=183), "architecture"),
        (elf().replace(b"\x7fELF\x02", b"\x7fELF\x01", 1), "architecture"),
        (b"MZ\x90\0" * 50, "not-elf"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not-elf"),
        (b"/* GNU ld script */\nINPUT ( libcudart.so.12 )\n", ""),
    ],
)
def test_what_is_wrong(tmp_path: Path, data: bytes, expected: str) -> None:
    assert kind(tmp_path / "lib.so", data) == expected


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    fault = elf_fault(tmp_path / "gone.so", "x86_64")
    assert fault is not None
    assert fault.kind == "unreadable"


def test_real_libraries_are_whole_and_every_cut_is_seen(tmp_path: Path) -> None:
    import _ctypes

    if not sys.platform.startswith("linux") or not hasattr(_ctypes, "__file__"):
        pytest.skip("no extension module of its own file")
    data = Path(_ctypes.__file__).read_bytes()
    assert kind(tmp_path / "lib.so", data) == ""
    for size in (0, 10, 63, 64, 500, len(data) // 2, len(data) - 1):
        assert kind(tmp_path / "lib.so", data[:size]) == "truncated"


@given(st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), max_size=12), st.integers(0, 4096))
def test_flipped_bytes_give_a_kind_and_no_failure(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(elf())
    for place, value in flips:
        data[place] = value
    assert kind(tmp_path_factory.getbasetemp() / "flipped.so", bytes(data[:cut])) in KINDS | {""}
