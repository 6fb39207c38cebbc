from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from lock.conda_sample import LOCK

from provision.errors import InvalidFileError
from provision.lock.explicit import parse, parse_foreign, render

TEXT = render(LOCK)
ZLIB = next(item for item in LOCK.conda if item.name == "zlib")
LINE = f"{ZLIB.url}#{ZLIB.sha256}"


def test_what_is_written_is_read_back_whole() -> None:
    assert parse(TEXT, "conda-linux-64.lock") == LOCK


def test_the_same_lock_gives_the_same_bytes_in_any_order() -> None:
    assert render(dataclasses.replace(LOCK, conda=LOCK.conda[::-1], packages=LOCK.packages[::-1])) == TEXT


def test_every_line_for_conda_is_an_address_with_its_hash() -> None:
    # conda 24.9 and newer, and mamba 2.1, read 64 plain digits; conda before reads md5 only.
    lines = [line for line in TEXT.splitlines() if not line.startswith("#")]
    assert lines == ["@EXPLICIT", *(f"{item.url}#{item.sha256}" for item in LOCK.conda)]
    old = [line for line in render(LOCK, md5=True).splitlines() if not line.startswith("#")]
    assert old == ["@EXPLICIT", *(f"{item.url}#{item.md5}" for item in LOCK.conda)]


def test_the_part_of_the_package_index_needs_no_address() -> None:
    pip = [line for line in TEXT.splitlines() if line.startswith("# pip ")]
    assert pip == [f"# pip {item.requirement} --hash=sha256:{item.hashes[0]}" for item in LOCK.packages]


def test_conda_lock_and_rattler_read_it(tmp_path: Path) -> None:
    command = pytest.importorskip("conda_lock.conda_lock", exc_type=ImportError)
    spec = pytest.importorskip("rattler.explicit_environment.environment").ExplicitEnvironmentSpec.from_str(TEXT)
    assert [item.url for item in spec.packages] == [f"{item.url}#{item.sha256}" for item in LOCK.conda]
    assert str(spec.platform) == "linux-64"
    (tmp_path / "explicit.lock").write_text(TEXT)
    assert command._detect_lockfile_kind(tmp_path / "explicit.lock") == "explicit"
    assert command.extract_platform(TEXT) == "linux-64"


def test_what_another_tool_wrote_is_read_without_a_contract() -> None:
    foreign = f"# platform: linux-64\n@EXPLICIT\n{ZLIB.url}#sha256:{ZLIB.sha256}\n"
    found, packages = parse_foreign(foreign, "explicit.txt")
    assert [(item.requirement, item.sha256) for item in found] == [(ZLIB.requirement, ZLIB.sha256)]
    assert packages == ()
    with pytest.raises(InvalidFileError) as caught:
        parse(foreign, "explicit.txt")
    assert "no GPU contract" in caught.value.why[0]


HOSTILE = {
    "md5 alone": (LINE, f"{ZLIB.url}#{'a' * 32}", "md5 alone"),
    "no hash": (LINE, ZLIB.url, "md5 alone"),
    "a short hash": (LINE, f"{ZLIB.url}#sha256:abc", "64 lower-case"),
    "credentials": (LINE, LINE.replace("//", "//u:p@"), "credentials"),
    "plain http": (LINE, LINE.replace("https", "http"), "https:// or file://"),
    "a name to be solved": (LINE, "zlib", "md5 alone"),
    "an option": (LINE, f"--channel evil#{'b' * 64}", "no address of a package needs"),
    "a path": (LINE, f"../zlib-1-0.conda#{'b' * 64}", "must begin with"),
    "another platform": ("# platform: linux-64", "# platform: win-64", "not for linux-64"),
    "a package of another platform": (LINE, LINE.replace("linux-64", "osx-64"), "not for linux-64 or noarch"),
    "twice": (LINE, f"{LINE}\n{LINE}", "stands twice"),
    "no mark": ("@EXPLICIT\n", "", "only comments stand before"),
    "a pip option": ("# pip six==1.16.0", "# pip six==1.16.0 --index-url=https://evil.example", "no address, no option"),
    "a pip address": ("# pip six==1.16.0", "# pip six @ https://evil.example/six.whl", "no address, no option"),
    "a pip range": ("# pip six==1.16.0", "# pip six>=1.16.0", "no address, no option"),
    "another package": (LINE, LINE.replace("1.2.13", "1.2.14"), "made for other packages"),
    "another pip package": ("six==1.16.0", "sixx==1.16.0", "made for other packages"),
    "a note with more": ('"size":1234', '"size":1234,"run":"x"', "something unknown"),
    "no contract": ("# tfgpu-contract: ", "# other: ", "no GPU contract"),
    "a broken contract": ("# tfgpu-contract: {", "# tfgpu-contract: {{", "contract"),
    "hidden text": (LINE, f"{LINE}\u202e", "cannot be seen"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_lock_is_refused_with_its_reason(name: str) -> None:
    old, new, reason = HOSTILE[name]
    assert TEXT.count(old), "the case does not apply any more"
    with pytest.raises(InvalidFileError) as caught:
        parse(TEXT.replace(old, new), "evil.lock")
    assert caught.value.code == "bad-lock"
    assert any(reason in line for line in caught.value.why), caught.value.why
