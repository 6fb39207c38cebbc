"""Build beside, then rename; and what the next one does after a kill at every step."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.backends import transaction as transaction_module
from provision.backends.journal import Journal
from provision.backends.renames import exchange
from provision.backends.transaction import Check, Transaction, journal_path, transaction_of
from provision.errors import NotRolledBackError, RolledBackError, ToolFailedError

WAYS = ["exchange", "two-step"]


def build(folder: Path, ident: str, content: str) -> None:
    """Fill a folder as create does: what it is, and its record."""
    (folder / ".tfgpu").mkdir(parents=True, exist_ok=True)
    (folder / "content").write_text(content)
    (folder / ".tfgpu/environment.json").write_text(json.dumps({"transaction": ident}))


def works(_: Path) -> str:
    return ""


def broken(_: Path) -> str:
    return "it does not start"


def content(target: Path) -> str | None:
    path = target / "content"
    return path.read_text() if path.exists() else None


def rests(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path != target)


def attempt(target: Path, check: Check, before: Callable[[Transaction], None] = lambda _: None) -> Transaction:
    """Build a new environment and commit it; ``before`` happens between the two."""
    transaction = Transaction(target, check)
    replace = target.exists()
    with transaction:
        build(transaction.staging, transaction.ident, "new")
        before(transaction)
        transaction.commit(replace=replace)
    return transaction


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "env"


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to swap: of the kernel, and of file systems that cannot exchange."""
    if request.param == "two-step":
        monkeypatch.setattr(transaction_module, "exchange", lambda *_: False)
    return str(request.param)


def test_a_new_environment_comes_in_one_rename(target: Path) -> None:
    with Transaction(target, works) as transaction:
        build(transaction.staging, transaction.ident, "new")
        assert not target.exists()
        transaction.commit(replace=False)
    assert content(target) == "new"
    assert transaction_of(target) == transaction.ident
    assert rests(target) == []


def test_replace_exchanges_and_removes_the_old_one(target: Path, way: str) -> None:
    build(target, "00000000", "old")
    with Transaction(target, works) as transaction:
        build(transaction.staging, transaction.ident, "new")
        transaction.commit(replace=True)
    assert content(target) == "new"
    assert rests(target) == []


@pytest.mark.parametrize("replace", [False, True])
def test_without_a_commit_nothing_has_happened(target: Path, *, replace: bool) -> None:
    if replace:
        build(target, "00000000", "old")
    with Transaction(target, works) as transaction:
        build(transaction.staging, transaction.ident, "new")
        build(transaction.scratch(), "11111111", "cache")
    assert content(target) == ("old" if replace else None)
    assert rests(target) == []


def test_a_failure_inside_walks_back_and_is_passed_on(target: Path) -> None:
    def fail(_: Transaction) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        attempt(target, works, fail)
    assert rests(target) == []


def test_what_does_not_work_in_its_place_is_taken_out_again(target: Path, way: str) -> None:
    build(target, "00000000", "old")
    with pytest.raises(RolledBackError) as failure:
        attempt(target, broken)
    assert failure.value.code == "does-not-work-in-place"
    assert "it does not start" in failure.value.why
    assert content(target) == "old"
    assert rests(target) == []


def test_the_same_for_one_that_replaced_nothing(target: Path) -> None:
    with pytest.raises(RolledBackError):
        attempt(target, broken)
    assert not target.exists()
    assert rests(target) == []


def test_an_interrupt_in_the_middle_of_a_swap_puts_the_old_one_back(target: Path, way: str) -> None:
    def interrupted(_: Path) -> str:
        raise KeyboardInterrupt

    build(target, "00000000", "old")
    with pytest.raises(KeyboardInterrupt):
        attempt(target, interrupted)
    assert content(target) == "old"
    assert rests(target) == []


def test_something_that_came_meanwhile_is_not_overwritten(target: Path) -> None:
    with pytest.raises(OSError, match="not empty"):
        attempt(target, works, lambda _: build(target, "99999999", "somebody else's"))
    assert content(target) == "somebody else's"
    assert rests(target) == []


