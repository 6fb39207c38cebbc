"""What was read of a wheel, kept by the wheel's sha256: facts, which never expire, and ranges of its bytes.

A wheel with that hash never changes, so nothing here grows old. A document that cannot be read, or is of another
schema, counts as absent. Ranges are kept while a member is being read, so that an interrupted audit goes on where it
was, and afterwards where they are small. What a wheel whose hash nobody states has said is not kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.system import remove_tree, write_atomic

SCHEMA = 1
"""Raised whenever a fact is read differently."""
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_SECTION = re.compile(r"[a-z][a-z0-9-]*\Z")
_FACTS_LIMIT = 64 << 20


def cache_folder() -> Path:
    """Return where it lies: the user's cache folder, as platformdirs has it (``XDG_CACHE_HOME`` moves it)."""
    import platformdirs  # noqa: PLC0415 - only who audits pays for it

    return Path(platformdirs.user_cache_path("tfgpu-provision", appauthor=False)) / "audit"


@dataclass(frozen=True)
class Kept:
    """What is kept of one wheel; without a ``folder`` nothing is kept and nothing found."""

    folder: Path | None = None

    def facts(self, section: str) -> Any:
        """Return the document of a section (``names``, ``metadata`` …), None where there is none of use."""
        if self.folder is None:
            return None
        try:
            with self._document(section).open("rb") as stream:
                document = json.loads(stream.read(_FACTS_LIMIT))
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            return None
        return document.get("facts")

    def keep_facts(self, section: str, facts: Mapping[str, Any] | list[Any]) -> None:
        """Write the document of a section; a cache that cannot be written to is no reason to fail."""
        if self.folder is None:
            return
        text = json.dumps({"schema": SCHEMA, "facts": facts}, ensure_ascii=True, separators=(",", ":"))
        self._write(self._document(section), text.encode())

    @property
    def size(self) -> int:
        """The size of the wheel in bytes, as a server or the file system has said it; 0 where not known."""
        known = self.facts("size")
        size = known.get("size") if isinstance(known, dict) else None
        return size if isinstance(size, int) and size > 0 else 0

    def range(self, start: int, end: int) -> bytes | None:
        """Return the bytes from ``start`` up to ``end`` where exactly these were kept."""
        if self.folder is None:
            return None
        try:
            data = self._range(start, end).read_bytes()
        except OSError:
            return None
        return data if len(data) == end - start else None

    def keep_range(self, start: int, end: int, data: bytes) -> None:
        """Keep these bytes."""
        if self.folder is not None:
            self._write(self._range(start, end), data)

    def forget_range(self, start: int, end: int) -> None:
        """Drop what was kept of exactly this range."""
        if self.folder is not None:
            with contextlib.suppress(OSError):
                self._range(start, end).unlink()

    def forget(self) -> None:
        """Drop everything of this wheel."""
        if self.folder is not None:
            with contextlib.suppress(OSError):
                remove_tree(self.folder)

    def _document(self, section: str) -> Path:
        if self.folder is None or not _SECTION.match(section):
            msg = f"not a section: {section!r}"
            raise ValueError(msg)
        return self.folder / f"{section}.json"

    def _range(self, start: int, end: int) -> Path:
        if self.folder is None:
            msg = "nothing is kept here"
            raise ValueError(msg)
        return self.folder / "ranges" / f"{start}-{end}"

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, data, mode=0o600)


@dataclass(frozen=True)
class Cache:
    """The whole of it; None for the folder keeps nothing."""

    folder: Path | None

    def listing(self, index: str, distribution: str, age: float) -> Any:
        """Return what an index was found to have of a distribution, None where that is older than ``age`` seconds."""
        kept = self._listing(index)
        document = kept.facts(distribution) if _SECTION.match(distribution) else None
        if not isinstance(document, dict) or not isinstance(document.get("time"), int | float):
            return None
        return document.get("artifacts") if 0 <= time.time() - document["time"] <= age else None

    def keep_listing(self, index: str, distribution: str, artifacts: list[Any]) -> None:
        """Keep what an index has of a distribution; neither the index's address nor those of its files."""
        if _SECTION.match(distribution):
            self._listing(index).keep_facts(distribution, {"time": time.time(), "artifacts": artifacts})

    def _listing(self, index: str) -> Kept:
        name = hashlib.sha256(index.encode()).hexdigest()[:16]
        return Kept(self.folder / "listings" / name if self.folder else None)

    def of(self, sha256: str) -> Kept:
        """Return what is kept of the wheel with this hash; of none where the hash is not known."""
        if self.folder is None or not _SHA256.match(sha256):
            return Kept()
        return Kept(self.folder / "wheels" / sha256[:2] / sha256)
