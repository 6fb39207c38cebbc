"""Signals of a log → findings: which of several messages is decisive."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from provision.doctor.log.judge import containers, driver, gpus, imports, installers, kernel, libraries
from provision.doctor.log.open_ends import open_ends
from provision.doctor.log.placed import placed_finding, placed_unsure
from provision.doctor.log.seen import Seen
from provision.model.doctor import Certainty, Finding, Role, Unsure
from provision.model.snapshot import Snapshot

# Root first: what stands earlier explains what stands later. What was never installed before what does not import,
# the machine's kernel before its driver, the driver before the libraries, and what one operation says last.
_RULES: tuple[Callable[[Seen], Iterator[Finding]], ...] = (
    installers.installation,
    imports.system,
    imports.symbols,
    imports.windows,
    imports.packages,
    imports.whose,
    kernel.modules,
    kernel.hardware,
    kernel.mismatch,
    driver.impostor,
    driver.daemons,
    containers.hidden,
    containers.engines,
    containers.without_gpu,
    driver.elsewhere,
    installers.builds,
    driver.absent,
    kernel.rights,
    driver.too_old,
    gpus.generations,
    libraries.cudnn,
    libraries.missing,
    libraries.tools,
    gpus.configuration,
    gpus.memory,
    libraries.blas,
    gpus.framework,
    installers.conflicts,
)

_NO_GPU = "cpu_only_machine"
CODES: tuple[str, ...] = (
    "and_cuda_extra_unsatisfiable",
    "avx_missing_illegal_instruction",
    "broken_official_image",
    "conflicting_tf_packages",
    "container_runtime_missing",
    "cpu_only_machine",
    "cpu_only_package",
    "cublas_init_failed_memory",
    "cudnn_init_failed_memory",
    "cudnn_version_mismatch",
    "damaged_install",
    "dependency_conflict",
    "device_node_permission",
    "disk_full",
    "driver_does_not_support_gpu",
    "driver_library_mismatch",
    "driver_missing",
    "driver_too_old",
    "driver_unloaded_needs_reboot",
    "explicit_cpu_placement",
    "fabric_manager_missing",
    "framework_bug_not_environment",
    "framework_conflict_pytorch",
    "glibc_too_old",
    "gpu_arch_too_new_ptx_jit",
    "gpu_arch_unsupported_old",
    "gpu_busy_other_process",
    "hardware_fault_xid",
    "host_memory_or_noexec",
    "keras_conflict",
    "ld_library_path_conflict",
    "ld_library_path_wrong",
    "libcuda_stub_or_shadowed",
    "libcusolver_soname_24",
    "memory_growth_config_error",
    "missing_cuda_library",
    "missing_cudnn",
    "msvc_or_dll_load_failed",
    "no_nvidia_gpu",
    "numpy_abi_conflict",
    "out_of_memory",
    "platform_unsupported",
    "protobuf_conflict",
    "ptxas_libdevice_missing",
    "python_version_unsupported",
    "secure_boot_or_nouveau",
    "stale_import_shadow",
    "tensorflow_gpu_package_removed",
    "tensorflow_missing",
    "typing_extensions_conflict",
    "visible_devices_hidden",
    "wheel_rpath_bug",
    "windows_native_unsupported",
    "wrong_cuda_version",
    "wsl_libcuda_missing",
)
"""Every cause that a log can show."""


def findings(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield what the log shows; nothing where it shows no fault or does not tell.

    The first finding that is certain or likely is the root; it explains every other one of the log.
    """
    if snapshot.log is None:
        return
    found = _found(Seen(snapshot.log, snapshot.matrix))
    env = snapshot.environment.env if snapshot.environment else None
    yield from (placed_finding(item, env) if env else item for item in _related(found))


def _related(found: list[Finding]) -> Iterator[Finding]:
    root = next((item for item in found if _counts(item)), None)
    for item in found:
        if item is root:
            others = (other.code for other in found if other.code != item.code and _counts(other))
            yield dataclasses.replace(item, explains=tuple(dict.fromkeys((*item.explains, *others))))
        elif root is not None and root.code == _NO_GPU:
            # what is not found on a machine without a GPU is not missed there
            yield dataclasses.replace(item, certainty=Certainty.POSSIBLE, role=Role.HARMLESS)
        else:
            yield item


def unsure(snapshot: Snapshot) -> tuple[Unsure, ...]:
    """Return what the log leaves open, and the command that would tell; empty where it names a cause or a GPU."""
    if snapshot.log is None:
        return ()
    seen = Seen(snapshot.log, snapshot.matrix)
    found = _found(seen)
    if any(_counts(item) for item in found):
        return ()
    env = snapshot.environment.env if snapshot.environment else None
    return tuple(placed_unsure(item, env) if env else item for item in open_ends(seen, found))


def _found(seen: Seen) -> list[Finding]:
    return [item for rule in _RULES for item in rule(seen)]


def _counts(finding: Finding) -> bool:
    return finding.certainty is not Certainty.POSSIBLE
