"""Which sets of libraries serve a release that the matrix does not know, and what a new set would be. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from packaging.version import Version

from provision.audit.contents.demands import admits, pinned
from provision.matrix.build import FIRST_COMPATIBLE_MAJOR
from provision.model.matrix import LibrarySet
from provision.model.versions import ComputeCapability, CudaVersion, CudnnVersion
from provision.model.wheel import NameFacts, WheelFacts

_BEHIND = ("nvidia-cuda-nvcc", "nvidia-cuda-nvrtc", "nvidia-nvjitlink", "nvidia-nvvm", "nvidia-cuda-crt")
"""What the other wheels and XLA need, and TensorFlow does not open."""
_LAST = ComputeCapability("99.0")


@dataclass(frozen=True)
class Wanted:
    """What a release needs of a set.

    Attributes:
        release: its version, for sets that bring TensorFlow itself.
        cuda: CUDA of the build.
        cudnn: cuDNN of the build.
        gate: SONAMEs of which every one must be there.
        optional: purpose to SONAMEs, of which one should be there.
        extra: requirements of its extra, empty where it has none.
    """

    release: Version
    cuda: CudaVersion
    cudnn: CudnnVersion
    gate: tuple[str, ...]
    optional: Mapping[str, tuple[str, ...]]
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Serving:
    """Sets that serve a release, preferred first, under one table of aliases.

    Attributes:
        alias: name of the entry of ``aliases``, empty for none.
        wheels: sets of NVIDIA wheels.
        conda: sets of conda packages.
        idle: sets that would serve it too and no further GPU.
    """

    alias: str
    wheels: tuple[LibrarySet, ...]
    conda: tuple[LibrarySet, ...]
    idle: tuple[LibrarySet, ...] = ()


def serving(wanted: Wanted, sets: Iterable[LibrarySet], aliases: Mapping[str, Mapping[str, str]]) -> Serving:
    """Return the sets that serve a release: the one nearest to its build, then those that serve further GPUs.

    Args:
        wanted: by the release.
        sets: every set of the matrix.
        aliases: its entries by their names; one is used only where it makes more libraries found.
    """
    known = tuple(sets)
    asked = {*wanted.gate, *(name for names in wanted.optional.values() for name in names)}
    best: tuple[int, int, Serving] | None = None
    for name, entry in {"": {}, **aliases}.items():
        if not set(entry) <= asked:
            continue
        wheels = _fitting(wanted, [item for item in known if item.pins], entry)
        conda = _fitting(wanted, [item for item in known if item.conda], entry)
        whole = max((_purposes(wanted, item, entry) for item in (*wheels, *conda)), default=0)
        rank = (bool(wheels), whole)
        if (wheels or conda) and (best is None or rank > best[:2]):
            chosen = _reaching(wheels)
            idle = tuple(item for item in wheels if item not in chosen)
            own = [item for item in conda if item.brings_tensorflow]
            others = _reaching([item for item in conda if item not in own])
            best = (*rank, Serving(name, chosen, (*others, *own), idle))
    return best[2] if best else Serving("", (), ())


def _fitting(wanted: Wanted, sets: Sequence[LibrarySet], alias: Mapping[str, str]) -> list[LibrarySet]:
    """Return the sets that serve the build at all, nearest first; of those, the ones that miss the fewest purposes."""
    found = [
        item
        for item in sets
        if all(_has(item, name, alias) for name in wanted.gate)
        and _serves(item.cuda, item.cudnn, wanted)
        and admitted(wanted.extra, [(pin.name, pin.version) for pin in item.pins])
        and _own(item, wanted.release)
    ]
    most = max((_purposes(wanted, item, alias) for item in found), default=0)
    fullest = [item for item in found if _purposes(wanted, item, alias) == most]
    return sorted(fullest, key=lambda item: (item.cuda.parts, item.cudnn.parts))


def _has(item: LibrarySet, soname: str, alias: Mapping[str, str]) -> bool:
    # What brings TensorFlow itself was built with its own CUDA, whatever the wheel asks for.
    return any(item.provider(name) for name in (soname, alias.get(soname, "")) if name)


def _purposes(wanted: Wanted, item: LibrarySet, alias: Mapping[str, str]) -> int:
    return sum(any(_has(item, name, alias) for name in names) for names in wanted.optional.values())


def _serves(cuda: CudaVersion, cudnn: CudnnVersion, wanted: Wanted) -> bool:
    """Whether libraries serve a build: the same majors and nothing older; before CUDA 11 the same toolkit."""
    if cuda.major < FIRST_COMPATIBLE_MAJOR and cuda != wanted.cuda:
        return False
    alike = (cuda.major, cudnn.major) == (wanted.cuda.major, wanted.cudnn.major)
    return alike and cuda >= wanted.cuda and cudnn >= wanted.cudnn


def _own(item: LibrarySet, release: Version) -> bool:
    """Whether a set brings no TensorFlow, or exactly this release of it."""
    own = next((pin for pin in item.conda if pin.name == "tensorflow"), None)
    return own is None or own.version == str(release)


def admitted(extra: Iterable[str], pins: Iterable[tuple[str, str]]) -> bool:
    """Whether an extra admits every pin that it names; what it names besides is not looked at."""
    return all(version is None or admits(demand, version) for demand, version in pinned(extra, pins))


def _reaching(sets: Sequence[LibrarySet]) -> tuple[LibrarySet, ...]:
    """Return the first set and then, one by one, the set that serves the most GPUs that none before it serves."""
    chosen = list(sets[:1])
    while chosen:
        low = min(item.first_cc for item in chosen)
        high = max(item.last_cc or _LAST for item in chosen)
        further = [item for item in sets if item.first_cc < low or (item.last_cc or _LAST) > high]
        if not further:
            break
        chosen.append(max(further, key=lambda item: (item.last_cc or _LAST, -sets.index(item))))
    return tuple(chosen)


@dataclass(frozen=True)
class NewSet:
    """A set that the matrix does not have: entries of ``sets`` and ``wheels``, and what was not read of it."""

    name: str
    cuda: CudaVersion
    cudnn: CudnnVersion
    entry: Mapping[str, Any]
    wheels: Mapping[str, Mapping[str, str]]
    like: LibrarySet | None

    def adds_gpus(self, other: NewSet | None) -> bool:
        """Whether it serves GPUs that are too old for another one, as far as that is known."""
        return bool(self.like and other and other.like and self.like.first_cc < other.like.first_cc)


def new_set(
    resolved: Iterable[WheelFacts], known: Mapping[str, Any], sets: Iterable[LibrarySet], asked: Iterable[str]
) -> NewSet | None:
    """Return a set of what an extra resolves to, None where it has no CUDA runtime or no cuDNN.

    The code inside its libraries is taken over from the set of the same majors that is nearest to it from below.

    Args:
        resolved: NVIDIA wheels with the names in them.
        known: table ``wheels`` of the matrix as it is written.
        sets: those of the matrix.
        asked: SONAMEs that the release opens; a wheel that has none of them and that no other needs is left out.
    """
    opened = set(asked)
    wheels = [
        item
        for item in resolved
        if item.names
        and item.artifact.distribution.startswith("nvidia-")
        and (opened & set(item.names.libraries) or item.artifact.distribution.startswith(_BEHIND))
    ]
    versions = {item.artifact.distribution: item.artifact.version for item in wheels}
    runtime = next((text for name, text in versions.items() if name.startswith("nvidia-cuda-runtime")), "")
    library = next((text for name, text in versions.items() if name.startswith("nvidia-cudnn")), "")
    cuda, cudnn = CudaVersion.parse(_short(runtime)), CudnnVersion.parse(_short(library))
    if cuda is None or cudnn is None:
        return None
    alike = [
        item
        for item in sets
        if item.pins and (item.cuda.major, item.cudnn.major) == (cuda.major, cudnn.major) and item.cudnn <= cudnn
    ]
    like = max(alike, key=lambda item: (item.cudnn.parts, item.cuda.parts), default=None)
    names = [item.names for item in wheels if item.names]
    entry: dict[str, Any] = {"cuda": cuda.text, "cudnn": cudnn.text}
    if like:
        entry["gpus"] = " ".join(filter(None, (like.first_cc.text, like.last_cc.text if like.last_cc else "")))
        entry["sass"] = " ".join(item.text for item in like.sass)
        entry["ptx"] = " ".join(item.text for item in like.ptx)
    entry["pins"] = dict(sorted(versions.items()))
    for tool in ("ptxas", "libdevice"):
        path = next((getattr(item, tool) for item in names if getattr(item, tool)), "")
        if path:
            entry[tool] = path
    added = {}
    for item in wheels:
        name, major = item.artifact.distribution, item.artifact.version.split(".", maxsplit=1)[0]
        there = known.get(f"{name} {major}") or known.get(name)
        shelf = _shelf(item.names)
        if shelf and (there is None or not _same(there, item.names)):
            added[name if there is None else f"{name} {major}"] = shelf
    return NewSet(f"cu{_joined(cuda)}-cudnn{_joined(cudnn)}", cuda, cudnn, entry, added, like)


def _short(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _joined(version: CudaVersion | CudnnVersion) -> str:
    return "".join(version.text.split(".")[:2])


def _shelf(names: NameFacts | None) -> Mapping[str, str] | None:
    """Return the folder of a wheel with the most libraries that carry a version, and these."""
    folders: dict[str, list[str]] = {}
    for soname, path in (names.libraries if names else {}).items():
        if soname.startswith("lib") and (".so." in soname or "/nvvm/" in path):
            folders.setdefault(PurePosixPath(path).parent.as_posix(), []).append(soname)
    folder = max(folders, key=lambda name: len(folders[name]), default=None)
    return {"folder": folder, "libraries": " ".join(sorted(folders[folder]))} if folder else None


def _same(entry: Mapping[str, str], names: NameFacts | None) -> bool:
    """Whether a wheel has every library where an entry of the matrix says."""
    found = names.libraries if names else {}
    return all(found.get(soname) == f"{entry['folder']}/{soname}" for soname in entry["libraries"].split(" "))
