"""How a driver is installed, reloaded and restarted on different systems, as fixes."""

from __future__ import annotations

from provision.model.doctor import Fix
from provision.model.host import HostFacts

_DRIVER_PAGE = "https://www.nvidia.com/drivers"

_INSTALL = {
    "ubuntu": ("sudo ubuntu-drivers install",),
    "linuxmint": ("sudo ubuntu-drivers install",),
    "pop": ("sudo apt install nvidia-driver",),
    "debian": ("sudo apt install linux-headers-amd64 nvidia-driver",),
    "fedora": ("sudo dnf install akmod-nvidia xorg-x11-drv-nvidia-cuda",),
    "arch": ("sudo pacman -S nvidia-open",),
}
"""By the distribution's id; Debian needs its section non-free, Fedora RPM Fusion. Others: the vendor's page."""

RELOAD = (
    "sudo rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia",
    "sudo modprobe nvidia",
    "sudo modprobe nvidia_uvm",
)
REBOOT = Fix("Reboot", ("sudo reboot",), root=True)


def install_driver(host: HostFacts | None, what: str = "Install the NVIDIA driver") -> tuple[Fix, ...]:
    """Return how to get a driver, a newer one included, then the reboot."""
    if host is not None and (host.wsl.value is True or host.system.value == "windows"):
        return (Fix(f"{what} in Windows (not inside WSL), from {_DRIVER_PAGE}, then run `wsl --shutdown` there"),)
    if host is not None and host.container.value is not None:
        return (Fix(f"{what} on the host of this container; inside it nothing helps"),)
    name = ((host.distribution.value if host else None) or "").split(" ")[0]
    commands = _INSTALL.get(name, ())
    if not commands:
        return (Fix(f"{what} from your distribution or {_DRIVER_PAGE}, then reboot", root=True),)
    return (Fix(f"{what.rstrip(',')}, then reboot", (*commands, "sudo reboot"), root=True),)


def pass_into_container(kind: str) -> Fix:
    """Return how a container of that kind is started with its GPU."""
    commands = {
        "docker": ("docker run --gpus all IMAGE",),
        "podman": ("podman run --device nvidia.com/gpu=all IMAGE",),
        "apptainer": ("apptainer exec --nv IMAGE.sif python",),
        "lxc": ("lxc config device add NAME gpu gpu",),
    }
    words = {
        "docker": "Start the container with --gpus all; the host needs the NVIDIA Container Toolkit",
        "podman": "Start the container with the GPU's CDI device; the host needs the NVIDIA Container Toolkit",
        "apptainer": "Start the container with --nv",
        "kubernetes": "Request the GPU in the pod's resources: limits: nvidia.com/gpu: 1",
    }
    return Fix(words.get(kind, "Pass the GPU into the container when it is started"), commands.get(kind, ()))
