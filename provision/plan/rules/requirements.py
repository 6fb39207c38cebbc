"""User packages against what the plan fixes: what can be told without asking the package index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from provision.model.facts import Certainty
from provision.model.plan import Obstacle, Pin
from provision.plan.finding import Findings

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def conflicts(requirements: Iterable[str], pins: Iterable[Pin]) -> Findings:
    """Refuse a user package that contradicts an exact pin of ours, or fixes a version that a constraint excludes.

    Everything else (ranges against ranges, dependencies of dependencies) is the resolver's to find.

    Source: PEP 440; the pins themselves say why they are there.
    """
    wanted = tuple(requirements)
    if not wanted:
        return
    # Only who asks for packages pays for reading them.
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415
    from packaging.utils import canonicalize_name  # noqa: PLC0415

    ours = {canonicalize_name(Requirement(pin.requirement).name): pin for pin in pins}
    for text in wanted:
        try:
            theirs = Requirement(text)
        except InvalidRequirement:
            continue
        pin = ours.get(canonicalize_name(theirs.name))
        if pin is None or theirs.marker is not None:
            continue
        if not _compatible(theirs, Requirement(pin.requirement)):
            yield Obstacle(
                "requirement-conflict",
                f"{text} contradicts {pin.requirement}, which is there because: {pin.why}",
                f"a requirement that admits {pin.requirement}",
                Certainty.ARTIFACT,
                "the request",
            )


def _compatible(one: Requirement, other: Requirement) -> bool:
    """Whether two requirements of one package can both hold; True wherever it cannot be told."""
    for left, right in ((one, other), (other, one)):
        for clause in left.specifier:
            if clause.operator == "==" and not clause.version.endswith(".*"):
                return bool(right.specifier.contains(clause.version, prereleases=True))
    return True
