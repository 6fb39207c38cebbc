"""What a search path finds of the libraries that are asked for, given the wheels that are installed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from provision.model.wheel import DynamicFacts, FrameworkFacts, NameFacts, SearchFacts, choices
from provision.wiring.elf import Dynamic

_SITE = Path("/site-packages")


def searched(dynamic: DynamicFacts, path: str) -> tuple[str, ...]:
    """Return the folders below site-packages that a library looks in, in order, each once: ``nvidia/cublas/lib``.

    Args:
        dynamic: its dynamic section.
        path: of the library below site-packages; it is what ``$ORIGIN`` goes by. Folders outside are left out.
    """
    entries = Dynamic(dynamic.soname, dynamic.needed, dynamic.kind, dynamic.search)
    found = (folder for folder in entries.folders(_SITE / PurePosixPath(path).parent) if folder.is_relative_to(_SITE))
    return tuple(dict.fromkeys(folder.relative_to(_SITE).as_posix() for folder in found))


def search(
    framework: FrameworkFacts, wheels: Mapping[str, NameFacts], sonames: Iterable[str] | None = None
) -> SearchFacts:
    """Return which SONAMEs the framework library finds when these wheels are installed beside it.

    The loader's cache and ``LD_LIBRARY_PATH`` are the machine's business and left out.

    Args:
        framework: the library that opens them.
        wheels: requirement (``nvidia-cublas-cu12==12.5.3.2``) to what the wheel has.
        sonames: what is looked for; the gate by default, empty where it was not read.
    """
    folders = searched(framework.dynamic, framework.path)
    found: dict[str, str] = {}
    unfound: dict[str, str] = {}
    absent: list[str] = []
    for names in choices((framework.gate or ()) if sonames is None else sonames):
        answers = {name: _answer(name, folders, wheels.values()) for name in names}
        opened = next((name for name in names if answers[name][0]), None)
        if opened:
            found[opened] = answers[opened][0]
            continue
        for name in names:
            if answers[name][1]:
                unfound[name] = answers[name][1]
            else:
                absent.append(name)
    return SearchFacts(tuple(wheels), found, unfound, tuple(absent))


def _answer(soname: str, folders: Iterable[str], wheels: Iterable[NameFacts]) -> tuple[str, str]:
    """Return the path that is found, and one where it is at all; empty where there is none."""
    paths = [names.libraries[soname] for names in wheels if soname in names.libraries]
    places = {PurePosixPath(path).parent.as_posix(): path for path in paths}
    return next((places[folder] for folder in folders if folder in places), ""), next(iter(paths), "")
