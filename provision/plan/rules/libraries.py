"""Which set of NVIDIA wheels: the first that serves every GPU that the release itself serves."""

from __future__ import annotations

from collections.abc import Sequence

from provision.model.facts import Certainty
from provision.model.host import Gpu
from provision.model.matrix import LibrarySet, Row
from provision.model.plan import Caveat, Obstacle
from provision.model.versions import ComputeCapability
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
    """Return the set that serves most of the capabilities that the release reaches, the preferred one of equals."""
    sets = eligible(row)
    return max(sets, key=lambda item: sum(serves(item, capability) for capability in reached)) if sets else None


def has_set(row: Row) -> Findings:
    """Refuse a release for which no set of wheels has the CUDA and cuDNN it needs.

    Source: the ``sets`` of matrix.yaml.
    """
    if not eligible(row):
        yield Obstacle(
            "no-library-set",
            f"no set of NVIDIA wheels has CUDA {row.cuda.major} and cuDNN {row.cudnn} or newer for {release_name(row)}",
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
            yield Caveat(
                "older-libraries",
                f"cuDNN {libraries.cudnn} instead of {preferred.cudnn}: the newer one has no code for {names}",
                preferred.evidence.certainty,
                preferred.evidence.source,
                notable=False,
            )
    certainty, source = claim(row, "sets")
    if Certainty.DERIVED in (certainty, libraries.evidence.certainty):
        yield Caveat(
            "derived-libraries",
            f"{release_name(row)} was built with CUDA {row.cuda} and cuDNN {row.cudnn} and gets "
            f"CUDA {libraries.cuda} and cuDNN {libraries.cudnn}, which fit by the rules of compatibility",
            Certainty.DERIVED,
            source if certainty is Certainty.DERIVED else libraries.evidence.source,
        )
