"""What audit reads of wheels, against downloading them.

    python benchmarks/audit.py [RELEASE ...]
    python benchmarks/audit.py --matrix

Needs the package index. Targets for each release: tags, build info and metadata from at most 0.5 % of the wheel's
bytes, SONAMEs of the gate and search path from at most 12 %; over all of them at most 5 %.

``--matrix`` runs ``audit matrix`` twice: nothing contradicted, from at most 5 % of the bytes, the second time from the
cache in at most 2 s.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from provision.audit.contents.wheel import PLAIN, wheel_facts
from provision.audit.reading.cache import Cache
from provision.audit.reading.reader import Reader

RELEASES = ("2.4.1", "2.10.1", "2.14.1", "2.15.1", "2.16.2", "2.17.1", "2.18.1", "2.19.1", "2.20.0", "2.21.0")
TEXTS, PLAINLY, ALL = 0.5, 12.0, 5.0
AGAIN = 2.0


def measure(release: str, sections: tuple[str, ...]) -> tuple[int, int, float]:
    """Return bytes read, bytes of the wheel and seconds, from an empty cache."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Reader(cache=Cache(Path(folder))) as reader:
        facts = wheel_facts(reader, reader.locate(f"tensorflow=={release}"), sections)
        if "framework" in sections and (facts.framework is None or facts.framework.gate is None):
            print(f"missed: the gate of {release} was not read: {facts.unread}")
        return facts.cost.bytes_read, facts.artifact.size, time.monotonic() - start


def whole_matrix() -> int:
    """Hold the whole matrix against the wheels twice, the first time with an empty cache."""
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "XDG_CACHE_HOME": folder}
        for time_ in ("first", "again"):
            start = time.monotonic()
            command = [sys.executable, "-m", "provision", "audit", "matrix", "--json"]
            done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
            seconds = time.monotonic() - start
            document = json.loads(done.stdout)
            read, whole = document["cost"]["bytes_read"], document["wheel_bytes"]
            counts = ", ".join(f"{number} {verdict}" for verdict, number in document["counts"].items())
            share = f"{read / 2**20:.1f} MiB of {whole / 2**20:.1f} ({100 * read / whole:.2f} %)"
            print(f"{time_}: {len(document['rows'])} releases, {counts}; {share}, {seconds:.1f} s")
            missed += [f"{time_}: exit status {done.returncode}"] * bool(done.returncode)
            missed += [f"{time_}: bytes"] * (100 * read / whole > ALL)
            missed += ["again: seconds"] * (time_ == "again" and seconds > AGAIN)
    for name in missed:
        print(f"missed: {name}")
    return 1 if missed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--matrix", action="store_true", help="the whole matrix, twice")
    parser.add_argument("releases", nargs="*", default=RELEASES)
    if parser.parse_args().matrix:
        return whole_matrix()
    missed = []
    read = whole = 0
    print(f"{'release':<24}{'texts %':>9}{'plain %':>9}{'plain MiB':>11}{'wheel MiB':>11}{'seconds':>9}")
    for release in parser.parse_args().releases:
        texts, size, _ = measure(release, ("metadata",))
        plain, _, seconds = measure(release, PLAIN)
        read, whole = read + plain, whole + size
        shares = 100 * texts / size, 100 * plain / size
        print(
            f"{release:<24}{shares[0]:>9.3f}{shares[1]:>9.2f}{plain / 2**20:>11.1f}{size / 2**20:>11.1f}{seconds:>9.1f}"
        )
        missed += [f"texts of {release}"] * (shares[0] > TEXTS) + [f"gate of {release}"] * (shares[1] > PLAINLY)
    print(f"{'together':<24}{'':>9}{100 * read / whole:>9.2f}{read / 2**20:>11.1f}{whole / 2**20:>11.1f}")
    missed += ["all together"] * (100 * read / whole > ALL)
    for name in missed:
        print(f"missed: {name}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
