"""Does the driver serve this GPU, and do driver and GPU suit the code inside the release?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.doctor.check import Check
from provision.doctor.checks.installing import install_driver
from provision.doctor.checks.presence import container_of, driver_clue
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.facts import Certainty as Known
from provision.model.host import DriverState, Gpu, HostFacts
from provision.model.machine import MachineFacts
from provision.model.matrix import GpuGeneration, Matrix
from provision.model.plan import Obstacle, Plan, Refusal
from provision.model.snapshot import Snapshot
from provision.model.versions import ComputeCapability

_UNSUPPORTED = re.compile(r"NVRM:.*(?:not supported by|requires use of|ignored by|supported through the NVIDIA)")
_NAMED_BRANCH = re.compile(r"supported through the NVIDIA (\d{3})\.xx")
_FIRST_OPEN = ComputeCapability("7.5")
_LAST_CLOSED = ComputeCapability("9.0")
_SURE = {Known.ARTIFACT, Known.VENDOR, Known.RECEIPT}


def _driver_serves(snapshot: Snapshot) -> Iterator[Finding]:
    """A GPU that left the driver's branch, that it does not know yet, or that needs the other kind of module."""
    host = snapshot.host
    if host is None or (host.driver_state in (DriverState.WORKING, DriverState.HIDDEN) and not host.described):
        return
    said = _kernel_says(snapshot.machine)
    for gpu in host.gpus.value or ():
        generation = snapshot.matrix.generations.get(gpu.compute_capability) if gpu.compute_capability else None
        if generation is None or gpu.compute_capability is None:
            continue
        apart = _branch_apart(host, gpu, generation, snapshot.matrix) or _kind_apart(host, gpu, snapshot.machine)
        if apart is None:
            continue
        what, fixes, sure = apart
        yield Finding(
            "driver_does_not_support_gpu",
            Certainty.CERTAIN if sure or said else Certainty.LIKELY,
            what,
            (Clue(host.gpus.source, f"{gpu.name}, {generation.architecture}"), *said, driver_clue(host)),
            fixes,
            explains=("driver_unloaded_needs_reboot", "driver_missing"),
            data={"gpu": gpu.name, "found": f"driver {host.driver.value or host.kernel_module.value}"},
        )
        return
    if said and host.driver_state is not DriverState.WORKING:
        yield Finding(
            "driver_does_not_support_gpu",
            Certainty.CERTAIN,
            "the kernel log says that this driver does not serve the GPU",
            (*said, driver_clue(host)),
            _of_log(host, said),
        )


def _of_log(host: HostFacts, said: tuple[Clue, ...]) -> tuple[Fix, ...]:
    named = next((found[1] for clue in said if (found := _NAMED_BRANCH.search(clue.what))), None)
    if named is None:
        return install_driver(host, "Install a driver branch that serves this GPU")
    return _of_branch(host, int(named), install_driver(host, f"Install driver branch {named}, which the log names,"))


def _kernel_says(machine: MachineFacts | None) -> tuple[Clue, ...]:
    log = machine.kernel_log if machine else ()
    return tuple(Clue(source, line) for source, line in log if _UNSUPPORTED.search(line))[-3:]


Apart = tuple[str, tuple[Fix, ...], bool]


def _branch_apart(host: HostFacts, gpu: Gpu, generation: GpuGeneration, matrix: Matrix) -> Apart | None:
    driver = host.driver.value or host.kernel_module.value
    if driver is None:
        return None
    windows = host.system.value == "windows" or host.wsl.value is True
    branch = matrix.branch_of(driver, windows=windows)
    number = branch.branch if branch else None
    last, first = generation.last_driver_branch, generation.first_driver_branch
    name = f"{gpu.name} ({generation.architecture})"
    sure = generation.evidence.certainty in _SURE and host.driver_state is DriverState.UNKNOWN and not host.described
    if last is not None and number is not None and number > last:
        fix = install_driver(host, f"Install driver branch {last}, the last one for this GPU,")
        return (
            f"driver {driver} no longer drives {name}, whose last branch is {last}",
            _of_branch(host, last, fix),
            sure,
        )
    if first is not None and (number is None or number < first):
        what = f"driver {driver} does not know {name} yet, whose first branch is {first}"
        return what, install_driver(host, f"Install driver {first} or newer"), False
    return None


def _of_branch(host: HostFacts, branch: int, otherwise: tuple[Fix, ...]) -> tuple[Fix, ...]:
    name = (host.distribution.value or "").split(" ")[0]
    if name not in ("ubuntu", "linuxmint") or container_of(host):
        return tuple(Fix(fix.what, (), fix.root) for fix in otherwise)
    return (
        Fix(
            f"Install driver branch {branch}, the last one for this GPU, then reboot",
            (f"sudo apt install nvidia-driver-{branch}", "sudo reboot"),
            root=True,
        ),
    )


def _kind_apart(host: HostFacts, gpu: Gpu, machine: MachineFacts | None) -> Apart | None:
    capability = gpu.compute_capability
    if (
        machine is None
        or machine.open_module is None
        or capability is None
        or host.driver_state is not DriverState.UNKNOWN
    ):
        return None
    if machine.cuda_result_all not in (100, 3, 999):
        return None
    if machine.open_module and capability < _FIRST_OPEN:
        what = f"the open kernel module is loaded, which begins with Turing; {gpu.name} is older ({capability})"
        return what, (Fix("Install the same driver with the proprietary kernel module, then reboot", root=True),), True
    if not machine.open_module and capability > _LAST_CLOSED:
        what = f"the proprietary kernel module is loaded; {gpu.name} ({capability}) needs the open one"
        return what, (Fix("Install the same driver with the open kernel module, then reboot", root=True),), False
    return None


