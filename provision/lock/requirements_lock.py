"""The requirements format: hashes, no addresses, the contract in one comment line; for pip and uv, and every Python.

A requirements file is a language: it can switch the index, include other files, expand variables of the environment,
run ``setup.py`` of a path. What is read here is the few lines that `render` writes, and every other one is refused
with its own reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from provision.lock.contract import CONTRACT_MARK, ContractParts, contract_line, read_contract_line
from provision.lock.head import head_lines
from provision.lock.refusing import MAX_PACKAGES, bad, limit_line
from provision.model.lock import Lock, Locked, normalised

_HOW = (
    "written by tfgpu-provision lock; installable with pip install --require-hashes -r and uv pip sync; "
    "`tfgpu-provision wire ENV` afterwards"
)
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"
_PINNED = re.compile(rf"(?P<name>{_NAME})==(?P<version>[A-Za-z0-9.!+_-]{{1,80}})\Z")
_ADDRESSED = re.compile(rf"(?P<name>{_NAME})@(?P<url>\S+)\Z")
_HASH = re.compile(r"--hash=sha256:(?P<digest>[0-9a-f]{64})\Z")
_URL = re.compile(r"https://[A-Za-z0-9.-]+(?::\d{1,5})?/[A-Za-z0-9._~/%+!-]*\Z")
"""No credentials, query, fragment or ``$``: pip puts the environment's variables where it finds ``${NAME}``."""

_REASONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-{1,2}(?:i|index-url|extra-index-url|f|find-links|no-index)\b"), "an option that switches the index"),
    (re.compile(r"-{1,2}(?:r|requirement|c|constraint)\b"), "an option that reads another file"),
    (re.compile(r"-{1,2}(?:e|editable)\b"), "an editable requirement"),
    (re.compile(r"--trusted-host\b"), "an option that trusts a host without a certificate"),
    (
        re.compile(r"--(?:no-binary|only-binary|prefer-binary|config-settings?|global-option|install-option)\b"),
        "an option of builds",
    ),
    (re.compile(r"-"), "an option; a lock has none"),
    (re.compile(r"\S*\$\{"), "a variable of the environment"),
    (re.compile(r"(?:\S+\s*@\s*)?(?:git|hg|svn|bzr)\+"), "a requirement from version control"),
    (re.compile(r"(?:\S+\s*@\s*)?(?:file:|\.{0,2}/|~|[A-Za-z]:\\|\\)"), "a path"),
    (
        re.compile(r"[^\s@]+\s*@|[A-Za-z][A-Za-z0-9+.-]*://"),
        "an address; `--allow-urls` takes `name @ https://…` with a sha256",
    ),
    (re.compile(r"[^\s;]+\s*;|\S+\s+.*;"), "a marker: a lock is for one Python and one kind of machine"),
    (re.compile(rf"{_NAME}\s*\["), "an extra: what it brings is locked by name"),
    (re.compile(rf"{_NAME}\s*===|{_NAME}==\S*\*|{_NAME}\s*(?:[<>~!]|==\S*,)"), "a range; a lock names exact versions"),
    (re.compile(r"\S+\.(?:whl|zip|tar\.\w+|tgz)(?:\s|\Z)"), "a path"),
)


@dataclass(frozen=True)
class _Line:
    """A logical line: its words, and the number of the physical line on which it begins."""

    number: int
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(self.words)


def render(lock: Lock) -> str:
    """Return the text of a lock without conda packages."""
    lines = [f"# {line}" for line in (*head_lines(lock.contract), _HOW)]
    lines.append(contract_line(lock))
    for item in sorted(lock.packages, key=lambda item: item.name):
        first = f"{item.name} @ {item.url}" if item.url else item.requirement
        lines.append(" \\\n".join([first, *(f"    --hash=sha256:{digest}" for digest in sorted(set(item.hashes)))]))
    return "\n".join(lines) + "\n"


def parse(text: str, where: str, *, allow_urls: bool = False) -> Lock:
    """Read a lock.

    Args:
        text: what `readable_text` gave.
        where: name of the file.
        allow_urls: whether ``name @ https://…`` is taken; its hashes are demanded all the same.

    Raises:
        InvalidFileError: code ``bad-lock``, with the number of the line.
    """
    parts: ContractParts | None = None
    found: dict[str, Locked] = {}
    for line in _logical_lines(text, where):
        if isinstance(line, tuple):
            if parts is not None:
                raise bad(where, "a second contract", line=line[0])
            parts = read_contract_line(line[1], where, line[0])
            continue
        item = _package(line, where, allow_urls=allow_urls)
        if item.name in found:
            raise bad(where, f"{item.name} stands in it twice", line=line.number)
        if len(found) == MAX_PACKAGES:
            raise bad(where, f"more than {MAX_PACKAGES} packages", line=line.number)
        found[item.name] = item
    if parts is None:
        raise bad(
            where,
            f"it has no contract (a line that begins with {CONTRACT_MARK.strip()})",
            hint=f"install it with `tfgpu-provision create -r {where}`, or make a lock: `tfgpu-provision lock`",
        )
    return Lock(
        parts.contract,
        tuple(found[name] for name in sorted(found)),
        source_only=parts.source_only,
        build_tools=parts.build_tools,
    )


