"""What pip makes of a release, as people install it: one command, and TensorFlow itself lists the driver's GPU.

Also what surrounds a repair: the dry run says what the run does, undo needs no network, and says no where it must.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from repair.lab.workshop import Workshop, differences
from thorough import sample

pytestmark = [pytest.mark.e2e, pytest.mark.index]

_LIST = (
    "import tensorflow as tf; from tensorflow.python.client import device_lib as d; "
    "print('GPUS', len(tf.config.list_physical_devices('GPU')))"
)
_CUT = ("unshare", "-rn")


def gpus(shop: Workshop) -> str:
    """Return what TensorFlow says in a process that has nothing of this machine but the fake driver."""
    driver = f"LD_LIBRARY_PATH={shop.bench.machine.driver}"
    argv = ["env", "-i", driver, str(shop.bench.env.python), "-c", _LIST]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/")
    return next((line for line in done.stdout.splitlines() if line.startswith("GPUS")), done.stderr[-2000:])


def ran(shop: Workshop, *words: str, code: int = 0, **more: Any) -> dict[str, Any]:
    done = shop.command("repair", *words, "--json", str(shop.prefix), **more)
    assert done.returncode == code, done.stdout[-4000:] + done.stderr[-4000:]
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("release", sample(["plain-2.21.0", "plain-2.16.1", "bare-2.4.1"], 0))
def test_one_repair_and_tensorflow_lists_the_gpu(release: str, workshop: Callable[[str], Workshop]) -> None:
    shop = workshop(release)
    assert gpus(shop) == "GPUS 0"
    before = shop.keep()
    planned = ran(shop, code=1)
    assert planned["outcome"] == "planned"
    dry = ran(shop, "--dry-run")
    assert differences(before, shop.prefix) == []
    assert not (shop.prefix / ".tfgpu").exists(), "a dry run has left something"
    done = ran(shop, "--yes")
    assert (done["outcome"], done["after"]["findings"]) == ("repaired", []), done
    assert {stage["status"] for stage in done["verdict"]["stages"]} == {"passed"}
    assert [item["path"] for item in dry["paths"]] == [item["path"] for item in done["paths"]]
    assert dry["packages"] == done["packages"]
    assert gpus(shop) == "GPUS 1"
    assert ran(shop, "--yes")["outcome"] == "sound"
    cut = _CUT if subprocess.run([*_CUT, "true"], capture_output=True, check=False).returncode == 0 else ()
    empty = {"UV_CACHE_DIR": str(shop.bench.scratch / "empty"), "UV_OFFLINE": "1"}
    assert ran(shop, "--undo", before=cut, environ=empty)["outcome"] == "undone"
    assert differences(before, shop.prefix) == []
    assert ran(shop, "--undo", code=3)["denial"]["code"] == "nothing-to-undo"
    assert gpus(shop) == "GPUS 0"


def test_undo_of_what_was_changed_since_names_it_and_touches_nothing(workshop: Callable[[str], Workshop]) -> None:
    shop = workshop("plain-2.21.0")
    done = ran(shop, "--yes")
    link = next(item["path"] for item in done["paths"] if item["after"]["kind"] == "link")
    path: Path = shop.prefix / link
    target = path.readlink()
    path.unlink()
    path.symlink_to("/elsewhere/libcudart.so.12")
    after = shop.keep("after")
    refused = ran(shop, "--undo", code=3)
    assert refused["denial"]["code"] == "changed-since"
    assert any(link in line for line in refused["denial"]["why"])
    assert differences(after, shop.prefix) == []
    path.unlink()
    path.symlink_to(target)
    assert ran(shop, "--undo")["outcome"] == "undone"
    history = ran(shop, "--history")["history"]
    assert [(item["id"], item["state"]) for item in history] == [(done["entry"]["id"], "undone")]
