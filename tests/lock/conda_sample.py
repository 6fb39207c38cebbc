"""One conda lock with everything in it that the formats find hard."""

from __future__ import annotations

from provision.model.lock import CondaLocked, Contract, GpuFloor, Lock, Locked, LockRequest
from provision.model.versions import (
    ComputeCapability,
    CudaVersion,
    CudnnVersion,
    DriverVersion,
    GlibcVersion,
    PythonVersion,
    TfVersion,
)

CONTRACT = Contract(
    request=LockRequest(
        tf="2.4.1", requirements=("six",), conda=("zlib >=1.2",), channels=("https://host.example/forge",)
    ),
    target="",
    machine_text="",
    made_for=(ComputeCapability("8.6"),),
    without_gpu=False,
    backend="conda",
    distribution="tensorflow",
    release=TfVersion("2.4.1"),
    python=PythonVersion("3.8"),
    library_set="cu110",
    cuda=CudaVersion("11.0"),
    cudnn=CudnnVersion("8.0"),
    driver_floor=DriverVersion("450.80.02"),
    gpus=(GpuFloor(ComputeCapability("8.0"), DriverVersion("450.80.02"), derived=True),),
    system="linux",
    machine="x86_64",
    glibc=GlibcVersion("2.17"),
    cpu_features=("avx",),
    row_digest="1" * 64,
    matrix_digest="2" * 64,
    derived=("derived-libraries",),
)


def conda(name: str, version: str, build: str = "h1_0", subdir: str = "linux-64", **more: object) -> CondaLocked:
    channel = "https://host.example/forge"
    values: dict[str, object] = {
        "channel": channel,
        "url": f"{channel}/{subdir}/{name}-{version}-{build}.conda",
        "md5": "a" * 32,
        "sha256": "b" * 64,
        "size": 1234,
    }
    return CondaLocked(name, version, build, subdir, **{**values, **more})


LOCK = Lock(
    CONTRACT,
    (Locked("six", "1.16.0", ("5" * 64,)), Locked("tensorflow", "2.4.1", ("6" * 64,))),
    (
        conda("_libgcc_mutex", "0.1", "conda_forge"),
        conda(
            "cudatoolkit", "11.0.3", constrains=("__cuda >=11",), depends=("libgcc-ng >=10", "__glibc >=2.17,<3.0.a0")
        ),
        conda("cudnn", "8.0.5.39", depends=("cudatoolkit 11.0|11.0.*",)),
        conda("python", "3.8.20", "h4_0_cpython", depends=("zlib >=1.2.13,<2.0a0", "zlib !=1.2.14", "pip")),
        conda("tzdata", "2024a", "h0c5_0", "noarch", size=None),
        conda("x264", "1!161.3030", "h7f98852_1"),
        conda("zlib", "1.2.13", "h4_5", depends=("libgcc-ng >=12", "_libgcc_mutex 0.1 conda_forge")),
    ),
    source_only=("wrapt",),
    build_tools=(Locked("setuptools", "59.6.0", ("7" * 64,)),),
)
