from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from conda import channel as channels
from conda.world import GPU, ROW, engine_at, solved, tree

from provision.backends.conda.activation import write_activation
from provision.backends.conda.history import write_history
from provision.errors import InvalidFileError, ToolFailedError, UsageError
from provision.model.lock import CondaLocked


@pytest.mark.parametrize(
    "spec",
    [
        *("", "-h", "__cuda", "../evil.conda", "/etc/passwd", "https://evil.example/x.conda", "file:///x", "x.tar.bz2", "evil::numpy"),
        *("numpy[url=http://evil.example]", "numpy[channel=evil]", "numpy[subdir=win-64]", "numpy\n", "numpy\x1b[0m", "n" * 300),
        *("numpy[version='1', channel=evil]", "nump*", "^num.*$", "numpy[version=1", "ünï", "numpy; if python", "$(x)"),
    ],
)  # fmt: skip
def test_hostile_specs_are_refused_before_the_engine_sees_them(tmp_path: Path, spec: str) -> None:
    with pytest.raises(UsageError) as failure:
        engine_at(tmp_path).solve([spec], ["conda-forge"], ROW)
    assert failure.value.code == "conda-spec-invalid"


def test_a_spec_that_only_rattler_refuses(tmp_path: Path, usual: Path) -> None:
    with pytest.raises(UsageError) as failure:
        engine_at(tmp_path).solve(["numpy >=>1"], [usual.as_uri()], ROW)
    assert failure.value.code == "conda-spec-invalid"


def test_two_packages_with_one_file_are_reported(tmp_path: Path, usual: Path) -> None:
    engine = engine_at(tmp_path)
    engine.install(solved(engine, ("old", "clobber"), usual.as_uri()), tmp_path / "env", tmp_path / "env")
    assert len(engine.clobbered) == 1
    assert engine.clobbered[0].startswith("share/old.txt: kept from ")


def test_post_link_scripts_are_named_and_never_run(tmp_path: Path) -> None:
    script = channels.File(b"#!/bin/sh\ntouch $PREFIX/ran\n", executable=True)
    address = channels.make(
        tmp_path / "c", [channels.Package("scripted", "1", files={"bin/.scripted-post-link.sh": script})]
    )
    engine = engine_at(tmp_path)
    engine.install(solved(engine, ("scripted",), address), tmp_path / "env", tmp_path / "env")
    assert engine.skipped_scripts == ("bin/.scripted-post-link.sh",)
    assert not (tmp_path / "env/ran").exists()


def test_a_swapped_package_of_a_file_channel_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    address = channels.make(folder, [channels.Package("lib", "1", files={"lib/x": b"good"})])
    engine = engine_at(tmp_path)
    packages = solved(engine, ("lib",), address)
    channels.build(channels.Package("lib", "1", files={"lib/x": b"evil"}), folder)
    with pytest.raises(ToolFailedError) as failure:
        engine.install(packages, tmp_path / "env", tmp_path / "env")
    assert failure.value.code == "conda-hash-mismatch"
    assert not (tmp_path / "env").exists()
    assert not list((engine.cache / "pkgs").glob("lib-1*"))


@pytest.mark.parametrize("evil", [b"EVIL", b"x" * 6000, None])
def test_a_changed_cache_is_mended(tmp_path: Path, usual: Path, evil: bytes | None) -> None:
    engine = engine_at(tmp_path)
    packages = solved(engine, ("libzstub",), usual.as_uri())
    engine.install(packages, tmp_path / "a", tmp_path / "a")
    # The environment shares the file with the cache.
    cached = engine.cache / "pkgs/libzstub-1.2.13-0/lib/libzstub.so.1"
    if evil is None:
        cached.unlink()
    else:
        with (tmp_path / "a/lib/libzstub.so.1").open("r+b") as stream:
            stream.write(evil)
        assert cached.read_bytes().startswith(evil)
    engine.install(packages, tmp_path / "b", tmp_path / "b")
    assert (tmp_path / "b/lib/libzstub.so.1").read_bytes() == b"z" * 5000


def test_many_at_once_share_one_cold_cache(tmp_path: Path, usual: Path) -> None:
    packages = solved(engine_at(tmp_path / "elsewhere"), GPU, usual.as_uri())
    with ThreadPoolExecutor(4) as pool:
        places = [tmp_path / f"env{number}" for number in range(8)]
        list(pool.map(lambda place: engine_at(tmp_path).install(packages, place, tmp_path / "final"), places))
    assert all(tree(place) == tree(places[0]) for place in places)


