"""The user's own packages: plain PEP 508 requirements and nothing else.

A requirements file is a small programming language: options, addresses, other files, index hosts. All of it could
change where *our* packages come from, so none of it is taken: each line is a requirement by name, or a comment.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from provision.errors import InvalidFileError, ProvisionError, UsageError

SIZE_LIMIT = 1 << 20
"""Bytes of a requirements file."""
COUNT_LIMIT = 2000
"""Requirements in one file; far above any real one."""
_LINE_LIMIT = 2000
_COMMENT = re.compile(r"(^|\s)#.*$")
_CODE = "requirement-not-allowed"
_HINT = (
    "write plain requirements such as `pandas>=2`, one per line; install anything else afterwards with `uv pip install`"
)


def check_requirement(text: str) -> str:
    """Return one requirement in its normal form.

    Raises:
        ValueError: its message says why the text is not taken.
    """
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - only who asks for packages pays

    stripped = text.strip()
    if not stripped:
        raise ValueError("it is empty")
    if len(stripped) > _LINE_LIMIT:
        raise ValueError(f"it is longer than {_LINE_LIMIT} characters")
    if any(not character.isprintable() for character in stripped):
        raise ValueError("it holds control characters")
    if stripped.startswith("-"):
        raise ValueError("options are not taken, only requirements")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|git\+|\.{0,2}[/\\]|~|file:", stripped):
        raise ValueError("addresses and paths are not taken, only packages of the index")
    try:
        requirement = Requirement(stripped)
    except InvalidRequirement as error:
        raise ValueError(f"it is not a requirement: {str(error).splitlines()[0]}") from error
    if requirement.url:
        raise ValueError("addresses and paths are not taken, only packages of the index")
    return str(requirement)


def check_all(texts: Sequence[str], origin: str) -> tuple[str, ...]:
    """Return requirements that were given one by one, by ``origin`` (``--with``).

    Raises:
        UsageError: ``requirement-not-allowed``, with all that is wrong.
    """
    good: list[str] = []
    wrong: list[str] = []
    for text in texts:
        try:
            good.append(check_requirement(text))
        except ValueError as error:  # noqa: PERF203 - all that is wrong is told at once
            wrong.append(f"{origin} {text[:80]!a}: {error}")
    if wrong:
        raise UsageError("a package that was asked for cannot be taken", code=_CODE, why=tuple(wrong), hint=_HINT)
    return tuple(good)


def read_file(path: Path) -> tuple[str, ...]:
    """Return the requirements of a file; an empty file gives none.

    Raises:
        InvalidFileError: ``requirement-not-allowed`` with file and line of everything that is wrong, or
            ``requirements-file`` where the file cannot be read, is too large or is not text.
    """
    text = _text_of(path)
    good: list[str] = []
    wrong: list[str] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = _COMMENT.sub("", raw).strip()
        if not line:
            continue
        try:
            good.append(check_requirement(line))
        except ValueError as error:
            wrong.append(f"{path}:{number}: {error}: {_shown(line)}")
    if len(good) > COUNT_LIMIT:
        wrong.append(f"{path}: {len(good)} requirements; at most {COUNT_LIMIT} are taken")
    if wrong:
        more = (f"… and {len(wrong) - 20} more",) if len(wrong) > 20 else ()  # noqa: PLR2004 - what fits a screen
        raise InvalidFileError(
            f"{path.name} holds what cannot be taken", code=_CODE, why=(*wrong[:20], *more), hint=_HINT
        )
    return tuple(good)


def _shown(line: str) -> str:
    printable = "".join(character if character.isprintable() else "?" for character in line[:80])
    return re.sub(r"(?<=://)[^/@\s]+@", "", printable)


def _text_of(path: Path) -> str:
    def broken(why: str) -> ProvisionError:
        return InvalidFileError(
            "a requirements file cannot be used", code="requirements-file", why=(f"{path}: {why}",), hint=_HINT
        )

    try:
        if not path.is_file():
            # A pipe or a device could feed us for ever.
            raise broken("there is no such file" if not path.exists() else "it is not a regular file")
        with path.open("rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:
        raise broken(getattr(error, "strerror", None) or str(error)) from error
    if len(data) > SIZE_LIMIT:
        raise broken(f"it is larger than {SIZE_LIMIT} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise broken(f"it is not UTF-8 text (byte {error.start})") from error
    if "\0" in text:
        raise broken("it is not text: it holds NUL bytes")
    return text
