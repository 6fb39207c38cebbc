"""Rows and environments for the tests of wiring: real releases in short form, and small ones made of tiny libraries."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path, PurePosixPath

from provision.model.environment import EnvRef
from provision.model.facts import Certainty, Evidence
from provision.model.matrix import LibrarySet, Row, SearchPath, WheelPin
from provision.model.versions import ComputeCapability, CudaVersion, CudnnVersion, GlibcVersion, TfVersion

EVIDENCE = Evidence("test", Certainty.ARTIFACT, "tests", "2026-11-21")
_CU11 = ("libcudart.so.11.0", "libcublas.so.11", "libcublasLt.so.11", "libcufft.so.10")
_CU12 = ("libcudart.so.12", "libcublas.so.12", "libcublasLt.so.12", "libcufft.so.11", "libcusolver.so.11")
_GATES = {
    "2.4": (*_CU11, "libcurand.so.10", "libcusolver.so.10", "libcusparse.so.11", "libcudnn.so.8"),
    "2.5": (*_CU11, "libcurand.so.10", "libcusolver.so.11", "libcusparse.so.11", "libcudnn.so.8"),
    "2.14": (*_CU11, "libcusolver.so.11", "libcusparse.so.11", "libcudnn.so.8"),
    "2.15": (*_CU12, "libcusparse.so.12", "libcudnn.so.8"),
    "2.18": (*_CU12, "libcusparse.so.12", "libcudnn.so.9"),
}


def env_ref(prefix: Path, *, kind: str = "venv") -> EnvRef:
    """Describe an environment by its files."""
    (site_packages,) = prefix.glob("lib/python3*/site-packages")
    return EnvRef(
        prefix=PurePosixPath(prefix),
        python=PurePosixPath(prefix / "bin/python"),
        site_packages=PurePosixPath(site_packages),
        kind=kind,
        managed=True,
    )


def row_of(release: str, **changes: object) -> Row:
    """Return what the matrix says about a real release, as far as wiring asks for it."""
    version = TfVersion(release)
    minor = version.release.minor
    since = max((key for key in _GATES if int(key.split(".")[1]) <= minor), key=lambda key: int(key.split(".")[1]))
    cupti = {"2.4": "libcupti.so.11.0", "2.5": "libcupti.so.11.2" if minor <= 11 else "libcupti.so.11.8"}
    optional = {"cupti": (cupti.get(since, "libcupti.so.11.8" if since == "2.14" else "libcupti.so.12"), "libcupti.so")}
    if minor >= 21:
        optional["nccl"] = ("libnccl.so.2",)
    values: dict[str, object] = {
        "release": version,
        "distribution": "tensorflow",
        "released": "2021-01-01",
        "pythons": (),
        "platform": "manylinux_2_17_x86_64",
        "glibc": GlibcVersion("2.17"),
        "cpu_features": (),
        "cuda": CudaVersion("11.0"),
        "cudnn": CudnnVersion("8.0"),
        "gate": _GATES[since],
        "optional": optional,
        "sass": (),
        "ptx": (),
        "ptx_modules": (),
        "search": SearchPath("RUNPATH", origin=True, nvidia=()),
        "aliases": {"libcusolver.so.10": "libcusolver.so.11"} if since == "2.4" else {},
        "xla_finds_wheels": minor >= 14,
        "constraints": (),
        "source_only": (),
        "faults": (),
        "sets": (),
        "evidence": {},
    }
    return Row(**{**values, **changes})  # type: ignore[arg-type]


def library_set(*pins: WheelPin, ptxas: str | None = "nvidia/cuda_nvcc/bin/ptxas") -> LibrarySet:
    """Return a set for tests; what is really there is read from the environment."""
    return LibrarySet(
        ident="test-set",
        cuda=CudaVersion("11.8"),
        cudnn=CudnnVersion("8.6"),
        pins=pins,
        sass=(),
        ptx=(),
        first_cc=ComputeCapability("3.5"),
        last_cc=None,
        ptxas=ptxas,
        libdevice="nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc",
        evidence=EVIDENCE,
    )


def compiler() -> str | None:
    """Return a C compiler."""
    return shutil.which("cc") or shutil.which("gcc")


def tiny_library(
    path: Path, *, soname: str | None = None, needed: tuple[Path, ...] = (), runpath: str = "", rpath: bool = False
) -> Path:
    """Compile an empty shared library with this dynamic section."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cc = compiler()
    assert cc is not None
    name = "".join(letter if letter.isalnum() else "_" for letter in soname or path.name)
    argv = [cc, "-shared", "-fPIC", "-nostdlib", "-x", "c", "-", "-o", str(path), f"-Wl,-soname,{soname or path.name}"]
    if runpath:
        argv += [f"-Wl,-rpath,{runpath}", f"-Wl,--{'disable' if rpath else 'enable'}-new-dtags"]
    argv += ["-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined", "-x", "none", *map(str, needed)]
    subprocess.run(argv, input=f"int {name}_marker = 1;", text=True, check=True)
    return path


