"""A small matrix and machines in memory, so that each rule is tried on exactly what it looks at."""

from __future__ import annotations

import dataclasses
from typing import Any

from provision.model.facts import Certainty, Evidence, Fact
from provision.model.host import Container, DriverState, Gpu, HostFacts, Interpreter
from provision.model.matrix import (
    CondaPin,
    Constraint,
    CudaFamily,
    DriverBranch,
    Fault,
    GpuGeneration,
    LibrarySet,
    Matrix,
    PtxModules,
    Row,
    SearchPath,
    SourceOnly,
    Unserved,
    WheelPin,
)
from provision.model.versions import (
    ComputeCapability,
    CudaVersion,
    CudnnVersion,
    DriverVersion,
    GlibcVersion,
    PtxIsa,
    PythonVersion,
    TfVersion,
)

VENDOR = Evidence("vendor", Certainty.VENDOR, "vendor table", "2026-11-21")
WHEEL = Evidence("wheel", Certainty.ARTIFACT, "the wheel", "2026-11-21")
GUESS = Evidence("guess", Certainty.DERIVED, "a neighbouring release", "2026-11-21")
REPORT = Evidence("report", Certainty.REPORTED, "an issue thread", "2026-11-21")

PLAN_KEYS = (
    "schema",
    "outcome",
    "row",
    "tensorflow",
    "distribution",
    "python",
    "library_set",
    "cuda",
    "cudnn",
    "backend",
    "channel",
    "pins",
    "pins_why",
    "conda_pins",
    "conda_pins_why",
    "gpus",
    "widest",
    "caveats",
    "reasons",
    "alternatives",
    "passed_over",
    "host",
    "matrix_digest",
)
"""Every key of the JSON document of ``plan``, in its order, whatever the outcome."""


def cc(text: str) -> ComputeCapability:
    return ComputeCapability(text)


def ccs(text: str) -> tuple[ComputeCapability, ...]:
    return tuple(ComputeCapability(word) for word in text.split())


def modules(target: str, isa: str, count: int | None = None, native: str | None = None) -> PtxModules:
    return PtxModules(target, PtxIsa(isa), count, None if native is None else ccs(native))


def pin(name: str, version: str, *sonames: str) -> WheelPin:
    return WheelPin(name, version, {soname: f"nvidia/{name}/lib/{soname}" for soname in sonames})


CU118 = LibrarySet(
    ident="cu118-cudnn86",
    cuda=CudaVersion("11.8"),
    cudnn=CudnnVersion("8.6.0.163"),
    pins=(
        pin("nvidia-cuda-runtime-cu11", "11.8.89", "libcudart.so.11.0"),
        pin("nvidia-cusolver-cu11", "11.4.1.48", "libcusolver.so.11"),
        pin("nvidia-cudnn-cu11", "8.6.0.163", "libcudnn.so.8"),
        pin("nvidia-cuda-nvcc-cu11", "11.8.89"),
    ),
    sass=ccs("3.5 5.0 6.0 6.1 7.0 7.5 8.0 8.6 9.0"),
    ptx=ccs("9.0"),
    first_cc=cc("3.5"),
    last_cc=cc("9.0"),
    ptxas="nvidia/cuda_nvcc/bin/ptxas",
    libdevice="nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc",
    evidence=WHEEL,
)

CU129_NEW = dataclasses.replace(
    CU118,
    ident="cu129-cudnn924",
    cuda=CudaVersion("12.9"),
    cudnn=CudnnVersion("9.24.0.43"),
    pins=(
        pin("nvidia-cuda-runtime-cu12", "12.9.79", "libcudart.so.12"),
        pin("nvidia-cudnn-cu12", "9.24.0.43", "libcudnn.so.9"),
    ),
    sass=ccs("7.5 8.0 8.6 9.0 10.0 12.0"),
    ptx=ccs("12.0"),
    first_cc=cc("7.5"),
    last_cc=None,
)

CU129_OLD = dataclasses.replace(
    CU129_NEW,
    ident="cu129-cudnn910",
    cudnn=CudnnVersion("9.10.2.21"),
    pins=(
        pin("nvidia-cuda-runtime-cu12", "12.9.79", "libcudart.so.12"),
        pin("nvidia-cudnn-cu12", "9.10.2.21", "libcudnn.so.9"),
    ),
    sass=ccs("5.0 6.0 6.1 7.0 7.5 8.0 8.6 9.0 10.0 12.0"),
    first_cc=cc("5.0"),
)

SEARCH = SearchPath("RUNPATH", origin=True, nvidia=("cudnn/lib",))

