"""Find the wheels of a release on the index that is configured, or one wheel by its file or address.

Which index that is, uv and pip say, in this order: ``UV_DEFAULT_INDEX``, ``UV_INDEX_URL``, ``uv.toml``,
``PIP_INDEX_URL``, ``pip.conf``; where none of them says anything, what pypi-simple asks by itself. Indexes given
besides (``UV_INDEX``, ``UV_EXTRA_INDEX_URL``, ``PIP_EXTRA_INDEX_URL``, ``[[index]]``, ``extra-index-url``) are asked
where the first one has not the release; a folder (``file:``) counts as one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit
from urllib.request import url2pathname

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from provision.audit.reading.configured import indexes
from provision.audit.reading.net import Net, unreachable
from provision.audit.reading.source import sha256_of
from provision.errors import InvalidFileError, ToolFailedError, UsageError
from provision.model.artifact import Artifact, Release

_SPEC = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*==\s*([A-Za-z0-9.!+_-]+)\Z")
_SHA256 = re.compile(r"sha256=([0-9a-f]{64})\Z")
_PAGE_LIMIT = 64 << 20
_NAMED = 8


@dataclass(frozen=True)
class Located:
    """A wheel and where it is: ``path`` of a local file, else an ``address``, which is never shown.

    Without either the index has to be asked where it is, should something have to be read of it.
    ``trusted`` says that its sha256 comes from the index or from the file itself, so that facts may be kept by it.
    """

    artifact: Artifact
    address: str = ""
    path: Path | None = None
    trusted: bool = True


@dataclass(frozen=True)
class Found:
    """The wheels of one release and where they are."""

    release: Release
    places: Mapping[str, Located]

    def located(self, artifact: Artifact) -> Located:
        """Return where a wheel of this release is."""
        return self.places[artifact.filename]

    def named(self, filename: str) -> Located | None:
        """Return the wheel of this file name."""
        return self.places.get(filename)

    def best(self, python: str = "", machine: str = "x86_64") -> Located | None:
        """Return the wheel for Linux and a Python series; without one, for the oldest series that it is made for."""
        fitting = [
            item for item in self.release.linux(machine) if not python or not item.pythons or python in item.pythons
        ]
        # Of two builds of one version the later one counts, as for installers.
        chosen = min(fitting, key=lambda item: (*_series(item), _unbuilt(item)), default=None)
        return self.places[chosen.filename] if chosen else None


def _series(artifact: Artifact) -> tuple[Version]:
    return (Version(artifact.pythons[0]) if artifact.pythons else Version("0"),)


def _unbuilt(artifact: Artifact) -> int:
    build = parse_wheel_filename(artifact.filename)[2]
    return -build[0] if build else 0


def parse_spec(text: str) -> tuple[str, str] | None:
    """Return the normalised name and the version of ``NAME==VERSION``, None for anything else."""
    match = _SPEC.match(text.strip())
    if match is None:
        return None
    try:
        return str(canonicalize_name(match[1])), str(Version(match[2]))
    except InvalidVersion:
        return None


def find(known: Mapping[Version, Found], distribution: str, version: str) -> Found:
    """Return every wheel of a release, of what `versions` has found.

    Raises:
        UsageError: code ``unknown-release``: no index that is configured has it.
    """
    wanted = Version(version)
    if wanted not in known:
        near = [item for item in known if item.release[:2] == wanted.release[:2]] or list(known)
        has = ", ".join(map(str, sorted(near, reverse=True)[:_NAMED]))
        raise UsageError(
            f"the index has no wheel of {distribution} {version}",
            code="unknown-release",
            why=(f"it has {has}" if has else f"it does not know {distribution}",),
            hint="check name and version, and which index uv and pip are configured to use",
        )
    return known[wanted]


def versions(net: Net, distribution: str, *, environ: Mapping[str, str]) -> Mapping[Version, Found]:
    """Return every version that has wheels, with them; empty where no index knows the name.

    Raises:
        ToolFailedError: code ``index-not-readable``.
    """
    places: dict[Version, dict[str, Located]] = {}
    for address in indexes(environ):
        page: dict[Version, dict[str, Located]] = {}
        for located in _page(net, address, distribution):
            try:
                version = Version(located.artifact.version)
            except InvalidVersion:
                continue
            page.setdefault(version, {})[located.artifact.filename] = located
        for version, files in page.items():
            places.setdefault(version, files)
    return {version: found_of(distribution, version, files.values()) for version, files in places.items()}


def found_of(distribution: str, version: Version, wheels: Iterable[Located]) -> Found:
    """Return the wheels of one release in the order of their names."""
    places = {item.artifact.filename: item for item in wheels}
    return Found(Release(distribution, str(version), tuple(places[name].artifact for name in sorted(places))), places)


def locate(find_release: Callable[[str, str], Found], text: str, *, python: str = "") -> Located:
    """Return the wheel that ``NAME==VERSION``, a file or an address names.

    Args:
        find_release: name and version to the wheels of a release.
        text: what was typed.
        python: series to prefer where a release has several wheels.

    Raises:
        UsageError: code ``bad-wheel``, ``unknown-release`` or ``no-wheel``.
        InvalidFileError: the file cannot be read.
        ToolFailedError: the index cannot be read.
    """
    spec = parse_spec(text)
    if spec is not None and not Path(text).exists():
        found = find_release(*spec)
        best = found.best(python)
        if best is None:
            series = " ".join(found.release.pythons())
            raise UsageError(
                f"{spec[0]} {spec[1]} has no wheel for Linux on x86_64{f' and Python {python}' if python else ''}",
                code="no-wheel",
                why=(f"there are wheels for Python {series}" if series else "its wheels are for other systems",),
            )
        return best
    if text.startswith(("http://", "https://")):
        return _by_address(text)
    return by_path(Path(unquote(urlsplit(text).path)) if text.startswith("file:") else Path(text))


def by_path(path: Path) -> Located:
    """Return a local wheel; its sha256 is computed.

    Raises:
        UsageError: code ``bad-wheel``.
        InvalidFileError: it cannot be read.
    """
    if not path.is_file():
        raise _bad(str(path), "there is no such file, and it is no NAME==VERSION")
    name, version = _named(path.name)
    return Located(Artifact(name, version, path.name, sha256_of(path), path.stat().st_size), path=path)


def _by_address(text: str) -> Located:
    address, fragment = urldefrag(text)
    filename = unquote(urlsplit(address).path).rsplit("/", 1)[-1]
    name, version = _named(filename)
    match = _SHA256.match(fragment)
    # Whoever typed the hash may be wrong about it, so it is checked where all is read and keeps no facts.
    return Located(Artifact(name, version, filename, match[1] if match else ""), address, trusted=False)


def _named(filename: str) -> tuple[str, str]:
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion) as error:
        raise _bad(filename, "it is not called as wheels are") from error
    return str(name), str(version)


def _bad(text: str, why: str) -> UsageError:
    return UsageError(
        f"{text[:100]!a} names no wheel",
        code="bad-wheel",
        why=(why,),
        hint="give NAME==VERSION, a .whl file or its address, for example `tensorflow==2.21.0`",
    )


def _page(net: Net, index: str, distribution: str) -> Iterator[Located]:
    """Yield the wheels that one index has of a distribution."""
    import pypi_simple  # noqa: PLC0415 - half a second with what it brings; only who asks an index pays for it
    from requests import RequestException  # noqa: PLC0415 - the same

    page: Any
    try:
        if index.startswith("file:"):
            page = _folder_page(pypi_simple, index, distribution)
        else:
            client = pypi_simple.PyPISimple(index or pypi_simple.PYPI_SIMPLE_ENDPOINT, session=net.session)
            page = client.get_project_page(distribution, accept=pypi_simple.ACCEPT_ANY)
    except pypi_simple.NoSuchProjectError:
        return
    except RequestException as error:
        raise ToolFailedError(
            "the package index cannot be read",
            code="index-not-readable",
            why=unreachable(error).why,
            hint="check the network, and which index uv and pip are configured to use",
        ) from error
    except (pypi_simple.UnsupportedContentTypeError, pypi_simple.UnsupportedRepoVersionError, ValueError) as error:
        raise ToolFailedError(
            "the package index does not answer as an index does", code="index-not-readable", why=(type(error).__name__,)
        ) from error
    for package in page.packages if page else ():
        if package.package_type != "wheel" or not package.version:
            continue
        sha256 = (package.digests or {}).get("sha256", "")
        try:
            name, version = _named(package.filename)
        except UsageError:
            continue
        if name != canonicalize_name(distribution):
            continue
        uploaded = package.upload_time.date().isoformat() if package.upload_time else ""
        artifact = Artifact(
            *(name, version, package.filename, sha256.lower(), package.size or 0, bool(package.is_yanked)),
            *(uploaded, package.requires_python or ""),
        )
        address = urldefrag(package.url)[0]
        local = Path(url2pathname(urlsplit(address).path)) if address.startswith("file:") else None
        yield Located(artifact, "" if local else address, local)


def _folder_page(library: Any, index: str, distribution: str) -> Any:
    """Return the page of a distribution in a folder that is laid out as an index."""
    folder = Path(url2pathname(urlsplit(index).path)) / distribution
    page = folder / "index.html"
    try:
        with page.open("rb") as stream:
            text = stream.read(_PAGE_LIMIT).decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidFileError("a package index in a folder cannot be read", code="index-not-readable") from error
    return library.ProjectPage.from_html(distribution, text, base_url=f"{folder.as_uri()}/")
