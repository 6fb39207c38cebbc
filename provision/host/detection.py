"""This machine as `HostFacts`: gather what every source says, then judge it once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from provision.host import machine, merge
from provision.host.driver import gather, ldconfig
from provision.host.interpreters import find_interpreters
from provision.host.parsers import parse_ldconfig
from provision.host.state import decide_state
from provision.host.toolkits import find_cudnn, find_toolkits, nvcc_version
from provision.host.tools import find_tools
from provision.host.variables import relevant
from provision.model.facts import Fact
from provision.model.host import HostFacts
from provision.system import System
from provision.system.parallel import Pending


def detect(system: System, *, wide: bool, limit: float) -> HostFacts:
    """Read this machine; never raises for what it finds.

    Args:
        system: the door.
        wide: also look for interpreters, toolkits, cuDNN copies, tools and free disk space, which deciding needs not.
        limit: seconds that each child which loads a driver library may take.
    """
    architecture = machine.architecture()
    beside = Pending(lambda: _lying_around(system, architecture.value or "")) if wide else None
    wsl = machine.is_wsl(system)
    said = gather(system, wsl=wsl.value, machine=architecture.value or "", limit=limit)
    state, why = decide_state(said)
    nodes = said.nodes.present
    host_has_gpu = bool(said.pci) or said.module.known
    gpu_answers = bool(said.nvml.gpus or said.cuda_all.gpus)
    node_source = "/dev" if nodes is not None else "unknown"
    return HostFacts(
        described=False,
        system=machine.operating_system(),
        machine=architecture,
        distribution=machine.distribution(system),
        wsl=wsl,
        glibc=machine.glibc(system),
        cpu_features=machine.cpu_features(system),
        driver_state=state,
        driver_state_why=why,
        driver=merge.driver_version(said),
        kernel_module=said.module,
        driver_cuda=merge.driver_cuda(said),
        gpus=merge.gpus(said),
        device_nodes=Fact(nodes, node_source),
        container=machine.container(system, nodes, host_has_gpu=host_has_gpu, gpu_answers=gpu_answers),
        variables=relevant(system.environ),
        disagreements=merge.disagreements(said),
        attempts=said.attempts,
        **(beside.result() if beside else {}),
    )


def _lying_around(system: System, architecture: str) -> dict[str, Any]:
    """Return the facts that only a full look has."""
    toolkits = find_toolkits(system)
    return {
        "toolkits": toolkits,
        "cudnn_copies": find_cudnn(system, toolkits, parse_ldconfig(ldconfig(system)), architecture),
        "nvcc": nvcc_version(system),
        "pythons": find_interpreters(system),
        "tools": find_tools(system),
        "free_disk_mib": Fact(system.free_mib(Path.cwd()), "statvfs"),
    }
