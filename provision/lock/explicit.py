"""``@EXPLICIT`` files of conda for linux-64: addresses with hashes; everything else of ours stands in comments.

A hash is written as 64 plain hexadecimal digits, which conda (24.9 and newer), mamba and micromamba (2.1 and newer)
and rattler read; older ones read md5 only, which can be asked for. The part from the package index stands in
``# pip`` lines without addresses, which ``conda-lock install`` and micromamba hand to pip and conda ignores.
"""

from __future__ import annotations

import re

from provision.lock.conda_parts import (
    DIGEST,
    FOREIGN,
    MOST_PACKAGES,
    PLATFORM,
    VOID,
    conda_package,
    digest_of,
    note_of,
    pip_package,
    read_json,
    refused,
)
from provision.lock.contract import CONTRACT_MARK, ContractParts, contract_line, read_contract_line
from provision.lock.refusing import readable_text
from provision.matrix.tree import Problems
from provision.model.lock import CondaLocked, Lock, Locked

_MARK = "@EXPLICIT"
_DIGEST = f"# {DIGEST}: "
_NOTE = "# tfgpu-note: "
_PIP = "# pip "
_PLATFORM = "# platform: "
_PIP_LINE = re.compile(r"# pip (?P<name>[^ =]+)==(?P<version>[^ ]+)(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+)\Z")


def render(lock: Lock, *, md5: bool = False) -> str:
    """Return the text of an explicit file, the same for the same lock.

    Args:
        lock: with the conda packages; those of the package index become ``# pip`` lines.
        md5: write md5 for conda before 24.9; such a file is read by conda, not by `parse`, which wants sha256.
    """
    lines = [
        "# Written by tfgpu-provision; do not edit.",
        "# Install it with `tfgpu-provision create --locked FILE` or `conda create -p PREFIX --file FILE`;",
        "# conda leaves out the lines that begin with '# pip'.",
        f"{_PLATFORM}{PLATFORM}",
    ]
    if not md5:
        lines += [contract_line(lock), f"{_DIGEST}{digest_of(lock.conda, lock.packages)}"]
    lines.append(_MARK)
    for item in sorted(lock.conda, key=lambda item: item.name):
        if not md5:
            lines.append(f"{_NOTE}{note_of(item, md5=True)}")
        lines.append(f"{item.url}#{item.md5 if md5 else item.sha256}".rstrip("#"))
    lines += [
        " ".join([f"{_PIP}{item.requirement}", *(f"--hash=sha256:{one}" for one in sorted(item.hashes))])
        for item in sorted(lock.packages, key=lambda item: item.name)
    ]
    return "\n".join(lines) + "\n"


def parse(text: str, where: str) -> Lock:
    """Read an explicit file of ours.

    Raises:
        InvalidFileError: code ``bad-lock`` with every reason: another platform, an address with credentials or
            neither https nor file, a missing sha256, no GPU contract, packages that it was not made for.
    """
    reading = _Reading(where)
    reading.read(text)
    conda, packages = reading.done()
    parts = reading.parts
    if parts is None:
        reading.problems.add(1, FOREIGN)
    elif reading.digest != digest_of(conda, packages):
        reading.problems.add(1, VOID)
    if reading.problems or parts is None:
        raise refused(reading.problems, where)
    return Lock(parts.contract, packages, conda, parts.source_only, parts.build_tools)


def parse_foreign(text: str, where: str) -> tuple[tuple[CondaLocked, ...], tuple[Locked, ...]]:
    """Read what another tool wrote: its conda packages, each with a sha256, and ``# pip`` lines like ours.

    Raises:
        InvalidFileError: code ``bad-lock``, as for `parse`.
    """
    reading = _Reading(where)
    reading.read(text)
    return reading.done()


class _Reading:
    """One file, line by line."""

    def __init__(self, where: str) -> None:
        self.problems = Problems(where)
        self.parts: ContractParts | None = None
        self.digest = ""
        self._where = where
        self._note = ""
        self._begun = False
        self._conda: dict[str, CondaLocked] = {}
        self._packages: dict[str, Locked] = {}

    def read(self, text: str) -> None:
        lines = readable_text(self._where, text.encode("utf-8", "surrogateescape")).splitlines()
        for number, line in enumerate(lines, start=1):
            if line.startswith("#"):
                self._comment(number, line)
            elif line == _MARK:
                self._begun = True
            elif line.strip():
                made = _conda(line, self._note) if self._begun else f"only comments stand before {_MARK}"
                self._note = ""
                self._add(number, made)

    def done(self) -> tuple[tuple[CondaLocked, ...], tuple[Locked, ...]]:
        """Return what was read; raises for what is wrong with it."""
        if not self._begun:
            self.problems.add(1, f"it has no line {_MARK}")
        elif not self._conda:
            self.problems.add(1, "it holds no conda package")
        if len(self._conda) + len(self._packages) > MOST_PACKAGES:
            self.problems.add(1, f"it holds more than {MOST_PACKAGES} packages")
        if self.problems:
            raise refused(self.problems, self._where)
        return (
            tuple(self._conda[name] for name in sorted(self._conda)),
            tuple(self._packages[name] for name in sorted(self._packages)),
        )

    def _comment(self, number: int, line: str) -> None:
        if line.startswith(_NOTE):
            self._note = line.removeprefix(_NOTE)
        elif line.startswith(_PIP):
            self._add(number, _pip(line))
        elif line.startswith(_PLATFORM) and line != f"{_PLATFORM}{PLATFORM}":
            self.problems.add(number, f"it is not for {PLATFORM}")
        elif line.startswith(_DIGEST):
            self.digest = line.removeprefix(_DIGEST)
        elif line.startswith(CONTRACT_MARK):
            if self.parts is not None:
                self.problems.add(number, "a second GPU contract stands in it")
            self.parts = read_contract_line(line, self._where, number)

    def _add(self, number: int, made: CondaLocked | Locked | str) -> None:
        if isinstance(made, str):
            self.problems.add(number, made)
            return
        known = made.name in (self._conda if isinstance(made, CondaLocked) else self._packages)
        if known:
            self.problems.add(number, f"{made.name} stands twice in it")
        elif isinstance(made, CondaLocked):
            self._conda[made.name] = made
        else:
            self._packages[made.name] = made


def _conda(line: str, note: str) -> CondaLocked | str:
    url, mark, digest = line.partition("#")
    digest = digest.removeprefix("sha256:")
    if not mark or re.fullmatch(r"[0-9a-f]{32}", digest):
        return "an address without a sha256: md5 alone proves nothing"
    said = read_json(note) if note else {}
    if not isinstance(said, dict):
        return "our note above it is not JSON"
    return conda_package({"url": url, "sha256": digest}, said)


def _pip(line: str) -> Locked | str:
    found = _PIP_LINE.match(line)
    if found is None:
        return "a # pip line must be name==version with its sha256 hashes: no address, no option, no range"
    return pip_package(
        found["name"], found["version"], tuple(word.removeprefix("--hash=sha256:") for word in found["hashes"].split())
    )
