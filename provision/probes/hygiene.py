"""The environment variables a probe runs with: what the user has, less what would bend the answer.

What was taken out is recorded, so that a report can name it. ``CUDA_VISIBLE_DEVICES`` and ``LD_LIBRARY_PATH`` stay:
they are part of the question. Sources: CUDA programming guide (environment variables), TensorFlow's GPU guide and
the strings inside the TensorFlow wheels.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

DROPPED: Mapping[str, str] = {
    "CUDA_DISABLE_JIT": "stops the driver from compiling PTX",
    "CUDA_DISABLE_PTX_JIT": "stops the driver from compiling PTX",
    "CUDA_FORCE_PTX_JIT": "makes the driver ignore machine code",
    "CUDA_LAUNCH_BLOCKING": "makes every kernel wait",
    "LD_AUDIT": "puts itself between the loader and the libraries",
    "LD_DEBUG": "writes into the output",
    "LD_DEBUG_OUTPUT": "writes into the output",
    "LD_PRELOAD": "loads libraries before all others",
    "NVIDIA_TF32_OVERRIDE": "switches TF32 off whatever TensorFlow asks",
    "PYTHONHOME": "points Python at another library",
    "PYTHONPATH": "puts other packages first",
    "PYTHONSTARTUP": "runs code of its own",
    "TF_CPP_MAX_VLOG_LEVEL": "floods the log",
    "TF_CPP_MIN_LOG_LEVEL": "hides TensorFlow's diagnosis",
    "TF_CPP_VMODULE": "changes what is logged",
    "TF_CUDNN_DETERMINISTIC": "chooses slower kernels",
    "TF_CUDNN_USE_AUTOTUNE": "chooses slower kernels",
    "TF_DETERMINISTIC_OPS": "chooses slower kernels",
    "TF_ENABLE_CUBLAS_TENSOR_OP_MATH_FP32": "computes float32 products in half precision",
    "TF_ENABLE_CUDNN_TENSOR_OP_MATH_FP32": "computes float32 convolutions in half precision",
    "TF_USE_CUBLASLT": "keeps the first arithmetic of a product's shape, whatever is asked later about TF32",
    "TF_USE_LEGACY_KERAS": "swaps Keras for another package",
    "TF_XLA_FLAGS": "changes what is compiled",
    "XLA_FLAGS": "changes what is compiled and where ptxas is looked for",
}
"""Variables that a probe runs without, and what each of them does to the answer."""

RECORDED = ("CUDA_CACHE_DISABLE", "CUDA_CACHE_PATH", "CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH",
            "NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_VISIBLE_DEVICES", "TF_GPU_ALLOCATOR")  # fmt: skip
"""Variables that are kept and change how a GPU is reached."""

_BENDS = ("TFGPU_NO_PRELOAD", "GLIBC_TUNABLES")
"""Variables beside those of the loader (``LD_…``) that change which file answers."""

_FORCED: Mapping[str, str] = {
    "PYTHONNOUSERSITE": "1",
    "PYTHONIOENCODING": "utf-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "TF_CPP_MIN_LOG_LEVEL": "0",
    "TF_CPP_VMODULE": "dso_loader=1",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}


@dataclass(frozen=True)
class GuestEnviron:
    """What a probe runs with.

    Attributes:
        values: its whole environment.
        dropped: the user's variables that were left out, with their values.
        kept: the user's variables that change how a GPU is reached and were kept, with their values.
    """

    values: Mapping[str, str]
    dropped: Mapping[str, str]
    kept: Mapping[str, str]


def guest_environ(environ: Mapping[str, str], extra: Mapping[str, str] | None = None) -> GuestEnviron:
    """Return the user's environment as a probe gets it, with ``extra`` on top."""
    dropped = {name: environ[name] for name in sorted(DROPPED) if name in environ}
    kept = {name: environ[name] for name in RECORDED if name in environ}
    values = {name: value for name, value in environ.items() if name not in DROPPED}
    return GuestEnviron({**values, **_FORCED, **(extra or {})}, dropped, kept)


def bends_the_loader(variables: Mapping[str, str]) -> bool:
    """Whether the loader may find other libraries under these variables than under `bare_environ`."""
    return any(value and (name.startswith("LD_") or name in _BENDS) for name, value in variables.items())


def bare_environ() -> Mapping[str, str]:
    """Return what ``env -i`` leaves, plus what every probe gets: how cron, an IDE or a Jupyter kernel may start it."""
    return {"PATH": os.defpath, "LANG": "C.UTF-8", **_FORCED}
