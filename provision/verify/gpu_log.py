"""What TensorFlow, CUDA and XLA say when a GPU cannot be used, as named causes."""

from __future__ import annotations

import re

from provision.verify.answer import Said
from provision.verify.causes import Cause, cause_of_ending

_TABLE: tuple[tuple[str, str, str, str], ...] = (
    (
        r"Could not load dynamic library '(?!libcuda\.so|libnv(?!rtc|JitLink)|libcupti|libnccl)[^']+'",
        "library-not-found",
        "TensorFlow does not find a CUDA library",
        "`tfgpu-provision verify --level gate` says which, and where it was looked for",
    ),
    (
        r"Ignoring visible gpu device .*[Cc]uda compute capability [\d.]+\. The minimum required",
        "gpu-too-old",
        "TensorFlow leaves out a GPU: its compute capability is below what the build supports",
        "`tfgpu-provision matrix list` shows which releases serve this GPU",
    ),
    (
        r"Ignoring visible gpu device .*core count",
        "gpu-too-small",
        "TensorFlow leaves out a GPU with few multiprocessors",
        "set TF_MIN_GPU_MULTIPROCESSOR_COUNT to its number to use it all the same",
    ),
    (
        r"kernel version [\d.]+ does not match DSO version [\d.]+.*",
        "driver-library-mismatch",
        "the loaded kernel module and the driver's libraries are of different versions",
        "restart the machine, or reload the nvidia kernel modules",
    ),
    (
        r"(?:CUDA_ERROR_SYSTEM_DRIVER_MISMATCH|Failed to initialize NVML: Driver/library version mismatch).*",
        "driver-library-mismatch",
        "the loaded kernel module and the driver's libraries are of different versions",
        "restart the machine, or reload the nvidia kernel modules",
    ),
    (
        r"CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE.*|forward compatibility was attempted on non supported HW.*",
        "forward-compatibility",
        "a cuda-compat libcuda is in use on hardware that does not support it",
        "take the cuda-compat folder out of LD_LIBRARY_PATH",
    ),
    (
        r".*(?:unsupported toolchain|CUDA_ERROR_UNSUPPORTED_PTX_VERSION|Unsupported \.version).*",
        "ptx-too-new",
        "the driver is too old to compile the PTX of this build for this GPU",
        "update the driver: minor-version compatibility does not cover PTX",
    ),
    (
        (
            r".*(?:no kernel image is available|CUDA_ERROR_NO_BINARY_FOR_GPU|device kernel image is invalid"
            r"|CUDA_ERROR_INVALID_IMAGE|CUDA_ERROR_INVALID_PTX).*"
        ),
        "no-kernel-image",
        "the build has neither machine code nor usable PTX for this GPU",
        "`tfgpu-provision matrix list` shows which releases serve this GPU",
    ),
    (
        r".*(?:libdevice not found at|Can't find libdevice directory|libdevice\.10\.bc).*",
        "libdevice-not-found",
        "XLA does not find libdevice",
        "it comes with the nvidia-cuda-nvcc wheel; XLA_FLAGS=--xla_gpu_cuda_data_dir=… names its folder",
    ),
    (
        (
            r".*(?:[Cc]ouldn't (?:get|invoke) ptxas|No PTX compilation provider|ptxas.*not found|Cannot find ptxas"
            r"|[Ff]ailed to find ptxas|No such file.*ptxas|ptxas.*No such file).*"
        ),
        "ptxas-not-found",
        "XLA does not find ptxas",
        "it comes with the nvidia-cuda-nvcc wheel; XLA_FLAGS=--xla_gpu_cuda_data_dir=… names its folder",
    ),
    (
        r".*Loaded runtime CuDNN library: [\d.]+ but source was compiled with: [\d.]+.*",
        "cudnn-too-old",
        "the cuDNN that answers is older than the one TensorFlow was built with",
        "install a cuDNN wheel of the same major and at least the same minor",
    ),
    (
        (
            r".*(?:Could not create cudnn handle|DNN library (?:is not found|initialization failed)"
            r"|CUDNN_STATUS_\w+|Failed to get convolution algorithm|No DNN in stream executor).*"
        ),
        "cudnn-failed",
        "cuDNN does not work on this GPU",
        "another process may hold the GPU's memory, or this cuDNN has no code for the GPU",
    ),
    (
        (
            r".*(?:CUDA_ERROR_OUT_OF_MEMORY|OOM when allocating|ResourceExhausted|Dst tensor is not initialized"
            r"|out of memory).*"
        ),
        "gpu-out-of-memory",
        "the GPU has no memory left",
        "`nvidia-smi` shows what else runs on it",
    ),
    (
        (
            r".*(?:CUBLAS_STATUS_\w+|failed to create cublas handle|Blas (?:xGEMM|GEMM|SGEMM) launch failed"
            r"|Attempting to perform BLAS operation).*"
        ),
        "cublas-failed",
        "cuBLAS does not work on this GPU",
        "another process may hold the GPU's memory, or the library has no code for the GPU",
    ),
    (
        r".*(?:CUDA_ERROR_DEVICE_UNAVAILABLE|all CUDA-capable devices are busy|CUDA_ERROR_DEVICES_UNAVAILABLE).*",
        "gpu-busy",
        "the GPU is in exclusive use by another process",
        "wait for it, or use another GPU",
    ),
    (
        r".*(?:CUDA_ERROR_ECC_UNCORRECTABLE|CUDA_ERROR_HARDWARE_STACK_ERROR|GPU is lost|CUDA_ERROR_CONTAINED).*",
        "gpu-faulty",
        "the GPU reports a hardware error",
        "`nvidia-smi -q` and the kernel log say more",
    ),
    (
        r".*(?:failed call to cuInit|cuInit).*",
        "cuinit-failed",
        "the driver does not start up in this process",
        "`tfgpu-provision host` says what is wrong with it",
    ),
    (
        r".*Could not find cuda drivers on your machine.*|.*Cannot dlopen some GPU libraries.*",
        "gpu-not-registered",
        "TensorFlow registers no GPU",
        "`tfgpu-provision verify --level gate` says which library is missing",
    ),
)

