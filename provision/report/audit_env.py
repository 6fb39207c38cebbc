"""What audit has read of an environment, as a person reads it, or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provision.errors import ExitCode
from provision.model.audit import Claim, ClaimVerdict
from provision.model.document import SCHEMA_VERSION, jsonable
from provision.model.installed import InstalledFacts
from provision.report.audit_wheel import fact_lines, facts_document, row_lines, wheel_exit_code
from provision.report.words import printable


def env_exit_code(found: InstalledFacts) -> ExitCode:
    """Return 1 where what is installed contradicts its row, 4 where a CUDA build's gate could not be read, else 0."""
    return ExitCode.CHECK_FAILED if _contradicted(found) else wheel_exit_code(found.facts)


def env_document(found: InstalledFacts) -> dict[str, Any]:
    """Return the JSON document."""
    said: dict[str, Any] = jsonable(found)
    return {
        "schema": SCHEMA_VERSION,
        **said,
        "facts": facts_document(found.facts),
        "exit_code": int(env_exit_code(found)),
    }


def env_text(found: InstalledFacts) -> str:
    """Return the facts in plain lines."""
    return "\n".join(line.rstrip() for line in _lines(found))


def _lines(found: InstalledFacts) -> Iterator[str]:
    artifact = found.facts.artifact
    yield printable(found.prefix)
    yield from row_lines("holds", f"{artifact.distribution} {artifact.version}, Python {found.python}, {found.kind}")
    yield from row_lines("installed from", artifact.filename)
    yield from fact_lines(found.facts, installed=True)
    yield from _row_of_matrix(found)
    yield ""
    yield from row_lines("read", f"what is installed, {found.facts.cost.seconds:.1f} s; nothing was imported")


def _row_of_matrix(found: InstalledFacts) -> Iterator[str]:
    if not found.row:
        yield from row_lines("matrix", "it has no row of this release")
        return
    if found.library_set:
        words = f"set {found.library_set}" if not found.differences else f"nearest to the set {found.library_set}"
        yield from row_lines("libraries", words)
        for line in found.differences:
            yield from row_lines("", line)
    else:
        yield from row_lines("libraries", "no set of its row is installed")
    wrong = _contradicted(found)
    held = f"{len(found.claims) - len(wrong)} of {len(found.claims)} claims of {found.row} are confirmed by its files"
    yield from row_lines("matrix", held if found.claims else f"{found.row} is of the wheel, and this is another build")
    for claim in wrong:
        yield from row_lines("", f"CONTRADICTED {claim.kind}: the row says {claim.claimed}; installed is {claim.found}")


def _contradicted(found: InstalledFacts) -> tuple[Claim, ...]:
    return tuple(claim for claim in found.claims if claim.verdict is ClaimVerdict.CONTRADICTED)
