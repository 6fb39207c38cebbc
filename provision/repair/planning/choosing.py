"""Of each finding the fix that repair carries out, and of all of them the smallest set of steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement

from provision.model.doctor import Category, Certainty, Finding, Fix, Role
from provision.model.environment_facts import EnvironmentFacts
from provision.model.lock import normalised
from provision.model.remedy import Install, PointKernel, Remove, Step, Uninstall, Unset, Wire
from provision.model.repair import Repairing
from provision.model.snapshot import Snapshot
from provision.repair.planning.suiting import suited

_TENSORFLOW = ("tensorflow", "tf-nightly")


@dataclass(frozen=True)
class Chosen:
    """A fix that is carried out: of which cause, why, and whether a cause before it explains this one."""

    code: str
    why: str
    fix: Fix
    follows: bool


def choose(
    wrong: Sequence[Finding], snapshot: Snapshot, seen: EnvironmentFacts, *, kernels: bool, named: bool
) -> tuple[tuple[Chosen, ...], tuple[Finding, ...]]:
    """Return the fixes that are carried out, and the findings of which something is left to the user.

    What a finding explains that is left to the user, or that lies in his variables, goes away with that.

    Args:
        wrong: what does harm, the root first.
        snapshot: that it was found in.
        seen: its environment.
        kernels: whether Jupyter kernels outside of the environment may be changed.
        named: whether the user named the codes: then nothing is left out because something else explains it, and what
            is only possible counts.
    """
    chosen: list[Chosen] = []
    by_hand: list[Finding] = []
    away: set[str] = set()
    follows: set[str] = set()
    for finding in wrong:
        if finding.code in away and not named:
            continue
        parts = [item for item in finding.parts or (finding,) if _counts(item, finding, named=named)]
        fixes = [(part, _best(part, snapshot, seen, kernels=kernels)) for part in parts]
        if not fixes or any(fix is None for _, fix in fixes):
            by_hand.append(finding)
        if finding.category is Category.VARIABLES or all(fix is None for _, fix in fixes):
            away.update(finding.explains)
        for part, fix in fixes:
            if fix is not None:
                again = any(item.code == finding.code for item in chosen)
                chosen.append(Chosen(finding.code, part.summary, fix, again or finding.code in follows))
        follows.update(finding.explains)
    return tuple(chosen), tuple(by_hand)


def merged(chosen: Sequence[Chosen], seen: EnvironmentFacts) -> Iterator[Repairing]:
    """Yield what is repaired, each package exchanged once, less what an earlier one does already."""
    exchanged: set[str] = set()
    done: set[Step] = set()
    # What is brought to another version is not installed again at the present one.
    changing = {name for item in chosen for step in item.fix.steps for name in _changed(step)}
    for item in chosen:
        trimmed = (_trimmed(step, exchanged, changing) for step in item.fix.steps)
        left = tuple(step for step in trimmed if step is not None)
        less = left != item.fix.steps
        # Wiring is made anew wherever packages change under it.
        if item.follows and all(step in done or (less and isinstance(step, Wire)) for step in left):
            continue
        exchanged.update(name for step in left for name in _names(step))
        done.update(left)
        outside = tuple(step for step in left if isinstance(step, PointKernel) and not _inside(seen, step.file))
        inside = tuple(step for step in left if step not in outside)
        for steps, beyond in ((inside, False), (outside, True)):
            if steps:
                yield Repairing(item.code, item.why, item.fix.what, steps, beyond)


def _counts(part: Finding, whole: Finding, *, named: bool) -> bool:
    if part.role is Role.HARMLESS:
        return False
    return named or part.certainty is not Certainty.POSSIBLE or whole.certainty is Certainty.POSSIBLE


def _best(part: Finding, snapshot: Snapshot, seen: EnvironmentFacts, *, kernels: bool) -> Fix | None:
    fixes = (suited(part, fix, snapshot) for fix in part.fixes if fix.steps)
    return next((fix for fix in fixes if all(_may(step, seen, kernels=kernels) for step in fix.steps)), None)


def _may(step: Step, seen: EnvironmentFacts, *, kernels: bool) -> bool:
    """Whether a step stays inside the environment, or in what was allowed beside."""
    match step:
        case PointKernel():
            return kernels or _inside(seen, step.file)
        case Remove():
            return all(_inside(seen, path) for path in step.paths)
        case Unset():
            return _inside(seen, step.file)
        case Uninstall():
            return _own(step.names, seen)
        case Install(again=True):
            return _own(_names(step), seen)
        case _:
            return True


def _own(names: Iterable[str], seen: EnvironmentFacts) -> bool:
    """Whether distributions lie in the environment, not in the Python that it was made from; absent ones do."""
    packages = (seen.package(name) for name in names)
    return all(package is None or _inside(seen, package.folder) for package in packages)


def _inside(seen: EnvironmentFacts, path: str) -> bool:
    return path.startswith(f"{seen.path}/") and "/../" not in f"{path}/"


def _trimmed(step: Step, exchanged: set[str], changing: set[str]) -> Step | None:
    """Return a step less the distributions that another one exchanges, None where nothing is left of it."""
    if isinstance(step, Install):
        without = exchanged | changing if step.again else exchanged
        wanted = tuple(item for item in step.requirements if _name(item) not in without)
        if any(_name(item).startswith(_TENSORFLOW) for item in set(step.requirements) - set(wanted)):
            return None  # the rest is what belongs to that TensorFlow
        return Install(wanted, step.again, step.alone) if wanted else None
    if isinstance(step, Uninstall):
        names = tuple(name for name in step.names if normalised(name) not in exchanged)
        return Uninstall(names) if names else None
    return step


def _changed(step: Step) -> Iterator[str]:
    """Yield what a step brings to another version; TensorFlow's own files come back before its extra is installed."""
    if isinstance(step, Install) and not step.again:
        yield from (name for name in _names(step) if not name.startswith(_TENSORFLOW))


def _names(step: Step) -> Iterator[str]:
    if isinstance(step, Install):
        yield from (_name(item) for item in step.requirements)
    elif isinstance(step, Uninstall):
        yield from (normalised(name) for name in step.names)


def _name(requirement: str) -> str:
    try:
        return normalised(Requirement(requirement).name)
    except InvalidRequirement:
        return requirement
