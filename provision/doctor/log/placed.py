"""Commands for an environment that is at hand: its path and its Python instead of what stands for them."""

from __future__ import annotations

import dataclasses
import re
import shlex

from provision.model.doctor import Finding, Fix, Unsure
from provision.model.environment import EnvRef

_PATH = re.compile(r"\bENV\b")
_PYTHON = re.compile(r"^python3? ")


def placed_finding(finding: Finding, env: EnvRef) -> Finding:
    """Return the finding with the commands of its fixes for that environment."""
    return dataclasses.replace(finding, fixes=tuple(_fix(fix, env) for fix in finding.fixes))


def placed_unsure(item: Unsure, env: EnvRef) -> Unsure:
    """Return the open question with its command for that environment."""
    return dataclasses.replace(item, command=_command(item.command, env))


def _fix(fix: Fix, env: EnvRef) -> Fix:
    return dataclasses.replace(fix, commands=tuple(_command(command, env) for command in fix.commands))


def _command(command: str, env: EnvRef) -> str:
    path, python = shlex.quote(str(env.prefix)), shlex.quote(str(env.python))
    return _PYTHON.sub(lambda _: f"{python} ", _PATH.sub(lambda _: path, command))
