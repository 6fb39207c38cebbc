"""What the rules ask about a machine's driver, worked out once from facts and matrix."""

from __future__ import annotations

from dataclasses import dataclass

from provision.model.host import HostFacts
from provision.model.matrix import CudaFamily, DriverBranch, Matrix
from provision.model.versions import CudaVersion, DriverVersion, PtxIsa


@dataclass(frozen=True)
class DriverReach:
    """What the driver of a machine can do.

    Attributes:
        version: the driver, None where unknown.
        windows: whether its number is a Windows one (Windows, and WSL, which uses the Windows driver).
        branch: its branch in the matrix, None where unknown or older than all of them.
        cuda: the highest CUDA version it supports.
        derived: whether ``cuda`` was looked up in the branch table instead of reported by the driver.
        ptx: the newest PTX ISA it compiles.
        source: where the version was read.
    """

    version: DriverVersion | None
    windows: bool
    branch: DriverBranch | None
    cuda: CudaVersion | None
    derived: bool
    ptx: PtxIsa | None
    source: str

    @property
    def text(self) -> str:
        """``driver 535.104.05 (CUDA 12.2)``, as messages name it."""
        if self.version is None:
            return f"the driver (CUDA {self.cuda})" if self.cuda else "the driver"
        return f"driver {self.version}" + (f" (CUDA {self.cuda})" if self.cuda else "")


def driver_reach(host: HostFacts, matrix: Matrix) -> DriverReach:
    """Return what the driver of ``host`` can do.

    The CUDA version that the driver reports is preferred to the branch table, because Windows numbers do not follow
    the Linux branches exactly (cuDriverGetVersion, NVIDIA driver API; branch table of matrix.yaml).
    """
    windows = host.system.value == "windows" or host.wsl.value is True
    version = host.driver.value
    branch = matrix.branch_of(version, windows=windows) if version is not None else None
    cuda = host.driver_cuda.value or (branch.max_cuda if branch else None)
    return DriverReach(
        version=version,
        windows=windows,
        branch=branch,
        cuda=cuda,
        derived=host.driver_cuda.value is None and cuda is not None,
        ptx=matrix.ptx_isa_of(cuda) if cuda else None,
        source=host.driver.source,
    )


def family_floor(family: CudaFamily, *, windows: bool) -> DriverVersion:
    """Return the oldest driver on which binaries of a CUDA major version run."""
    return family.windows_min if windows else family.linux_min


def first_driver_for(isa: PtxIsa, matrix: Matrix, *, windows: bool) -> tuple[CudaVersion, str] | None:
    """Return the oldest driver that compiles a PTX ISA: its CUDA version and the number of its branch."""
    cuda = min((version for version, newest in matrix.ptx_isa.items() if newest >= isa), default=None)
    if cuda is None:
        return None
    for branch in matrix.branches:
        if branch.max_cuda >= cuda and (branch.windows_numbers or not windows):
            return branch.max_cuda, branch_name(branch, windows=windows)
    return None


def branch_name(branch: DriverBranch, *, windows: bool) -> str:
    """Return the number by which the drivers of a branch are known on that system, ``545`` or ``545.x``."""
    number = branch.windows_numbers[0] if windows and branch.windows_numbers else branch.branch
    return str(number)
