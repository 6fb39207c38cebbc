"""How long a user waits for ``--help`` and for a plan, against importing the command-line library alone.

    python benchmarks/startup.py [--rounds 15]

Targets: ``--help`` at most 1.5 × and ``plan --for …`` at most 3 × of ``python -c 'import typer'``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from timing import alternate, command, ratios, table

BASE = "import typer"
TARGETS = {"--help": 1.5, "plan --for": 3.0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    tool = [str(Path(sys.executable).with_name("tfgpu-provision"))]
    seconds = alternate(
        {
            BASE: command([sys.executable, "-c", "import typer"]),
            "--help": command([*tool, "--help"]),
            "plan --for": command([*tool, "plan", "--tf", "2.15", "--for", "driver=535.104.05,gpu=8.6"]),
        },
        rounds,
    )
    print(table(seconds, BASE))
    missed = [name for name, target in TARGETS.items() if ratios(seconds, BASE)[name] > target]
    for name in missed:
        print(f"missed: {name} is above {TARGETS[name]} ×")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
