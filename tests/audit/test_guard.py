"""What TensorFlow refuses to run without, read out of its own check; what cannot be read is said, and harms nothing."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from audit.guards import AVX, AVX2_FMA, guard_source
from audit.lab import BUILD_INFO, Shop, make_wheel
from typer.testing import CliRunner

from provision.audit.claims.cpu import highest, with_lower
from provision.audit.contents.guard import INITIALISER, read_guard
from provision.audit.contents.wheel import GUARD, PLAIN, wheel_facts
from provision.audit.reading.reader import Reader
from provision.cli.main import app
from provision.model.wheel import GuardFacts

SETS = ("sse", "sse2", "sse3", "sse4_1", "sse4_2", "avx")
Build = Callable[..., Path]


@pytest.fixture
def library(compile_library: Callable[..., Path], tmp_path: Path) -> Build:
    """A library with a check of the CPU."""

    def build(*numbers: int, options: tuple[str, ...] = (), **more: object) -> Path:
        source = guard_source(tmp_path, *numbers, **more)  # type: ignore[arg-type]
        return compile_library("int other(void) { return 12; }", "libtensorflow_framework.so.2", source, *options)

    return build


def test_the_sets_in_their_order(library: Build) -> None:
    assert read_guard(library(*AVX)) == GuardFacts(SETS)
    assert read_guard(library(*AVX, 27, 14, 15)).features == (*SETS, "avx512f", "avx2", "fma")


def test_names_that_gcc_loads_bear_it_out(library: Build) -> None:
    names = ("SSE", "SSE2", "SSE3", "SSE4.1", "SSE4.2", "AVX", "something else")
    assert read_guard(library(*AVX, named=names)).features == SETS
    found = read_guard(library(*AVX, named=(*names, "AVX2")))
    assert found == GuardFacts(None, "it names AVX2, and no check of that was found")


@pytest.mark.parametrize(
    ("numbers", "more", "why"),
    [
        (AVX, {"options": ("-s",)}, "its symbol table does not say where it checks the CPU"),
        (AVX, {"name": f"{INITIALISER.decode()}.cold"}, "its symbol table does not say where it checks the CPU"),
        (AVX, {"strangers": (24,)}, "its check of the CPU has another form"),
        ((), {}, "its check of the CPU has another form"),
        ((1, 2, 5, 12), {}, "it checks SSE SSE2 SSE4.1 AVX, and not all that belongs to these"),
        ((*AVX, 99), {}, "it checks instruction sets whose numbers are not known: 99"),
        (AVX, {"size": "0"}, "its check of the CPU is of another size than any"),
        (AVX, {"size": "0x7fffffffffff"}, "its check of the CPU is of another size than any"),
    ],
)
def test_what_cannot_be_told(library: Build, numbers: tuple[int, ...], more: dict[str, object], why: str) -> None:
    assert read_guard(library(*numbers, **more)) == GuardFacts(None, why)


def tables(data: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Place of each header of a section, and its type."""
    first, count = struct.unpack_from("<Q", data, 40)[0], struct.unpack_from("<H", data, 60)[0]
    for place in range(first, first + 64 * count, 64):
        yield place, struct.unpack_from("<I", data, place + 4)[0]


def symbols(data: bytes | bytearray) -> int:
    """Place of the header of its symbol table."""
    return next(place for place, kind in tables(data) if kind == 2)


def symbol(data: bytes | bytearray) -> int:
    """Place of the symbol of the check."""
    header = symbols(data)
    first, size, link = *struct.unpack_from("<QQ", data, header + 24), struct.unpack_from("<I", data, header + 40)[0]
    texts = struct.unpack_from("<Q", data, [place for place, _ in tables(data)][link] + 24)[0]
    name = bytes(data).index(INITIALISER + b"\0", texts) - texts
    return next(at for at in range(first, first + size, 24) if struct.unpack_from("<I", data, at)[0] == name)


@pytest.mark.parametrize("number", [0, 1, 9, 1 << 31, 1 << 40, (1 << 63) - 1, (1 << 64) - 1])
@pytest.mark.parametrize("where", ["table", "size", "entry", "address", "length", "link", "names", "segments"])
def test_numbers_out_of_range(library: Build, tmp_path: Path, where: str, number: int) -> None:
    data = bytearray(library(*AVX).read_bytes())
    assert symbols(data)
    assert symbol(data)
    place, form = {
        "table": (symbols(data) + 24, "<Q"),
        "size": (symbols(data) + 32, "<Q"),
        "entry": (symbol(data), "<I"),
        "address": (symbol(data) + 8, "<Q"),
        "length": (symbol(data) + 16, "<Q"),
        "link": (symbols(data) + 40, "<I"),
        "names": (40, "<Q"),
        "segments": (32, "<Q"),
    }[where]
    struct.pack_into(form, data, place, number & ((1 << 8 * struct.calcsize(form)) - 1))
    (tmp_path / "damaged.so").write_bytes(data)
    found = read_guard(tmp_path / "damaged.so")
    assert found.features is None
    assert found.why


