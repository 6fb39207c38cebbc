"""Short logs of every family, in the words of the programs that print them; values are invented."""

from __future__ import annotations

CREATED = (
    "I tensorflow/core/common_runtime/gpu/gpu_device.cc:1616] Created device /job:localhost/replica:0/task:0/device:GPU:0 "
    "with 7000 MB memory:  -> device: 0, name: NVIDIA GeForce RTX 3070, pci bus id: 0000:0a:00.0, compute capability: 8.6\n"
)
OLD_WARNING = (
    "W tensorflow/stream_executor/platform/default/dso_loader.cc:64] Could not load dynamic library '{0}'; "
    "dlerror: {0}: cannot open shared object file: No such file or directory; LD_LIBRARY_PATH: {1}\n"
)
NO_KERNEL_DRIVER = (
    "I tensorflow/stream_executor/cuda/cuda_diagnostics.cc:156] kernel driver does not appear to be running on this host "
    "({0}): /proc/driver/nvidia/version does not exist\n"
)
CUINIT = "E tensorflow/stream_executor/cuda/cuda_driver.cc:271] failed call to cuInit: {0}\n"
NUMA = (
    "I tensorflow/stream_executor/cuda/cuda_gpu_executor.cc:936] successful NUMA node read from SysFS had negative "
    "value (-1), but there must be at least one NUMA node, so returning NUMA node zero\n"
)
CANNOT_DLOPEN = (
    "W tensorflow/core/common_runtime/gpu/gpu_device.cc:2251] Cannot dlopen some GPU libraries. Please make sure the "
    "missing libraries mentioned above are installed properly if you would like to use GPU.\n"
    "Skipping registering GPU devices...\n"
)


def missing(library: str, path: str = "") -> str:
    """Return the loader's warning about a library."""
    return OLD_WARNING.format(library, path)


