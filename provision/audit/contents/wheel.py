"""The facts of one wheel, section by section: each is read once, and kept by the wheel's hash."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from zipfile import ZipInfo

from pydantic import TypeAdapter, ValidationError

from provision.audit.contents.deep import Code, Exports, read_code, read_given
from provision.audit.contents.framework import FRAMEWORK, read_framework
from provision.audit.contents.guard import read_guard
from provision.audit.contents.metadata import installed, read_metadata, read_names
from provision.audit.contents.without_kernels import write_without_kernels
from provision.audit.reading.archive import Archive
from provision.audit.reading.directory import hostile
from provision.audit.reading.index import Located
from provision.audit.reading.reader import Reader
from provision.model.artifact import Artifact, Cost
from provision.model.document import jsonable
from provision.model.wheel import FrameworkFacts, GuardFacts, MetadataFacts, NameFacts, Unread, WheelFacts

T = TypeVar("T")
GUARD = "guard"
"""The section of what is checked of the CPU."""
PLAIN = ("names", "metadata", "framework", GUARD)
"""The sections of a plain audit."""
CODE = "code"
"""The section for which every library is read whole."""
DEEP = (*PLAIN, CODE)
"""The sections of ``--deep``."""
_FRAMEWORK_LIMIT = 2 << 30


@dataclass(frozen=True)
class _Framework:
    """The section of the framework library: None for a wheel that has none."""

    facts: FrameworkFacts | None
    unread: Unread | None = None


@dataclass(frozen=True)
class _Guard:
    """What that library checks of the CPU: None likewise."""

    facts: GuardFacts | None


class OpenWheel:
    """One wheel whose archive is opened when something has to be read of it, and not before."""

    def __init__(self, reader: Reader, located: Located) -> None:
        """Take a wheel as it was located; nothing is read yet."""
        self.reader, self.located = reader, located
        self._kept = reader.kept(located)
        self._archive: Archive | None = None
        self._guarded: _Guard | None = None

    @property
    def archive(self) -> Archive:
        """Its members; raises as `Reader.archive`."""
        if self._archive is None:
            self._archive = self.reader.archive(self.located)
        return self._archive

    @property
    def artifact(self) -> Artifact:
        """The wheel with its size, as far as that is known by now."""
        size = self._archive.source.size if self._archive else self._kept.size
        return dataclasses.replace(self.located.artifact, size=size or self.located.artifact.size)

    def cost(self, seconds: float) -> Cost:
        """Return what reading has cost so far."""
        return self._archive.source.meter.cost(seconds) if self._archive else Cost(seconds=seconds, cached=True)

    def section(
        self, name: str, kind: type[T], read: Callable[[Archive], T], *, lasting: Callable[[T], bool] | None = None
    ) -> T:
        """Return a section from the cache, else read it and keep it.

        Args:
            name: of the section, ``names``; it names the document in the cache.
            kind: the dataclass that holds it; what the cache has of another form counts as absent.
            read: reads it of the archive.
            lasting: whether what was read is so for ever; kept in any case where left out.
        """
        known = self._kept.facts(name)
        if known is not None:
            with contextlib.suppress(ValidationError):
                return TypeAdapter(kind).validate_python(known)
        facts = read(self.archive)
        if lasting is None or lasting(facts):
            document: Any = jsonable(facts)
            self._kept.keep_facts(name, document)
        return facts

    def names(self) -> NameFacts:
        """What RECORD names."""
        return self.section("names", NameFacts, read_names)

    def metadata(self) -> MetadataFacts:
        """What METADATA, WHEEL and build_info.py say."""
        return self.section("metadata", MetadataFacts, read_metadata)

    def framework(self) -> tuple[FrameworkFacts | None, Unread | None]:
        """The framework library, None where there is none, and what could not be read of it."""
        found = self.section("framework", _Framework, self._framework, lasting=lambda found: found.unread is None)
        return found.facts, found.unread

    def guard(self) -> GuardFacts | None:
        """What the framework library checks of the CPU, None where there is none."""
        return self.section(GUARD, _Guard, self._guard).facts

    def code(self) -> Code:
        """GPU code and looked-up names of all its libraries, each of which is read whole."""
        return self.section("kernels", Code, read_code)

    def given(self) -> Exports:
        """The names that its CUDA libraries give."""
        return self.section("exports", Exports, read_given)

    def _framework(self, archive: Archive) -> _Framework:
        info = _library(archive)
        if info is None:
            return _Framework(None)
        place = installed(info.filename)
        ask = self.metadata().cuda_build is not False
        with tempfile.TemporaryDirectory(prefix="tfgpu-audit-") as folder:
            file = Path(folder) / info.filename.rsplit("/", 1)[-1]
            if write_without_kernels(archive, info, file):
                read = read_framework(self.reader.system, file, place, ask=ask, in_part=True)
                if read[1] is None:
                    self._keep_guard(file)
                    return _Framework(*read)
            with file.open("wb") as stream:
                stream.writelines(archive.stream(info))
            self._keep_guard(file)
            return _Framework(*read_framework(self.reader.system, file, place, ask=ask))

    def _keep_guard(self, file: Path) -> None:
        """Read the other section of a library that is at hand: `guard` need not fetch it once more."""
        self._guarded = self.section(GUARD, _Guard, lambda _: _Guard(read_guard(file)))

    def _guard(self, archive: Archive) -> _Guard:
        info = _library(archive)
        if self._guarded is not None or info is None:
            return self._guarded or _Guard(None)
        with tempfile.TemporaryDirectory(prefix="tfgpu-audit-") as folder:
            file = Path(folder) / info.filename.rsplit("/", 1)[-1]
            if not write_without_kernels(archive, info, file):
                with file.open("wb") as stream:
                    stream.writelines(archive.stream(info))
            return _Guard(read_guard(file))


def _library(archive: Archive) -> ZipInfo | None:
    """Return the framework library, None where there is none; raises InvalidFileError, code ``hostile-wheel``."""
    path = next((path for path in sorted(archive.sizes) if re.fullmatch(FRAMEWORK, installed(path))), None)
    info = archive.names.member(path) if path else None
    if info is not None and info.file_size > _FRAMEWORK_LIMIT:
        raise hostile(archive.filename, f"its framework library says it is {info.file_size} bytes long")
    return info


def wheel_facts(reader: Reader, located: Located, sections: Collection[str] = PLAIN) -> WheelFacts:
    """Return the facts of a wheel.

    Args:
        reader: session and cache.
        located: the wheel.
        sections: of `DEEP`, what is read; the rest is None.

    Raises:
        InvalidFileError: code ``hostile-wheel``: it is not what it claims.
        UsageError: code ``no-ranges``.
        ToolFailedError: it cannot be read.
    """
    start = time.monotonic()
    wheel = OpenWheel(reader, located)
    names = wheel.names() if "names" in sections else None
    metadata = wheel.metadata() if "metadata" in sections else None
    framework, unread = wheel.framework() if "framework" in sections else (None, None)
    code = wheel.code().libraries if CODE in sections else None
    return WheelFacts(
        artifact=wheel.artifact,
        names=names,
        metadata=metadata,
        framework=framework,
        code=code,
        guard=wheel.guard() if GUARD in sections else None,
        unread=(unread,) if unread else (),
        cost=wheel.cost(time.monotonic() - start),
    )
