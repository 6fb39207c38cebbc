"""``audit env``: the installed TensorFlow of an environment, read as a wheel is, and held against its row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from provision.audit.env import Place, environment_facts, installed_claims
from provision.errors import UsageError
from provision.model.installed import InstalledFacts
from provision.probes.environment import TENSORFLOW_DISTRIBUTIONS, Inventory, inspect
from provision.snapshot.distributions import info_folders
from provision.snapshot.premises import conda_versions, find_row, framework_file, meant_set, premises_of
from provision.system import System
from provision.workflows.common import load_matrix
from provision.workflows.settings import load_settings

_LIBRARIES = ("nvidia-", "tensorrt")


def audit_env(
    system: System, target: str | None, *, folder: Path, matrix_file: Path | None = None, deep: bool = False
) -> InstalledFacts:
    """Return what the TensorFlow of an environment is; nothing of it is imported, nothing is changed.

    Args:
        system: the door.
        target: the environment, its folder or its Python; None looks for ``.venv`` here or the active one.
        folder: whose project file names a matrix.
        matrix_file: the matrix to take instead.
        deep: whether every library is read whole.

    Raises:
        UsageError: the target is no environment, or code ``no-tensorflow``.
        InvalidFileError: the matrix or the project file is wrong.
    """
    matrix = load_matrix(matrix_file, load_settings(folder))
    seen = inspect(system, target)
    place = _place(system, seen)
    facts = environment_facts(system, place, deep=deep)
    row = find_row(seen, matrix)
    conda = conda_versions(seen)
    library_set, differences = meant_set(row, {**conda, **seen.versions}) if row else (None, ())
    of_conda = any(name in conda for name in (*TENSORFLOW_DISTRIBUTIONS, "tensorflow-base", "libtensorflow_cc"))
    packages = (
        [f"{pin.name}=={conda[pin.name]}" for pin in library_set.conda if pin.name in conda] if library_set else []
    )
    return InstalledFacts(
        prefix=str(seen.env.prefix),
        kind=seen.env.kind,
        python=seen.python.text,
        facts=facts,
        libraries=tuple(place.beside) or tuple(packages),
        row=row.requirement if row else "",
        library_set=library_set.ident if library_set else "",
        differences=differences,
        claims=installed_claims(row, facts) if row and not of_conda else (),
    )


def _place(system: System, seen: Inventory) -> Place:
    premises = premises_of(system, seen, None, None)
    if premises.tensorflow is None or premises.distribution is None:
        raise UsageError(
            f"no TensorFlow is installed in {seen.env.prefix}",
            code="no-tensorflow",
            why=(f"what is imported is {premises.shadow}",) if premises.shadow else (),
            hint="`tfgpu-provision create --tf …` makes an environment with it",
        )
    site, prefix = Path(premises.site_packages), Path(seen.env.prefix)
    folders = info_folders(site)
    info = folders.get((premises.distribution, premises.tensorflow))
    if info is None:
        raise UsageError(
            f"the metadata of {premises.distribution} {premises.tensorflow} is not beside its package",
            code="no-tensorflow",
            why=(f"looked in {site}",),
            hint="`tfgpu-provision doctor ENV` says what is damaged",
        )
    beside = _beside(folders)
    framework = framework_file(seen, premises)
    # Conda's own libraries lie in its lib, whatever the folder of the packages; wheels keep everything in that.
    conda = seen.env.kind == "conda" and (not beside or framework is None or not framework.is_relative_to(site))
    return Place(premises.distribution, premises.tensorflow, info, prefix if conda else site, framework, beside)


def _beside(folders: Mapping[tuple[str, str], Path]) -> dict[str, Path]:
    return {
        f"{name}=={version}": info
        for (name, version), info in sorted(folders.items())
        if name.startswith(_LIBRARIES) and info.suffix == ".dist-info"
    }
