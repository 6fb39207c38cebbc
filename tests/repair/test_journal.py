"""The journal of repairs: locks, history, what a crash leaves, and histories that a stranger wrote."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from repair.interference import DONE, ROLLED_BACK, in_child, repair
from repair.trees import in_memory, make_before, picture, stage_of, write

from provision.backends.transaction import Transaction, journal_path
from provision.errors import InvalidFileError, NotRolledBackError, ToolFailedError
from provision.model.repair import Entry, EntryState, PackageChange, Patch, Repairing
from provision.repair.files.patch import difference
from provision.repair.history.entry_file import parse_entry, render_entry
from provision.repair.history.journal import Held, hold, read_history, unfinished

CAUSE = Repairing("cudnn-too-old", "cuDNN is 8.6", "install cuDNN 9", ())


@pytest.fixture
def prefix(tmp_path: Path) -> Iterator[Path]:
    with in_memory(tmp_path) as folder:
        path = folder / "envs/env"
        path.mkdir(parents=True)
        make_before(path)
        yield path


def started(prefix: Path, state: EntryState) -> Entry:
    """Leave a repair as a kill would in this state; return its entry."""
    with hold(prefix) as held:
        journal = held.begin([CAUSE])
        stage_of(prefix, journal.stage)
        if state is EntryState.BUILDING:
            return journal.entry
        journal.ready(difference(prefix, journal.stage), [PackageChange("p", "1", "2")])
        if state is not EntryState.APPLYING:
            journal.go_forward()
        if state not in (EntryState.APPLYING, EntryState.APPLIED):
            journal.advance(state)
        return journal.entry


def folder_of(prefix: Path, entry: Entry) -> Path:
    return prefix / ".tfgpu/repairs" / entry.ident


def test_a_dry_run_leaves_nothing(prefix: Path) -> None:
    shutil.rmtree(prefix / ".tfgpu")
    before = picture(prefix)
    with hold(prefix) as held:
        journal = held.begin([CAUSE])
        stage_of(prefix, journal.stage)
        journal.discard()
    assert picture(prefix) == before
    assert list(prefix.parent.iterdir()) == [prefix]


def test_a_repair_is_kept_in_the_history_and_can_be_undone(prefix: Path) -> None:
    before = picture(prefix)
    entry = started(prefix, EntryState.DONE)
    assert sorted(path.name for path in folder_of(prefix, entry).iterdir()) == ["entry.json", "journal", "kept"]
    (read,) = read_history(prefix)
    assert read == entry
    assert (read.repairs, read.packages) == (((CAUSE.code, CAUSE.what),), (PackageChange("p", "1", "2"),))
    assert read.kept_bytes > 70_000
    assert unfinished(prefix) is None
    with hold(prefix) as held:
        journal = held.reopen(read)
        assert journal.walk_back() is None
    assert picture(prefix) == before
    assert [item.state for item in read_history(prefix)] == [EntryState.UNDONE]
    assert sorted(path.name for path in folder_of(prefix, entry).iterdir()) == ["entry.json", "journal"]


def test_the_newest_comes_first(prefix: Path) -> None:
    idents = []
    for _ in range(3):
        entry = started(prefix, EntryState.DONE)
        idents.append(entry.ident)
        with hold(prefix) as held:
            held.reopen(entry).walk_back()
    assert [entry.ident for entry in read_history(prefix)] == idents[::-1]


@pytest.mark.parametrize("finish", [True, False])
@pytest.mark.parametrize("state", [EntryState.APPLYING, EntryState.APPLIED, EntryState.UNDOING])
def test_what_was_cut_off_is_found_and_brought_to_an_end(prefix: Path, state: EntryState, *, finish: bool) -> None:
    before = picture(prefix)
    cut = started(prefix, state)
    found = unfinished(prefix)
    assert found == cut
    with hold(prefix) as held:
        assert unfinished(prefix) == cut
        with pytest.raises(ToolFailedError) as caught:
            held.begin([])
        assert caught.value.code == "repair-cut-off"
        said = held.recover(cut, finish=finish)
        assert ("finished" if finish else "walked back") in said
        assert "ended already" in held.recover(cut, finish=not finish)
    assert unfinished(prefix) is None
    assert (picture(prefix) == before) is not finish
    assert read_history(prefix)[0].state is (EntryState.DONE if finish else EntryState.UNDONE)


def test_a_copy_that_a_kill_left_goes_with_the_next_repair(prefix: Path) -> None:
    cut = started(prefix, EntryState.BUILDING)
    ended = started(prefix, EntryState.DONE)
    (folder_of(prefix, ended) / "stage").mkdir()
    assert unfinished(prefix) is None
    assert [entry.ident for entry in read_history(prefix)] == [ended.ident]
    with hold(prefix) as held:
        held.begin([]).discard()
    assert not folder_of(prefix, cut).exists()
    assert not (folder_of(prefix, ended) / "stage").exists()


def test_what_this_process_works_on_does_not_count(prefix: Path) -> None:
    with hold(prefix) as held:
        journal = held.begin([])
        stage_of(prefix, journal.stage)
        journal.ready(difference(prefix, journal.stage), [])
        assert journal.entry.state is EntryState.APPLYING
        assert unfinished(prefix) is None
    assert unfinished(prefix) is not None


def elsewhere(work: Callable[[], object]) -> int:
    """Start a child that works and then waits; return its pid when it waits."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            held = work()
            os.write(writing, b".")
            signal.pause()
            del held
        finally:
            os._exit(1)
    os.close(writing)
    assert os.read(reading, 1) == b"."
    os.close(reading)
    return child


