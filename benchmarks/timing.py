"""Time commands in turn, A B C A B C …, so that a machine whose speed drifts is fair to all of them."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence


def alternate(
    jobs: Mapping[str, Callable[[], None]], rounds: int, prepare: Callable[[], None] = lambda: None
) -> dict[str, list[float]]:
    """Run every job once for warming, then ``rounds`` times in turn; return wall seconds per job.

    ``prepare`` is called before each job, and its time does not count.
    """
    for job in jobs.values():
        prepare()
        job()
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            prepare()
            begin = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def command(argv: Sequence[str], *, expect: Sequence[int] = (0,)) -> Callable[[], None]:
    """Return a job that runs a command and fails loudly where it ends with an unexpected code."""

    def job() -> None:
        done = subprocess.run(list(argv), capture_output=True, check=False, env=environment())
        if done.returncode not in expect:
            raise SystemExit(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stderr.decode()}")

    return job


def environment() -> dict[str, str]:
    """Return the environment that programs are timed in.

    A user's Python keeps bytecode after the first run; the warming round writes it here too.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def ratios(seconds: Mapping[str, Sequence[float]], base: str) -> dict[str, float]:
    """Return, per job, the median over rounds of its time divided by the base's time in the same round."""
    return {
        name: statistics.median(own / reference for own, reference in zip(times, seconds[base], strict=True))
        for name, times in seconds.items()
    }


def table(seconds: Mapping[str, Sequence[float]], base: str) -> str:
    """Return a table: minimum, median and maximum in milliseconds, and the ratio to ``base``."""
    ratio = ratios(seconds, base)
    width = max(len(name) for name in seconds)
    lines = [f"{'':{width}}  {'min ms':>8} {'median':>8} {'max':>8}  {'ratio':>6}"]
    lines += [
        f"{name:{width}}  {min(times) * 1000:8.1f} {statistics.median(times) * 1000:8.1f} {max(times) * 1000:8.1f}"
        f"  {ratio[name]:6.2f}"
        for name, times in seconds.items()
    ]
    return "\n".join(lines)
