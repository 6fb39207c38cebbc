"""The exact requirements of a plan, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping

from provision.model.matrix import CondaPin, LibrarySet, Row
from provision.model.plan import Pin
from provision.model.versions import PythonVersion


def pins_of(row: Row, libraries: LibrarySet) -> tuple[Pin, ...]:
    """Return what comes from the package index: TensorFlow, every NVIDIA wheel, every constraint, in that order.

    TensorFlow is left out where a conda package brings it.
    """
    release = Pin(row.requirement, f"the release; built with CUDA {row.cuda} and cuDNN {row.cudnn}")
    return (
        *(() if libraries.brings_tensorflow else (release,)),
        *(Pin(wheel.requirement, _why(row, libraries, wheel.libraries)) for wheel in libraries.pins),
        *(Pin(constraint.requirement, constraint.why) for constraint in row.constraints),
    )


def conda_pins_of(row: Row, libraries: LibrarySet, python: PythonVersion) -> tuple[Pin, ...]:
    """Return the MatchSpecs of a plan for conda: Python, then every package of the set."""
    version = f"{python.series}.*" if python == python.series else python.text
    return (
        Pin(f"python {version}", f"TensorFlow {row.release} has a wheel for Python {python.series}"),
        *(Pin(package.requirement, _why_conda(row, libraries, package)) for package in libraries.conda),
    )


def _why_conda(row: Row, libraries: LibrarySet, package: CondaPin) -> str:
    if package.name == "tensorflow":
        return f"{libraries.channel}'s own build of the release for CUDA"
    if package.name == "cuda-version":
        return f"CUDA {libraries.cuda}: holds every package of CUDA to one release"
    return _why(row, libraries, package.libraries)


def _why(row: Row, libraries: LibrarySet, sonames: Mapping[str, str]) -> str:
    asked = [*row.gate, *(name for group in row.optional.values() for name in group)]
    opened = sorted({name for name in asked if name in sonames or row.aliases.get(name) in sonames})
    family = f"CUDA {libraries.cuda}"
    if opened:
        return f"{family}: TensorFlow {row.release} opens {', '.join(opened)}"
    if sonames:
        return f"{family}: {', '.join(sorted(sonames)[:2])} for the other libraries"
    return f"{family}: ptxas and libdevice, which XLA runs"
