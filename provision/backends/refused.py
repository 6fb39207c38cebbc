"""What cannot be resolved, in our terms: which of the user's packages, which pin of ours, and why it is there.

Most resolutions are not refused, so this module is loaded where one is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from packaging.requirements import Requirement

from provision.backends.uv_talk import cause_of, clean, derivation, mentions
from provision.model.created import Denial
from provision.model.matrix import SourceOnly
from provision.model.plan import Pin, Plan


def explained(plan: Plan, provided: Sequence[Pin], stderr: str) -> Denial | None:
    """Return uv's refusal in our terms; None where it failed for another reason.

    Args:
        plan: what was resolved.
        provided: distributions that come from elsewhere; they are one side of a conflict too.
        stderr: what uv said.
    """
    code = cause_of(stderr)
    if code not in ("conflict", "package-not-found", "no-wheel"):
        return None
    text = clean(stderr)
    asked = tuple(item for item in plan.request.requirements if mentions(text, Requirement(item).name))
    pins = tuple(pin for pin in (*plan.pins, *provided) if mentions(text, Requirement(pin.requirement).name))
    if code != "conflict" and not asked and not plan.request.requirements:
        # Our own pins are not on the index: that is a broken promise of the matrix or the index, no answer.
        return None
    release = f"{plan.row.distribution} {plan.row.release}"
    shown = " and ".join(f"`{item}`" for item in asked)
    if code == "package-not-found":
        what = "the package index does not have a package that was asked for"
        hint = f"check the name: {shown}" if asked else "check the names of the packages"
    elif code == "no-wheel":
        what = f"a package has no wheel for Python {plan.python.series} on this platform"
        hint = "ask for another version of it, or allow building from source: --allow-source"
    elif not plan.request.requirements:
        what = f"the packages of {release} contradict each other on this index"
        hint = "report this: the matrix row of this release needs a pin"
    else:
        what = f"your packages do not fit {release} on Python {plan.python.series}"
        loosen = f"loosen {shown}" if asked else "loosen one of your packages"
        hint = f"{loosen}, or choose another release: `tfgpu-provision matrix list`"
    why = (
        *(f"you ask for {item}" for item in asked),
        *(f"the plan has {pin.requirement}: {pin.why}" for pin in pins),
        *derivation(text),
    )
    return Denial(code, what, why, hint, asked, pins)


def contradicting(plan: Plan, wrong: Sequence[tuple[str, SourceOnly]]) -> Denial:
    """Return the refusal of packages that contradict what the row fixes by hash."""
    asked = tuple(text for text, _ in wrong)
    return Denial(
        "conflict",
        f"your packages do not fit {plan.row.distribution} {plan.row.release} on Python {plan.python.series}",
        tuple(f"you ask for {text}; the plan has {item.name}=={item.version}: {item.why}" for text, item in wrong),
        f"loosen {' and '.join(f'`{text}`' for text in asked)}, or choose another release",
        asked,
        tuple(Pin(f"{item.name}=={item.version}", item.why) for _, item in wrong),
    )


def dated(denial: Denial, as_of: str) -> Denial:
    """Return a denial that says which day it speaks of."""
    if not as_of:
        return denial
    why = (*denial.why, f"nothing that was uploaded after {as_of} is taken")
    return dataclasses.replace(denial, why=why, hint=f"choose a later day than --as-of {as_of}, or {denial.hint}")
