"""A whole small world for create: wheels of a few kilobytes, an index on the loopback, a matrix that fits them.

uv, the venv, the wiring, the journal and the renames are the real ones; only the packages are small.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"
TAG = SERIES.replace(".", "")
OLD, NEW = "2.9.3", "2.10.0"
"""The two releases of the small matrix."""

MATRIX = """\
schema: 1
evidence:
  page: {kind: vendor, source: "https://example.org/page", date: 2026-01-02}
cuda_families:
  11: {linux: 450.80.02, windows: 452.39, evidence: page}
driver_branches:
  520: {cuda: 11.8, evidence: page}
ptx_isa:
  evidence: page
  cuda:
    11.8: 7.8
gpus:
  8.0: {architecture: Ampere, first_cuda: 11.0, first_branch: 450, evidence: page}
wheels:
  nvidia-cudart-cu11: {folder: nvidia/cudart/lib, libraries: libcudart.so.11.0, evidence: page}
  nvidia-cudnn-cu11: {folder: nvidia/cudnn/lib, libraries: libcudnn.so.8, evidence: page}
sets:
  small:
    cuda: 11.8
    cudnn: 8.6
    gpus: 3.5 9.0
    sass: 8.0
    ptx: 8.0
    pins:
      nvidia-cudart-cu11: 11.8.1
      nvidia-cudnn-cu11: 8.6.0.1
    evidence: page
gates:
  two: libcudart.so.11.0 libcudnn.so.8
code:
  one:
    sass: 8.0
    ptx: 8.0
search_paths:
  beside: {kind: RUNPATH, origin: yes}
constraints:
  small-numpy: {requirement: numpy<2, why: it uses names that NumPy 2 removed, evidence: page}
SOURCE_ONLY
aliases: {}
faults: {}
optional: {}
unserved: {}
claims:
  read: {arch: page, build: page, constraints: page, cpu: page, cudnn: page, gate: page, platform: page, python: page,
         search: page, sets: page, xla: page}
releases:
"""

_SOURCE_ONLY = """\
source_only:
  old-1.0: {name: old-tool, version: 1.0, sha256: SHA, why: demanded exactly, evidence: page}
"""

_RELEASE = """\
  tensorflow==VERSION:
    released: 2022-11-16
    pythons: SERIES
    platform: manylinux_2_17_x86_64.manylinux2014_x86_64
    glibc: 2.17
    cpu: ""
    cuda: 11.2
    cudnn: 8.1
    gate: two
    code: one
    search: beside
    xla_finds_wheels: no
    constraints: small-numpy
    sets: small
    wheel: tensorflow-VERSION-cpTAG-cpTAG-manylinux_2_17_x86_64.manylinux2014_x86_64.whl
    sha256: 1111111111111111111111111111111111111111111111111111111111111111
    claims: read
