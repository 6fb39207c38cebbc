"""``create --locked`` with a conda lock of another tool: no contract, so the matrix is asked what it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provision.lock.files import format_of
from provision.lock.refusing import MAX_BYTES
from provision.model.created import Denial
from provision.model.lock import CondaLocked, Lock, Locked, LockFormat
from provision.model.matrix import LibrarySet, Matrix
from provision.model.plan import Plan, Request
from provision.model.versions import PythonVersion
from provision.verify.libraries import is_version
from provision.workflows.contract import contract_for

_TENSORFLOW = ("tensorflow", "tensorflow-gpu")


@dataclass(frozen=True)
class Foreign:
    """What another tool locked for linux-64.

    Attributes:
        path: of the file.
        conda: packages of channels.
        packages: of the index.
    """

    path: Path
    conda: tuple[CondaLocked, ...]
    packages: tuple[Locked, ...]

    @property
    def remark(self) -> str:
        """What the user should know."""
        return f"{self.path.name} carries no GPU contract: it was held against the matrix only"

    def request(self) -> Request | Denial:
        """Return what would have been asked for to get this lock, as far as the matrix decides by it."""
        versions = {item.name: item.version for item in self.conda} | {
            item.name: item.version for item in self.packages
        }
        release = next((versions[name] for name in _TENSORFLOW if name in versions), None)
        python = next((item.version for item in self.conda if item.name == "python"), None)
        if release is None or python is None:
            return Denial(
                "lock-without-tensorflow",
                f"{self.path.name} names no {'TensorFlow' if release is None else 'Python'}",
                (str(self.path),),
                "lock one: `tfgpu-provision lock --backend conda`",
            )
        return Request(tf=f"=={release}", python=PythonVersion(python), backend="conda")

    def plan(self, plan: Plan) -> Plan | Denial:
        """Return the plan with the set of libraries that the lock really holds."""
        versions = {item.name: item.version for item in self.conda}
        known = next((item for item in plan.row.conda_sets if _holds(versions, item)), None)
        if known is None:
            brought = ", ".join(f"{name} {versions[name]}" for name in ("cudatoolkit", "cudnn") if name in versions)
            return Denial(
                "unknown-libraries",
                f"{self.path.name} holds CUDA libraries that the matrix does not know for {plan.row.requirement}",
                (f"the lock has {brought or 'no CUDA libraries'}", *(_told(item) for item in plan.row.conda_sets)),
                "lock it with us: `tfgpu-provision lock --backend conda`",
            )
        return dataclasses.replace(plan, library_set=known)

    def lock(self, plan: Plan, matrix: Matrix) -> Lock:
        """Return it as a lock of ours; what the matrix knows to have no wheel is to be built."""
        sources = {item.name for item in plan.row.source_only}
        built = tuple(item.name for item in self.packages if item.name in sources)
        return Lock(contract_for(plan, matrix), self.packages, self.conda, built)


def read_foreign(folder: Path, given: str | None) -> Foreign | None:
    """Return a lock of another tool, None where none is meant or the file is to be read as one of ours.

    Raises:
        InvalidFileError: ``bad-lock``.
    """
    path = folder / given if given else None
    if path is None or not path.is_file():
        return None
    with path.open("rb") as stream:
        text = stream.read(MAX_BYTES + 1).decode("utf-8", "replace")
    kind = format_of(path.name, text) if len(text) <= MAX_BYTES else None
    if kind is LockFormat.CONDA_LOCK:
        from provision.lock.conda_lock_reader import carries_contract, parse_foreign  # noqa: PLC0415

        return None if carries_contract(text) else Foreign(path, *parse_foreign(text, path.name))
    return None


def _holds(versions: Mapping[str, str], library_set: LibrarySet) -> bool:
    return all(is_version(versions.get(pin.name), pin.version) for pin in library_set.conda)


def _told(library_set: LibrarySet) -> str:
    return f"known: {', '.join(pin.requirement for pin in library_set.conda)}"
