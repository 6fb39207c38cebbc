"""The table of causes for people: what repair does about each, or what it prints instead.

Every cause of doctor stands in exactly one of the two; a test holds them against the table of causes.
"""

from __future__ import annotations

from collections.abc import Mapping

REPAIRED: Mapping[str, str] = {
    "environment_incomplete": "installs what its lock names and it does not have, wires it and writes its record; "
    "what an interrupted create left beside its target is left to the next create",
    "environment_moved": "rewrites scripts, activation and start files so that they name the folder where it stands",
    "tensorflow_missing": "installs the newest release that runs on this machine with this Python, with its CUDA "
    "libraries",
    "conflicting_tf_packages": "takes all of them away and installs the one with CUDA",
    "tensorflow_remnants": "takes what is left away and installs the same release again",
    "damaged_install": "installs the packages again whose files differ from their RECORD, at the versions that are "
    "there; rights are left to you",
    "cpu_only_package": "takes the build for the CPU away and installs the same release with CUDA; a release that has "
    "none as a wheel is left to `create --backend conda`",
    "protobuf_conflict": "installs a protobuf that everybody who needs it admits",
    "numpy_abi_conflict": "installs a NumPy that everybody who needs it admits",
    "keras_conflict": "installs the Keras, or the tf-keras, of the release",
    "typing_extensions_conflict": "installs a typing-extensions that everybody who needs it admits",
    "dependency_conflict": "installs what the metadata of TensorFlow and of its packages asks for",
    "framework_conflict_pytorch": "installs a later cuDNN where the other framework admits it; else says why there is "
    "none for both, and prints how to make an environment for each",
    "glibc_too_old": "updates conda's C++ library; an old C library of the system is answered with the nearest release "
    "that runs on it, for `--into`",
    "wheel_rpath_bug": "wires the environment",
    "wiring_lost": "wires the environment again",
    "libcusolver_soname_24": "wires the environment, which puts the alias in",
    "missing_cuda_library": "installs the packages that bring it, at the versions of the release, and wires",
    "missing_cudnn": "installs the cuDNN of the release, and wires",
    "wrong_cuda_version": "takes the libraries of the other version away unless something else needs them, installs "
    "those of the release, and wires",
    "cudnn_version_mismatch": "installs a cuDNN of the release's major that is new enough",
    "cudnn_drops_gpu": "installs the last cuDNN that serves the GPU",
    "ptxas_libdevice_missing": "installs the compiler package where it is missing, and wires",
    "ld_library_path_conflict": "wires the environment so that its own libraries are loaded first, or takes the folder "
    "out of its own activation scripts; the variable in your shell is left to you",
    "ld_library_path_wrong": "installs the libraries into the environment, or wires those that are there, so that no "
    "variable is needed",
    "ld_preload_interferes": "takes the variable out of the environment's own activation scripts; in your shell it is "
    "left to you",
    "visible_devices_hidden": "takes the variable out of the environment's own scripts and start files, and out of its "
    "kernels; in your shell, your code, a job or a container it is left to you",
    "variable_interferes": "takes the variable out of the environment's own activation scripts; in your shell it is "
    "left to you",
    "jupyter_kernel_elsewhere": "lets the kernel start this environment's Python; with `--kernels` where the kernel "
    "lies outside of the environment",
}
"""Code to what repair does."""

INSTEAD: Mapping[str, str] = {
    "driver_missing": "how this distribution installs the driver, then the reboot",
    "driver_unloaded_needs_reboot": "how the module is loaded, or the reboot",
    "driver_library_mismatch": "how the module is loaded anew, or the reboot",
    "secure_boot_or_nouveau": "how the module is signed or nouveau is kept from loading, then the reboot",
    "device_node_permission": "how the device files are made, or who may open them",
    "libcuda_stub_or_shadowed": "which variable or file stands before the driver's own library, and how it goes",
    "driver_hung": "the reboot, and what the kernel said",
    "hardware_fault_xid": "what to check at the hardware, and what the kernel said",
    "fabric_manager_missing": "how the fabric manager is installed and started",
    "driver_does_not_support_gpu": "the driver branch that serves this GPU, and how it is installed",
    "driver_too_old": "how a newer driver is installed; or the nearest release for this driver, for `--into`",
    "no_nvidia_gpu": "what would give this machine its GPU",
    "cpu_only_machine": "nothing: no fault",
    "gpu_arch_unsupported_old": "the nearest release that serves this GPU, for `--into`",
    "gpu_arch_too_new_ptx_jit": "how the compiled kernels are kept; or the nearest release with code for this GPU, for "
    "`--into`",
    "mig_config": "how MIG devices are made or named",
    "gpu_busy_other_process": "which processes hold the GPU",
    "windows_native_unsupported": "the way to WSL2",
    "platform_unsupported": "what platforms the release has wheels for",
    "avx_missing_illegal_instruction": "how a virtual machine shows its processor's instructions",
    "container_runtime_missing": "how this kind of container is started with the GPU",
    "wsl_libcuda_missing": "how the Windows driver and WSL are updated",
    "host_memory_or_noexec": "the limit or the mount, and how it is changed",
    "disk_full": "which file system, and what takes the space",
    "broken_interpreter": "the `create --replace` that makes the environment anew",
    "python_version_unsupported": "the `--into` that builds one beside with a Python that fits and the same packages",
    "python_path_leak": "the variable that has to go, or what lies in the user's own site folder",
    "stale_import_shadow": "the file that has to get another name: it is yours",
    "explicit_cpu_placement": "the line of the program",
    "memory_growth_config_error": "the line of the program, and where it belongs",
    "variable_set_too_late": "the line of the program, and where it belongs",
    "editor_python_elsewhere": "how the editor is told which Python to use",
    "tensorflow_gpu_package_removed": "the name to install instead: only an installer's log shows this",
    "and_cuda_extra_unsatisfiable": "a release whose extra can be met: only an installer's log shows this",
    "broken_official_image": "an image that works",
    "msvc_or_dll_load_failed": "what has to be installed in Windows",
    "cudnn_init_failed_memory": "how TensorFlow takes less of the GPU's memory",
    "cublas_init_failed_memory": "how TensorFlow takes less of the GPU's memory",
    "out_of_memory": "how TensorFlow takes less of the GPU's memory",
    "framework_bug_not_environment": "the release in which it is fixed, or where to report it",
}
"""Code to what is printed."""


def repair_does(code: str) -> str:
    """Return what repair does about a cause, one sentence without a full stop; empty where it only prints."""
    return REPAIRED.get(code, "")
