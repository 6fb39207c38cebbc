"""Do the versions of Python packages fit together: protobuf, NumPy, Keras, typing-extensions, and those of PyTorch?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from provision.doctor.check import Check
from provision.doctor.checks.package_fixes import exchange, resync, tensorflow_requirement
from provision.doctor.checks.requirements import Violation, violations, wanted_of
from provision.doctor.checks.typed import commands as typed
from provision.doctor.checks.typed import fix
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.environment_facts import EnvironmentFacts, Package
from provision.model.remedy import Install
from provision.model.snapshot import Snapshot
from provision.model.versions import CudnnVersion, TfVersion

_NAMED = {
    "protobuf": "protobuf_conflict",
    "numpy": "numpy_abi_conflict",
    "keras": "keras_conflict",
    "tf-keras": "keras_conflict",
    "typing-extensions": "typing_extensions_conflict",
}
_OLD_CODE = "descriptors of its generated code predate protobuf 4, whose runtime refuses to create them"
_BUILDER = Version("3.20")
_REFUSES = Version("4.21.0rc0")
"""The first runtime after 3.20: 4.21 of Python, in the numbering of May 2022."""
_LEGACY = ("1", "true")


def _conflicts(snapshot: Snapshot) -> Iterator[Finding]:
    seen = snapshot.environment
    if seen is None or seen.distribution is None:
        return
    found: dict[str, list[Violation]] = {}
    for item in violations(seen):
        found.setdefault(item.name, []).append(item)
    generated = protobuf_violation(seen, snapshot.variables)
    if generated:
        found.setdefault("protobuf", []).insert(0, generated)
    elif "protobuf" in found and seen.gencode and all(item.found for item in found["protobuf"]):
        # The generated code itself is the judge; a bound that is exceeded beside it has broken nothing.
        found["protobuf"] = [_softened(item) for item in found["protobuf"]]
    for name, items in found.items():
        yield _conflict(seen, name, items)


def _conflict(seen: EnvironmentFacts, name: str, items: Sequence[Violation]) -> Finding:
    worst = min(items, key=lambda item: (not item.hard, not item.below, not item.direct))
    certainty = Certainty.CERTAIN if worst.hard else Certainty.LIKELY if worst.below else Certainty.POSSIBLE
    wanted = wanted_of(seen, name, [worst.requirement])
    state = f"{worst.found} is installed" if worst.found else "it is not installed"
    return Finding(
        _NAMED.get(name, "dependency_conflict"),
        certainty,
        f"{worst.requirer} requires {worst.requirement}; {state}{f': {worst.why}' if worst.why else ''}",
        tuple(dict.fromkeys(clue for item in (worst, *items) for clue in item.clues())),
        exchange(seen, wanted, name),
        data={
            "package": name,
            "needs": [item.requirement for item in items],
            "found": worst.found,
            "required_by": [item.requirer for item in items],
        },
    )


def _softened(item: Violation) -> Violation:
    return Violation(item.name, item.requirer, item.requirement, item.found, item.folder)


def protobuf_violation(seen: EnvironmentFacts, variables: Mapping[str, str]) -> Violation | None:
    """Hold TensorFlow's generated code against the runtime that is installed."""
    package = seen.package("protobuf")
    if package is None or seen.distribution is None or not seen.gencode:
        return None
    try:
        found = Version(package.version)
        needs = None if seen.gencode in ("old", "builder") else Version(seen.gencode)
    except InvalidVersion:
        return None
    title = f"generated code of {seen.distribution.name} {seen.distribution.version}"
    pure = variables.get("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "").lower() == "python"
    if seen.gencode == "old" and found >= _REFUSES and not pure:
        wanted, why = "protobuf<3.21", _OLD_CODE
    elif seen.gencode == "builder" and found < _BUILDER:
        wanted, why = "protobuf>=3.20", "its generated code imports google.protobuf.internal.builder"
    elif needs is not None and found < needs:
        wanted, why = f"protobuf>={needs}", "a runtime may not be older than the compiler of the generated code"
    else:
        return None
    below = found < _BUILDER or needs is not None
    return Violation(
        "protobuf", title, wanted, package.version, package.folder, hard=True, below=below, direct=True, why=why
    )


def _legacy_keras(snapshot: Snapshot) -> Iterator[Finding]:
    """From 2.16 on TF_USE_LEGACY_KERAS asks for tf-keras of the same minor."""
    seen = snapshot.environment
    value = snapshot.variables.get("TF_USE_LEGACY_KERAS", "")
    if seen is None or seen.distribution is None or value.lower() not in _LEGACY:
        return
    try:
        release = TfVersion(seen.distribution.version)
    except ValueError:
        return
    package = seen.package("tf-keras")
    if release < TfVersion("2.16") or (package and _minor(package) == release.minor_series):
        return
    found = f"tf-keras {package.version}" if package else "no tf-keras"
    yield Finding(
        "keras_conflict",
        Certainty.LIKELY if package else Certainty.CERTAIN,
        f"TF_USE_LEGACY_KERAS={value} asks for tf-keras {release.minor_series}; the environment has {found}",
        (Clue("variable TF_USE_LEGACY_KERAS", value), Clue(seen.distribution.folder, found)),
        (
            fix(seen, "Install it", Install((f"tf-keras~={release.minor_series}.0",))),
            Fix("Or use Keras 3", ("unset TF_USE_LEGACY_KERAS",)),
        ),
        data={"needs": f"tf-keras {release.minor_series}", "found": found},
    )


def _minor(package: Package) -> str:
    try:
        return TfVersion(package.version).minor_series
    except ValueError:
        return ""


def _other_framework(snapshot: Snapshot) -> Iterator[Finding]:
    """Another framework's exact pins have put libraries into the environment that this TensorFlow cannot use."""
    seen = snapshot.environment
    if seen is None or seen.row is None or seen.distribution is None:
        return
    needed = seen.row.cudnn
    for package in seen.packages:
        if package.name.startswith(("tensorflow", "tf-", "nvidia-")):
            continue
        for text in package.requires:
            wheel = _cudnn_pin(seen, text)
            version = CudnnVersion.parse(wheel.version) if wheel else None
            if wheel is None or version is None or _serves(version, needed):
                continue
            yield _framework_finding(snapshot, seen, package, wheel, text)


def _cudnn_pin(seen: EnvironmentFacts, text: str) -> Package | None:
    """Return the installed cuDNN wheel that a requirement pins exactly."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    if not requirement.name.startswith("nvidia-cudnn-cu"):
        return None
    package = seen.package(requirement.name)
    exact = [spec.version for spec in requirement.specifier if spec.operator in ("==", "===", "~=")]
    return package if package is not None and exact and requirement.specifier.contains(package.version) else None


def _serves(version: CudnnVersion, needed: CudnnVersion) -> bool:
    """At run time the major must be equal and the minor not lower (TensorFlow's own check)."""
    return version.major == needed.major and version.minor >= needed.minor


def _framework_finding(
    snapshot: Snapshot, seen: EnvironmentFacts, package: Package, wheel: Package, text: str
) -> Finding:
    row = seen.row
    needed = row.cudnn if row else None
    release = seen.distribution.version if seen.distribution else ""
    pin = next((p.requirement for s in (row.sets if row else ()) for p in s.pins if p.name == wheel.name), "")
    newer = [
        item.release
        for item in snapshot.matrix.rows
        if item.sets and seen.python and seen.python.series in item.pythons and _served_by(item.cudnn, wheel)
    ]
    apart = f"tfgpu-provision create {shlex.quote(f'{seen.path}-tf')} --tf {release}"
    found = CudnnVersion.parse(wheel.version)
    fixes = [Fix("Keep the two in environments of their own", (apart,))]
    if pin and needed and found and found.major == needed.major:
        later = fix(seen, f"Install a later cuDNN {needed.major}, which serves both", Install((pin,), alone=True))
        fixes.insert(0, later)
    if newer:
        best = max(newer, key=lambda item: item.release)
        wanted = tensorflow_requirement(best.text, extra=False)
        older = typed(seen, (Install((wanted,)),))
        fixes.append(Fix(f"Or use TensorFlow {best}, which works with cuDNN {wheel.version}", older))
    return Finding(
        "framework_conflict_pytorch",
        Certainty.CERTAIN,
        f"{package.name} {package.version} pins {text}; TensorFlow {release} was built with cuDNN {needed} and needs "
        f"that minor or a later one of {needed.major if needed else '?'}, found {wheel.version}",
        (
            Clue(f"{package.name} {package.version}", f"requires {text}"),
            Clue(wheel.folder, f"{wheel.name} {wheel.version}"),
            Clue(f"{snapshot.matrix.path}:{row.line if row else 0}", f"cuDNN {needed}"),
        ),
        (*resync(seen), *fixes),
        explains=("cudnn_version_mismatch", "wrong_cuda_version", "missing_cudnn"),
        data={
            "built": str(needed),
            "needs": f">={needed}",
            "found": wheel.version,
            "framework": f"{package.name}=={package.version}",
            "libraries": [wheel.name],
        },
    )


def _served_by(needed: CudnnVersion, wheel: Package) -> bool:
    version = CudnnVersion.parse(wheel.version)
    return version is not None and _serves(version, needed)


CHECKS: tuple[Check, ...] = (
    Check(
        (
            "protobuf_conflict",
            "numpy_abi_conflict",
            "keras_conflict",
            "typing_extensions_conflict",
            "dependency_conflict",
        ),
        _conflicts,
    ),
    Check(("keras_conflict",), _legacy_keras),
    Check(("framework_conflict_pytorch",), _other_framework),
)
