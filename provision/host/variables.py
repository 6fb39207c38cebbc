"""Environment variables that change which GPU is used, which libraries are loaded or how fast it goes."""

from __future__ import annotations

from collections.abc import Mapping

NAMES = (
    # which GPU
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "NVIDIA_REQUIRE_CUDA",
    "NVIDIA_DISABLE_REQUIRE",
    # which libraries
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "CUDA_HOME",
    "CUDA_PATH",
    "CUDA_ROOT",
    "CUDNN_PATH",
    "XLA_FLAGS",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONNOUSERSITE",
    # how the driver behaves
    "CUDA_CACHE_DISABLE",
    "CUDA_CACHE_PATH",
    "CUDA_CACHE_MAXSIZE",
    "CUDA_FORCE_PTX_JIT",
    "CUDA_DISABLE_PTX_JIT",
    "CUDA_DISABLE_JIT",
    "CUDA_FORCE_PRELOAD_LIBRARIES",
    "CUDA_MODULE_LOADING",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_MPS_PIPE_DIRECTORY",
    "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE",
    "NVIDIA_TF32_OVERRIDE",
    # how other tools see the machine
    "CONDA_OVERRIDE_CUDA",
    "CONDA_OVERRIDE_GLIBC",
    "UV_CUDA_DRIVER_VERSION",
    # the environment one stands in
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
)
"""Names with an effect on TensorFlow's GPU use; the source of each is its vendor's documentation."""

PREFIXES = (
    "TF_CPP_",
    "TF_CUDA",
    "TF_CUDNN_",
    "TF_DETERMINISTIC_",
    "TF_DISABLE_",
    "TF_ENABLE_",
    "TF_FORCE_",
    "TF_GPU_",
    "TF_MIN_GPU_",
    "TF_NUM_",
    "TF_PER_DEVICE_",
    "TF_USE_",
    "TF_XLA_",
    "NCCL_",
    "HERMETIC_",
)
"""TensorFlow, NCCL and hermetic CUDA builds read dozens of variables each: all that are set are kept.

Not all of ``TF_``: Terraform keeps its secrets in ``TF_VAR_…``.
"""


def relevant(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that matter, as set, sorted by name; an empty value is a value.

    Bytes that are no UTF-8 are replaced: the result is for people and JSON.
    """
    return {
        name: environ[name].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        for name in sorted(environ)
        if name in NAMES or name.startswith(PREFIXES)
    }
