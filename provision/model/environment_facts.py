"""One Python environment as it was read from outside: its packages, what its loader does, who points at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from provision.model.environment import EnvRef
from provision.model.matrix import LibrarySet, Row
from provision.model.verdict import Stage
from provision.model.versions import CudaVersion, CudnnVersion, GlibcVersion, PythonVersion

STALE = "stale: "
"""How `EnvironmentFacts.wiring` begins where nothing is gone and TensorFlow is another build than the one wired."""

IMPORTED_MODULES: Mapping[str, str] = {
    "absl": "absl-py",
    "astunparse": "astunparse",
    "flatbuffers": "flatbuffers",
    "gast": "gast",
    "google": "protobuf",
    "grpc": "grpcio",
    "h5py": "h5py",
    "keras": "keras",
    "ml_dtypes": "ml-dtypes",
    "numpy": "numpy",
    "opt_einsum": "opt-einsum",
    "packaging": "packaging",
    "requests": "requests",
    "six": "six",
    "tensorboard": "tensorboard",
    "termcolor": "termcolor",
    "typing_extensions": "typing-extensions",
    "wrapt": "wrapt",
}
"""Modules that TensorFlow imports, and the distributions that bring them."""


@dataclass(frozen=True)
class Package:
    """An installed distribution.

    Attributes:
        name: normalised.
        version: as its metadata says.
        folder: the site-packages folder it lies in.
        requires: its Requires-Dist, those whose markers hold in this environment, extras left out.
        installer: what its INSTALLER file says (``pip``, ``uv``, ``conda``), empty where it does not.
        origin: the URL that it was installed from where that was no index, with ``(editable)`` where it is.
    """

    name: str
    version: str
    folder: str
    requires: tuple[str, ...] = ()
    installer: str = ""
    origin: str = ""


@dataclass(frozen=True)
class FileFault:
    """A file that is not what its installer wrote.

    Attributes:
        path: absolute.
        package: the distribution whose RECORD names it, empty where none does.
        kind: ``missing``, ``size``, ``content``, ``truncated`` (shorter than its ELF headers say), ``not-elf``,
            ``architecture``, ``unreadable``.
        wanted: what should be there, as text.
        found: what is.
    """

    path: str
    package: str
    kind: str
    wanted: str = ""
    found: str = ""


@dataclass(frozen=True)
class Answered:
    """What the dynamic loader did with one library that TensorFlow opens.

    Attributes:
        soname: the name asked for.
        file: what answered, resolved; None where it was not found.
        error: what dlopen said, empty where it was found.
        version: what the library itself says.
        impostor: whether it lacks the function that every real one has.
        searched: folders in their order, each with why it was searched (``RUNPATH from file …``, ``LD_LIBRARY_PATH``,
            ``system search path``, ``loader cache``).
        inside: whether the file lies in the environment.
        reached: the path by which the loader opened it, links not followed; the last one tried where it was not found;
            empty where it did not search (preloaded, or needed by something that was opened before).
    """

    soname: str
    file: str | None
    error: str = ""
    version: str | None = None
    impostor: bool = False
    searched: tuple[tuple[str, tuple[str, ...]], ...] = ()
    inside: bool = False
    reached: str = ""


@dataclass(frozen=True)
class GateFacts:
    """TensorFlow's own loader, called in a child.

    Attributes:
        libraries: those without which no GPU is registered, in its order.
        beside: the driver library, CUPTI, NCCL.
        ended: how the child died (``signal SIGBUS``, ``timeout``), empty where it came back.
        culprit: the file whose mapping killed it, empty where unknown.
        unloadable: why the framework library cannot be loaded, empty where it can.
        log: what it said, at most 6000 characters.
    """

    libraries: tuple[Answered, ...] = ()
    beside: tuple[Answered, ...] = ()
    ended: str = ""
    culprit: str = ""
    unloadable: str = ""
    log: str = ""

    @property
    def missing(self) -> tuple[Answered, ...]:
        """Those that were not found."""
        return tuple(item for item in self.libraries if item.file is None)

    def library(self, stem: str) -> Answered | None:
        """Return the one whose name starts with ``stem`` (``libcudnn``), the part before ``.so``."""
        return next((item for item in (*self.libraries, *self.beside) if item.soname.split(".so")[0] == stem), None)


@dataclass(frozen=True)
class SearchedFolder:
    """One folder of LD_LIBRARY_PATH: whether it is there, and the CUDA libraries in it by their file names."""

    path: str
    exists: bool
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tool:
    """Something XLA looks for: ``name`` is ``ptxas`` or ``libdevice``.

    Attributes:
        found: where it would be found by this TensorFlow in this environment, None where nowhere.
        present: where the environment has it, None where it has none.
        why: how it is found, or why it is not.
    """

    name: str
    found: str | None
    present: str | None
    why: str = ""


@dataclass(frozen=True)
class Pointer:
    """A Jupyter kernel or an editor's setting that names a Python.

    Attributes:
        kind: ``jupyter`` or the editor (``vscode``, ``pycharm``).
        file: where it is written.
        name: of the kernel or the setting.
        python: what it names, absolute where it can be made so.
        exists: whether that is there.
        same: whether it is the environment that is looked at.
        variables: environment variables that it sets.
    """

    kind: str
    file: str
    name: str
    python: str
    exists: bool
    same: bool
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CxxLibrary:
    """A ``libstdc++.so.6`` that is found before the system's.

    Attributes:
        path: of the file, links followed.
        why: how it comes first: ``LD_LIBRARY_PATH``, ``conda``.
        has: the newest version of each kind that it defines, ``GLIBCXX`` and ``CXXABI``.
        needs: the newest that TensorFlow's libraries ask for.
        needed_by: the library that asks.
    """

    path: str
    why: str
    has: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    needed_by: str = ""


@dataclass(frozen=True)
class LibraryFacts:
    """What TensorFlow's loader does in an environment, and what is there for it.

    Attributes:
        gate: the loader under the user's variables; None where it could not be asked.
        gate_bare: under ``env -i``.
        provided: SONAME to path for every CUDA library in the environment.
        tools: ptxas and libdevice.
        search: RPATH/RUNPATH of the framework library, as folders.
        search_kind: ``RPATH``, ``RUNPATH`` or empty.
        elsewhere: SONAME to path of what the loader did not find although the machine has it (a CUDA toolkit's folder).
        library_path: the folders of the user's LD_LIBRARY_PATH.
        preloaded: each entry of the user's LD_PRELOAD and the file it leads to, links followed.
        wiring: ``""`` never wired by us, ``ok``, or what is gone.
    """

    gate: GateFacts | None = None
    gate_bare: GateFacts | None = None
    provided: Mapping[str, str] = field(default_factory=dict)
    tools: tuple[Tool, ...] = ()
    search: tuple[str, ...] = ()
    search_kind: str = ""
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    library_path: tuple[SearchedFolder, ...] = ()
    preloaded: tuple[tuple[str, str], ...] = ()
    wiring: str = ""


@dataclass(frozen=True)
class PackageFacts:
    """The interpreter of an environment and what is installed in it.

    Attributes:
        packages: every distribution on its path, first found first.
        tensorflow: each ``tensorflow`` package or module on its path under the user's variables; the first is imported.
        distribution: the one that the import finds, None where none is installed.
        others: further distributions that bring a ``tensorflow`` package.
        remnants: folders of distributions that were removed halfway (``~ensorflow``, a package without metadata).
        hidden: distributions of a name that another one, which stands before it on the path, hides.
        user_site: packages of the user's own site folder that stand before the environment's or are seen in it.
        python_path: folders of PYTHONPATH, or the current folder, that hold something which hides a package.
        shadows: files and packages in the current folder, or where the program starts, that hide a module which
            TensorFlow imports, each ``(module, path)``; ``tensorflow`` itself is in ``tensorflow``.
        user_error: why this Python does not run under the user's variables although it runs without them.
        abiflags: of the interpreter; ``t`` is a free-threaded build.
        wheel_tags: the tags of the installed TensorFlow wheel, ``cp38-cp38-manylinux2010_x86_64``.
        gencode: which protobuf wrote TensorFlow's generated code: ``old`` (for runtimes before 4.21), ``builder`` (for
            3.20 and later), ``6.31.1`` where it says (for no older runtime); empty where unknown.
        cxx: the C++ library that stands in the way of the system's, None where there is none.
        build: what ``build_info.py`` says: ``is_cuda_build``, ``cuda_version``, ``cudnn_version`` …
        cuda_build: whether TensorFlow was built with CUDA; None where it does not say.
        built_cuda, built_cudnn: against which; of the matrix where the release does not say.
        row, library_set: of the matrix, None where there is none.
        conda: name to version of conda packages; ``conda_builds`` name to build string.
        faults: damaged files.
        checked: how many files were looked at.
        record: ``""`` not ours, ``ok``, ``incomplete`` (creation was interrupted) or ``moved`` (made at another path).
        recorded_prefix: where it was made, for ``moved``.
        unfinished: what the lock of an ``incomplete`` one names and is not installed, as ``name==version``; None where
            it has no lock, or is none of these.
    """

    python: PythonVersion | None = None
    implementation: str = "cpython"
    machine: str = "x86_64"
    glibc: GlibcVersion | None = None
    packages: tuple[Package, ...] = ()
    tensorflow: tuple[str, ...] = ()
    distribution: Package | None = None
    others: tuple[Package, ...] = ()
    remnants: tuple[str, ...] = ()
    user_site: tuple[Package, ...] = ()
    python_path: tuple[str, ...] = ()
    hidden: tuple[Package, ...] = ()
    shadows: tuple[tuple[str, str], ...] = ()
    user_error: str = ""
    abiflags: str = ""
    wheel_tags: tuple[str, ...] = ()
    gencode: str = ""
    cxx: CxxLibrary | None = None
    build: Mapping[str, str | bool] = field(default_factory=dict)
    cuda_build: bool | None = None
    built_cuda: CudaVersion | None = None
    built_cudnn: CudnnVersion | None = None
    row: Row | None = None
    library_set: LibrarySet | None = None
    conda: Mapping[str, str] = field(default_factory=dict)
    conda_builds: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[FileFault, ...] = ()
    checked: int = 0
    record: str = ""
    recorded_prefix: str = ""
    unfinished: tuple[str, ...] | None = None

    @property
    def versions(self) -> Mapping[str, str]:
        """Normalised name to version, first found first."""
        found: dict[str, str] = {}
        for item in self.packages:
            found.setdefault(item.name, item.version)
        return found

    def package(self, name: str) -> Package | None:
        """Return the distribution of that normalised name."""
        return next((item for item in self.packages if item.name == name), None)


@dataclass(frozen=True, kw_only=True)
class EnvironmentFacts(PackageFacts, LibraryFacts):
    """One Python environment, read from outside; nothing of TensorFlow is imported.

    Attributes:
        env: where it is; None where its Python does not run.
        path: what was asked for, absolute.
        broken: why its Python does not run, line by line; empty where it does.
        pointers: Jupyter kernels and editors.
        scripts_set: variable to value, set by activation scripts of the environment, with the file:
            ``(file, variable, value)``.
        deep_import: `verify`'s import stage, only with ``--deep``; ``deep_device`` likewise.
        writable: whether this user may change what is in it.
        cut_off: what is known of a repair that was cut off while it changed the environment; empty for none.
    """

    env: EnvRef | None
    path: str
    broken: tuple[str, ...] = ()
    pointers: tuple[Pointer, ...] = ()
    scripts_set: tuple[tuple[str, str, str], ...] = ()
    deep_import: Stage | None = None
    deep_device: Stage | None = None
    writable: bool = True
    cut_off: str = ""
