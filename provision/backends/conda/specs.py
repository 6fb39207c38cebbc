"""MatchSpecs are checked before anything else sees them: a spec must not choose where a package comes from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from provision.backends.conda import channels as addresses
from provision.errors import InvalidFileError, UsageError

if TYPE_CHECKING:
    from provision.model.lock import CondaLocked

LENGTH_LIMIT = 250
COUNT_LIMIT = 1000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_BRACKETS = re.compile(r"\[(?P<inside>[^\[\]]*)\]\s*$")
_KEY = re.compile(r"\s*(?P<key>\w+)\s*=\s*(?P<value>'[^']*'|\"[^\"]*\"|[^'\",\s]+)\s*(?:,|$)")
_KEYS = ("version", "build", "build_number", "md5", "sha256")
_REST = re.compile(r"[A-Za-z0-9_.*+!|,<>=~ ^$()-]*")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+!-]*")
_ARCHIVES = (".conda", ".tar.bz2")


def check_specs(specs: Sequence[str], channels: Sequence[str]) -> None:
    """Raise UsageError, code ``conda-spec-invalid``, for the first MatchSpec that is none of ours to solve.

    Args:
        specs: as typed.
        channels: those that were asked for; ``CHANNEL::NAME`` may name these.
    """
    if len(specs) > COUNT_LIMIT:
        raise _refused("the list", f"it has {len(specs)} entries, at most {COUNT_LIMIT} are taken")
    for spec in specs:
        complaint = complaint_of(spec, channels)
        if complaint:
            raise _refused(repr(spec[:80]), complaint)


def complaint_of(spec: str, channels: Sequence[str] = ()) -> str:
    """Return what is wrong with a MatchSpec, empty where it may be solved."""
    if len(spec) > LENGTH_LIMIT:
        return f"it is longer than {LENGTH_LIMIT} characters"
    if not spec.isprintable() or not spec.isascii():
        return "it has characters that no MatchSpec has"
    text = spec.strip()
    channel, separator, rest = text.rpartition("::")
    if separator:
        if channel not in {addresses.stripped(item) for item in channels}:
            return f"it names channel {addresses.redacted(channel)!r}, which is not among the channels"
        text = rest
    if "://" in text:
        return "it is an address"
    if "/" in text or "\\" in text or text.endswith(_ARCHIVES):
        return "it is a path"
    if found := _BRACKETS.search(text):
        if complaint := _inside(found["inside"]):
            return complaint
        text = text[: found.start()].rstrip()
    name = _NAME.match(text)
    if name is None:
        return "it does not begin with the name of a package"
    if name[0].startswith("__"):
        return "it is a virtual package: that is the machine, which a spec cannot ask for"
    if not _REST.fullmatch(text, name.end()):
        return "it has characters that no MatchSpec has"
    return ""


def _inside(text: str) -> str:
    position = 0
    while position < len(text):
        found = _KEY.match(text, position)
        if found is None:
            return "what stands in its brackets cannot be read"
        if found["key"] not in _KEYS:
            return f"{found['key']} in brackets is not allowed; {', '.join(_KEYS)} are"
        position = found.end()
    return ""


def check_package(item: CondaLocked) -> None:
    """Raise InvalidFileError, code ``conda-package-invalid``, for a package whose names or hash cannot be right.

    rattler makes folders of the name of the artifact, so that has to be what the package says of itself.
    """
    stem = f"{item.name}-{item.version}-{item.build}"
    parts = urlsplit(item.url)
    complaint = ""
    if not all(_PART.fullmatch(text) for text in (item.name, item.version, item.build, item.subdir)):
        complaint = "its name, version, build or subdir has characters that none has"
    elif parts.scheme not in ("https", "http", "file"):
        complaint = "its address begins with neither https, http nor file"
    elif unquote(parts.path).rpartition("/")[2] not in {f"{stem}{end}" for end in _ARCHIVES}:
        complaint = f"its address does not end with {stem}.conda"
    elif not re.fullmatch(r"[0-9a-f]{64}", item.sha256):
        complaint = "it has no sha256, without which nobody can tell whether it is the right one"
    elif item.md5 and not re.fullmatch(r"[0-9a-f]{32}", item.md5):
        complaint = "its md5 is none"
    if complaint:
        raise InvalidFileError(
            f"conda package {stem[:80]!r} cannot be installed",
            code="conda-package-invalid",
            why=(complaint,),
            hint="make the lock again",
        )


def name_of(spec: str) -> str:
    """Return the lower-case name of a MatchSpec that was checked."""
    found = _NAME.match(spec.rpartition("::")[2].strip())
    return found[0].lower() if found else ""


def _refused(what: str, why: str) -> UsageError:
    return UsageError(
        f"{what} is not a conda package that can be asked for",
        code="conda-spec-invalid",
        why=(why,),
        hint="write a name with an optional version, for example `numpy`, `numpy=1.19` or `numpy >=1.19,<1.24`",
    )
