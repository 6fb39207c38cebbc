"""The journal of repairs, in the environment itself: what is being done is on the disk before it is done.

``PREFIX/.tfgpu/repairs/`` has a folder for each repair, and the file ``lock``, which a running repair holds (`flock`;
the kernel releases it however the process ends). In a repair's folder:

- ``journal``: one JSON object a line, each synced before the step that it announces; the last ``state`` counts
- ``entry.json``: packages and patch, there before the state ``applying``
- ``stage/``: the changed copy, until the repair has ended; ``outside/``: new files for places outside
- ``kept/``: every file that was changed, as it was, by its number in the patch; until the repair is undone
- ``aside/``: what walking back found and did not know
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timezone
from pathlib import Path

from typing_extensions import Self

from provision import __version__
from provision.backends.transaction import remove_patiently
from provision.errors import InvalidFileError, NotRolledBackError, ToolFailedError
from provision.model.repair import Entry, EntryState, Repairing
from provision.repair.files.images import kind_of
from provision.repair.files.settle import OnPath
from provision.repair.history import lock
from provision.repair.history.entry_file import IDENT, first_line, read_entry, read_lines
from provision.repair.history.footprint import footprint
from provision.repair.history.journal_entry import ENDED, ENTRY, LINES, Journal, discard, repairs_folder, tidy
from provision.system import sync_directory, write_atomic

UNFINISHED = (EntryState.APPLYING, EntryState.APPLIED, EntryState.UNDOING)
"""States in which some paths of the environment may be new and some old."""


def hold(prefix: Path) -> Held:
    """Lock an environment for repairs, and against create and sync; use what is returned in a ``with`` block.

    Args:
        prefix: its root, absolute.

    Raises:
        ToolFailedError: ``busy``: another repair, create or sync works there; ``not-writable``.
        InvalidFileError: ``bad-journal``: our folder in it is a link or a file.
    """
    return Held(prefix, lock.take(prefix, repairs_folder(prefix)))


def read_history(prefix: Path) -> tuple[Entry, ...]:
    """Return every repair of an environment, the newest first; one that has changed nothing yet is none.

    Raises:
        InvalidFileError: ``bad-journal``.
    """
    found = []
    for folder in _repairs(prefix):
        lines = read_lines(folder / LINES)
        if lines is not None and lines[0].state is not EntryState.BUILDING:
            found.append((lines[0].when, lines[1], folder, lines[0]))
    return tuple(read_entry(folder / ENTRY, entry) for _, _, folder, entry in sorted(found, reverse=True))


def unfinished(prefix: Path) -> Entry | None:
    """Return the repair that was cut off while it changed the environment; None where there is none, or one runs.

    It only reads, costs one look at a folder where there is nothing, and never fails: of an entry that cannot be read
    the patch is empty. For the process that holds the lock, what it works on itself does not count.
    """
    found = []
    for folder in _repairs(prefix):
        with contextlib.suppress(InvalidFileError):
            lines = read_lines(folder / LINES)
            if lines is not None and lines[0].state in UNFINISHED:
                found.append((lines[0].when, lines[1], folder, lines[0]))
    if not found or not (ours := lock.ours_or_free(repairs_folder(prefix))):
        return None
    for _, _, folder, entry in sorted(found, reverse=True):
        if folder.name not in ours.working_on:
            with contextlib.suppress(InvalidFileError):
                return read_entry(folder / ENTRY, entry)
            return entry
    return None


class Held:
    """The lock of an environment.

    Attributes:
        prefix: the environment's root.
    """

    def __init__(self, prefix: Path, taken: lock.Taken) -> None:
        self.prefix = prefix
        self._taken = taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the lock; where there is no history, nothing is left of the folder."""
        self._taken.release()

    def begin(self, repairs: Sequence[Repairing], untouched: Collection[Path] = ()) -> Journal:
        """Open the journal of a new repair, in state BUILDING; what killed ones left of their copies is removed.

        Args:
            repairs: what it is for.
            untouched: folders of the environment in which nothing will be changed.

        Raises:
            ToolFailedError: ``repair-cut-off``: one is half applied, see `recover`.
            InvalidFileError: ``bad-journal``.
            OSError: the disk refused.
        """
        cut = unfinished(self.prefix)
        if cut is not None:
            raise ToolFailedError(
                f"a repair of {self.prefix} was cut off",
                code="repair-cut-off",
                why=(f"repair {cut.ident} of {cut.when} ended while it was {cut.state.value}",),
                hint="finish it with `tfgpu-provision repair --resume`, or walk back with `--undo`",
            )
        number = self._sweep() + 1
        ident = secrets.token_hex(4)
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        causes = tuple((item.code, item.what) for item in repairs)
        entry = Entry(ident, now, __version__, EntryState.BUILDING, causes)
        folder = repairs_folder(self.prefix) / ident
        folder.mkdir(mode=0o755)
        try:
            write_atomic(folder / LINES, json.dumps(first_line(entry, number)) + "\n")
            sync_directory(folder.parent)
            before = footprint(self.prefix, untouched)
        except BaseException:
            remove_patiently(folder)
            raise
        return Journal(self.prefix, entry, self._taken, before)

    def reopen(self, entry: Entry) -> Journal:
        """Open the journal of an earlier repair, as it is on the disk now.

        Raises:
            InvalidFileError: ``bad-journal``; also for one that is gone.
        """
        folder = repairs_folder(self.prefix) / entry.ident
        lines = read_lines(folder / LINES) if folder in _repairs(self.prefix) else None
        if lines is None:
            raise InvalidFileError(f"there is no repair {entry.ident} of {self.prefix}", code="bad-journal")
        for name in ("stage", "kept", "aside", "outside"):
            if kind_of(folder / name) not in ("folder", "nothing"):
                raise InvalidFileError(f"{folder / name} is no folder", code="bad-journal", why=("a repair makes one",))
        return Journal(self.prefix, read_entry(folder / ENTRY, lines[0]), self._taken, None)

    def recover(self, entry: Entry, *, finish: bool, on_path: OnPath | None = None) -> str:
        """Bring a repair that was cut off to one of its ends; return in one line what was done.

        A finished one is DONE, and what is kept of it lets it be undone later.

        Raises:
            ToolFailedError: ``cannot-finish``, ``cannot-walk-back``: files are not in the journal any more, nothing
                was touched; ``changed-meanwhile``: somebody else has changed a path since, finishing stopped there.
            NotRolledBackError: the disk refused; it can be tried again.
            InvalidFileError: ``bad-journal``.
        """
        journal = self.reopen(entry)
        name = f"the repair of {entry.when} ({entry.ident}), which was cut off,"
        if journal.entry.state is EntryState.BUILDING:
            journal.discard()
            return f"{name} had changed nothing; its copy was removed"
        if journal.entry.state in ENDED:
            return f"{name} had ended already"
        count = len(journal.entry.patch.changes)
        paths = f"{count} path{'' if count == 1 else 's'}"
        try:
            if finish:
                journal.go_forward(on_path)
                journal.advance(EntryState.DONE)
                return f"{name} was finished: {paths}"
            aside = journal.walk_back(on_path)
        except OSError as error:
            raise NotRolledBackError(
                f"{name} could not be {'finished' if finish else 'walked back'}",
                code="not-rolled-back",
                why=(str(error),),
                hint="free space or mend the disk, then run the same command again",
            ) from error
        kept = f"; what others had put there since is in {aside}" if aside else ""
        return f"{name} was walked back: {paths} as before{kept}"

    def _sweep(self) -> int:
        """Remove what ended or killed repairs left of their copies; return the highest number of an entry."""
        highest = 0
        for folder in _repairs(self.prefix):
            lines = read_lines(folder / LINES)
            if lines is None and kind_of(folder / ENTRY) != "nothing":
                raise InvalidFileError(f"{folder} has no journal", code="bad-journal", why=("a repair writes one",))
            if lines is None or lines[0].state is EntryState.BUILDING:
                discard(folder)
            else:
                highest = max(highest, lines[1])
                tidy(folder, lines[0].state)
        return highest


def _repairs(prefix: Path) -> list[Path]:
    """Return the folders of repairs; links are none."""
    folder = repairs_folder(prefix)
    try:
        if kind_of(folder.parent) != "folder" or kind_of(folder) != "folder":
            return []
        names = os.listdir(folder)  # noqa: PTH208 - names only
        return [folder / name for name in names if IDENT.match(name) and kind_of(folder / name) == "folder"]
    except OSError:
        return []


__all__ = ["UNFINISHED", "Held", "Journal", "hold", "read_history", "unfinished"]
