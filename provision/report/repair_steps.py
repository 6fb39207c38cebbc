"""The steps of a repair in words: what each touches."""

from __future__ import annotations

from collections.abc import Sequence

from provision.model.remedy import (
    CondaInstall,
    Install,
    PointKernel,
    Relocate,
    Remove,
    Step,
    Uninstall,
    Unset,
    Wire,
)

_MOST = 4


def step_words(step: Step, prefix: str) -> str:
    """Return what a step does to an environment, in one line without a full stop."""
    if isinstance(step, Install):
        return _install(step)
    if isinstance(step, Uninstall):
        return f"takes away {_some(step.names)}"
    if isinstance(step, CondaInstall):
        return f"brings from {step.channel}: {_some(step.specs)}"
    if isinstance(step, Wire):
        return "makes links to the CUDA libraries beside TensorFlow and a start-up hook; edits no file of TensorFlow's"
    if isinstance(step, Remove):
        return f"removes {_some([_inside(path, prefix) for path in step.paths])}"
    if isinstance(step, Relocate):
        return f"lets scripts and records that name {step.former} name {prefix}"
    if isinstance(step, Unset):
        return f"takes the lines that set {step.variable} out of {_inside(step.file, prefix)}"
    return _kernel(step, prefix)


def _install(step: Install) -> str:
    what = _some(step.requirements)
    if step.again:
        return f"replaces the files of {what} by those of the same version"
    return f"installs {what}{'' if step.alone else ', and of what they need what does not fit'}"


def _kernel(step: PointKernel, prefix: str) -> str:
    return f"outside of the environment: lets the Jupyter kernel {step.file} start {prefix}/bin/python"


def _inside(path: str, prefix: str) -> str:
    return path.removeprefix(f"{prefix.rstrip('/')}/")


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST
    return ", ".join(names[:_MOST]) + (f" and {more} more" if more > 0 else "")
