"""Operating system, architecture, C library, processor: can the wheel be installed and loaded at all?"""

from __future__ import annotations

from provision.model.facts import Certainty
from provision.model.host import HostFacts
from provision.model.matrix import LibrarySet, Matrix, Row
from provision.model.plan import Caveat, Obstacle
from provision.plan import unserved
from provision.plan.evidence import claim
from provision.plan.finding import Findings
from provision.plan.naming import release_name, said_by

_SYSTEM_NAMES = {"linux": "Linux", "windows": "native Windows", "macos": "macOS"}
_SERVED_SYSTEM = "linux"
_SERVED_MACHINE = "x86_64"
MUSL = "musl"
"""The source that a host's glibc fact names where the C library is musl."""


def operating_system(row: Row, host: HostFacts, matrix: Matrix) -> Findings:
    """Refuse what is not Linux.

    Source: platform tags of the wheels on the index; TensorFlow install guide (native Windows has no GPU support
    after 2.10, WSL2 uses the Linux wheels; macOS wheels are not CUDA builds).
    """
    system = host.system.value
    if system is None or system == _SERVED_SYSTEM:
        return
    name = _SYSTEM_NAMES.get(system, system)
    entry = unserved.of_system(matrix, row.release.release, system)
    if entry is not None:
        yield Obstacle(
            f"{system}-unsupported",
            f"{name}: {entry.why}",
            entry.instead,
            entry.evidence.certainty,
            entry.evidence.source,
        )
        return
    yield Obstacle(
        f"{system}-unsupported",
        f"{name}: environments are made from Linux wheels",
        "Linux on x86_64 (on Windows: WSL2)",
        Certainty.VENDOR,
        "https://www.tensorflow.org/install/pip",
    )


def architecture(row: Row, host: HostFacts, matrix: Matrix) -> Findings:
    """Refuse processors other than x86_64: no TensorFlow wheel with CUDA exists for them.

    Source: the wheels on the index; every aarch64 wheel that was opened says ``is_cuda_build`` False.
    """
    machine = host.machine.value
    if machine in (None, _SERVED_MACHINE) or host.system.value not in (None, _SERVED_SYSTEM):
        return
    entry = unserved.of_machine(matrix, row.release.release, machine)
    if entry is not None:
        yield Obstacle(
            "architecture-unsupported",
            f"{machine}: {entry.why}",
            entry.instead,
            entry.evidence.certainty,
            entry.evidence.source,
        )
        return
    yield Obstacle(
        "architecture-unsupported",
        f"{machine}: no TensorFlow wheel with CUDA exists for this architecture",
        "an x86_64 machine",
        *claim(row, "platform", "python"),
    )


def c_library(row: Row, host: HostFacts, matrix: Matrix) -> Findings:  # noqa: ARG001 - the signature of every rule
    """Refuse a glibc older than the wheel's platform tag, and musl, for which there is no wheel.

    Source: the wheel's ``manylinux`` tag (PEP 600).
    """
    glibc = host.glibc.value
    if glibc is not None and glibc < row.glibc:
        yield Obstacle(
            "glibc-too-old",
            f"glibc {glibc} ({said_by(host.glibc.source)}); "
            f"the wheel of {release_name(row)} needs {row.glibc} or newer",
            f"a system with glibc {row.glibc} or newer",
            *claim(row, "platform", "python"),
        )
    elif glibc is None and MUSL in host.glibc.source.lower():
        yield Obstacle(
            "musl-unsupported",
            "the C library is musl (Alpine and its like); TensorFlow has wheels for glibc alone",
            f"a system with glibc {row.glibc} or newer",
            *claim(row, "platform", "python"),
        )


def c_library_of_set(row: Row, host: HostFacts, libraries: LibrarySet) -> Findings:
    """Refuse a glibc older than the packages of a set admit, where the wheel of the release asks for less.

    Source: the sysroot that the conda packages were built against.
    """
    glibc = host.glibc.value
    if glibc is not None and libraries.glibc is not None and row.glibc <= glibc < libraries.glibc:
        yield Obstacle(
            "glibc-too-old",
            f"glibc {glibc} ({said_by(host.glibc.source)}); "
            f"the {libraries.channel} packages of CUDA {libraries.cuda} need {libraries.glibc} or newer",
            f"a system with glibc {libraries.glibc} or newer",
            libraries.evidence.certainty,
            libraries.evidence.source,
        )


def processor(row: Row, host: HostFacts, matrix: Matrix) -> Findings:  # noqa: ARG001 - the signature of every rule
    """Refuse a processor without an instruction set that the wheel was compiled for: it dies with SIGILL.

    Source: the wheel's compiler flags, ``The TensorFlow binary was compiled to use … instructions``.
    """
    features = host.cpu_features.value
    if features is None:
        return
    missing = [feature for feature in row.cpu_features if feature.lower() not in features]
    if missing:
        names = ", ".join(name.upper() for name in missing)
        yield Obstacle(
            "cpu-too-old",
            f"the processor has no {names} ({said_by(host.cpu_features.source)}); {release_name(row)} would end with "
            "an illegal instruction",
            f"a processor with {names}",
            *claim(row, "cpu", "build"),
        )


def disagreements(row: Row, host: HostFacts, matrix: Matrix) -> Findings:  # noqa: ARG001 - the signature of every rule
    """Carry over that sources on the machine disagree: the decision rests on the one that was preferred.

    Source: the host's own readings.
    """
    for item in host.disagreements:
        readings = ", ".join(f"{source} says {value}" for source, value in item.readings)
        yield Caveat("sources-disagree", f"{item.what}: {readings}", Certainty.REPORTED, "this machine", notable=False)