def _logical_lines(text: str, where: str) -> Iterator[_Line | tuple[int, str]]:
    r"""Yield each requirement, and the contract as number and line.

    pip and uv do not agree on everything that can be done with a backslash, so it may stand in one place only: at the
    end of a line, after a space, before a line that goes on.
    """
    pending: list[str] = []
    start = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith(CONTRACT_MARK) and not pending:
            yield number, line
            continue
        limit_line(where, number, line)
        bare = line.strip(" ")
        goes_on = bare.endswith(" \\")
        words = bare.removesuffix("\\").split()
        if "\\" in bare.removesuffix(" \\" if goes_on else "") or line.endswith("\\ ") or (goes_on and not words):
            raise bad(where, "a backslash where a lock has none", line=number, shown=line)
        if pending and (not words or bare.startswith("#")):
            raise bad(where, "a line that was to go on does not", line=number, shown=line)
        if not words or bare.startswith("#"):
            if goes_on:
                raise bad(where, "a comment that goes on", line=number, shown=line)
            if bare.removeprefix("#").strip().startswith(CONTRACT_MARK[2:].strip()):
                raise bad(where, "a contract that is not written as one", line=number, shown=line)
            continue
        if not pending:
            start = number
        pending += words
        if not goes_on:
            yield _Line(start, tuple(pending))
            pending = []
    if pending:
        raise bad(where, "the file ends in the middle of a line", line=start)


def _package(line: _Line, where: str, *, allow_urls: bool) -> Locked:
    """Read one requirement with its hashes."""
    first = next((at for at, word in enumerate(line.words) if word.startswith("--hash")), len(line.words))
    head, rest = "".join(line.words[:first]), line.words[first:]
    pinned = _PINNED.match(head) if first == 1 else None
    addressed = _ADDRESSED.match(head) if allow_urls and line.words[1:2] == ("@",) and first == 3 else None  # noqa: PLR2004 - name @ address
    if pinned is None and addressed is None:
        raise bad(where, _reason(line), line=line.number, shown=line.text)
    if not rest:
        raise bad(where, "no hash: every package needs its sha256", line=line.number, shown=line.text)
    hashes = [_HASH.match(word) for word in rest]
    if None in hashes:
        wrong = rest[hashes.index(None)]
        what = (
            "a hash that is not a sha256 of 64 small hexadecimal digits"
            if wrong.startswith("--hash")
            else "something after the hashes"
        )
        raise bad(where, what, line=line.number, shown=wrong)
    digests = tuple(sorted({match["digest"] for match in hashes if match}))
    if addressed is not None:
        return _from_address(addressed, digests, line, where)
    assert pinned is not None  # noqa: S101 - one of both
    try:
        Version(pinned["version"])
    except InvalidVersion:
        raise bad(where, "a version that is none", line=line.number, shown=line.text) from None
    return Locked(normalised(pinned["name"]), pinned["version"], digests)


def _reason(line: _Line) -> str:
    """Say what a line is that is not ``name==version``."""
    known = next((reason for pattern, reason in _REASONS if pattern.match(line.text)), None)
    return known or "not of the form name==version"


def _from_address(match: re.Match[str], digests: tuple[str, ...], line: _Line, where: str) -> Locked:
    """Read ``name @ https://…``; a wheel's file name says which version it is and must be of that name."""
    name, url = normalised(match["name"]), match["url"]
    if not _URL.match(url):
        reason = "an address that is not plain https (no credentials, query, fragment or variable)"
        raise bad(where, reason, line=line.number, shown=url)
    path = unquote(urlsplit(url).path)
    if ".." in path.split("/"):
        raise bad(where, "an address that leads upwards", line=line.number, shown=url)
    file = path.rsplit("/", 1)[-1]
    if not file.endswith(".whl"):
        return Locked(name, "", digests, url)
    try:
        found, version, _, _ = parse_wheel_filename(file)
    except InvalidWheelFilename:
        raise bad(where, "an address of a wheel whose name cannot be read", line=line.number, shown=url) from None
    if normalised(found) != name:
        raise bad(where, f"an address of {found} under the name {name}", line=line.number, shown=url)
    return Locked(name, str(version), digests, url)
