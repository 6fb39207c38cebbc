"""What can fail around a repair of a real environment: whatever it is, the environment is as it was, and it is said."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doctor.lab.test_faults import BY_NAME
from repair.lab.workshop import Workshop, differences, told
from uv import find_uv_bin

from provision.errors import ExitCode, RolledBackError
from provision.model.level import Level
from provision.model.repair import RepairOutcome
from provision.workflows import repair_work

pytestmark = [pytest.mark.e2e, pytest.mark.index]

QUICKLY = ("--yes", "--level", "gate")
"""Without importing TensorFlow each time."""
Make = Callable[[str], Workshop]


def broken(workshop: Make, fault: str, release: str = "created-2.10.1") -> tuple[Workshop, Path]:
    """Return a shop with a fault in it, and the environment as it is then."""
    shop = workshop(release)
    BY_NAME[fault].inject(shop.bench)
    return shop, shop.keep()


def failed(shop: Workshop, *words: str, code: int, **more: Any) -> dict[str, Any]:
    """Run a repair as a process that fails; return its error."""
    done = shop.command("repair", *QUICKLY, *words, "--json", str(shop.prefix), **more)
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    error = json.loads(done.stdout)["error"]
    assert isinstance(error, dict)
    return error


def unharmed(shop: Workshop, before: Path) -> None:
    """The environment is as it was, no journal is left open, and a repair works when what failed is mended."""
    assert differences(before, shop.prefix) == []
    assert [path.name for path in shop.prefix.glob(".tfgpu/repairs/*/stage")] == []


def in_namespace(mount: str) -> list[str]:
    """Return the words that run a command where something is mounted; skips where this system does not let us."""
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let a user mount anything (unshare -rm)")
    return ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh"]


def test_a_network_that_fails(workshop: Make) -> None:
    shop, before = broken(workshop, "no-cudnn-cu11")
    nobody = {
        "UV_CACHE_DIR": str(shop.bench.scratch / "empty"),
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple/",
        "UV_HTTP_RETRIES": "0",
    }
    assert failed(shop, environ=nobody, code=ExitCode.ROLLED_BACK)["code"] == "network"
    unharmed(shop, before)
    failed(shop, "--offline", environ=nobody, code=ExitCode.ROLLED_BACK)
    unharmed(shop, before)


@pytest.mark.parametrize("size", [1, 3_000, 30_000, 300_000])
def test_a_disk_that_takes_only_small_files(size: int, workshop: Make) -> None:
    """Each size stops the repair at another step: the lock file, the journal, the copy, what uv writes, the patch."""
    shop, before = broken(workshop, "protobuf-4")
    limited = ["prlimit", f"--fsize={size}:{size}"]
    done = shop.command("repair", *QUICKLY, "--json", str(shop.prefix), before=limited)
    assert done.returncode in (0, 5, 6), done.stdout + done.stderr
    if done.returncode:
        unharmed(shop, before)
    assert shop.repair(level=Level.GATE).outcome in (RepairOutcome.REPAIRED, RepairOutcome.SOUND)
    assert shop.undo().outcome is RepairOutcome.UNDONE
    assert differences(before, shop.prefix) == []


@pytest.mark.parametrize("size", ["64k", "20m"])
def test_a_full_disk(size: str, workshop: Make) -> None:
    shop, before = broken(workshop, "protobuf-4")
    place = shlex.quote(str(shop.prefix / ".tfgpu/repairs"))
    mounted = in_namespace(f"mkdir -p {place} && mount -t tmpfs -o size={size} none {place}")
    assert failed(shop, before=mounted, code=ExitCode.ROLLED_BACK)["code"] in ("no-space", "clone-failed")
    unharmed(shop, before)


@pytest.mark.parametrize("folder", ["google", "google/protobuf/internal"])
def test_a_folder_that_may_not_be_written_stops_it_in_the_middle(folder: str, workshop: Make) -> None:
    shop, before = broken(workshop, "protobuf-4")
    place = shlex.quote(str(shop.bench.env.site / folder))
    mounted = in_namespace(f"mount --bind {place} {place} && mount -o remount,ro,bind {place}")
    error = failed(shop, before=mounted, code=ExitCode.ROLLED_BACK)
    assert str(shop.bench.env.site / folder) in json.dumps(error)
    unharmed(shop, before)
    assert shop.repair(level=Level.GATE).outcome is RepairOutcome.REPAIRED


def test_a_proof_that_does_not_hold(workshop: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    shop, before = broken(workshop, "protobuf-4")
    monkeypatch.setattr(repair_work, "complaint", lambda *_: "protobuf is still not what TensorFlow needs")
    with pytest.raises(RolledBackError) as raised:
        shop.repair(level=Level.GATE)
    assert raised.value.code == "not-better"
    unharmed(shop, before)


def test_what_is_damaged_in_the_cache_is_fetched_anew(workshop: Make) -> None:
    """An installed file that was edited in place is edited in uv's cache as well: it gives the same file again."""
    shop, _ = broken(workshop, "protobuf-4")
    own = shop.bench.scratch / "cache"
    shop.bench.machine.variables["UV_CACHE_DIR"] = str(own)
    wanted = "protobuf==3.19.6"
    argv = [find_uv_bin(), "pip", "install", "-q", "--no-deps", "--link-mode=copy", "--cache-dir", str(own)]
    subprocess.run(
        [*argv, "--target", str(shop.bench.scratch / "filled"), "--python", str(shop.bench.env.python), wanted],
        check=True,
    )
    files = list(own.glob("archive-v0/*/google/protobuf/message.py"))
    assert files, "uv keeps its wheels elsewhere now"
    for path in files:
        path.write_text("# damaged\n")
    before = shop.keep()
    error = failed(shop, "--offline", code=ExitCode.ROLLED_BACK)
    assert error["code"] in ("offline-miss", "cache-damaged", "network")
    unharmed(shop, before)
    result = shop.repair(level=Level.GATE)
    assert result.outcome is RepairOutcome.REPAIRED, told(result)
    assert "# damaged" not in (shop.bench.env.site / "google/protobuf/message.py").read_text()[:20]
    shutil.rmtree(own)