def test_another_process_is_told_and_a_kill_frees_the_lock(prefix: Path) -> None:
    def work() -> object:
        held = hold(prefix)
        journal = held.begin([])
        stage_of(prefix, journal.stage)
        journal.ready(difference(prefix, journal.stage), [])
        return held, journal

    child = elsewhere(work)
    try:
        assert unfinished(prefix) is None
        with pytest.raises(ToolFailedError) as caught:
            hold(prefix)
        assert caught.value.code == "busy"
        # Create and sync are told as well: they would exchange the environment under the repair.
        with pytest.raises(ToolFailedError) as caught, Transaction(prefix, lambda _: ""):
            pass
        assert caught.value.code == "busy"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    cut = unfinished(prefix)
    assert cut is not None
    with hold(prefix) as held:
        held.recover(cut, finish=False)
    assert list(prefix.parent.iterdir()) == [prefix]


def test_a_repair_is_told_while_create_or_sync_works(prefix: Path) -> None:
    child = elsewhere(lambda: Transaction(prefix, lambda _: "").__enter__())
    try:
        with pytest.raises(ToolFailedError) as caught:
            hold(prefix)
        assert caught.value.code == "busy"
        assert not (prefix / ".tfgpu/repairs").exists()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    # What a killed create has left is for create to clean up.
    hold(prefix).close()
    assert journal_path(prefix).stat().st_size > 0


def test_of_ten_at_once_one_repairs_at_a_time(prefix: Path, tmp_path: Path) -> None:
    before = picture(prefix)
    children = []
    for number in range(10):
        child = os.fork()
        if child == 0:
            code = 9
            try:
                code = repair(prefix, better=False)
            except ToolFailedError as error:
                code = 3 if error.code == "busy" else 9
            finally:
                os._exit(code)
        children.append((number, child))
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for _, child in children]
    assert set(ends) <= {3, 6}
    assert ends.count(6) >= 1
    assert picture(prefix) == before
    assert unfinished(prefix) is None
    assert {entry.state for entry in read_history(prefix)} == {EntryState.UNDONE}


def test_somebody_who_installs_meanwhile_is_noticed(prefix: Path) -> None:
    with hold(prefix) as held:
        journal = held.begin([])
        stage_of(prefix, journal.stage)
        write(prefix / "lib/site-packages/theirs.py", b"t = 1\n")
        before = picture(prefix)
        with pytest.raises(ToolFailedError) as caught:
            journal.ready(difference(prefix, journal.stage), [])
        assert caught.value.code == "changed-meanwhile"
        assert caught.value.why == ("lib/site-packages/theirs.py",)
        journal.discard()
    assert picture(prefix) == before


def test_a_name_that_no_journal_can_hold_is_known_before_anything_changes(prefix: Path) -> None:
    before = picture(prefix)
    with hold(prefix) as held:
        journal = held.begin([])
        stage_of(prefix, journal.stage)
        write(journal.stage / "two\nlines", b"")
        with pytest.raises(InvalidFileError):
            journal.ready(difference(prefix, journal.stage), [])
        journal.discard()
    assert picture(prefix) == before


