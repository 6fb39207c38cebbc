"""What to type, for the platform that a log shows."""

from __future__ import annotations

from provision.doctor.log.seen import Seen
from provision.model.doctor import Fix

_OLDEST_CONDA, _FIRST_WHEELS, _CUDA_11, _CUDA_12 = 9.0, 11.0, 11.0, 12.0
_CUDNN_WITH_WHEELS, _CUDNN_OF_CUDA_12 = 8, 9
_NO_MODESET = (
    "printf 'blacklist nouveau\\noptions nouveau modeset=0\\n' | sudo tee /etc/modprobe.d/blacklist-nouveau.conf"
)
_REBOOT = "sudo reboot"

PLAN = Fix("see which release serves this GPU and driver", ("tfgpu-provision plan",))
SIGN = (
    Fix(
        "enrol the key that signs the module, then reboot and confirm it",
        ("sudo mokutil --import /var/lib/shim-signed/mok/MOK.der", _REBOOT),
        root=True,
    ),
    Fix("switch Secure Boot off in the firmware"),
)
BLACKLIST = Fix("keep nouveau from loading, then reboot", (_NO_MODESET, "sudo update-initramfs -u", _REBOOT), root=True)
BUILD_MODULE = Fix(
    "install the kernel's headers and build the module",
    ("sudo apt-get install linux-headers-$(uname -r)", "sudo dkms autoinstall", _REBOOT),
    root=True,
)
POWER = Fix(
    "power the machine off and on; where it comes back, check power, slot and temperature",
    ("sudo dmesg | grep -i xid",),
    root=True,
)
UVM = Fix("load nvidia_uvm anew", ("sudo modprobe -r nvidia_uvm", "sudo modprobe nvidia_uvm"), root=True)
NODES = Fix("create the device nodes", ("sudo nvidia-modprobe -u -c=0",), root=True)
RIGHTS = Fix(
    "see who may open the devices, and join that group",
    ("ls -l /dev/nvidia*", "sudo usermod -aG video $USER"),
    root=True,
)
LOOK_FOR_GPU = Fix(
    "nothing to do without an NVIDIA GPU; where there is one, install its driver", ("lspci -nn | grep -i nvidia",)
)
WSL_UPDATE = Fix("update the NVIDIA driver in Windows, then WSL", ("wsl --update", "wsl --shutdown"))
WIRE = Fix("show the libraries and tools of the environment to its TensorFlow", ("tfgpu-provision wire ENV",))
XLA_FLAGS = Fix(
    "name the folder that holds nvvm/libdevice and bin/ptxas",
    ("export XLA_FLAGS=--xla_gpu_cuda_data_dir=/usr/local/cuda",),
)
WITH_GPU = Fix("start the container with the GPU", ("docker run --gpus all IMAGE nvidia-smi",))
TOOLKIT = Fix(
    "install the NVIDIA Container Toolkit on the host and tell the engine of it",
    (
        "sudo apt-get install -y nvidia-container-toolkit",
        "sudo nvidia-ctk runtime configure --runtime=docker",
        "sudo systemctl restart docker",
    ),
    root=True,
)
WHO_HOLDS = Fix("see which programs hold the GPU's memory and end them", ("nvidia-smi",))
OWN_ENVIRONMENT = Fix("give each framework an environment of its own", ("tfgpu-provision create",))
NATIVE_WINDOWS = (
    Fix("use TensorFlow in WSL2", ("wsl --install", 'python3 -m pip install "tensorflow[and-cuda]"')),
    Fix(
        "stay with 2.10, CUDA 11.2 and cuDNN 8.1",
        ("conda install -c conda-forge cudatoolkit=11.2 cudnn=8.1", 'python -m pip install "tensorflow<2.11"'),
    ),
)


def fresh(seen: Seen) -> Fix:
    """Return the way to an environment whose libraries fit its TensorFlow."""
    if seen.windows:
        return NATIVE_WINDOWS[0]
    return Fix(
        "create an environment that brings every CUDA library its TensorFlow needs and shows them to the loader",
        ("tfgpu-provision create",),
    )


