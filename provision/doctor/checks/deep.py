"""Checks: what TensorFlow said when ``--deep`` imported it and asked it for its GPUs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from provision.doctor.check import Check
from provision.doctor.checks.package_fixes import create_anew, exchange, tensorflow_requirement
from provision.doctor.checks.requirements import wanted_of
from provision.doctor.checks.typed import fix
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.environment_facts import EnvironmentFacts
from provision.model.remedy import Install
from provision.model.snapshot import Snapshot
from provision.model.verdict import Stage, StageStatus

_C, _L, _P = Certainty.CERTAIN, Certainty.LIKELY, Certainty.POSSIBLE

IMPORT: Mapping[str, tuple[str, Certainty]] = {
    "interpreter-broken": ("broken_interpreter", _C),
    "no-tensorflow": ("tensorflow_missing", _C),
    "tensorflow-shadowed": ("stale_import_shadow", _L),
    "library-truncated": ("damaged_install", _C),
    "library-broken": ("damaged_install", _L),
    "cpu-instructions": ("avx_missing_illegal_instruction", _C),
    "glibc-too-old": ("glibc_too_old", _C),
    "libstdcxx-too-old": ("glibc_too_old", _C),
    "protobuf-mismatch": ("protobuf_conflict", _C),
    "numpy-mismatch": ("numpy_abi_conflict", _C),
    "keras-mismatch": ("keras_conflict", _C),
    "module-missing": ("dependency_conflict", _C),
    "cpu-only-build": ("cpu_only_package", _C),
    "out-of-memory": ("host_memory_or_noexec", _C),
    "killed": ("host_memory_or_noexec", _L),
}
"""Cause of `verify`'s import stage → cause of doctor."""

DEVICE: Mapping[str, tuple[str, Certainty]] = {
    "hidden-by-cuda-visible-devices": ("visible_devices_hidden", _C),
    "library-truncated": ("damaged_install", _C),
    "library-not-found": ("missing_cuda_library", _L),
    "gpu-too-old": ("gpu_arch_unsupported_old", _C),
    "driver-library-mismatch": ("driver_library_mismatch", _C),
    "forward-compatibility": ("libcuda_stub_or_shadowed", _C),
    "ptx-too-new": ("driver_too_old", _C),
    "no-kernel-image": ("gpu_arch_too_new_ptx_jit", _L),
    "libdevice-not-found": ("ptxas_libdevice_missing", _C),
    "ptxas-not-found": ("ptxas_libdevice_missing", _C),
    "cudnn-too-old": ("cudnn_version_mismatch", _C),
    "gpu-out-of-memory": ("gpu_busy_other_process", _L),
    "gpu-busy": ("gpu_busy_other_process", _C),
    "gpu-faulty": ("hardware_fault_xid", _C),
    "cuinit-failed": ("libcuda_stub_or_shadowed", _P),
}
"""Cause of its device stage → cause of doctor."""

_TEXTS: tuple[tuple[str, str], ...] = (
    (r"typing_extensions", "typing_extensions_conflict"),
    (r"failed to map segment from shared object|cannot enable executable stack", "host_memory_or_noexec"),
    (r"lib(?:cuda|cublas|cudnn|cufft|curand|cusolver|cusparse)\w*\.so[.\d]*: cannot open", "missing_cuda_library"),
    (r"cannot open shared object file|libtensorflow\w*\.so", "damaged_install"),
    (r"cannot import name|has no attribute|unexpected keyword argument", "dependency_conflict"),
)
"""What the error itself says, where `verify` has no name for it, or one that means several causes here."""
_PACKAGES: Mapping[str, str] = {
    "protobuf_conflict": "protobuf",
    "numpy_abi_conflict": "numpy",
    "keras_conflict": "keras",
    "typing_extensions_conflict": "typing-extensions",
}
_MODULE = re.compile(r"No module named '([\w.]+)'")
_UNNAMED = ("import-failed", "library-not-found", "keras-fit-failed", "cpu-compute-failed", "library-broken")


def _imported(snapshot: Snapshot) -> Iterator[Finding]:
    """TensorFlow does not import, or not what was meant."""
    seen = snapshot.environment
    stage = seen.deep_import if seen else None
    if seen is None or stage is None or stage.status is not StageStatus.FAILED:
        return
    code, certainty = IMPORT.get(stage.cause, ("", _L))
    if stage.cause in _UNNAMED:
        text = "\n".join((stage.summary, *stage.details))
        code = next((name for pattern, name in _TEXTS if re.search(pattern, text)), code)
    if code:
        yield _finding(code, certainty, stage, _import_fixes(seen, code, stage))


def _listed(snapshot: Snapshot) -> Iterator[Finding]:
    """TensorFlow lists fewer GPUs than there are."""
    seen = snapshot.environment
    stage = seen.deep_device if seen else None
    if seen is None or stage is None or stage.status is not StageStatus.FAILED:
        return
    code, certainty = DEVICE.get(stage.cause, ("", _L))
    gate = seen.gate
    if code == "missing_cuda_library" and gate is not None and gate.libraries:
        # The loader itself was asked, library by library: it says which and why.
        return
    if code:
        yield _finding(code, certainty, stage, ())


def _finding(code: str, certainty: Certainty, stage: Stage, fixes: tuple[Fix, ...]) -> Finding:
    # The error itself before the lines that lead to it.
    lines = sorted(
        (line for line in stage.details if not line.startswith("hint: ")), key=lambda line: "Error" not in line
    )
    hints = [line.removeprefix("hint: ") for line in stage.details if line.startswith("hint: ")]
    return Finding(
        code,
        certainty,
        stage.summary,
        tuple(Clue(f"{stage.level.value} of TensorFlow in a child", line[:300]) for line in lines or [stage.summary]),
        fixes or tuple(Fix(hint[:1].upper() + hint[1:]) for hint in hints),
        data={"stage": stage.level.value, "cause": stage.cause},
    )


def _import_fixes(seen: EnvironmentFacts, code: str, stage: Stage) -> tuple[Fix, ...]:
    """Return commands for this environment; none where its TensorFlow is not known, then verify's hint stands."""
    release = seen.distribution.version if seen.distribution else ""
    if not release:
        return ()
    missing = _MODULE.search("\n".join(stage.details))
    name = _PACKAGES.get(code, "") or (missing[1].split(".")[0].replace("_", "-") if missing else "")
    wanted = wanted_of(seen, name) if name else ""
    if code in _PACKAGES or (code == "dependency_conflict" and wanted != name):
        # verify's hint names bounds of old releases; what this one asks for stands in its metadata.
        return (*exchange(seen, wanted, name), create_anew(seen, release))
    if code in ("damaged_install", "dependency_conflict"):
        again = Install((tensorflow_requirement(release),), again=code == "damaged_install")
        return (fix(seen, "Install TensorFlow and what it needs again", again), create_anew(seen, release))
    return ()


CHECKS: tuple[Check, ...] = (
    Check(
        tuple(dict.fromkeys((*(code for code, _ in IMPORT.values()), *(code for _, code in _TEXTS)))),
        _imported,
    ),
    Check(tuple(dict.fromkeys(code for code, _ in DEVICE.values())), _listed),
)
