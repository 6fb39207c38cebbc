"""Findings about the generation of the GPU, its memory, and what a program asks of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.doctor.log import fixes
from provision.doctor.log.seen import LIKELY, MAYBE, SURE, Seen
from provision.model.doctor import Finding, Fix

_UNITS = {"KiB": 2**-10, "MiB": 1.0, "GiB": 2.0**10}
_BUSY_SHARE = 0.25
_LITTLE_MIB = 1024
_FIRST_MAXWELL, _BLACKWELL = 5.0, 10.0
_NO_CODE = re.compile(r"EXECUTION_FAILED|ARCH_MISMATCH|launch failed|INTERNAL_ERROR", re.IGNORECASE)


def generations(seen: Seen) -> Iterator[Finding]:
    """Yield that the GPU is too old or too new for this build."""
    capability = seen.capability
    if (old := seen.all("too-old-gpu")) and not seen.has("created"):
        found, needs = old[0].fields["cc"], old[0].fields["needs"]
        what = f"the GPU has compute capability {found}, this build needs {needs} or newer"
        yield seen.finding("gpu_arch_unsupported_old", SURE, what, old, fixes.PLAN, found=found, needs=needs)
    if arch := seen.all("cudnn-arch"):
        yield seen.finding("gpu_arch_unsupported_old", LIKELY, "cuDNN has no code for this GPU", arch, fixes.PLAN)
    if jit := seen.all("jit-from-ptx", "not-built-for-gpu"):
        found = jit[0].fields.get("cc") or jit[0].fields.get("sm") or "unknown"
        what = (
            f"the GPU (compute capability {found}) is newer than this build: kernels are first compiled from PTX, "
            "which takes minutes to half an hour"
        )
        keep = Fix("wait once and keep the compiled kernels", ("export CUDA_CACHE_MAXSIZE=4294967296",))
        yield seen.finding("gpu_arch_too_new_ptx_jit", SURE, what, jit, fixes.PLAN, keep, found=found)
    newer = f"the GPU (compute capability {capability})" if capability else "the GPU"
    if image := seen.all("kernel-image-invalid", "no-kernel-image"):
        if capability is not None and capability < _FIRST_MAXWELL:
            what = f"{newer} is older than this build's kernels"
            yield seen.finding("gpu_arch_unsupported_old", LIKELY, what, image, fixes.PLAN)
        elif seen.has("kernel-image-invalid") or seen.newer_than_toolkit:
            what = f"{newer} is newer than this build's kernels, and the driver cannot make them fit"
            yield seen.finding("gpu_arch_too_new_ptx_jit", LIKELY, what, image, fixes.PLAN)
    failed = [item for item in seen.all("blas-run") if _NO_CODE.search(item.fields["status"])]
    if failed and seen.newer_than_toolkit:
        what = f"{newer} is newer than CUDA {seen.toolkit}, whose cuBLAS has no code for it"
        yield seen.finding("gpu_arch_too_new_ptx_jit", LIKELY, what, failed, fixes.PLAN)
    if (handle := seen.all("invalid-handle")) and capability and capability >= _BLACKWELL:
        what = f"{newer} is newer than this build: its kernels cannot be started"
        yield seen.finding("gpu_arch_too_new_ptx_jit", LIKELY, what, handle, fixes.PLAN)


def memory(seen: Seen) -> Iterator[Finding]:
    """Yield who lacks memory: another program holds it, or the work is too large."""
    pool = seen.all("alloc-failed")
    # CUDA's error in the line of a pool's request is the pool's, not a tensor's; and some say that they are none
    said = {line for item in pool for line in (item.line, item.line + 1)}
    said |= {line for item in seen.all("not-a-failure") for line in (item.line - 1, item.line)}
    tensors = [item for item in seen.all("out-of-memory") if item.line not in said]
    device = pool + tensors
    host = seen.all("host-alloc-failed", "host-out-of-memory")
    little = busy_at_start(seen)
    if busy := seen.all("context-oom", "devices-busy"):
        what = "the GPU has no memory left even to be opened: another process holds it"
        yield seen.finding("gpu_busy_other_process", LIKELY, what, busy, fixes.WHO_HOLDS, fixes.growth(seen))
    elif little and (device or seen.has("blas-create", "cudnn-create", "blas-alloc")):
        what = f"only {little} of the GPU's memory were free when TensorFlow started: another process holds the rest"
        signals = [*seen.all("memory-at-start")[:1], *seen.all("created")[:1], *device[:3]]
        yield seen.finding(
            "gpu_busy_other_process", LIKELY, what, signals, fixes.WHO_HOLDS, fixes.growth(seen), found=little
        )
    elif host:
        what = "the host's memory, not the GPU's, does not suffice"
        cap = Fix(
            "use fewer prefetched batches, look for a leak in the input pipeline, or cap pinned memory",
            ("export TF_GPU_HOST_MEM_LIMIT_IN_MB=4096",),
        )
        yield seen.finding("out_of_memory", LIKELY, what, host, cap)
    elif device:
        # the pool asks again for less: only a tensor that got no memory is a failure
        sure = LIKELY if tensors else MAYBE
        what = "the work needs more memory than the GPU has left"
        yield seen.finding("out_of_memory", sure, what, device, Fix("use smaller batches"), fixes.growth(seen))


def busy_at_start(seen: Seen) -> str | None:
    """Return how much memory was free at the start, where that was little."""
    for item in seen.all("memory-at-start"):
        free = float(item.fields["free"]) * _UNITS.get(item.fields["fu"], 1.0)
        total = float(item.fields["total"]) * _UNITS.get(item.fields["tu"], 1.0)
        if free < total * _BUSY_SHARE:
            return f"{item.fields['free']} {item.fields['fu']}"
    for item in seen.all("created"):
        if item.fields.get("memory") and int(item.fields["memory"]) < _LITTLE_MIB:
            return f"{item.fields['memory']} MB"
    return None


def configuration(seen: Seen) -> Iterator[Finding]:
    """Yield what the program asks for and cannot have."""
    if growth := seen.all("growth-differs", "late-configuration", "growth-virtual", "virtual-count"):
        what = "memory growth or devices are configured unequally, twice or too late"
        first = Fix("configure every GPU alike, directly after the import and before anything else of TensorFlow")
        or_so = Fix("leave it to the variable", fixes.growth(seen).commands)
        yield seen.finding("memory_growth_config_error", SURE, what, growth, first, or_so)
    if placed := seen.all("no-gpu-kernel"):
        what = "an operation that has no GPU kernel is placed on the GPU by name"
        soft = Fix("let TensorFlow place it: tf.config.set_soft_device_placement(True), or place it on /CPU:0")
        yield seen.finding("explicit_cpu_placement", SURE, what, placed, soft)


def framework(seen: Seen) -> Iterator[Finding]:
    """Yield that the GPU works and an operation fails."""
    if bad := seen.all("illegal-argument") or (seen.all("illegal-access") if seen.works else []):
        what = "the libraries are loaded and the GPU works; one operation is given arguments that it cannot serve"
        look = Fix("look at the shapes of that operation (empty batches), and report it with a small example")
        yield seen.finding("framework_bug_not_environment", LIKELY, what, bad, look)
