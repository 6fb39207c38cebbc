"""What every command shares: the way out, in text or JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from provision.errors import ExitCode


def print_json(document: dict[str, Any]) -> None:
    """Write one JSON document to standard output."""
    import json

    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=True) + "\n")


def leave(code: ExitCode) -> NoReturn:
    """End the command with a documented exit code."""
    sys.stdout.flush()
    raise SystemExit(int(code))


def tell_of_repair(prefix: str) -> None:
    """Say on standard error that a repair of an environment was cut off, and what to type; nothing where none was."""
    from provision.workflows.common import notice_of_repair

    for line in notice_of_repair(Path(prefix)):
        sys.stderr.write(f"note: {line}\n")


def optional_value(arguments: list[str], option: str, *, is_value: Callable[[str], bool]) -> None:
    """Let ``option`` stand alone or with a value, which Typer's options cannot: changed in place, before ``--``.

    Alone it becomes ``option=`` (an empty value); with a value it becomes ``option=VALUE``. What follows is its value
    where it is no option and ``is_value`` says so.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    place = 0
    while place < end:
        if arguments[place] == option:
            following = arguments[place + 1] if place + 1 < end else "-"
            taken = not following.startswith("-") and is_value(following)
            arguments[place : place + 1 + taken] = [f"{option}={following if taken else ''}"]
            end -= taken
        place += 1


def looks_like_lock(text: str) -> bool:
    """Whether the word after ``--locked`` is its file: one that exists, or a name as lock files have."""
    return Path(text).is_file() or text.endswith(("lock.txt", "lock.yml", ".toml"))