def libraries(seen: Seen, toolkit: float | None) -> tuple[Fix, ...]:
    """Return ways to the CUDA libraries of one toolkit."""
    conda = Fix("install the libraries into the conda environment", (_conda_pair(toolkit),))
    if seen.windows:
        version = f"CUDA {toolkit:.1f}" if toolkit else "the CUDA version that is named"
        by_hand = Fix(
            f"install {version} and the cuDNN for it, with their bin folders on PATH of the process that failed",
            ('set "PATH=%CUDA_PATH%\\bin;%PATH%"',),
        )
        return (conda, by_hand) if toolkit and toolkit >= _OLDEST_CONDA else (by_hand,)
    if seen.conda and toolkit and _OLDEST_CONDA <= toolkit < _CUDA_12:
        return (conda, fresh(seen))
    return (fresh(seen), WIRE) if toolkit is None or toolkit >= _FIRST_WHEELS else (fresh(seen),)


def _conda_pair(toolkit: float | None) -> str:
    if toolkit is None or _CUDA_11 <= toolkit < _CUDA_12:
        return "conda install -c conda-forge cudatoolkit=11.2 cudnn=8.1"
    return f"conda install -c conda-forge cudatoolkit={toolkit:.1f} cudnn=7"


def cudnn(seen: Seen, built: str | None) -> tuple[Fix, ...]:
    """Return ways to a cuDNN that is as new as the one that TensorFlow was built with."""
    if built is None:
        return (fresh(seen),)
    major, minor = built.split(".")[:2]
    conda = Fix(f"install cuDNN {major}.{minor}", (f"conda install -c conda-forge cudnn={major}.{minor}",))
    if seen.windows or seen.conda or int(major) < _CUDNN_WITH_WHEELS:
        return (conda,)
    family = "12" if int(major) >= _CUDNN_OF_CUDA_12 else "11"
    wheel = f"nvidia-cudnn-cu{family}>={built},<{int(major) + 1}"
    return (pip(f"install cuDNN {built} or newer of the same series", wheel), conda)


def driver(seen: Seen) -> Fix:
    """Return the way to a newer driver, or to one at all."""
    if seen.windows or seen.wsl:
        return Fix("install the current NVIDIA driver in Windows; WSL uses the same one")
    where = " on the host, not in the container," if seen.container else ""
    return Fix(f"install the NVIDIA driver{where} and reboot", ("sudo ubuntu-drivers install", _REBOOT), root=True)


def reboot(seen: Seen) -> tuple[Fix, ...]:
    """Return the ways to a kernel module that matches the libraries."""
    again = Fix("reboot, so that the kernel loads the module of the installed driver", (_REBOOT,), root=True)
    if seen.container:
        image = "let the image bring no driver libraries of its own, or update them, and start it with the GPU"
        return (Fix(image, WITH_GPU.commands), again)
    stale = "if it comes back after the reboot, an old module lies in the initial RAM disk"
    return (again, Fix(stale, ("sudo update-initramfs -u", _REBOOT), root=True))


def growth(seen: Seen) -> Fix:
    """Return the variable that makes TensorFlow take memory as it needs it."""
    command = "set TF_FORCE_GPU_ALLOW_GROWTH=true" if seen.windows else "export TF_FORCE_GPU_ALLOW_GROWTH=true"
    return Fix("let TensorFlow take memory as it needs it, so that cuDNN and cuBLAS find some", (command,))


def other_python(seen: Seen) -> Fix:
    """Return the way to an environment with another Python."""
    what = "create an environment with a Python that the release has wheels for"
    return Fix(what, ("conda create -n tf python=3.11",) if seen.conda else ("tfgpu-provision create --tf VERSION",))


def pip(what: str, *words: str) -> Fix:
    """Return a pip command for the environment that the log is of."""
    quoted = " ".join(f'"{word}"' if set("<>[]") & set(word) else word for word in words)
    return Fix(what, (f"python -m pip install {quoted}",))
