"""The libraries of an environment: what is there, and what the framework library finds of it by itself.

The rules are those of ld.so(8) and dlopen(3) of glibc, with LD_LIBRARY_PATH and the machine's own libraries left out:
an environment has to work by what is inside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provision.errors import InvalidFileError
from provision.model.environment import EnvRef
from provision.wiring.elf import Dynamic, read_dynamic

_CONDA_NAME = re.compile(
    r"lib(cuda|cublas|cudnn|cufft|cupti|curand|cusolver|cusparse|nccl|npp|nvblas|nvjpeg|nvrtc|nvJitLink|nvvm)"
    r"[\w-]*\.so(\.\d+)*\Z"
)
"""NVIDIA's libraries among the hundreds of others in the lib folder of a conda environment."""

_STEM = re.compile(r"(?P<stem>lib[^.]+)\.so(?P<version>(\.\d+)*)\Z")


@dataclass(frozen=True)
class Library:
    """One shared library file of an environment; ``path`` is absolute, links in it not followed."""

    path: Path
    dynamic: Dynamic

    @property
    def stem(self) -> str:
        """``libcudnn`` for ``libcudnn.so.8``."""
        return stem(self.dynamic.soname)


@dataclass
class Shelf:
    """Every NVIDIA library of an environment, and what is searched where.

    Attributes:
        home: absolute; links may be made below it: site-packages of a venv, the whole prefix of a conda environment.
        site_packages: absolute.
        framework: TensorFlow's framework library, which opens the CUDA libraries by name.
        by_soname: the file that provides each SONAME.
        damaged: files that are no whole libraries, with the reason.
        ours: absolute paths of links that a former wiring made; they count as absent.
    """

    home: Path
    site_packages: Path
    framework: Library
    by_soname: Mapping[str, Library]
    damaged: Mapping[Path, str]
    ours: frozenset[Path] = frozenset()
    _read: dict[Path, Dynamic] = field(default_factory=dict, repr=False)

    def present(self, path: Path) -> bool:
        """Whether a file is there that is not a link of ours."""
        return path not in self.ours and path.is_file()

    def find(self, name: str, opener: Dynamic, origin: Path, planned: Iterable[Path] = ()) -> Path | None:
        """Return where ``name`` is found when ``opener``, itself opened in ``origin``, asks for it."""
        planned = frozenset(planned)
        return next(
            (
                candidate
                for folder in opener.folders(origin)
                if (candidate := folder / name) in planned or self.present(candidate)
            ),
            None,
        )

    def family(self, of: str) -> tuple[Library, ...]:
        """Return the libraries of one stem, ``libnvrtc`` for example; oldest SONAME first."""
        return tuple(lib for soname, lib in sorted(self.by_soname.items()) if stem(soname) == of)


@dataclass(frozen=True)
class Found:
    """Where the framework library arrives when it asks for a SONAME; ``path`` None where it finds nothing."""

    soname: str
    path: Path | None


@dataclass(frozen=True)
class FrameworkSearch:
    """What the framework library of an environment searches and finds, without any help from outside.

    Attributes:
        library: the framework library.
        kind: ``RPATH`` (beats LD_LIBRARY_PATH), ``RUNPATH`` (loses to it) or empty.
        folders: searched in this order; some may not exist.
        found: one entry for each SONAME asked about.
    """

    library: Path
    kind: str
    folders: tuple[Path, ...]
    found: tuple[Found, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """SONAMEs that it does not find."""
        return tuple(item.soname for item in self.found if item.path is None)


def stem(soname: str) -> str:
    """Return ``libcudnn`` for ``libcudnn.so.8``; the name itself where it has another form."""
    match = _STEM.match(soname)
    return match["stem"] if match else soname


def major(soname: str) -> str:
    """Return ``11`` for ``libcupti.so.11.8``, empty where there is no version."""
    match = _STEM.match(soname)
    return match["version"].lstrip(".").split(".")[0] if match else ""


def search_path(env: EnvRef, sonames: Iterable[str] = ()) -> FrameworkSearch:
    """Tell what the framework library searches and which of ``sonames`` it leaves unfound; links of ours count.

    Raises InvalidFileError where the environment has no readable framework library.
    """
    framework = framework_library(env)
    folders = framework.dynamic.folders(framework.path.parent)
    found = tuple(
        Found(soname, next((folder / soname for folder in folders if (folder / soname).is_file()), None))
        for soname in sonames
    )
    return FrameworkSearch(framework.path, framework.dynamic.kind, folders, found)


def framework_library(env: EnvRef) -> Library:
    """Return ``tensorflow/libtensorflow_framework.so.N``; up to 2.1 the package's content is in ``tensorflow_core``.

    TensorFlow as a conda package has it in the environment's own lib folder. Raises InvalidFileError where it is
    missing or damaged.
    """
    site_packages = Path(env.site_packages)
    folder = site_packages / "tensorflow"
    folders = [folder, site_packages / "tensorflow_core", *([Path(env.prefix) / "lib"] if env.kind == "conda" else [])]
    found = [path for place in folders for path in sorted(place.glob("libtensorflow_framework.so.*"))]
    if not found:
        raise InvalidFileError(
            "this environment has no TensorFlow framework library",
            code="no-tensorflow",
            why=(f"searched {folder} for libtensorflow_framework.so.*",),
            hint="install TensorFlow there first, for example with `tfgpu-provision create`",
        )
    return Library(found[0], read_dynamic(found[0]))


def read_shelf(env: EnvRef, ours: Iterable[Path] = (), preferred: Mapping[str, Path] | None = None) -> Shelf:
    """Read every library below ``site-packages/nvidia``, in a conda environment those in its lib folder too.

    Args:
        env: the environment.
        ours: links of a former wiring, which count as absent.
        preferred: SONAME to absolute path, for a SONAME that two files provide.

    Raises InvalidFileError where the environment has no readable framework library.
    """
    site_packages = Path(env.site_packages)
    hidden = frozenset(ours)
    by_soname: dict[str, Library] = {}
    damaged: dict[Path, str] = {}
    ranks: dict[Path, tuple[bool, bool]] = {}
    candidates = sorted((site_packages / "nvidia").glob("*/lib/*.so*"))
    if env.kind == "conda":
        folder = Path(env.prefix) / "lib"
        candidates += [path for path in sorted(folder.glob("lib*.so*")) if _CONDA_NAME.match(path.name)]
    for path in candidates:
        if path in hidden or not path.is_file():
            continue
        try:
            library = Library(path, read_dynamic(path))
        except InvalidFileError as error:
            damaged[path] = error.why[0] if error.why else error.what
            continue
        soname = library.dynamic.soname
        # Of two files, the one that is meant; else the one that bears the SONAME as its name, as a search finds it.
        ranks[path] = (path == (preferred or {}).get(soname), path.name == soname)
        if soname not in by_soname or ranks[path] > ranks[by_soname[soname].path]:
            by_soname[soname] = library
    home = Path(env.prefix) if env.kind == "conda" else site_packages
    return Shelf(home, site_packages, framework_library(env), by_soname, damaged, hidden)