CONDA_112 = LibrarySet(
    ident="conda-cu112",
    cuda=CudaVersion("11.2"),
    cudnn=CudnnVersion("8.1"),
    pins=(),
    sass=(),
    ptx=(),
    first_cc=cc("3.5"),
    last_cc=cc("8.6"),
    ptxas=None,
    libdevice="lib/libdevice.10.bc",
    evidence=REPORT,
    conda=(
        CondaPin(
            "cudatoolkit",
            "11.2.2",
            "",
            {name: f"lib/{name}" for name in ("libcudart.so.11.0", "libcusolver.so.11")},
        ),
        CondaPin("cudnn", "8.1.*", "", {"libcudnn.so.8": "lib/libcudnn.so.8"}),
    ),
    channel="some-channel",
    glibc=GlibcVersion("2.17"),
)
CONDA_118 = dataclasses.replace(
    CONDA_112,
    ident="conda-cu118",
    cuda=CudaVersion("11.8"),
    cudnn=CudnnVersion("8.9"),
    first_cc=cc("5.0"),
    last_cc=cc("9.0"),
    conda=(dataclasses.replace(CONDA_112.conda[0], version="11.8.0"), CONDA_112.conda[1]),
)
CONDA_TF = dataclasses.replace(
    CONDA_112, ident="conda-tf", conda=(*CONDA_112.conda, CondaPin("tensorflow", "2.10.1", "cuda112*", {}))
)

ROW_2_10 = Row(
    release=TfVersion("2.10.1"),
    distribution="tensorflow",
    released="2022-11-16",
    pythons=tuple(PythonVersion(f"3.{minor}") for minor in (7, 8, 9, 10)),
    platform="manylinux_2_17_x86_64",
    glibc=GlibcVersion("2.17"),
    cpu_features=("avx",),
    cuda=CudaVersion("11.2"),
    cudnn=CudnnVersion("8.1"),
    gate=("libcudart.so.11.0", "libcusolver.so.11", "libcudnn.so.8"),
    optional={"cupti": ("libcupti.so.11.2", "libcupti.so")},
    sass=ccs("3.5 5.0 6.0 7.0 7.5 8.0"),
    ptx=ccs("8.0"),
    ptx_modules=(
        modules("8.0", "7.0", 1883, "3.5 5.0 6.0 7.0 7.5"),
        modules("8.0", "7.2", 620, "3.5 5.0 6.0 7.0 7.5 8.0"),
    ),
    search=SEARCH,
    aliases={},
    xla_finds_wheels=False,
    constraints=(Constraint("numpy<1.24", "its code uses names that NumPy 1.24 removed", REPORT),),
    source_only=(),
    faults=(),
    sets=(CU118,),
    evidence={"python": WHEEL, "arch": WHEEL, "gate": WHEEL, "build": WHEEL, "sets": WHEEL, "cpu": WHEEL},
)

ROW_2_20 = dataclasses.replace(
    ROW_2_10,
    release=TfVersion("2.20.0"),
    released="2025-08-13",
    pythons=tuple(PythonVersion(f"3.{minor}") for minor in (9, 10, 11, 12, 13)),
    cuda=CudaVersion("12.5.1"),
    cudnn=CudnnVersion("9.3"),
    gate=("libcudart.so.12", "libcudnn.so.9"),
    optional={},
    sass=ccs("6.0 7.0 8.0 8.9 9.0"),
    ptx=ccs("9.0"),
    ptx_modules=(modules("9.0a", "8.5", 1149, "6.0 7.0 8.0 8.9"), modules("9.0", "8.3", 248, "6.0 7.0 8.0 8.9 9.0")),
    constraints=(),
    sets=(CU129_NEW, CU129_OLD),
)

UNSERVED = (
    Unserved("windows-native", "native Windows", ">=2.11", "", "windows", "", None, "no CUDA build", "WSL2", VENDOR),
    Unserved("macos", "macOS", "", "", "macos", "", None, "no CUDA build", "a Linux machine", VENDOR),
    Unserved("aarch64", "Linux on aarch64", "", "", "linux", "aarch64", None, "no wheel", "an NGC container", VENDOR),
    Unserved("old", "before 2.4", "<2.4", "", "", "", None, "no CUDA 10 wheels exist", "conda", VENDOR),
    Unserved("gpu", "tensorflow-gpu", ">=2.12", "tensorflow-gpu", "", "", None, "an empty shell", "tensorflow", VENDOR),
    Unserved("nightly", "tf-nightly", "", "tf-nightly", "", "", None, "not final", "a final release", VENDOR),
    Unserved("blackwell", "Blackwell", "", "", "", "", cc("10.0"), "no code for it", "an NGC container", REPORT),
)

