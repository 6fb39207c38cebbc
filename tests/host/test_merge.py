"""One value from many sources, its source kept, and disagreements reported instead of averaged."""

from __future__ import annotations

import dataclasses

import pytest

from provision.host import merge
from provision.host.parsers import SmiReport, SmiState
from provision.host.readings import CudaReading, NvmlReading, PciGpu, Readings
from provision.model.facts import Attempt, Fact
from provision.model.host import Gpu
from provision.model.versions import ComputeCapability, CudaVersion, DriverVersion

T4 = Gpu("Tesla T4", ComputeCapability("7.5"), index=0, uuid="GPU-aa", pci_bus_id="00000000:01:00.0", source="nvml")
A100 = Gpu(
    "NVIDIA A100-SXM4-40GB",
    ComputeCapability("8.0"),
    index=1,
    uuid="GPU-bb",
    pci_bus_id="00000000:02:00.0",
    source="nvml",
)
MODULE: Fact[DriverVersion] = Fact(DriverVersion("550.54.14"), "/sys/module/nvidia/version")
NVML = NvmlReading(
    "ok",
    0,
    library="/usr/lib/libnvidia-ml.so.550.54.14",
    driver=DriverVersion("550.54.14"),
    cuda=CudaVersion("12.4"),
    gpus=(T4, A100),
)
CUDA = CudaReading("ok", 0, library="/usr/lib/libcuda.so.550.54.14", version=CudaVersion("12.4"), gpus=(T4, A100))
ALL = Readings(
    pci=(PciGpu("0000:01:00.0", "1EB8"), PciGpu("0000:02:00.0", "20B0")),
    module=MODULE,
    nvml=NVML,
    cuda=CUDA,
    cuda_all=CUDA,
)
NO_NVML = NvmlReading("absent", 12)
NO_CUDA = CudaReading("absent")
SMI = SmiReport(
    SmiState.OK,
    driver=DriverVersion("550.54.14"),
    driver_cuda=CudaVersion("12.4"),
    smi="550.54.14",
    gpus=(dataclasses.replace(T4, compute_capability=None, source="nvidia-smi"),),
)


def but(**changes: object) -> Readings:
    return dataclasses.replace(ALL, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "version", "source"),
    [
        pytest.param(ALL, "550.54.14", "nvml", id="nvml"),
        pytest.param(but(nvml=NO_NVML, smi=SMI), "550.54.14", "nvidia-smi", id="smi"),
        pytest.param(but(nvml=NO_NVML), "550.54.14", "file name libcuda.so.550.54.14", id="file-name"),
        pytest.param(
            but(nvml=NvmlReading("failed", 18, library="/usr/lib/libnvidia-ml.so.570.86.10")),
            "570.86.10",
            "file name libnvidia-ml.so.570.86.10",
            id="mismatch",
        ),
        pytest.param(
            but(nvml=NO_NVML, cuda_all=NO_CUDA),
            "550.54.14",
            "/sys/module/nvidia/version (kernel module; no library answered)",
            id="module",
        ),
        pytest.param(but(nvml=NO_NVML, cuda_all=NO_CUDA, module=Fact(None)), None, "unknown", id="nobody"),
    ],
)
def test_driver(said: Readings, version: str | None, source: str) -> None:
    fact = merge.driver_version(said)
    assert (str(fact.value) if fact.value else None, fact.source) == (version, source)


@pytest.mark.parametrize(
    ("said", "version", "source"),
    [
        pytest.param(ALL, "12.4", "nvml", id="nvml"),
        pytest.param(
            but(cuda_all=dataclasses.replace(CUDA, version=CudaVersion("12.9"))),
            "12.4",
            "nvml",
            id="compat-does-not-win",
        ),
        pytest.param(but(nvml=NO_NVML), "12.4", "libcuda cuDriverGetVersion", id="libcuda"),
        pytest.param(but(nvml=NO_NVML, cuda_all=NO_CUDA, smi=SMI), "12.4", "nvidia-smi", id="smi"),
        pytest.param(but(nvml=NO_NVML, cuda_all=NO_CUDA), None, "unknown", id="nobody"),
    ],
)
def test_driver_cuda(said: Readings, version: str | None, source: str) -> None:
    fact = merge.driver_cuda(said)
    assert (str(fact.value) if fact.value else None, fact.source) == (version, source)


