"""What TensorFlow, CUDA and XLA say, as named causes: literal lines of real logs."""

from __future__ import annotations

import pytest

from provision.verify.gpu_log import cause_in_log, compiles_ptx


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (
            "W tensorflow/stream_executor/platform/default/dso_loader.cc:60] Could not load dynamic library 'libcudnn.so.8'; dlerror: libcudnn.so.8: cannot open shared object file",
            "library-not-found",
        ),
        (
            "I external/local_tsl/tsl/platform/default/dso_loader.cc:70] Could not load dynamic library 'libcusolver.so.11'; dlerror: x",
            "library-not-found",
        ),
        (
            "I tensorflow/core/common_runtime/gpu/gpu_device.cc:1973] Ignoring visible gpu device (device: 0, name: GeForce GT 730, pci bus id: 0000:01:00.0, compute capability: 3.0) with Cuda compute capability 3.0. The minimum required Cuda capability is 3.5.",
            "gpu-too-old",
        ),
        (
            "Ignoring visible gpu device (device: 1, name: Quadro K620, pci bus id: 0000:02:00.0) with core count: 3. The minimum required count is 8.",
            "gpu-too-small",
        ),
        (
            "E cuda_diagnostics.cc:313] kernel version 535.54.3 does not match DSO version 535.104.5 -- cannot find working devices in this configuration",
            "driver-library-mismatch",
        ),
        (
            "failed call to cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: system has unsupported display driver / cuda driver combination",
            "driver-library-mismatch",
        ),
        (
            "failed call to cuInit: CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE: forward compatibility was attempted on non supported HW",
            "forward-compatibility",
        ),
        (
            "Failed to load PTX text as a module: CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the provided PTX was compiled with an unsupported toolchain.",
            "ptx-too-new",
        ),
        (
            "ptxas application ptx input, line 9; fatal   : Unsupported .version 8.5; current version is '8.4'",
            "ptx-too-new",
        ),
        ("'cuLaunchKernel' failed with 'CUDA_ERROR_INVALID_PTX: a PTX JIT compilation failed'", "no-kernel-image"),
        ("InternalError: CUDA error: no kernel image is available for execution on the device", "no-kernel-image"),
        ("UNKNOWN: device kernel image is invalid", "no-kernel-image"),
        ("INTERNAL: libdevice not found at ./libdevice.10.bc", "libdevice-not-found"),
        (
            "Can't find libdevice directory ${CUDA_DIR}/nvvm/libdevice. This may result in compilation or runtime failures",
            "libdevice-not-found",
        ),
        ("INTERNAL: Couldn't invoke ptxas --version", "ptxas-not-found"),
        ("NOT_FOUND: No PTX compilation provider is available.", "ptxas-not-found"),
        (
            "Loaded runtime CuDNN library: 9.1.0 but source was compiled with: 9.3.0.  CuDNN library needs to have matching major version",
            "cudnn-too-old",
        ),
        ("Could not create cudnn handle: CUDNN_STATUS_INTERNAL_ERROR", "cudnn-failed"),
        ("UnimplementedError: DNN library is not found.", "cudnn-failed"),
        (
            "UnknownError: Failed to get convolution algorithm. This is probably because cuDNN failed to initialize",
            "cudnn-failed",
        ),
        (
            "failed to allocate 15.48G (16621240320 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
            "gpu-out-of-memory",
        ),
        ("ResourceExhaustedError: OOM when allocating tensor with shape[16384,16384]", "gpu-out-of-memory"),
        ("InternalError: Failed copying input tensor: Dst tensor is not initialized.", "gpu-out-of-memory"),
        ("failed to create cublas handle: CUBLAS_STATUS_NOT_INITIALIZED", "cublas-failed"),
        ("Attempting to perform BLAS operation using StreamExecutor without BLAS support", "cublas-failed"),
        ("CUDA_ERROR_DEVICE_UNAVAILABLE: CUDA-capable device(s) is/are busy or unavailable", "gpu-busy"),
        ("CUDA_ERROR_ECC_UNCORRECTABLE: uncorrectable ECC error encountered", "gpu-faulty"),
        ("failed call to cuInit: UNKNOWN ERROR (999)", "cuinit-failed"),
        ("Could not find cuda drivers on your machine, GPU will not be used.", "gpu-not-registered"),
        (
            "Cannot dlopen some GPU libraries. Please make sure the missing libraries mentioned above are installed properly",
            "gpu-not-registered",
        ),
    ],
)
def test_lines(line: str, code: str) -> None:
    cause = cause_in_log(f"2026-11-21: I start\n{line}\nI end\n")
    assert cause is not None, line
    assert cause.code == code
    assert cause.evidence == (line[:300],)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "I tensorflow/core/platform/cpu_feature_guard.cc:193] This TensorFlow binary is optimized with oneDNN",
        "I: could not open file to read NUMA node: /sys/bus/pci/devices/0000:01:00.0/numa_node",
        "Could not load dynamic library 'libnvinfer.so.7'; dlerror: libnvinfer.so.7: cannot open shared object file",
        "Could not load dynamic library 'libcuda.so.1'; dlerror: libcuda.so.1: cannot open shared object file",
        "Unable to register cuDNN factory: Attempting to register factory for plugin cuDNN when one has already been registered",
        "Unable to register cuBLAS factory: Attempting to register factory for plugin cuBLAS when one has already been registered",
        "TF-TRT Warning: Could not find TensorRT",
    ],
)
def test_harmless_talk_is_no_cause(line: str) -> None:
    assert cause_in_log(line) is None


def test_the_particular_wins_over_the_general() -> None:
    log = "failed call to cuInit: CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE\nCould not find cuda drivers on your machine\n"
    cause = cause_in_log(log)
    assert cause is not None
    assert cause.code == "forward-compatibility"


@pytest.mark.parametrize(
    ("line", "yes"),
    [
        (
            "W gpu_device.cc:2344] TensorFlow was not built with CUDA kernel binaries compatible with compute capability 12.0. CUDA kernels will be jit-compiled from PTX, which could take 30 minutes or longer.",
            True,
        ),
        ("I gpu_device.cc: Created device /job:localhost/replica:0/task:0/device:GPU:0", False),
    ],
)
def test_ptx(line: str, *, yes: bool) -> None:
    assert compiles_ptx(line) is yes
