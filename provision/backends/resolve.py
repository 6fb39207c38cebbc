"""From a plan and the user's packages to one lock, or to why they do not fit together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from provision.backends.source_only import contradicted, locked_exceptions, overrides
from provision.backends.uv import AsOf, Sources, Target, Uv, failed
from provision.backends.uv_pylock import parser, preferences, read_compiled
from provision.model.lock import Locked, normalised
from provision.model.matrix import SourceOnly
from provision.model.plan import Pin, Plan
from provision.model.versions import GlibcVersion
from provision.system import Completed
from provision.system.parallel import Pending

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from provision.model.created import Denial

_BUILD_TOOLS = "setuptools\nwheel\n"
"""What the few exceptions without a wheel are built with; they are old enough to say nothing themselves."""

_PLATFORMS = ("2.17", "2.28", *(f"2.{minor}" for minor in range(31, 41)))
"""glibc versions for which uv knows a platform name (`--python-platform`, uv 0.9 to 0.13)."""


@dataclass(frozen=True)
class Resolution:
    """A lock, and what is needed to install it.

    Attributes:
        locked: every distribution, sorted by name.
        sources: which of them have no wheel and are built.
        build_tools: file with the lock of what builds them; None where nothing is built.
    """

    locked: tuple[Locked, ...]
    sources: Sources
    build_tools: Path | None = None


@dataclass(frozen=True)
class LockResolution:
    """What a lock is made of.

    Attributes:
        locked: every distribution, sorted by name, with the hashes of the files that the target admits.
        source_only: names of those that have no wheel and are built.
        build_tools: what builds those that the matrix names.
        glibc: the oldest one on which every distribution has a file.
        pylock: the same as uv wrote it (PEP 751); it names addresses.
        too_new: what is younger than the day asked for and was taken all the same, ``name==version``.
    """

    locked: tuple[Locked, ...]
    source_only: tuple[str, ...]
    build_tools: tuple[Locked, ...]
    glibc: GlibcVersion
    pylock: str
    too_new: tuple[str, ...] = ()


def platform_name(glibc: GlibcVersion) -> str:
    """Return uv's name of x86_64 Linux with a glibc: the newest it knows that is not newer."""
    known = [GlibcVersion(text) for text in _PLATFORMS]
    fitting = [version for version in known if version <= glibc]
    return (
        f"x86_64-manylinux_{(max(fitting, key=lambda version: version.parts) if fitting else known[0]).text}".replace(
            ".", "_"
        )
    )


def resolve(
    uv: Uv,
    plan: Plan,
    target: Target,
    *,
    allow_source: bool,
    scratch: Callable[[], Path],
    provided: Sequence[Pin] = (),
) -> Resolution | Denial:
    """Resolve the plan's pins together with the user's packages.

    Args:
        uv: the engine.
        plan: its pins, its row's exceptions from "wheels only", and the request with the user's packages.
        target: for which Python and platform.
        allow_source: build from source what has no wheel, whatever it is.
        scratch: gives a folder for files that uv reads.
        provided: distributions that come from elsewhere in exactly this version and are left out of the answer.

    Raises:
        ToolFailedError: the network, the index or uv failed.
    """
    exceptions = () if allow_source else plan.row.source_only
    if denial := _contradiction(plan, exceptions):
        return denial
    overriding = _written(scratch() / "overrides.txt", overrides(exceptions)) if exceptions else None
    given = _constraints(scratch, provided)
    text = "".join(f"{line}\n" for line in (*(pin.requirement for pin in plan.pins), *plan.request.requirements))
    sources = Sources(everything=allow_source)
    exact = _exact(plan)
    from provision.lock.requirements import parse_lock  # noqa: PLC0415 - other formats do without

    done = uv.resolve(text, target, sources, overriding, offline=True, constraints=given) if exact else None
    # Where every distribution is fixed by an exact pin, the index has no say, and asking it takes half the time.
    if done is None or not done.ok or not {item.name for item in parse_lock(done.stdout)} <= exact:
        done = uv.resolve(text, target, sources, overriding, constraints=given)
    if not done.ok:
        return _refused(plan, provided, done)
    locked = _without(provided, (*parse_lock(done.stdout), *locked_exceptions(exceptions)))
    sources = Sources(tuple(normalised(item.name) for item in exceptions), everything=allow_source)
    return Resolution(tuple(locked), sources, build_tools(uv, target, scratch()) if exceptions else None)


