"""Which packages of an environment are the user's own, to be installed in the one that is built in its place."""

from __future__ import annotations

import re

from provision.model.environment_facts import IMPORTED_MODULES, EnvironmentFacts, Package
from provision.model.lock import normalised

_TENSORFLOW = re.compile(r"tensorflow(?:-(?:cpu|gpu|intel|macos|rocm|cpu-aws))?\Z|tf-nightly(?:-.*)?\Z|nvidia-")
_TOOLS = frozenset(
    {"pip", "setuptools", "wheel", "distribute", "uv", "conda", "conda-build", "mamba", "libmambapy", "menuinst"}
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CONDA = re.compile(r"conda-|anaconda-|libmamba")
_WITH_TENSORFLOW = frozenset(
    {
        *IMPORTED_MODULES.values(),
        "keras-applications",
        "keras-preprocessing",
        "libclang",
        "tensorboard-data-server",
        "tensorboard-plugin-wit",
        "tensorflow-estimator",
        "tensorflow-io-gcs-filesystem",
    }
)
"""What a release brings, also where the installed one does not ask for it (for another Python, or in another way)."""
_OF_ONE_RELEASE = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu")


def carried(seen: EnvironmentFacts | None, release: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return requirements of the user's packages, and those that no index has as ``name version (where from)``.

    The user's are those that nothing else installed asks for, and that neither TensorFlow, nor NVIDIA, nor an installer
    brings. They are carried at their versions, except those that are made for one release of TensorFlow where it
    becomes another one: of these the index knows the right version.

    Args:
        seen: the environment; None gives nothing.
        release: of TensorFlow that will be installed, empty where it is not known.
    """
    if seen is None:
        return (), ()
    first: dict[str, Package] = {}
    for item in seen.packages:
        first.setdefault(item.name, item)
    needed = {name for item in first.values() for name in _names(item)} | _WITH_TENSORFLOW | _TOOLS
    kept, left_out = [], []
    of_system = ("/usr/lib/", "/usr/lib64/") if seen.env and seen.env.kind == "system" else ()
    for item in sorted(first.values(), key=lambda one: one.name):
        if item.folder.startswith(of_system):
            continue  # its package manager's, for its own programs; what a user installs goes to /usr/local
        if item.name in needed or _TENSORFLOW.match(item.name) or _CONDA.match(item.name):
            continue
        if item.origin:
            left_out.append(f"{item.name} {item.version} ({item.origin})")
        else:
            other = bool(seen.distribution and release and seen.distribution.version != release)
            kept.append(item.name if other and _of_one_release(item) else f"{item.name}=={item.version}")
    return tuple(kept), tuple(left_out)


def _names(item: Package) -> set[str]:
    names = (_NAME.match(text.strip()) for text in item.requires)
    return {normalised(name[0]) for name in names if name} - {item.name}


def _of_one_release(item: Package) -> bool:
    return any(name in _OF_ONE_RELEASE for name in _names(item))
