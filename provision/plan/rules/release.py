"""What is known about a release itself: faults, aliases, source archives, claims that are derived."""

from __future__ import annotations

from provision.model.facts import Certainty
from provision.model.matrix import LibrarySet, Row
from provision.model.plan import Caveat
from provision.plan.evidence import claim
from provision.plan.finding import Findings
from provision.plan.naming import release_name

_DECIDING = {
    "python": "Python versions",
    "arch": "GPU architectures inside",
    "gate": "libraries it opens",
    "build": "build",
}
"""Claim groups on which a decision rests, and how a person calls them."""


def faults(row: Row, libraries: LibrarySet) -> Findings:
    """Name every known fault: a remark where we deal with it, a caveat where nothing can be done.

    Source: the ``faults`` of the row (issue threads, the wheel itself).
    """
    for fault in row.faults:
        if fault.sets and libraries.ident not in fault.sets:
            continue
        done = f"; {fault.handled}" if fault.handled else ""
        yield Caveat(
            f"fault-{fault.code}",
            f"{release_name(row)}: {fault.what}{done}",
            fault.evidence.certainty,
            fault.evidence.source,
            notable=not fault.handled,
        )


def aliases(row: Row, libraries: LibrarySet) -> Findings:
    """Say that a library answers under a name that is not its own.

    A gate library under another SONAME is another ABI by its maker's word, so it is a caveat until a receipt from a
    GPU says otherwise; for the profiler it is a remark.

    Source: SONAMEs that the framework library opens against those in the wheels.
    """
    certainty, source = claim(row, "aliases", "sets", "gate")
    kind = "package of the set" if libraries.conda else "wheel"
    for asked, given in sorted(row.aliases.items()):
        if libraries.provider(given) is None or libraries.provider(asked) is not None:
            continue
        gate = asked in row.gate
        proved = certainty is Certainty.RECEIPT
        tried = "" if proved else "; seen to load, not yet tried on a GPU" if gate else ", for the profiler"
        yield Caveat(
            "library-alias" if gate else "optional-library-alias",
            f"{release_name(row)} opens {asked}, which no {kind} has; {given} of CUDA {libraries.cuda} answers{tried}",
            certainty,
            source,
            notable=gate and not proved,
        )


def source_only(row: Row, libraries: LibrarySet) -> Findings:  # noqa: ARG001 - the signature of every rule here
    """Name the dependencies that are built from source because they were never published as wheels.

    Source: the package index; each is fixed by version and sha256 in the matrix.
    """
    if row.source_only:
        names = ", ".join(f"{item.name} {item.version}" for item in row.source_only)
        yield Caveat(
            "source-only",
            f"{names} exist as source archives only and are built here from archives whose sha256 the matrix names",
            row.source_only[0].evidence.certainty,
            row.source_only[0].evidence.source,
            notable=False,
        )


def missing_tools(row: Row, libraries: LibrarySet) -> Findings:
    """Name what a set does not bring and no GPU registration needs: CUPTI for the profiler, ptxas for XLA.

    Source: the libraries of the packages, and ``ptxas``, in matrix.yaml.
    """
    lost = [
        f"{purpose} ({names[0]})"
        for purpose, names in sorted(row.optional.items())
        if not any(libraries.provider(name) or libraries.provider(row.aliases.get(name, "")) for name in names)
    ]
    if libraries.ptxas is None:
        lost.append("ptxas, so that the driver compiles what XLA makes")
    if lost and libraries.conda:
        yield Caveat(
            "tools-missing",
            f"the packages of CUDA {libraries.cuda} do not have {' and '.join(lost)}",
            libraries.evidence.certainty,
            libraries.evidence.source,
            notable=False,
        )


def derived_claims(row: Row, libraries: LibrarySet) -> Findings:  # noqa: ARG001 - the signature of every rule here
    """Mark a plan whose deciding claims were derived from other releases instead of read from this one.

    Source: the evidence of the row.
    """
    derived = [
        (group, row.evidence[group])
        for group in _DECIDING
        if group in row.evidence and row.evidence[group].certainty is Certainty.DERIVED
    ]
    if derived:
        names = ", ".join(_DECIDING[group] for group, _ in derived)
        yield Caveat(
            "derived-claims",
            f"not read from {release_name(row)} itself but from neighbouring releases: {names}",
            Certainty.DERIVED,
            derived[0][1].source,
            notable=False,
        )
