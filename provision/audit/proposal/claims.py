"""Which evidence stands behind a proposed row: what was read, and what is taken over from the nearest release. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provision.audit.proposal.values import Tables
from provision.matrix.build import CLAIMS
from provision.model.matrix import Row

_READ = {
    "python": "index",
    "platform": "index",
    "gate": "wheel-loaders",
    "optional": "wheel-loaders",
    "search": "wheel-dynamic",
}
"""What is always read, and the evidence that says how."""
_HOW = {
    "index": ("vendor", "file list of tensorflow on the package index", "the tags in the names of its wheels"),
    "wheel-build-info": ("artifact", "{wheel}", "tensorflow/python/platform/build_info.py inside it"),
    "wheel-dynamic": ("artifact", "{wheel}", "DT_RPATH or DT_RUNPATH of libtensorflow_framework"),
    "wheel-fatbins": ("artifact", "{wheel}", "headers of every fatbin in every shared library"),
    "wheel-guard": ("artifact", "{wheel}", "the checks of the CPU in the code of libtensorflow_framework"),
    "wheel-loaders": ("artifact", "{wheel}", "the loader functions of libtensorflow_framework called"),
    "wheel-metadata": ("artifact", "{wheel}", "Requires-Dist of the extra and-cuda"),
    "wheel-strings": ("artifact", "{wheel}", "whether its libraries hold the path nvidia/cuda_nvcc"),
    "import-today": ("artifact", "{wheel}", "installed with what the index resolved to on that day, and imported"),
}
"""What a matrix that lacks such an entry is given."""
_AS_BEFORE = ("cpu", "cudnn", "conda", "aliases", "sets")
"""Groups, called as the keys of a row, whose evidence may cover several releases."""
_OPTIONAL = ("optional", "constraints", "sets", "conda", "aliases")
"""Groups that need evidence only where the row has the key."""
_FOR_EVERY_RELEASE = "cpu"
_OWN = "{wheel}"


@dataclass
class Origins:
    """Where the values of a row come from: group to the name of the evidence, for what was read."""

    near: Row
    same_minor: bool
    today: str
    read: dict[str, str] = field(default_factory=dict)

    def say(self, group: str, evidence: str) -> None:
        """Note how a group is known; nothing where ``evidence`` is empty."""
        if evidence:
            self.read[group] = evidence


def claims_name(
    tables: Tables, origins: Origins, values: Mapping[str, Any], named: Mapping[str, Any], release: str
) -> str:
    """Return the name of the entry of ``claims``; evidence that the matrix lacks is added.

    What the nearest release has in the same way is known in the same way, as long as its evidence is not about its
    own wheel: a table of minors covers every patch. What is neither read nor covered is ``derived``.
    """
    behind: Mapping[str, str] = tables.known["claims"][named["claims"]]
    groups: dict[str, str] = {}
    taken: list[str] = []
    for group in sorted({*CLAIMS, "aliases", "platform"}):
        if group in _OPTIONAL and group not in values:
            continue
        evidence = _READ.get(group) or origins.read.get(group)
        # What a release checks of the CPU its own wheel says best, where that was read.
        told = group == _FOR_EVERY_RELEASE and evidence is not None
        if group in _AS_BEFORE and values.get(group) == named.get(group) and not told:
            evidence = _carried(group, behind, tables, origins) or evidence
        if evidence is None:
            taken.append(group)
        groups[group] = evidence or f"proposed-{release}"
    if "import" in origins.read:
        groups["import"] = origins.read["import"]
    known = tables.known.get("evidence", {})
    for name in dict.fromkeys(groups.values()):
        if name in known:
            continue
        kind, source, how = _HOW.get(name) or (
            "derived",
            f"{origins.near.requirement}, the nearest release that is known",
            f"proposed by audit, which did not read it of the wheel: {', '.join(taken)}",
        )
        entry = {"kind": kind, "source": source, "date": origins.today, "how": how}
        tables.added.setdefault("evidence", {}).setdefault(name, entry)
    return tables.name("claims", groups, f"proposed-{release}")


def _carried(group: str, behind: Mapping[str, str], tables: Tables, origins: Origins) -> str | None:
    """Return the evidence of the nearest release where it covers this one too."""
    evidence = behind.get(group)
    if evidence is None or not (origins.same_minor or group == _FOR_EVERY_RELEASE):
        return None
    return None if _OWN in tables.known["evidence"][evidence]["source"] else evidence
