"""Variables that an environment's own files set: the lines that do nothing else are taken out.

A line that sets several variables, runs something, or goes on in the next one is left, and said.
"""

from __future__ import annotations

import ast
import json
import os
import re
from pathlib import Path

from provision.backends.conda.activation import SCRIPT
from provision.backends.scripts import correct_records
from provision.repair.context import StageContext
from provision.system import write_atomic
from provision.wiring.hook import MODULE, START

_LIMIT = 1 << 20
_VALUE = r"""(?:"(?:[^"\\`]|\\.)*"|'[^']*'|[^\s;&|<>"'`\\()])*"""
_END = r"[ \t]*;?[ \t]*(?:\#.*)?"
_OPENS_BLOCK = re.compile(r"(?:^|\s|;)(?:then|do|else|begin)\s*(?:#.*)?$|[{(]\s*(?:#.*)?$|\)\s*(?:#.*)?$")
_OWN = (f"{SCRIPT}.sh", f"{SCRIPT}.fish", START, MODULE)


def unset(context: StageContext, file: str, variable: str) -> tuple[str, ...]:
    """Take out what sets ``variable`` in a file of the copy; return a remark where that is not possible.

    Args:
        context: of the repair.
        file: absolute path in the environment: a script of a shell, ``conda-meta/state`` or another file of conda's
            variables, or a ``.pth``, ``sitecustomize.py`` or ``usercustomize.py``.
        variable: its name.

    Raises:
        ToolFailedError: the file lies outside.
        OSError: the disk refused.
    """
    path = context.staged(file)
    by_hand = (f"{variable} in {file} has to be taken out by hand: the line does more than set it",)
    if path.name in _OWN or path.is_symlink() or not path.is_file() or path.stat().st_size > _LIMIT:
        return by_hand
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return by_hand
    changed = without(path.name, text, variable)
    if changed is None or changed == text:
        return by_hand
    content = changed.encode()
    write_atomic(path, content, mode=path.stat().st_mode & 0o7777)
    site_packages = Path(context.env.site_packages)
    correct_records(site_packages, {os.path.relpath(path, site_packages): content})
    return ()


def without(name: str, text: str, variable: str) -> str | None:
    """Return the text of a file without what sets a variable, None where it cannot be taken out alone.

    Args:
        name: of the file, which tells its language.
        text: its content.
        variable: its name.
    """
    if not re.fullmatch(r"[A-Za-z_]\w*", variable):
        return None
    if name == "state" or name.endswith(".json"):
        return _without_json(text, variable)
    if name.endswith(".pth"):
        return _without_start_line(text, variable)
    if name.endswith(".py"):
        return _without_statement(text, variable)
    kind = "fish" if name.endswith(".fish") else "csh" if name.endswith(".csh") else "sh"
    return _without_command(text, variable, kind)


def _without_command(text: str, variable: str, kind: str) -> str | None:
    pattern = re.compile(
        {
            "sh": rf"[ \t]*(?:export[ \t]+|(?:declare|typeset)[ \t]+-\w*x\w*[ \t]+)?{variable}={_VALUE}"
            rf"(?:[ \t]*;[ \t]*export[ \t]+{variable})?{_END}",
            "csh": rf"[ \t]*setenv[ \t]+{variable}(?:[ \t]+{_VALUE})?{_END}",
            "fish": rf"[ \t]*set[ \t]+(?:(?!--erase|--query)--?[\w-]+[ \t]+)*{variable}(?:[ \t]+{_VALUE})*{_END}",
        }[kind]
    )
    lines = text.splitlines(keepends=True)
    kept: list[str] = []
    for number, line in enumerate(lines):
        bare = line.rstrip("\r\n")
        continued = number > 0 and lines[number - 1].rstrip("\r\n").endswith("\\")
        if continued or not pattern.fullmatch(bare) or (kind == "fish" and _erases(bare)):
            kept.append(line)
            continue
        before = next((item.rstrip() for item in reversed(kept) if item.strip()), "")
        if _OPENS_BLOCK.search(before):
            # A shell wants something between `then` and `fi`.
            indent = bare[: len(bare) - len(bare.lstrip())]
            kept.append(f"{indent}{'true' if kind == 'fish' else ':'}{line[len(bare) :]}")
    found = "".join(kept)
    return found if found != text else None


def _erases(line: str) -> bool:
    return re.search(r"\s-(?!-)\w*[eqS]", line) is not None


def _without_json(text: str, variable: str) -> str | None:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    values = data.get("env_vars") if isinstance(data.get("env_vars"), dict) else data
    if not isinstance(values, dict) or values.pop(variable, None) is None:
        return None
    indent = re.search(r"\n([ \t]+)\"", text)
    end = "\n" if text.endswith("\n") else ""
    return json.dumps(data, indent=indent[1] if indent else None, ensure_ascii=False) + end


def _without_start_line(text: str, variable: str) -> str | None:
    """A line of a ``.pth`` that begins with ``import`` is run, as one line of its own."""
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if not (line.startswith(("import ", "import\t")) and _only_sets(line, variable))]
    return "".join(kept) if len(kept) != len(lines) else None


def _only_sets(line: str, variable: str) -> bool:
    try:
        body = ast.parse(line).body
    except (SyntaxError, ValueError):
        return False
    sets = [item for item in body if _sets(item, variable)]
    return bool(sets) and all(item in sets or _imports_os(item) for item in body)


def _imports_os(item: ast.stmt) -> bool:
    return isinstance(item, ast.Import) and all(name.name == "os" for name in item.names)


def _without_statement(text: str, variable: str) -> str | None:
    """Statements of a module that stand alone on their lines; one that is all of its block becomes ``pass``."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
    lines = text.splitlines(keepends=True)
    bodies = [
        body
        for node in ast.walk(tree)
        for name in ("body", "orelse", "finalbody")
        if isinstance(body := getattr(node, name, None), list) and body and isinstance(body[0], ast.stmt)
    ]
    found = [(item, body) for body in bodies for item in body if _sets(item, variable)]
    for item, _ in sorted(found, key=lambda pair: -pair[0].lineno):
        first, last = item.lineno - 1, (item.end_lineno or item.lineno) - 1
        alone = lines[first][: item.col_offset].strip() == "" and re.fullmatch(
            r"\s*;?\s*(?:#.*)?", lines[last].encode()[item.end_col_offset or 0 :].decode("utf-8", "replace").strip("\n")
        )
        if not alone:
            return None
        lines[first : last + 1] = [f"{lines[first][: item.col_offset]}pass\n"]
    return "".join(lines) if found else None


def _sets(item: ast.stmt, variable: str) -> bool:
    """Whether a statement is ``os.environ[NAME] = …``, ``os.environ.setdefault(NAME, …)`` or ``os.putenv(NAME, …)``."""
    if isinstance(item, ast.Assign) and len(item.targets) == 1 and isinstance(target := item.targets[0], ast.Subscript):
        value = item.value
        constant = isinstance(value, ast.Constant)
        return constant and ast.unparse(target.value) in ("os.environ", "environ") and _named(target.slice, variable)
    if isinstance(item, ast.Expr) and isinstance(call := item.value, ast.Call) and call.args:
        known = ("os.environ.setdefault", "environ.setdefault", "os.putenv")
        return ast.unparse(call.func) in known and _named(call.args[0], variable)
    return False


def _named(node: ast.expr, variable: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == variable
