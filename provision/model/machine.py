"""What bears on the GPU beside the driver's own answers: kernel modules, device nodes, limits, mounts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Display:
    """A display device on the PCI bus, of whichever vendor; numbers as ``0x10de``, ``driver`` holds it or is empty."""

    address: str
    vendor: str
    device: str
    driver: str = ""


@dataclass(frozen=True)
class DeviceNode:
    """A device file of the NVIDIA driver: ``mode`` as ``crw-rw----``, and whether this user may open it."""

    path: str
    mode: str
    owner: str
    group: str
    usable: bool


@dataclass(frozen=True)
class DriverLibrary:
    """A file that answers to ``libcuda.so.1``.

    Attributes:
        path: with every link resolved.
        kind: ``driver``, ``stub`` (of a toolkit), ``compat`` (forward compatibility) or ``unknown``.
        version: of the driver that it belongs to, as its file name says; empty where that does not.
        folder: the entry of LD_LIBRARY_PATH that leads to it, empty where the loader knows it by itself.
    """

    path: str
    kind: str
    version: str = ""
    folder: str = ""


@dataclass(frozen=True)
class Mount:
    """The file system below a folder that programs need.

    Attributes:
        purpose: ``environment``, ``temporary``, ``home`` or ``shared memory``.
        path: the folder.
        point: where the file system is mounted; empty where that is unknown.
        kind: ``ext4``, ``tmpfs`` …
        noexec, read_only: as it is mounted.
        free_mib, free_inodes: for this user; None where unknown or where the file system has no such limit.
    """

    purpose: str
    path: str
    point: str = ""
    kind: str = ""
    noexec: bool = False
    read_only: bool = False
    free_mib: int | None = None
    free_inodes: int | None = None


@dataclass(frozen=True)
class MachineFacts:
    """What a diagnosis needs of this machine beyond `HostFacts`; None is unknown.

    Of a described machine only what its own facts tell is here.

    Attributes:
        kernel: release of the running kernel.
        modules: those of ``nvidia``, ``nvidia_uvm``, ``nouveau`` … that are loaded.
        module_files: NVIDIA's module for the running kernel, as paths; looked for only where it is not loaded.
        other_kernels: installed kernels that have one.
        blocked: lines of modprobe's configuration that keep it from loading, ``(file, line)``.
        open_module: whether the loaded module is the open one.
        secure_boot: whether the firmware lets only signed modules in.
        displays: display devices of every vendor.
        nodes: device files of the driver.
        groups: names of this user's groups.
        libcudas: every file that answers to ``libcuda.so.1``, in the loader's order under the user's variables.
        cuda_result: of cuInit under the user's variables, 0 where it succeeded.
        cuda_result_all: the same without CUDA_VISIBLE_DEVICES.
        kernel_log: ``(source, line)``: what the kernel said about the GPU since it started, newest last.
        address_space: limit of a process' address space in bytes (RLIMIT_AS); None where there is none.
        memory_mib: of the machine.
        memory_limit_mib: of this control group; None where there is none.
        mounts: the file systems that matter.
        reboot_required: what asks for a reboot; empty where nothing does.
    """

    kernel: str = ""
    modules: tuple[str, ...] | None = None
    module_files: tuple[str, ...] | None = None
    other_kernels: tuple[str, ...] = ()
    blocked: tuple[tuple[str, str], ...] = ()
    open_module: bool | None = None
    secure_boot: bool | None = None
    displays: tuple[Display, ...] | None = None
    nodes: tuple[DeviceNode, ...] = ()
    groups: tuple[str, ...] = ()
    libcudas: tuple[DriverLibrary, ...] = ()
    cuda_result: int | None = None
    cuda_result_all: int | None = None
    kernel_log: tuple[tuple[str, str], ...] = ()
    address_space: int | None = None
    memory_mib: int | None = None
    memory_limit_mib: int | None = None
    mounts: tuple[Mount, ...] = ()
    reboot_required: str = ""

    def mount(self, purpose: str) -> Mount | None:
        """Return the file system for that purpose."""
        return next((item for item in self.mounts if item.purpose == purpose), None)