_BRANCHES = {
    440: ("10.2", (441, 441)),
    450: ("11.0", (451, 452)),
    460: ("11.2", (460, 462)),
    470: ("11.4", (471, 474)),
    525: ("12.0", (527, 529)),
    535: ("12.2", (536, 539)),
    545: ("12.3", (545, 546)),
    550: ("12.4", (551, 553)),
    555: ("12.5", (555, 556)),
    570: ("12.8", (570, 573)),
    580: ("13.0", (580, 582)),
    590: ("13.1", (591, 591)),
}
_ISA = "10.2=6.5 11.0=7.0 11.2=7.2 11.4=7.4 11.8=7.8 12.0=8.0 12.2=8.2 12.3=8.3 12.4=8.4 12.5=8.5 12.8=8.7 13.0=9.0 13.1=9.1"
_GENERATIONS = {
    # compute capability: architecture, first and last driver branch
    "3.5": ("Kepler", None, 470),
    "3.7": ("Kepler", None, 470),
    "5.2": ("Maxwell", None, 580),
    "6.0": ("Pascal", None, 580),
    "6.1": ("Pascal", None, 580),
    "7.0": ("Volta", None, 580),
    "7.5": ("Turing", 440, None),
    "8.0": ("Ampere", 450, None),
    "8.6": ("Ampere", 450, None),
    "8.9": ("Ada Lovelace", 525, None),
    "9.0": ("Hopper", 525, None),
    "10.0": ("Blackwell", 570, None),
    "12.0": ("Blackwell", 570, None),
}


def matrix(*rows: Row, **changes: Any) -> Matrix:
    """A matrix of these rows, oldest first, with the shared tables above."""
    rows = rows or (ROW_2_10, ROW_2_20)
    built = Matrix(
        path="in memory",
        digest="0" * 64,
        rows=tuple(sorted(rows, key=lambda row: row.release)),
        sets={item.ident: item for row in rows for item in row.sets},
        families={
            11: CudaFamily(11, DriverVersion("450.80.02"), DriverVersion("452.39"), VENDOR),
            12: CudaFamily(12, DriverVersion("525.60.13"), DriverVersion("528.33"), VENDOR),
        },
        branches=tuple(
            DriverBranch(number, CudaVersion(cuda), windows, VENDOR) for number, (cuda, windows) in _BRANCHES.items()
        ),
        ptx_isa={CudaVersion(pair.split("=")[0]): PtxIsa(pair.split("=")[1]) for pair in _ISA.split()},
        ptx_isa_evidence=VENDOR,
        generations={
            cc(text): GpuGeneration(cc(text), name, None, None, first, last, VENDOR)
            for text, (name, first, last) in _GENERATIONS.items()
        },
        unserved=UNSERVED,
    )
    return dataclasses.replace(built, **changes)


def row(like: Row = ROW_2_20, release: str | None = None, **changes: Any) -> Row:
    """A row like another one."""
    if release is not None:
        changes["release"] = TfVersion(release)
    return dataclasses.replace(like, **changes)


def fault(code: str = "broken", handled: str = "", *, avoid: bool = False, sets: tuple[str, ...] = ()) -> Fault:
    return Fault(code, "something is wrong", handled, avoid, REPORT, sets)


def source_only(name: str, version: str) -> SourceOnly:
    return SourceOnly(name, version, "0" * 64, "never published as a wheel", REPORT)


def gpu(capability: str | None, name: str = "", index: int | None = None) -> Gpu:
    return Gpu(
        name=name or f"GPU of compute capability {capability}",
        compute_capability=cc(capability) if capability else None,
        index=index,
        source="test",
    )


def host(
    driver: str | None = None,
    *gpus: str | Gpu,
    cuda: str | None = None,
    system: str = "linux",
    machine: str = "x86_64",
    wsl: bool = False,
    glibc: str | None = None,
    musl: bool = False,
    cpu: str | None = None,
    pythons: str | tuple[Interpreter, ...] = (),
    state: DriverState = DriverState.WORKING,
    described: bool = True,
    **changes: Any,
) -> HostFacts:
    """A machine; GPUs not named at all are unknown, ``gpus=()`` given by keyword is a machine without any."""
    known = tuple(item if isinstance(item, Gpu) else gpu(item) for item in gpus)
    if isinstance(pythons, str):
        pythons = tuple(Interpreter(f"/python{text}", PythonVersion(text), "path") for text in pythons.split())
    built = HostFacts(
        described=described,
        system=Fact(system, "test"),
        machine=Fact(machine, "test"),
        distribution=Fact(None),
        wsl=Fact(wsl, "test"),
        glibc=Fact(GlibcVersion(glibc) if glibc else None, "musl" if musl else "test"),
        cpu_features=Fact(frozenset(cpu.split()) if cpu is not None else None, "test"),
        driver_state=state,
        driver_state_why="as the test says" if state is not DriverState.WORKING else "",
        driver=Fact(DriverVersion(driver) if driver else None, "test"),
        kernel_module=Fact(DriverVersion(driver) if driver else None, "test"),
        driver_cuda=Fact(CudaVersion(cuda) if cuda else None, "test"),
        gpus=Fact(known or None, "test"),
        device_nodes=Fact((), "test"),
        container=Fact[Container](None),
        pythons=pythons,
    )
    return dataclasses.replace(built, **changes)
