"""``wire`` on an environment that conda and pip have filled without us: no record, no lock, CUDA from conda packages."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from conda.create_world import CondaWorld
from conda.world import engine_at, solved
from create.small_world import OLD, snapshot
from uv import find_uv_bin

_MACHINE = {"__archspec": "1=x86_64", "__cuda": "11.8", "__glibc": "2.17", "__linux": "5.10", "__unix": "0"}


def _filled(world: CondaWorld, *specs: str) -> Path:
    """Make what ``conda create`` and then ``pip install tensorflow`` leave."""
    prefix = world.folder / "theirs"
    engine = engine_at(world.folder.parent, RATTLER_CACHE_DIR=str(world.cache))
    packages = solved(engine, ("python", *specs), world.channel.as_uri(), _MACHINE)
    engine.install(packages, prefix, prefix)
    argv = [find_uv_bin(), "pip", "install", "--quiet", "--python", str(prefix / "bin/python"), f"tensorflow=={OLD}"]
    done = subprocess.run([*argv, "numpy<2"], env=world.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return prefix


def _wire(world: CondaWorld, prefix: Path, *options: str, code: int = 0) -> dict[str, Any]:
    done = world.run("wire", str(prefix), "--matrix", str(world.matrix), "--json", *options)
    assert done.returncode == code, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_the_set_of_conda_packages_is_found_wired_and_taken_away_again(conda_world: CondaWorld) -> None:
    prefix = _filled(conda_world, "cudatoolkit", "cudnn")
    before = snapshot(prefix)
    document = _wire(conda_world, prefix)
    assert (document["library_set"], document["mixture"]) == ("small-conda", [])
    (site,) = prefix.glob("lib/python3*/site-packages")
    for name in ("libcudart.so.11.0", "libcudnn.so.8"):
        assert (site / "tensorflow" / name).resolve().parent == prefix / "lib"
    # The hook runs at each start and tells XLA where libdevice is.
    told = "import os; print(os.environ.get('XLA_FLAGS', ''))"
    argv = [str(prefix / "bin/python"), "-c", f"import tensorflow; {told}"]
    said = subprocess.run(argv, env={}, capture_output=True, text=True, check=True).stdout
    assert str(prefix) in said
    assert _wire(conda_world, prefix)["library_set"] == "small-conda"
    _wire(conda_world, prefix, "--undo")
    for cache in [*prefix.rglob("__pycache__")]:  # of the import above
        for path in cache.iterdir():
            path.unlink()
        cache.rmdir()
    assert snapshot(prefix) == before


def test_other_versions_are_wired_as_the_nearest_set_and_told(conda_world: CondaWorld) -> None:
    prefix = _filled(conda_world, "cudatoolkit", "cudnn")
    record = prefix / "conda-meta/cudnn-8.6.0.163-0.json"
    record.rename(record.with_name("cudnn-8.9.7.29-0.json"))
    document = _wire(conda_world, prefix)
    assert document["library_set"] == "small-conda"
    assert document["mixture"] == ["cudnn 8.9.7.29, the set small-conda has 8.6.*"]


def test_without_libraries_it_says_what_conda_would_install(conda_world: CondaWorld) -> None:
    prefix = _filled(conda_world)
    denial = _wire(conda_world, prefix, code=3)["denial"]
    assert denial["code"] == "no-libraries"
    assert "conda install -p" in denial["hint"]
    assert "'cudnn 8.6.*'" in denial["hint"]
