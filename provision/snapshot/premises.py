"""What `verify` knows about an environment before anything of it runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from provision.model.matrix import LibrarySet, Matrix, Row
from provision.model.versions import TfVersion
from provision.probes.environment import Installed, Inventory
from provision.system import System
from provision.verify.answer import Premises
from provision.verify.libraries import is_version

_LIBRARIES = re.compile(
    r"lib(cuda|cublas|cudnn|cufft|cupti|curand|cusolver|cusparse|nccl|nvrtc|nvJitLink|nvshmem)\w*\.so(\.\d+)*\Z"
)


def premises_of(system: System, seen: Inventory, row: Row | None, library_set: LibrarySet | None) -> Premises:
    """Return the premises: what is installed, from files alone."""
    package = seen.tensorflow[0] if seen.tensorflow else None
    site = package.parent.parent if package and package.name == "__init__.py" else seen.env.site_packages
    chosen = _distribution(seen, site)
    others = tuple(
        f"{item.name} {item.version}" for item in seen.tensorflow_distributions if item is not chosen and item.folder
    )
    return Premises(
        prefix=str(seen.env.prefix),
        site_packages=str(site),
        managed=seen.env.managed,
        tensorflow=chosen.version if chosen else None,
        distribution=chosen.name if chosen else None,
        others=others,
        shadow=_shadow(package, chosen),
        user_site=bool(seen.user_site),
        cuda_build=_cuda_build(system, site),
        wheels={
            **{name: version for name, version in seen.versions.items() if name.startswith("nvidia-")},
            **_of_set(conda_versions(seen), library_set),
        },
        files=_library_files(system, seen, site),
        row=row,
        library_set=library_set,
        real_roots=tuple(str(Path(root).resolve()) for root in (site, seen.env.prefix)),
    )


def framework_file(seen: Inventory, premises: Premises) -> Path | None:
    """Return libtensorflow_framework of the environment; conda-forge keeps it in the environment's own lib."""
    for name in ("libtensorflow_framework.so.2", "libtensorflow_framework.so.1"):
        site = Path(premises.site_packages)
        for folder in (site / "tensorflow", site / "tensorflow_core", Path(seen.env.prefix) / "lib"):
            if (folder / name).is_file():
                return folder / name
    return None


def find_row(seen: Inventory, matrix: Matrix) -> Row | None:
    """Return the matrix row of the installed release, None where there is none."""
    chosen = _distribution(seen, None)
    if chosen is None:
        return None
    try:
        release = TfVersion(chosen.version.replace("_", "-"))
    except ValueError:
        return None
    # tensorflow and tensorflow-gpu of one release are the same build under two names.
    return matrix.row(release, chosen.name) or matrix.row(release)


def find_set(row: Row, versions: Mapping[str, str]) -> LibrarySet | None:
    """Return the set of the row whose wheels are the ones installed, None where they are a mixture of their own.

    ``versions`` holds those of conda packages as well (`conda_versions`), for the sets that conda brings.
    """
    for library_set in (*row.sets, *row.conda_sets):
        wanted = {pin.name: pin.version for pin in library_set.pins} | {
            package.name: package.version for package in library_set.conda
        }
        if all(is_version(versions.get(name), version) for name, version in wanted.items()):
            return library_set
    return None


def meant_set(row: Row, versions: Mapping[str, str]) -> tuple[LibrarySet | None, tuple[str, ...]]:
    """Return the set of the row that an environment holds, or comes nearest to, and where it differs from it.

    Args:
        row: of the installed release.
        versions: normalised name to version of what is installed, conda packages among them (`conda_versions`).

    None where nothing of any set is installed. A set of conda packages pins a version or its beginning (``8.6.*``).
    """
    exact = find_set(row, versions)
    if exact is not None:
        return exact, ()

    def nearness(library_set: LibrarySet) -> tuple[int, int]:
        wanted = _wanted(library_set)
        same = sum(is_version(versions.get(name), version) for name, version in wanted.items())
        return same, sum(name in versions for name in wanted)

    near = max((*row.sets, *row.conda_sets), key=nearness, default=None)
    if near is None or nearness(near) == (0, 0):
        return None, ()
    return near, tuple(
        f"{name} {versions.get(name, 'is not installed')}, the set {near.ident} has {version}"
        for name, version in _wanted(near).items()
        if not is_version(versions.get(name), version)
    )


def conda_versions(seen: Inventory) -> Mapping[str, str]:
    """Return name to version of the conda packages of an environment, nothing where it is none of conda's."""
    if seen.env.kind != "conda":
        return {}
    # The name of a record is the package's file name, and neither version nor build has a hyphen.
    stems = (path.stem.rsplit("-", 2) for path in sorted(Path(seen.env.prefix, "conda-meta").glob("*-*-*.json")))
    return {name: version for name, version, _ in stems}


def _wanted(library_set: LibrarySet) -> Mapping[str, str]:
    """Return what a set is made of; a TensorFlow that it brings tells nothing about the libraries."""
    wheels = {pin.name: pin.version for pin in library_set.pins}
    return wheels | {package.name: package.version for package in library_set.conda if package.name != "tensorflow"}


def _of_set(versions: Mapping[str, str], library_set: LibrarySet | None) -> Mapping[str, str]:
    names = [pin.name for pin in library_set.conda] if library_set else []
    return {name: versions[name] for name in names if name in versions}


def _distribution(seen: Inventory, site: PurePosixPath | None) -> Installed | None:
    """Return the distribution that the import finds: the one beside the package, GPU names before CPU ones."""
    ranked = sorted(seen.tensorflow_distributions, key=lambda item: "cpu" in item.name)
    beside = [item for item in ranked if site and PurePosixPath(item.folder) == site]
    return next(iter(beside or ranked), None)


def _shadow(package: PurePosixPath | None, chosen: Installed | None) -> str | None:
    if package is None:
        return None
    if package.name == "tensorflow.py":
        return str(package)
    if chosen and package.parent.parent != PurePosixPath(chosen.folder):
        return str(package.parent)
    return None


def _cuda_build(system: System, site: PurePosixPath) -> bool | None:
    """Read ``is_cuda_build`` out of build_info.py, as text: it is a literal table in every release."""
    try:
        text = system.read_text(str(site / "tensorflow/python/platform/build_info.py"))
        tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        pairs: list[tuple[ast.expr | None, ast.expr]] = []
        if isinstance(node, ast.Dict):
            pairs = list(zip(node.keys, node.values, strict=True))
        elif isinstance(node, ast.Tuple) and len(node.elts) == 2:  # noqa: PLR2004 - a key and its value
            pairs = [(node.elts[0], node.elts[1])]
        for key, value in pairs:
            if isinstance(key, ast.Constant) and key.value == "is_cuda_build" and isinstance(value, ast.Constant):
                return bool(value.value)
    return None


def _library_files(system: System, seen: Inventory, site: PurePosixPath) -> Mapping[str, str]:
    """Return SONAME to path for every CUDA library that the environment brings; our own links are not among them."""
    found: dict[str, str] = {}
    for folder, pattern in ((site, "nvidia/*/lib/lib*.so*"), (seen.env.prefix / "lib", "lib*.so*")):
        if folder != site and seen.env.kind != "conda":
            continue
        for path in system.glob(str(folder), pattern):
            name = PurePosixPath(path).name
            if not _LIBRARIES.match(name) or (folder == site and Path(path).is_symlink()):
                continue
            root = site if path.startswith(f"{site}/") else seen.env.prefix
            found.setdefault(name, str(PurePosixPath(path).relative_to(root)))
    return found