_JIT = re.compile(
    r".*(?:not built with CUDA kernel binaries compatible with compute capability|jit-compiled from PTX).*"
)


def cause_in_log(text: str) -> Cause | None:
    """Return the first cause of the table that the text shows, with the line as evidence, None where none does."""
    for pattern, code, what, hint in _TABLE:
        match = re.search(pattern, text)
        if match:
            begin, end = text.rfind("\n", 0, match.start()) + 1, text.find("\n", match.end())
            line = text[begin : end if end >= 0 else len(text)].strip()
            return Cause(code, what, hint, (line[:300],))
    return None


def compiles_ptx(text: str) -> bool:
    """Whether TensorFlow says that it has no machine code for a GPU and its driver compiles PTX."""
    return _JIT.search(text) is not None


def broken(said: Said, code: str) -> Cause | None:
    """Return why a probe that works on a GPU did not come to its end, None where it did.

    Args:
        said: its answer.
        code: the code where neither the error nor the log has a name of its own.
    """
    error = said.get("error")
    if error:
        # The error itself first: the log also holds what went wrong on the way to something that worked.
        named = cause_in_log(str(error)) or cause_in_log(said.log)
        return named or Cause(code, f"it fails in step {said.get('step')!r}: {str(error)[:200]}")
    ending = cause_of_ending(said)
    if ending:
        named = cause_in_log(said.log) if ending.code in ("aborted", "probe-failed") else None
        chosen = named or ending
        return Cause(chosen.code, f"{chosen.what} (step {said.get('step')!r})", chosen.hint, chosen.evidence)
    if said.get("step") != "done":
        return Cause("no-answer", "the check in the environment ended without an answer")
    return None
