"""The conda engine against rattler alone: solve, and install from a warm or an empty cache, alternating in one run.

    python benchmarks/conda.py --channel file:///path/to/channel [--rounds 7] [--cold] [--folder DIR] [SPEC …]

Both sides are programs of their own, as a user starts them. "rattler" imports it, solves and installs; "ours" does the
same through `provision.backends.conda.engine`, whose worker also holds artifacts and cache against their hashes and
completes the records. ``tests/conda/real_channel.py`` makes a channel of real size on this machine.

Targets: each at most 1.3 × of rattler alone, as the median of the ratios over the rounds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from timing import alternate, command, ratios, table

TARGET = 1.3
SPECS = ("python 3.8.*", "cudatoolkit 11.8.0", "cudnn 8.9.*")
VIRTUAL = {"__archspec": "1=x86_64", "__cuda": "11.8", "__glibc": "2.17", "__linux": "5.10", "__unix": "0"}

_RATTLER = """
import asyncio, json, sys
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
"""
_OURS = """
import json, os, sys
from pathlib import Path
from provision.backends.conda.config import CondaConfig
from provision.backends.conda.engine import Engine
from provision.system import System
arguments = json.loads(sys.argv[1])
system = System()
engine = Engine(system, CondaConfig.load(system))
engine.use_cache(Path(arguments["cache"]))
found = engine.solve(arguments["specs"], [arguments["channel"]], arguments["virtual"])
if arguments["prefix"]:
    engine.install(found, Path(arguments["prefix"]), Path(arguments["prefix"]), requested=arguments["specs"])
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channel", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cold", action="store_true", help="empty the caches before each run")
    parser.add_argument("--folder", type=Path, help="scratch, on the file system that is to be measured")
    parser.add_argument("specs", nargs="*", default=SPECS)
    options = parser.parse_args()
    slow = False
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="tfgpu-bench-") as name:
        folder = Path(name)
        for what, prefix in (("solve", None), ("solve and install", folder / "env")):
            jobs = {}
            for side, code in (("rattler", _RATTLER), ("ours", _OURS)):
                arguments = {
                    "cache": str(folder / side),
                    "channel": options.channel,
                    "prefix": str(prefix) if prefix else "",
                    "specs": list(options.specs),
                    "virtual": VIRTUAL,
                }
                jobs[side] = command([sys.executable, "-c", code, json.dumps(arguments)])
            emptied = [folder / "env", *([folder / "rattler", folder / "ours"] if options.cold else [])]
            seconds = alternate(
                jobs,
                options.rounds,
                lambda emptied=emptied: [shutil.rmtree(path, ignore_errors=True) for path in emptied],
            )
            sys.stdout.write(f"{what}\n{table(seconds, 'rattler')}\n\n")
            slow = slow or ratios(seconds, "rattler")["ours"] > TARGET
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
