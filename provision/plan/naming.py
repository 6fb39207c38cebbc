"""How messages call a release and a GPU."""

from __future__ import annotations

from collections.abc import Sequence

from provision.model.host import Gpu, HostFacts
from provision.model.matrix import Matrix, Row
from provision.model.versions import ComputeCapability


def release_name(row: Row) -> str:
    """Return ``TensorFlow 2.15.1``."""
    return f"TensorFlow {row.release}"


def gpu_name(gpu: Gpu) -> str:
    """Return ``NVIDIA H100 (compute capability 9.0)``; a name that says it already is left as it is."""
    capability = gpu.compute_capability
    if capability is None or capability.text in gpu.name.split():
        return gpu.name
    return f"{gpu.name} (compute capability {capability})"


def said_by(source: str) -> str:
    """Return ``from nvml``, or ``as described`` for what the user said."""
    return "as described" if source == "described" else f"from {source}"


def machine_name(host: HostFacts) -> str:
    """Return ``this machine``, or ``the described machine`` for one that was described."""
    return "the described machine" if host.described else "this machine"


def capability_range(capabilities: Sequence[ComputeCapability], matrix: Matrix) -> str:
    """Return ``compute capability 6.0 (Pascal) to 9.0 (Hopper)`` for capabilities sorted oldest first."""
    if not capabilities:
        return "none"
    ends = [f"{item} ({matrix.generations[item].architecture})" for item in (capabilities[0], capabilities[-1])]
    return "compute capability " + (" to ".join(ends) if ends[0] != ends[1] else ends[0])
