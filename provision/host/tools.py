"""Environment managers and the like that are installed here."""

from __future__ import annotations

from pathlib import Path

from provision.host.paths import is_file
from provision.system import System

_NAMES = ("uv", "conda", "mamba", "micromamba", "pixi", "pyenv", "nvidia-smi", "docker", "podman", "apptainer")
_VARIABLES = {"conda": "CONDA_EXE", "mamba": "MAMBA_EXE", "micromamba": "MAMBA_EXE"}
"""Shells define conda and mamba as functions; the program behind is named by a variable."""

_BELOW_HOME = {
    "uv": (".local/bin/uv", ".cargo/bin/uv"),
    "conda": ("miniconda3/bin/conda", "miniforge3/bin/conda", "anaconda3/bin/conda"),
    "mamba": ("miniforge3/bin/mamba", "mambaforge/bin/mamba"),
    "micromamba": (".local/bin/micromamba",),
    "pixi": (".pixi/bin/pixi",),
    "pyenv": (".pyenv/bin/pyenv",),
}


def find_tools(system: System) -> dict[str, str]:
    """Return each tool that is there with its path: on PATH, named by its variable, or in its usual place."""
    found: dict[str, str] = {}
    home = system.environ.get("HOME")
    for name in _NAMES:
        path = system.which(name)
        if path is None:
            named = system.environ.get(_VARIABLES.get(name, ""), "")
            usual = [Path(home) / below for below in _BELOW_HOME.get(name, ())] if home else []
            candidates = [*([Path(named)] if Path(named).name == name else []), *usual]
            path = next((str(candidate) for candidate in candidates if is_file(candidate)), None)
        if path is not None:
            found[name] = path
    return found
