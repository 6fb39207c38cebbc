"""The conda engine against rattler alone, on a channel whose packages and index have the size of real ones.

    python benchmarks/conda.py --channel FOLDER [--rounds 5] [--cold-rounds 3] [--records N] [--folder DIR] [SPEC …]

Both sides are programs of their own, and all that each does for the job counts: its start, its imports, its worker.
"rattler" imports it, solves and installs; "ours" does so through `provision.backends.conda.engine`, which also holds
artifacts and cache against their hashes and completes the records. ``tests/conda/real_channel.py`` makes a channel of
real packages (1.6 GB); here its index is filled up with other packages and versions, as one monolithic file of 50 MB.

Rows, each as the median of the ratios over the rounds:

* warm: index and packages are in the side's own cache;
* cold: an empty cache, over HTTP from this machine's loopback; both sides hash what they download;
* cold, file: an empty cache, from the disk. rattler does not hash such packages, we do;
* small: warm, with the bare index of the channel.

The target is at most 1.3 × of rattler alone for solve and install, warm and cold. The other rows are shown without one:
a solve alone takes rattler some two hundred milliseconds, and the start of a second Python, about fifty, is then no
longer small beside it.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import shutil
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zstandard
from timing import alternate, command, ratios, table

TARGET = 1.3
SPECS = ("python 3.8.*", "cudatoolkit 11.8.0", "cudnn 8.9.*")
VIRTUAL = {"__archspec": "1=x86_64", "__cuda": "11.8", "__glibc": "2.17", "__linux": "5.10", "__unix": "0"}
_VERSIONS, _DEPENDS = 50, 8

_RATTLER = """
import asyncio, json, os, sys
from pathlib import Path
from rattler import BuildString, Channel, Gateway, GenericVirtualPackage, MatchSpec, PackageName, Platform
from rattler import Version, install, solve
arguments = json.loads(sys.argv[1])
machine = []
for name, text in arguments["virtual"].items():
    version, _, build = text.partition("=")
    machine.append(GenericVirtualPackage(PackageName(name), Version(version), BuildString(build or "0")))

async def main():
    cache = Path(arguments["cache"])
    (cache / "repodata").mkdir(parents=True, exist_ok=True)
    records = await solve(
        [Channel(arguments["channel"])], [MatchSpec(text, strict=False) for text in arguments["specs"]],
        gateway=Gateway(cache / "repodata"), platforms=[Platform("linux-64"), Platform("noarch")],
        virtual_packages=machine,
    )
    if arguments["prefix"]:
        await install(records, Path(arguments["prefix"]), cache_dir=cache / "pkgs", execute_link_scripts=False)

asyncio.run(main())
os._exit(0)  # as our worker ends: rattler's threads can crash in the interpreter's own ending
"""
_OURS = """
import gc, json, sys
from pathlib import Path
gc.set_threshold(100_000)  # as the program does, see provision.cli.main
from provision.backends.conda.config import CondaConfig
from provision.backends.conda.engine import Engine
from provision.system import System
arguments = json.loads(sys.argv[1])
system = System()
engine = Engine(system, CondaConfig.load(system))
engine.use_cache(Path(arguments["cache"]))
engine.start()
found = engine.solve(arguments["specs"], [arguments["channel"]], arguments["virtual"])
if arguments["prefix"]:
    engine.install(found, Path(arguments["prefix"]), Path(arguments["prefix"]), requested=arguments["specs"])
