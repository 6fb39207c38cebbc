"""The facts of an installed TensorFlow, by the code that reads those of wheels; nothing is imported or changed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from provision.audit.claims.row import Read, row_claims
from provision.audit.contents.deep import scan_library
from provision.audit.contents.dynamic import read_exports
from provision.audit.contents.fatbin import TooMuchCodeError
from provision.audit.contents.framework import read_framework
from provision.audit.contents.guard import read_guard
from provision.audit.contents.installed import Files
from provision.audit.contents.metadata import read_metadata, read_names
from provision.audit.contents.search import search, searched
from provision.audit.contents.symbols import TooManyNamesError, cover
from provision.errors import InvalidFileError
from provision.model.artifact import Artifact, Cost
from provision.model.audit import Claim, ClaimVerdict
from provision.model.matrix import Row
from provision.model.wheel import CodeFacts, FrameworkFacts, MetadataFacts, NameFacts, SymbolFacts, Unread, WheelFacts
from provision.system import System

T = TypeVar("T")
_LIBRARY = re.compile(r"\.so(\.\d+)*\Z")
_PIECE = 1 << 20
_DECIDED = {"cpu", "cuda", "cudnn", "gate", "modules", "optional", "ptx", "sass", "search"}
"""What files that are installed can say of a row; tags, Pythons and the day of the upload are the index's."""
_SAID = (ClaimVerdict.CONFIRMED, ClaimVerdict.CONTRADICTED)


@dataclass(frozen=True)
class Place:
    """Where an installed TensorFlow is.

    Attributes:
        name: of the distribution.
        version: of it.
        info: folder of its metadata, in the folder of the packages.
        root: what paths are kept relative to: the folder of the packages, or conda's prefix.
        framework: the library that opens all others; None where it is not there.
        beside: requirement (``nvidia-cudnn-cu12==9.3.0.75``) of each distribution that brings CUDA libraries to the
            folder of its metadata; empty where conda brings them.
    """

    name: str
    version: str
    info: Path
    root: Path
    framework: Path | None
    beside: Mapping[str, Path]

    @property
    def site(self) -> Path:
        """The folder of the packages."""
        return self.info.parent


def environment_facts(system: System, place: Place, *, deep: bool = False) -> WheelFacts:
    """Return what a wheel of the same release would say, as far as what is installed says it.

    What cannot be read is in ``unread``. ``deep``: every library is read whole, for GPU code and symbol cover.
    """
    start = time.monotonic()
    unread: list[Unread] = []
    files = Files(place.site, place.info)
    names = _part("names", lambda: read_names(files), unread)
    metadata = _part("metadata", lambda: read_metadata(files), unread)
    framework = _framework(system, place, metadata, unread)
    wheels = _wheels(place, unread)
    links = _links(place, framework, {**wheels, "tensorflow": names} if names else wheels)
    wheels = {**wheels, "links": links} if links.libraries else wheels
    code, looked_up = _code(files, unread) if deep else (None, frozenset[str]())
    return WheelFacts(
        artifact=Artifact(place.name, place.version, _filename(place, metadata)),
        names=names,
        metadata=metadata,
        framework=framework,
        search=search(framework, wheels) if framework and framework.gate else None,
        code=code,
        symbols=_cover(place, framework, wheels, looked_up, unread) if framework and looked_up else None,
        guard=read_guard(place.framework) if place.framework else None,
        unread=tuple(dict.fromkeys(unread)),
        cost=Cost(seconds=time.monotonic() - start),
    )


def installed_claims(row: Row, facts: WheelFacts) -> tuple[Claim, ...]:
    """Return the claims of a row that installed files confirm or contradict. Pure.

    Only for what was installed from a wheel: a build of conda's is another one.
    """
    claims = row_claims(row, Read(wheels={row.requirement: facts}))
    return tuple(
        replace(claim, evidence=facts.artifact.filename)
        for claim in claims
        if claim.kind in _DECIDED and claim.verdict in _SAID
    )


