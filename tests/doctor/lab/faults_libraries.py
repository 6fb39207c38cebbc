"""Faults of the CUDA libraries: not there, not found, found wrongly, of a version that does not fit."""

from __future__ import annotations

import os
from pathlib import Path

from doctor.lab.bench import Bench, Fault

_CUDNN_9_1 = "unsigned long cudnnGetVersion(void) { return 90100; }\n"
_CUDNN_8_1 = "unsigned long cudnnGetVersion(void) { return 8100; }\n"


def _nothing(_bench: Bench) -> None:
    """The release is at fault as it is installed."""


def _all_on_path(bench: Bench) -> None:
    folders = sorted(str(path) for path in bench.env.site.glob("nvidia/*/lib"))
    bench.machine.first_on_library_path(Path(os.pathsep.join(folders)))


def _links_gone(bench: Bench) -> None:
    for path in (*bench.env.site.glob("tensorflow/lib*.so*"), *bench.env.site.glob("nvidia/*/lib/*")):
        if path.is_symlink():
            bench.env.remove(path)
    for path in (*bench.env.site.glob("*tfgpu*.pth"), *bench.env.site.glob("_tfgpu_hook.py")):
        bench.env.remove(path)


def _without(*names: str) -> object:
    def inject(bench: Bench) -> None:
        bench.env.uninstall(*names)

    return inject


def _no_extra(bench: Bench) -> None:
    bench.env.uninstall(*sorted(path.name.split("-")[0] for path in bench.env.site.glob("nvidia_*.dist-info")))


def _cuda_11_only(bench: Bench) -> None:
    """The wheels of another CUDA family, as a guide for another release says."""
    _no_extra(bench)
    bench.env.install(
        "nvidia-cuda-runtime-cu11==11.8.89",
        "nvidia-cublas-cu11==11.11.3.6",
        "nvidia-cufft-cu11==10.9.0.58",
        "nvidia-cusolver-cu11==11.4.1.48",
        "nvidia-cusparse-cu11==11.7.5.86",
        "nvidia-cudnn-cu11==8.6.0.163",
    )


def _older_cudnn(bench: Bench) -> None:
    bench.library(bench.env.file("nvidia/cudnn/lib/libcudnn.so.9"), _CUDNN_9_1)
    bench.env.touched.add(bench.env.file("nvidia/cudnn/lib/libcudnn.so.9").relative_to(bench.env.prefix))
    _rename_version(bench, "nvidia-cudnn-cu12", "9.1.0.70")


def _torch_pulls_cudnn(bench: Bench) -> None:
    _older_cudnn(bench)
    bench.env.claim("torch", "2.4.1", "nvidia-cudnn-cu12==9.1.0.70", "typing-extensions")
    bench.env.replace(bench.env.site / "torch/__init__.py", "__version__ = '2.4.1'\n")


def _rename_version(bench: Bench, name: str, version: str) -> None:
    """Give a distribution another version, RECORD and all, without its files."""
    info = bench.env.info(name)
    old = bench.env.version(name)
    metadata = (info / "METADATA").read_text().replace(f"\nVersion: {old}\n", f"\nVersion: {version}\n", 1)
    bench.env.remove(info)
    bench.env.claim(name, version)
    bench.env.replace(info.with_name(f"{name.replace('-', '_')}-{version}.dist-info") / "METADATA", metadata)


def _pascal(bench: Bench) -> None:
    bench.env.install("nvidia-cudnn-cu12==9.28.0.42")
    bench.machine.gpu(names="Tesla P100-PCIE-16GB", cc="6.0", driver="570.86.10", cuda="12.8")


def _old_toolkit_first(bench: Bench) -> None:
    folder = bench.scratch / "cuda-11.0/lib64"
    bench.library(folder / "libcudnn.so.8", _CUDNN_8_1)
    bench.machine.first_on_library_path(folder)


def _empty_files_first(bench: Bench) -> None:
    folder = bench.scratch / "old/lib"
    folder.mkdir(parents=True)
    for name in ("libcudart.so.12", "libcublas.so.12", "libcudnn.so.9"):
        (folder / name).write_bytes(b"")
    bench.machine.first_on_library_path(folder)


def _bogus_first(bench: Bench) -> None:
    folder = bench.scratch / "old/lib"
    bench.library(folder / "libcublas.so.12", "int nothing(void) { return 0; }\n")
    bench.machine.first_on_library_path(folder)


def _preload(bench: Bench) -> None:
    bench.machine.variables["LD_PRELOAD"] = str(bench.library(bench.scratch / "lib/libcudnn.so.8", _CUDNN_8_1))


def _toolkit_not_on_path(bench: Bench) -> None:
    """The machine's own toolkit, as guides have it, and LD_LIBRARY_PATH names the folder of another version."""
    _no_extra(bench)
    for name in (
        "cudart.so.11.0",
        "cublas.so.11",
        "cublasLt.so.11",
        "cufft.so.10",
        "curand.so.10",
        "cusolver.so.10",
        "cusparse.so.11",
        "cudnn.so.8",
    ):
        bench.machine.file(f"/usr/local/cuda-11.0/lib64/lib{name}")
    bench.machine.first_on_library_path(Path("/usr/local/cuda-11.1/lib64"))


def _cut_cublas(bench: Bench) -> None:
    bench.env.cut(bench.env.file("nvidia/cublas/lib/libcublas.so.1*"))


def _empty_cudart(bench: Bench) -> None:
    bench.env.replace(bench.env.file("nvidia/cuda_runtime/lib/libcudart.so.1*"), b"")


def _gone_cusparse(bench: Bench) -> None:
    bench.env.remove(bench.env.file("nvidia/cusparse/lib/libcusparse.so.1*"))


