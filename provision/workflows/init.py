"""init: write ``[tool.tfgpu]`` into the project's pyproject.toml and leave every other byte of it alone."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.backends.requirements import check_all
from provision.errors import InvalidFileError
from provision.model.created import Denial
from provision.model.initialised import InitResult
from provision.model.plan import Request
from provision.plan import parse_spec
from provision.system import System
from provision.system.files import write_atomic
from provision.workflows.common import load_matrix
from provision.workflows.lock_targets import look_at_target, named_targets
from provision.workflows.plan import make_request
from provision.workflows.settings import Settings, nearest_project, read_table

_HEADER = re.compile(r"\s*\[")
_OURS = re.compile(r"\s*\[\s*tool\s*\.\s*tfgpu\s*(\.[^]]*)?\]")
_NEWLINE, _WINDOWS = "\n", "\r\n"


@dataclass(frozen=True)
class InitOptions:
    """What the table is to say."""

    tf: str = ""
    python: str = ""
    backend: str = ""
    packages: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    """``NAME:MACHINE`` each."""
    replace: bool = False


def init(system: System, folder: Path, options: InitOptions) -> InitResult:
    """Write the table into the nearest pyproject.toml at or above ``folder``, or into a new one in it.

    Raises:
        UsageError: a value that cannot be used; nothing was written.
        InvalidFileError: the file is no TOML, or cannot hold the table.
    """
    table = _checked(system, options)
    found = nearest_project(folder)
    path = (found or folder / "pyproject.toml").resolve()
    before = path.read_bytes() if found else b""
    there = read_table(path, before) if found else None
    text = _text(table)
    if there is not None and not options.replace:
        return InitResult(str(path), text, denial=_denial(path, there))
    after = _exchanged(path, before, table) if there is not None else _appended(before, text)
    _hold(path, before, after, table)
    write_atomic(path, after, mode=stat.S_IMODE(path.stat().st_mode) if found else 0o644)
    return InitResult(str(path), text, created=found is None, replaced=there is not None)


def existing(folder: Path) -> Path | None:
    """Return the pyproject.toml that has our table already, so that nobody is asked for nothing."""
    found = nearest_project(folder)
    return found if found is not None and read_table(found, found.read_bytes()) is not None else None


def _checked(system: System, options: InitOptions) -> dict[str, Any]:
    """Return the table; every value in it has been read as the commands will read it."""
    packages = check_all(options.packages, "--with")
    make_request(Settings(), tf=options.tf, python=options.python)
    parse_spec(options.tf, load_matrix(None, Settings()), Request().distribution)
    named = named_targets(options.targets, Settings(), system) if options.targets else ()
    targets = {item.name or "main": look_at_target(item, system, None).machine for item in named}
    values: dict[str, Any] = {
        "tf": options.tf,
        "python": options.python,
        "backend": options.backend,
        "requirements": list(packages),
        "targets": targets,
    }
    return {key: value for key, value in values.items() if value}


def _text(table: dict[str, Any]) -> str:
    import tomlkit  # noqa: PLC0415 - only init writes TOML

    return tomlkit.dumps({"tool": {"tfgpu": table}}).replace("[tool]\n", "").lstrip() or "[tool.tfgpu]\n"


def _appended(before: bytes, text: str) -> bytes:
    newline = _WINDOWS if _WINDOWS.encode() in before else _NEWLINE
    gap = "" if not before else newline if before.endswith(b"\n") else newline * 2
    return before + (gap + text.replace(_NEWLINE, newline)).encode()


def _exchanged(path: Path, before: bytes, table: dict[str, Any]) -> bytes:
    """Put the table in the place of ours, line by line: what stands around it stays as it is."""
    lines = before.decode("utf-8").splitlines(keepends=True)
    heads = [number for number, line in enumerate(lines) if _HEADER.match(line)]
    spans = [
        (start, _end(lines, start, following))
        for start, following in zip(heads, [*heads[1:], len(lines)], strict=True)
        if _OURS.match(lines[start])
    ]
    if not spans:
        return _inline(path, before, table)
    newline = _WINDOWS if _WINDOWS.encode() in before else _NEWLINE
    text = _text(table).replace(_NEWLINE, newline)
    for start, end in reversed(spans[1:]):
        del lines[start:end]
    lines[spans[0][0] : spans[0][1]] = [text]
    return "".join(lines).encode()


def _end(lines: Sequence[str], start: int, following: int) -> int:
    """Return where a table ends: blank lines and comments behind its last value belong to what comes next."""
    while following > start + 1 and not lines[following - 1].split("#")[0].strip():
        following -= 1
    return following


def _inline(path: Path, before: bytes, table: dict[str, Any]) -> bytes:
    """Put the table in the place of one that has no header of its own."""
    import tomlkit  # noqa: PLC0415
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415

    try:
        document = tomlkit.parse(before.decode("utf-8"))
        tool: Any = document["tool"]
        tool["tfgpu"] = table
        return tomlkit.dumps(document).encode()
    except (TOMLKitError, KeyError, TypeError) as error:
        raise _unfit(path) from error


def _hold(path: Path, before: bytes, after: bytes, table: dict[str, Any]) -> None:
    """See to it that the new file says the old things and the table, whatever form the old one has."""
    try:
        old, new = _loaded(before), _loaded(after)
        ours = new["tool"].pop("tfgpu")
        old.get("tool", {}).pop("tfgpu", None)
    except (ValueError, KeyError, AttributeError) as error:
        raise _unfit(path) from error
    if ours != table or {**old, "tool": old.get("tool", {})} != {**new, "tool": new.get("tool", {})}:
        raise _unfit(path)


def _loaded(data: bytes) -> dict[str, Any]:
    import tomlkit  # noqa: PLC0415

    return tomlkit.parse(data.decode("utf-8")).unwrap()


def _unfit(path: Path) -> InvalidFileError:
    return InvalidFileError(
        f"{path.name} has a form into which the table cannot be written",
        code="invalid-settings",
        why=(str(path),),
        hint="write [tool.tfgpu] into it by hand: docs/locks.md has an example",
    )


def _denial(path: Path, there: object) -> Denial:
    keys: Sequence[str] = tuple(there) if isinstance(there, dict) else ()
    said = f"it says {', '.join(keys)}" if keys else "it is empty"
    return Denial(
        "table-exists",
        f"{path.name} has a table [tool.tfgpu] already",
        (str(path), said),
        "edit it, or add --replace to write a new one in its place",
    )
