"""The conda half of an environment: what is asked of the channels, and what the index half has to respect of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from packaging.version import InvalidVersion, Version

from provision.backends.conda.channels import stripped
from provision.backends.conda.config import CondaConfig
from provision.backends.conda.engine import Engine, find_extra
from provision.backends.resolve import platform_name
from provision.backends.uv import Target, any_python
from provision.errors import ToolFailedError
from provision.model.created import Denial
from provision.model.lock import CondaLocked, normalised
from provision.model.plan import Pin, Plan
from provision.model.versions import GlibcVersion, PythonVersion
from provision.system import System

_LINUX = "5.10"
"""The kernel that conda-lock assumes too; it stands in the virtual-packages.yml beside a lock, and no package of a set
asks for one."""
_ARCHSPEC = "1=x86_64"


def glibc_of(plan: Plan) -> GlibcVersion:
    """Return the oldest glibc on which the plan works: that of the release and of the set, never the machine's."""
    floors = (plan.row.glibc, plan.library_set.glibc or plan.row.glibc)
    return max(floors, key=lambda version: version.parts)


def virtual_packages(plan: Plan) -> dict[str, str]:
    """Return the machine for which a plan is solved; the plan judged the real one by the rules of the matrix."""
    return {
        "__archspec": _ARCHSPEC,
        "__cuda": plan.library_set.cuda.text,
        "__glibc": glibc_of(plan).text,
        "__linux": _LINUX,
        "__unix": "0",
    }


def channels_of(plan: Plan, asked: Sequence[str]) -> tuple[str, ...]:
    """Return the channels in force: those asked for, else that of the set."""
    return tuple(asked) or (plan.library_set.channel,)


def specs_of(plan: Plan) -> tuple[str, ...]:
    """Return every MatchSpec: ours, then the user's."""
    return (*(pin.requirement for pin in plan.conda_pins), *plan.request.conda)


def solve(
    system: System,
    plan: Plan,
    channels: Sequence[str],
    *,
    engine: Engine,
    conda_exe: str | None = None,
    locked: Sequence[CondaLocked] = (),
    as_of: str = "",
) -> tuple[CondaLocked, ...] | Denial:
    """Choose the conda packages of a plan.

    Args:
        system: the door.
        plan: for the conda backend.
        channels: asked for in place of the set's.
        engine: solves, unless a program is named.
        conda_exe: a conda, mamba or micromamba that solves instead.
        locked: packages that stay where they fit.
        as_of: ISO date; nothing newer is taken.

    Raises:
        UsageError, ToolFailedError: as `Engine.solve` and `External.solve`.
    """
    wanted = channels_of(plan, channels)
    virtual = virtual_packages(plan)
    if conda_exe:
        from provision.backends.conda.external import External, find_program  # noqa: PLC0415 - conda-lock is slow

        config = CondaConfig.load(system)
        external = External(system, find_program(system, conda_exe), config, offline=engine.offline)
        found = external.solve(specs_of(plan), wanted, virtual, as_of=as_of)
    else:
        found = engine.solve(specs_of(plan), wanted, virtual, locked=locked, as_of=as_of)
    return found if isinstance(found, Denial) else tuple(_bare(item) for item in found)


def engine_for(system: System, *, offline: bool, on_line: Callable[[str], None] | None = None) -> Engine:
    """Return the engine; raises ToolFailedError (``extra-missing``), InvalidFileError for a wrong ``.condarc``."""
    find_extra()
    return Engine(system, CondaConfig.load(system), offline=offline, on_line=on_line)


def python_of(conda: Sequence[CondaLocked]) -> PythonVersion:
    """Return the exact Python among conda packages; raises ToolFailedError (``no-python``) where there is none."""
    found = next((item.version for item in conda if item.name == "python"), None)
    if found is None:
        raise ToolFailedError(
            "the conda packages bring no Python",
            code="no-python",
            hint="lock the environment again, with python among its packages",
        )
    return PythonVersion(found)


def provided_by(conda: Sequence[CondaLocked]) -> tuple[Pin, ...]:
    """Return the Python distributions that conda packages bring, as exact requirements with their reason.

    A package that depends on Python brings a distribution of its own name in nearly every case; one that does not
    only adds a constraint on a name that nobody asks for. What was really brought is looked at after the installation.
    """
    pins = []
    for item in conda:
        if not any(depend.split(" ", 1)[0] == "python" for depend in item.depends):
            continue
        try:
            version = Version(item.version)
        except InvalidVersion:
            continue
        why = f"conda brings it: {item.requirement} from {item.channel}"
        pins.append(Pin(f"{normalised(item.name)}=={version}", why))
    return tuple(pins)


def index_plan(plan: Plan) -> Plan:
    """Return the plan as the index half sees it; a TensorFlow from conda brings its own builds of everything."""
    if not plan.library_set.brings_tensorflow:
        return plan
    return dataclasses.replace(plan, row=dataclasses.replace(plan.row, source_only=()))


def index_target(python: PythonVersion, glibc: GlibcVersion) -> Target:
    """Return for which Python and platform the index half is resolved: conda's Python, which need not be there yet."""
    return Target(any_python(), python.text, platform_name(glibc))


def _bare(item: CondaLocked) -> CondaLocked:
    """Return a package without credentials; engines leave none, and a lock must not hold any whatever they do."""
    return dataclasses.replace(item, channel=stripped(item.channel), url=stripped(item.url))