@pytest.mark.parametrize(
    ("said", "names", "source"),
    [
        pytest.param(ALL, ["Tesla T4", "NVIDIA A100-SXM4-40GB"], "nvml", id="nvml"),
        pytest.param(but(nvml=NO_NVML), ["Tesla T4", "NVIDIA A100-SXM4-40GB"], "libcuda", id="libcuda"),
        pytest.param(but(nvml=NO_NVML, cuda_all=NO_CUDA, smi=SMI), ["Tesla T4"], "nvidia-smi", id="smi"),
        pytest.param(but(nvml=NO_NVML, cuda_all=NO_CUDA, pci=()), [], "PCI bus", id="none"),
        pytest.param(but(nvml=NO_NVML, cuda_all=NO_CUDA, pci=None), None, "unknown", id="unknown"),
        pytest.param(but(nvml=NO_NVML, cuda_all=NO_CUDA, pci=(), wsl=True), None, "unknown", id="wsl-shows-no-pci"),
    ],
)
def test_gpus(said: Readings, names: list[str] | None, source: str) -> None:
    fact = merge.gpus(said)
    assert (None if fact.value is None else [gpu.name for gpu in fact.value]) == names
    assert fact.source == source


def test_gpus_of_the_pci_bus_get_their_names_from_the_product_table() -> None:
    said = but(nvml=NO_NVML, cuda_all=NO_CUDA, pci=(PciGpu("0000:01:00.0", "2204"), PciGpu("0000:02:00.0", "FFFF")))
    known, unknown = merge.gpus(said).value or ()
    assert "3090" in known.name
    assert str(known.compute_capability) == "8.6"
    assert (known.pci_bus_id, known.source) == ("0000:01:00.0", "PCI id, product table")
    assert (unknown.name, unknown.compute_capability, unknown.source) == ("NVIDIA device FFFF", None, "PCI id")


def test_the_kernel_module_knows_names_older_than_the_id_table() -> None:
    gpu = PciGpu("0000:01:00.0", "1B06", "nvidia", "NVIDIA GeForce GTX 1080 Ti", "GPU-aa")
    (found,) = merge.gpus(but(nvml=NO_NVML, cuda_all=NO_CUDA, pci=(gpu,))).value or ()
    assert (found.name, str(found.compute_capability), found.uuid) == ("NVIDIA GeForce GTX 1080 Ti", "6.1", "GPU-aa")
    assert found.source == "kernel module, product table"


@pytest.mark.parametrize(
    ("cuda_gpu", "pci_id", "name", "capability", "source"),
    [
        pytest.param(
            dataclasses.replace(T4, uuid="gpu-AA"),
            None,
            "whatever",
            "7.5",
            "nvml, compute capability from libcuda",
            id="by-uuid",
        ),
        pytest.param(
            dataclasses.replace(T4, uuid=None, pci_bus_id="0000:01:00.0"),
            None,
            "whatever",
            "7.5",
            "nvml, compute capability from libcuda",
            id="by-bus",
        ),
        pytest.param(
            dataclasses.replace(T4, uuid="GPU-other"),
            "2204",
            "whatever",
            "8.6",
            "nvml, compute capability from the product table",
            id="by-pci-id",
        ),
        pytest.param(
            None,
            None,
            "NVIDIA GeForce RTX 3090",
            "8.6",
            "nvml, compute capability from the product table",
            id="by-name",
        ),
        pytest.param(None, None, "Graphics Device", None, "nvml", id="unknown-stays-unknown"),
    ],
)
def test_an_old_nvml_without_compute_capability(
    cuda_gpu: Gpu | None, pci_id: str | None, name: str, capability: str | None, source: str
) -> None:
    nvml = dataclasses.replace(
        NVML, gpus=(dataclasses.replace(T4, name=name, compute_capability=None),), pci_ids=(pci_id,)
    )
    cuda = dataclasses.replace(CUDA, gpus=(cuda_gpu,) if cuda_gpu else ())
    (gpu,) = merge.gpus(but(nvml=nvml, cuda_all=cuda)).value or ()
    assert (str(gpu.compute_capability) if gpu.compute_capability else None, gpu.source) == (capability, source)


