"""The packages of an environment: what is installed, what hides what, what is damaged. Read from files alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

from provision.model.environment_facts import Package, PackageFacts
from provision.model.matrix import Matrix, Row
from provision.model.versions import CudaVersion, CudnnVersion
from provision.probes.environment import TENSORFLOW_DISTRIBUTIONS, Inventory, inspect_as_user
from provision.snapshot.build import read_build, read_gencode
from provision.snapshot.cxx import read_cxx
from provision.snapshot.damage import Owned, read_damage
from provision.snapshot.distributions import info_folders, marker_environment, read_package, wheel_tags
from provision.snapshot.origin import read_origin
from provision.snapshot.premises import find_row, find_set
from provision.snapshot.shadows import leaks, local_shadows, local_tensorflow, outer_shadows, remnants
from provision.system import System

_BENDS_PATH = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE")
_NEWER_KERAS = "tf-keras"


def read_packages(
    system: System,
    seen: Inventory,
    matrix: Matrix,
    *,
    variables: Mapping[str, str],
    deep: bool = False,
    start: Sequence[Path] | None = None,
) -> PackageFacts:
    """Return everything about the packages of an environment.

    Args:
        system: the door.
        seen: what its interpreter sees without the user's variables.
        matrix: the releases that are known.
        variables: the user's own environment variables.
        deep: hash every file of TensorFlow and of what it needs.
        start: folders in which the user's programs lie or start, this folder by default.
    """
    view, user_error = _as_user(system, seen, variables)
    environment = marker_environment(seen)
    metadata = {folder: info_folders(Path(folder)) for folder in {item.folder for item in view.distributions}}
    packages = tuple(
        read_package(item, metadata[item.folder].get((item.name, item.version)), environment)
        for item in view.distributions
    )
    start = _start(start, variables)
    imported = (*local_tensorflow(start), *(str(path) for path in view.tensorflow))
    chosen, others = _chosen(packages, imported)
    wanted = closure(chosen, packages)
    inside = _inside(seen)
    outer = [folder for folder in view.path if folder not in seen.path]
    folders, hiding, hidden = leaks(outer, packages, wanted, inside, seen.python.series.text)
    modules = outer_shadows(outer, packages, standard=[folder for folder in outer if folder != view.user_folder])
    site = Path(chosen.folder) if chosen else Path(seen.env.site_packages)
    build = read_build(site)
    row = find_row(_narrowed(view, chosen), matrix)
    conda, conda_builds = _conda(seen)
    versions = {**conda, **{item.name: item.version for item in reversed(packages)}}
    owned = _owned(packages, metadata, wanted)
    faults, checked = read_damage(seen.env, owned, seen.machine, deep=deep)
    record, made = read_origin(Path(seen.env.prefix))
    cuda = build.get("is_cuda_build")
    info = metadata[chosen.folder].get((chosen.name, _folder_version(view, chosen))) if chosen else None
    return PackageFacts(
        python=seen.python,
        implementation=seen.implementation,
        machine=seen.machine,
        glibc=seen.glibc,
        abiflags=seen.abiflags,
        packages=packages,
        tensorflow=tuple(dict.fromkeys(imported)),
        distribution=chosen,
        others=others,
        remnants=remnants(tuple(dict.fromkeys((*inside, *metadata))), metadata),
        user_site=tuple(item for item in hiding if item.folder == view.user_folder),
        python_path=_named_first(folders, modules, outer, view.user_folder),
        hidden=hidden,
        shadows=tuple(dict.fromkeys((*local_shadows(start), *modules))),
        user_error=user_error,
        wheel_tags=wheel_tags(info) if info else (),
        gencode=read_gencode(site),
        cxx=read_cxx(seen.env, variables),
        build=build,
        cuda_build=cuda if isinstance(cuda, bool) else None,
        built_cuda=CudaVersion.parse(str(build.get("cuda_version", ""))) or (row.cuda if row else None),
        built_cudnn=_built_cudnn(build, row),
        row=row,
        library_set=find_set(row, versions) if row else None,
        conda=conda,
        conda_builds=conda_builds,
        faults=faults,
        checked=checked,
        record=record,
        recorded_prefix=made,
        unfinished=_unfinished(seen) if record == "incomplete" else None,
    )


def closure(chosen: Package | None, packages: Sequence[Package]) -> frozenset[str]:
    """Return the names of TensorFlow's distributions, of everything that they need, and of NVIDIA's wheels."""
    known: dict[str, Package] = {}
    for item in packages:
        known.setdefault(item.name, item)
    found = {*TENSORFLOW_DISTRIBUTIONS, _NEWER_KERAS, *(name for name in known if name.startswith("nvidia-"))}
    left = [chosen] if chosen else []
    while left:
        for text in left.pop().requires:
            name = Requirement(text).name
            if name not in found:
                found.add(name)
                left += [known[name]] if name in known else []
    return frozenset(found)


def _unfinished(seen: Inventory) -> tuple[str, ...] | None:
    from provision.backends.record import missing_distributions, read_locked  # noqa: PLC0415 - few were cut off

    prefix = Path(seen.env.prefix)
    return missing_distributions(prefix, Path(seen.env.site_packages)) if read_locked(prefix) else None


def _as_user(system: System, seen: Inventory, variables: Mapping[str, str]) -> tuple[Inventory, str]:
    """Return what the interpreter sees under the user's variables; it is only asked again where that may differ."""
    site = bool(seen.user_folder) and not variables.get("PYTHONNOUSERSITE")
    if not site and not any(variables.get(name) for name in _BENDS_PATH):
        return seen, ""
    answer = inspect_as_user(system, seen.env, variables)
    return (seen, answer) if isinstance(answer, str) else (answer, "")


