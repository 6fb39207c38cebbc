"""Causes in the machine: driver, GPU, container, resources, and the variables that reach into them."""

from __future__ import annotations

from provision.model.doctor import Category, Cause, Effect

_DRIVER = (
    Cause(
        "driver_missing",
        Category.DRIVER,
        "No NVIDIA driver is installed",
        "An NVIDIA GPU is on the bus, and the driver's kernel module or its library libcuda.so.1 is not there. "
        "TensorFlow opens that library before anything else of CUDA and goes on with the CPU where it cannot. "
        "Installing the driver makes it go away; nothing inside a Python environment can stand in for it.",
        Effect.CPU,
        repairable=False,
        depth=42,
    ),
    Cause(
        "driver_unloaded_needs_reboot",
        Category.DRIVER,
        "The driver's kernel module is not loaded",
        "The driver is installed, and its kernel module (nvidia, or nvidia_uvm, which CUDA needs too) is not running: "
        "not built for this kernel, kept out by configuration, or in a bad state after an update or a suspend. "
        "cuInit then fails, and TensorFlow registers no GPU. "
        "Loading the module again, building it for this kernel, or a reboot makes it go away.",
        Effect.CPU,
        repairable=False,
        depth=42,
    ),
    Cause(
        "driver_library_mismatch",
        Category.DRIVER,
        "Kernel module and driver libraries are of different versions",
        "The driver was updated while its old kernel module stayed loaded, or a container brought libraries of another "
        "version. The two refuse to talk to each other, so cuInit fails and TensorFlow sees no GPU. "
        "A reboot, or unloading and loading the module, makes it go away.",
        Effect.CPU,
        repairable=False,
        depth=42,
    ),
    Cause(
        "secure_boot_or_nouveau",
        Category.DRIVER,
        "Secure Boot or nouveau keeps the driver out",
        "The driver is installed and may not drive the GPU: the firmware refuses its unsigned module, or the open "
        "source driver nouveau holds the device. Without the module there is no CUDA, and TensorFlow uses the CPU. "
        "Signing the module (or turning Secure Boot off), or blocking nouveau, makes it go away.",
        Effect.CPU,
        repairable=False,
        depth=42,
    ),
    Cause(
        "device_node_permission",
        Category.DRIVER,
        "The GPU's device files are missing or may not be opened",
        "Programs reach the driver through /dev/nvidiactl, /dev/nvidia0 and /dev/nvidia-uvm, and this user cannot open "
        "them. cuInit fails for this user, although it may work for root, and TensorFlow registers no GPU. "
        "Membership in the group that owns the files, or making the files, makes it go away.",
        Effect.CPU,
        repairable=False,
        depth=42,
    ),
    Cause(
        "libcuda_stub_or_shadowed",
        Category.DRIVER,
        "Another libcuda.so.1 stands before the driver's",
        "The loader finds a toolkit's stub, a compatibility package or an old copy before the library of the installed "
        "driver. Such a file cannot talk to the kernel module, so cuInit fails in TensorFlow while nvidia-smi works. "
        "Taking its folder off LD_LIBRARY_PATH makes it go away.",
        Effect.CPU,
        repairable=False,
        depth=42,
    ),
    Cause(
        "driver_hung",
        Category.DRIVER,
        "The driver does not answer",
        "A call into the driver did not come back within its time limit. A TensorFlow program will hang in the same "
        "place when it first touches the GPU. "
        "The kernel log says why, and most often only a reboot makes it go away.",
        Effect.STOPS,
        repairable=False,
        depth=42,
    ),
    Cause(
        "hardware_fault_xid",
        Category.GPU,
        "The GPU reported a hardware fault",
        "The driver lost the GPU, or the kernel log has an Xid message that speaks of the hardware. "
        "CUDA calls fail from then on, so TensorFlow finds no GPU or dies with it. "
        "A reboot brings the GPU back where it was a passing fault; power, cooling, seating and the card itself are "
        "the usual causes where it returns.",
        Effect.STOPS,
        repairable=False,
        depth=42,
    ),
    Cause(
        "fabric_manager_missing",
        Category.DRIVER,
        "The fabric manager is not running",
        "GPUs that are joined by NVSwitch need NVIDIA's fabric manager, in the version of the driver, before CUDA may "
        "start. Without it cuInit answers 802 (system not ready) although nvidia-smi lists every GPU. "
        "Starting the service makes it go away.",
        Effect.CPU,
        repairable=False,
        depth=42,
    ),
    Cause(
        "driver_does_not_support_gpu",
        Category.DRIVER,
        "The installed driver does not drive this GPU",
        "Each driver branch serves certain generations of GPUs, and the open kernel modules begin with Turing. "
        "A driver that leaves the GPU out loads and shows no device, so TensorFlow finds none. "
        "A driver branch, or the other kind of kernel module, that serves this GPU makes it go away.",
        Effect.CPU,
        repairable=False,
        depth=45,
    ),
    Cause(
        "driver_too_old",
        Category.DRIVER,
        "The driver is too old for this TensorFlow",
        "A release built with a CUDA version needs a driver that supports it; code that is in it as PTX needs one that "
        "compiles this PTX. Below that cuInit or the first kernel fails, and TensorFlow uses the CPU or dies. "
        "A newer driver, or a release for an older CUDA, makes it go away.",
        Effect.CPU,
        repairable=False,
        depth=47,
    ),
)

