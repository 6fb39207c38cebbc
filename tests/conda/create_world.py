"""A small world for conda creates: that of `create.small_world`, a channel beside its index, and a real Python in it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conda.channel import File, Package, build, index
from conda.real_channel import RealPackage, relocated_python, write
from create.conftest import World
from create.small_world import SERIES, library, matrix_text

_PACKAGES = """\
conda_packages:
  cudatoolkit 11: {folder: lib, libraries: libcudart.so.11.0, evidence: page}
  cudnn 8: {folder: lib, libraries: libcudnn.so.8, evidence: page}
"""
_SET = """\
  small-conda:
    cuda: 11.8
    cudnn: 8.6
    gpus: 3.5 9.0
    sass: 8.0
    ptx: 8.0
    channel: conda-forge
    glibc: 2.17
    conda:
      cudatoolkit: 11.8.0
      cudnn: "8.6.*"
    libdevice: lib/libdevice.10.bc
    evidence: page
"""


@dataclass(frozen=True)
class CondaWorld(World):
    """The small world with a channel."""

    channel: Path = Path()

    def arguments(self, *options: str, path: str | None, tf: str, verify: bool) -> list[str]:
        base = ["create", "--tf", tf, "--matrix", str(self.matrix), "--backend", "conda"]
        base += ["--channel", self.channel.as_uri(), *([] if verify else ["--no-verify"])]
        return [*base, *options, *([] if path is None else ["--", path])]

    @property
    def cache(self) -> Path:
        return Path(self.environ["RATTLER_CACHE_DIR"])

    def record(self, path: Path | None = None) -> dict[str, Any]:
        found = json.loads(((path or self.target) / ".tfgpu/environment.json").read_text())
        assert isinstance(found, dict)
        return found


def conda_matrix_text() -> str:
    """Return the small matrix with a set of conda packages for each release."""
    text = matrix_text()
    text = text.replace("sets:\n  small:", f"{_PACKAGES}sets:\n{_SET}  small:", 1)
    text = text.replace("read: {arch: page,", "read: {arch: page, conda: page,", 1)
    return text.replace("    sets: small\n", "    sets: small\n    conda: small-conda\n")


def stub_python() -> RealPackage:
    """Return the Python that runs the tests as a package; without patchelf it needs that Python's own libraries."""
    return relocated_python(Path(sys.base_prefix), None)


def small_channel(folder: Path) -> Path:
    """Write a channel with all that the small matrix asks of conda, and with traps."""
    packages = (
        Package(
            "cudatoolkit",
            "11.8.0",
            constrains=("__cuda >=11",),
            files={
                "lib/libcudart.so.11.8.1": File(library("libcudart.so.11.0"), executable=True),
                "lib/libcudart.so.11.0": File(link="libcudart.so.11.8.1"),
                "lib/libdevice.10.bc": b"bitcode",
            },
        ),
        Package(
            "cudnn",
            "8.6.0.163",
            depends=("__cuda", "cudatoolkit 11.*"),
            files={"lib/libcudnn.so.8": File(library("libcudnn.so.8"), executable=True)},
        ),
        Package("newdriver", "1.0", depends=("__cuda >=12",)),
        Package(
            "six",
            "1.0",
            "py_0",
            "noarch",
            ("python >=3.6",),
            files={"site-packages/six.py": b"origin = 'conda'\n", **_dist_info("six", "1.0")},
            noarch="python",
        ),
        Package(
            "hidden",
            "1.0",
            depends=(),
            files={
                f"lib/python{SERIES}/site-packages/{path.removeprefix('site-packages/')}": content
                for path, content in _dist_info("six", "1.0").items()
            },
        ),
        Package("escaping", "1.0", files={"../../escaped.txt": b"out"}),
    )
    for package in packages:
        build(package, folder)
    write(stub_python(), folder)
    (folder / "noarch").mkdir(exist_ok=True)
    index(folder)
    return folder


def _dist_info(name: str, version: str) -> dict[str, bytes]:
    base = f"site-packages/{name}-{version}.dist-info"
    return {
        f"{base}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{base}/INSTALLER": b"conda\n",
        f"{base}/RECORD": b"",
    }