def _part(what: str, read: Callable[[], T], unread: list[Unread]) -> T | None:
    try:
        return read()
    except InvalidFileError as error:
        unread.append(Unread(what, ": ".join((error.what, *error.why[:1]))))
        return None


def _framework(
    system: System, place: Place, metadata: MetadataFacts | None, unread: list[Unread]
) -> FrameworkFacts | None:
    file = place.framework
    if file is None:
        unread.append(Unread("framework", "the framework library is not where a release keeps it"))
        return None
    path = file.relative_to(place.root).as_posix()
    ask = metadata is None or metadata.cuda_build is not False
    read = _part("framework", lambda: read_framework(system, file, path, ask=ask), unread)
    if read is None:
        return None
    facts, missing = read
    if missing:
        unread.append(missing)
    return facts


def _wheels(place: Place, unread: list[Unread]) -> Mapping[str, NameFacts]:
    """Return what brings libraries to what it has; conda's packages are one, for they share a folder."""
    if place.root != place.site:
        libraries = {file.name: f"lib/{file.name}" for file in sorted((place.root / "lib").glob("lib*.so*"))}
        return {"conda": NameFacts(len(libraries), 0, libraries)}
    found = {
        requirement: _part(requirement, partial(read_names, Files(place.site, info)), unread)
        for requirement, info in place.beside.items()
    }
    return {requirement: names for requirement, names in found.items() if names}


def _links(place: Place, framework: FrameworkFacts | None, wheels: Mapping[str, NameFacts]) -> NameFacts:
    """Return the libraries that lie where TensorFlow looks and that no package has: links of `wire`, or of a hand."""
    folders = searched(framework.dynamic, framework.path) if framework else ()
    known = {path for names in wheels.values() for path in names.libraries.values()}
    found = [
        file.relative_to(place.root).as_posix()
        for folder in folders
        for file in sorted((place.root / folder).glob("lib*.so*"))
        if file.is_file()
    ]
    libraries = {path.rsplit("/", 1)[-1]: path for path in reversed(found) if path not in known}
    return NameFacts(len(libraries), 0, dict(sorted(libraries.items())))


def _code(files: Files, unread: list[Unread]) -> tuple[tuple[CodeFacts, ...] | None, frozenset[str]]:
    found: list[CodeFacts] = []
    names: set[str] = set()
    paths = [path for path in sorted(_part("names", lambda: files.sizes, unread) or ()) if _LIBRARY.search(path)]
    for path in paths:
        file = files.site / path
        try:
            facts, looked_up = scan_library(_pieces(file), file.stat().st_size, path)
        except (OSError, TooMuchCodeError, TooManyNamesError) as error:
            unread.append(Unread(path, str(error) or "more code or names than any library has"))
            continue
        names |= looked_up
        if facts.modules or facts.damaged:
            found.append(facts)
    return tuple(found), frozenset(names)


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece


def _cover(
    place: Place,
    framework: FrameworkFacts,
    wheels: Mapping[str, NameFacts],
    looked_up: frozenset[str],
    unread: list[Unread],
) -> SymbolFacts:
    """Hold the names that are looked up against those of the libraries that TensorFlow opens by name."""
    opened = {*(framework.gate or ()), *(name for tried in framework.optional.values() for name in tried)}
    exports: dict[str, frozenset[str]] = {}
    for names in wheels.values():
        for soname, path in names.libraries.items():
            if soname in opened:
                given = _part(path, partial(read_exports, place.root / path), unread)
                exports[soname] = given or frozenset()
    return cover(looked_up, exports, wheels)


def _filename(place: Place, metadata: MetadataFacts | None) -> str:
    """Return the name that its wheel had, of the tags in WHEEL; else that of the folder of its metadata."""
    tags = [tag.split("-") for tag in metadata.tags] if metadata else []
    if not tags or any(len(tag) != 3 for tag in tags):  # noqa: PLR2004 - python, abi, platform
        return place.info.name
    words = [".".join(dict.fromkeys(tag[part] for tag in tags)) for part in range(3)]
    return f"{place.name.replace('-', '_')}-{place.version}-{'-'.join(words)}.whl"
