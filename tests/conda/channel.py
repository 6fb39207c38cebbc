"""Small conda channels for tests: packages of a few bytes with the names and rules of the real ones, and a server."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import zstandard

STAMP = 1_600_000_000_000
"""When the packages were made, milliseconds; `as_of` counts from it."""


@dataclass(frozen=True)
class File:
    """One file of a package; ``placeholder`` is a prefix to be replaced in it, ``link`` makes it a symbolic link."""

    content: bytes = b""
    placeholder: str = ""
    binary: bool = False
    executable: bool = False
    link: str = ""


@dataclass(frozen=True)
class Package:
    """One package as a recipe would give it."""

    name: str
    version: str
    build: str = "0"
    subdir: str = "linux-64"
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    files: Mapping[str, File | bytes] = field(default_factory=dict)
    noarch: str = ""
    entry_points: tuple[str, ...] = ()
    timestamp: int = STAMP
    suffix: str = ".conda"

    @property
    def stem(self) -> str:
        return f"{self.name}-{self.version}-{self.build}"


def _tar(entries: Mapping[str, File]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(entries):
            item = entries[path]
            info = tarfile.TarInfo(path)
            info.mtime = 1_500_000_000
            if item.link:
                info.type, info.linkname = tarfile.SYMTYPE, item.link
                archive.addfile(info)
                continue
            info.size, info.mode = len(item.content), 0o755 if item.executable else 0o644
            archive.addfile(info, io.BytesIO(item.content))
    return buffer.getvalue()


def _paths(files: Mapping[str, File]) -> list[dict[str, Any]]:
    paths = []
    for path, item in sorted(files.items()):
        entry: dict[str, Any] = {
            "_path": path,
            "path_type": "softlink" if item.link else "hardlink",
            "sha256": hashlib.sha256(item.content).hexdigest(),
            "size_in_bytes": len(item.content),
        }
        if item.placeholder:
            entry |= {"prefix_placeholder": item.placeholder, "file_mode": "binary" if item.binary else "text"}
        paths.append(entry)
    return paths


def build(package: Package, channel: Path) -> Path:
    """Write one package into a channel's folder and return its file."""
    files = {path: item if isinstance(item, File) else File(item) for path, item in package.files.items()}
    index = {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "build_number": 0,
        "depends": list(package.depends),
        "constrains": list(package.constrains),
        "subdir": package.subdir,
        "timestamp": package.timestamp,
        **({"noarch": package.noarch} if package.noarch else {}),
    }
    info: dict[str, Any] = {
        "info/index.json": index,
        "info/paths.json": {"paths": _paths(files), "paths_version": 1},
        "info/about.json": {},
    }
    if package.noarch == "python":
        info["info/link.json"] = {
            "noarch": {"type": "python", "entry_points": list(package.entry_points)},
            "package_metadata_version": 1,
        }
    texts = {path: File(json.dumps(content).encode()) for path, content in info.items()}
    texts["info/files"] = File("".join(f"{path}\n" for path in sorted(files)).encode())
    target = channel / package.subdir / f"{package.stem}{package.suffix}"
    target.parent.mkdir(parents=True, exist_ok=True)
    if package.suffix == ".tar.bz2":
        import bz2

        target.write_bytes(bz2.compress(_tar({**files, **texts})))
        return target
    packer = zstandard.ZstdCompressor(level=1)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, content in (
            ("metadata.json", b'{"conda_pkg_format_version": 2}'),
            (f"pkg-{package.stem}.tar.zst", packer.compress(_tar(files))),
            (f"info-{package.stem}.tar.zst", packer.compress(_tar(texts))),
        ):
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content)
    return target


def index(channel: Path) -> None:
    """Write repodata.json as rattler does, in a child: no module of ours imports rattler."""
    code = (
        "import asyncio, os, sys; from rattler.index import index_fs; "
        "asyncio.run(index_fs(sys.argv[1], force=True)); os._exit(0)"  # rattler's threads can crash in Python's ending
    )
    subprocess.run([sys.executable, "-c", code, str(channel)], check=True, capture_output=True, timeout=60)


def make(channel: Path, packages: Sequence[Package]) -> str:
    """Build a whole channel and return its ``file://`` address."""
    for subdir in ("linux-64", "noarch"):
        (channel / subdir).mkdir(parents=True, exist_ok=True)
    for package in packages:
        build(package, channel)
    index(channel)
    return channel.as_uri()


def library(folder: Path, soname: str, version: str) -> bytes:
    """Compile a shared library that does nothing."""
    source, target = folder / "stub.c", folder / soname
    source.write_text(f'const char *stub_version(void) {{ return "{version}"; }}\n')
    argv = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{soname}", "-o", str(target), str(source)]
    subprocess.run(argv, check=True, timeout=60)
    return target.read_bytes()


PLACEHOLDER = "/opt/placehold_" + "x" * 200

