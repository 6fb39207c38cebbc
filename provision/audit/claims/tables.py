"""The claims that no wheel decides at all: drivers, GPUs, what cannot be served. Each is shown with its evidence."""

from __future__ import annotations

from collections.abc import Iterator

from provision.audit.claims.verdicts import words
from provision.model.audit import Claim, ClaimVerdict
from provision.model.facts import Certainty, Evidence
from provision.model.matrix import Matrix


def table_claims(matrix: Matrix) -> Iterator[Claim]:
    """Yield a claim for every entry of the tables about drivers, GPUs and what is not served."""
    for family in (*matrix.families.values(), *matrix.toolkits.values()):
        claimed = f"Linux driver {family.linux_min}, Windows driver {family.windows_min} or newer"
        yield _claim(f"CUDA {family.name}", "driver-floor", claimed, family.evidence)
    for branch in matrix.branches:
        claimed = f"up to CUDA {branch.max_cuda}"
        yield _claim(f"driver branch {branch.branch}", "driver-branch", claimed, branch.evidence)
    for cuda, isa in matrix.ptx_isa.items():
        yield _claim(f"CUDA {cuda}", "ptx-isa", f"PTX {isa}", matrix.ptx_isa_evidence)
    for generation in matrix.generations.values():
        claimed = f"{generation.architecture}, from CUDA {generation.first_cuda} to {generation.last_cuda or 'now'}"
        yield _claim(f"compute capability {generation.compute_capability}", "gpus", claimed, generation.evidence)
    for entry in matrix.unserved:
        yield _claim(entry.ident, "unserved", entry.why, entry.evidence)


def _claim(row: str, kind: str, claimed: str, evidence: Evidence) -> Claim:
    if evidence.certainty is Certainty.ARTIFACT:
        note = "read out of artifacts that no row names"
        return Claim(row, kind, claimed, "", ClaimVerdict.NOT_READ, words(evidence), note)
    return Claim(row, kind, claimed, "", ClaimVerdict.UNDECIDABLE, words(evidence))