"""


def matrix_text(*, source_only_sha: str = "") -> str:
    """Return the small matrix; with a sha256, its older release demands a package without a wheel."""
    exceptions = _SOURCE_ONLY.replace("SHA", source_only_sha) if source_only_sha else "source_only: {}\n"
    head = MATRIX.replace("SOURCE_ONLY\n", exceptions)
    rows = [
        _RELEASE.replace("VERSION", version).replace("SERIES", SERIES).replace("TAG", TAG) for version in (OLD, NEW)
    ]
    if source_only_sha:
        rows[0] = rows[0].replace("    sets:", "    source_only: old-1.0\n    sets:")
    return head + "".join(rows)


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, bytes] | None = None,
    *,
    requires: tuple[str, ...] = (),
    scripts: tuple[str, ...] = (),
) -> Path:
    """Write a valid wheel."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    content = dict(files if files is not None else {f"{module}/__init__.py": b""})
    content[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + "".join(f"Requires-Dist: {item}\n" for item in requires)
    ).encode()
    content[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if scripts:
        lines = "".join(f"{script} = {module}:main\n" for script in scripts)
        content[f"{info}/entry_points.txt"] = f"[console_scripts]\n{lines}".encode()
    record = "".join(f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in content.items())
    content[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in content.items():
            archive.writestr(member, data)
    return path


def make_source(folder: Path, name: str, version: str) -> Path:
    """Write a source archive as old ones are: a setup.py and no metadata that could be trusted."""
    files = {
        "setup.py": "# run by the build tool\n",
        "PKG-INFO": f"Metadata-Version: 1.0\nName: {name}\nVersion: {version}\n",
    }
    path = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member, text in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{member}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


_BUILD_META = """\
import os, zipfile


class Legacy:
    def get_requires_for_build_wheel(self, settings=None):
        return []

    def build_wheel(self, folder, settings=None, metadata=None):
        open(MARK, "w").close()
        name, version = os.path.basename(os.getcwd()), "1.0"
        facts = dict(line.split(": ") for line in open("PKG-INFO").read().splitlines())
        module = facts["Name"].replace("-", "_")
        info = f"{module}-{facts['Version']}.dist-info"
        files = {
            f"{module}.py": "",
            f"{info}/METADATA": "Metadata-Version: 2.1\\nName: %s\\nVersion: %s\\n" % (facts["Name"], facts["Version"]),
            f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        }
        files[f"{info}/RECORD"] = "".join(f"{path},,\\n" for path in [*files, f"{info}/RECORD"])
        wheel = f"{module}-{facts['Version']}-py3-none-any.whl"
        with zipfile.ZipFile(os.path.join(folder, wheel), "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)
        return wheel


__legacy__ = Legacy()
"""


def make_build_tools(folder: Path, *, mark: Path) -> None:
    """Write a setuptools that is just enough for `make_source` and creates the file ``mark`` when it builds."""
    code = _BUILD_META.replace("MARK", repr(str(mark))).encode()
    make_wheel(folder, "setuptools", "90.0", {"setuptools/__init__.py": b"", "setuptools/build_meta.py": code})
    make_wheel(folder, "wheel", "1.0")


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def compiler() -> str | None:
    """Return a C compiler."""
    return shutil.which("cc") or shutil.which("gcc")


@functools.cache
def library(soname: str, search: str = "") -> bytes:
    """Return an empty shared library of that SONAME."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / soname
        argv = [compiler() or "cc", "-shared", "-fPIC", "-nostdlib", "-x", "c", "-", "-o", str(path)]
        argv.append(f"-Wl,-soname,{soname}")
        argv += [f"-Wl,-rpath,{search}", "-Wl,--enable-new-dtags"] if search else []
        subprocess.run(argv, input="int marker = 1;", text=True, check=True)
        return path.read_bytes()


def fill_index(folder: Path) -> None:
    """Write the wheels of the small world."""
    folder.mkdir(parents=True, exist_ok=True)
    for version in (OLD, NEW):
        files = {
            "tensorflow/__init__.py": f"__version__ = {version!r}\n\n\ndef main():\n    print(__version__)\n".encode(),
            "tensorflow/libtensorflow_framework.so.2": library("libtensorflow_framework.so.2", "$ORIGIN/"),
            **{f"tensorflow/part{number}.py": b"# filler\n" * number for number in range(40)},
        }
        make_wheel(folder, "tensorflow", version, files, requires=("numpy", "six<2"), scripts=("tf_tool",))
    make_wheel(
        folder, "nvidia-cudart-cu11", "11.8.1", {"nvidia/cudart/lib/libcudart.so.11.0": library("libcudart.so.11.0")}
    )
    make_wheel(folder, "nvidia-cudnn-cu11", "8.6.0.1", {"nvidia/cudnn/lib/libcudnn.so.8": library("libcudnn.so.8")})
    for name, versions in {"numpy": ("1.9", "2.0"), "six": ("1.0",), "pandas": ("1.0",)}.items():
        for version in versions:
            make_wheel(folder, name, version)
    make_wheel(folder, "needs-numpy-2", "1.0", requires=("numpy>=2",))


@dataclass
class Index:
    """A package index on the loopback, with faults on demand.

    Attributes:
        folder: its files.
        url: of its simple API.
        faults: part of a path to what happens to requests for it: ``500``, ``cut`` (half of it), ``swap`` (other bytes
            of the same length) or ``slow`` (two seconds before the first byte).
        asked: every path that was asked for.
        uploaded: file name to the time of its upload; with any, its pages are JSON that says them (PEP 700).
    """

    folder: Path
    url: str = ""
    faults: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    uploaded: dict[str, str] = field(default_factory=dict)


@contextmanager
def serve(folder: Path) -> Iterator[Index]:
    """Run an index over the files of a folder."""
    index = Index(folder)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            index.asked.append(self.path)
            fault = next((kind for part, kind in index.faults.items() if part in self.path), "")
            body = _page(index, self.path)
            if fault == "500" or body is None:
                self.send_response(500 if fault else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if fault == "slow":
                time.sleep(2)
            if fault == "swap":
                body = body[: len(body) // 2] + bytes(255 - byte for byte in body[len(body) // 2 :])
            self.send_response(200)
            kind = "application/vnd.pypi.simple.v1+json" if index.uploaded else "text/html"
            self.send_header("Content-Type", kind if self.path.endswith("/") else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "max-age=600")
            self.end_headers()
            if self.command == "HEAD":
                return
            if fault == "cut":
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
                return
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    index.url = f"http://127.0.0.1:{server.server_address[1]}/simple/"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()


def _page(index: Index, path: str) -> bytes | None:
    kind, _, rest = path.strip("/").partition("/")
    if kind == "files":
        found = index.folder / rest
        return found.read_bytes() if found.is_file() else None
    files = [
        file
        for file in sorted(index.folder.iterdir())
        if file.name.rsplit("-", 4 if file.suffix == ".whl" else 1)[0].replace("_", "-") == rest
    ]
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    if not files:
        return None
    if index.uploaded:
        entries = [
            {
                "filename": name,
                "url": f"/files/{name}",
                "hashes": {"sha256": digest},
                "size": (index.folder / name).stat().st_size,
                **({"upload-time": index.uploaded[name]} if name in index.uploaded else {}),
            }
            for name, digest in digests.items()
        ]
        document = {"meta": {"api-version": "1.1"}, "name": rest, "versions": [], "files": entries}
        return json.dumps(document).encode()
    links = [f'<a href="/files/{name}#sha256={digest}">{name}</a>' for name, digest in digests.items()]
    return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()


def environ_for(index: Index, cache: Path, home: Path) -> dict[str, str]:
    """Return an environment in which uv knows this index and this cache, and nothing else of the machine."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "UV_DEFAULT_INDEX": index.url,
        "UV_CACHE_DIR": str(cache),
        "UV_NO_CONFIG": "1",
        "UV_HTTP_RETRIES": "0",
        "UV_PYTHON_DOWNLOADS": "never",
        "NO_PROXY": "127.0.0.1",
    }


def snapshot(folder: Path) -> dict[str, str]:
    """Return every path below a folder with its kind, mode and content, to compare trees byte by byte."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_dir():
            found[name] = f"folder {path.stat().st_mode:o}"
        else:
            found[name] = f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return found


def beside(target: Path) -> list[str]:
    """Return what a create has left beside its target: nothing, after one that ended by itself."""
    return sorted(path.name for path in target.parent.glob(f".{target.name}.tfgpu-*"))