def _of_plan(snapshot: Snapshot) -> Iterator[Finding]:
    """The planner's reasons that speak of the driver, and of the GPU against the code inside the release."""
    judged, host = snapshot.judged, snapshot.host
    if host is None:
        return
    if judged is None:
        yield from _without_row(snapshot, host)
        return
    if isinstance(judged, Refusal):
        for item in judged.reasons:
            yield from _of_obstacle(item, snapshot, host)
        return
    yield from _slow_start(judged, host)


def _without_row(snapshot: Snapshot, host: HostFacts) -> Iterator[Finding]:
    """Say what holds for every release: wheels for x86_64 use AVX from 1.6 on."""
    seen, features = snapshot.environment, host.cpu_features.value
    wheel = seen is not None and seen.distribution is not None and "tensorflow" not in seen.conda
    if wheel and features is not None and "avx" not in features and host.machine.value == "x86_64":
        yield Finding(
            "avx_missing_illegal_instruction",
            Certainty.LIKELY,
            "the processor has no AVX, with which TensorFlow's wheels are compiled from 1.6 on",
            (_found("avx_missing_illegal_instruction", host),),
            _VIRTUAL,
            data={"needs": "AVX"},
        )


_VIRTUAL = (
    Fix("In a virtual machine, pass the host's processor through (QEMU: -cpu host)"),
    Fix("Use a processor with AVX"),
)

_OBSTACLES = {
    "driver-too-old": "driver_too_old",
    "driver-too-old-for-ptx": "driver_too_old",
    "gpu-too-old": "gpu_arch_unsupported_old",
    "gpu-unserved": "gpu_arch_too_new_ptx_jit",
    "ptx-for-another-gpu": "gpu_arch_too_new_ptx_jit",
    "cpu-too-old": "avx_missing_illegal_instruction",
}


def _of_obstacle(item: Obstacle, snapshot: Snapshot, host: HostFacts) -> Iterator[Finding]:
    code = _OBSTACLES.get(item.code)
    if code is None:
        return
    seen = snapshot.environment
    conda = seen is not None and "tensorflow" in seen.conda
    sure = item.certainty in _SURE and not (conda and code == "avx_missing_illegal_instruction")
    built = (
        f"; it was built against CUDA {seen.built_cuda}"
        if seen and seen.built_cuda and code == "driver_too_old"
        else ""
    )
    other = Fix("Take a TensorFlow release that runs here as it is; this names it", (_plan(host),))
    fixes: tuple[Fix, ...] = (other,)
    if code == "driver_too_old":
        fixes = (*install_driver(host, f"Install {item.needs}"), other)
    elif code == "avx_missing_illegal_instruction":
        fixes = _VIRTUAL
    yield Finding(
        code,
        Certainty.CERTAIN if sure else Certainty.LIKELY,
        f"{item.what}{built}",
        (Clue(f"matrix {_release(snapshot)}", f"needs {item.needs} ({item.source})"), _found(code, host)),
        fixes,
        data={
            "needs": item.needs,
            "found": _found(code, host).what,
            "built": f"CUDA {seen.built_cuda}" if seen and seen.built_cuda else "",
        },
    )


def _plan(host: HostFacts) -> str:
    """Return the command that names the newest release for a machine; a described one is described again."""
    if not host.described:
        return "tfgpu-provision plan"
    capabilities = [gpu.compute_capability for gpu in host.gpus.value or () if gpu.compute_capability]
    said = [f"driver={host.driver.value}"] if host.driver.value else []
    said += [f"gpu={item}" for item in capabilities]
    return f"tfgpu-provision plan --for {','.join(said)}" if said else "tfgpu-provision plan"


def _release(snapshot: Snapshot) -> str:
    return snapshot.judged.row.release.text if snapshot.judged is not None and snapshot.judged.row else "matrix"


def _found(code: str, host: HostFacts) -> Clue:
    if code == "driver_too_old":
        cuda = f", CUDA {host.driver_cuda.value}" if host.driver_cuda.known else ""
        return Clue(host.driver.source, f"driver {host.driver.value or 'unknown'}{cuda}")
    if code == "avx_missing_illegal_instruction":
        return Clue(
            host.cpu_features.source, " ".join(sorted(host.cpu_features.value or ()))[:300] or "no vector instructions"
        )
    return Clue(host.gpus.source, ", ".join(f"{gpu.name} ({gpu.compute_capability})" for gpu in host.gpus.value or ()))


def _slow_start(judged: Plan, host: HostFacts) -> Iterator[Finding]:
    slow = [item for item in judged.caveats if item.code == "ptx-jit"]
    for item in slow[:1]:
        yield Finding(
            "gpu_arch_too_new_ptx_jit",
            Certainty.CERTAIN if item.certainty in _SURE else Certainty.LIKELY,
            item.what,
            (Clue(f"matrix {judged.row.release.text}", item.source), _found("gpu_arch_too_new_ptx_jit", host)),
            (
                Fix(
                    "Let the first start take its time, and keep what it compiles",
                    ("export CUDA_CACHE_MAXSIZE=4294967296",),
                ),
                Fix("Take a release with machine code for this GPU; this names it", (_plan(host),)),
            ),
        )


CHECKS: tuple[Check, ...] = (
    Check(("driver_does_not_support_gpu",), _driver_serves),
    Check(
        ("driver_too_old", "gpu_arch_unsupported_old", "gpu_arch_too_new_ptx_jit", "avx_missing_illegal_instruction"),
        _of_plan,
    ),
)
