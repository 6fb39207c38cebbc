"""``audit propose``: read a release that the matrix does not know, import it, and write its row."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from provision.audit.proposal.material import Material
from provision.audit.proposal.propose import Known, checked, material_of, propose
from provision.audit.proposal.scratch import Tried, try_import
from provision.audit.reading.reader import Reader
from provision.errors import InvalidFileError, UsageError
from provision.model.audit import ClaimVerdict, Proposal
from provision.system import System
from provision.workflows.common import load_matrix
from provision.workflows.own_matrix import check_own, write_matrix
from provision.workflows.settings import load_settings

_RELEASE, _NIGHTLY = "tensorflow", "tf-nightly"
_SHOWN = 40


@dataclass(frozen=True)
class ProposeOptions:
    """What was typed.

    Attributes:
        tf: the release; empty for the newest nightly.
        nightly: whether it is one of tf-nightly.
        matrix_file: the matrix to take instead.
        write: whether the file is written.
        imports: ``newest``, ``every`` or ``none``: the Pythons on which it is imported.
        seconds: after which no further import is begun, for each Python.
        deep: whether every library is read whole.
        download: whether a server without ranges may be asked for whole wheels.
    """

    tf: str = ""
    nightly: bool = False
    matrix_file: Path | None = None
    write: bool = False
    imports: str = "newest"
    seconds: float = 1200.0
    deep: bool = False
    download: bool = False


def audit_propose(
    system: System, folder: Path, options: ProposeOptions, tell: Callable[[str], None] = lambda _: None
) -> Proposal:
    """Return the row of a release as a diff of the matrix in force; write it where that is asked for.

    Args:
        system: the door.
        folder: whose project file names a matrix.
        options: what was typed.
        tell: told what is done.

    Raises:
        UsageError: code ``bad-tf-spec``, ``known-release``, ``unknown-release``, ``no-wheel``, or with
            ``write`` ``matrix-not-yours``: it is the one that is installed with us.
        InvalidFileError: the matrix is wrong, the wheel is hostile or no CUDA build; with ``write`` also code
            ``incomplete-row``: what was found is not a row yet, or contradicts itself.
        ToolFailedError: the index or a server cannot be read, or the matrix cannot be written.
    """
    matrix = load_matrix(options.matrix_file, load_settings(folder))
    path = Path(matrix.path)
    if options.write:
        check_own(path)
    known = Known(matrix, path.read_bytes().decode("utf-8"))
    today = dt.datetime.now(dt.timezone.utc).date().isoformat()
    with Reader(system, download=options.download) as reader:
        distribution, version = _wanted(reader, options)
        if any(row.requirement == f"{distribution}=={version}" for row in matrix.rows):
            raise UsageError(
                f"the matrix has a row for {distribution} {version}",
                code="known-release",
                hint=f"`tfgpu-provision audit matrix {version}` holds it against its wheel",
            )
        tell(f"reading {distribution} {version}")
        material = material_of(reader, known, distribution, version, today=today, deep=options.deep)
        tried = tuple(_imports(system, material, options, tell))
        proposal = checked(reader, propose(material, known.text, tried), path.name)
    return _written(path, proposal) if options.write else proposal


def _wanted(reader: Reader, options: ProposeOptions) -> tuple[str, str]:
    distribution = _NIGHTLY if options.nightly else _RELEASE
    if options.tf:
        try:
            return distribution, str(Version(options.tf.removeprefix(f"{distribution}==")))
        except InvalidVersion as error:
            raise UsageError(
                f"{options.tf[:_SHOWN]!a} is no release", code="bad-tf-spec", hint="say 2.22.0, for example"
            ) from error
    if not options.nightly:
        raise UsageError("which release?", code="bad-tf-spec", hint="say --tf 2.22.0, or --nightly for the newest one")
    known = [version for version, found in reader.versions(distribution).items() if found.best()]
    if not known:
        raise UsageError(f"the index has no {distribution} for Linux on x86_64", code="unknown-release")
    return distribution, str(max(known))


def _imports(
    system: System, material: Material, options: ProposeOptions, tell: Callable[[str], None]
) -> Iterator[Tried]:
    if options.imports == "none":
        return
    pythons = material.pythons
    near = str(material.tables["releases"][material.near.requirement].get("constraints", "")).split()
    entries = {name: entry["requirement"] for name, entry in material.tables.get("constraints", {}).items()}
    ordered = {name: entries[name] for name in (*near, *entries) if name in entries}
    unmet = [text for text, series in material.unmet.items() if set(series) >= set(material.release.pythons())]
    sources = [
        entry["name"]
        for entry in material.tables.get("source_only", {}).values()
        if any(text.startswith(entry["name"]) for text in unmet)
    ]
    for python in pythons if options.imports == "every" else pythons[-1:]:
        yield try_import(
            system, material.requirement, python, ordered, sources=sources, seconds=options.seconds, tell=tell
        )


def _written(path: Path, proposal: Proposal) -> Proposal:
    """Write a matrix that has the row; nothing where the text is no matrix, or the row is not what the wheel says."""
    wrong = proposal.problems or tuple(
        f"{claim.kind}: {claim.claimed}, found {claim.found}"
        for claim in proposal.claims
        if claim.verdict is ClaimVerdict.CONTRADICTED and claim.row == proposal.row
    )
    if wrong:
        raise InvalidFileError(
            f"what was found of {proposal.row} is not a row yet",
            code="incomplete-row",
            why=wrong,
            hint="without --write it is shown; complete it by hand, then `tfgpu-provision matrix format FILE`",
        )
    write_matrix(path, proposal.text)
    return dataclasses.replace(proposal, written=True)
