from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provision.system import System, remove_tree, write_atomic


@pytest.fixture
def system() -> System:
    return System()


def test_output_and_exit_code_come_back(system: System) -> None:
    done = system.run(
        [sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"], timeout=20
    )
    assert (done.returncode, done.stdout, done.stderr, done.ok) == (3, "out\n", "err\n", False)


@pytest.mark.parametrize(("program", "code"), [("no-such-program-anywhere", 127), ("/", 126), ("/etc/hostname", 126)])
def test_what_cannot_start_is_a_return_code(system: System, program: str, code: int) -> None:
    assert system.run([program], timeout=5).returncode == code


def test_a_hang_ends_at_the_limit_with_its_children(system: System, tmp_path: Path) -> None:
    mark = tmp_path / "child"
    script = f"import subprocess,sys,time; p=subprocess.Popen([sys.executable,'-c','import time; time.sleep(60)']); open({str(mark)!r},'w').write(str(p.pid)); time.sleep(60)"
    begin = time.monotonic()
    done = system.run([sys.executable, "-c", script], timeout=2)
    assert done.timed_out
    assert not done.ok
    assert time.monotonic() - begin < 15
    child = int(mark.read_text())
    for _ in range(50):
        if not _alive(child):
            return
        time.sleep(0.1)
    pytest.fail("the grandchild survived")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] not in ("Z", "X")
    except OSError:
        return False


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    child_script = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    script = (
        "import sys; from provision.system import System; "
        f"System().run([sys.executable, '-c', {child_script!r}], timeout=60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    for _ in range(100):
        if mark.exists() and mark.read_text():
            break
        time.sleep(0.1)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    child = int(mark.read_text())
    for _ in range(50):
        if not _alive(child):
            return
        time.sleep(0.1)
    pytest.fail("the child of a killed parent survived")


def test_lines_of_standard_error_come_as_they_are_written(system: System) -> None:
    seen: list[str] = []
    system.run([sys.executable, "-c", "import sys; sys.stderr.write('one\\ntwo\\n')"], timeout=20, on_line=seen.append)
    assert seen == ["one", "two"]


def test_something_else_is_done_while_the_child_runs(system: System, tmp_path: Path) -> None:
    # The child waits for what is done beside it.
    script = "import pathlib,sys,time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\nprint('seen')"
    mark = tmp_path / "mark"
    done = system.run([sys.executable, "-c", script, str(mark)], timeout=20, meanwhile=mark.touch)
    assert (done.returncode, done.stdout) == (0, "seen\n")


def test_the_environment_is_the_one_given() -> None:
    system = System(environ={"ONLY": "this"})
    done = system.run(
        [sys.executable, "-c", "import os; print(os.environ.get('ONLY'), 'HOME' in os.environ)"], timeout=20
    )
    assert done.stdout == "this False\n"


def test_standard_input_reaches_the_child_and_a_deaf_child_is_no_error(system: System) -> None:
    assert system.run([sys.executable, "-c", "print(input())"], timeout=20, stdin="word\n").stdout == "word\n"
    assert system.run([sys.executable, "-c", "pass"], timeout=20, stdin="x" * 1_000_000).returncode == 0


def test_bytes_that_are_no_text_do_not_break_anything(system: System) -> None:
    done = system.run([sys.executable, "-c", r"import sys; sys.stdout.buffer.write(b'\xff\xfe\n')"], timeout=20)
    assert done.stdout == "\ufffd\ufffd\n"


def test_reads_stay_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "version").write_text("Linux")
    system = System(root=tmp_path)
    assert system.read_text("/proc/version") == "Linux"
    assert system.exists("/proc/version")
    assert not system.exists("/proc/nothing")
    assert system.glob("/proc", "*") == ("/proc/version",)
    assert system.glob("/missing", "*") == ()


def test_a_read_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "big").write_text("x" * 100)
    assert System(root=tmp_path).read_text("/big", limit=10) == "x" * 10


def test_free_space_of_a_path_that_is_not_there_yet(system: System, tmp_path: Path) -> None:
    free = system.free_mib(tmp_path / "a" / "b")
    assert free is not None
    assert free > 0


def test_atomic_write_replaces_and_does_not_follow_hardlinks(tmp_path: Path) -> None:
    original = tmp_path / "cache"
    original.write_text("cache")
    target = tmp_path / "file"
    os.link(original, target)
    write_atomic(target, "new", mode=0o600)
    assert target.read_text() == "new"
    assert original.read_text() == "cache"
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_failed_atomic_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(target, "new")
    assert target.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_remove_tree_never_follows_a_link(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("keep")
    doomed = tmp_path / "doomed"
    doomed.mkdir()
    (doomed / "link").symlink_to(precious)
    locked = doomed / "locked"
    locked.mkdir()
    (locked / "file").write_text("x")
    locked.chmod(0o500)
    remove_tree(doomed)
    assert not doomed.exists()
    assert (precious / "data").read_text() == "keep"
    outer = tmp_path / "outer"
    outer.symlink_to(precious)
    remove_tree(outer)
    assert (precious / "data").exists()
    remove_tree(tmp_path / "missing")


def test_a_child_that_survives_even_sigkill_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process inside a hung kernel driver cannot be killed; the caller must come back all the same."""
    monkeypatch.setattr("provision.system.door._KILL_PATIENCE", 0.2)
    pids: list[int] = []
    monkeypatch.setattr("provision.system.door.kill_group", pids.append)
    try:
        start = time.monotonic()
        done = System().run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.3)
        assert time.monotonic() - start < 10
        assert done.timed_out
        assert done.returncode == -signal.SIGKILL
        assert not done.ok
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_at_any_moment_is_never_lost_and_no_child_stays(number: signal.Signals, tmp_path: Path) -> None:
    script = (
        "import signal, sys\n"
        "from provision.system import System\n"
        "def stop(*_): raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "try:\n"
        "    print('ready', flush=True)\n"
        "    while True: System().run([sys.executable, '-S', '-c', 'pass'], timeout=20)\n"
        "except KeyboardInterrupt: sys.exit(130)\n"
    )
    for attempt in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.003 * attempt)
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 130, errors
        assert errors == ""


def test_a_child_that_does_not_read_does_not_keep_us_past_the_limit(system: System) -> None:
    begin = time.monotonic()
    done = system.run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=1, stdin="x" * 1_000_000)
    assert done.timed_out
    assert time.monotonic() - begin < 15


def test_a_child_can_be_interrupted_though_we_held_signals_back(system: System) -> None:
    script = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    assert system.run([sys.executable, "-c", script], timeout=20).returncode == -signal.SIGTERM
