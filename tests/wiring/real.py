"""Real environments for tests of wiring: make them, run children in them, put bogus libraries in their way."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uv import find_uv_bin
from wiring.samples import tiny_library

CHILDREN = Path(__file__).with_name("children")
_BUILT = ("termcolor", "wrapt", "clang")  # dependencies of old releases that never had wheels
_CU11 = {
    "nvidia-cublas-cu11": "11.11.3.6",
    "nvidia-cuda-cupti-cu11": "11.8.87",
    "nvidia-cuda-nvcc-cu11": "11.8.89",
    "nvidia-cuda-nvrtc-cu11": "11.8.89",
    "nvidia-cuda-runtime-cu11": "11.8.89",
    "nvidia-cudnn-cu11": "8.6.0.163",
    "nvidia-cufft-cu11": "10.9.0.58",
    "nvidia-curand-cu11": "10.3.0.86",
    "nvidia-cusolver-cu11": "11.4.1.48",
    "nvidia-cusparse-cu11": "11.7.5.86",
}
CU11 = tuple(f"{name}=={version}" for name, version in _CU11.items())
RELEASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "2.4.1": ("3.8", ("tensorflow==2.4.1", "protobuf<3.21", *CU11)),
    "2.4.4": ("3.8", ("tensorflow==2.4.4", "protobuf<3.21", *CU11)),
    "2.5.3": ("3.9", ("tensorflow==2.5.3", "protobuf<3.21", *CU11)),
    "2.6.5": ("3.9", ("tensorflow==2.6.5", "protobuf<3.21", *CU11)),
    "2.7.4": ("3.9", ("tensorflow==2.7.4", "numpy<1.24", "protobuf<3.21", *CU11)),
    "2.8.4": ("3.10", ("tensorflow==2.8.4", "numpy<1.24", "protobuf<3.21", *CU11)),
    "2.9.3": ("3.10", ("tensorflow==2.9.3", "numpy<1.24", *CU11)),
    "2.10.1": ("3.10", ("tensorflow==2.10.1", "numpy<1.24", *CU11)),
    "2.11.1": ("3.10", ("tensorflow==2.11.1", "numpy<1.24", *CU11)),
    "2.12.1": ("3.11", ("tensorflow==2.12.1", *CU11)),
    "2.13.1": ("3.11", ("tensorflow==2.13.1", *CU11)),
    "2.14.1": ("3.11", ("tensorflow==2.14.1", *CU11)),
    "2.15.1": ("3.11", ("tensorflow[and-cuda]==2.15.1",)),
    "2.16.1": ("3.11", ("tensorflow[and-cuda]==2.16.1",)),
    "2.16.2": ("3.11", ("tensorflow[and-cuda]==2.16.2",)),
    "2.17.1": ("3.12", ("tensorflow[and-cuda]==2.17.1",)),
    "2.18.1": ("3.12", ("tensorflow[and-cuda]==2.18.1",)),
    "2.19.1": ("3.12", ("tensorflow[and-cuda]==2.19.1",)),
    "2.20.0": ("3.12", ("tensorflow[and-cuda]==2.20.0",)),
    "2.21.0": ("3.12", ("tensorflow[and-cuda]==2.21.0",)),
}


def interpreter(series: str) -> str:
    """Return a Python of this series: of pyenv, or whatever uv finds (a shim of pyenv on PATH may be an empty one)."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return str(next(iter(sorted(pyenv.glob(f"{series}.*/bin/python"))), series))


def make(release: str, folder: Path) -> Path:
    """Create a hand-made environment as a user would: uv, no wiring."""
    python, requirements = RELEASES[release]
    uv = find_uv_bin()
    subprocess.run([uv, "venv", "-q", "--python", interpreter(python), str(folder)], check=True)
    built = [word for name in _BUILT for word in ("--no-binary", name)]
    install = [uv, "pip", "install", "-q", "--python", str(folder / "bin/python"), "--only-binary", ":all:", *built]
    subprocess.run([*install, *requirements], check=True)
    return folder


def run_child(
    prefix: Path, script: str, *arguments: str, environ: Mapping[str, str] | None = None, flags: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Run one of ``children/`` in the environment with exactly these variables; its last line is JSON."""
    argv = [str(prefix / "bin/python"), *flags, str(CHILDREN / f"{script}.py"), *arguments]
    done = subprocess.run(argv, env=dict(environ or {}), capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        return {"returncode": done.returncode, "stderr": done.stderr[-2000:]}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def bogus_libraries(prefix: Path, folder: Path, *, truncated: bool) -> Path:
    """Fill a folder with libraries that have the right names and nothing in them, or only their first 64 KiB."""
    folder.mkdir(parents=True)
    for path in sorted(prefix.glob("lib/python3*/site-packages/nvidia/*/lib/*.so*")):
        if truncated:
            with path.open("rb") as stream:
                (folder / path.name).write_bytes(stream.read(1 << 16))
        else:
            tiny_library(folder / path.name)
    return folder


def snapshot(prefix: Path) -> dict[str, str]:
    """Describe every entry below ``prefix``; NVIDIA's big files by size and inode, which no edit in place leaves alone."""
    seen = {}
    for path in sorted(prefix.rglob("*")):
        status = path.lstat()
        if path.is_symlink():
            text = f"-> {path.readlink()}"
        elif path.is_dir():
            text = "folder"
        elif status.st_size > (1 << 20):
            text = f"{status.st_size} {status.st_ino} {status.st_mtime_ns}"
        else:
            text = hashlib.sha256(path.read_bytes()).hexdigest()
        seen[str(path.relative_to(prefix))] = text
    return seen
