"""Doctor's findings → what repair does about them: the steps, what is left to the user, or why nothing can be done.

Pure: nothing is read, asked or changed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provision.model.doctor import Diagnosis, Effect, Finding, Role
from provision.model.repair import RepairPlan
from provision.model.snapshot import Snapshot
from provision.repair.planning.carrying import carried
from provision.repair.planning.choosing import choose, merged
from provision.repair.planning.refusing import denial_of, nearest_release

_SCRIPTS_ARE_BROKEN = ("environment_moved",)
"""What TensorFlow itself may not mind, so that doctor calls it only possible, and what is wrong all the same."""


def plan_repair(
    diagnosis: Diagnosis,
    snapshot: Snapshot,
    *,
    only: Sequence[str] = (),
    kernels: bool = False,
    beside: bool = False,
) -> RepairPlan:
    """Return what repair does about a diagnosis.

    Of every finding that does harm the best fix with steps is taken. What another finding explains goes with that one
    where it can only be removed by hand or lies in the user's variables; else it is repaired too, less what the other
    one's steps do already.

    Args:
        diagnosis: of doctor, with every finding.
        snapshot: that it was made from, with an environment.
        only: codes to repair, what is only possible among them; empty for all that do harm.
        kernels: change Jupyter kernels outside of the environment too.
        beside: another environment is to be built: name the release and the user's packages in any case.
    """
    wrong = [item for item in diagnosis.findings if _counts(item, only)]
    denial = denial_of(wrong, snapshot)
    release = nearest_release(snapshot) if denial or beside or _needs_driver(wrong) else ""
    carry, left_out = carried(snapshot.environment, release) if denial or beside else ((), ())
    seen = snapshot.environment
    if denial is not None or seen is None:
        return RepairPlan((), tuple(_left(wrong)), denial, release, carry, left_out)
    chosen, by_hand = choose(wrong, snapshot, seen, kernels=kernels, named=bool(only))
    return RepairPlan(tuple(merged(chosen, seen)), by_hand, None, release, carry, left_out)


def _counts(item: Finding, only: Sequence[str]) -> bool:
    """Whether a finding is one that repair has to do with."""
    if item.role is Role.HARMLESS or item.effect is Effect.NONE:
        return False
    if only:
        return item.code in only
    return item.is_fault or item.code in _SCRIPTS_ARE_BROKEN


def _needs_driver(wrong: Sequence[Finding]) -> bool:
    return any(item.code == "driver_too_old" for item in wrong)


def _left(wrong: Sequence[Finding]) -> Iterator[Finding]:
    """Yield what is to be told where nothing is repaired: the root, and what no other environment would change."""
    explained: set[str] = set()
    for place, item in enumerate(wrong):
        steps = any(fix.steps for fix in item.fixes)
        if item.code not in explained and (place == 0 or not steps):
            yield item
        explained.update(item.explains)
