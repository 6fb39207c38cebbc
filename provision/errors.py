"""One tree of failures, each kind with its exit code.

A *no* is an answer and is returned as a value (`provision.model.plan.Refusal`); what is raised from here is a
broken promise: wrong usage, an invalid file, a tool that failed. Every error carries a stable code, what happened,
why, and what to type next, so that no user ever needs a traceback.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process reports to its caller; the table is part of the README."""

    DONE = 0
    CHECK_FAILED = 1
    USAGE = 2
    REFUSED = 3
    CANNOT_TELL = 4
    TOOL_FAILED = 5
    ROLLED_BACK = 6
    NOT_ROLLED_BACK = 7
    BUG = 70
    INTERRUPTED = 130


class ProvisionError(Exception):
    """A failure that a user can act on.

    Args:
        what: one sentence without a full stop.
        code: stable, lower case with hyphens; searched for and scripted against.
        why: indented facts under the first line, each one line.
        hint: what to type or do next.
    """

    exit_code = ExitCode.TOOL_FAILED

    def __init__(self, what: str, *, code: str, why: tuple[str, ...] = (), hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.code = code
        self.why = why
        self.hint = hint


class UsageError(ProvisionError):
    """The command line, a variable or a value in it cannot be used."""

    exit_code = ExitCode.USAGE


class InvalidFileError(ProvisionError):
    """A file that was given (matrix, requirements, captured host …) is not what it should be."""

    exit_code = ExitCode.USAGE


class ToolFailedError(ProvisionError):
    """A program that was started, the network, or the disk failed."""

    exit_code = ExitCode.TOOL_FAILED


class RolledBackError(ProvisionError):
    """The work failed and everything is as it was before."""

    exit_code = ExitCode.ROLLED_BACK


class NotRolledBackError(ProvisionError):
    """The work failed and could not be undone completely; `why` names what is left."""

    exit_code = ExitCode.NOT_ROLLED_BACK
