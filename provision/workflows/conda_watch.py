"""The conda engine's events as progress."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence

from provision.model.lock import CondaLocked
from provision.model.progress import Observer
from provision.workflows.create_watch import in_words

_WORTH_A_LINE = 1 << 20


class CondaWatch:
    """Turns each event of the engine into what an observer shows; many packages come at once."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._sizes: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._shown = 0
        self._lock = threading.Lock()

    def expect(self, packages: Sequence[CondaLocked]) -> None:
        """Take the sizes that the channel tells."""
        self._sizes = {item.name: item.size for item in packages if item.size}

    def __call__(self, line: str) -> None:
        """Take one line."""
        try:
            event = json.loads(line)
        except ValueError:
            return
        if isinstance(event, dict):
            with self._lock:
                self._take(event)

    def _take(self, event: Mapping[str, object]) -> None:
        kind, name = event.get("event"), str(event.get("name", ""))
        size = self._sizes.get(name, 0)
        if kind == "download":
            first = name not in self._done
            done = event.get("done")
            self._done[name] = done if isinstance(done, int) else 0
            if first and size >= _WORTH_A_LINE:
                self._observer.detail(f"downloading {name} ({in_words(size)})")
        elif kind == "downloaded":
            self._done[name] = size
        elif kind == "linked" and event.get("count") == event.get("total"):
            self._observer.detail(f"installed {event.get('total')} conda packages")
        total = sum(self._sizes.get(name, 0) for name in self._done)
        if kind in ("download", "downloaded") and total:
            self._shown = max(self._shown, min(sum(self._done.values()), total))
            self._observer.transfer(self._shown, total)
