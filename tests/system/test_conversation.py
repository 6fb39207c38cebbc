from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest

from provision.system import System

ECHO = "import sys\nfor line in sys.stdin:\n    print('said ' + line.strip(), flush=True)\n"


def talk(code: str, **more: object):  # noqa: ANN201
    return System().converse([sys.executable, "-I", "-c", code], env=dict(os.environ), **more)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_child_answers_every_question() -> None:
    with talk("import os, sys\nfor line in sys.stdin:\n    print(os.getpid(), line.strip(), flush=True)\n") as child:
        first = child.ask("one", timeout=20)
        second = child.ask("two", timeout=20)
    assert first.ok
    assert second.ok
    assert first.stdout.split()[1] == "one"
    assert second.stdout.split() == [first.stdout.split()[0], "two"]
    assert not alive(int(first.stdout.split()[0]))


def test_a_child_that_ends_is_told_with_its_code_and_words_and_the_next_question_starts_another() -> None:
    code = "import sys\nline = sys.stdin.readline()\nif line == 'die\\n':\n    sys.exit('no more')\nprint(line, flush=True)"
    with talk(code) as child:
        dead = child.ask("die", timeout=20)
        assert (dead.returncode, dead.stdout, dead.stderr, dead.timed_out) == (1, "", "no more\n", False)
        assert child.ask("live", timeout=20).stdout == "live\n"


def test_a_child_that_is_killed_is_told_with_its_signal() -> None:
    with talk("import os, sys\nsys.stdin.readline()\nos.kill(os.getpid(), 11)") as child:
        assert child.ask("x", timeout=20).returncode == -signal.SIGSEGV


def test_a_silent_child_is_killed_when_its_time_is_up() -> None:
    said: list[str] = []
    code = "import os, sys, time\nprint(os.getpid(), file=sys.stderr, flush=True)\ntime.sleep(60)"
    with talk(code, on_line=said.append) as child:
        began = time.monotonic()
        done = child.ask("x" * 1_000_000, timeout=1)  # more than a pipe holds: telling must not keep us either
    assert done.timed_out
    assert not done.ok
    assert time.monotonic() - began < 5
    assert not alive(int(said[0]))


def test_long_answers_come_whole() -> None:
    with talk(ECHO) as child:
        assert child.ask("y" * 3_000_000, timeout=30).stdout == "said " + "y" * 3_000_000 + "\n"


def test_an_interrupt_ends_the_child() -> None:
    said: list[str] = []
    code = "import os, sys, time\nprint(os.getpid(), file=sys.stderr, flush=True)\ntime.sleep(60)"
    with talk(code, on_line=said.append) as child:
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            child.ask("x", timeout=30)
        assert not alive(int(said[0]))


def test_a_program_that_is_not_there_is_an_answer() -> None:
    done = System().converse(["/nonexistent/program"], env={}).ask("x", timeout=5)
    assert done.returncode == 126
    assert "nonexistent" in done.stderr
