"""Real environments, made once, and cheap copies of them: trees of hardlinks, into which nothing is ever written.

A file of a copy is the file of the original and of uv's cache. So a copy replaces a file by a new one, or removes its
name; `Originals.changed` says whether that was kept.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from uv import find_uv_bin

from provision.host import find_interpreters
from provision.model.versions import PythonVersion
from provision.system import System

_CUDA_11 = (
    "nvidia-cuda-runtime-cu11==11.8.89 nvidia-cublas-cu11==11.11.3.6 nvidia-cufft-cu11==10.9.0.58 "
    "nvidia-curand-cu11==10.3.0.86 nvidia-cusolver-cu11==11.4.1.48 nvidia-cusparse-cu11==11.7.5.86 "
    "nvidia-cudnn-cu11==8.6.0.163 nvidia-cuda-nvrtc-cu11==11.8.89 nvidia-cuda-nvcc-cu11==11.8.89 "
    "nvidia-cuda-cupti-cu11==11.8.87"
)
ENV_LAB = "TFGPU_LAB"
"""Variable: a folder in which the originals are kept between runs; without it they are made anew for each."""
MADE: pytest.StashKey[Originals] = pytest.StashKey()
"""Under which a run of pytest keeps its originals: every room's laboratory takes its copies from the same."""


@dataclass(frozen=True)
class Recipe:
    """How an original is made: requirements for plain pip (uv's), or the release for our own create, then wire."""

    python: str = ""
    requirements: str = ""
    create: str = ""
    wire: bool = False


RECIPES: Mapping[str, Recipe] = {
    "bare-2.4.1": Recipe("3.8", f"tensorflow==2.4.1 protobuf<3.21 {_CUDA_11}"),
    "wired-2.4.1": Recipe("3.8", f"tensorflow==2.4.1 protobuf<3.21 {_CUDA_11}", wire=True),
    "created-2.10.1": Recipe(create="2.10.1"),
    "plain-2.15.1": Recipe("3.11", "tensorflow[and-cuda]==2.15.1"),
    "created-2.15.1": Recipe(create="2.15.1"),
    "plain-2.16.1": Recipe("3.11", "tensorflow[and-cuda]==2.16.1"),
    "wired-2.16.1": Recipe("3.11", "tensorflow[and-cuda]==2.16.1", wire=True),
    "plain-2.17.1": Recipe("3.12", "tensorflow[and-cuda]==2.17.1"),
    "plain-2.20.0": Recipe("3.12", "tensorflow[and-cuda]==2.20.0"),
    "created-2.20.0": Recipe(create="2.20.0"),
    "plain-2.21.0": Recipe("3.12", "tensorflow[and-cuda]==2.21.0"),
    "created-2.21.0": Recipe(create="2.21.0"),
    "cpu-2.4.1": Recipe("3.8", "tensorflow-cpu==2.4.1 protobuf<3.21"),
    "empty": Recipe("3.12"),
}
SOUND = ("wired-2.4.1", "created-2.10.1", "wired-2.16.1", "plain-2.17.1", "created-2.21.0")
"""Originals in which TensorFlow finds everything."""


@dataclass(frozen=True)
class Copy:
    """A tree of hardlinks of an original."""

    prefix: Path
    original: Path
    touched: set[Path]

    @property
    def site(self) -> Path:
        """site-packages."""
        return next(self.prefix.glob("lib/python3*/site-packages"))

    @property
    def python(self) -> Path:
        return self.prefix / "bin" / "python"

    def file(self, pattern: str) -> Path:
        """Return the one file below site-packages that matches."""
        found = sorted(self.site.glob(pattern))
        assert found, f"nothing matches {pattern} in {self.site}"
        return found[0]

    def replace(self, path: Path, data: bytes | str, mode: int | None = None) -> Path:
        """Put a new file in the place of ``path``, or where nothing is."""
        self.touched.add(path.relative_to(self.prefix))
        kept = path.stat().st_mode if path.exists() else 0o644
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        path.chmod(mode or kept)
        return path

    def edit(self, path: Path, change: Callable[[bytes], bytes]) -> Path:
        """Put a changed file in the place of ``path``."""
        return self.replace(path, change(path.read_bytes()))

    def cut(self, path: Path, part: float = 0.6) -> Path:
        """Put the first part of a file, which may be large, in its place."""
        self.touched.add(path.relative_to(self.prefix))
        size, mode = path.stat().st_size, path.stat().st_mode
        with path.open("rb") as stream:
            data = stream.read(int(size * part) if size < 1 << 24 else min(int(size * part), 1 << 24))
        return self.replace(path, data, mode)

    def remove(self, path: Path) -> None:
        """Remove a file's name or a folder."""
        self.touched.add(path.relative_to(self.prefix))
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def info(self, name: str) -> Path:
        """Return the dist-info folder of a distribution."""
        return self.file(f"{name.replace('-', '_')}-*.dist-info")

    def version(self, name: str) -> str:
        """Return the version of a distribution by its folder's name."""
        return self.info(name).name.removesuffix(".dist-info").rsplit("-", 1)[1]

    def uninstall(self, *names: str) -> None:
        """Uninstall distributions as a user does."""
        self.uv("uninstall", *names)

    def install(self, *requirements: str) -> None:
        """Install without dependencies: what ``--no-deps``, or a later install of something else, leaves behind."""
        self.uv("install", "--no-deps", *requirements)

    def uv(self, *arguments: str) -> None:
        """Run ``uv pip`` on the copy: it removes names and makes new links, and writes into no file."""
        _run(find_uv_bin(), "pip", *arguments[:1], "--quiet", "--python", str(self.python), *arguments[1:])

    def claim(self, name: str, version: str, *requires: str) -> Path:
        """Add a distribution that consists of its metadata."""
        info = self.site / f"{name.replace('-', '_')}-{version}.dist-info"
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        self.replace(info / "METADATA", "\n".join([*lines, *(f"Requires-Dist: {item}" for item in requires), ""]))
        self.replace(info / "INSTALLER", "pip\n")
        self.replace(
            info / "RECORD", "".join(f"{info.name}/{file},,\n" for file in ("INSTALLER", "METADATA", "RECORD"))
        )
        return info