SMALL_GATE = ("libcudart.so.11.0", "libcublas.so.11", "libcusolver.so.10", "libcudnn.so.8")
_BESIDE_CUBLAS = "$ORIGIN:$ORIGIN/../../cublas/lib"
# Folder below nvidia/, SONAME, RUNPATH, needed: the real layout of the CUDA 11.8 wheels, one library of each kind.
_SMALL: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("cuda_runtime", "libcudart.so.11.0", "", ()),
    ("cublas", "libcublasLt.so.11", "$ORIGIN", ()),
    ("cublas", "libcublas.so.11", "$ORIGIN", ("libcublasLt.so.11",)),
    ("cusolver", "libcusolver.so.11", _BESIDE_CUBLAS, ("libcublas.so.11",)),
    ("cudnn", "libcudnn.so.8", "$ORIGIN", ()),
    ("cudnn", "libcudnn_ops_infer.so.8", _BESIDE_CUBLAS, ("libcublas.so.11",)),
    ("cudnn", "libcudnn_cnn_infer.so.8", _BESIDE_CUBLAS, ("libcudnn_ops_infer.so.8",)),
    ("cuda_nvrtc", "libnvrtc.so.11.2", "$ORIGIN", ()),
    ("cuda_nvrtc", "libnvrtc-builtins.so.11.8", "", ()),
    ("cuda_cupti", "libcupti.so.11.8", "", ()),
)


@functools.cache
def compiled(soname: str, runpath: str, needed: tuple[str, ...], *, rpath: bool = False) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        others = tuple(tiny_library(folder / other) for other in needed)
        return tiny_library(folder / soname, needed=others, runpath=runpath, rpath=rpath).read_bytes()


def small_environment(prefix: Path, search: str = "$ORIGIN/", *, rpath: bool = False) -> EnvRef:
    """Make an environment with tiny libraries in the real layout, and a framework library that searches ``search``."""
    site_packages = prefix / "lib/python3.8/site-packages"
    for folder, soname, runpath, needed in _SMALL:
        path = site_packages / "nvidia" / folder / "lib" / soname
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(compiled(soname, runpath, needed))
    framework = site_packages / "tensorflow/libtensorflow_framework.so.2"
    framework.parent.mkdir()
    framework.write_bytes(compiled(framework.name, search, (), rpath=rpath))
    nvcc = site_packages / "nvidia/cuda_nvcc"
    for name in ("bin/ptxas", "nvvm/libdevice/libdevice.10.bc"):
        (nvcc / name).parent.mkdir(parents=True)
        (nvcc / name).write_text(name)
    return env_ref(prefix)


def small_row(**changes: object) -> Row:
    """Return the row that goes with `small_environment`."""
    return row_of("2.4.1", **{"gate": SMALL_GATE, **changes})
