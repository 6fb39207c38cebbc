"""What the two conda formats share: checks of names, addresses and hashes, and our own notes beside a package.

Neither format has room for everything that an installer wants to know (`constrains`, the size, the channel as it was
configured), so each package gets a small JSON document of ours. Both also carry a digest of all packages: another
tool that locks anew keeps our contract in the file, and the contract must not speak for packages it never saw.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any
from urllib.parse import unquote, urlsplit

from provision.errors import InvalidFileError
from provision.matrix.tree import Problems
from provision.model.lock import CondaLocked, Locked, normalised

OURS = "tfgpu-"
"""How our own keys begin, in the tables that the formats leave to their users."""
CONTRACT, DIGEST, NOTE = (f"{OURS}{key}" for key in ("contract", "packages", "note."))
PLATFORM = "linux-64"
SUBDIRS = (PLATFORM, "noarch")
MOST_PACKAGES = 5000
"""More packages than any environment has."""
_LONGEST = 2000
_NAME = re.compile(r"(?!__)[a-z0-9_][a-z0-9_.-]{0,127}\Z")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.!+]{0,99}\Z")
_BUILD = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.+]{0,99}\Z")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?\Z")
_SPEC = re.compile(r"[0-9A-Za-z_][ -~]{0,499}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_MD5 = re.compile(r"[0-9a-f]{32}\Z")
_FILE = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)-(?P<build>[^-]+)\.(?:conda|tar\.bz2)\Z")
_CHANNEL = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_./-]{0,199}\Z")
_TOKEN = re.compile(r"/t/[^/]+/")


def refused(problems: Problems, where: str) -> InvalidFileError:
    """Return the error for a lock that is not taken, with the first problems found in it."""
    lines = problems.lines
    more = (f"and {len(lines) - 20} more",) if len(lines) > 20 else ()  # noqa: PLR2004 - a screenful
    return InvalidFileError(
        f"{where} is not a lock that can be used",
        code="bad-lock",
        why=(*lines[:20], *more),
        hint="nothing was installed; make it anew: `tfgpu-provision lock --backend conda`",
    )


def address_fault(url: str) -> str:
    """Return why an address is not taken, empty where it is.

    https or file only; no credentials, no token in the path, no variable that another tool would expand, no way up.
    """
    if not url or len(url) > _LONGEST or not url.isascii() or not url.isprintable() or set(url) & set(" \\$<>\"'`{}|^"):
        return "the address holds characters that no address of a package needs"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "the address cannot be read"
    if parts.scheme not in ("https", "file"):
        return f"an address must begin with https:// or file://, not {parts.scheme or 'nothing'}:"
    if "@" in parts.netloc:
        return "the address holds credentials"
    if parts.query or parts.fragment:
        return "the address holds a query or a fragment"
    if parts.scheme == "https" and not parts.hostname:
        return "the address names no host"
    if parts.scheme == "file" and (parts.netloc not in ("", "localhost") or port is not None):
        return "a file address names a host"
    path = unquote(parts.path)
    if not path.startswith("/") or not path.isprintable() or "\\" in path:
        return "the path of the address is not plain"
    if {"..", "."} & set(path.split("/")) or "%2f" in parts.path.lower():
        return "the path of the address leads up"
    if parts.scheme == "https" and _TOKEN.search(path):
        return "the address holds a token"
    return ""


def sha256_fault(digest: str) -> str:
    """Return why a sha256 is not taken, empty where it is."""
    if not digest:
        return "has no sha256: md5 alone proves nothing"
    return "" if _SHA256.match(digest) else "its sha256 is not 64 lower-case hexadecimal digits"


def conda_package(fields: dict[str, str], note: dict[str, Any] | None) -> CondaLocked | str:
    """Return one conda package from its checked fields, or what is wrong with it.

    Args:
        fields: ``url`` and ``sha256``; ``name``, ``version``, ``build`` and ``md5`` where the format has them.
        note: what `note_of` wrote, None where the file is not ours.
    """
    url = fields["url"]
    if fault := address_fault(url) or sha256_fault(fields["sha256"]):
        return fault
    folder, _, file = url.rpartition("/")
    channel, _, subdir = folder.rpartition("/")
    if subdir not in SUBDIRS:
        return f"its address is for {subdir[:40]!r}, not for {PLATFORM} or noarch"
    found = _FILE.match(unquote(file))
    if found is None:
        return "its address does not end in NAME-VERSION-BUILD.conda or .tar.bz2"
    for key in ("name", "version", "build"):
        if fields.get(key) and fields[key] != found[key]:
            return f"its {key} is {fields[key][:60]!r}, its address says {found[key][:60]!r}"
    if not (_NAME.match(found["name"]) and _VERSION.match(found["version"]) and _BUILD.match(found["build"])):
        return "its name, version or build string is not one of conda"
    md5 = fields.get("md5", "")
    if md5 and not _MD5.match(md5):
        return "its md5 is not 32 lower-case hexadecimal digits"
    extra = _read_note(note or {}, channel)
    if isinstance(extra, str):
        return extra
    return CondaLocked(
        found["name"], found["version"], found["build"], subdir, url=url, sha256=fields["sha256"],
        **{"md5": md5, **extra},
    )  # fmt: skip


def pip_package(name: str, version: str, hashes: tuple[str, ...]) -> Locked | str:
    """Return one distribution, or what is wrong with it; where it comes from is the index's business."""
    if not _DISTRIBUTION.match(name) or not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z.!+_-]{0,99}", version):
        return "its name or version is not one of the package index"
    faults = [fault for fault in map(sha256_fault, hashes or ("",)) if fault]
    return faults[0] if faults else Locked(normalised(name), version, tuple(sorted(set(hashes))))


