"""Decide which links an environment lacks and in which order its libraries are to be loaded; touches nothing.

The framework library asks for a few names; each library that answers asks for others. Starting from those names, every
request is followed the way glibc would follow it, and where nothing answers although the environment has the library,
a link is planned in a folder that the asking library does search.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provision.errors import InvalidFileError
from provision.model.matrix import Row
from provision.wiring.elf import Dynamic, read_dynamic
from provision.wiring.libraries import Library, Shelf, major, stem
from provision.wiring.opens import opens, opens_plainly


@dataclass(frozen=True)
class Link:
    """A link to be made; both paths absolute, ``asked_by`` the library that will follow it."""

    path: Path
    target: Path
    asked_by: str


@dataclass(frozen=True)
class Unfound:
    """A name that nothing answers.

    Attributes:
        soname: what is asked for.
        asked_by: the library that asks.
        searched: the folders it searches.
        gate: whether no GPU is registered without it.
    """

    soname: str
    asked_by: str
    searched: tuple[Path, ...]
    gate: bool


@dataclass(frozen=True)
class LinkPlan:
    """What is missing.

    Attributes:
        links: to be made.
        preload: library files as they are reached, what a library needs before the library itself.
        aliases: other names under which libraries are asked for, to the SONAME that is meant.
        unfound: names that stay without an answer.
        system: SONAMEs that the libraries need of the machine, ``libz.so.1`` for example.
    """

    links: tuple[Link, ...]
    preload: tuple[Path, ...]
    aliases: Mapping[str, str]
    unfound: tuple[Unfound, ...]
    system: tuple[str, ...]


# Part of every glibc, or of what CPython and TensorFlow themselves cannot do without; and of the driver.
_ALWAYS_THERE = frozenset(
    (
        "ld-linux-x86-64.so.2",
        "libc",
        "libcuda",
        "libdl",
        "libgcc_s",
        "libm",
        "libpthread",
        "librt",
        "libstdc++",
        "libutil",
    )
)


def plan_links(shelf: Shelf, row: Row) -> LinkPlan:
    """Return the links with which every library that ``row`` asks for is found, and everything those ask for."""
    walk = _Walk(shelf, row)
    for soname in row.gate:
        walk.framework_opens(soname, gate=True)
    for names in row.optional.values():
        # The release tries the names in order, so the first one that can be answered is enough.
        usable = next((name for name in names if walk.provider(name, loosely=True)), None)
        if usable:
            walk.framework_opens(usable, gate=False)
    preload = tuple(walk.load_order())
    walk.complete_homes()
    return LinkPlan(tuple(walk.links.values()), preload, walk.aliases(), tuple(walk.unfound), walk.system())


@dataclass
class _Walk:
    """One walk from the framework library through everything that is opened, with what it found on the way."""

    shelf: Shelf
    row: Row
    links: dict[Path, Link] = field(default_factory=dict)
    unfound: list[Unfound] = field(default_factory=list)
    # Where each visited library is reached: path by which it is opened, to the library and what it needs there.
    reached: dict[Path, tuple[Library, list[Path]]] = field(default_factory=dict)

    def provider(self, name: str, *, loosely: bool = False) -> Library | None:
        """Return the library that is meant by ``name``: itself, its alias, or (``loosely``) another minor of it."""
        shelf = self.shelf.by_soname
        direct = shelf.get(name) or shelf.get(self.row.aliases.get(name, name))
        if direct is not None or not loosely:
            return direct
        wanted = major(name)
        kin = [lib for lib in self.shelf.family(stem(name)) if wanted in ("", major(lib.dynamic.soname))]
        return kin[-1] if kin else None

    def framework_opens(self, name: str, *, gate: bool) -> None:
        framework = self.shelf.framework
        self._open(name, framework.dynamic, framework.path, self.provider(name, loosely=not gate), gate=gate, must=True)

    def complete_homes(self) -> None:
        """Follow each linked library from its own folder too: another program may have opened it there before."""
        for target in [link.target for link in self.links.values()]:
            if target not in self.reached:
                self._visit(target)

    def load_order(self) -> Iterator[Path]:
        """Yield each library once, after everything that its dynamic section needs."""
        done: set[Path] = set()

        def put(path: Path) -> Iterator[Path]:
            library, needs = self.reached[path]
            if library.path in done:
                return
            done.add(library.path)
            for needed in needs:
                yield from put(needed)
            yield path

        # NVRTC first: cuDNN 8 asks for it while its parts are being loaded, not when it needs it.
        for path in sorted(self.reached, key=lambda path: not path.name.startswith("libnvrtc")):
            yield from put(path)

    def aliases(self) -> dict[str, str]:
        """Return the names by which libraries are reached that are not their SONAMEs."""
        reached = ((path.name, library.dynamic.soname) for path, (library, _) in self.reached.items())
        return {name: soname for name, soname in sorted(reached) if name != soname}

    def system(self) -> tuple[str, ...]:
        needed = {name for library, _ in self.reached.values() for name in library.dynamic.needed}
        return tuple(sorted(name for name in needed - self.shelf.by_soname.keys() if stem(name) not in _ALWAYS_THERE))

    def _open(
        self, name: str, opener: Dynamic, opened_at: Path, meant: Library | None, *, gate: bool = False, must: bool
    ) -> Path | None:
        origin = opened_at.parent
        found = self.shelf.find(name, opener, origin, self.links)
        if found is None:
            folder = self._folder_for_link(opener, origin)
            if meant is None or folder is None:
                if must:
                    self.unfound.append(Unfound(name, opener.soname, opener.folders(origin), gate))
                return None
            found = folder / name
            self.links[found] = Link(found, meant.path, opener.soname)
        if found not in self.reached:
            self._visit(found)
        if found not in self.reached:
            # Something of that name is there, and it is no library: the request ends at it.
            if must:
                self.unfound.append(Unfound(name, opener.soname, opener.folders(origin), gate))
            return None
        return found

    def _visit(self, path: Path) -> None:
        library = self._library_at(path)
        if library is None:
            return
        needs: list[Path] = []
        self.reached[path] = (library, needs)
        dynamic = library.dynamic
        for name in dynamic.needed:
            if name in self.shelf.by_soname:
                at = self._open(name, dynamic, path, self.provider(name), must=bool(dynamic.search))
                if at is not None:
                    needs.append(at)
        for wanted in opens(library.stem):
            for meant in self._opened(wanted):
                self._open(meant.dynamic.soname, dynamic, path, meant, must=False)
                if opens_plainly(dynamic.soname, wanted):
                    self._open(f"{wanted}.so", dynamic, path, meant, must=False)

    def _opened(self, wanted: str) -> tuple[Library, ...]:
        if not wanted.endswith("*"):
            return self.shelf.family(wanted)
        return tuple(lib for soname, lib in self.shelf.by_soname.items() if stem(soname).startswith(wanted[:-1]))

    def _library_at(self, path: Path) -> Library | None:
        link = self.links.get(path)
        target = link.target if link else path
        known = next((lib for lib in self.shelf.by_soname.values() if lib.path == target), None)
        if known:
            return known
        try:
            return Library(target, read_dynamic(target))
        except InvalidFileError:
            return None

    def _folder_for_link(self, opener: Dynamic, origin: Path) -> Path | None:
        """Choose among the folders that the opener searches, inside the environment and existing.

        A folder ``nvidia/*/lib`` is better than any other: a library reached there still finds its neighbours by the
        relative paths written into it. Beside a library is better than elsewhere, for the same reason.
        """
        inside = [folder for folder in opener.folders(origin) if self._inside(folder)]
        nvidia = [folder for folder in inside if folder.parent.parent == self.shelf.site_packages / "nvidia"]
        if origin in inside and (origin in nvidia or not nvidia or opener is not self.shelf.framework.dynamic):
            return origin
        usual = [folder for folder in nvidia if folder.parent.name in ("cublas", "cuda_runtime")]
        return next(iter((*usual, *nvidia, *inside, *self._makeable(opener, origin))), None)

    def _inside(self, folder: Path) -> bool:
        return folder.is_dir() and self.shelf.home in folder.parents

    def _makeable(self, opener: Dynamic, origin: Path) -> Iterator[Path]:
        """Yield what may be made to be searched: from 2.20 on only folders of wheels are, and conda has no wheels."""
        nvidia = self.shelf.site_packages / "nvidia"
        if self.shelf.home != self.shelf.site_packages:
            yield from (folder for folder in opener.folders(origin) if nvidia in folder.parents and not folder.exists())
