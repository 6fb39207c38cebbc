"""A contract against a machine, by the rules of a plan, before a byte is downloaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from packaging.requirements import Requirement

from provision.lock.check import broken
from provision.model.facts import Certainty
from provision.model.host import HostFacts
from provision.model.lock import Contract, normalised
from provision.model.matrix import LibrarySet, Matrix, Row
from provision.model.plan import Alternative, Caveat, Obstacle, Plan, Refusal, Request
from provision.model.versions import PythonVersion, TfVersion
from provision.plan.alternatives import nearest
from provision.plan.judging import judge_request
from provision.workflows.contract import narrowed, row_digest

_SOURCE = "the contract of the lock"


def judge_contract(contract: Contract, host: HostFacts, matrix: Matrix) -> Plan | Refusal:
    """Return the plan that a lock is on a machine, or why it cannot be used there.

    Where the release itself does not run on the machine, the refusal is the one of ``plan --tf RELEASE``. Else what
    the lock fixes counts: its Python and its one set of libraries. Last, what the contract says by itself, in case the
    matrix has changed since.
    """
    asked = Request(
        contract.release.text,
        requirements=contract.request.requirements,
        distribution=contract.distribution,
        backend=contract.backend,
        conda=contract.request.conda,
    )
    answer = judge_fixed(asked, contract.python, contract.library_set, host, matrix)
    if isinstance(answer, Refusal):
        return answer
    row, libraries = answer.row, answer.library_set
    obstacles = tuple(broken(contract, host))
    if obstacles:
        refusal = Refusal(answer.request, host, answer.row, obstacles, (), matrix.digest)
        return dataclasses.replace(refusal, alternatives=(_lock_anew(contract.release.text),))
    row = matrix.row(contract.release, contract.distribution) or row
    if row_digest(row, libraries) == contract.row_digest:
        return answer
    return dataclasses.replace(answer, caveats=(*answer.caveats, _changed(contract, row, libraries)))


def judge_fixed(
    asked: Request, python: PythonVersion, library_set: str, host: HostFacts, matrix: Matrix
) -> Plan | Refusal:
    """Return the plan of one release with one Python and one library set on a machine, or why there is none.

    Args:
        asked: with an exact release and without a Python.
        python: the series.
        library_set: its ident.
        host: the machine.
        matrix: where row and set are looked up; ``row-unknown`` where it has not got them.
    """
    row = matrix.row(TfVersion(asked.tf), asked.distribution)
    sets = () if row is None else row.conda_sets if asked.backend == "conda" else row.sets
    libraries = next((item for item in sets if item.ident == library_set), None)
    if row is None or libraries is None:
        return _unknown(asked, library_set, row, host, matrix)
    # The packages are resolved already; whether they fit ours is settled.
    answer = judge_request(dataclasses.replace(asked, requirements=()), row, host, matrix)
    if isinstance(answer, Plan):
        exact = dataclasses.replace(asked, python=python.series)
        answer = judge_request(exact, narrowed(row, libraries), host, matrix)
    if isinstance(answer, Refusal):
        return dataclasses.replace(answer, alternatives=nearest(answer, matrix))
    return answer


def satisfied(text: str, versions: dict[str, str]) -> bool:
    """Whether a requirement is met by what a lock names (normalised name to version)."""
    requirement = Requirement(text)
    version = versions.get(normalised(requirement.name))
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _unknown(asked: Request, library_set: str, row: Row | None, host: HostFacts, matrix: Matrix) -> Refusal:
    name = f"{asked.distribution} {asked.tf}"
    what = (
        f"the lock is for {name}, of which the matrix of this tool has no row"
        if row is None
        else f"the lock has the library set {library_set}, which the matrix of this tool does not have for {name}"
    )
    obstacle = Obstacle(
        "row-unknown",
        what,
        "a version of this tool whose matrix has it (--matrix FILE, or update this tool), or a lock made anew",
        Certainty.ARTIFACT,
        "rows of matrix.yaml",
    )
    return Refusal(asked, host, row, (obstacle,), (_lock_anew(asked.tf),), matrix.digest)


def _lock_anew(release: str) -> Alternative:
    file = f"tfgpu-provision lock --tf {release}"
    return Alternative("release", "with a lock made anew with today's matrix, this machine may be served", file)


def _changed(contract: Contract, row: Row, libraries: LibrarySet) -> Caveat:
    differences = "; ".join(_differences(contract, row, libraries))
    return Caveat(
        "matrix-changed",
        "the matrix has changed since the lock was made"
        + (f": {differences}" if differences else ", in nothing that the contract holds")
        + "; `tfgpu-provision lock` makes it anew",
        Certainty.ARTIFACT,
        _SOURCE,
        notable=bool(differences),
    )


def _differences(contract: Contract, row: Row, libraries: LibrarySet) -> Iterator[str]:
    pairs = (
        ("CUDA", contract.cuda, libraries.cuda),
        ("cuDNN", contract.cudnn, libraries.cudnn),
        ("CPU features", " ".join(contract.cpu_features), " ".join(row.cpu_features)),
    )
    for what, then, now in pairs:
        if str(then) != str(now):
            yield f"{what} was {then or 'none'}, is {now or 'none'}"
    floor = max((row.glibc, *filter(None, (libraries.glibc,))), key=lambda version: version.parts)
    if floor.parts > contract.glibc.parts:
        yield f"glibc was {contract.glibc}, is {floor}"
    if contract.python not in row.pythons:
        yield f"Python {contract.python} is no longer among its Pythons"
