"""conda creates with the real TensorFlow and NVIDIA's real libraries, from a channel of this machine's own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conda.real_channel import make_channel, python_home
from thorough import sample

pytestmark = [pytest.mark.e2e, pytest.mark.index]

_LIST = "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))"


@dataclass(frozen=True)
class Real:
    """A channel, a cache, a folder to stand in."""

    folder: Path
    channel: str

    def run(self, *arguments: str, before: tuple[str, ...] = ()) -> dict[str, Any]:
        environ = {**os.environ, "RATTLER_CACHE_DIR": str(self.folder / "cache"), "HOME": str(self.folder / "home")}
        environ["UV_CACHE_DIR"] = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
        done = subprocess.run(
            [*before, sys.executable, "-m", "provision", *arguments, "--json"],
            cwd=self.folder, env=environ, capture_output=True, text=True, check=False, timeout=580,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        document = json.loads(done.stdout)
        assert isinstance(document, dict)
        return document


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Real:
    for series in ("3.8", "3.10"):
        if python_home(series) is None:
            pytest.skip(f"no Python {series} of pyenv with a shared library to make a channel of")
    folder = tmp_path_factory.mktemp("real-conda")
    (folder / "home").mkdir()
    channel = make_channel(folder / "channel", folder / "scratch")
    shutil.rmtree(folder / "scratch")
    return Real(folder, channel)


def _files(prefix: Path) -> dict[str, str]:
    """Describe every file but bytecode and the two that say when it was made."""
    found = {}
    for path in sorted(prefix.rglob("*")):
        name = str(path.relative_to(prefix))
        if "__pycache__" in name or name in (".tfgpu/environment.json", "conda-meta/history"):
            continue
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            with path.open("rb") as stream:
                digest = hashlib.sha256()
                while block := stream.read(1 << 22):
                    digest.update(block)
                found[name] = digest.hexdigest()
    return found


def _stage(document: dict[str, Any], level: str) -> dict[str, Any]:
    stages: list[dict[str, Any]] = document["stages"]
    return next(stage for stage in stages if stage["level"] == level)


@pytest.mark.parametrize("release", sample(["2.4.1", "2.10.1"], 1))
def test_the_gate_of_a_conda_environment_passes_from_an_empty_shell(
    real: Real, release: str, fake_driver: Path
) -> None:
    """2.4.1 has DT_RPATH; 2.10.1 has DT_RUNPATH, with which conda's own Python does not help it."""
    name = f"env-{release}"
    real.run("create", "--tf", release, "--backend", "conda", "--channel", real.channel, "--no-verify", name)
    prefix = real.folder / name
    verified = real.run("verify", "--level", "import", str(prefix), before=("env", "-i", f"HOME={real.folder}"))
    gate = _stage(verified, "gate")
    assert gate["status"] == "passed"
    assert [item["found"] and item["inside"] and item["meant"] for item in gate["data"]["libraries"]] == [True] * 8
    assert _stage(verified, "import")["status"] == "passed"
    listed = subprocess.run(
        [str(prefix / "bin/python"), "-c", _LIST],
        env={"LD_LIBRARY_PATH": str(fake_driver)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert listed.stdout.strip() == "1", listed.stderr[-2000:]


def test_a_lock_gives_the_same_files_again_with_the_network_cut(real: Real) -> None:
    cut = ("unshare", "-rn")
    if subprocess.run([*cut, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let a user cut the network of a process (unshare -rn)")
    request = ("--tf", "2.4.1", "--backend", "conda", "--channel", real.channel)
    real.run("lock", *request, "--format", "conda-lock", "-o", "conda-lock.yml")
    locked = ("create", "--locked", "conda-lock.yml", "--no-verify", "env-locked")
    real.run(*locked)
    prefix = real.folder / "env-locked"
    before = _files(prefix)
    shutil.rmtree(prefix)
    real.run(*locked, "--offline", before=cut)
    assert _files(prefix) == before