def lock_platform(glibc: GlibcVersion) -> str:
    """Return uv's name of the oldest x86_64 Linux it knows that has a glibc or a newer one.

    What uv takes for it may need a newer glibc than was asked for; `LockResolution.glibc` says what it came to.
    """
    known = [GlibcVersion(text) for text in _PLATFORMS]
    return platform_name(next((version for version in known if version >= glibc), known[-1]))


def resolve_lock(
    uv: Uv,
    plan: Plan,
    target: Target,
    *,
    allow_source: bool,
    scratch: Path,
    keep: Sequence[Locked] = (),
    as_of: str = "",
    provided: Sequence[Pin] = (),
    meanwhile: Callable[[], object] | None = None,
) -> LockResolution | Denial:
    """Resolve the plan's pins together with the user's packages, for a machine that is not this one.

    Args:
        uv: the engine.
        plan: its pins, its row's exceptions from "wheels only", and the request with the user's packages.
        target: for which Python and platform.
        allow_source: build from source what has no wheel, whatever it is.
        scratch: folder for files that uv reads and writes.
        keep: versions that stay where they fit; their hashes are asked of the index again.
        as_of: ISO date; nothing uploaded on a later day is taken, except the wheels that the plan itself fixes.
        provided: distributions that come from elsewhere in exactly this version and are left out of the answer.
        meanwhile: what to do while uv works, see `System.run`.

    Raises:
        ToolFailedError: the network, the index or uv failed.
    """
    exceptions = () if allow_source else plan.row.source_only
    if denial := _contradiction(plan, exceptions):
        return denial
    overriding = _written(scratch / "overrides.txt", overrides(exceptions)) if exceptions else None
    given = _constraints(lambda: scratch, provided)
    lines = (*(pin.requirement for pin in plan.pins), *plan.request.requirements)
    ours = tuple(normalised(pin.name) for pin in plan.library_set.pins)
    day = AsOf(as_of, (plan.row.distribution, *ours)) if as_of else None
    text = "".join(f"{line}\n" for line in lines)
    output = _written(scratch / "pylock.toml", preferences(keep))
    allowed = Sources(everything=allow_source)

    def while_it_works() -> None:
        parser()
        if meanwhile is not None:
            meanwhile()

    def run() -> Completed:
        return uv.lock(
            text, target, allowed, overriding, output, as_of=day, constraints=given, meanwhile=while_it_works
        )

    tools = None
    if exceptions:
        # Both wait for the index most of the time.
        tools = Pending(partial(_locked_build_tools, uv, target, scratch, keep, as_of))
        done = run()
        tools.wait()  # it works in the same scratch folder
    else:
        done = run()
    if not done.ok:
        return _refused(plan, provided, done, as_of)
    found = read_compiled(output.read_text(encoding="utf-8"))
    return LockResolution(
        tuple(_without(provided, (*found.locked, *locked_exceptions(exceptions)))),
        tuple(sorted({*found.built, *(normalised(item.name) for item in exceptions)})),
        tools.result() if tools else (),
        found.glibc,
        found.text,
        tuple(item.requirement for item in found.locked if as_of and found.uploaded.get(item.name, "") > as_of),
    )


