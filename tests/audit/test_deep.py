"""Whole wheels read deeply: GPU code, the CUDA names that are looked up, and the libraries that have them."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from audit.kernels import SAMPLE, fatbin, library_with_code, ptx, sass
from audit.lab import BUILD_INFO, Shop, make_wheel
from typer.testing import CliRunner

from provision.audit.contents.cover import with_symbols
from provision.audit.contents.deep import scan_library
from provision.audit.contents.extra import by_pins
from provision.audit.contents.section import SectionScan
from provision.audit.contents.symbols import NameScan, cover
from provision.audit.contents.wheel import wheel_facts
from provision.audit.reading.reader import Reader
from provision.cli.main import app
from provision.errors import InvalidFileError
from provision.model.wheel import CodeCount

DEEP = ("names", "metadata", "code")
LINKED = fatbin(ptx(90, (8, 1)))


@pytest.fixture
def kernels(compile_library: Callable[..., Path], tmp_path: Path) -> Path:
    """A library: a module linked of two others, two as they are, and PTX alone that is no part of the first."""
    plain = fatbin(sass(60), sass(90)) + SAMPLE + SAMPLE + fatbin(ptx(80, (7, 2)))
    return library_with_code(compile_library, tmp_path, plain, LINKED * 2)


@pytest.fixture
def tensorflow(shop: Shop, kernels: Path) -> Path:
    members = {
        "tensorflow/python/platform/build_info.py": BUILD_INFO.encode(),
        "tensorflow/libtensorflow_cc.so.2": kernels.read_bytes(),
        "tensorflow/python/_other.so": b"\0cudnnCreate\0cudnnDestroy\0",
        "tensorflow/not_a_library.txt": SAMPLE,
    }
    return make_wheel(shop.folder, "tensorflow", "2.98.0", members)


def test_code_of_a_wheel(reader: Reader, shop: Shop, tensorflow: Path) -> None:
    located = reader.locate("tensorflow==2.98.0")
    facts = wheel_facts(reader, located, DEEP)
    assert facts.code is not None
    [library] = facts.code
    assert (library.path, library.modules, library.damaged) == ("tensorflow/libtensorflow_cc.so.2", 6, 0)
    assert library.sass == (CodeCount("6.0", 3), CodeCount("9.0", 1), CodeCount("9.0a", 2))
    assert library.ptx == (CodeCount("8.0", 1, "7.2"), CodeCount("9.0a", 2, "8.3", ("6.0", "9.0a")))
    assert library.linked == 2, "what separate compilation left is not PTX that a GPU would be given"
    asked = len(shop.asked)
    assert wheel_facts(reader, located, DEEP).code == facts.code
    assert len(shop.asked) == asked, "the second time the cache has it"


def test_machine_code_beside_ptx_is_what_every_module_has() -> None:
    data = fatbin(sass(60), sass(80), ptx(80, (7, 2))) + fatbin(sass(60), ptx(80, (7, 2)))
    facts, _ = scan_library([data], len(data), "x.so")
    assert facts.ptx == (CodeCount("8.0", 2, "7.2", ("6.0",)),)


def test_symbol_cover(reader: Reader, shop: Shop, tensorflow: Path, compile_library: Callable[..., Path]) -> None:
    for name, stem, functions in (
        ("cublas", "libcublas.so.12", ("cublasSgemm_v2",)),
        ("cublas", "libcublasLt.so.12", ("cublasLtMatmul",)),
        ("cudnn", "libcudnn.so.9", ("cudnnCreate",)),
    ):
        code = "".join(f"void {function}(void) {{}}\n" for function in functions) + "static void hidden(void) {}\n"
        library = compile_library(code, stem).read_bytes()
        version = {"libcublas.so.12": "12.1", "libcublasLt.so.12": "12.2", "libcudnn.so.9": "9.1"}[stem]
        make_wheel(shop.folder, f"nvidia-{name}-cu12", version, {f"nvidia/{name}/lib/{stem}": library})
    located = reader.locate("tensorflow==2.98.0")
    pins = [("nvidia-cublas-cu12", "12.1"), ("nvidia-cublas-cu12", "12.2"), ("nvidia-cudnn-cu12", "9.1")]
    facts = with_symbols(reader, wheel_facts(reader, located, DEEP), located, by_pins(reader, pins))
    assert facts.symbols is not None
    assert facts.symbols.looked_up == 5
    assert facts.symbols.missing == {"cudnn": ("cudnnDestroy",)}
    assert facts.symbols.unpinned == {"curand": 1}
    assert facts.symbols.wheels == tuple(f"{name}=={version}" for name, version in pins)


def test_names_are_whole_strings_however_they_are_cut() -> None:
    data = b"\0cudnnCreate\0cudnnDestroy\0xcudnnSetStream\0cudnn_one\0cublasLt\0cufftPlan1d\0" + b"cusparse" * 99
    for step in (1, 5, 100, 10_000):
        names = NameScan()
        for at in range(0, len(data), step):
            names.feed(data[at : at + step])
        assert names.names == {"cudnnCreate", "cudnnDestroy", "cufftPlan1d"}, step


def test_nothing_looked_up_is_nothing_missing() -> None:
    symbols = cover([], {"libcudnn.so.9": ["cudnnCreate"]}, ["nvidia-cudnn-cu12==9.1"])
    assert (symbols.looked_up, symbols.missing, symbols.unpinned) == (0, {}, {})


@pytest.mark.parametrize("step", [100, 1 << 20])
def test_where_a_section_lies(kernels: Path, step: int) -> None:
    data = kernels.read_bytes()
    scan = SectionScan(b"__nv_relfatbin")
    for at in range(0, len(data), step):
        scan.feed(data[at : at + step])
    first, last = scan.extent()
    assert data[first:last] == LINKED * 2


def test_a_library_that_is_not_what_record_says(shop: Shop, reader: Reader, kernels: Path) -> None:
    path = "tensorflow/libtensorflow_cc.so.2"
    make_wheel(shop.folder, "tensorflow", "2.97.0", {path: kernels.read_bytes()}, record={path: b"another"})
    with pytest.raises(InvalidFileError, match="cannot be trusted"):
        wheel_facts(reader, reader.locate("tensorflow==2.97.0"), DEEP)


def test_a_bomb_of_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Reader) -> None:
    monkeypatch.setattr("provision.audit.contents.deep._MOST_BYTES", 50 << 20)
    file = make_wheel(tmp_path, "tensorflow", "2.96.0", {f"tensorflow/{n}.so": bytes(10 << 20) for n in range(6)})
    assert file.stat().st_size < 1 << 20
    with pytest.raises(InvalidFileError, match="cannot be trusted"):
        wheel_facts(reader, reader.locate(str(file)), DEEP)


def test_the_command_says_it(tensorflow: Path, shop: Shop, tmp_path: Path) -> None:
    environ = {
        "UV_DEFAULT_INDEX": shop.address,
        "UV_NO_CONFIG": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "XDG_CACHE_HOME": str(tmp_path),
    }
    run = CliRunner().invoke(app, ["audit", "wheel", str(tensorflow), "--deep"], env=environ)
    assert run.exit_code in {0, 4}, run.output
    assert "machine code for 6.0 in 3, 9.0 in 1, 9.0a in 2" in run.output
    assert "PTX 8.3 for 9.0a in 2, beside machine code for 6.0 9.0a" in run.output
    run = CliRunner().invoke(app, ["audit", "wheel", str(tensorflow), "--deep", "--json"], env=environ)
    [library] = json.loads(run.output)["code"]
    assert library["linked"] == 2
    with zipfile.ZipFile(tensorflow) as archive:
        assert library["path"] in archive.namelist()
