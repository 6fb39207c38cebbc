"""CUDA toolkits and cuDNN copies lying around.

They are listed and nothing more: TensorFlow from a wheel uses the libraries of its own environment, so a toolkit of
another version elsewhere on the machine is no fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from provision.host import paths
from provision.host.machine import read_text
from provision.host.parsers import (
    CachedLibrary,
    cudnn_of_file,
    parse_cudnn_header,
    parse_nvcc,
    parse_version_json,
    parse_version_txt,
    plain_toolkit,
)
from provision.model.facts import Attempt, Fact
from provision.model.host import CudnnCopy, Toolkit
from provision.model.versions import CudaVersion, CudnnVersion
from provision.system import System

_VARIABLES = ("CUDA_HOME", "CUDA_PATH", "CUDA_ROOT")
_PLACES = (
    ("/usr/local", "cuda"),
    ("/usr/local", "cuda-[0-9]*"),
    ("/opt", "cuda*"),
    ("/usr/lib", "cuda"),
    ("/usr/lib", "nvidia-cuda-toolkit"),
    ("/opt/nvidia/hpc_sdk", "*/*/cuda/[0-9]*"),
)
_LIBRARY_FOLDERS = ("lib64", "lib", "targets/x86_64-linux/lib")
_SYSTEM_LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib/aarch64-linux-gnu", "/usr/local/lib")
_CUDA_H = re.compile(r"#\s*define\s+CUDA_VERSION\s+(\d{4,6})")


def find_toolkits(system: System) -> tuple[Toolkit, ...]:
    """Return every CUDA toolkit in the usual places and where CUDA_HOME and its like point, each once."""
    found: dict[Path, Toolkit] = {}
    for folder, source in _candidates(system):
        path = system.path(folder)
        real = paths.resolve(path)
        if real is None or real in found or not paths.is_folder(real):
            continue
        version = _version(system, folder)
        # A folder of that name without a compiler, a library or a version is a leftover, not a toolkit.
        if version is not None or paths.is_file(path / "bin" / "nvcc") or paths.glob(path, "lib64/libcudart.so*"):
            found[real] = Toolkit(folder, version, source)
    return tuple(found.values())


def _candidates(system: System) -> Iterator[tuple[str, str]]:
    for name in _VARIABLES:
        if system.environ.get(name):
            yield system.environ[name], name
    for folder, pattern in _PLACES:
        for path in system.glob(folder, pattern):
            yield path, folder


def _version(system: System, folder: str) -> CudaVersion | None:
    """Return the toolkit's version: version.json, version.txt, cuda.h, at last the folder's own name."""
    quiet: list[Attempt] = []
    for name, parse in (("version.json", parse_version_json), ("version.txt", parse_version_txt)):
        version = parse(read_text(system, f"{folder}/{name}", quiet) or "")
        if version:
            return plain_toolkit(version)
    header = _CUDA_H.search(read_text(system, f"{folder}/include/cuda.h", quiet) or "")
    if header:
        return CudaVersion.from_driver_api(int(header.group(1)))
    named = re.search(r"(?:^|[/-])(\d{1,2}\.\d{1,2})$", folder)
    return CudaVersion(named.group(1)) if named else None


def find_cudnn(
    system: System, toolkits: Sequence[Toolkit], cache: Sequence[CachedLibrary], machine: str
) -> tuple[CudnnCopy, ...]:
    """Return every cuDNN outside any environment: the loader's cache, the system's folders, the toolkits' folders."""
    folders = [*_SYSTEM_LIBRARIES, *(f"{kit.path}/{name}" for kit in toolkits for name in _LIBRARY_FOLDERS)]
    names = [entry.path for entry in cache if entry.soname.startswith("libcudnn.so") and entry.serves(machine)]
    for folder in folders:
        names += [str(Path(folder) / path.name) for path in paths.glob(system.path(folder), "libcudnn.so.*")]
    found: dict[Path, CudnnCopy] = {}
    for name in names:
        real = paths.resolve(system.path(name))
        if real is not None and real not in found and paths.is_file(real):
            found[real] = CudnnCopy(name, cudnn_of_file(real.name) or _beside(system, name))
    return tuple(found.values())


def _beside(system: System, library: str) -> CudnnVersion | None:
    """Return the version that the header next to a library states."""
    quiet: list[Attempt] = []
    parent = str(Path(library).parent.parent)
    for folder in (f"{parent}/include", "/usr/include", "/usr/include/x86_64-linux-gnu"):
        for name in ("cudnn_version.h", "cudnn.h"):
            version = parse_cudnn_header(read_text(system, f"{folder}/{name}", quiet) or "")
            if version:
                return version
    return None


def nvcc_version(system: System) -> Fact[CudaVersion]:
    """Return the version of the nvcc on PATH."""
    program = system.which("nvcc")
    if program is None:
        return Fact(None, attempts=(Attempt("nvcc", "absent", "not on PATH"),))
    completed = system.run([program, "--version"], timeout=10)
    version = parse_nvcc(completed.stdout)
    if version:
        return Fact(version, program)
    outcome = "timeout" if completed.timed_out else "unreadable" if completed.ok else "failed"
    return Fact(None, attempts=(Attempt(program, outcome, (completed.stderr or completed.stdout).strip()[:200]),))