def note_of(item: CondaLocked, *, md5: bool = False) -> str:
    """Return what the formats have no room for, as JSON on one line; what is unknown is left out."""
    said: dict[str, Any] = {"channel": item.channel, "depends": item.depends, "constrains": item.constrains}
    if item.size is not None:
        said["size"] = item.size
    if md5 and item.md5:
        said["md5"] = item.md5
    return compact({key: value for key, value in said.items() if value not in ((), "")})


def _read_note(note: dict[str, Any], channel: str) -> dict[str, Any] | str:
    """Return the attributes of a note, or what is wrong with it; the channel's address where it names none."""
    if set(note) - {"channel", "constrains", "depends", "md5", "size"}:
        return "our note beside it holds something unknown"
    given = note.get("channel", channel)
    if not isinstance(given, str) or ("://" in given and address_fault(given)) or (
        "://" not in given and not _CHANNEL.match(given)
    ):  # fmt: skip
        return "our note beside it names a channel that is none"
    read: dict[str, Any] = {"channel": given}
    for key in ("depends", "constrains"):
        specs = note.get(key, [])
        if not isinstance(specs, list) or not all(isinstance(spec, str) and _SPEC.match(spec) for spec in specs):
            return f"our note beside it has {key} that are none"
        read[key] = tuple(specs)
    size = note.get("size")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 50):
        return "our note beside it has a size that is none"
    read["size"] = size
    if "md5" in note:
        if not isinstance(note["md5"], str) or not _MD5.match(note["md5"]):
            return "our note beside it has an md5 that is none"
        read["md5"] = note["md5"]
    return read


def read_json(text: str) -> Any:
    """Return a JSON document of ours, None for anything else: too long, too deep, not JSON, a key twice."""
    if len(text) > 200_000:  # noqa: PLR2004 - a contract is 5 KB
        return None
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_never)
    except (ValueError, RecursionError):
        return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError
    return dict(pairs)


def _never(_: str) -> Any:
    raise ValueError


def compact(document: Any) -> str:
    """Return JSON on one line, the same for the same document."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest_of(conda: tuple[CondaLocked, ...], packages: tuple[Locked, ...]) -> str:
    """Return the sha256 of what is installed: every package with its hashes."""
    lines = [f"conda {item.requirement} {item.sha256}" for item in conda]
    lines += [f"pip {item.requirement} {' '.join(sorted(item.hashes))}" for item in packages]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


VOID = "its GPU contract was made for other packages: another tool, or somebody, changed the lock"
FOREIGN = "carries no GPU contract: another tool wrote it"
