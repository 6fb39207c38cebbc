"""Jupyter kernels that were meant for an environment: let them start its Python, and show them the GPU."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from provision.repair.context import StageContext
from provision.repair.files.patch import outside_image
from provision.system import write_atomic

_LIMIT = 4 << 20
_PYTHON = re.compile(r"(?:.*/)?(?:python|pypy)[\d.]*w?\Z")
_HIDING = "CUDA_VISIBLE_DEVICES"


def pointed(content: bytes, python: str) -> bytes | None:
    """Return a ``kernel.json`` that starts ``python``, None where it cannot be read as one.

    The first word of ``argv`` that is a Python is replaced, whatever stands before it (``env``, a wrapper) is kept;
    CUDA_VISIBLE_DEVICES is taken out of ``env`` where it hides every GPU. The rest stays as it is.

    Args:
        content: of the file.
        python: absolute.
    """
    try:
        data = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    argv = data.get("argv") if isinstance(data, dict) else None
    if not isinstance(argv, list):
        return None
    at = next((number for number, word in enumerate(argv) if isinstance(word, str) and _PYTHON.match(word)), None)
    if at is None:
        return None
    argv[at] = python
    _show_gpus(data)
    indent = re.search(rb"\n([ \t]+)\"", content)
    text = json.dumps(data, indent=indent[1].decode() if indent else None, ensure_ascii=False)
    return f"{text}\n".encode() if content.endswith(b"\n") else text.encode()


def point(context: StageContext, file: str, remarks: list[str]) -> tuple[Path, ...]:
    """Rewrite a kernel in the copy, or, where it lies outside of the environment, write its new content for the patch.

    Args:
        context: of the repair.
        file: absolute path of a ``kernel.json``.
        remarks: gets one where it is none that could be rewritten.

    Returns:
        The file where it lies outside and changes, else nothing.

    Raises:
        OSError: the disk refused.
    """
    inside = context.holds(file)
    path = context.staged(file) if inside else Path(file).resolve()
    content = _read(path)
    found = pointed(content, python_of(context)) if content is not None else None
    if found is None:
        remarks.append(f"{file} is no Jupyter kernel of Python that could be rewritten")
    if found is None or found == content:
        return ()
    mode = path.stat().st_mode & 0o7777
    if inside:
        write_atomic(path, found, mode=mode)
        return ()
    image = outside_image(context.stage, path)
    image.parent.mkdir(exist_ok=True)
    write_atomic(image, found, mode=mode)
    return (path,)


def python_of(context: StageContext) -> str:
    """Return the Python of the environment where it stands, by its own path: a venv knows itself by it."""
    seen = context.seen.env
    if seen is not None and context.holds(str(seen.python)):
        return str(seen.python)
    return str(context.prefix / "bin" / "python")


def _show_gpus(data: dict[str, Any]) -> None:
    variables = data.get("env")
    if not isinstance(variables, dict) or not isinstance(value := variables.get(_HIDING), str):
        return
    # CUDA stops reading at the first entry that is no GPU; an empty list and a negative number show none.
    if value.strip() == "" or re.match(r"\s*-\d", value) or value.strip().lower() in ("none", "void", "nodevfiles"):
        del variables[_HIDING]


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as stream:
            content = stream.read(_LIMIT + 1)
    except (FileNotFoundError, IsADirectoryError):
        return None
    return content if len(content) <= _LIMIT else None
