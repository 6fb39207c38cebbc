"""Locks that somebody else wrote: each is refused with its own reason, quickly and in little memory."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lock.lock_builder import A, lock, uv_says

from provision.errors import InvalidFileError
from provision.lock.contract import CONTRACT_MARK, contract_document
from provision.lock.files import parse, render
from provision.lock.refusing import MAX_BYTES, MAX_PACKAGES
from provision.model.lock import LockFormat

TEXT = render(lock(), LockFormat.REQUIREMENTS)
PYLOCK = render(lock(), LockFormat.PYLOCK, pylock=uv_says(lock()))
MARK = next(line for line in TEXT.splitlines() if line.startswith(CONTRACT_MARK))


def refused(name: str, data: bytes, **flags: bool) -> str:
    """Return why a lock is refused; within seconds and 64 MiB."""
    tracemalloc.start()
    begin = time.process_time()
    try:
        with pytest.raises(InvalidFileError) as failure:
            parse(name, data, **flags)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert failure.value.code == "bad-lock"
    assert failure.value.hint
    assert all(line.isprintable() and len(line) < 1000 for line in failure.value.why)
    assert time.process_time() - begin < 5
    assert peak < 64 << 20
    return failure.value.why[0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("-i https://evil.example/simple", "an option that switches the index"),
        ("--index-url=https://evil.example/simple", "an option that switches the index"),
        ("--extra-index-url https://evil.example/simple", "an option that switches the index"),
        ("--find-links https://evil.example/", "an option that switches the index"),
        ("--no-index", "an option that switches the index"),
        ("-r other.txt", "an option that reads another file"),
        ("-c other.txt", "an option that reads another file"),
        ("-e .", "an editable requirement"),
        ("--trusted-host evil.example", "an option that trusts a host"),
        ("--no-binary :all:", "an option of builds"),
        ("--pre", "an option; a lock has none"),
        (f"six @ https://evil.example/six-1.0-py3-none-any.whl --hash=sha256:{A}", "an address"),
        (f"https://evil.example/six-1.0-py3-none-any.whl --hash=sha256:{A}", "an address"),
        (f"six @ git+https://evil.example/six --hash=sha256:{A}", "a requirement from version control"),
        ("git+ssh://git@evil.example/six", "a requirement from version control"),
        ("six @ file:///tmp/six.whl", "a path"),
        ("./six-1.0-py3-none-any.whl", "a path"),
        ("../../six", "a path"),
        ("six-1.0-py3-none-any.whl", "a path"),
        (f"six==1.0 ; python_version < '4' --hash=sha256:{A}", "a marker"),
        (f"six[all]==1.0 --hash=sha256:{A}", "an extra"),
        (f"six>=1.0 --hash=sha256:{A}", "a range"),
        (f"six==1.* --hash=sha256:{A}", "a range"),
        (f"six===1.0 --hash=sha256:{A}", "a range"),
        (f"six==1.0,!=1.1 --hash=sha256:{A}", "a range"),
        (f"six --hash=sha256:{A}", "not of the form name==version"),
        (f"six==not-one! --hash=sha256:{A}", "a version that is none"),
        (f"${{SECRET}}==1.0 --hash=sha256:{A}", "a variable of the environment"),
        ("six==1.0", "no hash"),
        (f"six==1.0 --hash=md5:{A[:32]}", "a hash that is not a sha256"),
        (f"six==1.0 --hash=sha256:{A[:-1]}", "a hash that is not a sha256"),
        (f"six==1.0 --hash=sha256:{A.upper()}", "a hash that is not a sha256"),
        (f"six==1.0 --hash=sha256:{A} --global-option=x", "something after the hashes"),
        (f"six==1.0 --hash=sha256:{A} # a remark", "something after the hashes"),
        (f"absl_PY==0.15.0 --hash=sha256:{A}", "absl-py stands in it twice"),
        (f"six==1.0 \\ --hash=sha256:{A}", "a backslash where a lock has none"),
        (f"six==1.0\\\n    --hash=sha256:{A}", "a backslash where a lock has none"),
        ("six==1.0 \\\n", "a line that was to go on does not"),
        (f"six==1.0 \\\n# remark\n    --hash=sha256:{A}", "a line that was to go on does not"),
        ("# a remark \\\n-i https://evil.example/simple", "a comment that goes on"),
        ("six==1.0 \\", "a line that was to go on does not"),
        ("x" * 5000, "a line has 4000 at most"),
        (MARK, "a second contract"),
        ("#tfgpu-contract: {}", "a contract that is not written as one"),
    ],
)
def test_a_line_that_a_requirements_lock_must_not_hold(line: str, reason: str) -> None:
    why = refused("tfgpu-lock.txt", f"{TEXT}{line}\n".encode())
    assert why.startswith(f"line {len(TEXT.splitlines()) + 1}: ") or "goes on" in why or "go on" in why or "\n" in line
    assert reason in why


@pytest.mark.parametrize(
    "url",
    [
        "http://files.example.org/six-1.0-py3-none-any.whl",
        "https://me:word@files.example.org/six-1.0-py3-none-any.whl",
        "https://files.example.org/six-1.0-py3-none-any.whl?token=1",
        "https://files.example.org/six-1.0-py3-none-any.whl#egg=other",
        "https://${HOST}/six-1.0-py3-none-any.whl",
        "https://files.example.org/../six-1.0-py3-none-any.whl",
        "https://files.example.org/%2e%2e/six-1.0-py3-none-any.whl",
        "https://files.example.org/other-1.0-py3-none-any.whl",
        "https://files.example.org/six.whl",
        "file:///home/you/six-1.0-py3-none-any.whl",
        "git+https://files.example.org/six",
    ],
)
def test_an_address_that_is_refused_even_where_addresses_are_allowed(url: str) -> None:
    refused("tfgpu-lock.txt", f"{TEXT}six @ {url} --hash=sha256:{A}\n".encode(), allow_urls=True)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xef\xbb\xbf" + TEXT.encode(), "a byte order mark"),
        (TEXT.encode("utf-16"), "a byte order mark"),
        (TEXT.encode() + b"# \xff\n", "it is not UTF-8"),
        (TEXT.encode() + b"# \x00\n", "U+0000"),
        (TEXT.encode() + b"# \x1b[2J\n", "U+001B"),
        (TEXT.encode() + b"# a\r-i https://evil.example/\n", "U+000D"),
        (TEXT.encode() + "# \u202e txt.exe\n".encode(), "U+202E"),
        (TEXT.encode() + "# a\u2028-i https://evil.example/\n".encode(), "U+2028"),
        (b"# comment\n" * (100 << 20 >> 10), ""),
        (b"#" * (100 << 20), f"{MAX_BYTES} at most"),
        (b"", "it has no contract"),
        (b"six==1.0 --hash=sha256:" + A.encode() + b"\n", "it has no contract"),
        (
            "".join(f"p{at}==1 --hash=sha256:{A}\n" for at in range(MAX_PACKAGES + 1)).encode(),
            "more than 2000 packages",
        ),
        (MARK.encode() + b"\n", "it holds nothing of it"),
        (TEXT.replace("tensorflow==2.4.1", "tensorflow==2.5.0").encode(), "it holds tensorflow==2.5.0"),
        (TEXT.replace("termcolor==", "colorterm==").encode(), "says that termcolor is built"),
        (f"{CONTRACT_MARK}{'[' * 60000}\n".encode(), "nested too deeply"),
        (f"{CONTRACT_MARK}{'9' * 60000}\n".encode(), "cannot be read"),
        (f"{CONTRACT_MARK}{' ' * 70000}\n".encode(), "65536 are allowed"),
        (f"{CONTRACT_MARK}NaN\n".encode(), "NaN is no value"),
        (f'{CONTRACT_MARK}{{"schema":1,"schema":1}}\n'.encode(), "the same key stands in it twice"),
        (f"{CONTRACT_MARK}[]\n".encode(), "contract is not a table"),
    ],
)
def test_a_file_that_is_refused_as_a_whole(data: bytes, reason: str) -> None:
    assert reason in refused("tfgpu-lock.txt", data)


def _without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.pop(key)


def _with(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_without("driver_floor"), "contract.driver_floor: it is missing"),
        (_with("surprise", value=1), "a key that is not known"),
        (_with("request", "surprise", value=1), "contract.request has a key that is not known"),
        (_with("schema", value=2), "contract.schema: it is 2"),
        (_with("schema", value=True), "contract.schema: it is not of the type whole number"),
        (_with("without_gpu", value=0), "contract.without_gpu: it is not of the type true or false"),
        (_with("release", value="new"), "contract.release: it is no version"),
        (_with("driver_floor", value="4x"), "contract.driver_floor: it is no version"),
        (_with("python", value="3.8.1"), "contract.python: it is not a series"),
        (_with("backend", value="docker"), "contract.backend: it is none of"),
        (_with("backend", value="conda"), "it holds no package of conda"),
        (_with("target", value="../../x"), "contract.target: "),
        (_with("machine_text", value="x" * 501), "500 are allowed"),
        (_with("machine_text", value="\x1b[31m"), "cannot be printed"),
        (_with("request", "channels", value=["https://me:word@example.org"]), "an address with credentials"),
        (_with("request", "requirements", value=["a"] * 201), "200 are allowed"),
        (_with("row_digest", value="abc"), "contract.row_digest: "),
        (_with("made_for", value=["9.0", "8.6"]), "contract.made_for: it is not in order"),
        (_with("gpus", value=[{"compute_capability": "8.6"}]), "contract.gpus[0].driver: it is missing"),
        (_with("build_tools", value=[{"name": "a", "version": "1", "hashes": []}]), "hashes: it is empty"),
        (_with("gpus", value={}), "contract.gpus: it is not of the type list"),
    ],
)
def test_a_contract_that_is_refused(change: Callable[[dict[str, Any]], None], reason: str) -> None:
    document = contract_document(lock())
    change(document)
    data = TEXT.replace(MARK, CONTRACT_MARK + json.dumps(document)).encode()
    assert reason in refused("tfgpu-lock.txt", data)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("[tool.tfgpu]\n", "[tool.tfgpu]\nsurprise = 1\n", "a key that is not known"),
        ("[tool.tfgpu]\n", "[tool.other]\na = 1\n\n[tool.tfgpu]\n", "tool: it has a key that is not known"),
        ('lock-version = "1.0"', 'lock-version = "2.0"', "not supported"),
        ('lock-version = "1.0"', 'lock-version = "1.0"\nextras = ["x"]', "it has extras"),
        ('requires-python = "==3.8.*"', 'requires-python = ">=3"', "requires-python does not say"),
        ("x86_64'\"", "aarch64'\"", "environments does not say"),
        ('version = "1.1.0"', 'version = "1.1.0"\nindex = "https://evil.example/simple"', "it names an index"),
        ('version = "1.1.0"', 'version = "1.1.0"\nmarker = "python_version < \'3\'"', "it has a marker"),
        (
            'version = "1.1.0"',
            'version = "1.1.0"\nvcs = { type = "git", commit-id = "a", url = "b" }',
            "version control",
        ),
        ('version = "1.1.0"', 'version = "1.1.0"\ndirectory = { path = "." }', "a directory"),
        ('version = "1.1.0"', 'version = "1.1.0"\narchive = { path = "." }', "an archive"),
        ('name = "termcolor"', 'name = "absl-py"', "not consistent"),
        ('version = "1.1.0"', 'version = "one"', "its version is none"),
        (
            "https://files.example.org/packages/termcolor-1.1.0.tar.gz",
            "file:///home/you/termcolor-1.1.0.tar.gz",
            "address",
        ),
        ("https://files.example.org/packages/termcolor", "https://me:word@files.example.org/termcolor", "address"),
        (
            'url = "https://files.example.org/packages/termcolor-1.1.0.tar.gz"',
            'path = "termcolor.tar.gz"',
            "names a path",
        ),
        (f'sha256 = "{"c" * 64}"', f'md5 = "{"c" * 32}"', "exactly one sha256"),
        ("[[packages]]", "[[packages", "it is no TOML"),
        ("[tool.tfgpu]\n", f"{'.'.join('a' * 7000)} = 1\n[tool.tfgpu]\n", "more nesting"),
        ("[tool.tfgpu]\n", f"a = {'[' * 7000}\n[tool.tfgpu]\n", "more nesting"),
        ("[tool.tfgpu]\n", "a = " + "[\n" * 5000 + "[tool.tfgpu]\n", "nested too deeply"),
        ("[tool.tfgpu]\n", f"a = {'9' * 15000}\n[tool.tfgpu]\n", "it is no TOML"),
        ("[tool.tfgpu]\n", f"a = '{'9' * 17000}'\n[tool.tfgpu]\n", "16000 at most"),
        ("[tool.tfgpu]\n", 'a = """\n"""\n[tool.tfgpu]\n', "text over several lines"),
    ],
)
def test_a_pylock_that_is_refused(old: str, new: str, reason: str) -> None:
    assert old in PYLOCK
    assert reason in refused("pylock.tfgpu.toml", PYLOCK.replace(old, new, 1).encode())


def test_a_pylock_of_another_tool() -> None:
    assert "it has no contract" in refused("pylock.toml", uv_says(lock()).encode())


def test_a_file_that_is_no_lock_at_all() -> None:
    assert "neither its name nor its content" in refused("picture.png", b"hello\n")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["tfgpu-lock.txt", "pylock.tfgpu.toml"]), st.data())
def test_a_lock_with_anything_put_into_it_is_read_or_refused(name: str, data: st.DataObject) -> None:
    text = TEXT if name.endswith(".txt") else PYLOCK
    at = data.draw(st.integers(0, len(text)))
    to = data.draw(st.integers(at, min(len(text), at + 30)))
    with suppress(InvalidFileError):
        found = parse(name, (text[:at] + data.draw(st.text(max_size=20)) + text[to:]).encode("utf-8", "replace"))
        assert all(item.hashes and not item.url for item in found.packages)