def _start(start: Sequence[Path] | None, variables: Mapping[str, str]) -> tuple[Path, ...]:
    if start is not None:
        return tuple(start)
    if variables.get("PYTHONSAFEPATH"):
        return ()
    try:
        return (Path.cwd(),)
    except OSError:
        return ()


def _inside(seen: Inventory) -> tuple[str, ...]:
    """Return the folders of the path that belong to the environment, or to the Python that it was made from."""
    return tuple(dict.fromkeys((str(seen.env.site_packages), *(item for item in seen.path if item))))


def _named_first(
    folders: Sequence[str], modules: Sequence[tuple[str, str]], outer: Sequence[str], user: str
) -> tuple[str, ...]:
    """Return the folders of PYTHONPATH that hide something, in the order of the path."""
    hiding = {*folders, *(folder for folder in outer for _, path in modules if path.startswith(f"{folder}/"))}
    return tuple(folder for folder in outer if folder in hiding and folder != user)


def _chosen(packages: Sequence[Package], imported: Sequence[str]) -> tuple[Package | None, tuple[Package, ...]]:
    """Return the distribution that the import finds, the one beside the package, GPU names before CPU ones."""
    ranked = sorted((item for item in packages if item.name in TENSORFLOW_DISTRIBUTIONS), key=lambda i: "cpu" in i.name)
    folders = [str(PurePosixPath(path).parent.parent) for path in imported if path.endswith("/__init__.py")]
    beside = [item for folder in folders for item in ranked if item.folder == folder]
    chosen = next(iter(beside or ranked), None)
    return chosen, tuple(item for item in ranked if item is not chosen)


def _narrowed(view: Inventory, chosen: Package | None) -> Inventory:
    """Return the inventory with the one TensorFlow that is imported."""
    kept = (
        item
        for item in view.distributions
        if item.name not in TENSORFLOW_DISTRIBUTIONS
        or (chosen is not None and (item.name, item.folder) == (chosen.name, chosen.folder))
    )
    return dataclasses.replace(view, distributions=tuple(kept))


def _folder_version(view: Inventory, package: Package) -> str:
    same = (item for item in view.distributions if (item.name, item.folder) == (package.name, package.folder))
    return next((item.version for item in same), package.version)


def _owned(
    packages: Sequence[Package], metadata: Mapping[str, Mapping[tuple[str, str], Path]], wanted: frozenset[str]
) -> list[Owned]:
    """Return the distributions whose files are looked at; conda's RECORDs speak of the machine they were built on."""
    from_conda = {(item.name, item.folder) for item in packages if item.installer == "conda"}
    return [
        Owned(name, info)
        for folder, known in metadata.items()
        for (name, _), info in known.items()
        if name in wanted and info.name.endswith(".dist-info") and (name, folder) not in from_conda
    ]


def _built_cudnn(build: Mapping[str, str | bool], row: Row | None) -> CudnnVersion | None:
    """Return what it was built with: the matrix knows the minor, ``build_info.py`` only the major since 2.3."""
    said = CudnnVersion.parse(str(build.get("cudnn_version", "")))
    if row is not None and (said is None or said.major == row.cudnn.major):
        return row.cudnn
    return said


def _conda(seen: Inventory) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return versions and builds of conda packages, by the names of their records."""
    if seen.env.kind != "conda":
        return {}, {}
    try:
        names = sorted(path.name for path in (Path(seen.env.prefix) / "conda-meta").glob("*.json"))
    except OSError:
        return {}, {}
    parts = [name.removesuffix(".json").rsplit("-", 2) for name in names]
    whole = [part for part in parts if len(part) == 3]  # noqa: PLR2004 - name, version, build
    return {name: version for name, version, _ in whole}, {name: build for name, _, build in whole}
