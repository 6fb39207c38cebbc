"""What the small text members of a wheel say: METADATA, WHEEL, RECORD, build_info.py. Nothing of it is run."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Mapping
from typing import Protocol

from packaging.markers import InvalidMarker, Marker
from packaging.metadata import parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from provision.audit.reading.directory import hostile
from provision.model.wheel import MetadataFacts, NameFacts
from provision.snapshot.build import BUILD_INFO, literals

_LIMIT = 8 << 20
_SOURCE_LIMIT = 1 << 20
_DATA = re.compile(r"[^/]+\.data/(?:purelib|platlib)/")
_LIBRARY = re.compile(r"[^/]+\.so(\.\d+)*\Z")
_EXTRA = r"""extra\s*==\s*["']([^"']+)["']"""
_EXTRAS = tuple(map(re.compile, (rf"\s+and\s+{_EXTRA}\Z", rf"\A{_EXTRA}\s+and\s+", rf"\A{_EXTRA}\Z")))


class Members(Protocol):
    """The files of a wheel, packed (`provision.audit.reading.archive`) or installed (beside this module)."""

    @property
    def filename(self) -> str:
        """What it is called in messages."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Path to size, as RECORD has them."""

    def read(self, path: str, limit: int = ...) -> bytes | None:
        """Return a small file, None where there is none."""


def installed(path: str) -> str:
    """Return where a member lies below site-packages; ``X.data/purelib`` is put there too (PEP 427)."""
    return _DATA.sub("", path, count=1) if _DATA.match(path) else path


def read_names(archive: Members) -> NameFacts:
    """Return what RECORD names: shared libraries, ptxas, libdevice.

    RECORD is read instead of the archive's directory, which is several times as long; every member that is read is
    held against both.

    Raises:
        InvalidFileError: code ``hostile-wheel``.
    """
    sizes = archive.sizes
    paths = [installed(path) for path in sizes]
    libraries: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: (path.count("/"), path)):
        if _LIBRARY.search(path):
            libraries.setdefault(path.rsplit("/", 1)[-1], path)
    return NameFacts(
        files=len(sizes),
        unpacked=sum(sizes.values()),
        libraries=dict(sorted(libraries.items())),
        ptxas=min((path for path in paths if path.endswith("/bin/ptxas")), key=len, default=""),
        libdevice=min((path for path in paths if re.search(r"/libdevice[.\w]*\.bc\Z", path)), key=len, default=""),
    )


def read_metadata(archive: Members) -> MetadataFacts:
    """Return what METADATA, WHEEL and, where there is one, build_info.py say.

    Raises:
        InvalidFileError: code ``hostile-wheel``: they are missing, or not what they should be.
    """
    folder = next((path.split("/")[0] for path in archive.sizes if path.endswith(".dist-info/WHEEL")), "")
    said, wheel = archive.read(f"{folder}/METADATA", _LIMIT), archive.read(f"{folder}/WHEEL", _LIMIT)
    if said is None or wheel is None:
        raise hostile(archive.filename, "it has no METADATA or no WHEEL")
    raw, _ = parse_email(said)
    demands, extras = _requirements(raw.get("requires_dist", []), raw.get("provides_extra", []))
    tags = re.findall(r"(?m)^Tag:\s*(\S+)", wheel.decode("utf-8", "replace"))
    if not raw.get("name") or not raw.get("version"):
        raise hostile(archive.filename, "its METADATA has no name or no version")
    return MetadataFacts(
        name=raw["name"],
        version=raw["version"],
        tags=tuple(sorted(tags)),
        requires_python=raw.get("requires_python", ""),
        requires_dist=demands,
        extras=extras,
        build_info=_build_info(archive),
    )


def _requirements(lines: list[str], extras: list[str]) -> tuple[tuple[str, ...], Mapping[str, tuple[str, ...]]]:
    """Return the requirements without an extra, and those of each extra with what else its marker says."""
    plain: list[str] = []
    asked: dict[str, list[str]] = {canonicalize_name(name): [] for name in extras}
    for line in lines:
        try:
            demand = Requirement(line)
        except InvalidRequirement:
            plain.append(line)
            continue
        name, marker = _without_extra(str(demand.marker or ""))
        if not name:
            plain.append(line)
            continue
        demand.marker = marker
        asked.setdefault(canonicalize_name(name), []).append(str(demand))
    return tuple(plain), {name: tuple(found) for name, found in sorted(asked.items())}


def _without_extra(marker: str) -> tuple[str, Marker | None]:
    """Return the extra that a marker asks for and the rest of it; the whole where it is no plain ``and``."""
    for form in _EXTRAS:
        match = form.search(marker)
        rest = form.sub("", marker).strip() if match else marker
        if match:
            with contextlib.suppress(InvalidMarker):
                return match[1], Marker(rest) if rest else None
    named = re.search(_EXTRA, marker)
    return (named[1], Marker(marker)) if named else ("", None)


def _build_info(archive: Members) -> Mapping[str, str] | None:
    known = next((path for path in archive.sizes if installed(path) in BUILD_INFO), None)
    data = archive.read(known, _SOURCE_LIMIT) if known else None
    if data is None:
        return None
    try:
        tree = ast.parse(data.decode("utf-8", "replace"))
        return {key: _words(value) for key, value in literals(tree)}
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise hostile(archive.filename, f"its build_info.py cannot be read ({type(error).__name__})") from error


def _words(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
