"""A strict reader of ``conda-lock.yml`` version 1: all that is wrong with a file ends as one list of reasons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provision.lock.conda_parts import (
    CONTRACT,
    DIGEST,
    FOREIGN,
    MOST_PACKAGES,
    NOTE,
    OURS,
    PLATFORM,
    VOID,
    address_fault,
    conda_package,
    digest_of,
    pip_package,
    read_json,
    refused,
)
from provision.lock.contract import read_contract
from provision.lock.refusing import readable_text
from provision.matrix.tree import MappingNode, Node, Problems, ScalarNode, SequenceNode, line_of
from provision.matrix.tree import parse as parse_yaml
from provision.model.lock import CondaLocked, Lock, Locked

_TOP = ({"version", "metadata", "package"}, {"version", "metadata", "package"})
_META = (
    {"content_hash", "channels", "platforms", "sources"},
    {"content_hash", "channels", "platforms", "sources"}
    | {"time_metadata", "git_metadata", "inputs_metadata", "custom_metadata"},
)
_PACKAGE = (
    {"name", "version", "manager", "platform", "url", "hash", "optional"},
    {"name", "version", "manager", "platform", "url", "hash", "optional"}
    | {"dependencies", "category", "source", "build"},
)
"""Keys that must be there, and keys that may be there: conda-lock's schema of version 1 (conda-lock 4.0.3)."""

_INSTALLED = frozenset({"main", "dev"})
"""The categories that ``conda-lock install`` installs where nothing else is said."""


def parse(text: str, where: str) -> Lock:
    """Read a lock of ours.

    Args:
        text: of the file.
        where: its name, for messages.

    Raises:
        InvalidFileError: code ``bad-lock`` with every reason: not plain YAML of conda-lock's version 1, keys it does
            not know, another platform, an address with credentials or neither https nor file, a missing sha256, no
            GPU contract, packages that the contract was not made for.
    """
    problems = Problems(where)
    metadata, conda, packages = _read(text, where, problems, _INSTALLED)
    custom = _custom(metadata, problems)
    known = {CONTRACT, DIGEST, *(f"{NOTE}{item.name}" for item in conda)}
    for key, (line, _) in custom.items():
        if key.startswith(OURS) and key not in known:
            problems.add(line, f"unknown entry of ours: {key[:80]}")
    line, said = custom.get(CONTRACT, (1, ""))
    document = read_json(said) if said else None
    if not said:
        problems.add(1, FOREIGN)
    elif not isinstance(document, dict):
        problems.add(line, "its GPU contract is not JSON")
    elif not problems and custom.get(DIGEST, (1, ""))[1] != digest_of(conda, packages):
        problems.add(line, VOID)
    if problems or not isinstance(document, dict):
        raise refused(problems, where)
    parts = read_contract(document, where)
    return Lock(parts.contract, packages, conda, parts.source_only, parts.build_tools)


def parse_foreign(
    text: str, where: str, categories: frozenset[str] = _INSTALLED
) -> tuple[tuple[CondaLocked, ...], tuple[Locked, ...]]:
    """Read what conda-lock itself wrote: its packages for linux-64, without a contract.

    Raises:
        InvalidFileError: code ``bad-lock``, as for `parse`; a file for several platforms is fine.
    """
    problems = Problems(where)
    _, conda, packages = _read(text, where, problems, categories)
    if problems:
        raise refused(problems, where)
    return conda, packages


def carries_contract(text: str) -> bool:
    """Whether a file claims to be one of ours, so that `parse` is the one to ask."""
    return CONTRACT in text