def _other_machine(bench: Bench) -> None:
    """libcufft of the wheel for aarch64: the number of the machine in its ELF header is 183."""
    path = bench.env.file("nvidia/cufft/lib/libcufft.so.1*")
    if path.stat().st_size < 1 << 28:
        bench.env.edit(path, lambda data: data[:18] + b"\xb7\x00" + data[20:])
        return
    with path.open("rb") as stream:
        data = stream.read(1 << 20)
    bench.env.replace(path, data[:18] + b"\xb7\x00" + data[20:])


def _old_cxx(bench: Bench) -> None:
    folder = bench.scratch / "anaconda3/lib"
    versions = "GLIBCXX_3.4 { global: a; }; GLIBCXX_3.4.15 { global: b; } GLIBCXX_3.4; CXXABI_1.3 { global: c; };"
    source = "int a(void){return 0;} int b(void){return 0;} int c(void){return 0;}\n"
    bench.library(folder / "libstdc++.so.6", source, version_script=versions)
    bench.machine.first_on_library_path(folder)


FAULTS = (
    Fault(
        "bare-wheels",
        "wheel_rpath_bug",
        "tfgpu-provision wire {env}",
        _nothing,
        ("bare-2.4.1", "plain-2.16.1", "plain-2.21.0"),
        beside=("libcusolver_soname_24", "ptxas_libdevice_missing", "cudnn_drops_gpu"),
    ),
    Fault(
        "cusolver-10",
        "libcusolver_soname_24",
        "tfgpu-provision wire {env}",
        _all_on_path,
        ("bare-2.4.1",),
        beside=("ptxas_libdevice_missing", "ld_library_path_wrong"),
    ),
    Fault(
        "links-gone",
        "wiring_lost",
        "tfgpu-provision wire {env}",
        _links_gone,
        ("created-2.10.1", "created-2.21.0"),
        cured=True,
    ),
    Fault(
        "no-extra",
        "missing_cuda_library",
        "nvidia-cudnn-cu12",
        _no_extra,
        ("plain-2.17.1",),
        beside=("missing_cudnn", "ptxas_libdevice_missing"),
        cured=True,
    ),
    Fault(
        "no-cufft",
        "missing_cuda_library",
        "nvidia-cufft-cu1",
        _without("nvidia-cufft-cu12"),
        ("plain-2.17.1", "created-2.21.0"),
        cured=True,
    ),
    Fault(
        "no-cudnn", "missing_cudnn", "nvidia-cudnn-cu1", _without("nvidia-cudnn-cu12"), ("plain-2.17.1",), cured=True
    ),
    Fault(
        "no-cudnn-cu11",
        "missing_cudnn",
        "nvidia-cudnn-cu11==8.6.0.163",
        _without("nvidia-cudnn-cu11"),
        ("created-2.10.1",),
        cured=True,
    ),
    Fault(
        "other-cuda",
        "wrong_cuda_version",
        "nvidia-cudnn-cu12",
        _cuda_11_only,
        ("plain-2.17.1",),
        beside=("cudnn_version_mismatch", "ptxas_libdevice_missing"),
        cured=True,
    ),
    Fault(
        "older-cudnn", "cudnn_version_mismatch", "nvidia-cudnn-cu12==9", _older_cudnn, ("created-2.21.0",), cured=True
    ),
    Fault(
        "torch-pulls-cudnn",
        "framework_conflict_pytorch",
        "nvidia-cudnn-cu12",
        _torch_pulls_cudnn,
        ("created-2.21.0",),
        beside=("cudnn_version_mismatch", "dependency_conflict"),
    ),
    Fault("cudnn-drops-gpu", "cudnn_drops_gpu", "nvidia-cudnn-cu12==9.10", _pascal, ("created-2.21.0",), cured=True),
    Fault("old-cudnn-first", "ld_library_path_conflict", "LD_LIBRARY_PATH", _old_toolkit_first, ("plain-2.17.1",)),
    Fault("empty-files-first", "ld_library_path_conflict", "LD_LIBRARY_PATH", _empty_files_first, ("plain-2.17.1",)),
    Fault("bogus-first", "ld_library_path_conflict", "LD_LIBRARY_PATH", _bogus_first, ("plain-2.17.1",)),
    Fault("preloaded-cudnn", "ld_preload_interferes", "unset LD_PRELOAD", _preload, ("plain-2.17.1",)),
    Fault(
        "toolkit-not-on-path",
        "ld_library_path_wrong",
        "",
        _toolkit_not_on_path,
        ("bare-2.4.1",),
        beside=("ptxas_libdevice_missing",),
    ),
    Fault(
        "cut-library",
        "damaged_install",
        "nvidia-cublas-cu1",
        _cut_cublas,
        ("plain-2.17.1", "created-2.10.1"),
        cured=True,
    ),
    Fault("empty-library", "damaged_install", "nvidia-cuda-runtime-cu1", _empty_cudart, ("plain-2.17.1",), cured=True),
    Fault(
        "deleted-library",
        "damaged_install",
        "nvidia-cusparse-cu1",
        _gone_cusparse,
        ("plain-2.17.1", "wired-2.4.1"),
        cured=True,
    ),
    Fault(
        "library-of-another-machine",
        "damaged_install",
        "nvidia-cufft-cu1",
        _other_machine,
        ("plain-2.17.1",),
        cured=True,
    ),
    Fault("old-libstdc++", "ld_library_path_conflict", "unset LD_LIBRARY_PATH", _old_cxx, ("plain-2.17.1",)),
    Fault(
        "no-ptxas",
        "ptxas_libdevice_missing",
        "nvidia-cuda-nvcc-cu1",
        _without("nvidia-cuda-nvcc-cu12"),
        ("plain-2.17.1",),
        cured=True,
    ),
)
