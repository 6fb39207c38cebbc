from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lock.conda_sample import LOCK, conda

from provision.errors import InvalidFileError, ToolFailedError, UsageError
from provision.lock.conda_lock import Artifact, parse, parse_foreign, render
from provision.lock.conda_sources import companions, sources_of
from provision.model.lock import Locked

pytest.importorskip("conda_lock", reason="the extra `conda` is not installed")

ARTIFACTS = {
    item.name: Artifact(f"https://files.example/{item.name}-{item.version}-py3-none-any.whl", item.hashes[0])
    for item in LOCK.packages
}
HASH = {"linux-64": "c" * 64}


@pytest.fixture(scope="module")
def text() -> str:
    return render(LOCK, HASH, ARTIFACTS)


def test_what_is_written_is_read_back_whole(text: str) -> None:
    assert parse(text, "conda-lock.yml") == LOCK


def test_the_same_lock_gives_the_same_bytes_in_any_order(text: str) -> None:
    backwards = dataclasses.replace(LOCK, conda=LOCK.conda[::-1], packages=LOCK.packages[::-1])
    assert render(backwards, HASH, dict(reversed(ARTIFACTS.items()))) == text


def test_it_fits_conda_locks_schema_and_its_parser(text: str, tmp_path: Path) -> None:
    import conda_lock.lockfile
    import jsonschema
    import yaml

    folder = Path(conda_lock.lockfile.__file__).parent
    schema = json.loads((folder / "v1" / "conda-lock-v1.schema.json").read_text())
    jsonschema.validate(yaml.safe_load(text), schema)
    (tmp_path / "conda-lock.yml").write_text(text)
    read = conda_lock.lockfile.parse_conda_lock_file(tmp_path / "conda-lock.yml")
    assert sorted((item.manager, item.name) for item in read.package) == sorted(
        [*(("conda", item.name) for item in LOCK.conda), *(("pip", item.name) for item in LOCK.packages)]
    )
    assert "tfgpu-contract" in (read.metadata.custom_metadata or {})


def test_rattler_reads_it(text: str, tmp_path: Path) -> None:
    rattler = pytest.importorskip("rattler")
    (tmp_path / "conda-lock.yml").write_text(text)
    environment = rattler.LockFile.from_path(str(tmp_path / "conda-lock.yml")).default_environment()
    (platform,) = environment.platforms()
    records = environment.conda_repodata_records_for_platform(platform)
    found = {
        (item.name.normalized, str(item.version), str(item.build), item.url, item.sha256.hex()) for item in records
    }
    assert found == {(item.name, item.version, item.build, item.url, item.sha256) for item in LOCK.conda}


@pytest.fixture
def conda_lock_command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """conda-lock's own command, with no conda: a stand-in that only tells its version, and fails when asked to solve."""
    exe = tmp_path / "bin" / "micromamba"
    exe.parent.mkdir()
    exe.write_text('#!/bin/sh\n[ "$1" = --version ] && echo 2.3.0 && exit 0\nexit 9\n')
    exe.chmod(0o755)
    (tmp_path / "names.json").write_text("{}")
    environ = {**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "conda_lock", *arguments],
            cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run


def test_conda_lock_itself_renders_it(
    text: str, tmp_path: Path, conda_lock_command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tmp_path / "conda-lock.yml").write_text(text)
    done = conda_lock_command("render", "--kind", "explicit", "--kind", "env")
    assert done.returncode == 0, done.stderr
    explicit = (tmp_path / "conda-linux-64.lock").read_text().splitlines()
    assert f"{LOCK.conda[1].url}#{LOCK.conda[1].md5}" in explicit
    assert f"# pip six @ {ARTIFACTS['six'].url}#sha256={'5' * 64}" in explicit
    environment = (tmp_path / "conda-linux-64.lock.yml").read_text()
    assert "  - cudatoolkit=11.0.3=h1_0" in environment.splitlines()
    assert f"six == 1.16.0 --hash=sha256:{'5' * 64}" in environment