USUAL: tuple[Package, ...] = (
    Package(
        "python",
        "3.8.20",
        "h0_cpython",
        depends=("__glibc >=2.17,<3.0.a0", "libzstub"),
        files={
            "bin/python3.8": File(b"#!/bin/sh\nexec true\n", executable=True),
            "bin/python": File(link="python3.8"),
            "lib/python3.8/os.py": b"",
            "lib/python3.8/_sysconfigdata.py": File(f"prefix = '{PLACEHOLDER}'\n".encode(), PLACEHOLDER),
            "lib/libpython3.8.so.1.0": File(b"\x7fELF" + PLACEHOLDER.encode() + b"\0" * 40, PLACEHOLDER, binary=True),
        },
    ),
    Package("python", "3.9.23", "h0_cpython", depends=("__glibc >=2.17,<3.0.a0",), files={"bin/python3.9": b""}),
    Package("libzstub", "1.2.13", files={"lib/libzstub.so.1": b"z" * 5000}),
    Package("cudatoolkit", "10.1.243", constrains=("__cuda >=10.1",), files={"lib/libcudart.so.10.1": b"10"}),
    Package("cudatoolkit", "11.0.3", constrains=("__cuda >=11",), files={"lib/libcudart.so.11.0": b"11.0"}),
    Package("cudatoolkit", "11.2.2", constrains=("__cuda >=11",), files={"lib/libcudart.so.11.0": b"11.2"}),
    Package(
        "cudnn",
        "8.0.5.39",
        "ha5ca753_1",
        depends=("__cuda", "cudatoolkit 11.0.*"),
        files={"lib/libcudnn.so.8": b"8.0"},
    ),
    Package(
        "cudnn", "8.1.0.77", "h90431f1_0", depends=("__cuda", "cudatoolkit 11.*"), files={"lib/libcudnn.so.8": b"8.1"}
    ),
    Package(
        "cuda-version", "11.2", subdir="noarch", noarch="generic", constrains=("__cuda >=11", "cudatoolkit 11.2|11.2.*")
    ),
    Package("newglibc", "1.0", depends=("__glibc >=2.28,<3.0.a0",), files={"lib/libnew.so": b"n"}),
    Package(
        "numpy",
        "1.19.5",
        "py38_0",
        depends=("python >=3.8,<3.9.0a0",),
        files={"lib/python3.8/site-packages/numpy.py": b""},
    ),
    Package("numpy", "1.26.4", "py39_0", depends=("python >=3.9,<3.10.0a0",), timestamp=STAMP + 86_400_000 * 900),
    Package(
        "tool",
        "2.0",
        "pyh_0",
        "noarch",
        ("python >=3.6",),
        files={
            "site-packages/tool/__init__.py": b"def main(): pass\n",
            "python-scripts/tool-script": File(b"#!/usr/bin/env python\nprint(1)\n", executable=True),
        },
        noarch="python",
        entry_points=("tool = tool:main",),
    ),
    Package("old", "0.1", files={"share/old.txt": b"old"}, suffix=".tar.bz2"),
    Package("clobber", "1.0", files={"share/old.txt": b"other"}),
)


class _Handler(BaseHTTPRequestHandler):
    root: Path
    log: list[str]
    user: str = ""
    token: str = ""
    status: int = 0

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.log.append(self.path)
        wanted = f"Basic {base64.b64encode(self.user.encode()).decode()}"
        path = self.path
        if self.status or (self.user and self.headers.get("Authorization") != wanted):
            self._head(self.status or 401, 0)
            return
        if self.token:
            if not path.startswith(f"/t/{self.token}/"):
                self._head(403, 0)
                return
            path = path.removeprefix(f"/t/{self.token}")
        file = self.root / path.lstrip("/").split("?")[0]
        if not file.is_file():
            self._head(404, 0)
            return
        data = file.read_bytes()
        self._head(200, len(data))
        if body:
            self.wfile.write(data)

    def _head(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@dataclass
class Served:
    """A channel on loopback: its address without credentials, and every path that was asked for."""

    address: str
    port: int
    log: list[str]


@contextmanager
def serve(root: Path, *, user: str = "", token: str = "", status: int = 0) -> Iterator[Served]:
    """Serve a folder without ranges; ``user`` is ``name:password``, ``token`` must stand in ``/t/TOKEN/``."""
    log: list[str] = []
    handler = type("Handler", (_Handler,), {"root": root, "log": log, "user": user, "token": token, "status": status})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        port = server.server_address[1]
        yield Served(f"http://127.0.0.1:{port}", port, log)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _edit(channel: Path, forgotten: Sequence[str]) -> None:
    for file in channel.glob("*/repodata.json"):
        content = json.loads(file.read_text())
        for group in ("packages", "packages.conda"):
            for record in content.get(group, {}).values():
                for key in forgotten:
                    record.pop(key, None)
        file.write_text(json.dumps(content))
        for other in file.parent.glob("repodata*.zst"):
            other.unlink()


def forget_index_time(channel: Path) -> None:
    """Leave only when packages were built, as older channels do."""
    _edit(channel, ("indexed_timestamp",))


def forget_hashes(channel: Path) -> None:
    """Leave only md5, as very old channels do."""
    _edit(channel, ("sha256",))
