"""Archives as they should be, in any order, and archives that lie about themselves."""

from __future__ import annotations

import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from audit.lab import make_wheel

from provision.audit.reading.archive import Archive
from provision.audit.reading.source import LocalSource
from provision.errors import InvalidFileError


def opened(file: Path) -> Archive:
    return Archive(LocalSource(file), file.name)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(tmp_path, "a", "1.0", {"a/one": b"1" * 5000, "a/two": b"2" * 5000})


@pytest.mark.parametrize("seed", range(4))
def test_names_are_those_that_zipfile_finds_whatever_the_order(tmp_path: Path, seed: int) -> None:
    numbers = random.Random(seed)  # noqa: S311 - test data
    paths = [f"a/include/{number}/{'x' * numbers.randrange(150)}.h" for number in range(12_000)]
    wanted = [f"a/python/{name}.py" for name in ("build", "info")]
    members = [*paths, *wanted]
    numbers.shuffle(members)
    file = make_wheel(tmp_path, "a", "1.0", dict.fromkeys(members, b"PK\x01\x02"))
    archive = opened(file)
    assert archive.names.member(wanted[0]) is not None
    with zipfile.ZipFile(file) as whole:
        expected = {info.filename: (info.CRC, info.header_offset) for info in whole.infolist()}
    assert {name: (info.CRC, info.header_offset) for name, info in archive.names.all().items()} == expected
    assert archive.names.member("a/absent") is None


@pytest.mark.parametrize("early", ["early", "late"])
def test_what_stands_near_an_end_is_found_without_the_middle(tmp_path: Path, early: str) -> None:
    headers = {f"a/include/{number:05}{'x' * 100}.h": b"" for number in range(20_000)}
    wanted = {"a/python/build_info.py": b"x = 1"}
    file = make_wheel(tmp_path, "a", "1.0", {**wanted, **headers} if early == "early" else {**headers, **wanted})
    archive = opened(file)
    assert archive.read("a/python/build_info.py") == b"x = 1"
    assert not archive.names.complete


def test_members_are_read(wheel: Path) -> None:
    archive = opened(wheel)
    assert archive.read("a/one") == b"1" * 5000
    assert archive.read("a/none") is None
    assert archive.sizes["a/two"] == 5000


def directory(data: bytes) -> int:
    return int(struct.unpack_from("<L", data, data.rindex(b"PK\x05\x06") + 16)[0])


def entry(data: bytes, name: bytes) -> int:
    """Return where the directory's entry of this name begins."""
    return data.index(name, directory(data)) - 46


def test_a_longer_member_than_it_says(wheel: Path) -> None:
    data = bytearray(wheel.read_bytes())
    struct.pack_into("<L", data, entry(data, b"a/one") + 24, 100)
    wheel.write_bytes(data)
    with pytest.raises(InvalidFileError) as raised:
        opened(wheel).read("a/one")
    assert raised.value.why == ("'a/one' is longer than the directory says",)


Damage = Callable[[bytearray, int, int], bytes | None]


def _put(form: str, at: Callable[[int, int], int], *values: int) -> Damage:
    return lambda data, place, end: struct.pack_into(form, data, at(place, end), *values)


DAMAGE: dict[str, Damage] = {
    "a bomb": _put("<L", lambda place, _: place + 24, 4_000_000_000),
    "a path": lambda data, *_: bytes(data).replace(b"a/one", b"../on"),
    "a place outside": _put("<L", lambda place, _: place + 42, 1 << 30),
    "a secret": _put("<H", lambda place, _: place + 8, 1),
    "another packing": _put("<H", lambda place, _: place + 10, 12),
    "another name": lambda data, *_: bytes(data).replace(b"a/one", b"a/ono", 1),
    "another content": _put("<B", lambda *_: 40, 0xFF),
    "the same name twice": lambda data, *_: bytes(data).replace(b"a/two", b"a/one"),
    "too few names": _put("<HH", lambda _, end: end + 8, 2, 2),
    "a directory elsewhere": _put("<L", lambda _, end: end + 16, 5),
    "a huge directory": _put("<LL", lambda _, end: end + 12, 0x7FFFFFFF, 0),
    "something in front": lambda data, *_: b"#!/bin/sh\n" + data,
    "cut short": lambda data, *_: bytes(data[:-200]),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_an_archive_that_lies_is_an_error(wheel: Path, what: str) -> None:
    data = bytearray(wheel.read_bytes())
    wheel.write_bytes(DAMAGE[what](data, entry(data, b"a/one"), data.rindex(b"PK\x05\x06")) or data)
    with pytest.raises(InvalidFileError) as raised:
        opened(wheel).read("a/one")
    assert raised.value.code == "hostile-wheel"
    assert raised.value.why


def test_a_member_that_record_does_not_know(tmp_path: Path) -> None:
    file = make_wheel(tmp_path, "a", "1.0", {"a/one": b"true"}, record={"a/one": b"false"})
    with pytest.raises(InvalidFileError) as raised:
        opened(file).read("a/one")
    assert raised.value.why == ("'a/one' is not what RECORD says of it",)


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + bytes(18), bytes(100_000)])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a-1.0-py3-none-any.whl"
    file.write_bytes(content)
    with pytest.raises(InvalidFileError):
        assert opened(file).sizes