CAUSED: tuple[tuple[str, str], ...] = (
    # the driver and the kernel
    (
        "driver_library_mismatch",
        "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 550.54\n",
    ),
    (
        "driver_library_mismatch",
        CUINIT.format(
            "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: system has unsupported display driver / cuda driver combination"
        ),
    ),
    (
        "driver_library_mismatch",
        "NVRM: API mismatch: the client has the version 535.1.2, but\nNVRM: this kernel module has the version 530.9.8.\n",
    ),
    (
        "driver_library_mismatch",
        CUINIT.format("CUDA_ERROR_UNKNOWN")
        + "libcuda reported version is: 470.9.1\nkernel reported version is: 460.3.2\n",
    ),
    ("libcuda_stub_or_shadowed", CUINIT.format("INTERNAL: CUDA error: Failed call to cuInit: UNKNOWN ERROR (34)")),
    ("libcuda_stub_or_shadowed", CUINIT.format("CUDA_ERROR_STUB_LIBRARY: CUDA driver is a stub library")),
    (
        "libcuda_stub_or_shadowed",
        CUINIT.format(
            "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE: forward compatibility was attempted on non supported HW"
        )
        + "kernel version seems to match DSO: 525.1.2\n",
    ),
    (
        "driver_too_old",
        "InternalError: cudaGetDevice() failed. Status: CUDA driver version is insufficient for CUDA runtime version",
    ),
    (
        "driver_too_old",
        "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.3, please update your driver",
    ),
    (
        "driver_too_old",
        "CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the provided PTX was compiled with an unsupported toolchain.",
    ),
    ("driver_too_old", "ImportError: /opt/tf/_pywrap_tensorflow.so: undefined symbol: cuDevicePrimaryCtxRelease"),
    ("secure_boot_or_nouveau", "modprobe: ERROR: could not insert 'nvidia': Key was rejected by service"),
    (
        "secure_boot_or_nouveau",
        "NVRM: This can occur when a driver such as: \nNVRM: nouveau, rivafb, nvidiafb or rivatv\n",
    ),
    (
        "driver_does_not_support_gpu",
        "NVRM: The NVIDIA Quadro 600 GPU installed in this system is\nNVRM:  supported through the NVIDIA 390.xx Legacy drivers.",
    ),
    ("driver_unloaded_needs_reboot", "modprobe: ERROR: could not insert 'nvidia_uvm': Unknown symbol in module"),
    ("driver_missing", "modprobe: FATAL: Module nvidia not found in directory /lib/modules/6.8.0-1-generic"),
    ("hardware_fault_xid", "NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus."),
    (
        "device_node_permission",
        CUINIT.format("CUDA_ERROR_UNKNOWN") + "no NVIDIA GPU device is present: /dev/nvidia0 does not exist\n",
    ),
    ("fabric_manager_missing", CUINIT.format("CUDA_ERROR_SYSTEM_NOT_READY: system not yet initialized")),
    (
        "driver_missing",
        "I tensorflow/stream_executor/dso_loader.cc:128] successfully opened CUDA library libcublas.so.8.0 locally\n"
        "Couldn't open CUDA library libcuda.so.1. LD_LIBRARY_PATH: /opt/cuda-8.0/lib64\n"
        + CUINIT.format("CUDA_ERROR_NO_DEVICE")
        + NO_KERNEL_DRIVER.format("node7"),
    ),
    # containers and variables
    (
        "container_runtime_missing",
        'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].',
    ),
    ("container_runtime_missing", "docker: Error response from daemon: Unknown runtime specified nvidia."),
    (
        "container_runtime_missing",
        "$ docker run --rm tensorflow/tensorflow:2.9.1-gpu python train.py\n"
        + missing("libcuda.so.1")
        + CUINIT.format("UNKNOWN ERROR (303)"),
    ),
    (
        "container_runtime_missing",
        "WARNING: The NVIDIA Driver was not detected.  GPU functionality will not be available.",
    ),
    (
        "visible_devices_hidden",
        CUINIT.format("CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected") + 'env: CUDA_VISIBLE_DEVICES=""\n',
    ),
    ("visible_devices_hidden", "os.environ['CUDA_VISIBLE_DEVICES'] = '-1'\nNum GPUs Available:  0\n"),
    (
        "visible_devices_hidden",
        "InvalidArgumentError: 'visible_device_list' listed an invalid GPU id '3' but visible device count is 2",
    ),
    # GPUs
    (
        "gpu_arch_unsupported_old",
        "Ignoring visible gpu device (device: 0, name: Tesla K20m, pci bus id: 0000:02:00.0, compute capability: 3.5) with Cuda compute capability 3.5. The minimum required Cuda capability is 5.0.",
    ),
    (
        "gpu_arch_too_new_ptx_jit",
        "W TensorFlow was not built with CUDA kernel binaries compatible with compute capability 12.0. CUDA kernels will be jit-compiled from PTX",
    ),
    (
        "gpu_arch_too_new_ptx_jit",
        "Successfully opened dynamic library libcublas.so.10.0\n"
        + CREATED
        + "failed to run cuBLAS routine: CUBLAS_STATUS_EXECUTION_FAILED\n",
    ),
    ("gpu_arch_too_new_ptx_jit", CREATED + "ptxas fatal   : Value 'sm_86' is not defined for option 'gpu-name'\n"),
    # libraries
    ("missing_cudnn", NUMA + missing("libcudnn.so.8", "/opt/cuda/lib64") + CANNOT_DLOPEN),
    ("missing_cudnn", "ImportError: Could not find 'cudnn64_6.dll'. TensorFlow requires that this DLL be installed"),
    (
        "missing_cuda_library",
        NUMA + missing("libcudart.so.11.0") + missing("libcublas.so.11") + missing("libcudnn.so.8") + CANNOT_DLOPEN,
    ),
    ("wrong_cuda_version", "ImportError: libcublas.so.10.0: cannot open shared object file: No such file or directory"),
    (
        "wrong_cuda_version",
        "Successfully opened dynamic library libcufft.so.10\n" + missing("libcudart.so.10.1") + CANNOT_DLOPEN,
    ),
    (
        "libcusolver_soname_24",
        "Successfully opened dynamic library libcublas.so.11\n" + missing("libcusolver.so.10") + CANNOT_DLOPEN,
    ),
    ("ld_library_path_wrong", missing("libcudnn.so.8") + "$ ls -l /opt/cudnn/lib\n/opt/cudnn/lib/libcudnn.so.8\n"),
    (
        "ld_library_path_conflict",
        "ImportError: libcusparse.so.12: undefined symbol: __nvJitLinkAddData_12_1, version libnvJitLink.so.12",
    ),
    ("wheel_rpath_bug", NUMA + CANNOT_DLOPEN + "nvidia-cudnn-cu12==8.9.4.25\n"),
    (
        "cudnn_version_mismatch",
        CREATED + "E cuda_dnn.cc:522] Loaded runtime CuDNN library: 8.1.0 but source was compiled with: 8.6.0.\n",
    ),
    ("cudnn_init_failed_memory", CREATED + "Could not create cudnn handle: CUDNN_STATUS_NOT_INITIALIZED\n"),
    ("cublas_init_failed_memory", CREATED + "failed to create cublas handle: CUBLAS_STATUS_ALLOC_FAILED\n"),
    ("ptxas_libdevice_missing", CREATED + "INTERNAL: libdevice not found at ./libdevice.10.bc\n"),
    ("ptxas_libdevice_missing", CREATED + "F Couldn't find a suitable version of ptxas.\n"),
    # memory and configuration
    (
        "out_of_memory",
        CREATED + "ResourceExhaustedError: OOM when allocating tensor with shape[9,9,9,9] and type float\n",
    ),
    (
        "gpu_busy_other_process",
        "INTERNAL: failed call to cuDevicePrimaryCtxRetain: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
    ),
    (
        "gpu_busy_other_process",
        "Total memory: 8.00GiB\nFree memory: 99.50MiB\nfailed to allocate 99.50M (104333312 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY",
    ),
    ("memory_growth_config_error", "RuntimeError: Physical devices cannot be modified after being initialized"),
    ("memory_growth_config_error", "ValueError: Memory growth cannot differ between GPU devices"),
    (
        "explicit_cpu_placement",
        "Could not satisfy explicit device specification '/device:GPU:0' because no supported kernel for GPU devices is available.",
    ),
    (
        "framework_bug_not_environment",
        CREATED + "CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered\n",
    ),
    # Python and packages
    (
        "python_version_unsupported",
        "ERROR: Could not find a version that satisfies the requirement tensorflow==2.3 (from versions: 2.8.0rc0, 2.8.0, 2.9.1)",
    ),
    (
        "python_version_unsupported",
        "ERROR: tensorflow-2.9.0-cp310-cp310-manylinux2014_x86_64.whl is not a supported wheel on this platform.",
    ),
    (
        "python_version_unsupported",
        "Because tensorflow==2.15.0 has no wheels with a matching Python ABI tag (e.g., `cp313`), we can conclude",
    ),
    (
        "python_version_unsupported",
        "ImportError: _pywrap_tensorflow_internal.so: undefined symbol: PyUnicodeUCS4_FromString",
    ),
    (
        "and_cuda_extra_unsatisfiable",
        'ERROR: Could not find a version that satisfies the requirement nvidia-nccl-cu12==9.9.9; extra == "and-cuda" (from tensorflow[and-cuda]) (from versions: 0.0.1)',
    ),
    ("tensorflow_gpu_package_removed", 'The "tensorflow-gpu" package has been removed!'),
    ("protobuf_conflict", "TypeError: Descriptors cannot be created directly."),
    ("protobuf_conflict", "ImportError: cannot import name 'builder' from 'google.protobuf.internal' (/x/__init__.py)"),
    (
        "protobuf_conflict",
        "tensorflow 2.12.0 requires protobuf!=4.21.0,<5.0.0dev,>=3.20.3, but you have protobuf 5.27.1 which is incompatible.",
    ),
    ("numpy_abi_conflict", "A module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.0.1 as it may crash."),
    ("numpy_abi_conflict", "RuntimeError: module compiled against API version 0xe but this version of numpy is 0xd"),
    (
        "typing_extensions_conflict",
        "ImportError: cannot import name 'TypeAliasType' from 'typing_extensions' (/x/typing_extensions.py)",
    ),
    (
        "glibc_too_old",
        "ImportError: /lib64/libm.so.6: version `GLIBC_2.29' not found (required by /x/libtensorflow_framework.so.2)",
    ),
    ("avx_missing_illegal_instruction", ">>> import tensorflow\nIllegal instruction (core dumped)\n"),
    (
        "avx_missing_illegal_instruction",
        "The TensorFlow library was compiled to use AVX2 instructions, but these aren’t available on your machine.",
    ),
    ("host_memory_or_noexec", "ImportError: /mnt/x/libtensorflow_cc.so.2: failed to map segment from shared object"),
    ("damaged_install", "ImportError: /x/libtensorflow_cc.so.2: file too short"),
    ("disk_full", "OSError: [Errno 28] No space left on device"),
    ("tensorflow_missing", "ModuleNotFoundError: No module named 'tensorflow'"),
    (
        "stale_import_shadow",
        "AttributeError: partially initialized module 'tensorflow' has no attribute 'keras' (most likely due to a circular import)",
    ),
    ("cpu_only_package", "tf 2.14.0\nbuilt with cuda: False\n[]\n"),
    (
        "conflicting_tf_packages",
        "$ pip list\nPackage Version\n------- -------\nnumpy 1.26.4\ntensorflow 2.16.1\ntensorflow-cpu 2.15.0\n",
    ),
    (
        "msvc_or_dll_load_failed",
        "ImportError: DLL load failed while importing _pywrap_tensorflow_internal: The specified module could not be found.",
    ),
    ("windows_native_unsupported", "GPU support is not available on native Windows for TensorFlow >= 2.11."),
    # no GPU: no fault
    (
        "cpu_only_machine",
        missing("libcudart.so.11.0")
        + missing("libcuda.so.1")
        + CUINIT.format("UNKNOWN ERROR (303)")
        + NO_KERNEL_DRIVER.format("laptop"),
    ),
    (
        "cpu_only_machine",
        CUINIT.format("CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected")
        + NO_KERNEL_DRIVER.format("0123456789ab"),
    ),
    # the same said in other words
    (
        "device_node_permission",
        "nvidia-container-cli: initialization error: nvml error: insufficient permissions: unknown\n",
    ),
    ("device_node_permission", 'openat(AT_FDCWD, "/dev/nvidiactl", O_RDWR) = -1 EPERM (Operation not permitted)\n'),
    (
        "tensorflow_gpu_package_removed",
        "Downloading tensorflow-gpu-2.12.0.tar.gz (2.6 kB)\nerror: metadata-generation-failed\n",
    ),
    (
        "python_version_unsupported",
        "tensorflow==2.3.0 is unusable because no wheels are available with a matching Python ABI\n",
    ),
    (
        "python_version_unsupported",
        "├─ tensorflow [2.3.0|2.5.0] would require\n│  └─ python 3.8.* , which conflicts with any installable versions\n",
    ),
    (
        "platform_unsupported",
        "error: Distribution `tensorflow==2.8.0 @ registry` can't be installed because it doesn't have a source distribution or wheel for the current platform\n",
    ),
    (
        "cudnn_version_mismatch",
        "Outdated cuDNN installation found.\nVersion JAX was built against: 90200\nMinimum supported: 90100\nInstalled version: 8907\n",
    ),
    ("wrong_cuda_version", "Found cuBLAS version 120100, but JAX was built against version 120300, which is newer.\n"),
    (
        "hardware_fault_xid",
        "NVRM: Xid (PCI:0000:0b:00): 45, pid=7, name=python3, Ch 00000001 caused by previous Xid 147\n",
    ),
    ("out_of_memory", "W bfc_allocator.cc:277] " + "*" * 60 + "x" + "_" * 30 + "\n"),
    ("out_of_memory", "W bfc_allocator.cc:272] Allocator (GPU_1_bfc) ran out of memory trying to al\n"),
    ("gpu_busy_other_process", "CUDA runtime implicit initialization on GPU:1 failed. Status: out of memory\n"),
    (
        "missing_cudnn",
        "Could not load library libcudnn_ops_infer.so.8. Error: libcudnn_ops_infer.so.8: cannot open shared object file\n",
    ),
    ("missing_cudnn", "Unable to load any of {libcudnn_cnn.so.9.3.0, libcudnn_cnn.so.9.3, libcudnn_cnn.so.9}\n"),
    ("driver_missing", "DKMS module 'nvidia-470.42' failed to build, please check /var/lib/dkms\n"),
    (
        "python_version_unsupported",
        "  - tensorflow-io requires Python >=3.7, <3.12, so it will not be satisfied for 3.12\n",
    ),
    ("driver_missing", "==> ERROR: module not found: 'nvidia_uvm'\n"),
    ("driver_missing", "couldn't communicate with the NVIDIA driver.\n$ dkms status\nnvidia/525.60.11: added\n"),
    ("out_of_memory", "host:29:33 [0] include_hdrs/alloc.h:40 NCCL WARN Cuda failure 'out of memory'\n"),
    ("avx_missing_illegal_instruction", "zsh: illegal hardware instruction  python\n"),
    ("broken_official_image", "$ docker run --gpus all -it tensorflow/tensorflow:latest-gpu bash\n" + CANNOT_DLOPEN),
    ("out_of_memory", "OOM when allocating tensor with shape[1024,50257] and type float on CPU:0 by allocator cpu\n"),
    ("out_of_memory", "[ 68.29] python invoked oom-killer: gfp_mask=0x24280ca, order=0, oom_score_adj=0\n"),
    ("container_runtime_missing", 'Cannot start service web: could not select device driver "nvidia"\n'),
    ("stale_import_shadow", "ModuleNotFoundError: No module named 'tensorflow.keras'; 'tensorflow' is not a package\n"),
    (
        "visible_devices_hidden",
        "$ echo $CUDA_VISIBLE_DEVICES\n-1\n$ python -c \"print(tf.config.list_physical_devices('GPU'))\"\n[]\n",
    ),
    ("container_runtime_missing", "$ docker run -it IMAGE\n" + CUINIT.format("CUresult(-1)")),
    (
        "cpu_only_machine",
        "Could not load dynamic library 'nvcuda.dll'; dlerror: nvcuda.dll not found\n"
        + CUINIT.format("UNKNOWN ERROR (303)"),
    ),
)
"""The cause that a log shows, and the log."""

