"""Small environments made by hand: real interpreters, distributions of a few lines."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
import sys
import time
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

SERIES = f"{sys.version_info[0]}.{sys.version_info[1]}"
TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
BUILD_INFO = "build_info = {'cuda_version': '12.3', 'cudnn_version': '8', 'is_cuda_build': %s}\n"


def make_venv(path: Path) -> Path:
    """Make a virtual environment without pip; return its site-packages."""
    venv.create(path, with_pip=False, symlinks=True)
    return path / "lib" / f"python{SERIES}" / "site-packages"


def add_distribution(
    site: Path,
    name: str,
    version: str,
    files: Mapping[str, str | bytes] | None = None,
    requires: Sequence[str] = (),
    *,
    tag: str = "py3-none-any",
    installer: str = "pip",
) -> Path:
    """Install a distribution by hand, with a RECORD; return its dist-info."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    lines += [f"Requires-Dist: {item}" for item in requires]
    (info / "METADATA").write_text("\n".join(lines) + "\n\nRequires-Dist: not-a-header\n")
    (info / "INSTALLER").write_text(f"{installer}\n")
    (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {tag}\n")
    rows = []
    for place, content in (files or {}).items():
        data = content.encode() if isinstance(content, str) else content
        target = site / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{place},sha256={digest},{len(data)}")
    (info / "RECORD").write_text("\n".join([*rows, f"{info.name}/RECORD,,"]) + "\n")
    return info


def add_tensorflow(
    site: Path, version: str = "2.16.1", *, name: str = "tensorflow", cuda: bool = True, requires: Sequence[str] = ()
) -> Path:
    """Install what doctor reads of a TensorFlow."""
    files = {
        "tensorflow/__init__.py": "__version__ = '0'\n",
        "tensorflow/python/platform/build_info.py": BUILD_INFO % cuda,
        "tensorflow/core/framework/types_pb2.py": "from google.protobuf.internal import builder as _builder\n",
        "tensorflow/libtensorflow_framework.so.2": elf(),
        "tensorflow/python/some_test.py": "",
    }
    return add_distribution(site, name, version, files, requires, tag=f"{TAG}-{TAG}-manylinux2014_x86_64")


def elf(machine: int = 62, *, size: int = 4096, claimed: int | None = None) -> bytes:
    """Return a file that is, by its headers, a 64-bit library with one segment of its whole size."""
    head = struct.pack(
        "<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 3, machine, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, claimed or size, claimed or size, 4096)
    return (head + segment).ljust(size, b"\0")


def age(folder: Path, seconds: float = 3600) -> None:
    """Set the times of every file back, as those of an environment that was installed a while ago."""
    then = time.time() - seconds
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (then, then))
