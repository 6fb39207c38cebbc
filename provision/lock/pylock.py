"""``pylock.NAME.toml`` (PEP 751), with the contract in ``[tool.tfgpu]``.

The format wants an address for every file; pip and uv follow them. This tool does not: it takes names, versions and
hashes from the file, and the artifacts from the index that is configured.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from packaging.pylock import Package, PackageSdist, PackageWheel, Pylock, PylockValidationError
from packaging.version import InvalidVersion, Version

from provision.errors import ToolFailedError
from provision.lock.contract import SHA256, contract_document, read_contract
from provision.lock.head import head_lines
from provision.lock.refusing import MAX_PACKAGES, bad
from provision.lock.toml import read_toml, write_toml
from provision.model.lock import Contract, Lock, Locked, normalised

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CREATED_BY = "tfgpu-provision"
_VERSION = "1.0"
_TOP = {"lock-version", "environments", "requires-python", "created-by", "packages", "tool"}
_PACKAGE = {"name", "version", "wheels", "sdist"}
_FILE = {"name", "url", "size", "hashes"}
_TELLING = {
    "vcs": "it comes from version control",
    "directory": "it comes from a directory",
    "archive": "it comes from an archive at an address",
    "index": "it names an index",
    "marker": "it has a marker: a lock is for one Python and one kind of machine",
    "extras": "it has extras",
    "dependency-groups": "it has groups",
    "default-groups": "it has groups",
    "path": "it names a path",
}
"""Why keys of the format that are not taken are not taken."""
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+/[A-Za-z0-9._~/%+!-]+\Z")
_HOW = "written by tfgpu-provision lock; installable with uv pip sync; `tfgpu-provision wire ENV` afterwards"


def render(lock: Lock, files: str) -> str:
    """Return the text of a lock without conda packages.

    Args:
        lock: what is locked.
        files: what ``uv pip compile --format pylock.toml`` wrote for the same versions: the files of each package. Of
            each, those whose sha256 the lock names are written; what depends on the machine or the day is not.

    Raises:
        ToolFailedError: code ``lock-format``, where a package has no file with an address there.
    """
    found = _files_by_name(files)
    document = {
        "lock-version": _VERSION,
        "environments": _environments(lock.contract),
        "requires-python": _requires_python(lock.contract),
        "created-by": CREATED_BY,
        "packages": [
            _written(item, found.get(item.name)) for item in sorted(lock.packages, key=lambda item: item.name)
        ],
        "tool": {"tfgpu": contract_document(lock)},
    }
    try:
        Pylock.from_dict(document)
    except PylockValidationError as error:
        raise _unfit(str(error)) from error
    head = "".join(f"# {line}\n" for line in (*head_lines(lock.contract), _HOW))
    return f"{head}\n{write_toml(document)}"


def parse(text: str, where: str) -> Lock:
    """Read a lock of ours; its addresses are checked and forgotten.

    Args:
        text: of the file.
        where: its name.

    Raises:
        InvalidFileError: code ``bad-lock``: no TOML, against PEP 751, a key that we never write, a package that is no
            wheel or source archive of an index, a missing hash, a contract that is none or says something else.
    """
    document = read_toml(text, where)
    _known(document, _TOP, "the file", where)
    tool = document.get("tool")
    if not isinstance(tool, dict) or "tfgpu" not in tool:
        raise bad(where, "it has no contract ([tool.tfgpu])")
    _known(tool, {"tfgpu"}, "tool", where)
    parts = read_contract(tool["tfgpu"], where)
    packages = document.get("packages")
    if not isinstance(packages, list) or not all(isinstance(item, dict) for item in packages):
        raise bad(where, "packages is not a list of tables")
    if len(packages) > MAX_PACKAGES:
        raise bad(where, f"it has {len(packages)} packages; {MAX_PACKAGES} are allowed")
    for package in packages:
        _shape(package, where)
    try:
        lock = Pylock.from_dict(document)
    except PylockValidationError as error:
        raise bad(where, f"it is not what PEP 751 says: {error}"[:300]) from None
    _said_once(document, parts.contract, where)
    found: dict[str, Locked] = {}
    for package in lock.packages:
        if package.name in found:
            raise bad(where, f"{package.name} stands in it twice")
        found[package.name] = Locked(package.name, str(package.version), _hashes(package))
    texts = {item["name"]: item["version"] for item in packages}
    return Lock(
        parts.contract,
        tuple(Locked(name, texts[name], found[name].hashes) for name in sorted(found)),
        source_only=parts.source_only,
        build_tools=parts.build_tools,
    )


def _environments(contract: Contract) -> list[str]:
    return [f"sys_platform == '{contract.system}' and platform_machine == '{contract.machine}'"]


def _requires_python(contract: Contract) -> str:
    return f"=={contract.python}.*"


def _files_by_name(text: str) -> Mapping[str, Package]:
    """Take apart what uv wrote."""
    try:
        document = tomllib.loads(text)
        return {normalised(package.name): package for package in Pylock.from_dict(document).packages}
    except (tomllib.TOMLDecodeError, PylockValidationError) as error:
        raise _unfit(f"what uv wrote cannot be read: {error}"[:300]) from error


def _written(item: Locked, package: Package | None) -> dict[str, Any]:
    """Return one package as it is written: wheels by file name, each file with the keys that say what it is."""
    if item.url:
        raise _unfit(f"{item.name} comes from an address of its own")
    if package is None or package.version is None or package.version != Version(item.version):
        raise _unfit(f"nothing is known of the files of {item.requirement}")
    written: dict[str, Any] = {"name": item.name, "version": item.version}
    wanted = [file for file in _each(package) if file.hashes.get("sha256") in item.hashes]
    if {file.hashes["sha256"] for file in wanted} != set(item.hashes):
        raise _unfit(f"a file of {item.requirement} that is locked is not among those that uv names")
    wheels = sorted(
        (_file(item, file) for file in wanted if isinstance(file, PackageWheel)), key=lambda file: str(file["name"])
    )
    sdists = [_file(item, file) for file in wanted if isinstance(file, PackageSdist)]
    if sdists:
        written["sdist"] = sdists[0]
    if wheels:
        written["wheels"] = wheels
    return written


def _each(package: Package) -> Iterator[PackageWheel | PackageSdist]:
    yield from package.wheels or ()
    if package.sdist is not None:
        yield package.sdist


def _file(item: Locked, file: PackageWheel | PackageSdist) -> dict[str, Any]:
    """Return one file; what the index wants of the user (credentials, a signed query) is not part of its address."""
    parts = urlsplit(file.url or "")
    host = parts.netloc.rpartition("@")[2]
    url = f"{parts.scheme}://{host}{parts.path}"
    if parts.scheme not in {"http", "https"} or not _URL.match(url):
        raise _unfit(f"a file of {item.requirement} has no address on the web")
    size = {} if file.size is None else {"size": file.size}
    return {"name": file.filename, "url": url, **size, "hashes": {"sha256": file.hashes["sha256"]}}


def _unfit(why: str) -> ToolFailedError:
    return ToolFailedError(
        "this lock cannot be written as pylock.toml",
        code="lock-format",
        why=(why,),
        hint="the format needs an address for every file; `--format requirements` needs none",
    )


def _said_once(document: Mapping[str, Any], contract: Contract, where: str) -> None:
    """Refuse a file whose own keys say something else than its contract."""
    for key, value in (
        ("lock-version", _VERSION),
        ("environments", _environments(contract)),
        ("requires-python", _requires_python(contract)),
    ):
        if document.get(key) != value:
            raise bad(where, f"{key} does not say what the contract says: {value}", shown=str(document.get(key))[:200])


def _known(table: Mapping[str, Any], keys: set[str], name: str, where: str) -> None:
    for key in table:
        if key not in keys:
            reason = _TELLING.get(key, f"it has a key that is not known: {key[:60]}")
            raise bad(where, f"{name}: {reason}")


def _shape(package: Mapping[str, Any], where: str) -> None:
    """Refuse what PEP 751 allows and a lock of ours never has."""
    name = package.get("name")
    shown = f"package {name[:100]}" if isinstance(name, str) else "a package"
    _known(package, _PACKAGE, shown, where)
    version = package.get("version")
    try:
        Version(version if isinstance(version, str) and len(version) <= 80 else "")  # noqa: PLR2004 - characters
    except InvalidVersion:
        raise bad(where, f"{shown}: its version is none", shown=str(version)[:200]) from None
    wheels = package.get("wheels", [])
    if not isinstance(wheels, list):
        raise bad(where, f"{shown}: wheels is not a list")
    for file in (*wheels, *([package["sdist"]] if "sdist" in package else [])):
        if not isinstance(file, dict):
            raise bad(where, f"{shown}: a file is not a table")
        _known(file, _FILE, f"{shown}: a file", where)
        hashes = file.get("hashes")
        if not isinstance(hashes, dict) or list(hashes) != ["sha256"] or not _is_sha256(hashes["sha256"]):
            raise bad(where, f"{shown}: a file without exactly one sha256 of 64 small hexadecimal digits")
        url = file.get("url")
        if not isinstance(url, str) or not _URL.match(url):
            reason = "a file without a plain http(s) address (no credentials, query, fragment or variable)"
            raise bad(where, f"{shown}: {reason}", shown=str(url)[:200])


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and SHA256.match(value) is not None


def _hashes(package: Package) -> tuple[str, ...]:
    return tuple(sorted({file.hashes["sha256"] for file in _each(package)}))
