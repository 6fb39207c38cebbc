from __future__ import annotations

import threading
import time

import pytest

from provision.system.parallel import Pending, each


def test_results_come_in_the_order_of_the_items() -> None:
    def slower_first(item: int) -> int:
        time.sleep(0.05 / (item + 1))
        return item * item

    assert each(slower_first, range(20)) == [item * item for item in range(20)]
    assert each(slower_first, []) == []


def test_they_run_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=10)
    assert len(each(lambda _item: together.wait(), range(3))) == 3


def test_an_error_is_raised_where_the_result_is_asked_for() -> None:
    def fail(item: int) -> int:
        raise ValueError(str(item))

    pending = Pending(lambda: fail(7))
    with pytest.raises(ValueError, match="7"):
        pending.result()
    with pytest.raises(ValueError, match=r"[012]"):
        each(fail, range(3))


def test_a_thread_that_never_ends_keeps_nobody() -> None:
    pending = Pending(lambda: time.sleep(60))
    assert pending._thread.daemon
