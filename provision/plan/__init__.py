"""Request, machine and matrix to a plan or an explained refusal: pure functions, no input or output."""

from provision.plan.decide import decide
from provision.plan.judging import judge
from provision.plan.spec import parse_spec

__all__ = ["decide", "judge", "parse_spec"]
