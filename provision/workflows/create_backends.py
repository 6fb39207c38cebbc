"""Which workflow builds for which backend: the one place that asks."""

from __future__ import annotations

from provision.model.plan import Plan
from provision.workflows.create_work import Work


def work_class(plan: Plan) -> type[Work]:
    """Return what builds for a plan's backend; what conda needs is imported for conda only."""
    if plan.request.backend == "conda":
        from provision.workflows.conda_create import CondaWork  # noqa: PLC0415

        return CondaWork
    return Work
