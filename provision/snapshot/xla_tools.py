"""Where XLA finds ptxas and libdevice.

What each release searches was read from its system calls (docs/wiring.md): the folder that XLA_FLAGS names, PATH (ptxas
only), the toolkit folders of the machine, and from 2.14 on the nvcc wheel.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from provision.model.environment_facts import Tool
from provision.model.matrix import Row
from provision.model.versions import TfVersion
from provision.probes.environment import Inventory
from provision.system import System
from provision.verify.answer import Premises

_FLAG = re.compile(r"""--xla_gpu_cuda_data_dir=(?:"([^"]*)"|(\S+))""")
_PLACES: Mapping[str, tuple[str, ...]] = {
    "ptxas": ("nvidia/cuda_nvcc/bin/ptxas", "nvidia/cu13/bin/ptxas"),
    "libdevice": (
        "nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc",
        "nvidia/cu13/nvvm/libdevice/libdevice.10.bc",
    ),
}
_CONDA_PLACES: Mapping[str, tuple[str, ...]] = {
    "ptxas": ("bin/ptxas",),
    "libdevice": ("nvvm/libdevice/libdevice.10.bc", "lib/libdevice.10.bc"),
}
_IN_TOOLKIT: Mapping[str, str] = {"ptxas": "bin/ptxas", "libdevice": "nvvm/libdevice/libdevice.10.bc"}
_PLAIN_TOOLKIT_SINCE = TfVersion("2.6.0")
"""Before it only the toolkit folder of the build's own version is looked at (docs/wiring.md, the table measured)."""


def read_tools(
    system: System, seen: Inventory, premises: Premises, data_dir: str, variables: Mapping[str, str]
) -> tuple[Tool, ...]:
    """Return ptxas and libdevice; nothing where it is not known what the release searches.

    Args:
        system: the door.
        seen: the environment.
        premises: what is installed in it.
        data_dir: what the wiring tells XLA, relative to site-packages; empty where it tells nothing.
        variables: the user's own.
    """
    row = premises.row
    # TensorFlow as a conda package is another build, whose search has not been read.
    conda_build = bool(premises.library_set and premises.library_set.brings_tensorflow)
    if row is None or premises.cuda_build is False or conda_build or _conda_tensorflow(seen):
        return ()
    return tuple(
        _tool(
            system, name, _present(seen, premises, name), tuple(_candidates(name, row, premises, data_dir, variables))
        )
        for name in _IN_TOOLKIT
    )


def _conda_tensorflow(seen: Inventory) -> bool:
    return seen.env.kind == "conda" and any(Path(seen.env.prefix, "conda-meta").glob("tensorflow-base-*.json"))


def _tool(system: System, name: str, present: str | None, candidates: tuple[tuple[str, str], ...]) -> Tool:
    for why, path in candidates:
        if system.exists(path) and (name != "ptxas" or os.access(system.path(path), os.X_OK)):
            return Tool(name, path, present, why)
    return Tool(name, None, present, "searched: " + ", ".join(path for _, path in candidates))


def _candidates(
    name: str, row: Row, premises: Premises, data_dir: str, variables: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield (why, path); the order differs between releases, that one of them is there does not."""
    inside = _IN_TOOLKIT[name]
    hooked = bool(data_dir) and variables.get("TFGPU_NO_PRELOAD", "") in ("", "0")
    named = _FLAG.search(variables.get("XLA_FLAGS", ""))
    if named:
        yield "XLA_FLAGS", f"{named[1] or named[2]}/{inside}"
    elif hooked:
        yield "wiring", os.path.normpath(f"{premises.site_packages}/{data_dir}/{inside}")
    on_path = shutil.which(name, path=variables.get("PATH", os.defpath)) if name == "ptxas" else None
    if on_path:
        yield "PATH", on_path
    yield "CUDA toolkit", f"/usr/local/cuda-{row.cuda.major}.{row.cuda.minor}/{inside}"
    if row.release >= _PLAIN_TOOLKIT_SINCE:
        yield "CUDA toolkit", f"/usr/local/cuda/{inside}"
    if row.xla_finds_wheels:
        yield "wheel", f"{premises.site_packages}/{_PLACES[name][0]}"


def _present(seen: Inventory, premises: Premises, name: str) -> str | None:
    wheels = [Path(premises.site_packages, place) for place in _PLACES[name]]
    conda = [Path(seen.env.prefix, place) for place in _CONDA_PLACES[name]] if seen.env.kind == "conda" else []
    return next((str(path) for path in (*wheels, *conda) if os.path.isfile(path)), None)  # noqa: PTH113 - never raises
