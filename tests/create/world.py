"""A small world for each test: an index, a cache, a matrix, a folder to stand in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from create import small_world
from create.small_world import Index

from provision.cli.main import main


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class World:
    """The world of one test."""

    index: Index
    folder: Path
    matrix: Path
    environ: dict[str, str]
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    @property
    def target(self) -> Path:
        return self.folder / "env"

    def arguments(self, *options: str, path: str | None, tf: str, verify: bool) -> list[str]:
        base = ["create", "--tf", tf, "--matrix", str(self.matrix), "--python", sys.executable]
        return [*base, *([] if verify else ["--no-verify"]), *options, *([] if path is None else ["--", path])]

    def spawn(
        self, *options: str, path: str | None = "env", tf: str = small_world.OLD, verify: bool = False, **more: Any
    ) -> subprocess.Popen[str]:
        """Start the command as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "provision", *self.arguments(*options, path=path, tf=tf, verify=verify)],
            cwd=self.folder, env=self.environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more,
        )  # fmt: skip

    def run(self, *arguments: str) -> Ended:
        """Run the command line in this process, in the world's environment and folder; much faster than a new one."""
        with self.monkeypatch.context() as patch:
            for name in set(os.environ) - set(self.environ):
                patch.delenv(name)
            for name, value in self.environ.items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["tfgpu-provision", *arguments])
            self.capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
            said = self.capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    def create(self, *options: str, path: str | None = "env", tf: str = small_world.OLD, verify: bool = False) -> Ended:
        return self.run(*self.arguments(*options, path=path, tf=tf, verify=verify))

    def document(self, *options: str, code: int = 0, **more: Any) -> dict[str, Any]:
        done = self.create("--json", *options, **more)
        assert done.returncode == code, done.stdout + done.stderr
        document = json.loads(done.stdout)
        assert isinstance(document, dict)
        return document

    def failure(self, *options: str, code: int, **more: Any) -> dict[str, Any]:
        document = self.document(*options, code=code, **more)
        assert isinstance(document["error"], dict)
        return document["error"]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if small_world.compiler() is None:
        pytest.skip("no C compiler on PATH to build small libraries")
    folder = tmp_path_factory.mktemp("wheels")
    small_world.fill_index(folder)
    return folder


@pytest.fixture
def world(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[World]:
    files = tmp_path / "index"
    files.mkdir()
    for wheel in wheels.iterdir():
        (files / wheel.name).hardlink_to(wheel)
    folder = tmp_path / "project"
    folder.mkdir()
    home = tmp_path / "home"
    home.mkdir()
    matrix = tmp_path / "matrix.yaml"
    matrix.write_text(small_world.matrix_text())
    with small_world.serve(files) as index:
        environ = small_world.environ_for(index, tmp_path / "cache", home)
        yield World(index, folder, matrix, environ, monkeypatch, capsys)
