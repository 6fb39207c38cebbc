"""Versions of CUDA toolkits and of cuDNN, as their own files and nvcc state them."""

from __future__ import annotations

import json
import re

from provision.model.versions import CudaVersion, CudnnVersion

_RELEASE = re.compile(r"release (\d{1,3}\.\d{1,3})(?:,\s*V(\d{1,3}(?:\.\d{1,9}){1,3}))?", re.ASCII)
_VERSION_TXT = re.compile(r"CUDA Version[: ]\s*(\d{1,3}(?:\.\d{1,9}){1,3})", re.ASCII | re.IGNORECASE)
_JSON_CUDA = re.compile(r'"cuda"\s*:\s*\{[^{}]*"version"\s*:\s*"(\d[\d.]*)"', re.ASCII)
_JSON_CUDART = re.compile(r'"cuda_cudart"\s*:\s*\{[^{}]*"version"\s*:\s*"(\d[\d.]*)"', re.ASCII)
_DEFINE = re.compile(r"#\s*define\s+CUDNN_(MAJOR|MINOR|PATCHLEVEL|VERSION)\s+\(?(\d{1,6})\b", re.ASCII)


def parse_nvcc(text: str) -> CudaVersion | None:
    """Return the toolkit version of ``nvcc --version``, every age of it; None where it does not say.

    The number after ``V`` is used where it belongs to the release: the oldest compilers print a number of their own.
    """
    found = _RELEASE.search(text)
    if found is None:
        return None
    release, exact = found.groups()
    return CudaVersion(exact if exact and exact.startswith(f"{release}.") else release)


def parse_version_txt(text: str) -> CudaVersion | None:
    """Return the version of a toolkit's ``version.txt`` (up to CUDA 11.0): ``CUDA Version 10.2.89``."""
    found = _VERSION_TXT.search(text)
    return CudaVersion.parse(found.group(1)) if found else None


def parse_version_json(text: str) -> CudaVersion | None:
    """Return the version of a toolkit's ``version.json`` (from CUDA 11.1 on), as its ``cuda`` entry has it.

    Some releases put a date in the last part, ``12.6.20241114``; see `plain_toolkit`. A document that is cut short is
    read as far as it goes.
    """
    try:
        document = json.loads(text)
        entry = document.get("cuda") or document.get("cuda_cudart")
        return CudaVersion.parse(entry["version"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        found = _JSON_CUDA.search(text) or _JSON_CUDART.search(text)
        return CudaVersion.parse(found.group(1)) if found else None


def parse_toolkit(text: str) -> CudaVersion | None:
    """Return the toolkit version of whichever of the three texts this is."""
    return parse_nvcc(text) or parse_version_txt(text) or parse_version_json(text)


def plain_toolkit(version: CudaVersion) -> CudaVersion:
    """Return ``12.6`` for ``12.6.20241114``: a date is not a third part that could be compared."""
    dated = len(version.parts) > 2 and version.parts[2] > 1_000_000  # noqa: PLR2004 - parts of a version, a date
    return CudaVersion(f"{version.major}.{version.minor}") if dated else version


def parse_cudnn_header(text: str) -> CudnnVersion | None:
    """Return the version of ``cudnn.h`` or ``cudnn_version.h``, also from the lines of a grep."""
    numbers = {name: int(value) for name, value in reversed(_DEFINE.findall(text))}
    if "MAJOR" in numbers and "MINOR" in numbers:
        parts = [numbers["MAJOR"], numbers["MINOR"], *([numbers["PATCHLEVEL"]] if "PATCHLEVEL" in numbers else [])]
        return CudnnVersion(".".join(str(part) for part in parts))
    if "VERSION" in numbers:
        return _of_number(numbers["VERSION"])
    return None


def _of_number(number: int) -> CudnnVersion | None:
    """Read 8906 (up to cuDNN 8: 1000 × major + 100 × minor + patch) or 90100 (from 9: 10000 × major + 100 × minor)."""
    scale = 10_000 if number >= 90_000 else 1_000  # noqa: PLR2004 - the first number of cuDNN 9
    if number < scale:
        return None
    return CudnnVersion(f"{number // scale}.{number % scale // 100}.{number % 100}")


def cudnn_of_file(name: str) -> CudnnVersion | None:
    """Return the version in a file name such as ``libcudnn.so.8.6.0``; a bare major is not a version."""
    found = re.search(r"libcudnn\.so\.(\d+\.\d+(?:\.\d+)*)$", name)
    return CudnnVersion.parse(found.group(1)) if found else None
