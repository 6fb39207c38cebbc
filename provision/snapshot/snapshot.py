"""The snapshot put together: machine, interpreter, files, loader, log and script, read at the same time.

The readers import what they need when they run: a log alone needs neither the host's nor the loader's.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from provision.model.environment_facts import EnvironmentFacts, LibraryFacts
from provision.model.host import HostFacts
from provision.model.log import LogFacts
from provision.model.machine import MachineFacts
from provision.model.matrix import LibrarySet, Matrix, Row
from provision.model.plan import Plan, Refusal, Request
from provision.model.script import ScriptFacts
from provision.model.snapshot import Snapshot
from provision.probes.environment import Inventory
from provision.snapshot.interpreter import Unusable
from provision.system import System
from provision.system.parallel import Pending
from provision.verify.answer import Premises


@dataclass(frozen=True)
class Wanted:
    """What to look at.

    Attributes:
        environment: what its interpreter says (`provision.snapshot.interpreter.ask`); None where none is looked at.
        host: reads the machine; None where it is not looked at.
        log: name and content.
        script: a file or folder of user code.
        deep: import TensorFlow in a child, hash files.
        folder: where the user stands, for editors' settings.
        meanwhile: called once while children run, to load what will be needed.
    """

    environment: Callable[[], Inventory | Unusable | None] | None = None
    host: Callable[[], HostFacts] | None = None
    log: tuple[str, bytes] | None = None
    script: Path | None = None
    deep: bool = False
    folder: Path = field(default_factory=Path.cwd)
    meanwhile: Callable[[], object] = lambda: None


def take(system: System, wanted: Wanted, matrix: Callable[[], Matrix]) -> Snapshot:
    """Return the snapshot; an environment whose Python does not run is part of it, not an error.

    Args:
        system: the door; its variables are the user's.
        wanted: what to look at.
        matrix: reads the matrix; called while children run.

    Raises:
        UsageError: by ``environment``, for what is none and was none.
        InvalidFileError: by ``matrix``.
    """
    found = wanted.environment() if wanted.environment else None
    whole: Future[Premises] = Future()
    # The loader's children take the longest: they start before anything else is loaded or asked.
    libraries = _libraries(system, found, whole) if isinstance(found, Inventory) else None
    try:
        known = matrix()
        premises = _premises(system, found, known) if isinstance(found, Inventory) else None
    except BaseException as error:
        whole.set_exception(error)
        raise
    if premises:
        whole.set_result(premises)
    host = Pending(wanted.host) if wanted.host else None
    machine = Pending(lambda: _machine(system, host.result(), found)) if host else None
    wanted.meanwhile()
    log = _read_log(*wanted.log) if wanted.log else None
    script = _read_script(wanted.script) if wanted.script else None
    environment: EnvironmentFacts | None = None
    if isinstance(found, Unusable):
        environment = EnvironmentFacts(env=None, path=found.path, broken=found.why)
    elif found is not None and libraries is not None:
        environment = _environment(system, wanted, found, known, libraries)
    facts = host.result() if host else None
    judged = None
    if environment is not None and facts is not None and isinstance(found, Inventory):
        judged = judge_installed(found, environment.row, environment.library_set, facts, known)
    if wanted.deep and premises is not None and environment is not None and isinstance(found, Inventory):
        environment = _imported(system, found, premises, environment, facts)
    return Snapshot(
        matrix=known,
        host=facts,
        environment=environment,
        judged=judged,
        variables=dict(system.environ),
        log=log,
        script=script,
        deep=wanted.deep,
        machine=machine.result() if machine else None,
    )


def judge_installed(
    seen: Inventory, row: Row | None, library_set: LibrarySet | None, host: HostFacts, matrix: Matrix
) -> Plan | Refusal | None:
    """Return what the planner says of the installed release with the installed Python on a machine.

    Not of what it would install: no other release, no other Python. None where the matrix has no row for it, or no
    library set of the kind that is installed.
    """
    from provision.plan.judging import judge_request  # noqa: PLC0415 - only where there is a row

    if row is None:
        return None
    from_conda = library_set in row.conda_sets if library_set else seen.env.kind == "conda" and not row.sets
    request = Request(
        tf=row.release.text,
        python=seen.python.series,
        distribution=row.distribution,
        backend="conda" if from_conda else "venv",
    )
    if library_set is not None and from_conda:
        row = dataclasses.replace(row, conda_sets=(library_set,))
    elif library_set is not None:
        row = dataclasses.replace(row, sets=(library_set,))
    return judge_request(request, row, host, matrix) if row.conda_sets or row.sets else None


def _premises(system: System, found: Inventory, matrix: Matrix) -> Premises:
    from provision.snapshot.premises import conda_versions, find_row, find_set, premises_of  # noqa: PLC0415

    row = find_row(found, matrix)
    library_set = find_set(row, {**conda_versions(found), **found.versions}) if row else None
    return premises_of(system, found, row, library_set)


def _libraries(system: System, found: Inventory, whole: Future[Premises]) -> Pending[LibraryFacts]:
    from provision.snapshot.libraries import read_libraries  # noqa: PLC0415
    from provision.snapshot.premises import premises_of  # noqa: PLC0415

    first = premises_of(system, found, None, None)
    variables = dict(system.environ)
    return Pending(lambda: read_libraries(system, found, first, variables=variables, whole=whole.result))


def _environment(
    system: System, wanted: Wanted, found: Inventory, matrix: Matrix, libraries: Pending[LibraryFacts]
) -> EnvironmentFacts:
    """Return what is known of an environment: its files are read here, its loader is asked in children meanwhile."""
    from provision.snapshot.packages import read_packages  # noqa: PLC0415
    from provision.snapshot.pointers import read_pointers  # noqa: PLC0415

    start = (wanted.folder, *([_folder_of(wanted.script)] if wanted.script else []))
    packages = read_packages(system, found, matrix, variables=dict(system.environ), deep=wanted.deep, start=start)
    pointers, scripts_set = read_pointers(system, found.env, wanted.folder)
    return EnvironmentFacts(
        env=found.env,
        path=str(found.env.prefix),
        pointers=pointers,
        scripts_set=scripts_set,
        writable=all(os.access(path, os.W_OK) for path in (found.env.prefix, found.env.site_packages)),
        **vars(packages),
        **vars(libraries.result()),
    )


def _imported(
    system: System, found: Inventory, premises: Premises, facts: EnvironmentFacts, host: HostFacts | None
) -> EnvironmentFacts:
    """Return the facts with what TensorFlow says of itself, where there is one."""
    if not facts.tensorflow:
        return facts
    from provision.snapshot.deep import import_and_list  # noqa: PLC0415

    imported, device = import_and_list(system, found, premises, host)
    return dataclasses.replace(facts, deep_import=imported, deep_device=device)


def _machine(system: System, host: HostFacts, found: Inventory | Unusable | None) -> MachineFacts:
    from provision.snapshot.machine import read_machine  # noqa: PLC0415

    prefix = Path(found.path if isinstance(found, Unusable) else found.env.prefix) if found else None
    return read_machine(system, host, variables=dict(system.environ), prefix=prefix)


def _folder_of(script: Path) -> Path:
    return script if script.is_dir() else script.absolute().parent


def _read_log(name: str, data: bytes) -> LogFacts:
    from provision.doctor.log.read import read_log  # noqa: PLC0415 - its tables are only compiled for a log

    return read_log(name, data)


def _read_script(path: Path) -> ScriptFacts:
    from provision.snapshot.script import read_script  # noqa: PLC0415

    return read_script(path)