def _read(
    text: str, where: str, problems: Problems, categories: frozenset[str]
) -> tuple[dict[str, Node], tuple[CondaLocked, ...], tuple[Locked, ...]]:
    plain = readable_text(where, text.encode("utf-8", "surrogateescape"))
    root = parse_yaml(plain.encode(), problems)
    if root is None:
        return {}, (), ()
    top = _table(root, _TOP, "the lock", problems)
    if "version" in top and _text(top["version"], problems) != "1":
        problems.add(line_of(top["version"]), "only version 1 of the format is known")
    metadata = _table(top["metadata"], _META, "metadata", problems) if "metadata" in top else {}
    if "platforms" in metadata and PLATFORM not in _texts(metadata["platforms"], problems):
        problems.add(line_of(metadata["platforms"]), f"it is not for {PLATFORM}")
    notes = {key: said for key, (_, said) in _custom(metadata, problems).items() if key.startswith(NOTE)}
    conda: dict[str, CondaLocked] = {}
    packages: dict[str, Locked] = {}
    for node in _items(top.get("package"), problems):
        fields = _table(node, _PACKAGE, "a package", problems)
        if not fields:
            continue
        flat = {
            key: _text(value, problems)
            for key, value in fields.items()
            if key not in ("hash", "dependencies", "source")
        }
        if flat["platform"] != PLATFORM or flat.get("category", "main") not in categories:
            continue
        hashes = _table(fields["hash"], (set(), {"md5", "sha256"}), "a hash", problems)
        flat |= {key: _text(value, problems) for key, value in hashes.items()}
        made = _package(flat, fields, notes.get(f"{NOTE}{flat['name']}"))
        if isinstance(made, str):
            problems.add(line_of(node), f"{flat['name'][:80]}: {made}")
            continue
        into: dict[str, Any] = conda if isinstance(made, CondaLocked) else packages
        if made.name in into and into[made.name] != made:
            problems.add(line_of(node), f"{made.name} stands twice in it, differently")
        into[made.name] = made
    if not problems and not conda:
        problems.add(1, f"it holds no conda package for {PLATFORM}")
    return (
        metadata,
        tuple(conda[name] for name in sorted(conda)),
        tuple(packages[name] for name in sorted(packages)),
    )


def _package(flat: dict[str, str], fields: dict[str, Node], note: str | None) -> CondaLocked | Locked | str:
    if flat["manager"] == "pip":
        if "source" in fields:
            return "it is taken from an address of its own, which is not followed"
        return address_fault(flat["url"]) or pip_package(flat["name"], flat["version"], (flat.get("sha256", ""),))
    if flat["manager"] != "conda":
        return f"its manager is {flat['manager'][:40]!r}, neither conda nor pip"
    said = read_json(note) if note is not None else {}
    if not isinstance(said, dict):
        return "our note beside it is not JSON"
    return conda_package({"sha256": "", **flat}, _with_depends(said, fields))


def _with_depends(note: dict[str, Any], fields: dict[str, Node]) -> dict[str, Any]:
    """Return our note; where there is none, with the dependencies as the format has them."""
    if note or not isinstance(fields.get("dependencies"), MappingNode):
        return note
    pairs = [(str(key.value), str(value.value)) for key, value in fields["dependencies"].value]
    return {"depends": [f"{key} {value}".strip() for key, value in pairs]}


def _custom(metadata: dict[str, Node], problems: Problems) -> dict[str, tuple[int, str]]:
    node = metadata.get("custom_metadata")
    if node is None:
        return {}
    if not isinstance(node, MappingNode):
        problems.add(line_of(node), "custom_metadata must be a table")
        return {}
    found: dict[str, tuple[int, str]] = {}
    for key, value in node.value:
        name = _text(key, problems)
        if name in found:
            problems.add(line_of(key), f"custom_metadata holds the key {name[:60]!r} twice")
        found[name] = (line_of(key), _text(value, problems))
    return found


def _items(node: Node | None, problems: Problems) -> Iterator[Node]:
    if node is None:
        return
    if not isinstance(node, SequenceNode):
        problems.add(line_of(node), "package must be a list")
    elif len(node.value) > MOST_PACKAGES:
        problems.add(line_of(node), f"more than {MOST_PACKAGES} packages")
    else:
        yield from node.value


def _table(node: Node, keys: tuple[set[str], set[str]], what: str, problems: Problems) -> dict[str, Node]:
    """Return a table, empty where it is none or lacks a key; unknown keys and keys given twice are noted."""
    needed, known = keys
    if not isinstance(node, MappingNode):
        problems.add(line_of(node), f"{what} must be a table")
        return {}
    found: dict[str, Node] = {}
    for key, value in node.value:
        name = _text(key, problems)
        if name not in known:
            problems.add(line_of(key), f"{what} holds the key {name[:60]!r}, which conda-lock does not know")
        if name in found:
            problems.add(line_of(key), f"{what} holds the key {name[:60]!r} twice")
        found[name] = value
    missing = needed - set(found)
    if missing:
        problems.add(line_of(node), f"{what} lacks {', '.join(sorted(missing))}")
    return {} if missing else found


def _text(node: Node, problems: Problems) -> str:
    if isinstance(node, ScalarNode):
        return str(node.value)
    problems.add(line_of(node), "plain text is expected here")
    return ""


def _texts(node: Node, problems: Problems) -> list[str]:
    if not isinstance(node, SequenceNode):
        problems.add(line_of(node), "a list is expected here")
        return []
    return [_text(item, problems) for item in node.value]
