"""Which set of NVIDIA wheels: the first that serves every GPU that the release itself serves."""

from __future__ import annotations

from collections.abc import Sequence

from provision.model.facts import Certainty
from provision.model.host import Gpu
from provision.model.matrix import LibrarySet, Matrix, Row
from provision.model.plan import Caveat, Obstacle
from provision.model.versions import ComputeCapability
from provision.plan import unserved
from provision.plan.backends import CONDA
from provision.plan.evidence import claim
from provision.plan.finding import Findings
from provision.plan.naming import gpu_name, release_name


def eligible(row: Row) -> tuple[LibrarySet, ...]:
    """Return the sets that the release accepts at all, preferred first.

    The CUDA major must be that of the build; cuDNN's major must be equal and its minor not lower.

    Source: TensorFlow's own check, "CuDNN library needs to have matching major version and equal or higher minor
    version"; SONAMEs carry the CUDA major.
    """
    return tuple(
        item
        for item in row.sets
        if item.cuda.major == row.cuda.major
        and item.cudnn.major == row.cudnn.major
        and item.cudnn.minor >= row.cudnn.minor
    )


def serves(libraries: LibrarySet, capability: ComputeCapability) -> bool:
    """Whether a set has code for a GPU.

    Source: SASS and PTX inside the wheels (cuDNN 9.11 and later have none below 7.5; cuDNN 8.5 none for 9.0).
    """
    return libraries.first_cc <= capability and (libraries.last_cc is None or capability <= libraries.last_cc)


def best_for(row: Row, gpus: Sequence[Gpu]) -> LibrarySet | None:
    """Return the set that serves most of ``gpus``, the preferred one of equals; None where the release has none."""
    sets = eligible(row)
    known = [gpu.compute_capability for gpu in gpus if gpu.compute_capability is not None]
    if not sets:
        return None
    if not known:
        return sets[0]
    return max(sets, key=lambda item: sum(serves(item, capability) for capability in known))


def widest(row: Row, reached: Sequence[ComputeCapability]) -> LibrarySet | None:
    """Return the set that serves most of the capabilities that the release reaches.

    Of equals the one that serves the newest GPU, then the preferred one: a GPU that comes is rather new than old.
    """
    sets = eligible(row)

    def reach(item: LibrarySet) -> tuple[int, ComputeCapability]:
        served = [capability for capability in reached if serves(item, capability)]
        return len(served), max(served, default=item.first_cc)

    return max(sets, key=reach) if sets else None


def has_set(row: Row, matrix: Matrix, backend: str) -> Findings:
    """Refuse a release for which no set of wheels, or of conda packages, has the CUDA and cuDNN it needs.

    Source: the ``sets`` and ``unserved`` entries of matrix.yaml.
    """
    if eligible(row):
        return
    entry = unserved.of_release(matrix, row.release.release, row.distribution) if backend != CONDA else None
    if entry is not None:
        yield Obstacle(
            "release-unserved",
            f"{release_name(row)}: {entry.why}",
            entry.instead,
            entry.evidence.certainty,
            entry.evidence.source,
        )
    else:
        yield Obstacle(
            "no-library-set",
            f"no set of {'conda packages' if backend == CONDA else 'NVIDIA wheels'} has CUDA {row.cuda.major} and "
            f"cuDNN {row.cudnn} or newer for {release_name(row)}",
            "another release",
            *claim(row, "sets"),
        )


def gpu_in_set(row: Row, gpu: Gpu, libraries: LibrarySet) -> Findings:
    """Refuse a GPU for which the chosen libraries have no code, and say where their code goes through PTX.

    Source: SASS and PTX inside the wheels of the set.
    """
    capability = gpu.compute_capability
    if capability is None:
        return
    evidence = libraries.evidence
    if not serves(libraries, capability):
        upper = f" to {libraries.last_cc}" if libraries.last_cc else " on"
        yield Obstacle(
            "libraries-lack-gpu",
            f"the libraries for {release_name(row)} (CUDA {libraries.cuda}, cuDNN {libraries.cudnn}) have code for "
            f"compute capability {libraries.first_cc}{upper}, not for {gpu_name(gpu)}",
            f"a GPU of compute capability {libraries.first_cc}{upper}",
            evidence.certainty,
            evidence.source,
        )
        return
    native = any(code.major == capability.major and code <= capability for code in libraries.sass)
    if libraries.sass and not native:
        yield Caveat(
            "libraries-ptx-jit",
            f"CUDA {libraries.cuda} and cuDNN {libraries.cudnn} have no machine code for {gpu_name(gpu)}: "
            f"the driver compiles their PTX on first use",
            evidence.certainty,
            evidence.source,
        )


def set_remarks(row: Row, libraries: LibrarySet, gpus: Sequence[Gpu]) -> Findings:
    """Say why it is not the preferred set, and what rests on derivation alone.

    Source: the set's own evidence; the order of ``sets`` in matrix.yaml.
    """
    preferred = eligible(row)[0]
    if libraries.ident != preferred.ident and gpus:
        left = [gpu for gpu in gpus if gpu.compute_capability and not serves(preferred, gpu.compute_capability)]
        if left:
            names = ", ".join(dict.fromkeys(gpu_name(gpu) for gpu in left))
            new, old = f"cuDNN {libraries.cudnn}", preferred.cudnn.text
            if libraries.conda:
                new, old = f"CUDA {libraries.cuda} and {new}", f"{preferred.cuda} and {old}"
            which = "newer" if preferred.cudnn > libraries.cudnn else "older"
            yield Caveat(
                "newer-libraries" if which == "older" else "older-libraries",
                f"{new} instead of {old}: the {which} one has no code for {names}",
                preferred.evidence.certainty,
                preferred.evidence.source,
                notable=False,
            )
    certainty, source = claim(row, "sets")
    if libraries.conda:
        yield from _conda_remarks(row, libraries)
    elif Certainty.DERIVED in (certainty, libraries.evidence.certainty):
        yield Caveat(
            "derived-libraries",
            f"{release_name(row)} was built with CUDA {row.cuda} and cuDNN {row.cudnn} and gets "
            f"CUDA {libraries.cuda} and cuDNN {libraries.cudnn}, which fit by the rules of compatibility",
            Certainty.DERIVED,
            source if certainty is Certainty.DERIVED else libraries.evidence.source,
        )


def _conda_remarks(row: Row, libraries: LibrarySet) -> Findings:
    """Say how far the packages of a channel are known, and whether they are those of the build."""
    evidence = libraries.evidence
    same = (libraries.cuda.major, libraries.cuda.minor) == (row.cuda.major, row.cuda.minor)
    if not same or libraries.cudnn.minor != row.cudnn.minor:
        yield Caveat(
            "derived-libraries",
            f"{release_name(row)} was built with CUDA {row.cuda} and cuDNN {row.cudnn} and gets "
            f"CUDA {libraries.cuda} and cuDNN {libraries.cudnn}, which fit by the rules of compatibility",
            Certainty.DERIVED,
            evidence.source,
        )
    if libraries.brings_tensorflow:
        yield Caveat(
            "foreign-build",
            f"TensorFlow itself is {libraries.channel}'s own build: what is inside it was not read, and what is said "
            "of its code is said of the official wheel",
            evidence.certainty,
            evidence.source,
        )
    yield Caveat(
        "packages-from-recipes",
        f"the {libraries.channel} packages are named from their recipes; none was installed from the channel here",
        evidence.certainty,
        evidence.source,
        notable=False,
    )
