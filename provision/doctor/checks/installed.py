"""Is TensorFlow there, and once?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from provision.doctor.check import Check
from provision.doctor.checks.package_fixes import (
    create_anew,
    install_tensorflow,
    newest_row,
    restore_tensorflow,
    resync,
)
from provision.doctor.checks.typed import fix
from provision.model.doctor import Certainty, Clue, Finding, Fix, Role
from provision.model.environment_facts import EnvironmentFacts, Package
from provision.model.remedy import Install, Remove, Step, Uninstall
from provision.model.snapshot import Snapshot
from provision.model.versions import TfVersion

_LEFT_OF = re.compile(r"[~-]?\w*ensorflow-(?P<release>\d[\w.]*)\.dist-info\Z")
_GPU_NAMES = ("tensorflow", "tensorflow-gpu")
SAME_BUILD = TfVersion("2.1")
"""From here on tensorflow and tensorflow-gpu are one build under two names (matrix.yaml, tensorflow-gpu)."""


def _missing(snapshot: Snapshot) -> Iterator[Finding]:
    seen = snapshot.environment
    if seen is None or seen.env is None or seen.tensorflow or seen.distribution:
        return
    row = newest_row(snapshot.matrix, seen.python)
    fixes = [Fix("Make an environment with TensorFlow", ("tfgpu-provision create",))]
    if row is not None and seen.env.kind == "venv":
        fixes.insert(0, fix(seen, "Install it here", *install_tensorflow(seen, row)))
    others = [item for name in ("torch", "jax") if (item := seen.package(name))]
    yield Finding(
        "tensorflow_missing",
        Certainty.CERTAIN,
        f"{seen.path} has {len(seen.packages)} packages and no TensorFlow",
        (
            Clue(str(seen.env.site_packages), "no tensorflow package and no distribution that brings one"),
            *(Clue(item.folder, f"{item.name} {item.version}") for item in others),
        ),
        tuple(fixes),
        data={"found": len(seen.packages)},
    )


def _conflicting(snapshot: Snapshot) -> Iterator[Finding]:
    seen = snapshot.environment
    if seen is None or seen.distribution is None:
        return
    chosen = seen.distribution
    # A second one of the same name is left over metadata.
    beside = [
        item
        for item in seen.others
        if item.folder == chosen.folder and item.name != chosen.name and not _belong(chosen, item)
    ]
    if not beside:
        return
    together = [chosen, *beside]
    same = (
        len({item.version for item in together}) == 1
        and all(item.name in _GPU_NAMES for item in together)
        and release_of(chosen) >= SAME_BUILD
    )
    named = " and ".join(f"{item.name} {item.version}" for item in together)
    build = {True: "with CUDA", False: "without CUDA"}.get(seen.cuda_build) if seen.cuda_build is not None else None
    files = f"; the files that lie there are of a build {build}" if build else ""
    yield Finding(
        "conflicting_tf_packages",
        Certainty.POSSIBLE if same else Certainty.CERTAIN,
        f"{named} write into the same folder {chosen.folder}/tensorflow{files}",
        tuple(Clue(item.folder, f"{item.name} {item.version}") for item in together),
        (
            fix(
                seen,
                "Remove them all, then install the one that is meant",
                Uninstall(tuple(item.name for item in together)),
                *_kept(seen),
            ),
            create_anew(seen, chosen.version),
        ),
        explains=("cpu_only_package", "damaged_install", "tensorflow_remnants"),
        role=Role.HARMLESS if same else Role.CONTRIBUTING,
        data={"found": [f"{item.name}=={item.version}" for item in together]},
    )


def _belong(one: Package, other: Package) -> bool:
    """Whether one asks for the other: on Windows and aarch64 tensorflow is an empty package that does."""
    names = [
        {text.split("=")[0].split("<")[0].split(">")[0].split("!")[0].split("~")[0] for text in item.requires}
        for item in (one, other)
    ]
    return other.name in names[0] or one.name in names[1]


def _kept(seen: EnvironmentFacts) -> tuple[Step, ...]:
    """Return how the TensorFlow with CUDA among those that are installed is installed again."""
    both = [item for item in (seen.distribution, *seen.others) if item is not None]
    gpu = [item for item in both if item.name in _GPU_NAMES]
    chosen = max(gpu or both, key=lambda item: release_of(item).release)
    if chosen.name.startswith("tf-nightly"):
        return (Install(("tf-nightly[and-cuda]",)),)
    name = chosen.name if chosen.name == "tensorflow-gpu" else "tensorflow"
    return restore_tensorflow(seen, chosen.version, name)


def release_of(package: Package) -> TfVersion:
    """Return its version, 0 where it is none of PEP 440."""
    try:
        return TfVersion(package.version)
    except ValueError:
        return TfVersion("0")


def _remnants(snapshot: Snapshot) -> Iterator[Finding]:
    seen = snapshot.environment
    if seen is None or seen.env is None:
        return
    gone = seen.distribution is not None and not seen.tensorflow
    if not gone and not seen.remnants:
        return
    left = [PurePosixPath(item) for item in seen.remnants]
    renamed = [item for item in left if item.name.startswith(("~", "-"))]
    working = bool(seen.tensorflow) and seen.distribution is not None
    # Beside a TensorFlow that is whole, what pip put aside is never imported.
    harmless = working and len(renamed) == len(left)
    if gone and seen.distribution:
        named = f"{seen.distribution.name} {seen.distribution.version}"
        what = f"{named} is registered in {seen.distribution.folder}, and its package tensorflow is gone"
    elif not seen.tensorflow:
        what = f"only remnants of TensorFlow are left: {', '.join(item.name for item in left)}"
    elif harmless:
        what = f"{', '.join(item.name for item in renamed)} is left of an update; Python never imports it"
    else:
        what = f"leftovers of another installation: {', '.join(item.name for item in left)}"
    # What was half removed says in its name which release it was.
    said = (match["release"] for item in left if (match := _LEFT_OF.match(item.name)))
    release = seen.distribution.version if seen.distribution else next(said, "")
    row = newest_row(snapshot.matrix, seen.python)
    names = [seen.distribution.name] if seen.distribution else []
    removal = (Remove(tuple(str(item) for item in left)),) if left else ()
    again = restore_tensorflow(seen, release) if release else install_tensorflow(seen, row) if row else ()
    yield Finding(
        "tensorflow_remnants",
        Certainty.POSSIBLE if harmless else Certainty.CERTAIN if not seen.tensorflow else Certainty.LIKELY,
        what,
        tuple(Clue(str(item), _kind(item)) for item in left)
        or (Clue(seen.distribution.folder if seen.distribution else seen.path, what),),
        (fix(seen, "Remove what is left", *removal),)
        if harmless
        else (*resync(seen), fix(seen, "Remove what is left and install TensorFlow again", *removal, *again)),
        explains=(
            "tensorflow_missing",
            "damaged_install",
            "dependency_conflict",
            "cpu_only_package",
            "stale_import_shadow",
        ),
        role=Role.HARMLESS if harmless else Role.CONTRIBUTING,
        data={"found": [str(item) for item in left], "registered": names},
    )


def _kind(path: PurePosixPath) -> str:
    if path.name.startswith(("~", "-")):
        return "what pip put aside while it removed a package"
    if path.name.endswith((".dist-info", ".egg-info")):
        return "metadata without content, or a second one of the same package"
    return "a package folder that no installed distribution claims, or one without code"


CHECKS: tuple[Check, ...] = (
    Check(("tensorflow_missing",), _missing),
    Check(("conflicting_tf_packages",), _conflicting),
    Check(("tensorflow_remnants",), _remnants),
)
