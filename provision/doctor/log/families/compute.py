"""Messages of cuDNN, cuBLAS and their like, of XLA's tools, and about memory."""

from __future__ import annotations

from provision.doctor.log.family import Family, family

FAMILIES: tuple[Family, ...] = (
    family(
        "cudnn-mismatch",
        r"Loaded (?:runtime )?CuDNN library:? (?P<loaded>\d+(?:\.\d+)*)[^\n]{0,50}? but source was compiled with:? "
        r"(?P<built>\d+(?:\.\d+)*)",
        "cudnn library",
    ),
    family(
        "cudnn-mismatch",
        r"Found cuDNN version (?P<loaded>\d+), but \w+ was built against version (?P<built>\d+)",
        "found cudnn",
    ),
    family(
        "cudnn-mismatch",
        r"Outdated cuDNN installation found\.[^\n]*\n[^\n]{0,20}Version \w+ was built against: (?P<built>\d+)"
        r"(?:[^\n]*\n){1,2}?[^\n]{0,20}Installed version: (?P<loaded>\d+)",
        "outdated cudnn",
    ),
    family(
        "cuda-older",
        r"Found (?P<library>CUDA|cu(?:BLAS|SOLVER|SPARSE|FFT|PTI)) version (?P<loaded>\d+), but \w+ was built against "
        r"version (?P<built>\d+), which is newer",
        "which is newer",
    ),
    family("cudnn-version", r"Loaded cuDNN version (?P<version>\d+)", "loaded cudnn"),
    family(
        "cudnn-create",
        r"could not (?:create|destroy) cudnn handle: (?:CUDNN_STATUS_)?(?P<status>[A-Z_]+)",
        "cudnn handle",
    ),
    family(
        "cudnn-create", r"Failed to get convolution algorithm\. This is probably because cuDNN failed", "cudnn failed"
    ),
    family("cudnn-absent", r"DNN library (?:is not found|initialization failed)|No DNN in stream executor", "dnn "),
    family("cudnn-sublibrary", r"CUDNN_STATUS_(?:SUBLIBRARY_)?VERSION_MISMATCH", "version_mismatch"),
    family("cudnn-arch", r"CUDNN_STATUS_ARCH_MISMATCH", "arch_mismatch"),
    family("cudnn-error", r"CUDNN_STATUS_(?P<status>[A-Z_]+)", "cudnn_status"),
    family("zlib", r"could not locate zlibwapi\.dll", "zlibwapi"),
    family(
        "blas-create",
        r"failed to create (?:cublas|cuSolverDN|cusparse|cufft|cusolver)\w* (?:handle|instance|"
        r"plan)?:? ?(?P<status>[A-Za-z_ ]{0,60})",
        "failed to create",
    ),
    family("blas-create", r"cusolverDnCreate[^\n]{0,60}CUSOLVER_STATUS_(?P<status>[A-Z_]+)", "cusolver"),
    family("blas-run", r"failed to run cuBLAS routine[^\n]{0,60}?: (?:CUBLAS_STATUS_)?(?P<status>[A-Z_]+)", "cublas"),
    family("blas-run", r"(?P<status>Blas (?:x?GEMM|GEMV|SGEMM)\w* launch failed)", "launch failed"),
    family("blas-run", r"CUBLAS_STATUS_(?P<status>EXECUTION_FAILED|ARCH_MISMATCH)", "cublas_status"),
    family("blas-alloc", r"(?:CUBLAS|CUSOLVER|CUFFT|CUSPARSE)_(?:STATUS_)?ALLOC_FAILED", "alloc_failed"),
    family(
        "libdevice",
        r"libdevice not found at|can't find libdevice directory|libdevice is required by this HLO module|"
        r"could not find libdevice",
        "libdevice",
    ),
    family(
        "ptxas",
        r"could ?n[o']t find (?:a suitable version of )?ptxas|couldn't find ptxas|can't find ptxas|"
        r"Failed to launch ptxas|"
        r"couldn't (?:get|read|invoke) ptxas[^\n]{0,40}|no PTX compilation provider is available|"
        r"\bptxas'?:? (?:command )?not found|No such file or directory: '[^'\n]*ptxas'|"
        r"ptxas returned an error during compilation of ptx to sass: 'NOT_FOUND[^\n]{0,40}",
        "ptxas|ptx compilation",
    ),
    family(
        "ptxas-fallback",
        r"Invoking (?:GPU asm|ptxas) (?:compilation|not)[^\n]{0,20}supported on (?:Cuda non-)?Windows|"
        r"Relying on (?:the )?driver to perform ptx compilation|back to the GPU driver for PTX|ptxas "
        r"does not support CC|ptxas too old",
        "ptxas|invoking|relying on driver|relying on the driver|gpu driver for ptx",
        meaning="the driver compiles kernels itself; slower at first, and no fault",
    ),
    family(
        "alloc-failed",
        r"failed to alloc(?:ate)? (?P<wanted>[\d.]{1,24}\S{0,8}) (?:\(\d+ bytes\) )?(?:bytes )?(?:from device|"
        r"on device|unified memory): (?:RESOURCE_EXHAUSTED: "
        r")?(?:[^\n]{0,40})?(?:CUDA_ERROR_)?OUT.OF.MEMORY",
        "failed to alloc",
    ),
    family(
        "host-alloc-failed", r"failed to alloc(?:ate)? (?P<wanted>[\d.]{1,24}\S{0,8}) bytes on host", "failed to alloc"
    ),
    family("host-alloc-failed", r"could not allocate pinned host memory", "pinned host"),
    family(
        "out-of-memory",
        r"OOM when allocating tensor|"
        r"ran out of memory trying to(?! allocate [^\n]{0,120}not a failure)(?: allocate "
        r"(?P<wanted>[\d.]{1,24}\w{0,8}))?",
        "oom when|out of memory",
    ),
    # the map of a full pool, which is only drawn for an allocation that failed
    family("out-of-memory", r"bfc_allocator\.cc:\d+\] [*_x]{40,}", "bfc_allocator"),
    family("out-of-memory", r"Out of memory (?:while trying to allocate|allocating) (?P<wanted>\d+)", "out of memory"),
    family(
        "out-of-memory",
        r"Dst tensor is not initialized|failed copying input tensor from [^\n]{0,80}GPU:\d+ in order",
        "dst tensor|copying input",
    ),
    # gRPC says it of a message's length, and file systems of their own room
    family(
        "out-of-memory",
        r"(?:\bResourceExhaustedError\b|(?<!StatusCode\.)\bRESOURCE_EXHAUSTED\b)"
        r"(?![^\n]{0,300}(?:No space left|Too many open|quota|larger than max))",
        "resourceexhausted|resource_exhausted",
    ),
    family(
        "out-of-memory",
        r"CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|Cuda failure '?out of memory",
        "out_of_memory|memoryallocation|cuda failure",
    ),
    family(
        "host-out-of-memory",
        r"std::bad_alloc|MemoryError\b(?:: Unable to allocate[^\n]{0,60})?|Cannot allocate memory(?! in static)|"
        r"Out of memory: Kill|oom-kill event|invoked oom-killer|oom_reaper|"
        r"OOM when allocating tensor[^\n]{0,160} by allocator (?:mkl_?)?cpu",
        "bad_alloc|memoryerror|cannot allocate|out of memory: kill|oom-kill|oom_reaper|allocator",
    ),
    # a shell's or an engine's word for a process that was killed
    family(
        "killed",
        r"(?:\n|\A)(?:Killed|已杀死)(?=\s*(?:\n|\Z))|signal 9\b[^\n]{0,12}SIGKILL|"
        r"exit(?:ed)?(?: with)? (?:code|status):? 137\b|OOMKilled|"
        r"line \d+: \d+ Killed\b|\[\d+\]\s*\+?\s*(?:\d+ )?killed\b",
        "killed|已杀死|sigkill|code 137|code: 137|status 137|status: 137",
        kind="python",
    ),
    family(
        "not-a-failure",
        r"caller indicates that this is not a failure",
        "not a failure",
        meaning="a larger scratch space would have been faster; the computation goes on with less",
    ),
    family(
        "allocation-exceeds",
        r"Allocation of \d+ exceeds (?P<share>\d+)% of (?:free )?system memory",
        "exceeds",
        meaning="one tensor is large against the host's memory; a remark, no failure",
    ),
    family("illegal-argument", r"CUDNN_STATUS_BAD_PARAM", "bad_param"),
)
"""Rows of the libraries that compute."""
