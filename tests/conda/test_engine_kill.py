from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from conda.world import GPU, engine_at, solved, tree

from provision.errors import ToolFailedError


def test_killed_at_any_moment_the_next_install_succeeds(tmp_path: Path, usual: Path) -> None:
    engine = engine_at(tmp_path)
    packages = solved(engine, (*GPU, "old"), usual.as_uri())
    engine.close()
    took = []
    # As those that are killed: a worker of its own, an empty cache. The shortest, for a machine with other things to do.
    for number in range(3):
        engine.use_cache(tmp_path / f"measured{number}")
        began = time.monotonic()
        engine.install(packages, tmp_path / f"good{number}", tmp_path / "env")
        took.append(time.monotonic() - began)
    lasts = min(took)
    expected = tree(tmp_path / "good0")
    killed = 0
    for moment in range(20):
        engine.use_cache(tmp_path / f"cache{moment}")
        stop = threading.Event()
        killer = threading.Thread(target=kill_worker, args=(lasts * moment / 25, stop))
        killer.start()
        try:
            engine.install(packages, tmp_path / f"env{moment}", tmp_path / "env")
        except ToolFailedError as error:
            killed += 1
            assert error.why[0] == "rattler ended with signal 9"  # noqa: PT017 - most of the twenty end so, not all
            assert not (tmp_path / f"env{moment}").exists()
        finally:
            stop.set()
            killer.join()
        engine.install(packages, tmp_path / f"again{moment}", tmp_path / "env")
        found = tree(tmp_path / f"again{moment}")
        assert {name: text for name, text in found.items() if "conda-meta" not in name} == {
            name: text for name, text in expected.items() if "conda-meta" not in name
        }
    assert killed >= 3


def kill_worker(after: float, stop: threading.Event) -> None:
    """Kill our worker some time after it was started."""
    end = time.monotonic() + 5
    while time.monotonic() < end and not stop.is_set():
        for child in children():
            if b"provision.backends.conda.worker" in command_of(child):
                time.sleep(after)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
                return
        time.sleep(0.002)


def command_of(process: str) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""


def children(of: int | str = "self") -> list[str]:
    found = []
    for task in Path(f"/proc/{of}/task").iterdir():
        with contextlib.suppress(OSError):
            found += (task / "children").read_text().split()
    return found


LIMITED = """
import json, resource, sys
from pathlib import Path
from provision.backends.conda.config import CondaConfig
from provision.backends.conda.engine import Engine
from provision.errors import ToolFailedError
from provision.model.lock import CondaLocked
from provision.system import System
system = System()
engine = Engine(system, CondaConfig.load(system))
packages = engine.solve(["libzstub"], [sys.argv[1]], {})
# Without the limit first: Python does not notice when it cuts byte code short, and every later process would read it.
engine.install(packages, Path(sys.argv[2] + "-before"), Path(sys.argv[2]))
engine.use_cache(Path(sys.argv[2] + "-cache"))
engine.close()  # the next worker inherits the limit
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    engine.install(packages, Path(sys.argv[2]), Path(sys.argv[2]))
except ToolFailedError as error:
    print(error.code, Path(sys.argv[2]).exists())
"""


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, usual: Path) -> None:
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [sys.executable, "-c", LIMITED, usual.as_uri(), str(tmp_path / "env")]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["no-space", "False"], done
    # The same cache serves the next install.
    engine = engine_at(tmp_path, XDG_CACHE_HOME=str(tmp_path / ".cache"))
    engine.install(solved(engine, ("libzstub",), usual.as_uri()), tmp_path / "env", tmp_path / "env")


def workers() -> list[str]:
    return [child for child in children() if b"provision.backends.conda.worker" in command_of(child)]


def test_one_worker_started_early_serves_solve_and_install_and_is_then_gone(tmp_path: Path, usual: Path) -> None:
    engine = engine_at(tmp_path)
    others = set(workers())
    engine.start()
    engine.start()
    (worker,) = set(workers()) - others
    packages = solved(engine, GPU, usual.as_uri())
    assert set(workers()) - others == {worker}
    engine.install(packages, tmp_path / "env", tmp_path / "env")
    assert worker not in workers()
