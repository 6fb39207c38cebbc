"""One place on the bench: a copy of an environment on a described machine, a fault put into it, and the doctor asked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from doctor.lab.copies import Copy
from doctor.lab.machine import Machine
from fakedriver import build as fakedriver
from uv import find_uv_bin

from provision.host import TIME_LIMIT
from provision.report.doctor import doctor_document, doctor_exit_code
from provision.system import System
from provision.workflows import common
from provision.workflows.doctor import DoctorResult, doctor


@dataclass
class Bench:
    """What a fault may change.

    Attributes:
        env: the copy.
        machine: the machine around it, the user's variables among it.
        scratch: an empty folder for whatever a fault needs beside.
        options: further arguments of doctor: ``script``, ``log``, ``deep``.
        target: what doctor is asked about, the copy by default.
        patience: seconds that a driver is waited for.
        seen: the last answer of `ask`, with what it was made from.
    """

    env: Copy
    machine: Machine
    scratch: Path
    options: dict[str, Any] = field(default_factory=dict)
    target: str = ""
    patience: float = TIME_LIMIT
    seen: DoctorResult | None = None

    def script(self, text: str) -> None:
        """Put a program of the user's into the folder where he stands, and ask about it."""
        path = self.machine.folder / "train.py"
        path.write_text(text)
        self.options["script"] = path

    def library(self, path: Path, source: str, *, soname: str = "", version_script: str = "") -> Path:
        """Compile a small library; skips where there is no compiler."""
        cc = fakedriver.compiler()
        if cc is None:
            pytest.skip("no C compiler on PATH")
        path.parent.mkdir(parents=True, exist_ok=True)
        argv = [cc, "-shared", "-fPIC", "-x", "c", "-", f"-Wl,-soname,{soname or path.name}"]
        if version_script:
            script = self.scratch / "versions"
            script.write_text(version_script)
            argv.append(f"-Wl,--version-script={script}")
        out = self.scratch / f"{path.name}.new"
        subprocess.run([*argv, "-o", str(out)], input=source, text=True, check=True)
        path.unlink(missing_ok=True)
        out.replace(path)
        return path

    def ask(self, monkeypatch: pytest.MonkeyPatch) -> Answer:
        """Ask the doctor, in this process, as a user on this machine would."""
        monkeypatch.chdir(self.machine.folder)
        if self.patience != TIME_LIMIT:
            monkeypatch.setattr(common, "host_for", partial(common.host_for, limit=self.patience))
        system = System(environ=dict(self.machine.variables), root=self.machine.root)
        target = self.target or str(self.env.prefix)
        result = self.seen = doctor(system, self.machine.folder, target, **self.options)
        return Answer(doctor_document(result.diagnosis, result.seconds), doctor_exit_code(result.diagnosis))

    def type_in(self, commands: Sequence[str]) -> None:
        """Type commands into a shell, as they were printed, where uv and this tool are on PATH."""
        environ = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "LD_LIBRARY_PATH")}
        environ["PATH"] = os.pathsep.join(
            [str(Path(find_uv_bin()).parent), str(Path(sys.executable).parent), "/usr/bin:/bin"]
        )
        for command in commands:
            done = subprocess.run(
                ["sh", "-c", command], env=environ, cwd=self.machine.folder, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@dataclass(frozen=True)
class Answer:
    """What doctor prints with ``--json``, and its exit code."""

    document: dict[str, Any]
    code: int

    @property
    def primary(self) -> str:
        """Code of the primary finding, empty where there is none."""
        found = self.document["primary"]
        return found["code"] if found else ""

    @property
    def codes(self) -> list[str]:
        return [item["code"] for item in self.document["findings"]]

    @property
    def first_fix(self) -> str:
        """Everything that the best fix of the primary finding says."""
        fixes = self.document["primary"]["fixes"]
        return "\n".join([fixes[0]["what"], *fixes[0]["commands"]]) if fixes else ""

    def names(self, fix: str, env: Path) -> bool:
        """Whether the best fix is the right one: in an environment with a lock that is to bring it back to its lock."""
        fixes = ["\n".join([item["what"], *item["commands"]]) for item in self.document["primary"]["fixes"]]
        if fixes and f"tfgpu-provision sync {env}" in fixes[0] and (env / ".tfgpu/lock.txt").exists():
            return len(fixes) == 1 or any(fix in item for item in fixes)
        return fix in self.first_fix

    def told(self) -> str:
        """Return what a failing test should show."""
        lines = [f"exit {self.code}: {self.document['summary']}"]
        for item in self.document["findings"]:
            lines.append(f"{item['role']} {item['code']} ({item['certainty']}): {item['summary']}")
            lines += [f"    {fix['what']}: {fix['commands']}" for fix in item["fixes"][:2]]
        return "\n".join([*lines, *(f"unsure: {item}" for item in self.document["unsure"])])


@dataclass(frozen=True)
class Fault:
    """A row of the catalogue.

    Attributes:
        name: of the fault, unique.
        code: the cause that doctor has to name as primary.
        fix: a part of the best fix; ``{env}`` is the copy's folder.
        inject: puts the fault in.
        on: originals, see `copies.RECIPES`.
        beside: causes that may be named beside it; what is neither here nor explained by the primary is a false alarm.
        cured: whether the commands of the best fix, typed in as they are, leave an environment that is sound.
    """

    name: str
    code: str
    fix: str
    inject: Callable[[Bench], object]
    on: tuple[str, ...]
    beside: tuple[str, ...] = ()
    cured: bool = False