def pylock_of(uv: Uv, locked: Sequence[Locked], target: Target, sources: Sources, scratch: Path) -> str:
    """Return a finished list as uv writes it in PEP 751's form; raises ToolFailedError."""
    text = "".join(f"{item.requirement}\n" for item in locked)
    output = _written(scratch / "pylock.toml", preferences(()))
    done = uv.lock(text, target, sources, None, output, dependencies=False)
    if not done.ok:
        raise failed(done, "writing the lock")
    return output.read_text(encoding="utf-8")


def _locked_build_tools(
    uv: Uv, target: Target, scratch: Path, keep: Sequence[Locked], as_of: str
) -> tuple[Locked, ...]:
    folder = scratch / "build-tools"
    folder.mkdir(exist_ok=True)
    output = _written(folder / "pylock.toml", preferences(keep))
    done = uv.lock(_BUILD_TOOLS, target, Sources(), None, output, as_of=AsOf(as_of) if as_of else None)
    if not done.ok:
        raise failed(done, "resolving the build tools")
    return read_compiled(output.read_text(encoding="utf-8")).locked


def _constraints(scratch: Callable[[], Path], provided: Sequence[Pin]) -> Path | None:
    if not provided:
        return None
    return _written(scratch() / "provided.txt", "".join(f"{pin.requirement}\n" for pin in provided))


def _without(provided: Sequence[Pin], locked: Sequence[Locked]) -> list[Locked]:
    """Return a lock in order, less what comes from elsewhere."""
    if not provided:
        return sorted(locked, key=lambda item: item.name)
    from packaging.requirements import Requirement  # noqa: PLC0415 - most resolutions read none

    names = {normalised(Requirement(pin.requirement).name) for pin in provided}
    return sorted((item for item in locked if item.name not in names), key=lambda item: item.name)


def _exact(plan: Plan) -> set[str]:
    """Return the names with an exact pin, empty where the user asks for anything in another way or for nothing."""
    if not plan.request.requirements:
        return set()
    from packaging.requirements import Requirement  # noqa: PLC0415 - most resolutions read none

    wanted = [Requirement(text) for text in plan.request.requirements]
    if not all(_is_exact(item) for item in wanted):
        return set()
    ours = [Requirement(pin.requirement) for pin in plan.pins]
    return {normalised(item.name) for item in (*wanted, *ours) if _is_exact(item)}


def _is_exact(requirement: Requirement) -> bool:
    clauses = list(requirement.specifier)
    return len(clauses) == 1 and clauses[0].operator == "==" and not clauses[0].version.endswith(".*")


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def build_tools(uv: Uv, target: Target, folder: Path) -> Path:
    """Write the lock of what builds packages without a wheel into a folder; raises ToolFailedError."""
    from provision.lock.requirements import parse_lock, render_lock  # noqa: PLC0415 - most releases have none

    done = uv.resolve(_BUILD_TOOLS, target, Sources(), None, offline=True)
    if not done.ok:
        done = uv.resolve(_BUILD_TOOLS, target, Sources(), None)
    if not done.ok:
        raise failed(done, "resolving the build tools")
    remark = "what the packages without a wheel are built with"
    return _written(folder / "build-tools.txt", render_lock(parse_lock(done.stdout), (remark,)))


def _contradiction(plan: Plan, exceptions: Sequence[SourceOnly]) -> Denial | None:
    wrong = contradicted(plan.request.requirements, exceptions)
    if not wrong:
        return None
    from provision.backends.refused import contradicting  # noqa: PLC0415 - most resolutions are not refused

    return contradicting(plan, wrong)


def _refused(plan: Plan, provided: Sequence[Pin], done: Completed, as_of: str = "") -> Denial:
    """Return why there is no answer; raises ToolFailedError where uv failed for another reason."""
    from provision.backends.refused import dated, explained  # noqa: PLC0415 - most resolutions are not refused

    denial = explained(plan, provided, done.stderr)
    if denial is None:
        raise failed(done, "resolving")
    return dated(denial, as_of)
