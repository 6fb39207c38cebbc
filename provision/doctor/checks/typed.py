"""What to type for the steps of a fix: one function renders both, so that command and repair never disagree."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import PurePosixPath

from provision.model.doctor import Fix
from provision.model.environment_facts import EnvironmentFacts
from provision.model.remedy import CondaInstall, Install, PointKernel, Remove, Step, Uninstall, Unset, Wire

_OWN_SCRIPT = "tfgpu-provision"
"""What the activation scripts of this tool are called; they are right as they are."""


def fix(seen: EnvironmentFacts, what: str, *steps: Step) -> Fix:
    """Return the fix that consists of these steps, with its commands."""
    return Fix(what, commands(seen, steps), steps=steps)


def commands(seen: EnvironmentFacts, steps: Iterable[Step]) -> tuple[str, ...]:
    """Return what a user types to do the same in this environment, each command once."""
    return tuple(dict.fromkeys(_command(seen, step) for step in steps))


def taken_out(seen: EnvironmentFacts | None, variable: str, value: str = "") -> tuple[Fix, ...]:
    """Return the fix where files of the environment set a variable; nothing where none does.

    Args:
        seen: the environment.
        variable: its name.
        value: only where they set it to this, or name this among other folders; empty for whatever they set.
    """
    if seen is None:
        return ()
    places = (
        file
        for file, name, text in seen.scripts_set
        if name == variable and (not value or value == text or value in text.split(":"))
    )
    files = [file for file in dict.fromkeys(places) if PurePosixPath(file).stem != _OWN_SCRIPT]
    if not files:
        return ()
    steps = tuple(Unset(file, variable) for file in files)
    return (fix(seen, f"Take {variable} out of {', '.join(files)}, where the environment itself sets it", *steps),)


def python_of(seen: EnvironmentFacts) -> str:
    """Return the environment's interpreter, quoted."""
    return shlex.quote(str(seen.env.python) if seen.env else f"{seen.path}/bin/python")


def folder_of(seen: EnvironmentFacts) -> str:
    """Return the environment's folder, quoted."""
    return shlex.quote(str(seen.env.prefix) if seen.env else seen.path)


def _command(seen: EnvironmentFacts, step: Step) -> str:
    match step:
        case Install():
            return _install(seen, step)
        case Uninstall():
            yes = ["-y"] if seen.package("pip") else []
            return shlex.join([*_pip(seen, "uninstall"), *yes, *step.names])
        case CondaInstall():
            channel = ["-c", step.channel] if step.channel else []
            again = ["--force-reinstall"] if step.again else []
            return shlex.join(["conda", "install", "-p", seen.path, *channel, *again, *step.specs])
        case Wire():
            return f"tfgpu-provision wire {folder_of(seen)}"
        case Remove():
            return shlex.join(["rm", "-r", *step.paths])
        case PointKernel():
            return f"tfgpu-provision repair {folder_of(seen)} --kernels"
        case _:
            # Many lines in many files, each to be changed alike: nothing that one would type.
            return f"tfgpu-provision repair {folder_of(seen)}"


def _install(seen: EnvironmentFacts, step: Install) -> str:
    """Return the command that installs: with the environment's own pip, else with uv."""
    again = "--force-reinstall" if seen.package("pip") else "--reinstall"
    flags = [*(["--no-deps"] if step.alone else []), *([again] if step.again else [])]
    return shlex.join([*_pip(seen, "install"), *flags, *step.requirements])


def _pip(seen: EnvironmentFacts, verb: str) -> list[str]:
    python = str(seen.env.python) if seen.env else f"{seen.path}/bin/python"
    return [python, "-m", "pip", verb] if seen.package("pip") else ["uv", "pip", verb, "--python", python]
