"""Messages about the driver: cuInit, TensorFlow's diagnostics of it, and CUDA's own errors."""

from __future__ import annotations

from provision.doctor.log.family import Family, family

_VERSION = r"(?P<version>\d+(?:\.\d+)+)"

FAMILIES: tuple[Family, ...] = (
    family(
        "cuinit",
        r"failed call to cuInit: (?:INTERNAL: )?(?:CUDA error: )?(?:failed call to cuInit: )?"
        r"(?P<error>CUDA_ERROR_\w+|CUresult\(-?\d+\)|UNKNOWN ERROR \(-?\d+\)|[^\n:]{1,60})",
        "cuinit",
    ),
    family("cuinit", r"\bcuInit\b[^\n]{0,40}?(?:returned|failed|error|->|=)[^\n]{0,12}?(?P<error>\d{1,3})\b", "cuinit"),
    family(
        "no-kernel-driver",
        r"kernel driver does not appear to be (?:running|installed) on this host(?: \((?P<host>[^)\n]*)\))?",
        "kernel driver",
    ),
    family(
        "no-device-node",
        r"no NVIDIA GPU device is present: (?P<node>/dev/nvidia\d*) does not exist",
        "nvidia gpu device",
    ),
    family("libcuda-version", rf"libcuda reported version is: (?:{_VERSION}|(?P<error>[^\n]+))", "libcuda reported"),
    family("kernel-version", rf"kernel reported version is: (?:{_VERSION}|(?P<error>[^\n]+))", "kernel reported"),
    family(
        "version-mismatch",
        r"kernel version (?P<kernel>[\d.]+) does not match DSO version (?P<library>[\d.]+)",
        "match dso",
    ),
    family("version-match", rf"kernel version seems to match DSO: {_VERSION}", "match dso"),
    family(
        "libcuda-missing", r"unable to find libcuda\.so DSO|failed to find libcuda\.so on this system", "libcuda.so"
    ),
    family("diagnostic-host", r"(?:diagnostic information for host|hostname): (?P<host>[\w.\-]+)", "hostname|for host"),
    family(
        "variable",
        r"\b(?P<variable>CUDA_VISIBLE_DEVICES|NVIDIA_VISIBLE_DEVICES|CUDA_DEVICE_ORDER)(?:[\"']\])? ?[=:] ?"
        r"(?P<quote>[\"']?)(?P<value>[\w,\-]*)(?P=quote)",
        "_visible_devices",
    ),
    family(
        "variable",
        r"echo [\"']?\$\{?(?P<variable>CUDA_VISIBLE_DEVICES)\}?[\"']?[^\S\n]*\n\s*(?P<quote>)"
        r"(?P<value>-1|NoDevFiles|\d[\d,]*)[^\S\n]*(?=\n|\Z)",
        "cuda_visible_devices",
    ),
    family("hidden", r"CUDA_VISIBLE_DEVICES is set to (?P<value>\S+) - this hides all GPUs", "hides all"),
    family("insufficient-driver", r"CUDA driver version is insufficient for CUDA runtime version", "insufficient for"),
    family("insufficient-driver", r"cudaErrorInsufficientDriver", "insufficientdriver"),
    family("insufficient-driver", rf"possibly insufficient driver version: {_VERSION}", "insufficient driver"),
    family(
        "insufficient-driver",
        r"NVIDIA driver on your system is too old(?: \(found version (?P<version>\d+)\))?",
        "too old",
    ),
    family("insufficient-driver", r"CUDA driver [^\n]{0,60}(?:is )?too old|driver version is too old", "too old"),
    family(
        "insufficient-driver",
        r"unsatisfied condition: (?P<needs>[a-z]+ ?[<>=]+ ?[\w.]+)",
        "unsatisfied",
        kind="docker",
    ),
    family(
        "insufficient-driver",
        r"CUDA_ERROR_UNSUPPORTED_PTX_VERSION|PTX was compiled with an unsupported toolchain|"
        r"CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER|cudaErrorCallRequiresNewerDriver",
        "unsupported|newer_?driver|newerdriver|newer_driver",
        ptx="yes",
    ),
    family(
        "newer-ptxas",
        r"NVIDIA driver's CUDA version is (?P<driver>[\d.]+) which is older than the (?:ptxas|PTX "
        r"compiler) CUDA version",
        "older than the",
        meaning="XLA only compiles one kernel after another with this driver; the GPU works",
    ),
    family(
        "forward-compat", r"CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE|forward compatibility was attempted", "compat"
    ),
    family(
        "driver-mismatch",
        r"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH|unsupported display driver / cuda driver",
        "driver_mismatch|display driver",
    ),
    family("not-ready", r"CUDA_ERROR_SYSTEM_NOT_READY|cuInit[^\n]{0,40}system not yet initialized", "system"),
    family("stub-library", r"CUDA_ERROR_STUB_LIBRARY|CUDA driver is a stub library", "stub"),
    family(
        "no-device",
        r"CUDA_ERROR_NO_DEVICE|no CUDA-capable device is detected|cudaErrorNoDevice",
        "error_no_device|cuda-capable|errornodevice",
    ),
    family(
        "invalid-device",
        r"(?<!PrimaryCtxRetain:\s)CUDA_ERROR_INVALID_DEVICE\b|invalid device ordinal",
        "invalid",
    ),
    family("context-refused", r"PrimaryCtxRetain: CUDA_ERROR_INVALID_DEVICE\b", "primaryctxretain"),
    family(
        "runtime-version-unread",
        r"failed call to cudaGetRuntimeVersion: Error loading CUDA libraries",
        "cudagetruntimeversion",
    ),
    family(
        "devices-busy", r"CUDA_ERROR_DEVICE_UNAVAILABLE|CUDA-capable device\(s\) is/are busy or unavailable", "unavail"
    ),
    family("devices-busy", r"all CUDA-capable devices are busy or unavailable", "unavailable"),
    family(
        "kernel-image-invalid",
        r"CUDA_ERROR_INVALID_IMAGE|device kernel image is invalid|CUDA_ERROR_INVALID_PTX|"
        r"a PTX JIT compilation failed|cudaErrorInvalidKernelImage|cudaErrorInvalidPtx",
        "invalid|jit comp",
    ),
    family(
        "no-kernel-image",
        r"CUDA_ERROR_NO_BINARY_FOR_GPU|no kernel image is available for execution|cudaErrorNoKernelImageForDevice",
        "no_binary|kernel image|nokernel",
    ),
    family("symbol-not-found", r"CUDA_ERROR_NOT_FOUND|named symbol not found", "not_found|named symbol"),
    family(
        "device-attribute",
        r"(?:failed|could not) (?:to )?(?:get|query) device (?:attribute|handle)",
        "get device|query",
    ),
    family(
        "hardware-error",
        r"CUDA_ERROR_(?P<error>ECC_UNCORRECTABLE|HARDWARE_STACK_ERROR|NVLINK_UNCORRECTABLE)",
        "cuda_error",
    ),
    family("illegal-access", r"CUDA_ERROR_ILLEGAL_ADDRESS|an illegal memory access was encountered", "illegal"),
    family("launch-failed", r"CUDA_ERROR_LAUNCH_(?:FAILED|TIMEOUT)|unspecified launch failure", "launch"),
    family("context-oom", r"cuDevicePrimaryCtxRetain: CUDA_ERROR_OUT_OF_MEMORY", "primaryctxretain"),
    family("context-oom", r"implicit initialization on GPU:\d+ failed\. Status: out of memory", "implicit init"),
    family("context-oom", r"cu(?:da)?(?:GetDevice|CtxCreate|SetDevice)[^\n]{0,60}out of memory", "out of memory"),
    family(
        "no-numa",
        r"(?:successful NUMA node read from SysFS had negative value|could not open file to read NUMA node|"
        r"kernel may have been built without NUMA support)",
        "numa",
        meaning="the kernel gives no NUMA node for the GPU, which is usual in virtual machines, WSL and on desktops",
    ),
    family(
        "driver-version-unread",
        r"error retrieving driver version: Unimplemented",
        "retrieving driver",
        meaning="TensorFlow cannot read the driver's version on this system; that changes nothing",
    ),
)
"""Rows of the driver."""
