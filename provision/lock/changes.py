"""What changed between two locks, complete: two locks that are written differently differ here."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provision.lock.contract import contract_document
from provision.model.lock import Change, CondaLocked, Lock, Locked

_NO_WORDS = frozenset({"schema", "build_tools"})
"""Of the document: what is the same in all of them, and what is told as packages."""


def changes(before: Lock, after: Lock) -> tuple[Change, ...]:
    """Return every difference: packages by name, those of conda, what packages are built with, then the contract.

    The kind is ``added``, ``removed``, ``version``, ``files`` or ``contract``; names of conda packages begin with
    ``conda:``, those of build tools with ``build:``, fields of the request with ``request.``.
    """
    return (
        *_packages(before.packages, after.packages, ""),
        *_conda(before.conda, after.conda),
        *_packages(before.build_tools, after.build_tools, "build:"),
        *_contract(contract_document(before), contract_document(after)),
    )


def _packages(before: Sequence[Locked], after: Sequence[Locked], prefix: str) -> Iterator[Change]:
    old, new = {item.name: item for item in before}, {item.name: item for item in after}
    for name in sorted({*old, *new}):
        one, other = old.get(name), new.get(name)
        yield from _change(
            prefix + name,
            (_shown(one), (one.url, sorted(set(one.hashes)))) if one else None,
            (_shown(other), (other.url, sorted(set(other.hashes)))) if other else None,
        )


def _shown(item: Locked) -> str:
    return item.version or item.url


def _conda(before: Sequence[CondaLocked], after: Sequence[CondaLocked]) -> Iterator[Change]:
    old, new = {item.name: item for item in before}, {item.name: item for item in after}
    for name in sorted({*old, *new}):
        one, other = old.get(name), new.get(name)
        yield from _change(
            f"conda:{name}",
            (f"{one.version}={one.build}", dataclasses.astuple(one)) if one else None,
            (f"{other.version}={other.build}", dataclasses.astuple(other)) if other else None,
        )


def _change(name: str, one: tuple[str, Any] | None, other: tuple[str, Any] | None) -> Iterator[Change]:
    """Yield what became of a package; each side is what is shown of it, and all there is to compare."""
    if one == other:
        return
    if one is None or other is None:
        yield Change("removed" if one else "added", name, one[0] if one else "", other[0] if other else "")
    elif one[0] != other[0]:
        yield Change("version", name, one[0], other[0])
    else:
        yield Change("files", name, one[0], other[0])


def _contract(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    old, new = dict(_fields(before)), dict(_fields(after))
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield Change("contract", name, old.get(name, ""), new.get(name, ""))


def _fields(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each field of a contract document and its value in words."""
    for name, value in document.items():
        if name == "request":
            for key, asked in value.items():
                yield f"request.{key}", _words(asked)
        elif name == "gpus":
            for floor in value:
                derived = " (derived)" if floor["derived"] else ""
                yield f"gpu {floor['compute_capability']}", f"driver {floor['driver']} or newer{derived}"
        elif name not in _NO_WORDS:
            yield name, _words(value)


def _words(value: Any) -> str:
    """Return a value for people; two values never have the same words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        # Items with a comma or quotes inside would read like several.
        plain = not any(not item or set(item) & set(', "') for item in value)
        return ", ".join(value) if plain else json.dumps(value, ensure_ascii=False)
    return str(value)
