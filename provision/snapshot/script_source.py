"""A file of user code → syntax trees: Python, and the cells of a notebook without their magics. Nothing is run."""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_CELLS = 2000
MAX_TOKENS = 8000
_LINES = re.compile(r"\r\n|\r|\n")
_ENV_MAGIC = re.compile(r"^%(?:set_)?env\s+([A-Za-z_]\w*)\s*(?:=|\s)\s*(.*?)\s*\Z")
_SHELL_LINE = re.compile(r"^[!]\s*(?:export\s+)?([A-Za-z_]\w*)=(\S*)\s*(?:;|&&|\Z)")
_ASSIGNED_MAGIC = re.compile(r"^([A-Za-z_][\w, ]*)=\s*[!%].*")
_SHELL_CELLS = ("%%bash", "%%sh", "%%script", "%%system", "%%!")
_PYTHON_CELLS = ("%%time", "%%timeit", "%%capture", "%%prun")
_PRINT = re.compile(r"^(\s*(?:(?:if|else|for|elif)\b[^#]*:\s*)?)print\b(?!\s*[(=.]).*")
_EXCEPT = re.compile(r"^(\s*except\s+[\w.() ]+(?:\([^)]*\))?),\s*(\w+)\s*:")
TOO_DEEP = "nested too deeply to be read"


@dataclass(frozen=True)
class Aside:
    """A variable that a notebook sets without Python: ``%env`` for the kernel, ``!export`` for a shell of its own."""

    line: int
    variable: str
    value: str
    in_shell: bool


@dataclass(frozen=True)
class Piece:
    """A part of a file that is run as a whole.

    Attributes:
        lines: its lines, as written.
        tree: its syntax tree; None where it is no Python of today.
        problem: why there is no tree, with ``problem_line``.
        cell: number of the notebook's code cell, from 1; 0 for a file.
        asides: variables set by magics.
    """

    lines: tuple[str, ...]
    tree: ast.Module | None
    problem: str = ""
    problem_line: int = 1
    cell: int = 0
    asides: tuple[Aside, ...] = field(default=())


def split_lines(text: str) -> tuple[str, ...]:
    """Return lines as Python counts them."""
    return tuple(_LINES.split(text))


def python_pieces(data: bytes) -> tuple[Piece, ...]:
    """Return a Python file as one piece."""
    lines = split_lines(data.decode("utf-8", "replace"))
    tree, problem, line = _parse(data)
    return (Piece(lines, tree, problem, line),)


def soften(piece: Piece) -> Piece | None:
    """Return a Python 2 file with its print statements and old ``except`` made harmless, None where that is not all."""
    lines = [_PRINT.sub(r"\1pass", _EXCEPT.sub(r"\1 as \2:", line)) for line in piece.lines]
    tree, _, _ = _parse("\n".join(lines))
    return None if tree is None else Piece(piece.lines, tree)


def notebook_pieces(data: bytes) -> tuple[Piece, ...]:
    """Return the code cells of a notebook (nbformat 3 and 4), one piece each; one piece with a problem if it is none.

    A notebook for another language has no pieces.
    """
    try:
        book = json.loads(data.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError) as error:
        problem = TOO_DEEP if isinstance(error, RecursionError) else f"no notebook: {error}"
        return (Piece(("",), None, problem[:200]),)
    if not isinstance(book, dict):
        return (Piece(("",), None, "no notebook: not a JSON object"),)
    language = _get(book, "metadata", "kernelspec", "language") or _get(book, "metadata", "language_info", "name")
    if isinstance(language, str) and "python" not in language.lower():
        return ()
    return tuple(_cell(number, text) for number, text in enumerate(_sources(book), 1))


def _get(value: object, *keys: str) -> object:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _sources(book: dict[str, object]) -> Iterator[str]:
    cells = book.get("cells")
    if not isinstance(cells, list):
        sheets = book.get("worksheets")
        cells = _get(sheets[0], "cells") if isinstance(sheets, list) and sheets else None
    for cell in (cells if isinstance(cells, list) else [])[:MAX_CELLS]:
        if _get(cell, "cell_type") != "code":
            continue
        text = _get(cell, "source") or _get(cell, "input") or ""
        yield "".join(part for part in text if isinstance(part, str)) if isinstance(text, list) else str(text)


def _cell(number: int, text: str) -> Piece:
    lines = split_lines(text)
    head = next((line.strip() for line in lines if line.strip()), "")
    shell = head.startswith(_SHELL_CELLS)
    if head.startswith("%%") and not head.startswith(_PYTHON_CELLS):
        return Piece(lines, ast.Module([], []), cell=number, asides=_shell_asides(lines) if shell else ())
    asides: list[Aside] = []
    plain: list[str] = []
    for place, line in enumerate(lines, 1):
        stripped = line.strip()
        indent = line[: len(line) - len(line.lstrip())]
        assigned = _ASSIGNED_MAGIC.match(stripped)
        if stripped.startswith(("%", "!")) or (stripped.endswith("?") and "#" not in stripped):
            asides += _aside(place, stripped)
            plain.append(f"{indent}pass")
        elif assigned:
            plain.append(f"{indent}{assigned[1].rstrip()} = None")
        else:
            plain.append(line)
    # A magic line inside a string in several lines is spoilt by that; then the text as it stands may be Python.
    tree, problem, where = _parse("\n".join(plain))
    if tree is None and plain != list(lines):
        other, _, _ = _parse(text)
        tree, asides = (other, []) if other is not None else (tree, asides)
    return Piece(lines, tree, problem if tree is None else "", where, number, tuple(asides))


def _aside(line: int, text: str) -> list[Aside]:
    for pattern, shell in ((_ENV_MAGIC, False), (_SHELL_LINE, True)):
        match = pattern.match(text)
        if match:
            return [Aside(line, match[1], match[2].strip("'\"") if shell else match[2], shell)]
    return []


def _shell_asides(lines: tuple[str, ...]) -> tuple[Aside, ...]:
    found = [_aside(place, f"!{line.strip()}") for place, line in enumerate(lines, 1) if "export " in line]
    return tuple(item for items in found for item in items)


def overlong(source: str | bytes) -> bool:
    """Whether a statement has more tokens than any that people write: only such a one can be nested very deep."""
    data = source.encode("utf-8", "replace") if isinstance(source, str) else source
    count = 0
    try:
        for token in tokenize.tokenize(io.BytesIO(data).readline) if len(data) > MAX_TOKENS else ():
            count = 0 if token.type == tokenize.NEWLINE else count + 1
            if count > MAX_TOKENS:
                return True
    except (SyntaxError, ValueError, tokenize.TokenError):
        # The parser will say what is wrong.
        return False
    return False


def _parse(source: str | bytes) -> tuple[ast.Module | None, str, int]:
    """Return (tree, problem, line of the problem)."""
    if sys.version_info < (3, 11) and overlong(source):
        # Before 3.11 the parser does not count how deep it is, and a hostile expression overruns its stack.
        return None, TOO_DEEP, 1
    try:
        with warnings.catch_warnings():
            # An invalid escape in user code is no business of ours.
            warnings.simplefilter("ignore")
            return ast.parse(source), "", 1
    except SyntaxError as error:
        return None, f"no Python of today: {error.msg}"[:200], max(1, error.lineno or 1)
    except (RecursionError, MemoryError):
        return None, TOO_DEEP, 1
    except (ValueError, LookupError) as error:
        return None, f"no Python: {error}"[:200], 1