def test_an_environment_without_write_rights(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = started(prefix, EntryState.APPLIED)

    def refused(path: Path) -> int:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr("provision.repair.history.lock.lock_file", refused)
    assert unfinished(prefix) == cut
    with pytest.raises(ToolFailedError) as caught:
        hold(prefix)
    assert caught.value.code == "not-writable"


def test_a_file_system_without_locks(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> int:
        raise OSError(errno.ENOLCK, "No locks available", str(path))

    monkeypatch.setattr("provision.repair.history.lock.lock_file", refused)
    with pytest.raises(ToolFailedError) as caught:
        hold(prefix)
    assert caught.value.code == "no-locks"


@pytest.mark.skipif(os.geteuid() != 0, reason="everything here runs without root's rights anyway")
def test_without_the_rights_of_root(prefix: Path) -> None:
    if prefix.parts[:3] != ("/", "dev", "shm"):
        pytest.skip("another user cannot come to this folder")
    shutil.rmtree(prefix)

    def work() -> int:
        make_before(prefix)
        before = picture(prefix)
        assert repair(prefix, better=False) == ROLLED_BACK
        assert picture(prefix) == before
        assert repair(prefix) == DONE
        with hold(prefix) as held:
            held.reopen(read_history(prefix)[0]).walk_back()
        assert picture(prefix) == before
        return DONE

    def as_nobody() -> int:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        prefix.mkdir()
        return work()

    for folder in (prefix.parent.parent, prefix.parent):
        os.chown(folder, 65534, 65534)
    assert in_child(as_nobody) == DONE


def test_a_torn_line_is_a_step_not_taken(prefix: Path) -> None:
    cut = started(prefix, EntryState.APPLYING)
    journal = folder_of(prefix, cut) / "journal"
    with journal.open("ab") as stream:
        stream.write(b'{"state": "appl')
    assert unfinished(prefix) == cut
    with hold(prefix) as held:
        held.recover(cut, finish=True)
    assert read_history(prefix)[0].state is EntryState.DONE


def test_what_is_missing_is_known_before_anything_is_touched(prefix: Path) -> None:
    cut = started(prefix, EntryState.APPLYING)
    for path in (folder_of(prefix, cut) / "stage").rglob("new.py"):
        path.unlink()
    before = picture(prefix)
    with hold(prefix) as held:
        with pytest.raises(ToolFailedError) as caught:
            held.recover(cut, finish=True)
        assert caught.value.code == "cannot-finish"
        assert picture(prefix) == before
        held.recover(cut, finish=False)
    assert picture(prefix) == before


def test_a_disk_that_fails_while_walking_back_is_told_and_tried_again(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = picture(prefix)
    cut = started(prefix, EntryState.APPLIED)

    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with hold(prefix) as held:
        with monkeypatch.context() as patched:
            patched.setattr("provision.repair.files.settle.bring", failing)
            with pytest.raises(NotRolledBackError):
                held.recover(cut, finish=False)
        held.recover(cut, finish=False)
    assert picture(prefix) == before


# --- what a stranger may have put there ---------------------------------------------------------------------------


def test_folders_that_are_links_are_not_followed(prefix: Path, tmp_path: Path) -> None:
    entry = started(prefix, EntryState.APPLIED)
    away = tmp_path / "away"
    shutil.move(folder_of(prefix, entry), away)
    folder_of(prefix, entry).symlink_to(away)
    assert unfinished(prefix) is None
    assert read_history(prefix) == ()
    folder_of(prefix, entry).unlink()
    shutil.move(away, folder_of(prefix, entry))
    for name in ("kept", "stage"):
        shutil.move(folder_of(prefix, entry) / name, tmp_path / name)
        (folder_of(prefix, entry) / name).symlink_to(tmp_path / name)
        with hold(prefix) as held, pytest.raises(InvalidFileError):
            held.recover(entry, finish=False)
        (folder_of(prefix, entry) / name).unlink()
        shutil.move(tmp_path / name, folder_of(prefix, entry) / name)
    shutil.move(prefix / ".tfgpu/repairs", tmp_path / "repairs")
    (prefix / ".tfgpu/repairs").symlink_to(tmp_path / "repairs")
    assert unfinished(prefix) is None
    with pytest.raises(InvalidFileError):
        hold(prefix)


def rewritten(prefix: Path, change: Callable[[dict[str, list[object]]], object]) -> None:
    entry = started(prefix, EntryState.APPLIED)
    path = folder_of(prefix, entry) / "entry.json"
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))


def look_and_begin(prefix: Path, held: Held) -> None:
    read_history(prefix)
    held.begin([])


FILE = ["file", 0o644, 1, "0" * 64]


@pytest.mark.parametrize(
    "change",
    [
        ["../outside", ["nothing"], FILE],
        ["lib/../../outside", ["nothing"], FILE],
        ["/etc/passwd", ["nothing"], FILE],
        ["//kernel.json", ["nothing"], FILE],
        ["lib//a", ["nothing"], FILE],
        ["./a", ["nothing"], FILE],
        ["", ["nothing"], FILE],
        [".", ["nothing"], FILE],
        [".tfgpu", ["folder", 0o755], ["nothing"]],
        [".tfgpu/repairs/lock", ["nothing"], FILE],
        ["a\u001b[2Jb", ["nothing"], FILE],
        ["a\x00b", ["nothing"], FILE],
        [7, ["nothing"], FILE],
        ["a", ["nothing"], ["nothing"]],
        ["a", ["nothing"], ["file", -1, 1, "0" * 64]],
        ["a", ["nothing"], ["file", 0o644, 1, "0" * 63]],
        ["a", ["nothing"], ["file", True, 1, "0" * 64]],
        ["a", ["nothing"], ["file", 0o644, 1 << 80, "0" * 64]],
        ["a", ["nothing"], ["link", ""]],
        ["a", ["nothing"], ["link", "x" * 5000]],
        ["a", ["nothing"], ["device", 1]],
        ["a", ["nothing"], None],
        ["a", ["nothing"]],
        None,
    ],
)
def test_a_patch_that_no_repair_wrote_is_refused(prefix: Path, change: object) -> None:
    rewritten(prefix, lambda document: document.update(changes=[change]))
    before = picture(prefix)
    cut = unfinished(prefix)
    assert cut is not None
    assert cut.patch == Patch()
    with pytest.raises(InvalidFileError):
        read_history(prefix)
    with hold(prefix) as held, pytest.raises(InvalidFileError):
        held.recover(cut, finish=False)
    assert picture(prefix) == before


@pytest.mark.parametrize("name", ["entry.json", "journal"])
@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        lambda path: path.symlink_to("/etc/passwd"),
        Path.mkdir,
        lambda path: path.write_bytes(b"[" * 100_000 + b"\n"),
        lambda path: path.write_bytes(b"{}\n"),
        lambda path: path.write_bytes(b"\xff\xfe\n"),
        lambda path: (path.touch(), os.truncate(path, 1 << 40)),
    ],
    ids=["pipe", "link", "folder", "deep", "empty", "no-text", "huge"],
)
def test_a_file_that_no_repair_wrote_is_refused(prefix: Path, name: str, make: Callable[[Path], object]) -> None:
    entry = started(prefix, EntryState.APPLIED)
    path = folder_of(prefix, entry) / name
    path.unlink()
    make(path)
    before = picture(prefix)
    unfinished(prefix)
    with hold(prefix) as held, pytest.raises(InvalidFileError):
        look_and_begin(prefix, held)
    assert picture(prefix) == before


ENTRY = Entry("0123abcd", "2026-11-21T20:00:00Z", "0.1.0", EntryState.DONE, patch=Patch())


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_an_entry_or_an_invalid_file(content: bytes) -> None:
    with pytest.raises(InvalidFileError):
        parse_entry(content, ENTRY, Path("entry.json"))


def _json() -> st.SearchStrategy[object]:
    plain = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats()
    return st.recursive(plain, lambda inner: st.lists(inner, max_size=4), max_leaves=8)


@given(st.fixed_dictionaries({"changes": _json(), "packages": _json(), "kept_bytes": _json()}))
def test_any_values_are_an_entry_or_an_invalid_file(values: dict[str, object]) -> None:
    document = json.dumps({**json.loads(render_entry(ENTRY)), **values}).encode()
    try:
        read = parse_entry(document, ENTRY, Path("entry.json"))
    except InvalidFileError:
        return
    assert parse_entry(render_entry(read), ENTRY, Path("entry.json")) == read
