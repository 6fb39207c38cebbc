"""The contract of a lock held against a machine by itself: what can be told without any matrix.

The plan knows more (reasons, alternatives, the upper end of a driver's life); this is what still holds when its matrix
has no row for the lock, or another one. Unknown facts are never an obstacle. Codes and words are those of the plan.
"""

from __future__ import annotations

from collections.abc import Iterator

from provision.model.facts import Certainty
from provision.model.host import DriverState, Gpu, HostFacts
from provision.model.lock import Contract, GpuFloor
from provision.model.plan import Obstacle

_SOURCE = "the GPU contract of the lock"
_SYSTEMS = {"linux": "Linux", "windows": "native Windows", "macos": "macOS"}
_MUSL = "musl"


def broken(contract: Contract, host: HostFacts) -> tuple[Obstacle, ...]:
    """Return everything in which a machine breaks a contract: system, machine, glibc, processor, driver, GPUs.

    A GPU that is not served beside one that is gets left out, and is no obstacle. Nothing is said about the driver
    under WSL and Windows, whose numbers are not those of the contract.
    """
    return tuple(dict.fromkeys((*_platform(contract, host), *_driver(contract, host), *_gpus(contract, host))))


def _platform(contract: Contract, host: HostFacts) -> Iterator[Obstacle]:
    system, machine, glibc = host.system.value, host.machine.value, host.glibc.value
    here = _SYSTEMS.get(contract.system, contract.system)
    if system is not None and system != contract.system:
        name = _SYSTEMS.get(system, system)
        yield _obstacle(f"{system}-unsupported", f"{name}: the lock is for {here}", f"{here} on {contract.machine}")
        return
    if machine is not None and machine != contract.machine:
        yield _obstacle(
            "architecture-unsupported",
            f"{machine}: the lock is for {contract.machine}",
            f"a machine with {contract.machine}",
        )
    name = f"TensorFlow {contract.release}"
    needs = f"a system with glibc {contract.glibc} or newer"
    if glibc is not None and glibc < contract.glibc:
        what = f"glibc {glibc} ({_said_by(host.glibc.source)}); the lock of {name} needs {contract.glibc} or newer"
        yield _obstacle("glibc-too-old", what, needs)
    elif glibc is None and _MUSL in host.glibc.source.lower():
        what = "the C library is musl (Alpine and its like); TensorFlow has wheels for glibc alone"
        yield _obstacle("musl-unsupported", what, needs)
    features = host.cpu_features.value
    missing = [] if features is None else [item for item in contract.cpu_features if item.lower() not in features]
    if missing:
        names = ", ".join(item.upper() for item in missing)
        yield _obstacle(
            "cpu-too-old",
            f"the processor has no {names} ({_said_by(host.cpu_features.source)}); {name} would end with an illegal "
            "instruction",
            f"a processor with {names}",
        )


def _driver(contract: Contract, host: HostFacts) -> Iterator[Obstacle]:
    version, floor = host.driver.value, contract.driver_floor
    if version is None or _windows_numbers(host) or version >= floor:
        return
    yield _obstacle(
        "driver-too-old",
        f"driver {version} ({_said_by(host.driver.source)}); TensorFlow {contract.release} needs CUDA "
        f"{contract.cuda.major}, driver {floor} or newer",
        f"driver {floor} or newer",
        Certainty.VENDOR,
    )


def _gpus(contract: Contract, host: HostFacts) -> Iterator[Obstacle]:
    if host.driver_state is DriverState.NO_GPU:
        return
    each = [tuple(_gpu(contract, gpu, host)) for gpu in host.gpus.value or ()]
    if each and all(each):
        for found in each:
            yield from found


def _gpu(contract: Contract, gpu: Gpu, host: HostFacts) -> Iterator[Obstacle]:
    """Say why one GPU is not served; nothing where its compute capability is not known."""
    capability = gpu.compute_capability
    if capability is None or not contract.gpus:
        return
    floor = next((item for item in contract.gpus if item.compute_capability == capability), None)
    if floor is not None:
        yield from _gpu_driver(contract, gpu, floor, host)
        return
    served = sorted(item.compute_capability for item in contract.gpus)
    names = ", ".join(item.text for item in served)
    older = capability < served[0]
    yield _obstacle(
        "gpu-too-old" if older else "gpu-unserved",
        f"the lock of TensorFlow {contract.release} serves compute capability {names}, not {_gpu_name(gpu)}",
        f"a GPU of compute capability {served[0]} or newer" if older else f"a GPU of compute capability {names}",
    )


def _gpu_driver(contract: Contract, gpu: Gpu, floor: GpuFloor, host: HostFacts) -> Iterator[Obstacle]:
    """Hold the driver against the floor of one GPU; below the floor of the family that has been said already."""
    version = host.driver.value
    if version is None or _windows_numbers(host) or version >= floor.driver or version < contract.driver_floor:
        return
    name = _gpu_name(gpu)
    if floor.derived:
        # The one floor that is derived is that of PTX, which minor-version compatibility leaves out.
        yield _obstacle(
            "driver-too-old-for-ptx",
            f"TensorFlow {contract.release} reaches {name} as PTX, which driver {version} "
            f"({_said_by(host.driver.source)}) does not compile (PTX is outside minor-version compatibility)",
            f"driver {floor.driver} or newer",
            Certainty.DERIVED,
        )
        return
    yield _obstacle(
        "driver-too-old-for-gpu",
        f"driver {version} ({_said_by(host.driver.source)}) is too old for {name}: the lock of TensorFlow "
        f"{contract.release} needs {floor.driver} or newer on it",
        f"driver {floor.driver} or newer",
        Certainty.VENDOR,
    )


def _windows_numbers(host: HostFacts) -> bool:
    return host.system.value == "windows" or host.wsl.value is True


def _obstacle(code: str, what: str, needs: str, certainty: Certainty = Certainty.ARTIFACT) -> Obstacle:
    return Obstacle(code, what, needs, certainty, _SOURCE)


def _said_by(source: str) -> str:
    return "as described" if source == "described" else f"from {source}"


def _gpu_name(gpu: Gpu) -> str:
    if gpu.compute_capability is None or gpu.compute_capability.text in gpu.name.split():
        return gpu.name
    return f"{gpu.name} (compute capability {gpu.compute_capability})"
