"""Fixtures of the tests of verify."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from verify.samples import Environment

from provision.matrix import load
from provision.model.matrix import Matrix, Row
from provision.model.versions import TfVersion


@pytest.fixture(scope="session")
def matrix() -> Matrix:
    return load()


@pytest.fixture(scope="session")
def row_of(matrix: Matrix) -> Callable[[str], Row]:
    def find(release: str) -> Row:
        row = matrix.row(TfVersion(release))
        assert row is not None
        return row

    return find


@pytest.fixture(scope="session")
def empty_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prefix = tmp_path_factory.mktemp("template") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True, timeout=120)
    return prefix


@pytest.fixture
def environment(empty_environment: Path, tmp_path: Path) -> Environment:
    """A virtual environment of the test's own; a copy of one works, because nothing in it names its place."""
    return Environment(Path(shutil.copytree(empty_environment, tmp_path / "env", symlinks=True)))


@pytest.fixture(scope="session")
def compiler() -> str:
    found_one = shutil.which("gcc") or shutil.which("cc")
    if found_one is None:
        pytest.skip("no C compiler on PATH to build tiny shared libraries")
    return found_one
