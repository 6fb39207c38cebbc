"""Build beside the target, prove it there, then rename: nothing that existed is harmed, whatever happens.

Beside ``PATH`` stand, while a create runs, and never after one that ended by itself:

- ``.NAME.tfgpu-journal``: see `provision.backends.journal`
- ``.NAME.tfgpu-<8 hex digits>``: the new environment, and after an exchange the old one until it is removed
- ``.NAME.tfgpu-old-<8 hex digits>``: the old one, only on file systems that cannot exchange two folders

An environment stands at the target only after one rename of a folder that was complete. The record of an environment
holds the name of its transaction, so that after a kill one look tells which of two folders is the new one.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from provision.backends.journal import Journal
from provision.backends.renames import exchange
from provision.errors import NotRolledBackError, RolledBackError
from provision.model.environment import RECORD_FOLDER
from provision.system import interrupts_wait, remove_tree, sync_directory

Check = Callable[[Path], str]
"""Looks at an environment in its final place; returns what is wrong with it, empty where it works."""

_IDENT = re.compile(r"[0-9a-f]{8}\Z")
_PATIENCE = 5.0
"""Seconds in which the children of a killed create finish dying."""


def journal_path(target: Path) -> Path:
    """Return where the journal of a target stands while a create runs."""
    return target.with_name(f".{target.name}.tfgpu-journal")


def transaction_of(prefix: Path) -> str | None:
    """Return the name of the transaction that made an environment, None where its record does not say."""
    try:
        with (prefix / RECORD_FOLDER / "environment.json").open("rb") as stream:
            record = json.loads(stream.read(1 << 22))
        ident = record.get("transaction")
    except (OSError, ValueError, AttributeError):
        return None
    return ident if isinstance(ident, str) and _IDENT.match(ident) else None


class Transaction:
    """One create of one target; use it in a ``with`` block.

    Leaving the block without `commit` removes what was built. A kill leaves the journal, and the next transaction of
    the same target cleans up before it begins.

    Attributes:
        ident: its name, eight hexadecimal digits.
        staging: where the new environment is to be built; the folder is there while the block runs.
        found: what an earlier create left, and what was done about it, one line each.
    """

    def __init__(self, target: Path, works: Check) -> None:
        """Prepare a transaction.

        Args:
            target: absolute path; its parent exists.
            works: says whether an environment works from its final place.
        """
        self.target = target
        self.ident = secrets.token_hex(4)
        self.staging = self._beside(self.ident)
        self.found: tuple[str, ...] = ()
        self._works = works
        self._scratch = self._beside(secrets.token_hex(4))
        self._replacing = False
        self._done = False

    def __enter__(self) -> Self:
        """Lock the target, clean what a killed create left, and make the staging folder.

        Raises:
            ToolFailedError: code ``busy``.
            NotRolledBackError: what a killed create left could not be cleaned.
            OSError: the parent folder cannot be written.
        """
        journal = None
        try:
            # An interrupt waits until the journal is ours: only then is there somebody to clean it up.
            with interrupts_wait():
                journal = self._journal = Journal(journal_path(self.target))
            self.found = self._recover()
            self._journal.restart()
            self._journal.write("begin", staging=self.staging.name, target=self.target.name)
            self.staging.mkdir(mode=0o755)
        except BaseException as error:
            if journal is not None:
                journal.close(remove=not isinstance(error, NotRolledBackError))
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unless the transaction was committed, walk back; raises NotRolledBackError where that fails."""
        clean = False
        try:
            remove_patiently(self._scratch)
            if not self._done:
                self._walk_back()
            clean = not self.staging.exists() and not self._aside.exists()
        except OSError as problem:
            raise NotRolledBackError(
                "the work failed and what it had done could not be undone",
                code="not-rolled-back",
                why=(str(problem), *self._whereabouts(), *([f"what failed first: {error}"] if error else [])),
                hint="run the command again: it begins by cleaning up",
            ) from (error or problem)
        finally:
            self._journal.close(remove=clean)

    def commit(self, *, replace: bool) -> None:
        """Put what was built in its place.

        Args:
            replace: whether an environment stands at the target and gives way.

        Raises:
            RolledBackError: code ``does-not-work-in-place``; the block walks back when it is left.
            OSError: the rename was refused (something else came to the target meanwhile); the target is untouched.
        """
        self._replacing = replace
        if replace:
            self._swap()
        else:
            self._journal.write("rename", staging=self.staging.name)
            # rename(2) of a folder succeeds only onto nothing or onto an empty folder.
            self.staging.rename(self.target)
            sync_directory(self.target.parent)
        complaint = self._works(self.target)
        if complaint:
            raise RolledBackError(
                "the new environment does not work in its final place",
                code="does-not-work-in-place",
                why=(complaint, "everything is as it was before"),
                hint="run the command again with --debug, or choose another path",
            )
        self._journal.write("kept")
        self._done = True
        for old in (self.staging, self._aside):
            remove_patiently(old)

    def scratch(self) -> Path:
        """Make a folder beside the target for what is only needed meanwhile; it goes with the transaction."""
        self._scratch.mkdir(mode=0o700, exist_ok=True)
        return self._scratch

    @property
    def _aside(self) -> Path:
        """Where the old environment waits on a file system that cannot exchange two folders."""
        return self._beside(f"old-{self.ident}")

    def _swap(self) -> None:
        """Bring the new environment to the target, and the old one to ``staging`` or ``_aside``."""
        self._journal.write("exchange", staging=self.staging.name)
        if not exchange(self.staging, self.target):
            self._journal.write("two-step", staging=self.staging.name, aside=self._aside.name)
            self.target.rename(self._aside)
            self.staging.rename(self.target)
        sync_directory(self.target.parent)

    def _walk_back(self) -> None:
        """Restore what stood at the target, then remove what was built. What was done is read from the disk."""
        ours = transaction_of(self.target) == self.ident
        if self._aside.is_dir():
            if ours:
                self.target.rename(self.staging)
            self._aside.rename(self.target)
        elif ours and self._replacing:
            if not exchange(self.staging, self.target):
                raise OSError(f"{self.staging} and {self.target} cannot be exchanged again")
        elif ours:
            self.target.rename(self.staging)
        remove_patiently(self.staging)

    def _whereabouts(self) -> tuple[str, ...]:
        here = [path for path in (self.target, self.staging, self._aside) if path.exists()]
        return tuple(
            f"{path}: {'the new environment' if transaction_of(path) == self.ident else 'what was there before'}"
            for path in here
        )

    def _beside(self, ident: str) -> Path:
        return self.target.with_name(f".{self.target.name}.tfgpu-{ident}")

    def _recover(self) -> tuple[str, ...]:
        """Clean what a killed create left; return what was found and done."""
        steps = {str(line["step"]): line for line in self._journal.earlier}
        told: list[str] = []
        if steps:
            stage = next((step for step in reversed(steps) if step in _STAGES), "begin")
            told.append(f"an earlier create of {self.target} was interrupted while {_STAGES[stage]}")
        told += self._finish_swap(steps)
        # Whatever has our name and no living owner (we hold the lock) is a remnant.
        for rest in sorted(self.target.parent.glob(f".{_escaped(self.target.name)}.tfgpu-*")):
            if not _ident_of(rest.name, self.target):
                continue
            try:
                remove_patiently(rest)
            except OSError as error:
                raise NotRolledBackError(
                    "what an earlier create left cannot be removed",
                    code="not-removed",
                    why=(f"{rest}: {error.strerror or error}",),
                    hint="remove it by hand, then run the command again",
                ) from error
            told.append(f"removed what it left: {rest.name}")
        return tuple(told)

    def _finish_swap(self, steps: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Bring a swap that was cut off to one of its two ends."""
        if "kept" in steps or ("exchange" not in steps and "two-step" not in steps):
            return []
        staging_name = str(steps.get("exchange", {}).get("staging", ""))
        ident = _ident_of(staging_name, self.target)
        if not ident:
            return []
        staging, aside = self._beside(ident), self._beside(f"old-{ident}")
        arrived = transaction_of(self.target) == ident
        if arrived and not self._works(self.target):
            return ["its new environment is in place and works"]
        if aside.is_dir():
            if arrived:
                remove_patiently(self.target)
            if not self.target.exists():
                aside.rename(self.target)
            return ["put the environment back that was there before"]
        if arrived and staging.is_dir() and exchange(staging, self.target):
            return ["put the environment back that was there before"]
        return ["the environment that was there is untouched"]


_STAGES = {
    "begin": "building beside it",
    "rename": "putting the new environment in place",
    "exchange": "exchanging the environments",
    "two-step": "exchanging the environments",
    "kept": "removing the replaced environment",
}


def _ident_of(name: str, target: Path) -> str:
    """Return the transaction that a name beside the target belongs to, empty where it is not one of our names."""
    prefix = f".{target.name}.tfgpu-"
    ident = name.removeprefix(prefix).removeprefix("old-") if name.startswith(prefix) else ""
    return ident if _IDENT.match(ident) else ""


def _escaped(name: str) -> str:
    return re.sub(r"([\[\]*?])", r"[\1]", name)


def remove_patiently(folder: Path) -> None:
    """Remove a folder, with patience for children of a killed process that still die; raises OSError."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            remove_tree(folder)
        except OSError:  # noqa: PERF203 - it waits
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
        else:
            return
