"""The C++ library that is found before the system's, and whether it is new enough for TensorFlow.

A conda environment brings its own ``libstdc++.so.6``, and so may a folder of LD_LIBRARY_PATH. The system's own is not
looked at: the platform tag of the wheel covers it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.version import Version

from provision.model.environment import EnvRef
from provision.model.environment_facts import CxxLibrary
from provision.snapshot.distributions import is_file

_NAME = "libstdc++.so.6"
_VERSION = re.compile(rb"\0(GLIBCXX|CXXABI)_(\d+(?:\.\d+)+)(?=\0)")
_LIMIT = 64 << 20
_ASKING = ("libtensorflow_framework.so.*", "libtensorflow_cc.so.*", "python/_pywrap_tensorflow_internal.so")


def read_cxx(env: EnvRef, variables: Mapping[str, str]) -> CxxLibrary | None:
    """Return the C++ library that comes first, None where the system's does."""
    for folder in (variables.get("LD_LIBRARY_PATH") or "").split(":"):
        if folder.startswith("/") and is_file(Path(folder) / _NAME):
            return _read(env, Path(folder) / _NAME, "LD_LIBRARY_PATH")
    own = Path(env.prefix) / "lib" / _NAME
    return _read(env, own, "conda") if env.kind == "conda" and is_file(own) else None


def _read(env: EnvRef, path: Path, why: str) -> CxxLibrary | None:
    try:
        with path.open("rb") as stream:
            has = _newest((kind.decode(), text.decode()) for kind, text in _VERSION.findall(stream.read(_LIMIT)))
    except OSError:
        return None
    package = Path(env.site_packages) / "tensorflow"
    needs: dict[str, str] = {}
    needed_by = ""
    for pattern in _ASKING:
        for library in sorted(package.glob(pattern)):
            asked = _newest([*needs.items(), *_needed(library)])
            if asked != needs:
                needs, needed_by = asked, library.name
    return CxxLibrary(str(path.resolve()), why, has, needs, needed_by)


def _newest(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    newest: dict[str, str] = {}
    for kind, text in found:
        if kind not in newest or Version(newest[kind]) < Version(text):
            newest[kind] = text
    return newest


def _needed(path: Path) -> list[tuple[str, str]]:
    """Return the versions of the C++ library that a library asks for; nothing where it cannot be read."""
    # pyelftools is slow to import; this is only asked where a C++ library stands in the way.
    from elftools.common.exceptions import ELFError  # noqa: PLC0415
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415
    from elftools.elf.gnuversions import GNUVerNeedSection  # noqa: PLC0415

    found: list[tuple[str, str]] = []
    try:
        with path.open("rb") as stream:
            for section in ELFFile(stream).iter_sections():
                if not isinstance(section, GNUVerNeedSection):
                    continue
                for _, versions in section.iter_versions():
                    names = [str(version.name) for version in versions]
                    parted = [name.partition("_") for name in names if name.startswith(("GLIBCXX_", "CXXABI_"))]
                    found += [(kind, text) for kind, _, text in parted if re.fullmatch(r"\d+(\.\d+)+", text)]
    # A damaged file makes the parser fail in many ways; that it is damaged is said elsewhere.
    except (OSError, ELFError, ValueError, KeyError, IndexError, AttributeError, TypeError, AssertionError):
        return []
    return found