def test_the_cache_is_not_written_through_hardlinks(tmp_path: Path, usual: Path) -> None:
    engine = engine_at(tmp_path)
    packages = solved(engine, (*GPU, "old"), usual.as_uri())
    engine.install(packages, tmp_path / "a", tmp_path / "a")
    before = tree(engine.cache / "pkgs")
    engine.install(packages, tmp_path / "b", tmp_path / "b")
    write_history(tmp_path / "b", "x", packages, GPU, datetime.now(timezone.utc))
    write_activation(tmp_path / "b", {"XLA_FLAGS": "--x=$CONDA_PREFIX"})
    assert tree(engine.cache / "pkgs") == before
    shared = [
        path
        for path in (tmp_path / "b").rglob("*")
        if path.is_file() and not path.is_symlink() and path.stat().st_nlink > 1
    ]
    assert shared, "hardlinks are what makes a second environment cheap"


def test_without_sha256_a_file_channel_is_hashed_and_another_refused(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    address = channels.make(folder, [channels.Package("lib", "1", files={"lib/x": b"good"})])
    channels.forget_hashes(folder)
    found = solved(engine_at(tmp_path), ("lib",), address)
    assert found[0].sha256 == hashlib.sha256((folder / "linux-64/lib-1-0.conda").read_bytes()).hexdigest()
    with channels.serve(folder) as served, pytest.raises(ToolFailedError) as failure:
        engine_at(tmp_path).solve(["lib"], [served.address], ROW)
    assert failure.value.code == "conda-no-hash"


def test_a_damaged_download_stops_before_anything_is_installed(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    channels.make(folder, [channels.Package("lib", "1", files={"lib/x": b"good"})])
    with channels.serve(folder) as served:
        engine = engine_at(tmp_path)
        packages = solved(engine, ("lib",), served.address)
        channels.build(channels.Package("lib", "1", files={"lib/x": b"evil"}), folder)
        with pytest.raises(ToolFailedError) as failure:
            engine.install(packages, tmp_path / "env", tmp_path / "env")
    assert failure.value.code == "conda-hash-mismatch"
    assert not (tmp_path / "env").exists()


@pytest.mark.parametrize(
    "change",
    [
        *({"sha256": ""}, {"sha256": "0" * 63}, {"md5": "x"}, {"name": "../x"}, {"version": "1/2"}, {"subdir": ".."}),
        *({"url": "https://x.example/linux-64/other-1-0.conda"}, {"url": "https://x.example/c/..%2Fcudatoolkit-11.2.2-0.conda/.."}),
        *({"url": "ftp://x.example/cudatoolkit-11.2.2-0.conda"}, {"build": ""}),
    ],
)  # fmt: skip
def test_hostile_packages_of_a_lock_go_nowhere(tmp_path: Path, usual: Path, change: dict[str, str]) -> None:
    engine = engine_at(tmp_path)
    good = CondaLocked(
        "cudatoolkit",
        "11.2.2",
        "0",
        "linux-64",
        "c",
        f"{usual.as_uri()}/linux-64/cudatoolkit-11.2.2-0.conda",
        "",
        "a" * 64,
    )
    with pytest.raises(InvalidFileError) as failure:
        engine.install([replace(good, **change)], tmp_path / "env", tmp_path / "env")
    assert failure.value.code == "conda-package-invalid"
    assert not (tmp_path / "env").exists()
    assert not engine.cache.exists()


@pytest.mark.parametrize("path", ["../escaped", "../../escaped", "/tmp/tfgpu-escaped"])
def test_a_package_whose_paths_leave_the_prefix_writes_nothing_outside(tmp_path: Path, path: str) -> None:
    address = channels.make(tmp_path / "c", [channels.Package("evil", "1", files={path: b"evil"})])
    engine = engine_at(tmp_path)
    packages = solved(engine, ("evil",), address)
    (tmp_path / "deep/er").mkdir(parents=True)
    with pytest.raises(ToolFailedError):
        engine.install(packages, tmp_path / "deep/er/env", tmp_path / "deep/er/env")
    # Where it was unpacked in the cache it does no harm.
    assert not [found for found in tmp_path.rglob("*escaped*") if not found.is_relative_to(engine.cache)]
    assert not Path("/tmp/tfgpu-escaped").exists()
    assert not (tmp_path / "deep/er/env").exists()
