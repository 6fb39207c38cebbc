"""What the engine solved, written in both formats, read back and installed: the same files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from conda.world import GPU, engine_at, solved, tree
from lock.conda_sample import LOCK

from provision.lock import conda_lock, explicit


def test_both_formats_bring_back_what_was_solved(tmp_path: Path, usual: Path) -> None:
    pytest.importorskip("conda_lock", reason="the extra `conda` is not installed")
    engine = engine_at(tmp_path)
    packages = solved(engine, GPU, usual.as_uri())
    request = dataclasses.replace(LOCK.contract.request, channels=(usual.as_uri(),))
    lock = dataclasses.replace(
        LOCK, contract=dataclasses.replace(LOCK.contract, request=request), packages=(), conda=packages
    )
    from_conda_lock = conda_lock.parse(conda_lock.render(lock, {"linux-64": "0" * 64}), "conda-lock.yml")
    from_explicit = explicit.parse(explicit.render(lock), "conda-linux-64.lock")
    assert from_conda_lock == lock
    assert from_explicit == lock

    bare = "".join(line for line in explicit.render(lock).splitlines(keepends=True) if not line.startswith("#"))
    foreign, _ = explicit.parse_foreign(bare, "explicit.txt")
    engine.install(packages, tmp_path / "solved", tmp_path / "final")
    engine.install(foreign, tmp_path / "foreign", tmp_path / "final")
    kept = [
        {name: digest for name, digest in tree(tmp_path / where).items() if not name.startswith("conda-meta/")}
        for where in ("solved", "foreign")
    ]
    assert kept[0]
    assert kept[0] == kept[1]
