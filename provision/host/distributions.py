"""Linux distributions by the names that people type, and the C library that each release ships."""

from __future__ import annotations

import re

from provision.model.versions import GlibcVersion

_GLIBC: dict[str, dict[str, str]] = {
    "ubuntu": {"14.04": "2.19", "16.04": "2.23", "18.04": "2.27", "20.04": "2.31", "22.04": "2.35", "24.04": "2.39"},
    "debian": {"8": "2.19", "9": "2.24", "10": "2.28", "11": "2.31", "12": "2.36", "13": "2.41"},
    "rhel": {"6": "2.12", "7": "2.17", "8": "2.28", "9": "2.34", "10": "2.39"},
    "amazon": {"2": "2.26", "2023": "2.34"},
    "alpine": {},
    "arch": {},
    "fedora": {},
    "opensuse": {},
    "sles": {},
}
"""glibc of a release as its own package archive has it; updates of a release do not change its number."""

_REBUILDS = {
    **dict.fromkeys(("rocky", "almalinux", "alma", "centos", "oraclelinux", "ol"), "rhel"),
    **dict.fromkeys(("amazonlinux", "amzn", "al"), "amazon"),
}
"""Distributions that share another one's packages."""

DISTRIBUTIONS = frozenset(_GLIBC) | frozenset(_REBUILDS)


def split_release(text: str) -> tuple[str, str]:
    """Return name and release of ``ubuntu22.04``, ``ubuntu-22.04``, ``ubuntu:22.04`` or ``ubuntu 22.04``."""
    found = re.fullmatch(r"([a-z]+)[\s:_-]*(\d[\d.]*)?", text.strip().lower())
    return (found.group(1), found.group(2) or "") if found else (text, "")


def glibc_of(name: str, release: str) -> GlibcVersion | None:
    """Return the C library of a distribution's release, None where the table has no entry."""
    releases = _GLIBC.get(_REBUILDS.get(name, name), {})
    text = releases.get(release) or releases.get(release.partition(".")[0])
    return GlibcVersion(text) if text else None
