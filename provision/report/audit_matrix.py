"""The matrix held against the wheels, as a person reads it, or as JSON."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from provision.errors import ExitCode
from provision.model.audit import Claim, ClaimVerdict, MatrixAudit
from provision.model.document import SCHEMA_VERSION, jsonable
from provision.report.audit_wheel import cost_text
from provision.report.words import printable

_FEW = 3
"""Rows up to which every claim is shown by itself; of more only what is contradicted, the rest is counted."""
_LINE, _KIND = 100, 14
_LEFT = frozenset({"gpus", "modules", "ptx", "sass", "symbols", "unserved", "xla"})
"""What a plain audit leaves unread on purpose."""
_TITLES = {
    ClaimVerdict.CONFIRMED: "confirmed",
    ClaimVerdict.UNDECIDABLE: "no wheel decides",
    ClaimVerdict.NOT_READ: "not read",
}


def matrix_exit_code(audit: MatrixAudit) -> ExitCode:
    """Return 1 where a claim is contradicted, 4 where a wheel could not be read, else 0."""
    if audit.count(ClaimVerdict.CONTRADICTED):
        return ExitCode.CHECK_FAILED
    unread = any(claim.verdict is ClaimVerdict.NOT_READ and claim.kind not in _LEFT for claim in audit.claims)
    return ExitCode.CANNOT_TELL if unread else ExitCode.DONE


def matrix_document(audit: MatrixAudit) -> dict[str, Any]:
    """Return the JSON document."""
    return {
        "schema": SCHEMA_VERSION,
        "rows": list(audit.rows),
        "counts": {verdict.value: audit.count(verdict) for verdict in ClaimVerdict},
        "claims": [jsonable(claim) for claim in audit.claims],
        "cost": jsonable(audit.cost),
        "wheel_bytes": audit.wheel_bytes,
        "exit_code": int(matrix_exit_code(audit)),
    }


def matrix_text(audit: MatrixAudit) -> str:
    """Return the claims in plain lines: what is contradicted first."""
    return "\n".join(line.rstrip() for line in _lines(audit))


def _lines(audit: MatrixAudit) -> Iterator[str]:
    decided = ", ".join(f"{audit.count(verdict)} {title}" for verdict, title in _TITLES.items())
    rows = f"{len(audit.rows)} releases" if len(audit.rows) > 1 else audit.rows[0] if audit.rows else "no release"
    yield f"{rows}: {audit.count(ClaimVerdict.CONTRADICTED)} claims contradicted, {decided}"
    for claim in audit.claims:
        if claim.verdict is ClaimVerdict.CONTRADICTED:
            yield from _contradiction(claim)
    for verdict, title in _TITLES.items():
        claims = [claim for claim in audit.claims if claim.verdict is verdict]
        if claims:
            yield ""
            yield f"{title}:"
            yield from (_singly if len(audit.rows) <= _FEW else _counted)(claims)
    yield ""
    yield f"read {cost_text(audit.cost, audit.wheel_bytes)}"


def _contradiction(claim: Claim) -> Iterator[str]:
    yield ""
    yield f"CONTRADICTED {printable(claim.row)}: {claim.kind}"
    for label, text in (("claimed", claim.claimed), ("found", claim.found), ("in", claim.evidence), ("", claim.note)):
        if text:
            yield from _row(label, text)


def _singly(claims: Iterable[Claim]) -> Iterator[str]:
    row = ""
    for claim in claims:
        if claim.row != row:
            row = claim.row
            yield f"  {printable(row)}"
        said = claim.claimed if claim.found in {"", claim.claimed} else f"{claim.claimed} ← {claim.found}"
        beside = (
            claim.note
            if claim.verdict is ClaimVerdict.CONFIRMED
            else "; ".join(
                filter(None, (claim.evidence if claim.verdict is ClaimVerdict.UNDECIDABLE else "", claim.note))
            )
        )
        yield from _row(claim.kind, f"{said} ({beside})" if beside else said)


def _counted(claims: Iterable[Claim]) -> Iterator[str]:
    """One line for each kind of claim; of what no wheel decides, with the kinds of evidence there is."""
    claims = tuple(claims)
    for kind, number in sorted(Counter(claim.kind for claim in claims).items()):
        mine = [claim for claim in claims if claim.kind == kind]
        text = str(number)
        if mine[0].verdict is ClaimVerdict.UNDECIDABLE:
            ways = Counter(claim.evidence.partition(":")[0] for claim in mine)
            text += (
                f" ({', '.join(f'{way}: {count}' if len(ways) > 1 else way for way, count in sorted(ways.items()))})"
            )
        elif mine[0].verdict is ClaimVerdict.NOT_READ:
            notes = dict.fromkeys(claim.note for claim in mine if claim.note)
            text += f" ({'; '.join(notes)})" if notes else ""
        yield from _row(kind, text)


def _row(label: str, text: str) -> Iterator[str]:
    lines = textwrap.wrap(printable(text), _LINE, break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        yield f"    {label if not number else '':<{_KIND}}{line}"
