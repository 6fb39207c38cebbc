from __future__ import annotations

from pathlib import Path

import pytest
from conda import channel as channels
from conda.create_world import CondaWorld, conda_matrix_text, small_channel
from create import small_world
from create.conftest import World, wheels, world

__all__ = ["wheels", "world"]


@pytest.fixture(scope="session")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("channel")
    channels.make(folder, channels.USUAL)
    return folder


@pytest.fixture(scope="session")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if small_world.compiler() is None:
        pytest.skip("no C compiler on PATH to build small libraries")
    return small_channel(tmp_path_factory.mktemp("small-channel"))


@pytest.fixture
def conda_world(world: World, channel: Path, tmp_path: Path) -> CondaWorld:
    world.matrix.write_text(conda_matrix_text())
    environ = {**world.environ, "RATTLER_CACHE_DIR": str(tmp_path / "conda-cache")}
    return CondaWorld(**{**vars(world), "environ": environ, "channel": channel})
