"""How long doctor takes, against importing TensorFlow in the same environment; and how long a long log takes.

    python benchmarks/doctor.py ENV… [--rounds 5] [--log-mb 50]

Targets: at most 0.25 × of ``python -c 'import tensorflow'`` with the same environment's Python, and 2 s for each 10 MB
of a log. One run measures both sides in turn.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from timing import alternate, command, ratios, table

IMPORT = "import tensorflow"
RATIO = 0.25
SECONDS_PER_10_MB = 2.0
NOISE = (
    "2024-05-01 10:00:{s:02}.{n:06}: I tensorflow/core/platform/cpu_feature_guard.cc:193] This TensorFlow binary is …",
    "2024-05-01 10:00:{s:02}.{n:06}: I tensorflow/c/cuda_gpu_executor.cc:996] successful NUMA node read from SysFS …",
    "{n}/10000 [====>.........................] - ETA: {s}:{n:02} - loss: 0.{n:06} - accuracy: 0.{s:02}",
    "Collecting package_{n}==1.{s}.{n} (from -r requirements.txt (line {n}))",
    "W0501 10:00:{s:02}.{n:06} step {n} of something nobody knows: value={n:x} path=/data/part-{n:05}.tfrecord",
    '  File "/srv/train_{n}.py", line {n}, in step_{s}',
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environments", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--log-mb", type=int, default=50)
    options = parser.parse_args()
    tool = str(Path(sys.executable).with_name("tfgpu-provision"))
    missed = [environment for environment in options.environments if not fast(tool, environment, options.rounds)]
    return 1 if missed or not quick(tool, options.log_mb) else 0


def fast(tool: str, environment: Path, rounds: int) -> bool:
    """Measure one environment; whether the target is met."""
    print(environment.name)
    seconds = alternate(
        {
            IMPORT: command([str(environment / "bin/python"), "-c", IMPORT]),
            "doctor": command([tool, "doctor", str(environment), "--json"], expect=(0, 1, 4)),
        },
        rounds,
    )
    print(table(seconds, IMPORT))
    return verdict(ratios(seconds, IMPORT)["doctor"], RATIO, "× of the import")


def quick(tool: str, megabytes: int) -> bool:
    """Measure a log of lines that are noise, progress or unknown; whether the target is met."""
    chance = random.Random(7)  # noqa: S311 - the same lines every time, no secret
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "long.log"
        with log.open("w") as stream:
            written = 0
            while written < megabytes << 20:
                line = chance.choice(NOISE).format(s=chance.randrange(60), n=chance.randrange(99999))
                written += stream.write(f"{line}\n")
        job = command([tool, "doctor", "--log", str(log), "--json"], expect=(0, 1, 4))
        times = []
        for _ in range(3):
            begin = time.perf_counter()
            job()
            times.append(time.perf_counter() - begin)
    middle = statistics.median(times)
    print(f"log of {megabytes} MB: {middle:.1f} s")
    return verdict(middle / megabytes * 10, SECONDS_PER_10_MB, "s for each 10 MB")


def verdict(value: float, target: float, unit: str) -> bool:
    print(f"{'met' if value <= target else 'missed'}: {value:.3f} {unit}, at most {target}")
    return value <= target


if __name__ == "__main__":
    raise SystemExit(main())
