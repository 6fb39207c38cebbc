"""A proposed row, as a person reads it, or as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from provision.audit.proposal.scratch import NOT_TRIED
from provision.errors import ExitCode
from provision.model.audit import ClaimVerdict, Proposal
from provision.model.document import SCHEMA_VERSION, jsonable
from provision.report.audit_wheel import cost_text, facts_document
from provision.report.words import printable

_LINE = 110
_TITLES = {
    ClaimVerdict.CONFIRMED: "claims confirmed",
    ClaimVerdict.CONTRADICTED: "contradicted",
    ClaimVerdict.UNDECIDABLE: "that no wheel decides",
    ClaimVerdict.NOT_READ: "not read",
}


def proposal_exit_code(proposal: Proposal) -> ExitCode:
    """Return 0; 1 where the row contradicts the wheel or does not import.

    4 where the text is no matrix yet, or an import could not be tried.
    """
    tried = [why for why in proposal.imported.values() if not why.startswith(NOT_TRIED)]
    if proposal.problems or len(tried) < len(proposal.imported):
        return ExitCode.CANNOT_TELL
    contradicted = any(claim.verdict is ClaimVerdict.CONTRADICTED for claim in proposal.claims)
    fails = any(tried)
    return ExitCode.CHECK_FAILED if contradicted or fails else ExitCode.DONE


def proposal_document(proposal: Proposal) -> dict[str, Any]:
    """Return the JSON document."""
    said: dict[str, Any] = jsonable(proposal)
    return {
        "schema": SCHEMA_VERSION,
        **said,
        "facts": facts_document(proposal.facts),
        "counts": {
            verdict.value: sum(claim.verdict is verdict for claim in proposal.claims) for verdict in ClaimVerdict
        },
        "exit_code": int(proposal_exit_code(proposal)),
    }


def proposal_text(proposal: Proposal) -> str:
    """Return the diff and, below it, what a person should know."""
    return "\n".join(_lines(proposal))


def _lines(proposal: Proposal) -> Iterator[str]:
    yield from (printable(line) for line in proposal.diff.splitlines())
    yield ""
    count = {verdict: sum(claim.verdict is verdict for claim in proposal.claims) for verdict in ClaimVerdict}
    yield f"{proposal.row}, read from {proposal.facts.artifact.filename}"
    if proposal.claims:
        words = ", ".join(f"{count[verdict]} {title}" for verdict, title in _TITLES.items())
        yield f"held against the wheels: {words}"
    for claim in proposal.claims:
        if claim.verdict is ClaimVerdict.CONTRADICTED:
            yield from _item(f"CONTRADICTED {claim.row} {claim.kind}: {claim.claimed}; found {claim.found}")
    yield from _part("no matrix yet:", proposal.problems)
    imported = [f"Python {python}: {why or 'it imports and computes'}" for python, why in proposal.imported.items()]
    yield from _part("imported in a scratch environment:", tuple(imported))
    yield from _part("otherwise than in the nearest release that is known:", proposal.breaking)
    yield from _part("to be looked at:", proposal.notes)
    yield ""
    if proposal.written:
        yield "written"
    yield f"read {cost_text(proposal.cost)}"


def _part(title: str, items: tuple[str, ...]) -> Iterator[str]:
    if items:
        yield ""
        yield title
        for item in items:
            yield from _item(item)


def _item(text: str) -> Iterator[str]:
    lines = textwrap.wrap(printable(text), _LINE, break_on_hyphens=False) or [""]
    yield f"  - {lines[0]}"
    yield from (f"    {line}" for line in lines[1:])
