"""The driver: is it in order, and is it new enough for the CUDA version of a release?"""

from __future__ import annotations

from provision.model.facts import Certainty
from provision.model.host import DriverState, HostFacts
from provision.model.matrix import CudaFamily, Matrix, Row
from provision.model.plan import Caveat, Obstacle
from provision.model.versions import CudaVersion
from provision.plan.finding import Findings
from provision.plan.machine import driver_reach, family_floor
from provision.plan.naming import release_name, said_by

_MACHINE = "this machine"

_STATES: dict[DriverState, tuple[str, str, bool]] = {
    # state → code, what to do about it, whether it turns the outcome into a caveat
    DriverState.NO_GPU: ("no-gpu", "this machine has no NVIDIA GPU; the environment is prepared for one", False),
    DriverState.NOT_INSTALLED: (
        "driver-not-installed",
        "a GPU is there but no driver is installed: install one before using the environment",
        True,
    ),
    DriverState.NOT_LOADED: (
        "driver-not-loaded",
        "the driver is installed but its kernel module is not loaded: `sudo modprobe nvidia`, or reboot",
        True,
    ),
    DriverState.LIBRARY_MISMATCH: (
        "driver-library-mismatch",
        "kernel module and user-space libraries of the driver differ: reboot before using the environment",
        True,
    ),
    DriverState.NO_PERMISSION: (
        "driver-no-permission",
        "this user may not open the GPU's device files: ask for access to /dev/nvidia*",
        True,
    ),
    DriverState.HIDDEN: (
        "gpu-hidden",
        "CUDA_VISIBLE_DEVICES hides every GPU: unset it before using the environment",
        True,
    ),
    DriverState.NOT_PASSED: (
        "gpu-not-passed",
        "no GPU was passed into this container: start it with `--gpus all` (Docker) or `--nv` (Apptainer)",
        True,
    ),
    DriverState.HUNG: ("driver-hung", "a call into the driver did not come back: look at `dmesg`, then reboot", True),
}


_VARIABLE_GUIDE = "https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html"
_VARIABLES = {
    "CUDA_FORCE_PTX_JIT": "the driver ignores machine code, and TensorFlow fails on GPUs older than its PTX",
    "CUDA_DISABLE_PTX_JIT": "kernels that exist as PTX alone fail",
    "CUDA_DISABLE_JIT": "kernels that exist as PTX alone fail",
}


def driver_state(row: Row, host: HostFacts, matrix: Matrix) -> Findings:  # noqa: ARG001 - the signature of every rule
    """Say what is wrong with the driver; the plan is right once that is put in order, so it is no refusal.

    Creating an environment needs no driver at all, and neither does being told which release to take. What must never
    happen is that such a plan looks like one for a working GPU.

    Source: the host's driver state (NVML and CUDA return codes, /proc/driver/nvidia, device files).
    """
    if host.driver_state in _STATES:
        code, what, notable = _STATES[host.driver_state]
        why = f" ({host.driver_state_why})" if host.driver_state_why and notable else ""
        yield Caveat(code, what + why, Certainty.REPORTED, _MACHINE, notable=notable)
    elif host.driver_state is DriverState.UNKNOWN and not host.described:
        yield Caveat(
            "driver-state-unknown",
            f"whether the driver works could not be told ({host.driver_state_why or 'no source answered'})",
            Certainty.REPORTED,
            _MACHINE,
        )


def family(row: Row, host: HostFacts, matrix: Matrix) -> Findings:
    """Hold the driver against the floor of the CUDA major version that the release was built with.

    From CUDA 11 on, minor-version compatibility lets every 1x.y run on the floor of its family; below the floor
    nothing runs. Before, each toolkit has a floor of its own. On WSL the number is that of the Windows driver.

    Source: NVIDIA, CUDA Compatibility, minor-version compatibility; for CUDA 10 the table of toolkits and drivers.
    """
    cuda_family = matrix.family(row.cuda)
    if cuda_family is None:
        return
    reach = driver_reach(host, matrix)
    floor = family_floor(cuda_family, windows=reach.windows)
    evidence = cuda_family.evidence
    where = "Windows driver" if reach.windows else "driver"
    if reach.version is None:
        if reach.cuda is not None and not _reaches(reach.cuda, cuda_family):
            yield Obstacle(
                "driver-too-old",
                f"the driver supports CUDA {reach.cuda} ({said_by(host.driver_cuda.source)}); {release_name(row)} "
                f"needs CUDA {cuda_family.name}, {where} {floor} or newer",
                f"{where} {floor} or newer",
                evidence.certainty,
                evidence.source,
            )
        elif reach.cuda is None:
            yield Caveat(
                "driver-unknown",
                f"the driver is not known; {release_name(row)} needs {where} {floor} or newer "
                f"(CUDA {cuda_family.name})",
                evidence.certainty,
                evidence.source,
                notable=False,
            )
    elif reach.version < floor:
        supports = f" supports CUDA {reach.cuda}" if reach.cuda else " is older than every branch with CUDA 9"
        if reach.cuda is not None and _reaches(reach.cuda, cuda_family):
            supports = f" is older than the first one for CUDA {cuda_family.name}"
        yield Obstacle(
            "driver-too-old",
            f"{where} {reach.version} ({said_by(reach.source)}){supports}; {release_name(row)} needs CUDA "
            f"{cuda_family.name}, {where} {floor} or newer",
            f"{where} {floor} or newer",
            evidence.certainty,
            evidence.source,
        )


def _reaches(cuda: CudaVersion, wanted: CudaFamily) -> bool:
    """Whether a driver that supports a CUDA version supports a family, or the toolkit that a floor is for."""
    return cuda >= wanted.toolkit if wanted.toolkit else cuda.major >= wanted.major


def variables(row: Row, host: HostFacts, matrix: Matrix) -> Findings:  # noqa: ARG001 - the signature of every rule
    """Name environment variables that change how the driver takes code.

    Source: CUDA programming guide, environment variables; TensorFlow install guide for CUDA_FORCE_PTX_JIT.
    """
    for name, effect in _VARIABLES.items():
        if host.variables.get(name, "0") not in {"", "0"}:
            yield Caveat("variable-set", f"{name} is set: {effect}; unset it", Certainty.VENDOR, _VARIABLE_GUIDE)
