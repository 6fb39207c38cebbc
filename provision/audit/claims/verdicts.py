"""How a claim gets its verdict: what was found agrees with it, or not, or nobody could tell. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from provision.model.audit import Claim, ClaimVerdict
from provision.model.facts import Certainty, Evidence

GROUPS: Mapping[str, str] = {
    "released": "python",
    "wheel": "python",
    "glibc": "platform",
    "cuda": "build",
    "sass": "arch",
    "ptx": "arch",
    "modules": "arch",
    "reach": "search",
    "extra": "sets",
    "symbols": "sets",
}
"""Kind of a claim to the group of `Row.evidence` that stands behind it, where the two are called differently."""

INDEX = "list of the index"
"""What decides claims about which wheels there are."""


@dataclass(frozen=True)
class Judge:
    """Makes the claims of one row or set.

    Attributes:
        row: ``tensorflow==2.21.0``, or the name of a set.
        wheel: file name of the wheel that decides; the evidence of what it decided.
        unread: why that wheel was not read; empty where it was, or where nobody tried.
        evidence: claim group to its entry in the matrix: shown where no artifact decides.
    """

    row: str
    wheel: str = ""
    unread: str = ""
    evidence: Mapping[str, Evidence] = field(default_factory=dict)

    def hold(
        self, kind: str, claimed: str, found: str, *, agrees: bool | None, note: str = "", wheel: str = ""
    ) -> Claim:
        """Return a claim that was held against what was found; None for ``agrees``: it says nothing about it."""
        if agrees is None:
            return self.undecidable(kind, claimed, found, note=note)
        verdict = ClaimVerdict.CONFIRMED if agrees else ClaimVerdict.CONTRADICTED
        return Claim(self.row, kind, claimed, found, verdict, wheel or self.wheel, note)

    def undecidable(self, kind: str, claimed: str, found: str = "", *, note: str = "") -> Claim:
        """Return a claim that no artifact decides, with the evidence that the matrix has for it."""
        return Claim(self.row, kind, claimed, found, ClaimVerdict.UNDECIDABLE, self._behind(kind), note)

    def not_read(self, kind: str, claimed: str, note: str = "") -> Claim:
        """Return a claim for which nothing was read."""
        return Claim(self.row, kind, claimed, "", ClaimVerdict.NOT_READ, self._behind(kind), note or self.unread)

    def _behind(self, kind: str) -> str:
        evidence = self.evidence.get(GROUPS.get(kind, kind))
        return words(evidence) if evidence else f"{Certainty.DERIVED.value}: it has no evidence of its own"


def words(evidence: Evidence) -> str:
    """Return evidence in words: how it is known and where from."""
    return f"{evidence.certainty.value}: {evidence.source}"