def test_what_cannot_be_undone_is_told_with_its_place(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(1, "no")

    def spoil(_: Transaction) -> None:
        monkeypatch.setattr(transaction_module, "remove_tree", refuse)
        monkeypatch.setattr(transaction_module, "_PATIENCE", 0.0)
        raise ZeroDivisionError

    with pytest.raises(NotRolledBackError) as failure:
        attempt(target, works, spoil)
    left = next(target.parent.glob(".env.tfgpu-????????"))
    assert str(left) in "\n".join(failure.value.why)
    monkeypatch.undo()
    with Transaction(target, works) as again:
        assert again.found[-1] == f"removed what it left: {left.name}"
    assert rests(target) == []


def test_only_one_transaction_of_a_target_at_a_time(target: Path) -> None:
    with Transaction(target, works):
        with pytest.raises(ToolFailedError) as failure, Transaction(target, works):
            pytest.fail("the second one must not begin")
        assert failure.value.code == "busy"
    with Transaction(target, works):
        pass
    assert rests(target) == []


def test_another_target_beside_it_is_not_concerned(target: Path) -> None:
    with Transaction(target, works), Transaction(target.with_name("other"), works) as other:
        assert other.found == ()


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from provision.backends import transaction as module
from provision.backends.journal import Journal
from provision.backends.transaction import Transaction
target, way, moment = Path(sys.argv[2]), sys.argv[3], sys.argv[4]
if way == "two-step":
    module.exchange = lambda *_: False

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

step, when = moment.split(":")
write = Journal.write
def journalled(self, name, **facts):
    if (name, when) == (step, "before"): die()
    write(self, name, **facts)
    if (name, when) == (step, "after"): die()
Journal.write = journalled
if step == "removal":
    remove = module.remove_tree
    def half(folder):
        if (folder / "content").exists() and (folder / "content").read_text() == "old":
            (folder / "content").unlink()
            die()
        remove(folder)
    module.remove_tree = half
rename = Path.rename
def renamed(self, other):
    rename(self, other)
    if step == "rename-to" and Path(other).name.startswith(".env.tfgpu-old-"): die()
Path.rename = renamed
works = die if step == "check" else (lambda _: "")
with Transaction(target, works) as transaction:
    import json
    (transaction.staging / ".tfgpu").mkdir()
    (transaction.staging / "content").write_text("new")
    (transaction.staging / ".tfgpu/environment.json").write_text(json.dumps({"transaction": transaction.ident}))
    if step == "built": die()
    transaction.commit(replace=target.exists())
print("survived")
"""

# moment → what stands at the target afterwards, where an old environment was there and where none was
KILLS: dict[str, tuple[str, str | None]] = {
    "begin:before": ("old", None),
    "begin:after": ("old", None),
    "built:": ("old", None),
    "exchange:before": ("old", "new"),
    "exchange:after": ("old", "new"),
    "two-step:after": ("old", "new"),
    "rename-to:": ("old", "new"),
    "rename:before": ("new", None),
    "rename:after": ("new", None),
    "check:": ("new", "new"),
    "kept:before": ("new", "new"),
    "kept:after": ("new", "new"),
    "removal:": ("new", "new"),
}


def killed_at(target: Path, way: str, moment: str) -> int:
    root = Path(__file__).parents[2]
    argv = [sys.executable, "-c", _KILLED, str(root), str(target), way, moment]
    return subprocess.run(argv, check=False, timeout=60, capture_output=True).returncode


@pytest.mark.parametrize("moment", KILLS)
@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("swap", WAYS)
def test_after_a_kill_at_any_moment_one_whole_environment_or_none_is_there(
    target: Path, moment: str, swap: str, *, old: bool
) -> None:
    if old:
        build(target, "00000000", "old")
    returncode = killed_at(target, swap, moment)
    assert returncode in (-signal.SIGKILL, 0)
    if moment == "rename-to:" and swap == "two-step" and old:
        assert not target.exists(), "this is the one moment without an environment, and the journal knows it"
    with Transaction(target, works) as transaction:
        assert content(target) == _expected(moment, swap, old=old, survived=returncode == 0)
        assert bool(transaction.found) == (returncode != 0 and moment != "begin:before")
    assert rests(target) == []


def _expected(moment: str, swap: str, *, old: bool, survived: bool) -> str | None:
    if survived:
        return "new"
    if swap == "exchange" and moment in ("two-step:after", "rename-to:"):
        return "new"
    return KILLS[moment][0 if old else 1]


def test_after_a_kill_a_new_environment_that_does_not_work_gives_way_to_the_old_one(target: Path) -> None:
    for way in WAYS:
        build(target, "00000000", "old")
        assert killed_at(target, way, "check:") == -signal.SIGKILL
        assert content(target) == "new"
        with Transaction(target, broken) as transaction:
            assert "put the environment back" in "\n".join(transaction.found)
        assert content(target) == "old"
        assert rests(target) == []


@pytest.mark.parametrize(
    "line",
    [
        b"not json\n",
        b'{"step": "exchange", "staging": "../../etc"}\n',
        b'{"step": "two-step", "staging": ".env.tfgpu-x", "aside": "/etc"}\n',
        b'{"step": 7}\n[]\n',
        b'{"step": "exch',
        b"\xff\xfe\x00",
    ],
)
def test_a_journal_that_lies_or_is_torn_harms_nothing(target: Path, tmp_path: Path, line: bytes) -> None:
    build(target, "00000000", "old")
    (tmp_path / "etc").mkdir()
    journal_path(target).write_bytes(line)
    with Transaction(target, works):
        pass
    assert content(target) == "old"
    assert rests(target) == ["etc"]


def test_folders_of_others_with_similar_names_are_left_alone(target: Path, tmp_path: Path) -> None:
    for name in (".env.tfgpu-notours", ".env.tfgpu-0000000", ".env2.tfgpu-00000000", "env.tfgpu-00000000"):
        (tmp_path / name).mkdir()
    with Transaction(target, works):
        pass
    assert len(rests(target)) == 4


def test_a_name_with_pattern_characters_is_taken_literally(tmp_path: Path) -> None:
    target = tmp_path / "e[nv]*"
    (tmp_path / ".env.tfgpu-00000000").mkdir()
    (tmp_path / ".e[nv]*.tfgpu-00000001").mkdir()
    with Transaction(target, works) as transaction:
        assert transaction.found == ("removed what it left: .e[nv]*.tfgpu-00000001",)
    assert rests(target) == [".env.tfgpu-00000000"]


def test_the_journal_is_no_link_to_somewhere_else(target: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    journal_path(target).symlink_to("victim")
    with pytest.raises(OSError, match="symbolic"):
        Journal(journal_path(target))
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_waiting_lock_on_a_removed_journal_is_not_a_lock(target: Path) -> None:
    """Who opened the file before the winner removed it must not believe to own the target."""
    first = Journal(journal_path(target))
    stale = os.open(journal_path(target), os.O_RDWR)
    first.close(remove=True)
    second = Journal(journal_path(target))
    try:
        assert os.fstat(stale).st_ino != journal_path(target).stat().st_ino or os.fstat(stale).st_nlink == 0
        with pytest.raises(ToolFailedError):
            Journal(journal_path(target))
    finally:
        os.close(stale)
        second.close(remove=True)


def test_exchange_is_atomic_and_says_where_it_cannot(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    build(one, "00000001", "one")
    build(other, "00000002", "other")
    if not exchange(one, other):
        pytest.skip("this kernel or file system cannot exchange")
    assert (content(one), content(other)) == ("other", "one")
    with pytest.raises(OSError, match="No such file"):
        exchange(one, tmp_path / "absent")
    assert content(one) == "other"