_GPU = (
    Cause(
        "no_nvidia_gpu",
        Category.GPU,
        "This machine has no NVIDIA GPU",
        "The bus shows graphics devices of other makers, or none where a driver expects one. "
        "The tensorflow package uses NVIDIA GPUs alone, so it runs on the CPU. "
        "Only a machine with an NVIDIA GPU, or one that is switched on and passed to this system, changes that.",
        Effect.CPU,
        repairable=False,
        depth=40,
    ),
    Cause(
        "cpu_only_machine",
        Category.GPU,
        "A machine without a GPU",
        "There is no GPU and no driver here, and nothing says that there should be. "
        "TensorFlow says that it cannot find CUDA and runs on the CPU, which is as it should be. "
        "Nothing needs to be done.",
        Effect.NONE,
        repairable=False,
        depth=40,
    ),
    Cause(
        "gpu_arch_unsupported_old",
        Category.GPU,
        "The GPU is too old for this TensorFlow",
        "The code inside a release begins at a compute capability, and this GPU is below it. "
        "TensorFlow leaves such a GPU out, or fails at its first kernel. "
        "An older release, or a newer GPU, makes it go away.",
        Effect.CPU,
        repairable=False,
        depth=50,
    ),
    Cause(
        "gpu_arch_too_new_ptx_jit",
        Category.GPU,
        "The GPU is newer than the code in this TensorFlow",
        "The release has no machine code for this GPU: the driver compiles what is in it as PTX, and what is not there "
        "as PTX fails. The first start takes minutes, or a kernel ends with an invalid image or invalid PTX. "
        "A release with machine code for this GPU makes it go away; until then the compiled code is kept in "
        "~/.nv/ComputeCache.",
        Effect.DEGRADES,
        repairable=False,
        depth=50,
    ),
    Cause(
        "mig_config",
        Category.GPU,
        "MIG mode stands in the way",
        "A GPU in MIG mode is used through its instances: a process sees exactly one of them, and none where none was "
        "made. TensorFlow then finds no GPU, or one instead of several. "
        "Making instances, or turning the mode off, makes it go away.",
        Effect.CPU,
        repairable=False,
        depth=52,
    ),
    Cause(
        "gpu_busy_other_process",
        Category.GPU,
        "Other processes hold the GPU's memory",
        "Most of the GPU's memory is taken before TensorFlow starts, or the GPU is set to serve one process alone. "
        "TensorFlow wants nearly all of it, and fails with out of memory, or when it creates cuDNN and cuBLAS. "
        "Ending those processes makes it go away; memory growth helps where enough is left.",
        Effect.DEGRADES,
        repairable=False,
        depth=75,
    ),
)