def test_a_library_that_is_cut_off(library: Build, tmp_path: Path) -> None:
    data = library(*AVX).read_bytes()
    file = tmp_path / "cut.so"
    for length in (*range(0, 200, 7), *range(200, len(data), 501)):
        file.write_bytes(data[:length])
        found = read_guard(file)
        assert found.features is None
        assert found.why
    assert read_guard(tmp_path / "nowhere").why == "it cannot be read (No such file or directory)"


def test_another_processor(library: Build, tmp_path: Path) -> None:
    data = bytearray(library(*AVX).read_bytes())
    struct.pack_into("<H", data, 18, 183)
    (tmp_path / "arm.so").write_bytes(data)
    assert read_guard(tmp_path / "arm.so").why == "it is no library for x86-64"


@pytest.mark.parametrize(("size", "why"), [(48 << 20, "does not say where"), ((48 << 20) + 24, "longer than any")])
def test_a_giant_symbol_table(library: Build, tmp_path: Path, size: int, why: str) -> None:
    data = bytearray(library(*AVX).read_bytes())
    struct.pack_into("<QQ", data, symbols(data) + 24, len(data), size)
    file = tmp_path / "giant.so"
    file.write_bytes(data)
    with file.open("r+b") as stream:
        stream.truncate(len(data) + size)
    start = time.monotonic()
    assert why in read_guard(file).why
    assert time.monotonic() - start < 20


def test_a_table_that_names_it_a_million_times(library: Build, tmp_path: Path) -> None:
    data = bytearray(library(*AVX).read_bytes())
    link = struct.unpack_from("<I", data, symbols(data) + 40)[0]
    many = (INITIALISER + b"\0") * 500_000
    struct.pack_into("<QQ", data, [place for place, _ in tables(data)][link] + 24, len(data), len(many))
    file = tmp_path / "many.so"
    file.write_bytes(data + many)
    assert read_guard(file).features is None


@pytest.fixture
def release(shop: Shop, framework: Callable[..., bytes], tmp_path: Path) -> Path:
    """A wheel of TensorFlow 2.94.0 in the shop that refuses to run without AVX2 and FMA."""
    members = {
        "tensorflow/python/platform/build_info.py": BUILD_INFO.encode(),
        "tensorflow/libtensorflow_framework.so.2": framework(
            "libcudart.so.12", options=(guard_source(tmp_path, *AVX2_FMA),)
        ),
    }
    return make_wheel(shop.folder, "tensorflow", "2.94.0", members)


def test_it_is_a_section_that_is_kept(reader: Reader, shop: Shop, release: Path) -> None:
    located = reader.locate(f"tensorflow=={release.name.split('-')[1]}")
    without = [section for section in PLAIN if section != GUARD]
    assert wheel_facts(reader, located, without).guard is None
    asked = len(shop.asked)
    facts = wheel_facts(reader, located, PLAIN)
    assert facts.guard == GuardFacts((*SETS, "avx2", "fma"))
    assert len(shop.asked) == asked, "the library was at hand when its loader was asked"


def test_it_is_read_by_itself_where_the_rest_is_known(reader: Reader, release: Path) -> None:
    located = reader.locate(f"tensorflow=={release.name.split('-')[1]}")
    wheel_facts(reader, located, PLAIN)
    [kept] = reader.cache.folder.rglob("guard.json") if reader.cache.folder else []
    kept.unlink()
    assert wheel_facts(reader, located, PLAIN).guard == GuardFacts((*SETS, "avx2", "fma"))
    assert kept.is_file()


def test_a_wheel_without_the_library_has_none(reader: Reader, shop: Shop) -> None:
    make_wheel(shop.folder, "nvidia-cudnn-cu12", "9.3.0.75", {"nvidia/cudnn/lib/libcudnn.so.9": b"x"})
    assert wheel_facts(reader, reader.locate("nvidia-cudnn-cu12==9.3.0.75"), ("guard",)).guard is None


def test_the_command_says_it(release: Path, shop: Shop, tmp_path: Path) -> None:
    environ = {"UV_DEFAULT_INDEX": shop.address, "UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": os.devnull}
    environ |= {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    run = CliRunner().invoke(app, ["audit", "wheel", str(release)], env=environ)
    assert "  CPU             refuses to run without sse sse2 sse3 sse4_1 sse4_2 avx avx2 fma\n" in run.output
    run = CliRunner().invoke(app, ["audit", "wheel", str(release), "--json"], env=environ)
    assert json.loads(run.output)["guard"] == {"features": [*SETS, "avx2", "fma"], "why": ""}


def test_a_set_stands_for_those_below_it() -> None:
    assert with_lower(["avx"]) == {*SETS, "ssse3"}
    assert with_lower(["f16c"]) == {"f16c"}
    assert highest(SETS) == ("avx",)
    assert highest((*SETS, "avx2", "avx512f", "fma")) == ("avx512f", "fma")
    assert highest(SETS[:3]) == ()
