"""A child that reads thousands of damaged inputs: ``python fuzz.py KIND SEED COUNT FOLDER``.

``FOLDER`` has the sound inputs. Every case is made of the seed and its number alone, so that one that fails can be made
again. A case may end in facts or in an error of ours; anything else, or more than `SECONDS`, ends the child with a
traceback that names the case. Memory is held by the kernel.
"""

from __future__ import annotations

import base64
import faulthandler
import hashlib
import json
import random
import resource
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from provision.audit.contents import without_kernels
from provision.audit.contents.deep import scan_library
from provision.audit.contents.dynamic import read_dynamic_facts, read_exports
from provision.audit.contents.fatbin import MARK, TooMuchCodeError
from provision.audit.contents.guard import INITIALISER, read_guard
from provision.audit.contents.symbols import TooManyNamesError
from provision.audit.contents.wheel import OpenWheel, wheel_facts
from provision.audit.reading.cache import Cache
from provision.audit.reading.reader import Reader
from provision.errors import ProvisionError

SECONDS = 20
MEMORY = 1 << 30
NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)
CHECK = b"\xbf\x01\x00\x00\x00\xe8"
"""The first check of the CPU."""
MARKS = (b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04", b"\x7fELF", MARK, INITIALISER, CHECK)


def mutated(data: bytes, numbers: random.Random) -> bytes:
    """Return data with a few faults: numbers out of range, cut, doubled or moved parts, noise."""
    out = bytearray(data)
    for _ in range(numbers.choice((1, 1, 2, 3, 8))):
        at = place(out, numbers)
        how = numbers.randrange(8)
        length = numbers.choice((1, 2, 4, 16, 200, 5000))
        if how <= 2:
            width = numbers.choice((1, 2, 4, 8))
            number = numbers.choice((*NUMBERS, len(out), numbers.randrange(len(out) + 1))) & ((1 << 8 * width) - 1)
            out[at : at + width] = number.to_bytes(width, "little")
        elif how == 3:
            out[at : at + 1] = bytes([numbers.randrange(256)])
        elif how == 4:
            del out[at : at + length]
        elif how == 5:
            out[at:at] = out[at : at + length] * numbers.choice((1, 3))
        elif how == 6:
            out[at : at + length] = numbers.randbytes(length)
        else:
            other = place(out, numbers)
            out[at : at + length] = out[other : other + length]
    return bytes(out[: numbers.randrange(len(out) + 1)] if numbers.random() < 0.05 else out)


def place(data: bytearray, numbers: random.Random) -> int:
    """Return a place: anywhere, near an end, or in the header behind a mark."""
    where = numbers.randrange(4)
    if where == 0:
        return numbers.randrange(len(data) + 1)
    if where == 1:
        return min(len(data), numbers.randrange(0x400))
    if where == 2:
        return max(0, len(data) - numbers.randrange(0x1000))
    found = data.find(numbers.choice(MARKS), numbers.randrange(len(data) + 1))
    return min(len(data), max(found, 0) + numbers.randrange(80))


def taken(*reads: Callable[[], object]) -> bool:
    """Return whether all of these read something; an error of ours is an answer, anything else is raised."""

    def one(read: Callable[[], object]) -> bool:
        try:
            read()
        except (ProvisionError, TooMuchCodeError, TooManyNamesError):
            return False
        return True

    return sum(map(one, reads)) == len(reads)


def read_wheel(file: Path) -> bool:
    """Read everything that audit reads of a wheel, but for what a child would be asked."""
    with Reader(cache=Cache(None)) as reader:
        located = reader.locate(str(file))
        sections = ("names", "metadata", "framework", "guard", "code")
        reads = [partial(wheel_facts, reader, located, (section,)) for section in sections]
        return taken(*reads, lambda: OpenWheel(reader, located).given())


def read_library(data: bytes, step: int, file: Path) -> bool:
    """Read everything that audit reads of a library."""
    pieces = (data[at : at + step] for at in range(0, len(data), step))
    file.write_bytes(data)
    return taken(
        lambda: scan_library(pieces, len(data), "x.so"),
        lambda: read_dynamic_facts(file),
        lambda: read_exports(file),
        lambda: read_guard(file),
    )


def repacked(wheel: Path, file: Path, numbers: random.Random) -> None:
    """Write a wheel that is whole, with one or two damaged members; RECORD knows of it, or not."""
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name in numbers.choices(sorted(members), k=numbers.choice((1, 2))):
        members[name] = mutated(members[name], numbers)
    record = next(name for name in members if name.endswith("/RECORD"))
    if numbers.random() < 0.8:
        lines = [line.split(",") for line in members[record].decode("latin-1").splitlines()]
        known = {line[0]: line for line in lines}
        for name, data in members.items():
            known[name] = [name, digest(data), str(len(data))]
        known[record] = [record, "", ""]
        members[record] = "".join(",".join(line) + "\n" for line in known.values()).encode("latin-1")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def digest(data: bytes) -> str:
    """Return sha256 as RECORD has it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def cases(kind: str, folder: Path, work: Path) -> Callable[[random.Random], bool]:
    """Return what runs a case of a kind and says whether everything was read."""
    wheels = sorted(folder.glob("*.whl"))
    libraries = [file.read_bytes() for file in sorted(folder.glob("*.so"))]

    def wheel(numbers: random.Random) -> bool:
        chosen = numbers.choice(wheels)
        file = work / chosen.name
        file.write_bytes(mutated(chosen.read_bytes(), numbers))
        return read_wheel(file)

    def member(numbers: random.Random) -> bool:
        chosen = numbers.choice(wheels)
        repacked(chosen, work / chosen.name, numbers)
        return read_wheel(work / chosen.name)

    def library(numbers: random.Random) -> bool:
        data = mutated(numbers.choice(libraries), numbers)
        return read_library(data, numbers.choice((512, 4096, 1 << 20)), work / "x.so")

    return {"wheel": wheel, "member": member, "library": library}[kind]


def main(kind: str, seed: int, count: int, folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    # What is only done for large libraries is done for these.
    without_kernels.WORTH_IT, without_kernels._LEAST_HOLE = 1 << 10, 1 << 10
    without_kernels._FIRST_END, without_kernels._STEP, without_kernels._SLACK = 1 << 13, 1 << 13, 1 << 13
    ended: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as work:
        run = cases(kind, folder, Path(work))
        for number in range(count):
            sys.stderr.write(f"case {kind} {seed}/{number}\n")
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            start = time.monotonic()
            ended["read" if run(random.Random(f"{seed}/{kind}/{number}")) else "refused"] += 1  # noqa: S311 - test data
            slowest = max(slowest, time.monotonic() - start)
    faulthandler.cancel_dump_traceback_later()
    # Not ru_maxrss: a child inherits it from what started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) << 10
    sys.stdout.write(json.dumps({**ended, "slowest": round(slowest, 2), "peak": peak}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