_AROUND = (
    Cause(
        "windows_native_unsupported",
        Category.PYTHON,
        "Native Windows has no GPU support after 2.10",
        "TensorFlow 2.10 was the last release with GPU support on native Windows. "
        "Later wheels for Windows are CPU builds, whatever driver and CUDA are installed. "
        "WSL2 with the Linux wheels makes it go away, or TensorFlow 2.10.",
        Effect.CPU,
        repairable=False,
        depth=12,
    ),
    Cause(
        "platform_unsupported",
        Category.PYTHON,
        "TensorFlow has no GPU build for this platform",
        "The wheels with CUDA are for Linux on x86_64 with glibc alone. "
        "Elsewhere pip finds no wheel, or one that is a CPU build. "
        "A machine or an image of that kind makes it go away.",
        Effect.CPU,
        repairable=False,
        depth=12,
    ),
    Cause(
        "avx_missing_illegal_instruction",
        Category.PYTHON,
        "The processor lacks instructions that TensorFlow is compiled with",
        "Wheels from 1.6 on use AVX, and this processor, or the virtual machine around it, does not offer it. "
        "The import ends with an illegal instruction (SIGILL) before it can say anything. "
        "A virtual machine that passes the host's processor through makes it go away, or another build of TensorFlow.",
        Effect.STOPS,
        repairable=False,
        depth=15,
    ),
    Cause(
        "container_runtime_missing",
        Category.CONTAINER,
        "The GPU was not passed into this container",
        "The kernel, which is the host's, has a GPU or its driver, and this container was started without its device "
        "files or libraries. TensorFlow inside finds no libcuda.so.1 or no device and uses the CPU. "
        "Starting the container with the GPU makes it go away; nothing can be installed inside that does.",
        Effect.CPU,
        repairable=False,
        depth=40,
    ),
    Cause(
        "wsl_libcuda_missing",
        Category.CONTAINER,
        "WSL does not bring the driver's library",
        "Under WSL2 the driver is the Windows one, and its libcuda.so.1 appears in /usr/lib/wsl/lib. "
        "It is not there, or the loader does not look there, so TensorFlow finds no driver. "
        "A Windows driver with WSL support and a current WSL2 make it go away; no Linux driver belongs inside.",
        Effect.CPU,
        repairable=False,
        depth=40,
    ),
    Cause(
        "host_memory_or_noexec",
        Category.RESOURCES,
        "Memory limits or a noexec mount stop libraries from being loaded",
        "Loading TensorFlow maps gigabytes of libraries as executable memory. "
        "A limit on the address space, too little memory, or a file system mounted noexec refuses that, and the import "
        "ends with `failed to map segment from shared object`. "
        "Raising the limit, or an environment on another file system, makes it go away.",
        Effect.STOPS,
        repairable=False,
        depth=18,
    ),
    Cause(
        "disk_full",
        Category.RESOURCES,
        "The disk is full",
        "There is no space, or no inode, left where the environment, temporary files or the cache of compiled kernels "
        "lie. Installing ends halfway, and XLA fails when it writes what it compiles. "
        "Freeing space makes it go away.",
        Effect.DEGRADES,
        repairable=False,
        depth=18,
    ),
)

_VARIABLES = (
    Cause(
        "visible_devices_hidden",
        Category.VARIABLES,
        "A variable hides the GPU",
        "CUDA_VISIBLE_DEVICES names the GPUs that CUDA shows to a program; an empty value, -1 and names that do not "
        "exist show none, and the first wrong entry cuts off the rest. "
        "nvidia-smi does not obey it, so the GPU seems to be there while TensorFlow sees none. "
        "Unsetting the variable, or naming GPUs that exist, makes it go away.",
        Effect.CPU,
        repairable=True,
        depth=55,
    ),
    Cause(
        "variable_interferes",
        Category.VARIABLES,
        "A variable changes how the GPU is used",
        "An environment variable of the driver or of TensorFlow is set to something that fails, slows down or is not "
        "understood. What the program then does is not what its user meant by it. "
        "Correcting or unsetting it makes it go away.",
        Effect.DEGRADES,
        repairable=True,
        depth=58,
    ),
)

CAUSES: tuple[Cause, ...] = (*_DRIVER, *_GPU, *_AROUND, *_VARIABLES)
