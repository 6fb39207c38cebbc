"""Is there a GPU, a driver, and a way from here to them?"""

from __future__ import annotations

from collections.abc import Iterator

from provision.doctor.check import Check
from provision.doctor.checks.installing import install_driver, pass_into_container
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.host import DriverState, Gpu, HostFacts
from provision.model.machine import Display
from provision.model.snapshot import Snapshot
from provision.model.versions import TfVersion

_NVIDIA = "0x10de"
_MAKERS = {"0x1002": "AMD", "0x8086": "Intel", "0x106b": "Apple", "0x1ed5": "Moore Threads"}
"""PCI numbers of makers of GPUs. Others on the bus are consoles of servers and of virtual machines."""
_FIRST_WITHOUT_WINDOWS = TfVersion("2.11.0")


def driver_clue(host: HostFacts) -> Clue:
    """Return what the driver, or its absence, answered."""
    return Clue("driver", (host.driver_state_why or host.driver_state.value)[:300])


def gpu_clues(host: HostFacts) -> tuple[Clue, ...]:
    """Return one clue for each GPU that some source names."""
    return tuple(Clue(host.gpus.source, _gpu_text(gpu)) for gpu in host.gpus.value or ())


def _gpu_text(gpu: Gpu) -> str:
    capability = f", compute capability {gpu.compute_capability}" if gpu.compute_capability else ""
    return f"{gpu.name}{capability}{f', {gpu.pci_bus_id}' if gpu.pci_bus_id else ''}"


def container_of(host: HostFacts) -> str:
    """Return the kind of container, empty outside of one; WSL calls itself one and is none."""
    kind = host.container.value.kind if host.container.value else ""
    return "" if kind == "wsl" else kind


def _no_gpu(snapshot: Snapshot) -> Iterator[Finding]:
    """No NVIDIA device on the bus: another maker's GPU, a driver that waits for one, or a machine without any."""
    host = snapshot.host
    if host is None or host.driver_state is not DriverState.NO_GPU or host.wsl.value or host.gpus.value:
        return
    others = [item for item in (snapshot.machine.displays if snapshot.machine else None) or () if _is_gpu(item)]
    laptop = Fix(
        "On a laptop whose NVIDIA GPU is switched off, switch it on and reboot",
        ("sudo prime-select nvidia", "sudo reboot"),
        root=True,
    )
    if others:
        names = ", ".join(dict.fromkeys(_MAKERS[item.vendor] for item in others))
        clues = tuple(
            Clue(
                f"/sys/bus/pci/devices/{item.address}",
                f"vendor {item.vendor} ({_MAKERS[item.vendor]}), device {item.device}, driver {item.driver or 'none'}",
            )
            for item in others
        )
        yield Finding(
            "no_nvidia_gpu",
            Certainty.CERTAIN,
            f"the PCI bus shows GPUs of {names} and none of NVIDIA: TensorFlow runs on the CPU",
            (*clues, driver_clue(host)),
            (Fix("Use a machine with an NVIDIA GPU"), laptop),
            data={"found": names},
        )
    elif "libraries are installed" in host.driver_state_why:
        yield Finding(
            "no_nvidia_gpu",
            Certainty.LIKELY,
            "an NVIDIA driver's libraries are installed, and no NVIDIA GPU is on the PCI bus",
            (driver_clue(host),),
            (
                Fix("Give this (virtual) machine its GPU: type of the instance, passthrough, seat of the card"),
                laptop,
            ),
        )
    else:
        yield Finding(
            "cpu_only_machine",
            Certainty.CERTAIN,
            "no NVIDIA GPU and no driver here: TensorFlow runs on the CPU, as it should",
            (driver_clue(host),),
        )


def _is_gpu(item: Display) -> bool:
    return item.vendor in _MAKERS


def _driver_missing(snapshot: Snapshot) -> Iterator[Finding]:
    """A GPU, and no driver or only half of one."""
    host = snapshot.host
    if host is None or host.driver_state is not DriverState.NOT_INSTALLED or not host.gpus.value:
        return
    names = ", ".join(gpu.name for gpu in host.gpus.value)
    clues = (driver_clue(host), *gpu_clues(host))
    if host.kernel_module.known:
        number = host.kernel_module.value
        yield Finding(
            "driver_missing",
            Certainty.CERTAIN,
            f"kernel module {number} is loaded for {names}, the driver's library libcuda.so.1 is not installed",
            (*clues, Clue(host.kernel_module.source, f"{number}"), Clue("loader", "libcuda.so.1: not found")),
            install_driver(host, f"Install the libraries of driver {number} (the whole driver of that version)"),
            data={"found": f"kernel module {number}", "needs": f"libcuda.so.1 of driver {number}"},
        )
        return
    if host.gpus.source.startswith(("nvml", "nvidia-smi")):
        number = host.driver.value
        yield Finding(
            "driver_missing",
            Certainty.CERTAIN,
            f"driver {number or ''} answers for {names}, its compute library libcuda.so.1 is not installed".replace(
                "  ", " "
            ),
            (*clues, Clue("loader", "libcuda.so.1: not found")),
            install_driver(host, "Install the driver with its compute libraries (libcuda1, libnvidia-compute)"),
            data={"found": f"driver {number}", "needs": "libcuda.so.1"},
        )
        return
    yield Finding(
        "driver_missing",
        Certainty.CERTAIN,
        f"{names} is there, no NVIDIA driver is installed",
        (*clues, Clue("loader", "libcuda.so.1: not found")) if not host.described else clues,
        install_driver(host),
        data={"found": "no driver", "needs": "an NVIDIA driver"},
    )