def test_conda_lock_sees_whether_it_is_up_to_date(
    tmp_path: Path, conda_lock_command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    from provision.backends.conda.content_hash import content_hash

    beside = companions(LOCK)
    assert list(beside) == ["environment.yml", "virtual-packages.yml"]
    for name, content in beside.items():
        (tmp_path / name).write_text(content)
    lock = render(LOCK, content_hash(*beside.values()), ARTIFACTS)
    (tmp_path / "conda-lock.yml").write_text(lock)
    arguments = ("lock", "--conda", str(tmp_path / "bin" / "micromamba"), "--check-input-hash")
    arguments += ("--pypi_to_conda_lookup_file", str(tmp_path / "names.json"))
    done = conda_lock_command(*arguments)
    assert (done.returncode, "already locked for ['linux-64']" in done.stderr) == (0, True), done.stderr
    assert (tmp_path / "conda-lock.yml").read_text() == lock

    (tmp_path / "environment.yml").write_text(beside["environment.yml"].replace("python 3.8", "python 3.9"))
    assert "already locked" not in conda_lock_command(*arguments).stderr


def test_the_hash_tells_a_spec_that_conda_does_not_know() -> None:
    from provision.backends.conda.content_hash import content_hash

    said = dataclasses.replace(sources_of(LOCK), conda=("python [=",))
    with pytest.raises(ToolFailedError) as caught:
        content_hash(*companions(LOCK, said).values())
    assert caught.value.code == "conda-lock-failed"


def test_what_conda_lock_itself_wrote_is_read(tmp_path: Path) -> None:
    from conda_lock.lockfile import write_conda_lock_file
    from conda_lock.lockfile.v2prelim.models import LockedDependency, Lockfile, LockMeta

    def entry(name: str, platform: str = "linux-64", category: str = "main", **more: object) -> LockedDependency:
        url = f"https://host.example/forge/{platform}/{name}-1.0-0.tar.bz2"
        values = {"manager": "conda", "url": url, "hash": {"md5": "a" * 32, "sha256": "b" * 64}, **more}
        return LockedDependency(name=name, version="1.0", platform=platform, categories={category}, **values)

    wheel = {"manager": "pip", "url": "https://files.example/six-1.0-py3-none-any.whl", "hash": {"sha256": "c" * 64}}
    packages = [
        entry("zlib", dependencies={"libgcc": ">=12", "alone": ""}),
        *(
            entry("zlib", "osx-64"),
            entry("tool", category="docs"),
            entry("pytest", category="dev"),
            entry("six", **wheel),
        ),
    ]
    metadata = LockMeta(
        content_hash={"linux-64": "0" * 64, "osx-64": "1" * 64},
        channels=["conda-forge"],
        platforms=["linux-64", "osx-64"],
        sources=["environment.yml"],
        time_metadata={"created_at": "2026-01-01T00:00:00Z"},
        custom_metadata={"team": "vision"},
    )
    file = tmp_path / "conda-lock.yml"
    write_conda_lock_file(Lockfile(package=packages, metadata=metadata), file, metadata_choices=set())
    found, pip = parse_foreign(file.read_text(), "conda-lock.yml")
    assert [item.name for item in found] == ["pytest", "zlib"]
    assert found[1].depends == ("alone", "libgcc >=12")
    assert (found[1].channel, found[1].build) == ("https://host.example/forge", "0")
    assert pip == (Locked("six", "1.0", ("c" * 64,)),)
    with pytest.raises(InvalidFileError, match="is not a lock") as caught:
        parse(file.read_text(), "conda-lock.yml")
    assert "carries no GPU contract" in caught.value.why[0]


def test_a_contract_does_not_speak_for_packages_it_never_saw(text: str) -> None:
    changed = text.replace("zlib-1.2.13-h4_5", "zlib-1.2.14-h4_5").replace("version: 1.2.13", "version: 1.2.14")
    assert changed != text
    with pytest.raises(InvalidFileError) as caught:
        parse(changed, "conda-lock.yml")
    assert "was made for other packages" in caught.value.why[0]


URL = "https://host.example/forge/linux-64/zlib-1.2.13-h4_5.conda"
HOSTILE = {
    "an alias": ("channels:\n", "channels: &a\n", "anchors are not allowed"),
    "a tag": ("optional: false", "optional: !!python/object:os.system x", "tags are not allowed"),
    "a second document": ("package:\n", "---\npackage:\n", "one YAML document"),
    "a key of nobody": ("optional: false", "optional: false\n  postinstall: rm", "does not know"),
    "a key twice": ("optional: false", "optional: false\n  optional: true", "twice"),
    "another version": ("version: 1\n", "version: 2\n", "only version 1"),
    "another platform": ("platforms:\n  - linux-64", "platforms:\n  - win-64", "not for linux-64"),
    "credentials": (URL, URL.replace("https://", "https://user:word@"), "credentials"),
    "a token": (URL, URL.replace("/forge", "/t/abc-123/forge"), "a token"),
    "a variable": (URL, URL.replace("forge", "$HOME"), "no address of a package needs"),
    "plain http": (URL, URL.replace("https", "http"), "https:// or file://"),
    "git": (URL, f"git+{URL}", "https:// or file://"),
    "a way up": (URL, URL.replace("forge/", "forge/../../"), "leads up"),
    "a coded way up": (URL, URL.replace("forge/", "forge/%2e%2e/"), "leads up"),
    "a fragment": (URL, f"{URL}#egg=x", "query or a fragment"),
    "a file elsewhere": (URL, "file:///etc/passwd", "not for linux-64 or noarch"),
    "another subdir": (URL, URL.replace("linux-64", "win-64"), "not for linux-64 or noarch"),
    "another package": (URL, URL.replace("zlib-1", "evil-1"), "its address says 'evil'"),
    "no archive": (URL, URL.replace(".conda", ".sh"), "does not end in"),
    "no sha256": (f"    sha256: {'b' * 64}\n", "", "md5 alone proves nothing"),
    "a short sha256": (f"sha256: {'b' * 64}", "sha256: bbbb", "64 lower-case"),
    "an option as name": ("name: six", "name: --index-url", "package index"),
    "a direct address": ("name: six\n", "name: six\n  source: {type: url, url: https://x.example}\n", "not followed"),
    "another manager": ("manager: pip", "manager: npm", "neither conda nor pip"),
    "no list": ("package:\n", "package: nothing\nmetadata2:\n", "package must be a list"),
    "a note of nobody": ("tfgpu-packages", "tfgpu-surprise", "unknown entry of ours"),
    "a note with more": ('"size":1234', '"size":1234,"run":"x"', "something unknown"),
    "deep": ("optional: false", f"optional: {'[' * 50}{']' * 50}", "nested deeper"),
    "text that turns round": ("manager: pip", "manager: pip \u202e", "cannot be seen"),
    "binary": ("optional: false", "optional: \0", "cannot be seen"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_lock_is_refused_with_its_reason(name: str, text: str) -> None:
    old, new, reason = HOSTILE[name]
    assert text.count(old), "the case does not apply any more"
    with pytest.raises(InvalidFileError) as caught:
        parse(text.replace(old, new), "evil.yml")
    assert caught.value.code == "bad-lock"
    assert any(reason in line for line in caught.value.why), caught.value.why
    assert all(len(line) < 400 and line.isprintable() for line in caught.value.why)


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    bomb = "a: &a [x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)},*{chr(97 + n)}]\n" for n in range(24)
    )
    with pytest.raises(InvalidFileError):
        parse_foreign(bomb, "bomb.yml")
    with pytest.raises(InvalidFileError):
        parse_foreign("x" * (3 << 20), "large.yml")


@pytest.mark.parametrize(
    ("changes", "artifacts", "reason"),
    [
        ({"conda": (conda("zlib", "1", md5=""),)}, ARTIFACTS, "has no md5"),
        ({}, {}, "demands an address"),
        ({}, {**ARTIFACTS, "six": Artifact("https://files.example/six.whl", "9" * 64)}, "not one that was locked"),
        (
            {"conda": (conda("zlib", "1", url="https://u:p@host.example/linux-64/zlib-1-h1_0.conda"),)},
            ARTIFACTS,
            "credentials",
        ),
    ],
)
def test_what_the_format_cannot_hold_is_said(
    changes: dict[str, object], artifacts: dict[str, Artifact], reason: str
) -> None:
    with pytest.raises(ToolFailedError) as caught:
        render(dataclasses.replace(LOCK, **changes), HASH, artifacts)
    assert caught.value.code == "lock-format"
    assert reason in caught.value.why[0]


def test_credentials_of_the_index_are_never_written() -> None:
    with_password = {**ARTIFACTS, "six": Artifact("https://me:secret@files.example/six.whl?key=x", "5" * 64)}
    written = render(LOCK, HASH, with_password)
    assert "secret" not in written
    assert "https://files.example/six.whl\n" in written


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "conda_lock.lockfile.v2prelim.models", None)
    with pytest.raises(ToolFailedError) as caught:
        render(LOCK, HASH, ARTIFACTS)
    assert (caught.value.code, caught.value.hint) == ("extra-missing", "pip install 'tfgpu-provision[conda]'")


def test_the_files_beside_it_hold_no_credentials() -> None:
    request = dataclasses.replace(LOCK.contract.request, channels=("https://me:secret@host.example/forge",))
    lock = dataclasses.replace(LOCK, contract=dataclasses.replace(LOCK.contract, request=request))
    with pytest.raises(UsageError) as caught:
        companions(lock)
    assert caught.value.code == "credentials-in-lock"
