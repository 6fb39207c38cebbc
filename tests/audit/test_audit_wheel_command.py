"""``audit wheel`` as it is typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from audit.lab import Shop

import provision

TOOL = [sys.executable, "-m", "provision"]


def run(shop: Shop, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    environ |= {"UV_DEFAULT_INDEX": shop.address, "UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": os.devnull}
    environ |= {"PYTHONPATH": str(Path(provision.__file__).parents[1])}
    command = [*TOOL, "audit", "wheel", *words]
    return subprocess.run(command, env=environ, cwd=home, capture_output=True, text=True, timeout=120, check=False)


def test_it_says_what_is_wrong_with_a_wheel(shop: Shop, tensorflow: Path, tmp_path: Path) -> None:
    done = run(shop, tmp_path, "tensorflow==2.99.0")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0] == tensorflow.name
    for line in (
        "Python 3.12",
        "glibc 2.17 or newer, by its tag",
        "built with CUDA, CUDA 12.5.1, for sm_80 compute_90",
        "GPU gate libcudart.so.12 libcudnn.so.9",
        "looks in RUNPATH: nvidia/cuda_runtime/lib",
        "finds 1 of 2 libraries of the GPU gate: no GPU is registered",
        "NOT FOUND libcudnn.so.9: nvidia/cudnn/lib/libcudnn.so.9 is where nobody looks",
    ):
        assert line in lines
    assert shop.address not in done.stdout
    again = run(shop, tmp_path, "tensorflow==2.99.0")
    assert "nothing, the cache has it" in again.stdout


def test_json_has_everything_and_no_address(shop: Shop, tensorflow: Path, tmp_path: Path) -> None:
    done = run(shop, tmp_path, "tensorflow==2.99.0", "--json")
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    assert document["framework"]["gate"] == ["libcudart.so.12", "libcudnn.so.9"]
    assert document["search"]["unfound"] == {"libcudnn.so.9": "nvidia/cudnn/lib/libcudnn.so.9"}
    assert document["artifact"]["glibc"] == "2.17"
    assert document["exit_code"] == done.returncode == 0
    everything = done.stdout + "".join(file.read_text() for file in tmp_path.rglob("cache/**/*.json"))
    assert "127.0.0.1" not in everything


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["tensorflow==9.9"], "unknown-release"),
        (["tensorflow"], "bad-wheel"),
        (["tensorflow==2.99.0", "--python", "three"], "bad-python"),
        (["broken-1.0-py3-none-any.whl"], "hostile-wheel"),
    ],
)
def test_what_cannot_be_used(shop: Shop, tensorflow: Path, tmp_path: Path, words: list[str], code: str) -> None:
    (tmp_path / "broken-1.0-py3-none-any.whl").write_bytes(bytes(1000))
    done = run(shop, tmp_path, *words)
    assert done.returncode == 2
    assert f"[{code}]" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_index_at_all(shop: Shop, tmp_path: Path) -> None:
    shop.address = "http://127.0.0.1:9/simple/"
    done = run(shop, tmp_path, "tensorflow==2.99.0")
    assert done.returncode == 5
    assert "[index-not-readable]" in done.stderr
    assert "127.0.0.1" not in done.stderr
