"""Fixtures of the tests of audit."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from audit.lab import BUILD_INFO, Shop, make_wheel, start

from provision.audit.reading.cache import Cache
from provision.audit.reading.net import Net
from provision.audit.reading.reader import Reader
from provision.system import System

FRAMEWORK = Path(__file__).parent.parent / "verify/tiny_framework.c"
AND_CUDA = (
    "Requires-Dist: numpy<2\nProvides-Extra: and-cuda\n"
    'Requires-Dist: nvidia-cuda-runtime-cu12==12.5.82; extra == "and-cuda"\n'
    'Requires-Dist: nvidia-cudnn-cu12<10.0,>=9.3; extra == "and-cuda"\n'
)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    (tmp_path / "shop").mkdir()
    shop = Shop(tmp_path / "shop")
    server = start(shop)
    yield shop
    server.shutdown()
    server.server_close()


@pytest.fixture
def reader(shop: Shop, tmp_path: Path) -> Iterator[Reader]:
    """A reader that knows no index but the shop, with a cache of the test's own."""
    environ = {
        "UV_DEFAULT_INDEX": shop.address,
        "UV_NO_CONFIG": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "HOME": str(tmp_path),
    }
    with Reader(System({**environ, "PATH": os.defpath}), Net(pause=0.01), Cache(tmp_path / "cache")) as reader:
        yield reader


@pytest.fixture(scope="session")
def compile_library(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compile C to a shared library: ``compile_library(code, name, *options)``."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler on PATH to build tiny shared libraries")

    def compile_one(code: str, name: str, *options: str) -> Path:
        folder = tmp_path_factory.mktemp("library")
        (folder / "source.c").write_text(code)
        command = [compiler, "-shared", "-fPIC", "-o", str(folder / name), str(folder / "source.c"), *options]
        subprocess.run(command, check=True, timeout=60)
        return folder / name

    return compile_one


@pytest.fixture
def framework(compile_library: Callable[..., Path]) -> Callable[..., bytes]:
    """A library with TensorFlow's loader functions that asks for these names and looks in this path."""

    def build(*names: str, runpath: str = "$ORIGIN/../nvidia/cuda_runtime/lib", options: tuple[str, ...] = ()) -> bytes:
        listed = ", ".join(f'"{name}"' for name in names)
        return compile_library(
            f"#define NAMES {listed}\n{FRAMEWORK.read_text()}",
            "libtensorflow_framework.so.2",
            "-Wl,-soname,libtensorflow_framework.so.2",
            f"-Wl,-rpath,{runpath}",
            "-Wl,--enable-new-dtags",
            "-ldl",
            *options,
        ).read_bytes()

    return build


@pytest.fixture
def tensorflow(shop: Shop, framework: Callable[..., bytes]) -> Path:
    """A wheel of TensorFlow 2.99.0 in the shop that asks for two libraries and looks for one of them."""
    members = {
        "tensorflow/__init__.py": b"raise SystemExit('nobody may import it')\n",
        "tensorflow/python/platform/build_info.py": BUILD_INFO.encode(),
        "tensorflow/libtensorflow_framework.so.2": framework("libcudart.so.12", "libcudnn.so.9"),
    }
    make_wheel(shop.folder, "nvidia-cuda-runtime-cu12", "12.5.82", {"nvidia/cuda_runtime/lib/libcudart.so.12": b"x"})
    for version in ("9.3.0.75", "9.5.1.17"):
        make_wheel(shop.folder, "nvidia-cudnn-cu12", version, {"nvidia/cudnn/lib/libcudnn.so.9": b"x"})
    return make_wheel(shop.folder, "tensorflow", "2.99.0", members, more=AND_CUDA)
