"""Ten thousand damaged wheels and libraries: facts or an error of ours, in time and within a gigabyte."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from audit.conftest import AND_CUDA
from audit.guards import AVX, guard_source
from audit.kernels import SAMPLE, entry, fatbin, library_with_code, ptx, sass
from audit.lab import BUILD_INFO, make_wheel

HERE = Path(__file__).parent
SEED = 20261121
WITHOUT_CUDA = BUILD_INFO.replace("True", "False")


@pytest.fixture
def sound(tmp_path: Path, compile_library: Callable[..., Path], framework: Callable[..., bytes]) -> Path:
    """A folder of sound inputs."""
    folder = tmp_path / "sound"
    folder.mkdir()
    many = b"".join(fatbin(sass(60 + n % 40), ptx(60 + n % 40, (8, n % 6), flags=0x2011)) for n in range(100))
    noise = random.Random(SEED).randbytes(100_000)  # noqa: S311 - test data
    many += fatbin(entry(2, 80, noise))
    kernels = library_with_code(compile_library, tmp_path, SAMPLE * 5 + many, fatbin(ptx(90, (8, 1))) * 5).read_bytes()
    loader = framework("libcudart.so.12", "libcudnn.so.9", options=(guard_source(tmp_path, *AVX),))
    (folder / "kernels.so").write_bytes(kernels)
    (folder / "loader.so").write_bytes(loader)
    texts = {f"tensorflow/m{number}.py": random.Random(number).randbytes(40).hex().encode() for number in range(40)}  # noqa: S311 - test data
    members = {
        # A build without CUDA is not asked what it opens: that is a child for each case, with limits of its own.
        "tensorflow/python/platform/build_info.py": WITHOUT_CUDA.encode(),
        "tensorflow/libtensorflow_framework.so.2": loader,
        "tensorflow/libtensorflow_cc.so.2": kernels,
        "nvidia/cublas/lib/libcublas.so.12": loader,
        **texts,
    }
    make_wheel(folder, "tensorflow", "2.99.0", members, more=AND_CUDA)
    return folder


def fuzz(kind: str, count: int, folder: Path) -> dict[str, Any]:
    paths = os.pathsep.join([str(HERE.parent), str(HERE.parent.parent)])
    run = subprocess.run(
        [sys.executable, str(HERE / "fuzz.py"), kind, str(SEED), str(count), str(folder)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found: dict[str, Any] = json.loads(run.stdout)
    assert found["peak"] < 1 << 30
    assert found.get("read", 0) + found["refused"] == count
    return found


@pytest.mark.parametrize("kind", ["wheel", "member", "library"])
def test_a_few(kind: str, sound: Path) -> None:
    fuzz(kind, 60, sound)


@pytest.mark.e2e
@pytest.mark.parametrize(("kind", "count"), [("wheel", 4000), ("member", 2000), ("library", 4000)])
def test_ten_thousand(kind: str, count: int, sound: Path) -> None:
    """All of them take minutes: TFGPU_FUZZ=1 asks for that, else it is a tenth."""
    count = count if os.environ.get("TFGPU_FUZZ") else count // 10
    found = fuzz(kind, count, sound)
    sys.stdout.write(f"{kind}: {found}\n")
    # Both happen: the damage reaches what is read, and does not all stop at the first check.
    assert found["refused"] > count / 50
    assert found["read"] > count / 50
