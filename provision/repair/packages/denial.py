"""Why no packages fit together, in words for people."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence

from packaging.requirements import Requirement

from provision.backends.uv_talk import cause_of, clean, derivation, mentions
from provision.model.created import Denial
from provision.model.environment_facts import EnvironmentFacts
from provision.model.matrix import Row
from provision.repair.packages.limits import Limit

FRAMEWORKS = ("torch", "jax", "jaxlib", "mxnet", "paddlepaddle-gpu", "cupy-cuda11x", "cupy-cuda12x")
"""What brings CUDA libraries of its own, in versions of its own."""


def explain(stderr: str, roots: Sequence[str], row: Row | None, seen: EnvironmentFacts) -> Denial | None:
    """Return uv's refusal in our terms; None where it failed for another reason.

    Args:
        stderr: what uv said.
        roots: what was asked for.
        row: the release, for its constraints.
        seen: the environment.
    """
    code = cause_of(stderr)
    if code not in ("conflict", "package-not-found", "no-wheel"):
        return None
    text = clean(stderr)
    asked = tuple(item for item in roots if mentions(text, Requirement(item).name))
    constraints = row.constraints if row else ()
    why = (
        *(f"the repair needs {item}" for item in asked),
        *(
            f"{item.requirement}: {item.why}"
            for item in constraints
            if mentions(text, Requirement(item.requirement).name)
        ),
        *derivation(text),
    )
    if code == "package-not-found":
        what = "the package index does not have a package that the repair needs"
        return Denial(code, what, why, "check the index settings of uv", asked)
    if code == "no-wheel":
        series = seen.python.series if seen.python else "this Python"
        what = f"a package that the repair needs has no wheel for Python {series} on this platform"
        return Denial(code, what, why, f"build an environment beside: {_beside(seen, row)}", asked)
    what = "what the repair needs does not fit together"
    return Denial(code, what, why, f"build an environment beside: {_beside(seen, row)}", asked)


def between(
    roots: Sequence[str], in_the_way: Sequence[Limit], denial: Denial, row: Row | None, seen: EnvironmentFacts
) -> Denial:
    """Return a denial that names which installed packages do not fit what was asked for.

    Args:
        roots: what was asked for.
        in_the_way: their demands.
        denial: the resolver's answer over both.
        row: the release.
        seen: the environment.
    """
    tensorflow = seen.distribution.name if seen.distribution else ""
    names = tuple(dict.fromkeys(limit.by.split(" ")[0] for limit in in_the_way))
    why = (
        *(f"the repair needs {item}" for item in denial.asked or roots),
        *(f"{limit.by} needs {limit.requirement}" for limit in in_the_way),
        *(line for line in denial.why if not line.startswith("the repair needs ")),
    )
    rivals = [name for name in names if name in FRAMEWORKS]
    if rivals:
        shown = " and ".join(dict.fromkeys(limit.by for limit in in_the_way if limit.by.split(" ")[0] in rivals))
        what = f"{_release(seen, row)} and {shown} need different versions of the same packages: no set serves both"
        hint = f"give TensorFlow an environment of its own, and leave this one to {rivals[0]}: {_beside(seen, row)}"
    else:
        others = [name for name in names if name != tensorflow]
        what = f"what the repair needs does not fit {' and '.join(names) or 'what is installed'}"
        loosen = f"update or remove {' and '.join(others)}, or " if others else ""
        hint = f"{loosen}build an environment beside: {_beside(seen, row)}"
    return dataclasses.replace(denial, what=what, why=why, hint=hint)


def _release(seen: EnvironmentFacts, row: Row | None) -> str:
    if row is not None:
        return f"{row.distribution} {row.release}"
    return f"{seen.distribution.name} {seen.distribution.version}" if seen.distribution else "TensorFlow"


def _beside(seen: EnvironmentFacts, row: Row | None) -> str:
    release = row.release.text if row else seen.distribution.version if seen.distribution else ""
    path = str(seen.env.prefix) if seen.env else seen.path
    words = ["tfgpu-provision", "create", f"{path}-tf", *(["--tf", release] if release else [])]
    return f"`{shlex.join(words)}`"
