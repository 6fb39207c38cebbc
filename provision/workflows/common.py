"""What several workflows need: the machine in question and the matrix in force."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision import matrix
from provision.errors import ProvisionError, ToolFailedError, UsageError
from provision.host import TIME_LIMIT, describe, detect
from provision.model.environment import RECORD_FOLDER
from provision.model.host import HostFacts
from provision.model.matrix import Matrix
from provision.system import System, write_atomic
from provision.workflows.settings import Settings

if TYPE_CHECKING:  # a plan must not wait for it
    from provision.model.repair import Entry

FOR_VARIABLE = "TFGPU_FOR"


def host_for(system: System, for_: Sequence[str] | None, *, wide: bool = False, limit: float = TIME_LIMIT) -> HostFacts:
    """Return the machine in question: the ``--for`` values, else ``TFGPU_FOR``, else this one.

    Args:
        system: the door.
        for_: the values of ``--for``; None or empty where the option was not given.
        wide: also look for interpreters, toolkits, tools and disk space, which deciding does not need.
        limit: seconds for each child process that loads a driver library.

    Raises:
        UsageError: code ``bad-for``.
        InvalidFileError: code ``bad-capture``.
    """
    texts = tuple(for_ or ())
    if not texts and system.environ.get(FOR_VARIABLE, "").strip():
        texts = (system.environ[FOR_VARIABLE],)
    return describe(texts, system) if texts else detect(system, wide=wide, limit=limit)


def load_matrix(option: Path | None, settings: Settings) -> Matrix:
    """Return the matrix in force: the ``--matrix`` file, else ``[tool.tfgpu] matrix``, else the one shipped with us.

    Raises:
        InvalidFileError: the file is wrong; all its errors at once.
    """
    return matrix.load(option or settings.path("matrix"))


def check_place(path: Path | None, what: str) -> None:
    """Refuse a place that cannot work before minutes of work are done for it.

    Args:
        path: of a file that is to be written; None for none.
        what: ``receipt`` or ``report``: names the option and the code.

    Raises:
        UsageError: code ``receipt-not-written`` and so on.
    """
    if path and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise UsageError(
            f"the {what} cannot be written to {path}",
            code=f"{what}-not-written",
            why=("it is a folder" if path.is_dir() else f"there is no folder {path.absolute().parent}",),
            hint="give a file in a folder that exists",
        )


def write_document(path: Path, document: Mapping[str, Any], what: str) -> None:
    """Write a JSON document so that a crash leaves the old one or the new one; raises ToolFailedError as above."""
    import json  # noqa: PLC0415 - of all who share this module two write documents

    try:
        write_atomic(path, json.dumps(document, indent=2, ensure_ascii=True) + "\n")
    except OSError as error:
        raise ToolFailedError(
            f"the {what} cannot be written to {path}",
            code=f"{what}-not-written",
            why=(error.strerror or str(error),),
            hint=f"give another file with --{what}",
        ) from error


def cut_off_repair(prefix: Path) -> tuple[str, str]:
    """Return what is known of a repair of an environment that was cut off, and what to type; both empty for none.

    It costs a look into a folder where every repair has ended, and imports nothing then: only one that has not, or
    could not be cleaned up, still has its copy.
    """
    if next((prefix / RECORD_FOLDER).glob("repairs/*/stage"), None) is None:
        return "", ""
    from provision.repair.history.journal import unfinished  # noqa: PLC0415 - few repairs are cut off

    try:
        entry = unfinished(prefix)
    except (OSError, ProvisionError) as error:
        return f"the history of repairs of {prefix} cannot be read: {error}", ""
    if entry is None:
        return "", ""
    path = shlex.quote(str(prefix))
    return (
        f"{how_cut_off(entry)}, in {prefix}",
        f"`tfgpu-provision repair --resume {path}` finishes it, `tfgpu-provision repair --undo {path}` walks it back",
    )


def how_cut_off(entry: Entry) -> str:
    """Return which repair was cut off, and where it stood."""
    doing = {"applied": "it was proved", "undoing": "it was taken back"}
    return (
        f"repair {entry.ident} of {entry.when} was cut off while {doing.get(entry.state.value, 'files were changed')}"
    )


def notice_of_repair(prefix: Path) -> tuple[str, ...]:
    """Return a line about a repair that was cut off, for remarks and standard error; nothing where there is none."""
    what, todo = cut_off_repair(prefix)
    return (f"{what}: {todo}" if todo else what,) if what else ()
