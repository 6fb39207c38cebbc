from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

import pytest
from conda.world import engine_at, solved

from provision.backends.conda.history import write_history
from provision.backends.conda.register import register, unregister
from provision.system import System


def lines(home: Path) -> list[str]:
    return (home / ".conda/environments.txt").read_text().splitlines()


def test_a_prefix_is_listed_once_and_goes_again(tmp_path: Path) -> None:
    system = System({"HOME": str(tmp_path)})
    assert register(system, tmp_path / "a/../env")
    assert register(system, tmp_path / "env")
    assert register(system, tmp_path / "other env")
    assert lines(tmp_path) == [str(tmp_path / "env"), str(tmp_path / "other env")]
    assert unregister(system, tmp_path / "env")
    assert unregister(system, tmp_path / "env")
    assert lines(tmp_path) == [str(tmp_path / "other env")]


def test_what_stands_there_is_kept_to_the_byte(tmp_path: Path) -> None:
    file = tmp_path / "dotfiles.txt"
    file.write_bytes(b"/opt/conda\n/odd \xff name")
    file.chmod(0o600)
    (tmp_path / ".conda").mkdir()
    (tmp_path / ".conda/environments.txt").symlink_to("../dotfiles.txt")
    system = System({"HOME": str(tmp_path)})
    assert register(system, tmp_path / "env")
    assert file.read_bytes() == b"/opt/conda\n/odd \xff name\n" + os.fsencode(tmp_path / "env") + b"\n"
    assert unregister(system, tmp_path / "env")
    assert file.read_bytes() == b"/opt/conda\n/odd \xff name\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / ".conda/environments.txt").is_symlink()


def test_a_home_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / ".conda").write_text("a file")
    assert not register(System({"HOME": str(tmp_path)}), tmp_path / "env")
    assert not register(System({}), tmp_path / "env")
    assert not register(System({"HOME": str(tmp_path / "h")}), Path("/two\nlines"))
    assert not (tmp_path / "h").exists()


def test_condas_own_code_reads_what_we_wrote(tmp_path: Path, usual: Path) -> None:
    """conda-lock ships a conda; its readers are held against our writing."""
    pytest.importorskip("conda_lock")
    from conda_lock._vendor.conda.core.prefix_data import PrefixData
    from conda_lock._vendor.conda.gateways.disk.read import yield_lines
    from conda_lock._vendor.conda.history import History

    engine = engine_at(tmp_path)
    wanted = ("python 3.8.*", "cudatoolkit=11.0", "numpy >=1.19,<1.24")
    packages = solved(engine, (*wanted, "tool"), usual.as_uri())
    engine.install(packages, tmp_path / "env", tmp_path / "env", requested=wanted)
    when = datetime(2026, 11, 21, 12, 0, 0, tzinfo=timezone.utc)
    write_history(tmp_path / "env", "tfgpu-provision create --tf 2.4.1\n==> evil <==", packages, wanted, when)
    history = History(str(tmp_path / "env"))
    assert {name: str(spec) for name, spec in history.get_requested_specs_map().items()} == {
        "python": "python=3.8",
        "cudatoolkit": "cudatoolkit=11.0",
        "numpy": "numpy[version='>=1.19,<1.24']",
    }
    assert [item["date"] for item in history.get_user_requests()] == ["2026-11-21 12:00:00"]
    assert len(history.construct_states()[-1][1]) == len(packages)
    records = {record.name: record for record in PrefixData(str(tmp_path / "env")).iter_records()}
    assert records.keys() == {item.name for item in packages}
    assert records["tool"].noarch.value == "python"
    assert all(records[item.name].sha256 == item.sha256 for item in packages)
    system = System({"HOME": str(tmp_path)})
    register(system, tmp_path / "env")
    assert list(yield_lines(str(tmp_path / ".conda/environments.txt"))) == [str(tmp_path / "env")]
