from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from wiring.samples import tiny_library

from provision.wiring.alias import alias_library
from provision.wiring.elf import read_dynamic

USE = """
import ctypes, sys
for path in sys.argv[2:]:
    ctypes.CDLL(path)
print(ctypes.c_int.in_dll(ctypes.CDLL(sys.argv[1]), "libreal_so_11_2_marker").value)
"""


def use(name: str, *loaded: Path, search: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", USE, name, *map(str, loaded)]
    return subprocess.run(argv, env={"LD_LIBRARY_PATH": str(search)}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "real"),
    [
        ("libnvrtc.so", "libnvrtc.so.11.2"),
        ("libcusolver.so.10", "libcusolver.so.11"),
        ("a", "b"),
        ("x" * 200, "y" * 255),
    ],
)
def test_it_is_a_library_that_other_programs_can_read(tmp_path: Path, name: str, real: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(alias_library(name, real))
    dynamic = read_dynamic(path)
    assert (dynamic.soname, dynamic.needed, dynamic.search) == (name, (real,), ())
    assert path.stat().st_size < 1100


def test_it_answers_for_the_real_library_and_beats_ld_library_path(tmp_path: Path, cc: str) -> None:
    real = tiny_library(tmp_path / "right/libreal.so.11.2")
    bogus = tiny_library(tmp_path / "bogus/libreal.so").parent
    alias = tmp_path / "alias.so"
    alias.write_bytes(alias_library("libreal.so", "libreal.so.11.2"))
    assert use("libreal.so", real, alias, search=bogus).stdout == "1\n"
    control = use("libreal.so", real, search=bogus)
    assert "undefined symbol: libreal_so_11_2_marker" in control.stderr


def test_without_the_real_library_it_does_not_load(tmp_path: Path) -> None:
    alias = tmp_path / "alias.so"
    alias.write_bytes(alias_library("libreal.so", "libreal.so.11.2"))
    assert "libreal.so.11.2: cannot open shared object file" in use("libreal.so", alias, search=tmp_path).stderr


def test_it_asks_for_no_executable_stack_and_has_no_code() -> None:
    from elftools.elf.elffile import ELFFile

    with io.BytesIO(alias_library("a", "b")) as stream:
        segments = {item["p_type"]: item["p_flags"] for item in ELFFile(stream).iter_segments()}
    assert segments == {"PT_LOAD": 6, "PT_DYNAMIC": 6, "PT_GNU_STACK": 6}
