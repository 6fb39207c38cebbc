"""Ask several children at once, in threads that never keep the program from ending.

An executor's threads are waited for when the program leaves, so that Ctrl-C before a hung driver would take as long
as its time limit. These are daemons: the answer that nobody waits for any more is dropped, and the child dies with
the thread that started it.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from provision.system.process import start_thread

T = TypeVar("T")
V = TypeVar("V")

_WORKERS = 4
_SLICE = 0.2


class Pending(Generic[T]):
    """A function that runs in a thread of its own from now on."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._values: list[T] = []
        self._errors: list[BaseException] = []
        self._thread = start_thread(self._run, function)

    def _run(self, function: Callable[[], T]) -> None:
        try:
            self._values.append(function())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            self._errors.append(error)

    def wait(self) -> None:
        """Return when the function has ended, in whatever way."""
        # In slices: an interrupt that the kernel hands to another thread does not wake a join without a limit.
        while self._thread.is_alive():
            self._thread.join(_SLICE)

    def result(self) -> T:
        """Wait for the function and return what it returned, or raise what it raised."""
        self.wait()
        if self._errors:
            raise self._errors[0]
        return self._values[0]


def each(function: Callable[[T], V], items: Iterable[T]) -> list[V]:
    """Return the function's results in the order of the items, a few at a time."""
    todo: queue.SimpleQueue[tuple[int, T]] = queue.SimpleQueue()
    count = 0
    for place, item in enumerate(items):
        todo.put((place, item))
        count += 1
    results: dict[int, V] = {}

    def work() -> None:
        while True:
            try:
                place, item = todo.get_nowait()
            except queue.Empty:
                return
            results[place] = function(item)

    for worker in [Pending(work) for _ in range(min(_WORKERS, count))]:
        worker.result()
    return [results[place] for place in range(count)]