def test_a_fact_keeps_the_attempts_that_failed() -> None:
    attempts = (Attempt("nvml", "failed", "18"), Attempt("libcuda", "failed", "803"), Attempt("nvidia-smi", "absent"))
    said = but(nvml=NO_NVML, cuda_all=NO_CUDA, module=Fact(None), attempts=attempts)
    assert merge.driver_version(said).attempts == (attempts[0], attempts[2])
    assert merge.driver_cuda(said).attempts == attempts
    assert merge.gpus(said).attempts == attempts


COMPAT = dataclasses.replace(
    CUDA, version=CudaVersion("12.9"), library="/usr/local/cuda-12.9/compat/libcuda.so.575.57.08"
)
OLDER = dataclasses.replace(CUDA, version=CudaVersion("11.4"), library="/opt/old/libcuda.so.470.82.01")
STUB = "/usr/local/cuda/lib64/stubs/libcuda.so"


@pytest.mark.parametrize(
    ("said", "what", "readings", "meaning"),
    [
        pytest.param(
            but(module=Fact(DriverVersion("535.54.03"), "/proc/driver/nvidia/version")),
            "driver version",
            {"535.54.03", "550.54.14"},
            "reboot",
            id="module-and-nvml",
        ),
        pytest.param(
            but(nvml=NvmlReading("failed", 18, library="/x/libnvidia-ml.so.570.86.10")),
            "driver version",
            {"550.54.14", "570.86.10"},
            "reboot",
            id="module-and-library-file",
        ),
        pytest.param(
            but(cuda_all=COMPAT), "CUDA version that the driver supports", {"12.4", "12.9"}, "cuda-compat", id="compat"
        ),
        pytest.param(
            but(cuda_all=OLDER),
            "CUDA version that the driver supports",
            {"12.4", "11.4"},
            "another copy",
            id="older-libcuda",
        ),
        pytest.param(
            but(libcudas=("/a/libcuda.so.550.54.14", "/usr/lib/libcuda.so.550.54.14")),
            "libcuda.so.1",
            {"found too", "used"},
            "several driver libraries",
            id="two-libcudas",
        ),
        pytest.param(
            but(libcudas=(STUB, "/usr/lib/libcuda.so.550.54.14")),
            "libcuda.so.1",
            {"stub", "driver"},
            "stub",
            id="stub-on-the-path",
        ),
        pytest.param(
            but(cuda_all=CudaReading("failed", 34, library=STUB)), "libcuda.so.1", {"stub"}, "stub", id="stub-answers"
        ),
        pytest.param(
            but(cuda_all=dataclasses.replace(CUDA, gpus=(T4,))),
            "number of GPUs",
            {"2", "1"},
            "cannot use every GPU",
            id="cuda-misses-one",
        ),
        pytest.param(
            but(pci=(*(ALL.pci or ()), PciGpu("0000:03:00.0", "1EB8", "vfio-pci"))),
            "number of GPUs",
            {"3", "2"},
            "does not serve every",
            id="one-held-elsewhere",
        ),
        pytest.param(
            but(nvml=NO_NVML, smi=dataclasses.replace(SMI, smi="470.82.01")),
            "driver version",
            {"470.82.01", "550.54.14"},
            "another driver package",
            id="foreign-nvidia-smi",
        ),
    ],
)
def test_disagreements(said: Readings, what: str, readings: set[str], meaning: str) -> None:
    (found,) = merge.disagreements(said)
    assert found.what == what
    assert {value for _, value in found.readings} == readings
    assert meaning in found.meaning


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(ALL, id="all-agree"),
        pytest.param(Readings(), id="nothing-known"),
        pytest.param(but(libcudas=("/usr/lib/libcuda.so.550.54.14",)), id="one-libcuda"),
        pytest.param(
            but(
                wsl=True,
                pci=(),
                module=Fact(None),
                nvml=NO_NVML,
                smi=dataclasses.replace(SMI, smi="545.23", driver=DriverVersion("546.01")),
            ),
            id="wsl-has-two-numbers",
        ),
        pytest.param(
            but(
                nvml=dataclasses.replace(NVML, gpus=(dataclasses.replace(T4, mig=True), A100)),
                cuda_all=dataclasses.replace(CUDA, gpus=(T4,)),
            ),
            id="mig-shows-fewer-devices",
        ),
        pytest.param(but(cuda_all=CudaReading("failed", 100), visible="-1"), id="hidden"),
    ],
)
def test_no_false_alarm(said: Readings) -> None:
    assert merge.disagreements(said) == ()
