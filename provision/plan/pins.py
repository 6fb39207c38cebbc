"""The exact requirements of a plan, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping

from provision.model.matrix import LibrarySet, Row
from provision.model.plan import Pin


def pins_of(row: Row, libraries: LibrarySet) -> tuple[Pin, ...]:
    """Return TensorFlow, every NVIDIA wheel and every further constraint, in that order."""
    return (
        Pin(row.requirement, f"the release; built with CUDA {row.cuda} and cuDNN {row.cudnn}"),
        *(Pin(wheel.requirement, _why(row, libraries, wheel.libraries)) for wheel in libraries.pins),
        *(Pin(constraint.requirement, constraint.why) for constraint in row.constraints),
    )


def _why(row: Row, libraries: LibrarySet, sonames: Mapping[str, str]) -> str:
    asked = [*row.gate, *(name for group in row.optional.values() for name in group)]
    opened = sorted({name for name in asked if row.aliases.get(name, name) in sonames})
    family = f"CUDA {libraries.cuda}"
    if opened:
        return f"{family}: TensorFlow {row.release} opens {', '.join(opened)}"
    if sonames:
        return f"{family}: {', '.join(sorted(sonames)[:2])} for the other libraries"
    return f"{family}: ptxas and libdevice, which XLA runs"