HEALTHY: tuple[tuple[str, str], ...] = (
    ("no TensorRT", missing("libnvinfer.so.7") + "TF-TRT Warning: Cannot dlopen some TensorRT libraries.\n" + CREATED),
    (
        "TensorRT's own need",
        missing("libnvinfer_plugin.so.6").replace("dlerror: libnvinfer_plugin.so.6", "dlerror: libnvrtc.so.10.1")
        + CREATED,
    ),
    (
        "factories",
        "E cuda_dnn.cc:9261] Unable to register cuDNN factory: Attempting to register factory for plugin cuDNN when one has already been registered\n",
    ),
    ("NUMA", NUMA + CREATED),
    (
        "CPU features",
        "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with the appropriate compiler flags.\n",
    ),
    ("the end of a data set", CREATED + "W OP_REQUIRES failed: OUT_OF_RANGE: End of sequence\n"),
    (
        "a pool that asks for less",
        CREATED + "failed to allocate 7.50G (8053063680 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY: out of memory\n",
    ),
    (
        "scratch space",
        CREATED
        + "Allocator (GPU_0_bfc) ran out of memory trying to allocate 2.1GiB. The caller indicates that this is not a failure, but may mean\n",
    ),
    ("an error of the program", CREATED + "ValueError: Shapes (None, 1) and (None, 10) are incompatible\n"),
    ("a library that opens", "Successfully opened dynamic library libcudart.so.10.1\n"),
    ("a library missed by an earlier run", missing("libcudart.so.11.0") + NUMA + CREATED),
    ("back ends that JAX tries", "Unable to initialize backend 'rocm': Available platform names are: CUDA\n"),
    ("a key for a module of another maker", "modprobe: ERROR: could not insert 'wl': Key was rejected by service\n"),
    ("ldconfig under WSL", "/sbin/ldconfig.real: /usr/lib/wsl/lib/libcuda.so.1 is not a symbolic link\n"),
    (
        "TensorBoard's data server",
        "/lib64/libc.so.6: version `GLIBC_2.18' not found (required by /env/tensorboard_data_server/bin/server)\nTensorBoard 2.9.0 at http://localhost:6006/\n",
    ),
    ("a GPU of another maker that works", CREATED.replace("NVIDIA GeForce RTX 3070", "AMD Radeon RX 6600")),
    ("another's wheel", "other-0.3-cp36-cp36m-linux_x86_64.whl is not a supported wheel on this platform."),
    (
        "a long message",
        'status = StatusCode.RESOURCE_EXHAUSTED, details = "Received message larger than max (2 vs. 1)"',
    ),
    ("open files", "ResourceExhaustedError: /home/me/model.ckpt; Too many open files"),
)
"""Alarming logs of sound machines, each with what alarms."""

