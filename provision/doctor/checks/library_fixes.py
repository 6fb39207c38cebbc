"""Which packages bring a library, and the steps that install them into this very environment."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from provision.doctor.checks.package_fixes import create_anew, resync
from provision.doctor.checks.typed import fix
from provision.model.doctor import Fix
from provision.model.environment_facts import EnvironmentFacts
from provision.model.matrix import CondaPin, LibrarySet, Row, WheelPin
from provision.model.plan import Plan
from provision.model.remedy import CondaInstall, Install, Step, Wire
from provision.model.snapshot import Snapshot

Pin = WheelPin | CondaPin


def meant_set(snapshot: Snapshot) -> LibrarySet | None:
    """Return the set of libraries that this environment has, ought to have on this GPU, or comes nearest to.

    None where the matrix has no row or no set of the kind that the environment can take.
    """
    seen = snapshot.environment
    if seen is None or seen.row is None:
        return None
    if seen.library_set is not None:
        return seen.library_set
    sets = _of_kind(seen, seen.row)
    if isinstance(snapshot.judged, Plan) and snapshot.judged.library_set in sets:
        return snapshot.judged.library_set
    return max(sets, key=lambda one: _nearness(seen, one), default=None)


def _of_kind(seen: EnvironmentFacts, row: Row) -> tuple[LibrarySet, ...]:
    names = {pin.name for one in row.conda_sets for pin in one.conda}
    from_conda = bool(seen.env and seen.env.kind == "conda" and (names & seen.conda.keys() or not row.sets))
    return tuple(one for one in (row.conda_sets if from_conda else row.sets) if not one.brings_tensorflow)


def _nearness(seen: EnvironmentFacts, one: LibrarySet) -> int:
    versions = {**seen.conda, **seen.versions}
    return sum(versions.get(pin.name) == pin.version for pin in whole(one))


def providers(one: LibrarySet | None, row: Row | None, sonames: Iterable[str]) -> tuple[Pin, ...]:
    """Return the packages of a set that bring these libraries, aliases included, each once."""
    if one is None:
        return ()
    aliases = row.aliases if row else {}
    found = (one.provider(soname) or one.provider(aliases.get(soname, soname)) for soname in sonames)
    return tuple({pin.requirement: pin for pin in found if pin is not None}.values())


def whole(one: LibrarySet | None) -> tuple[Pin, ...]:
    """Return every package of a set."""
    return (*one.pins, *one.conda) if one else ()


def install(snapshot: Snapshot, pins: Sequence[Pin], what: str) -> tuple[Fix, ...]:
    """Return how to install packages into this environment and make them visible; best first.

    Args:
        snapshot: with an environment.
        pins: exact packages; empty where the matrix knows none.
        what: one sentence.
    """
    seen = snapshot.environment
    if seen is None or seen.env is None:
        return ()
    if seen.row is None and seen.distribution is not None and seen.env.kind != "system":
        # A release that the matrix does not know knows by itself which packages it wants.
        extra = f"{seen.distribution.name}[and-cuda]=={seen.distribution.version}"
        return (fix(seen, what, Install((extra,))),)
    if not pins or seen.env.kind == "system":
        return create(seen)
    return (*resync(seen), fix(seen, what, install_step(seen, pins), *wire_step(seen)), *create(seen))


def install_step(seen: EnvironmentFacts, pins: Sequence[Pin]) -> Step:
    """Return the step that installs these packages at their exact versions."""
    if isinstance(pins[0], CondaPin):
        return CondaInstall(tuple(f"{pin.name}={pin.version}" for pin in pins))
    # What is installed by its metadata and has lost its files counts as satisfied unless it is forced.
    hollow = any(seen.versions.get(pin.name) == pin.version for pin in pins)
    return Install(tuple(pin.requirement for pin in pins), again=hollow, alone=hollow)


def again(seen: EnvironmentFacts, packages: Sequence[str]) -> tuple[Fix, ...]:
    """Return how distributions (``name version``) are installed again as they are.

    Where none is named those whose files are damaged, else TensorFlow.
    """
    found = seen.distribution
    named = [package.replace(" ", "==") for package in packages]
    # What RECORD says is damaged is meant before TensorFlow as a whole is.
    faulty = dict.fromkeys(item.package for item in seen.faults if item.package)
    conda = tuple(name for name in faulty if name in seen.conda)
    if conda and not named:
        return (fix(seen, f"Install {', '.join(conda)} again", CondaInstall(conda, channel="", again=True)),)
    named = named or [f"{name}=={seen.versions[name]}" for name in faulty if name in seen.versions]
    named = named or ([f"{found.name}=={found.version}"] if found else [])
    if not named or seen.env is None or seen.env.kind == "system":
        return ()
    return (
        fix(seen, f"Install {', '.join(named)} again", Install(tuple(named), again=True, alone=True)),
        *resync(seen),
    )


def wire_step(seen: EnvironmentFacts) -> tuple[Step, ...]:
    """Return the step that wires; none where it would be refused (no row, a system Python, packages elsewhere)."""
    if seen.env is None or seen.env.kind == "system" or seen.row is None:
        return ()
    if seen.distribution is not None and not seen.distribution.folder.startswith(f"{seen.path}/"):
        return ()
    return (Wire(),)


def wire(seen: EnvironmentFacts, what: str) -> tuple[Fix, ...]:
    """Return the fix that wires, nothing where it would be refused."""
    steps = wire_step(seen)
    return (fix(seen, what, *steps),) if steps else ()


def create(seen: EnvironmentFacts) -> tuple[Fix, ...]:
    """Return the way that always works: another environment, made whole."""
    if seen.row is None:
        return ()
    if seen.env is not None and seen.env.kind == "venv" and seen.row.sets:
        return (create_anew(seen, str(seen.row.release)),)
    # A conda environment or a Python of the machine is nothing that this tool would replace.
    backend = [] if seen.row.sets else ["--backend", "conda"]
    words = ["tfgpu-provision", "create", ".venv", "--tf", str(seen.row.release), *backend]
    return (Fix("Make a new environment, with the libraries that belong to this release", (shlex.join(words),)),)


def unset(variable: str, instead: Sequence[str] = ()) -> Fix:
    """Return the fix for a variable of the user's shell: set to what is left of it, or unset."""
    if instead:
        what = f"Set {variable} without it, and look for where it is set (~/.bashrc, a module, the container's ENV)"
        return Fix(what, (f"export {variable}={shlex.quote(':'.join(instead))}",))
    what = f"Unset {variable}, and look for where it is set (~/.bashrc, a module, the container's ENV)"
    return Fix(what, (f"unset {variable}",))
