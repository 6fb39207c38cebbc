"""The headers of fatbins: by hand, as a compiler at hand writes them, and as ``cuobjdump`` at hand reads them."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from itertools import count
from pathlib import Path

import pytest
from audit.kernels import SAMPLE, entry, fatbin, literal, ptx, sass
from hypothesis import given
from hypothesis import strategies as st

from provision.audit.contents import fatbin as module
from provision.audit.contents.fatbin import LZ4, MARK, PTX, SASS, ZSTD, FatbinScan, Found, TooMuchCodeError
from provision.audit.contents.lz4 import unpack_beginning


def scan(data: bytes, step: int = 1 << 20) -> Found:
    found = FatbinScan(len(data))
    for at in range(0, len(data), step):
        found.feed(data[at : at + step])
    return found.found()


def pieces(found: Found) -> list[tuple[str, str]]:
    return [(piece.target, piece.isa) for shape in found.shapes for piece in shape]


def test_targets_and_versions() -> None:
    found = scan(b"before" + SAMPLE + b"between!" + fatbin(sass(120), ptx(120, (8, 8))) + b"behind")
    assert pieces(found) == [("6.0", ""), ("9.0a", ""), ("9.0a", "8.3"), ("12.0", ""), ("12.0", "8.8")]
    assert (found.fatbins, found.damaged, found.ptx_alone) == (2, 0, ())


@pytest.mark.parametrize(
    ("made", "target"),
    [
        (sass(90), "9.0"),
        (sass(90, 0x800), "9.0a"),
        (sass(100, 0x800, abi=8), "10.0"),
        (sass(100, abi=8, flags=0x200011), "10.0f"),
        (sass(120, abi=8, flags=0x100011), "12.0a"),
        (entry(SASS, 90, b"zstd", flags=0x100011 | ZSTD), "9.0a"),
        (ptx(100, (9, 0), suffix="f"), "10.0f"),
        (ptx(100, (9, 0), suffix="f", flags=0x200011), "10.0f"),
        (ptx(90, (8, 0), suffix="a", flags=LZ4), "9.0a"),
        (entry(PTX, 90, b"\x28\xb5\x2f\xfd", isa=(9, 0), flags=0x100011 | ZSTD), "9.0a"),
        (entry(SASS, 90, b""), "9.0"),
    ],
)
def test_suffixes(made: bytes, target: str) -> None:
    assert [piece[0] for piece in pieces(scan(fatbin(made)))] == [target]


def test_the_text_is_what_the_driver_compiles() -> None:
    assert pieces(scan(fatbin(ptx(80, (7, 2), said=(7, 0))))) == [("8.0", "7.2")]
    other = entry(PTX, 80, b".version 6.3\n.target sm_75, debug\n", isa=(6, 3))
    assert pieces(scan(fatbin(other))) == [("7.5", "6.3")]
    assert pieces(scan(fatbin(entry(PTX, 80, b"nonsense", isa=(7, 4))))) == [("8.0", "7.4")]


def test_code_of_other_kinds_is_passed_over() -> None:
    assert pieces(scan(fatbin(entry(8, 90, b"LTO" * 50), sass(75)))) == [("7.5", "")]


def test_how_it_is_cut_is_all_the_same() -> None:
    data = b"x" * 7 + SAMPLE + MARK[:5] + SAMPLE + fatbin() + MARK
    assert len({str(scan(data, step)) for step in (1, 3, 7, 64, 1000, 1 << 20)}) == 1
    assert scan(data).fatbins == 3


@pytest.mark.parametrize(
    "bad",
    [
        fatbin(sass(60), size=1 << 62),
        fatbin(entry(SASS, 60, b"", length=0xFFFFFFFFFFFFFF00)),
        fatbin(entry(SASS, 60, b"x" * 64)[:-1], size=127),
        fatbin(entry(SASS, 60, b"", header=64).replace(b"\x40\0\0\0", b"\x00\0\0\0", 1)),
        fatbin(entry(SASS, 7, b"x")),
        fatbin(sass(60), b"rest"),
    ],
)
def test_fields_out_of_range(bad: bytes) -> None:
    found = scan(bad + SAMPLE)
    assert found.damaged == 1
    # What a damaged one held counts for nothing, and a whole one behind it counts.
    assert (found.fatbins, pieces(found)[-1]) == (1, ("9.0a", "8.3"))


def test_a_library_that_ends_within_a_fatbin() -> None:
    scanned = FatbinScan(len(SAMPLE))
    scanned.feed(SAMPLE[:-50])
    assert (scanned.found().fatbins, scanned.found().damaged) == (0, 1)


def test_more_than_any_library_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_FATBINS", 10)
    monkeypatch.setattr(module, "_MOST_TARGETS", 5)
    with pytest.raises(TooMuchCodeError):
        scan(fatbin() * 11)
    with pytest.raises(TooMuchCodeError):
        scan(fatbin(*(sass(architecture) for architecture in range(50, 56))))


@given(st.binary(max_size=2000), st.integers(1, 300))
def test_anything_behind_a_mark(noise: bytes, step: int) -> None:
    found = scan(MARK + noise, step)
    assert found.fatbins + found.damaged <= 1 + noise.count(MARK)


def test_lz4_as_the_format_says() -> None:
    # Literals "abc", then 9 bytes from 3 back, then the last literals.
    assert unpack_beginning(b"\x35abc\x03\x00\x20de", 100) == b"abcabcabcabcde"
    assert unpack_beginning(b"\x1fa\x01\x00\xff\x01\x00", 1000) == b"a" * (1 + 15 + 255 + 1 + 4)
    assert unpack_beginning(literal(b"z" * 3000), 2048) == b"z" * 2048
    assert unpack_beginning(b"\x10a\x05\x00\x10b", 10) == b"a", "it reaches back before the beginning"


@given(st.binary(max_size=500), st.integers(0, 5000))
def test_lz4_of_noise(noise: bytes, length: int) -> None:
    assert len(unpack_beginning(noise, length)) <= length


def nvidia_tool(name: str) -> str:
    known = [shutil.which(name), *sorted(map(str, Path("/usr/local").glob(f"cuda*/bin/{name}")))]
    found = next((path for path in known if path), None)
    return found or pytest.skip(f"no {name} of a CUDA toolkit at hand")


def test_what_nvcc_writes(tmp_path: Path) -> None:
    nvcc = nvidia_tool("nvcc")
    (tmp_path / "k.cu").write_text("__global__ void k(float *x) { x[threadIdx.x] += 1.f; }\n")
    targets = ["compute_75,code=sm_75", "compute_90a,code=sm_90a", "compute_90a,code=compute_90a"]
    version = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    newest = "release 13" in version
    if newest:
        targets += ["compute_100f,code=sm_100f", "compute_100f,code=compute_100f", "compute_120a,code=sm_120a"]
    many = [f"-gencode=arch={target}" for target in targets]
    for number, packing in zip(count(), [[], *[[f"-compress-mode={mode}"] for mode in ("none", "speed", "size")]]):
        if packing and not newest:
            continue
        file = tmp_path / f"{number}.fatbin"
        command = [nvcc, "-fatbin", "-o", str(file), str(tmp_path / "k.cu"), *packing, *many]
        subprocess.run(command, check=True, timeout=120)
        found = scan(file.read_bytes())
        assert (found.fatbins, found.damaged) == (1, 0)
        said = Counter((piece.target, bool(piece.isa)) for shape in found.shapes for piece in shape)
        wanted = [("7.5", False), ("9.0a", False), ("9.0a", True)]
        assert said == Counter(wanted + [("10.0f", False), ("10.0f", True), ("12.0a", False)] * newest), packing
