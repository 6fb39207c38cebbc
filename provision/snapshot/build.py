"""What a TensorFlow package says about its own build, read as text: nothing of it is imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

BUILD_INFO = ("tensorflow/python/platform/build_info.py", "tensorflow_core/python/platform/build_info.py")
"""Where a TensorFlow package says how it was built, below site-packages; the second name is that of 1.15 and 2.0."""
_GENERATED = ("tensorflow/core/framework/types_pb2.py", "tensorflow_core/core/framework/types_pb2.py")
_LIMIT = 1 << 20
_NEEDS = re.compile(r"ValidateProtobufRuntimeVersion\(\s*[\w.]+,\s*(\d+),\s*(\d+),\s*(\d+)")


def read_build(site: Path) -> Mapping[str, str | bool]:
    """Return the literal table of ``build_info.py``, texts and truth values only; empty where there is none."""
    for place in BUILD_INFO:
        try:
            tree = ast.parse(_text(site / place))
        except (SyntaxError, ValueError, RecursionError):
            continue
        found = {name: value for name, value in literals(tree) if isinstance(value, str | bool)}
        if found:
            return found
    return {}


def read_gencode(site: Path) -> str:
    """Return which protobuf wrote the generated code: ``old``, ``builder``, a version, or nothing.

    Up to protobuf 3.19 it describes each field itself, which runtimes from 4.21 on refuse unless they are pure Python;
    from 3.20 on it asks for ``builder``, and from 5.26 on it names the oldest runtime it admits.
    Source: protobuf's release notes 4.21, google.protobuf.runtime_version.
    """
    for place in _GENERATED:
        text = _text(site / place)
        if not text:
            continue
        named = _NEEDS.search(text)
        if named:
            return ".".join(named.groups())
        if "import builder as _builder" in text:
            return "builder"
        if "_descriptor." in text:
            return "old"
    return ""


def literals(tree: ast.AST) -> Iterator[tuple[str, object]]:
    """Yield key and value of every literal: plain names up to 2.0, then a table, then an ordered one of pairs."""
    for node in ast.walk(tree):
        found: list[tuple[ast.expr | None, ast.expr]] = []
        if isinstance(node, ast.Dict):
            found = list(zip(node.keys, node.values, strict=True))
        elif isinstance(node, ast.Tuple) and len(node.elts) == 2:  # noqa: PLR2004 - a key and its value
            found = [(node.elts[0], node.elts[1])]
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found = [(ast.Constant(node.targets[0].id), node.value)]
        for key, value in found:
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and _literal(value):
                yield key.value, ast.literal_eval(value)


def _literal(node: ast.expr) -> bool:
    if isinstance(node, ast.List | ast.Tuple):
        return all(isinstance(item, ast.Constant) for item in node.elts)
    return isinstance(node, ast.Constant)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(_LIMIT).decode("utf-8", "replace")
    except OSError:
        return ""