gc.freeze()
"""


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "public, max-age=1200")  # as the servers of real channels
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a channel on the loopback and yield its address."""
    handler = functools.partial(_Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def filled_up(channel: Path, folder: Path, count: int) -> Path:
    """Make a channel with the packages of another one and an index of ``count`` records more.

    A part of them are other versions of the real packages, which depend on the rest; none is fetched.
    """
    for source in channel.glob("*/repodata.json"):
        (folder / source.parent.name).mkdir(parents=True)
        for package in source.parent.glob("*.conda"):
            (folder / source.parent.name / package.name).symlink_to(package.resolve())
        content = json.loads(source.read_text())
        real = content["packages.conda"]
        if source.parent.name == "linux-64":
            names = [f"filler{number}" for number in range(count // _VERSIONS)]
            others = {record["name"]: record for record in real.values()}
            more = [(name, number) for name in (*others, *names) for number in range(_VERSIONS)]
            for place, (name, number) in enumerate(more):
                version = f"0.{number}.0"
                depends = [f"{names[(place * 7 + step) % len(names)]} >=0.{number // 2}" for step in range(_DEPENDS)]
                real[f"{name}-{version}-h0_0.conda"] = {
                    "name": name, "version": version, "build": "h0_0", "build_number": 0, "subdir": "linux-64",
                    "depends": ["__glibc >=2.17,<3.0.a0", *depends], "license": "BSD-3-Clause", "size": 100_000 + place,
                    "timestamp": 1_600_000_000_000 + place, "md5": f"{place:032x}", "sha256": f"{place:064x}",
                }  # fmt: skip
        text = json.dumps(content).encode()
        (folder / source.parent.name / "repodata.json").write_bytes(text)
        (folder / source.parent.name / "repodata.json.zst").write_bytes(zstandard.ZstdCompressor().compress(text))
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channel", required=True, type=Path, help="folder of a channel")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cold-rounds", type=int, default=3)
    parser.add_argument("--records", type=int, default=100_000, help="how many the index is filled up with")
    parser.add_argument("--folder", type=Path, help="scratch, on the file system that is to be measured")
    parser.add_argument("--only", default="", help="rows whose name begins so")
    parser.add_argument("specs", nargs="*", default=SPECS)
    options = parser.parse_args()
    slow = False
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="tfgpu-bench-") as name:
        folder = Path(name)
        large = filled_up(options.channel.resolve(), folder / "channel", options.records)
        with serve(large) as address:
            for row, channel, aimed in (
                ("warm", address, True),
                ("cold", address, True),
                ("cold, file", large.as_uri(), False),
                ("small", options.channel.resolve().as_uri(), False),
            ):
                for what in ("solve", "solve and install"):
                    if f"{row}: {what}".startswith(options.only):
                        target = aimed and what != "solve"
                        ratio = measure(f"{row}: {what}", channel, folder, options, aimed=target)
                        slow = slow or (target and ratio > TARGET)
    return int(slow)


def measure(row: str, channel: str, folder: Path, options: argparse.Namespace, *, aimed: bool) -> float:
    """Time one row, print it, and return the ratio."""
    prefix, cold = folder / "env", row.startswith("cold")
    jobs = {}
    for side, code in (("rattler", _RATTLER), ("ours", _OURS)):
        arguments = {
            "cache": str(folder / side),
            "channel": channel,
            "prefix": str(prefix) if row.endswith("install") else "",
            "specs": list(options.specs),
            "virtual": VIRTUAL,
        }
        jobs[side] = command([sys.executable, "-c", code, json.dumps(arguments)])

    def clear(*paths: Path) -> None:
        for path in paths:
            shutil.rmtree(path, ignore_errors=True)

    emptied = [prefix, *([folder / "rattler", folder / "ours"] if cold else [])]
    seconds = alternate(jobs, options.cold_rounds if cold else options.rounds, lambda: clear(*emptied))
    clear(prefix, folder / "rattler", folder / "ours")
    ratio = ratios(seconds, "rattler")["ours"]
    more = statistics.median(seconds["ours"]) - statistics.median(seconds["rattler"])
    said = f"target {TARGET}: {'held' if ratio <= TARGET else 'MISSED'}" if aimed else "no target"
    sys.stdout.write(f"{row} ({said}; {more * 1000:+.0f} ms)\n{table(seconds, 'rattler')}\n\n")
    sys.stdout.flush()
    return ratio


if __name__ == "__main__":
    sys.exit(main())