@dataclass
class Originals:
    """The originals of one run of the laboratory."""

    folder: Path
    made: dict[str, Path] = field(default_factory=dict)
    states: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    touched: dict[str, set[Path]] = field(default_factory=dict)
    digests: dict[Path, str] = field(default_factory=dict)

    def original(self, name: str) -> Path:
        """Return an original, which is made first where it is not there; skips where its Python is missing."""
        if name not in self.made:
            prefix = self.folder / name
            if not (prefix / "bin/python").exists():
                _make(prefix, RECIPES[name])
            self.made[name] = prefix
            self.states[name] = dict(state(prefix))
            self.touched[name] = set()
        return self.made[name]

    def copy(self, name: str, place: Path) -> Copy:
        """Return a fresh copy at ``place``."""
        original = self.original(name)
        link_tree(original, place, left_out=("include",))  # two thirds of the files, which nobody looks at
        for path in original.glob("lib/python3*/site-packages/tensorflow/include/**/*.so"):  # but for these
            target = place / path.relative_to(original)
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(str(path), str(target))
        for path in (place / "bin").iterdir():
            _move_script(path, str(original), str(place))
        return Copy(place, original, self.touched[name])

    def changed(self) -> list[str]:
        """Return what has changed in the originals, and with them in uv's cache: nothing, or the laboratory is wrong."""
        found = []
        for name, prefix in self.made.items():
            now = dict(state(prefix))
            before = self.states[name]
            found += [f"{name}/{path}" for path in before.keys() | now.keys() if before.get(path) != now.get(path)]
            found += [f"{name}/{path}: content" for path in self.touched[name] if not _as_recorded(prefix, path)]
        return sorted(found)


def _make(prefix: Path, recipe: Recipe) -> None:
    if recipe.create:
        argv = ["create", "--tf", recipe.create, "--no-verify", "--", str(prefix)]
        _run(sys.executable, "-m", "provision", *argv)
        return
    series = PythonVersion(recipe.python)
    found = [item.path for item in find_interpreters(System()) if item.version.series == series]
    if not found:
        pytest.skip(f"no Python {recipe.python} on this machine")
    unfinished = prefix.with_name(f".{prefix.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    _run(find_uv_bin(), "venv", "--quiet", "--no-project", "--relocatable", "--python", found[0], str(unfinished))
    if recipe.requirements:
        python = str(unfinished / "bin/python")
        _run(find_uv_bin(), "pip", "install", "--quiet", "--python", python, *recipe.requirements.split(" "))
    if recipe.wire:
        _run(sys.executable, "-m", "provision", "wire", str(unfinished))
    unfinished.rename(prefix)


def _run(*argv: str) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "LD_LIBRARY_PATH")}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environ, cwd="/")
    assert done.returncode == 0, f"{argv}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def link_tree(source: Path, target: Path, left_out: tuple[str, ...] = ()) -> None:
    """Make a tree of hardlinks."""
    ignored = shutil.ignore_patterns(*left_out)
    shutil.copytree(source, target, symlinks=True, copy_function=_link, ignore=ignored, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    if source.endswith("/certifi/cacert.pem"):
        # Some machines have a start-up hook that adds a certificate of their own to it, in place.
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target)
    except OSError:  # another file system, or too many links
        shutil.copy2(source, target)


def _move_script(path: Path, old: str, new: str) -> None:
    if path.is_symlink() or path.stat().st_size > 1 << 16:
        return
    data = path.read_bytes()
    if old.encode() in data:
        mode = path.stat().st_mode
        path.unlink()
        path.write_bytes(data.replace(old.encode(), new.encode()))
        path.chmod(mode)


def state(prefix: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield each file below a folder with the time of its last change and its size."""
    folders = [str(prefix)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    status = entry.stat(follow_symlinks=False)
                    yield os.path.relpath(entry.path, prefix), (status.st_mtime_ns, status.st_size)


def _as_recorded(prefix: Path, path: Path) -> bool:
    """Whether a file of an original still has the content that its RECORD says; True where none speaks of it."""
    file = prefix / path
    if not file.is_file():
        return True
    site = next(prefix.glob("lib/python3*/site-packages"))
    try:
        name = file.relative_to(site).as_posix()
    except ValueError:
        return True
    for record in site.glob("*.dist-info/RECORD"):
        for line in record.read_text().splitlines():
            told, _, rest = line.partition(",")
            if told == name and rest.startswith("sha256="):
                return rest.split("=", 1)[1].split(",")[0] == _digest(file)
    return True


def _digest(path: Path) -> str:
    import base64

    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256") if hasattr(hashlib, "file_digest") else _old(stream.read())
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()


def _old(data: bytes) -> hashlib._Hash:
    return hashlib.sha256(data)
