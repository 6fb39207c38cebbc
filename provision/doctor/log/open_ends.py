"""Messages that several causes share: what cannot be told from the log, and the command that would tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provision.doctor.log.seen import Seen
from provision.model.doctor import Finding, Unsure

_DOCTOR = "tfgpu-provision doctor ENV"

# families, what is open, command
_ENDS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("cannot-dlopen", "runtime-version-unread", "no-cuda-libraries", "skipping-gpus"),
        "which CUDA library was not found: the log names none",
        _DOCTOR,
    ),
    (
        ("no-kernel-driver",),
        "whether this machine, or the host of this container, has an NVIDIA GPU",
        "lspci -nn | grep -i nvidia",
    ),
    (("no-device-node",), "whether the GPU was handed to this container or job", "ls -l /dev/nvidia*"),
    (
        ("no-device",),
        "why the driver sees no GPU: it is hidden, not handed to this container, or not there",
        "nvidia-smi -L; echo $CUDA_VISIBLE_DEVICES",
    ),
    (
        ("cuinit", "device-attribute", "forward-compat", "not-ready", "libcuda-missing"),
        "why the driver does not start: several causes say the same",
        "nvidia-smi; sudo dmesg | grep -iE 'nvrm|nvidia'",
    ),
    (
        ("smi-no-driver", "nvml-not-loaded", "modprobe", "rm-init"),
        "why the kernel module is not loaded: not installed, not built for this kernel, not signed, or nouveau",
        "lsmod | grep -iE 'nvidia|nouveau'; dkms status; mokutil --sb-state; sudo dmesg | grep -i nvrm",
    ),
    (
        ("nvml-unknown", "nvml-library", "nvml-blocked", "smi-no-devices", "smi-not-found"),
        "whether the driver works outside of this container or shell",
        "nvidia-smi",
    ),
    (
        ("import-so", "unfound-so", "dlopen-failed"),
        "whether the library is absent or only not on the loader's path",
        _DOCTOR,
    ),
    (
        ("conda-no-cuda",),
        "whether the machine on which conda solves has a working driver",
        "nvidia-smi; conda info | grep __cuda",
    ),
    (
        ("no-version", "no-distribution", "uv-unsatisfiable", "conda-missing", "conda-unsatisfiable"),
        "whether Python's version, the system or the package's name is the reason",
        "python --version; python -c 'import platform; print(platform.platform())'; python -m pip --version",
    ),
    (
        ("no-kernel-image", "blas-run"),
        "whether this build has code for this GPU",
        "nvidia-smi --query-gpu=name,compute_cap --format=csv",
    ),
    (
        ("context-refused",),
        "whether another process holds the GPU alone (compute mode), or it is at fault",
        "nvidia-smi -q -d COMPUTE",
    ),
    (
        ("blas-create", "cudnn-error", "cudnn-absent"),
        "whether the GPU's memory was taken when the program started",
        "nvidia-smi",
    ),
    (("xid",), "whether the program or the hardware caused the Xid", "sudo dmesg | grep -i xid"),
    (("no-gpu-to-place-on", "none-listed"), "why TensorFlow registered no GPU: the log starts too late", _DOCTOR),
    (
        ("segfault", "launch-failed", "illegal-access", "undefined-symbol", "static-tls", "native-runtime"),
        "which library the program died in",
        f"{_DOCTOR} --deep",
    ),
    (("killed",), "what killed the program: mostly that the host's memory was full", "sudo dmesg | grep -i oom"),
    (
        ("traceback", "tensorflow-empty", "no-tensorflow-part", "container-cli", "invalid-device"),
        "what the error comes from: no line of the log decides it",
        f"{_DOCTOR} --deep",
    ),
)


def open_ends(seen: Seen, possible: Sequence[Finding]) -> Iterator[Unsure]:
    """Yield one answer for each group of messages that is there, the most telling first, three at most.

    Args:
        seen: the log.
        possible: causes that would fit; they are asked about where no group of messages is there.
    """
    if seen.works:
        return
    there = [
        Unsure(what, command)
        for families, what, command in _ENDS
        if seen.has(*families) and (seen.missing or "dlopen-failed" not in families)
    ]
    there = there or [Unsure(f"whether {item.summary}", _look(item)) for item in possible]
    yield from there[:3]
    if not there and not seen.log.signals:
        yield Unsure("anything: this log holds no known message", _DOCTOR)


def _look(finding: Finding) -> str:
    return next((command for fix in finding.fixes for command in fix.commands if not fix.root), _DOCTOR)