UNTOLD: tuple[tuple[str, str], ...] = (
    ("libraries without a name", CANNOT_DLOPEN),
    ("cuInit alone", CUINIT.format("CUDA_ERROR_UNKNOWN: unknown error")),
    ("libcuda alone", "ImportError: libcuda.so.1: cannot open shared object file: No such file or directory"),
    ("nvidia-smi alone", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."),
    (
        "no version at all",
        "ERROR: Could not find a version that satisfies the requirement tensorflow (from versions: none)",
    ),
    (
        "one cuDNN line",
        "Could not load dynamic library 'libcudnn.so.8'; dlerror: libcudnn.so.8: cannot open shared object file",
    ),
    (
        "no GPU handed over",
        missing("libcuda.so.1")
        + CUINIT.format("UNKNOWN ERROR (303)")
        + "no NVIDIA GPU device is present: /dev/nvidia0 does not exist\n",
    ),
    ("nothing known", "hello\nworld\n"),
    ("a context refused", "failed call to cuDevicePrimaryCtxRetain: CUDA_ERROR_INVALID_DEVICE\n"),
    (
        "a program's fault on the GPU",
        "NVRM: Xid (PCI:0000:0b:00): 13, Graphics SM Warp Exception: Illegal Instruction Parameter\n",
    ),
    ("a device handle that is not found", "Unable to determine the device handle for GPU 0000:0B:00.0: Not Found\n"),
    (
        "CUDA libraries without a name",
        "INTERNAL: CUDA Runtime error: Failed call to cudaGetRuntimeVersion: Error loading CUDA libraries.\n",
    ),
    ("killed", "Training...\nKilled\n"),
    ("killed, as a shell says it", "/bin/bash: line 27: 318 Killed                  sh start.sh\n"),
    ("killed, as an editor says it", "Process finished with exit code 137 (interrupted by signal 9: SIGKILL)\n"),
    (
        "a name without a device",
        "x was explicitly assigned to /device:GPU:0 but available devices are [ /device:CPU:0 ]",
    ),
    ("poetry finds no file", "Unable to find installation candidates for tensorflow (2.0.2)\n"),
)
"""Logs that several causes would explain."""
