"""Checks: kernels and editors that run another Python, and variables that they or activation set."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from provision.doctor.check import Check
from provision.doctor.checks.typed import commands as typed
from provision.doctor.checks.typed import fix, folder_of, python_of, taken_out
from provision.doctor.checks.visible import select
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.environment_facts import EnvironmentFacts, Pointer
from provision.model.remedy import Install, PointKernel
from provision.model.snapshot import Snapshot

_VARIABLE = "CUDA_VISIBLE_DEVICES"
_GENERIC = frozenset({"tensorflow", "tf", "tf1", "tf2", "keras", "gpu", "cuda", "tfgpu"})
_FOLDERS = frozenset({"venv", "env", "virtualenv", "conda", "envs"})
_OWN = "this environment's Python"
_SHORTEST = 3
_DEFAULT_KERNEL = "python3"
_ENV_FIRST = 5
"""From jupyter_core 5 on the kernels of an active environment come before those of the user."""


def _kernels(snapshot: Snapshot) -> Iterator[Finding]:
    """Kernels that are meant for this environment and name another Python.

    Other people's and other projects' kernels name other Pythons by right, so a kernel counts only where it lies in
    the environment, bears its name, or stands before the environment's own.
    """
    seen = snapshot.environment
    if seen is None or seen.env is None:
        return
    kernels = [item for item in seen.pointers if item.kind == "jupyter"]
    served = any(item.same and item.exists for item in kernels)
    for item in kernels:
        certainty = None if item.same and item.exists else _meant(seen, item, served=served)
        if certainty is None:
            continue
        gone = "" if item.exists else ", which does not exist"
        name = re.sub(r"[^\w.-]", "-", _name(seen) or "tensorflow")
        register = f"{python_of(seen)} -m ipykernel install --user --name {shlex.quote(name)}"
        needed = () if seen.package("ipykernel") else (Install(("ipykernel",)),)
        point = Fix(
            f"Let the kernel {item.name} start this environment's Python",
            (f"tfgpu-provision repair {folder_of(seen)} --kernels",),
            steps=(*needed, PointKernel(item.file)),
        )
        yield Finding(
            "jupyter_kernel_elsewhere",
            certainty,
            f"the Jupyter kernel {item.name} runs {item.python}{gone}, not {seen.env.python}",
            (Clue(item.file, f"argv: {item.python}{gone}"), Clue(str(seen.env.python), _OWN)),
            (
                Fix(
                    "Register this environment's Python as a kernel and choose it in the notebook",
                    (*typed(seen, needed), register),
                ),
                point,
            ),
            data={"kernel": item.file, "found": item.python, "needs": str(seen.env.python), "exists": item.exists},
        )


def _meant(seen: EnvironmentFacts, item: Pointer, *, served: bool) -> Certainty | None:
    """Return how sure it is that a kernel is meant for this environment, None where nothing speaks for it."""
    prefix = str(seen.env.prefix) if seen.env else seen.path
    if item.file.startswith(f"{prefix}/") or item.python.startswith(f"{prefix}/"):
        return Certainty.CERTAIN
    folder = PurePosixPath(item.file).parent.name
    words = set(re.findall(r"[a-z0-9]+", f"{folder} {item.name}".lower()))
    name = _name(seen).lower()
    plain = name not in _GENERIC and len(name) >= _SHORTEST
    if plain and (folder.lower() == name or re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", item.name.lower())):
        return Certainty.LIKELY if served else Certainty.CERTAIN
    if served:
        return None
    if folder == _DEFAULT_KERNEL and seen.package("ipykernel") and not item.file.startswith("/usr/"):
        core = seen.package("jupyter-core")
        early = (
            core is not None and core.version.split(".")[0].isdigit() and int(core.version.split(".")[0]) < _ENV_FIRST
        )
        return Certainty.LIKELY if early else None
    return Certainty.POSSIBLE if words & _GENERIC else None


def _name(seen: EnvironmentFacts) -> str:
    """Return what an environment is called: its folder, or for ``.venv`` and the like the folder around it."""
    prefix = PurePosixPath(seen.env.prefix if seen.env else seen.path)
    return prefix.parent.name if prefix.name.strip(".").lower() in _FOLDERS else prefix.name


def _editors(snapshot: Snapshot) -> Iterator[Finding]:
    """A project whose editor runs another Python than the environment in it, or one that is gone."""
    seen = snapshot.environment
    if seen is None or seen.env is None:
        return
    for item in seen.pointers:
        if item.kind == "jupyter" or (item.same and item.exists):
            continue
        project = str(PurePosixPath(item.file).parent.parent)
        inside = str(seen.env.prefix).startswith(f"{project}/")
        gone = "" if item.exists else ", which does not exist"
        yield Finding(
            "editor_python_elsewhere",
            Certainty.CERTAIN if inside or not item.exists else Certainty.POSSIBLE,
            f"{item.kind} runs {item.python}{gone} in this project ({item.name}), not {seen.env.python}",
            (
                Clue(item.file, f"{item.name}: {item.python}{gone}"),
                Clue(str(seen.env.python), _OWN),
            ),
            (Fix(f"Choose {seen.env.python} as the interpreter ({_CHOOSE.get(item.kind, 'in its settings')})"),),
            data={"file": item.file, "found": item.python, "needs": str(seen.env.python), "exists": item.exists},
        )


_CHOOSE = {
    "vscode": "VS Code: command `Python: Select Interpreter`, and take the line out of the settings",
    "pycharm": "PyCharm: Settings, Project, Python Interpreter",
}


def _hidden(snapshot: Snapshot) -> Iterator[Finding]:
    """CUDA_VISIBLE_DEVICES that activation, a site file, a kernel or an editor sets to nothing."""
    seen = snapshot.environment
    if seen is None:
        return
    gpus = (snapshot.host.gpus.value or None) if snapshot.host else None
    places = [(file, value, "") for file, name, value in seen.scripts_set if name == _VARIABLE]
    places += [
        (item.file, item.variables[_VARIABLE], item.name)
        for item in seen.pointers
        if item.same and _VARIABLE in item.variables
    ]
    for file, value, name in places:
        chosen = None if "$" in value else select(value, gpus)
        if chosen is None or chosen.shown:
            continue
        always = file.endswith((".pth", "customize.py"))
        if not always and not name and snapshot.variables.get(_VARIABLE) == value:
            # It is in force: said with the variable itself.
            continue
        kernel = bool(name) and file.endswith("/kernel.json")
        by_repair = (fix(seen, f"Let the kernel {name} see the GPU", PointKernel(file)),) if kernel else ()
        when = "at every start of Python" if always else f"for {name}" if name else "when the environment is activated"
        yield Finding(
            "visible_devices_hidden",
            Certainty.CERTAIN if always else Certainty.LIKELY,
            f"{file} sets {_VARIABLE}={value!r} {when}, which hides every GPU",
            (Clue(file, f"{_VARIABLE}={value}"),),
            (
                Fix(f"Take {_VARIABLE} out of {file}", (f"grep -n {_VARIABLE} {shlex.quote(file)}",)),
                *(by_repair or taken_out(seen, _VARIABLE, value)),
            ),
            data={"variable": _VARIABLE, "value": value, "file": file},
        )


CHECKS: tuple[Check, ...] = (
    Check(("jupyter_kernel_elsewhere",), _kernels),
    Check(("editor_python_elsewhere",), _editors),
    Check(("visible_devices_hidden",), _hidden),
)
