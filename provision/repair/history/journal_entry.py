"""The journal of one repair: keep, write down, change, and go back."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from provision.backends.transaction import remove_patiently
from provision.errors import ToolFailedError
from provision.model.environment import RECORD_FOLDER
from provision.model.repair import Entry, EntryState, PackageChange, Patch
from provision.repair.files.images import kind_of, remove, sync_file_system
from provision.repair.files.patch import REPAIRS, go_back, go_forward, keep, lacking
from provision.repair.files.settle import OnPath
from provision.repair.history import lock
from provision.repair.history.entry_file import parse_entry, render_entry
from provision.repair.history.footprint import Footprint, changed_since
from provision.system import interrupts_wait, write_atomic

ENDED = (EntryState.DONE, EntryState.UNDONE)
LINES = "journal"
ENTRY = "entry.json"
_NAMED = 5
_LINES_LIMIT = 1 << 20


class Journal:
    """One repair's journal.

    Attributes:
        prefix: the environment's root.
        folder: everything of this repair.
        stage: where the copy is to be built; not there yet.
        kept: where the files that change are kept.
        entry: the repair as far as it is known, with its state.
    """

    def __init__(self, prefix: Path, entry: Entry, taken: lock.Taken, before: Footprint | None) -> None:
        self.prefix = prefix
        self.entry = entry
        self.folder = repairs_folder(prefix) / entry.ident
        self.stage = self.folder / "stage"
        self.kept = self.folder / "kept"
        self._before = before
        self._taken = taken
        taken.working_on.add(entry.ident)

    @property
    def ident(self) -> str:
        """Its name, eight hexadecimal digits."""
        return self.entry.ident

    def ready(self, patch: Patch, packages: Sequence[PackageChange]) -> None:
        """Keep what will change, write down what will be done, sync it, and announce it: BUILDING becomes APPLYING.

        Raises:
            ToolFailedError: ``changed-meanwhile``: somebody else changed one of the paths since `Held.begin`.
            InvalidFileError: ``bad-journal``: a path has a name that no journal can hold.
            OSError: the disk refused. In each case the environment is untouched.
        """
        if self._before is not None:
            changed = changed_since(self._before, self.prefix, patch)
            if changed:
                raise ToolFailedError(
                    "something else changed the environment while the repair was prepared",
                    code="changed-meanwhile",
                    why=_some(changed),
                    hint="end what works in the environment (pip, conda, a notebook that installs), then repair again",
                )
        total = keep(patch, self.prefix, self.kept)
        entry = replace(self.entry, packages=tuple(packages), patch=patch, kept_bytes=total)
        content = render_entry(entry)
        # Whatever could not be read again must be known before anything changes.
        parse_entry(content, entry, self.folder / ENTRY)
        write_atomic(self.folder / ENTRY, content)
        sync_file_system(self.folder)
        self.entry = entry
        self.advance(EntryState.APPLYING)

    def advance(self, state: EntryState) -> None:
        """Write down where the repair stands, and sync it; at an end, what is not needed for undo is removed.

        Raises:
            OSError: it could not be written.
        """
        line = (json.dumps({"state": state.value}) + "\n").encode()
        path = self.folder / LINES
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            # What stands behind the last line is one that a power cut tore.
            end = os.pread(descriptor, _LINES_LIMIT, 0).rfind(b"\n") + 1
            os.ftruncate(descriptor, end)
            if os.pwrite(descriptor, line, end) != len(line):
                os.ftruncate(descriptor, end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.entry = replace(self.entry, state=state)
        if state in ENDED:
            self._taken.working_on.discard(self.ident)
            with contextlib.suppress(OSError):
                tidy(self.folder, state)

    def go_forward(self, on_path: OnPath | None = None) -> None:
        """Bring every path to its new state, from wherever it is: the state becomes APPLIED. Raises as `recover`."""
        entry = self.entry
        self._hold_files(forward=True)
        if entry.state is not EntryState.APPLYING:
            self.advance(EntryState.APPLYING)
        go_forward(entry.patch, self.prefix, self.stage, self.kept, on_path)
        self.advance(EntryState.APPLIED)

    def walk_back(self, on_path: OnPath | None = None) -> Path | None:
        """Bring every path to its former state, from wherever it is: the state becomes UNDONE. Raises as `recover`.

        Returns:
            The folder with what was in neither state, None where there was nothing of that kind.
        """
        with interrupts_wait():
            self._hold_files(forward=False)
            if self.entry.state is not EntryState.UNDOING:
                # A full disk may refuse it. What is there says the same: some paths are new, some old.
                with contextlib.suppress(OSError):
                    self.advance(EntryState.UNDOING)
            go_back(self.entry.patch, self.prefix, self.stage, self.kept, on_path)
            self.advance(EntryState.UNDONE)
        aside = self.folder / "aside"
        return aside if kind_of(aside) == "folder" else None

    def discard(self) -> None:
        """Forget a repair that has changed nothing; raises OSError."""
        discard(self.folder)
        self._taken.working_on.discard(self.ident)

    def _hold_files(self, *, forward: bool) -> None:
        """See that a journal of an earlier run has every file that is needed; raises ToolFailedError."""
        if self._before is not None:
            return
        gone = lacking(self.entry.patch, self.prefix, self.stage, self.kept, forward=forward)
        if gone:
            raise ToolFailedError(
                f"the repair cannot be {'finished' if forward else 'walked back'}, and nothing was touched",
                code="cannot-finish" if forward else "cannot-walk-back",
                why=(f"its journal does not have what is needed for {gone[0]}", f"{len(gone)} in all"),
                hint="walk back with `tfgpu-provision repair --undo`" if forward else f"look into {self.folder}",
            )


def repairs_folder(prefix: Path) -> Path:
    """Return the folder of an environment's repairs."""
    return prefix / RECORD_FOLDER / REPAIRS


def discard(folder: Path) -> None:
    """Remove everything of a repair that has changed nothing; raises OSError."""
    # First what would tell of a patch: a folder with neither is one that was killed at its beginning or end.
    remove(folder / ENTRY)
    remove_patiently(folder)


def tidy(folder: Path, state: EntryState) -> None:
    """Remove what an ended repair does not need any more; raises OSError."""
    if state not in ENDED:
        return
    needed = {LINES, ENTRY, "aside", *(["kept"] if state is EntryState.DONE else [])}
    for path in folder.iterdir():
        if path.name in needed:
            continue
        if kind_of(path) == "folder":
            remove_patiently(path)
        else:
            remove(path)


def _some(paths: Sequence[str]) -> tuple[str, ...]:
    return (*paths[:_NAMED], *([f"and {len(paths) - _NAMED} more"] if len(paths) > _NAMED else []))
