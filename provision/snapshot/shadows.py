"""What stands before an environment's own packages on Python's path, and what is left of packages that were removed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from provision.backends.installed_files import installed_files
from provision.model.environment_facts import IMPORTED_MODULES, Package
from provision.probes.environment import TENSORFLOW_DISTRIBUTIONS
from provision.snapshot.distributions import has_metadata, is_file

_STANDARD = (
    "argparse", "ast", "calendar", "collections", "contextlib", "copy", "csv", "ctypes", "datetime", "decimal", "email",
    "enum", "functools", "gzip", "hashlib", "heapq", "html", "http", "inspect", "json", "logging", "math", "numbers",
    "operator", "pickle", "platform", "queue", "random", "secrets", "select", "shutil", "signal", "socket", "ssl",
    "string", "struct", "subprocess", "tempfile", "textwrap", "threading", "timeit", "tokenize", "traceback", "types",
    "typing", "unittest", "uuid", "warnings", "weakref", "zipfile",
)  # fmt: skip
"""Modules of the standard library that it or NumPy imports and that Python has not loaded when a program starts."""
_LEFT = re.compile(r"[~-](?P<rest>\w[\w.]*)(?:-(?P<version>[^-]+)\.dist-info)?\Z")
"""pip renames a folder like this while it removes it, and back where it fails."""
_SERIES = re.compile(r"/python(?P<series>\d+\.\d+)/(?:site|dist)-packages")


def local_shadows(folders: Sequence[Path]) -> tuple[tuple[str, str], ...]:
    """Return ``(module, path)`` for what lies where programs start and hides a module that TensorFlow imports."""
    found: list[tuple[str, str]] = []
    for folder in folders:
        for name in (*IMPORTED_MODULES, *_STANDARD):
            for path in (folder / name / "__init__.py", folder / f"{name}.py"):
                if is_file(path) and not (name == "google" and _shares_its_name(str(path))):
                    found.append((name, str(path)))
                    break
    return tuple(found)


def outer_shadows(
    folders: Sequence[str], packages: Sequence[Package], standard: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Return ``(module, path)`` for modules in folders of the path that no distribution there brings.

    Args:
        folders: those that are on the path through the user's variables or user site alone.
        packages: every distribution; what one of them brings is judged by its version, see `leaks`.
        standard: the folders that stand before the standard library as well.
    """
    found = []
    for folder in folders:
        there = {item.name for item in packages if item.folder == folder}
        for module, path in local_shadows([Path(folder)]):
            if module in IMPORTED_MODULES:
                if IMPORTED_MODULES[module] not in there and not _shares_its_name(path):
                    found.append((module, path))
            elif folder in standard:
                found.append((module, path))
    return tuple(found)


def _shares_its_name(path: str) -> bool:
    """Whether a package lets others of the same name lie elsewhere, as the old kind of namespace packages does."""
    try:
        with Path(path).open("rb") as stream:
            text = stream.read(4096)
    except OSError:
        return False
    return b"extend_path" in text or b"declare_namespace" in text


def local_tensorflow(folders: Sequence[Path]) -> tuple[str, ...]:
    """Return each ``tensorflow`` package or module that lies where programs start; a folder with code wins."""
    found = []
    for folder in folders:
        candidates = (folder / "tensorflow" / "__init__.py", folder / "tensorflow.py")
        found += [str(path) for path in candidates if is_file(path)][:1]
    return tuple(found)


def remnants(folders: Sequence[str], metadata: Mapping[str, Mapping[tuple[str, str], Path]]) -> tuple[str, ...]:
    """Return what is left of TensorFlow distributions in folders of the path, each as an absolute path.

    Args:
        folders: site-packages folders.
        metadata: of each of them what `info_folders` found.

    Four kinds: what pip renamed to remove it (``~ensorflow``); a ``tensorflow`` folder without code, which Python
    takes for an empty package; a package that no distribution claims; metadata without content, or twice.
    """
    return tuple(dict.fromkeys(path for folder in folders for path in _of_folder(folder, metadata.get(folder, {}))))


def _of_folder(folder: str, metadata: Mapping[tuple[str, str], Path]) -> Iterator[str]:
    base = Path(folder)
    try:
        names = sorted(entry.name for entry in base.iterdir())
    except OSError:
        return
    for name in names:
        match = _LEFT.match(name)
        # `~ensorflow` and, of a name with one letter more, `-ensorflow_gpu`.
        if match and any(
            known[1:].replace("-", "_").startswith(match["rest"][:9]) for known in TENSORFLOW_DISTRIBUTIONS
        ):
            yield str(base / name)
    own = {key: info for key, info in metadata.items() if key[0] in TENSORFLOW_DISTRIBUTIONS}
    yield from (str(info) for info in own.values() if not has_metadata(info))
    sound = sorted(key for key, info in own.items() if has_metadata(info))
    for name in dict.fromkeys(name for name, _ in sound):
        twice = [own[key] for key in sound if key[0] == name]
        yield from (str(info) for info in twice if len(twice) > 1)
    if "tensorflow" in names and (base / "tensorflow").is_dir():
        code = is_file(base / "tensorflow" / "__init__.py")
        # Without code it is a remnant unless a file of the same name is meant; with code somebody has to own it.
        if not code or not (sound or _claimed(metadata.values())):
            yield str(base / "tensorflow")


def _claimed(metadata: Iterable[Path]) -> bool:
    """Whether a distribution of another name, such as NVIDIA's own builds, brings the package."""
    return any(file.path == "tensorflow/__init__.py" for info in metadata for file in installed_files(info) or ())


def leaks(
    path: Sequence[str], seen: Sequence[Package], wanted: frozenset[str], inside: Sequence[str], series: str
) -> tuple[tuple[str, ...], tuple[Package, ...], tuple[Package, ...]]:
    """Return folders before the environment's own that hide what TensorFlow needs, what they hold, and what is hidden.

    Args:
        path: folders that stand on the path through the user's variables or user site alone.
        seen: every distribution under the user's variables, in the order of the path.
        wanted: names of TensorFlow's distributions and of what they need.
        inside: the environment's own folders.
        series: of its Python, ``3.11``.
    """
    folders: list[str] = []
    hiding: list[Package] = []
    hidden: list[Package] = []
    own = {item.name: item for item in reversed(seen) if item.folder in inside}
    first: dict[str, Package] = {}
    for item in seen:
        first.setdefault(item.name, item)
    for name, item in first.items():
        if name not in wanted or item.folder in inside or item.folder not in path:
            continue
        match = _SERIES.search(item.folder)
        foreign = match is not None and match["series"] != series
        behind = own.get(name)
        if foreign or (behind is not None and behind.version != item.version):
            hiding.append(item)
            folders.append(item.folder)
            hidden += [behind] if behind else []
    return tuple(dict.fromkeys(folders)), tuple(hiding), tuple(hidden)
