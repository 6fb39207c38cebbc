"""One line for each category that was looked at: what is wrong there, else what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from provision.model.doctor import Category, Finding, Line
from provision.model.environment_facts import EnvironmentFacts
from provision.model.host import DriverState, Gpu, HostFacts
from provision.model.machine import MachineFacts
from provision.model.plan import GpuService, Plan
from provision.model.snapshot import Snapshot
from provision.model.verdict import StageStatus

OK, FAULT, NOTE, UNKNOWN = "ok", "fault", "note", "unknown"
_MIB = 1024
_HEALTHY = (DriverState.WORKING, DriverState.NO_GPU)
_SHOWN = 4


def lines_of(snapshot: Snapshot, findings: Sequence[Finding]) -> tuple[Line, ...]:
    """Return the lines in the order of the categories; one that nothing was looked at for has none."""
    return tuple(line for category in Category if (line := _line(category, snapshot, findings)) is not None)


def _line(category: Category, snapshot: Snapshot, findings: Sequence[Finding]) -> Line | None:
    own = [item for item in findings if item.category is category]
    faults = [item for item in own if item.is_fault]
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return Line(category, FAULT, f"{faults[0].summary}{more}")
    said = _OTHERWISE[category](snapshot)
    if own:
        return Line(category, NOTE, own[0].summary)
    return Line(category, *said) if said else None


Said = tuple[str, str] | None


def _driver(snapshot: Snapshot) -> Said:
    host = snapshot.host
    if host is None:
        return None
    if host.driver_state is DriverState.NO_GPU:
        return NOTE, "none, and no NVIDIA GPU"
    if host.driver.value is None:
        return UNKNOWN, host.driver_state_why or "version unknown"
    cuda = f", CUDA {host.driver_cuda.value}" if host.driver_cuda.known else ""
    state = OK if host.driver_state is DriverState.WORKING else NOTE
    why = "" if state == OK else f" ({host.driver_state_why})"
    return state, f"{host.driver.value}{cuda}{why}"


def _gpu(snapshot: Snapshot) -> Said:
    host = snapshot.host
    if host is None:
        return None
    if host.gpus.value is None:
        return UNKNOWN, host.driver_state_why or "unknown"
    if not host.gpus.value:
        return NOTE, "none"
    served = {item.gpu: item.service for item in snapshot.judged.gpus} if isinstance(snapshot.judged, Plan) else {}
    return OK, "; ".join(_one_gpu(gpu, served) for gpu in host.gpus.value)


def _one_gpu(gpu: Gpu, served: Mapping[Gpu, GpuService]) -> str:
    more = [] if "compute capability" in gpu.name else [f"compute capability {gpu.compute_capability or 'unknown'}"]
    more += [f"{gpu.memory_mib / _MIB:.0f} GiB"] if gpu.memory_mib else []
    more += ["compiled on first use"] if served.get(gpu) is GpuService.JIT else []
    return f"{gpu.name} ({', '.join(more)})" if more else gpu.name


def _python(snapshot: Snapshot) -> Said:
    seen = snapshot.environment
    if seen is None:
        return None
    if seen.python is None:
        return UNKNOWN, "it does not run"
    kind = f", {seen.env.kind}" if seen.env else ""
    glibc = f", glibc {seen.glibc}" if seen.glibc else ""
    return OK, f"{seen.python}{glibc}{kind}"


def _packages(snapshot: Snapshot) -> Said:
    seen = snapshot.environment
    if seen is None or seen.env is None:
        return None
    name = f"{seen.distribution.name} {seen.distribution.version}" if seen.distribution else "no TensorFlow"
    looked = f", {seen.checked} files looked at" if seen.checked else ""
    imports = seen.deep_import is not None and seen.deep_import.status is StageStatus.PASSED
    return (
        OK if seen.distribution else NOTE,
        f"{name}, {len(seen.packages)} packages{looked}{', imports' if imports else ''}",
    )


def _cuda(snapshot: Snapshot) -> Said:
    seen = _with_tensorflow(snapshot)
    if seen is None:
        return None
    if seen.cuda_build is False:
        return NOTE, "built without CUDA"
    built = f"built against CUDA {seen.built_cuda}; " if seen.built_cuda else ""
    if seen.gate is not None and seen.gate.ended:
        return UNKNOWN, f"{built}TensorFlow's loader ended: {seen.gate.ended}"
    if seen.gate is None or not seen.gate.libraries:
        return UNKNOWN, f"{built}the loader gave no answer"
    count = len(seen.gate.libraries)
    found = [item for item in seen.gate.libraries if item.file]
    inside = sum(item.inside for item in found)
    where = "in the environment" if inside == len(found) else f"{inside} of them in the environment"
    versions = [f"{item.soname.split('.so')[0]} {item.version}" for item in found if item.version]
    named = f" ({', '.join(versions[:_SHOWN])}{' …' if len(versions) > _SHOWN else ''})" if versions else ""
    state = OK if len(found) == count else NOTE
    return state, f"{built}{len(found)} of {count} libraries found, {where}{named}"


def _cudnn(snapshot: Snapshot) -> Said:
    seen = _with_tensorflow(snapshot)
    if seen is None or seen.cuda_build is False:
        return None
    built = f"built against cuDNN {seen.built_cudnn}; " if seen.built_cudnn else ""
    library = seen.gate.library("libcudnn") if seen.gate else None
    if library is None:
        return UNKNOWN, f"{built}the loader gave no answer"
    if library.file is None:
        return NOTE, f"{built}found none"
    return OK, f"{built}found {library.version or library.file}{' in the environment' if library.inside else ''}"


def _xla(snapshot: Snapshot) -> Said:
    seen = _with_tensorflow(snapshot)
    if seen is None or seen.cuda_build is False or not seen.tools:
        return None
    parts = [f"{tool.name} {'found' if tool.found else 'not found'}" for tool in seen.tools]
    return (OK if all(tool.found for tool in seen.tools) else NOTE), ", ".join(parts)


def _variables(snapshot: Snapshot) -> Said:
    if snapshot.host is None or snapshot.host.described:
        return None
    names = [name for name in snapshot.host.variables if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")]
    shown = ", ".join(f"{name}={snapshot.host.variables[name]}" for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return OK, f"{shown}{more}" if names else "none set that changes GPU use"


def _container(snapshot: Snapshot) -> Said:
    host = snapshot.host
    if host is None or (host.described and not (host.container.value or host.wsl.value)):
        return None
    if not (host.container.value or host.wsl.value):
        return OK, "no container, no WSL"
    parts = ["WSL"] if host.wsl.value else []
    if host.container.value:
        passed = {True: ", GPU passed in", False: ", no GPU passed in", None: ""}[host.container.value.gpu_passed]
        parts.append(f"{host.container.value.kind}{passed}")
    return OK, "; ".join(parts)


def _resources(snapshot: Snapshot) -> Said:
    parts = [*_gpu_memory(snapshot.host), *_memory(snapshot.machine)]
    return (OK, ", ".join(parts)) if parts else None


def _gpu_memory(host: HostFacts | None) -> Iterable[str]:
    for gpu in (host.gpus.value or ()) if host else ():
        if gpu.memory_mib and gpu.memory_used_mib is not None:
            free = (gpu.memory_mib - gpu.memory_used_mib) / _MIB
            yield f"{free:.1f} of {gpu.memory_mib / _MIB:.1f} GiB free on {gpu.name}"


def _memory(machine: MachineFacts | None) -> Iterable[str]:
    if machine is None:
        return
    limits = [value for value in (machine.memory_mib, machine.memory_limit_mib) if value]
    if limits:
        yield f"{min(limits) / _MIB:.1f} GiB of memory"
    disk = machine.mount("environment") or machine.mount("temporary")
    if disk is not None and disk.free_mib is not None:
        yield f"{disk.free_mib / _MIB:.1f} GiB of disk free"


def _code(snapshot: Snapshot) -> Said:
    script = snapshot.script
    if script is None:
        return None
    files = f"{script.files} {'file' if script.files == 1 else 'files'}"
    if any(remark.kind in ("unparsable", "left-out") for remark in script.remarks):
        return UNKNOWN, f"{files} read, not all of it could be understood"
    return OK, f"{files} read, nothing that keeps TensorFlow from a GPU"


def _with_tensorflow(snapshot: Snapshot) -> EnvironmentFacts | None:
    seen = snapshot.environment
    return seen if seen is not None and seen.env is not None and seen.tensorflow else None


_OTHERWISE: Mapping[Category, Callable[[Snapshot], Said]] = {
    Category.DRIVER: _driver,
    Category.GPU: _gpu,
    Category.PYTHON: _python,
    Category.PACKAGES: _packages,
    Category.CUDA: _cuda,
    Category.CUDNN: _cudnn,
    Category.XLA: _xla,
    Category.VARIABLES: _variables,
    Category.CONTAINER: _container,
    Category.RESOURCES: _resources,
    Category.CODE: _code,
}
