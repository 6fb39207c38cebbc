"""The originals, made once for a run, and a place on the bench for each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from doctor.lab.bench import Bench
from doctor.lab.copies import ENV_LAB, MADE, Originals
from doctor.lab.machine import Machine


@pytest.fixture(scope="session")
def originals(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Originals]:
    """Return the originals; at the end neither they nor uv's cache may have changed."""
    config = request.config
    if MADE not in config.stash:
        kept = os.environ.get(ENV_LAB)
        folder = Path(kept) if kept else tmp_path_factory.mktemp("originals")
        folder.mkdir(parents=True, exist_ok=True)
        config.stash[MADE] = Originals(folder)
        if not kept:
            config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    yield config.stash[MADE]
    assert config.stash[MADE].changed() == [], "the laboratory has written through a hardlink"


@pytest.fixture
def place(originals: Originals, fake_driver: Path, tmp_path: Path) -> Iterator[Callable[[str], Bench]]:
    """Return what gives a copy of an original on a sound machine with one GPU; it is thrown away afterwards."""

    def make(name: str) -> Bench:
        machine = Machine.make(tmp_path / "machine", fake_driver)
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        return Bench(originals.copy(name, tmp_path / "work/env"), machine, scratch)

    yield make
    shutil.rmtree(tmp_path / "work", ignore_errors=True)
