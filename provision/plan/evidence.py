"""How a claim of a row is known, in the two words that obstacles and caveats carry."""

from __future__ import annotations

from provision.model.facts import Certainty
from provision.model.matrix import Row

NOWHERE = "matrix.yaml gives no source for it"


def claim(row: Row, *groups: str) -> tuple[Certainty, str]:
    """Return certainty and source of the first claim group that the row has evidence for; else derived."""
    for group in groups:
        evidence = row.evidence.get(group)
        if evidence is not None:
            return evidence.certainty, evidence.source
    return Certainty.DERIVED, NOWHERE
