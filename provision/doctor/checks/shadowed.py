"""Does Python import what is installed, or something that stands before it?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from provision.doctor.check import Check
from provision.doctor.checks.requirements import violations
from provision.doctor.checks.typed import python_of
from provision.doctor.checks.versions import protobuf_violation
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.environment_facts import IMPORTED_MODULES, EnvironmentFacts, Package
from provision.model.snapshot import Snapshot

_SHOWN = 8


def _shadow(snapshot: Snapshot) -> Iterator[Finding]:
    """Something of that name stands before TensorFlow, or before a package that it imports."""
    seen = snapshot.environment
    if seen is None:
        return
    first = PurePosixPath(seen.tensorflow[0]) if seen.tensorflow else None
    if (first is not None and first.name == "tensorflow.py") or _foreign_package(seen, first):
        yield _shadowed(seen, "tensorflow", str(first), Certainty.CERTAIN)
    if seen.distribution is None:
        return
    for module, path in seen.shadows:
        if any(path.startswith(f"{folder}/") for folder in seen.python_path):
            continue
        if PurePosixPath(path).parent in (PurePosixPath(item.folder) for item in seen.packages):
            continue
        third = module in IMPORTED_MODULES
        yield _shadowed(seen, module, path, Certainty.LIKELY if third else Certainty.POSSIBLE)


def _foreign_package(seen: EnvironmentFacts, first: PurePosixPath | None) -> bool:
    if first is None or seen.distribution is None or first.name != "__init__.py":
        return False
    return str(first.parent.parent) not in {item.folder for item in (seen.distribution, *seen.others)}


def _shadowed(seen: EnvironmentFacts, module: str, path: str, certainty: Certainty) -> Finding:
    target = PurePosixPath(path)
    if target.name == "__init__.py":
        target = target.parent
    renamed = target.with_name(f"my_{target.name}")
    instead = seen.distribution.folder if module == "tensorflow" and seen.distribution else "the installed one"
    return Finding(
        "stale_import_shadow",
        certainty,
        f"`import {module}` gives {path}, not {instead}",
        (Clue(path, f"stands before the installed {module} on Python's path"),),
        (
            Fix("Give it another name", (f"mv {target} {renamed}",)),
            Fix("Or start Python where it does not lie"),
        ),
        explains=(
            "tensorflow_missing",
            "tensorflow_remnants",
            "dependency_conflict",
            "keras_conflict",
            "numpy_abi_conflict",
        ),
        data={"module": module, "found": path, "inside": path.startswith(f"{seen.path}/")},
    )


def _leak(snapshot: Snapshot) -> Iterator[Finding]:
    """PYTHONPATH or the user's site folder puts packages before the environment's own."""
    seen = snapshot.environment
    if seen is None:
        return
    if seen.user_error:
        names = [name for name in ("PYTHONHOME", "PYTHONPATH") if snapshot.variables.get(name)]
        yield Finding(
            "python_path_leak",
            Certainty.CERTAIN,
            f"this Python runs without the user's variables and not with them: {seen.user_error[:200]}",
            tuple(Clue(f"variable {name}", snapshot.variables[name][:300]) for name in names)
            or (Clue(seen.path, seen.user_error[:300]),),
            (Fix("Unset them", (f"unset {' '.join(names or ['PYTHONPATH', 'PYTHONHOME'])}",)),),
            explains=("broken_interpreter",),
        )
        return
    by_path = [item for item in _first(seen) if item.folder in seen.python_path]
    modules = [(name, path) for name, path in seen.shadows if any(path.startswith(f"{f}/") for f in seen.python_path)]
    for source, items, local in (
        ("variable PYTHONPATH", by_path, modules),
        ("user site", list(seen.user_site), []),
    ):
        if items or local:
            yield _leaked(snapshot, seen, source, items, local)


def _first(seen: EnvironmentFacts) -> list[Package]:
    known: dict[str, Package] = {}
    for item in seen.packages:
        known.setdefault(item.name, item)
    return list(known.values())


def _leaked(
    snapshot: Snapshot, seen: EnvironmentFacts, source: str, items: list[Package], local: list[tuple[str, str]]
) -> Finding:
    hidden = {item.name: item for item in seen.hidden}
    wrong = {item.name for item in violations(seen) if item.hard or item.below}
    wrong |= {item.name for item in (protobuf_violation(seen, snapshot.variables),) if item}
    matters = [item for item in items if item.name in wrong or item.name.startswith(("tensorflow", "tf-", "nvidia-"))]
    foreign = [item for item in items if item.name not in hidden]
    clues = [Clue(source, snapshot.variables["PYTHONPATH"][:300])] if source.startswith("variable") else []
    for item in items[:_SHOWN]:
        behind = hidden.get(item.name)
        text = f" before {behind.version} of the environment" if behind else " of another Python"
        clues.append(Clue(item.folder, f"{item.name} {item.version}{text}"))
    clues += [Clue(path, f"hides the module {name}") for name, path in local[:_SHOWN]]
    matters.sort(key=lambda item: item.name.startswith("nvidia-"))
    shown = (matters or items)[:3]
    said = ", ".join([*(f"{item.name} {item.version}" for item in shown), *(name for name, _ in local[:3])])
    user = source == "user site"
    fix = (
        Fix("Leave the user's site folder out", ("export PYTHONNOUSERSITE=1",))
        if user
        else Fix("Unset PYTHONPATH, or take the folder out of it", ("unset PYTHONPATH",))
    )
    more = Fix(
        "Or remove them there",
        (f"PYTHONNOUSERSITE= {python_of(seen)} -m pip uninstall {' '.join(i.name for i in shown)}",),
    )
    return Finding(
        "python_path_leak",
        Certainty.CERTAIN if matters or local or foreign else Certainty.POSSIBLE,
        f"{'the user site' if user else 'PYTHONPATH'} puts {said} before the environment's own",
        tuple(clues),
        (fix, more) if user and shown and seen.package("pip") else (fix,),
        explains=(
            "numpy_abi_conflict",
            "protobuf_conflict",
            "keras_conflict",
            "typing_extensions_conflict",
            "dependency_conflict",
            "stale_import_shadow",
            "cpu_only_package",
            "python_version_unsupported",
        ),
        data={
            "found": [f"{item.name}=={item.version}" for item in items],
            "hidden": [f"{name}=={item.version}" for name, item in hidden.items()],
            "folders": [*seen.python_path, *dict.fromkeys(item.folder for item in items)],
        },
    )


CHECKS: tuple[Check, ...] = (
    Check(("stale_import_shadow",), _shadow),
    Check(("python_path_leak",), _leak),
)
