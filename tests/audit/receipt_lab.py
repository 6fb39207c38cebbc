"""Receipts of described machines, made by the writer of receipts from what the judges of verify say of them."""

from __future__ import annotations

from typing import Any

from verify.samples import SITE, gpu, host_of, premises, said

from provision.model.facts import Fact
from provision.model.host import DriverState
from provision.model.matrix import Matrix
from provision.model.verdict import Level, Stage, StageStatus
from provision.model.versions import CudaVersion, DriverVersion, TfVersion
from provision.verify.compute import judge_compute
from provision.verify.device import judge_device
from provision.verify.receipt import Circumstances, Identity, receipt_document
from provision.verify.verdict import conclude

NAME, CAPABILITY, DRIVER = "NVIDIA H200", "9.0", "570.86.15"
MAPPED = (
    f"/usr/lib/x86_64-linux-gnu/libcuda.so.{DRIVER}",
    f"{SITE}/nvidia/cublas/lib/libcublas.so.12",
    f"{SITE}/tensorflow/libtensorflow_framework.so.2",
)


def computed(place: int = 0, **more: Any) -> dict[str, Any]:
    where = f"/job:localhost/replica:0/task:0/device:GPU:{place}"
    return {
        "device": f"GPU:{place}",
        "size": 1024,
        "seconds": {"start": 1.5, "first_kernels": 0.4, "first_product": 0.2},
        "own_kernels": True,
        "exact_product": True,
        "placed": where,
        "backing": where,
        "modes": {
            "default": {"largest": 3e-5, "rms": 2.9e-4, "tf32": True},
            "float32": {"largest": 2e-7, "rms": 6e-7, "tf32": False},
        },
        **more,
    }


def receipt(
    matrix: Matrix,
    release: str = "2.20.0",
    *,
    gpus: tuple[tuple[str, str], ...] = ((NAME, CAPABILITY),),
    driver: str = DRIVER,
    cuda: str = "12.8",
    level: Level = Level.COMPUTE,
    created: str = "2026-11-20T10:00:00Z",
    python: str = "3.12.1",
    packages: dict[str, str] | None = None,
    mapped: tuple[str, ...] = MAPPED,
    devices: tuple[dict[str, Any], ...] | None = None,
    user: str = "anna",
    working: bool = True,
) -> dict[str, Any]:
    """Return the receipt of an environment of a row with the first of its sets, on a machine with these GPUs."""
    row = matrix.row(TfVersion(release))
    assert row is not None
    library_set = row.sets[0]
    state = DriverState.WORKING if working else DriverState.NO_GPU
    host = host_of(state, tuple(gpu(name, capability) for name, capability in gpus) if working else ())
    host = replaced(host, driver=Fact(DriverVersion(driver), "test"), driver_cuda=Fact(CudaVersion(cuda), "test"))
    listed = [{"name": f"GPU:{at}", "model": name, "compute_capability": cc} for at, (name, cc) in enumerate(gpus)]
    seen = {"init": 0, "devices": [{"name": name, "compute_capability": cc} for name, cc in gpus]}
    stages = [
        Stage(Level.GATE, StageStatus.PASSED, "all 7 CUDA libraries found", seconds=0.5),
        Stage(Level.IMPORT, StageStatus.PASSED, "imports", seconds=4.0),
        judge_device(said({"listed": listed if working else [], "driver": seen if working else {}}), host),
    ]
    if working:
        devices = devices or tuple(computed(at) for at in range(len(gpus)))
        answer = said({"step": "done", "devices": list(devices), "mapped": list(mapped)})
        stages.append(judge_compute(premises(row=row, library_set=library_set), answer))
    else:
        stages.append(Stage(Level.COMPUTE, StageStatus.SKIPPED, "not run", "after-device"))
    stages += [Stage(item, StageStatus.PASSED, "right", seconds=9.0) for item in level.upto[len(stages) :]]
    environment = {
        "kind": "venv",
        "managed": True,
        "prefix": "/env",
        "python": python,
        "tensorflow": release,
        "distribution": "tensorflow",
    }
    around = Circumstances(
        tool="0.1.0",
        when=created,
        prefix="/env",
        packages={pin.name: pin.version for pin in library_set.pins} if packages is None else packages,
        lock_sha256="0" * 64,
        host=host,
        row=row,
        library_set=library_set,
        matrix_digest=matrix.digest,
        kept={},
        dropped={},
    )
    verdict = conclude(level, tuple(stages[: len(level.upto)]), environment)
    return receipt_document(verdict, around, Identity(f"/home/{user}", user, "gpubox01"))


def replaced(host: Any, **facts: Any) -> Any:
    from dataclasses import replace

    return replace(host, **facts)