def _container(snapshot: Snapshot) -> Iterator[Finding]:
    """A container whose kernel has what the container does not."""
    host = snapshot.host
    kind = container_of(host) if host else ""
    if host is None or not kind:
        return
    present = host.device_nodes.value
    without_memory = (
        not host.wsl.value
        and host.driver_state not in (DriverState.WORKING, DriverState.HIDDEN, DriverState.NO_GPU)
        and present is not None
        and "/dev/nvidiactl" in present
        and "/dev/nvidia-uvm" not in present
    )
    if host.driver_state is not DriverState.NOT_PASSED and not without_memory:
        return
    clues = [driver_clue(host), Clue(host.container.source, f"this is a {kind} container")]
    if host.kernel_module.known:
        clues.append(Clue(host.kernel_module.source, f"{host.kernel_module.value} (the module of the host)"))
    if present is not None:
        clues.append(Clue("/dev", ", ".join(present) or "no /dev/nvidia*, no /dev/dxg"))
    capabilities = host.variables.get("NVIDIA_DRIVER_CAPABILITIES")
    fixes = [pass_into_container(kind)]
    if capabilities is not None and present and not {"compute", "all"} & set(capabilities.split(",")):
        clues.append(Clue("variable NVIDIA_DRIVER_CAPABILITIES", capabilities))
        fixes.insert(
            0,
            Fix(
                "Start the container with the driver's compute libraries",
                ("docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility IMAGE",),
            ),
        )
    what = "/dev/nvidia-uvm was not passed into" if without_memory else "no GPU was passed into"
    yield Finding(
        "container_runtime_missing",
        Certainty.CERTAIN,
        f"{what} this {kind} container: {host.driver_state_why}",
        tuple(clues),
        tuple(fixes),
        explains=("device_node_permission", "driver_missing", "driver_unloaded_needs_reboot"),
        data={"container": kind},
    )


def _wsl(snapshot: Snapshot) -> Iterator[Finding]:
    """WSL without the library that Windows should lend it."""
    host = snapshot.host
    if host is None or host.described or host.wsl.value is not True or container_of(host):
        return
    update = Fix(
        "In Windows: install a current NVIDIA driver and update WSL; install no Linux driver inside",
        ("wsl --update", "wsl --shutdown"),
    )
    absent = any(item.source == "libcuda" and item.outcome == "absent" for item in host.gpus.attempts)
    if host.driver_state is DriverState.NOT_PASSED or absent:
        yield Finding(
            "wsl_libcuda_missing",
            Certainty.CERTAIN,
            f"WSL lends no libcuda.so.1: {host.driver_state_why}",
            (driver_clue(host), Clue("loader", "libcuda.so.1: not found, nor /usr/lib/wsl/lib/libcuda.so.1")),
            (update,),
        )
    elif host.driver_state is DriverState.WORKING and snapshot.machine is not None and not snapshot.machine.libcudas:
        yield Finding(
            "wsl_libcuda_missing",
            Certainty.CERTAIN,
            "/usr/lib/wsl/lib/libcuda.so.1 works, and the loader does not look in that folder",
            (Clue("loader", "libcuda.so.1 is neither in its cache nor in LD_LIBRARY_PATH"), driver_clue(host)),
            (
                Fix("Tell the loader for this shell", ('export LD_LIBRARY_PATH="/usr/lib/wsl/lib:$LD_LIBRARY_PATH"',)),
                Fix("Tell the loader for good", ("sudo ldconfig /usr/lib/wsl/lib",), root=True),
            ),
        )


def _platform(snapshot: Snapshot) -> Iterator[Finding]:
    """A system, an architecture or a C library for which no wheel with CUDA exists."""
    host = snapshot.host
    if host is None:
        return
    system, machine = host.system.value, host.machine.value
    row = snapshot.environment.row if snapshot.environment else None
    cuda_build = snapshot.environment is not None and snapshot.environment.cuda_build is True
    served = Fix("Use Linux on x86_64, in a container or another machine")
    if system == "windows":
        if row is None or row.release >= _FIRST_WITHOUT_WINDOWS:
            yield Finding(
                "windows_native_unsupported",
                Certainty.CERTAIN,
                f"native Windows: TensorFlow {row.release if row else 'after 2.10'} has no GPU support there",
                (Clue(host.system.source, system),),
                (Fix("Use WSL2 and create the environment there", ("wsl --install",)),),
            )
    elif system == "macos":
        yield Finding(
            "platform_unsupported",
            Certainty.CERTAIN,
            "macOS: TensorFlow has no CUDA build for it",
            (Clue(host.system.source, system),),
            (served,),
        )
    elif machine not in (None, "x86_64") and not cuda_build:
        yield Finding(
            "platform_unsupported",
            Certainty.CERTAIN,
            f"{machine}: TensorFlow's wheels for this architecture are CPU builds",
            (Clue(host.machine.source, f"{machine}"),),
            (served,),
            data={"found": machine, "needs": "x86_64"},
        )
    elif host.glibc.source == "musl":
        yield Finding(
            "platform_unsupported",
            Certainty.CERTAIN,
            "the C library is musl (Alpine and its like): TensorFlow has wheels for glibc alone",
            (Clue("loader", "musl"),),
            (Fix("Use an image with glibc, for example Debian's or Ubuntu's"),),
            data={"found": "musl", "needs": "glibc"},
        )


CHECKS: tuple[Check, ...] = (
    Check(("no_nvidia_gpu", "cpu_only_machine"), _no_gpu),
    Check(("driver_missing",), _driver_missing),
    Check(("container_runtime_missing",), _container),
    Check(("wsl_libcuda_missing",), _wsl),
    Check(("windows_native_unsupported", "platform_unsupported"), _platform),
)
