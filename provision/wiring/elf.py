"""Read the dynamic section of a shared library: its name, what it needs and where it has that looked for."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from provision.errors import InvalidFileError


@dataclass(frozen=True)
class Dynamic:
    """What the dynamic linker reads of a library.

    Attributes:
        soname: DT_SONAME; the file's own name where it has none.
        needed: DT_NEEDED, in order.
        kind: ``RUNPATH``, ``RPATH`` or empty. Where both are there, RPATH is ignored (ld.so(8)).
        search: the entries as written, ``$ORIGIN`` unresolved, each once.
    """

    soname: str
    needed: tuple[str, ...]
    kind: str
    search: tuple[str, ...]

    @property
    def searches_origin(self) -> bool:
        """Whether the folder in which the library itself was opened is searched."""
        return any(folder == Path("/o") for folder in self.folders(Path("/o")))

    def folders(self, origin: Path) -> tuple[Path, ...]:
        """Return the folders searched when the library was opened in ``origin``, each once.

        glibc takes ``$ORIGIN`` from the path by which the library was opened and does not follow a link, so a library
        that was reached through a link searches beside the link.
        """
        # By text alone, links not followed: the folders of an environment are real ones (wiring makes sure of that).
        resolved = (
            Path(os.path.normpath(entry.replace("${ORIGIN}", str(origin)).replace("$ORIGIN", str(origin))))
            for entry in self.search
        )
        return tuple(dict.fromkeys(resolved))


def read_dynamic(path: Path) -> Dynamic:
    """Read a library's dynamic section.

    Raises:
        InvalidFileError: it is no shared library, or a truncated one.
    """
    # pyelftools is slow to import, and commands that only print help must not pay for it.
    from elftools.common.exceptions import ELFError  # noqa: PLC0415
    from elftools.elf.dynamic import DynamicSegment  # noqa: PLC0415
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415

    try:
        with path.open("rb") as stream:
            file = ELFFile(stream)
            segment = next((item for item in file.iter_segments() if isinstance(item, DynamicSegment)), None)
            if segment is None:
                raise _unreadable(path, "it has no dynamic section")
            tags = [(tag.entry.d_tag, tag) for tag in segment.iter_tags()]
            return _dynamic(path, tags)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    # A damaged file makes the parser fail in many ways, each of which means the same to us.
    except (ELFError, ValueError, KeyError, IndexError, AttributeError, TypeError, AssertionError) as error:
        raise _unreadable(path, f"it is not a whole ELF library ({type(error).__name__})") from error


def _dynamic(path: Path, tags: Iterable[tuple[str, object]]) -> Dynamic:
    soname, needed, rpath, runpath = path.name, [], "", ""
    for name, tag in tags:
        if name == "DT_SONAME":
            soname = str(getattr(tag, "soname"))  # noqa: B009 - pyelftools is untyped
        elif name == "DT_NEEDED":
            needed.append(str(getattr(tag, "needed")))  # noqa: B009
        elif name == "DT_RPATH":
            rpath = str(getattr(tag, "rpath"))  # noqa: B009
        elif name == "DT_RUNPATH":
            runpath = str(getattr(tag, "runpath"))  # noqa: B009
    kind = "RUNPATH" if runpath else "RPATH" if rpath else ""
    # An empty entry means the current folder, which is never a place to look for a library on purpose.
    entries = [entry for entry in (runpath or rpath).split(":") if entry]
    return Dynamic(soname, tuple(needed), kind, tuple(dict.fromkeys(entries)))


def _unreadable(path: Path, why: str) -> InvalidFileError:
    return InvalidFileError(
        f"{path.name} cannot be read as a shared library",
        code="unreadable-library",
        why=(f"{path}: {why}",),
        hint="reinstall the package that brings it",
    )
