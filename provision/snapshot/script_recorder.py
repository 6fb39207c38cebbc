"""Collects the remarks of one file of user code, and how far its process has come."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from provision.model.script import Remark
from provision.snapshot.script_names import READ_AT, WATCHED, Moment
from provision.snapshot.script_source import Aside, Piece

_TEXT = 300
_STARTS_CHILDREN = re.compile(r"\bsubprocess\b|\bos\.(?:exec|spawn|system|popen|posix_spawn)|\bmultiprocessing\b")


@dataclass(frozen=True)
class Flow:
    """How sure it is that a line runs.

    Attributes:
        certain: ``yes``, ``branch`` (of something) or ``function`` (nothing here calls it).
        maybe: whether it stands in a branch, in whatever function.
        device: whether it stands under ``with tf.device(…)``.
    """

    certain: str = "yes"
    maybe: bool = False
    device: bool = False

    def branch(self) -> Flow:
        """Return the flow inside a branch that may not be taken."""
        return replace(self, certain="branch" if self.certain == "yes" else self.certain, maybe=True)


@dataclass
class Progress:
    """How far the process has come: for each moment the line and the text of what brought it there."""

    reached: dict[Moment, tuple[int, str]] = field(default_factory=dict)

    def at(self, moment: Moment) -> tuple[int, str] | None:
        """Return what reached a moment or a later one, None where nothing did."""
        return next((self.reached[other] for other in sorted(self.reached) if other >= moment), None)

    def copy(self) -> Progress:
        """Return one that goes its own way."""
        return Progress(dict(self.reached))


class Recorder:
    """The remarks of one file.

    Attributes:
        piece: the part of the file that is being walked through.
        progress: how far the process has come there.
        narrowed: whether the code chooses among the GPUs, so that not all of them are configured.
    """

    def __init__(self, pieces: Sequence[Piece], file: str) -> None:
        self.file = file
        self.piece: Piece | None = None
        self.progress = Progress()
        self.narrowed = False
        self._found: list[Remark] = []
        self._tensorflow = False
        self.text = "\n".join(line for piece in pieces for line in piece.lines)
        self._children = _STARTS_CHILDREN.search(self.text) is not None

    def remark(
        self,
        kind: str,
        line: int,
        fields: Mapping[str, str | None] | None = None,
        *,
        late: bool = False,
        piece: Piece | None = None,
    ) -> None:
        """Add a remark; fields that are None are left out."""
        here = piece or self.piece
        known = {name: value for name, value in (fields or {}).items() if value is not None}
        if here and here.cell:
            known["cell"] = str(here.cell)
        item = Remark(kind, self.file, line, self._line(line, here), known, late)
        if item not in self._found:
            self._found.append(item)

    def reach(self, moment: Moment, line: int) -> None:
        """Note that the process has come to a moment."""
        self._tensorflow = self._tensorflow or moment is Moment.IMPORT
        self.progress.reached.setdefault(moment, (line, self._line(line, self.piece)))

    def after(self, moment: Moment) -> dict[str, str | None]:
        """Return fields that say what reached a moment, empty where nothing did."""
        place = (0, "the start of the process") if moment is Moment.PROCESS else self.progress.at(moment)
        if place is None:
            return {}
        return {"after": place[1], "after_line": str(place[0]) if place[0] else None, "moment": moment.name.lower()}

    def variable(self, name: str | None, value: str | None, line: int, flow: Flow, *, unset: bool = False) -> None:
        """Note that code sets a variable of its own process; ``value`` is None where it is not known."""
        moment = READ_AT.get(name or "")
        if moment is None:
            return
        after = self.after(moment)
        fields = {"variable": name, "value": value, "certain": flow.certain, **after}
        if name != "CUDA_VISIBLE_DEVICES":
            if after and not unset:
                self.remark("variable-late", line, fields, late=True)
            return
        if not after and flow.certain != "function":
            self._overridden(surely=not flow.maybe)
        self.narrowed = self.narrowed or value is None or "," not in value
        if not unset:
            self.remark("visible-devices-env", line, fields, late=bool(after))

    def _overridden(self, *, surely: bool) -> None:
        """Take back what set CUDA_VISIBLE_DEVICES before, in time: what is set last counts, if that line is run."""
        earlier = [item for item in self._found if item.kind == "visible-devices-env" and not item.late]
        self._found = [item for item in self._found if item not in earlier]
        if not surely:
            self._found += [replace(item, fields={**item.fields, "certain": "branch"}) for item in earlier]

    def aside(self, aside: Aside) -> None:
        """Note a variable that is set otherwise than by Python: for the notebook's kernel, or for a shell that ends."""
        if not aside.in_shell:
            self.variable(aside.variable, aside.value, aside.line, Flow())
        elif WATCHED.fullmatch(aside.variable):
            fields = {"variable": aside.variable, "value": aside.value, "certain": "yes", "moment": "shell"}
            self.remark("variable-late", aside.line, {**fields, "after": "the end of that shell"}, late=True)

    def finish(self) -> tuple[Remark, ...]:
        """Return the remarks in the order of cells and lines."""
        # A launcher sets what the loader reads for the programs that it starts.
        own = self._tensorflow and not self._children
        kept = [item for item in self._found if own or item.fields.get("moment") != "process"]
        return tuple(sorted(kept, key=lambda item: (int(item.fields.get("cell", "0")), item.line)))

    @staticmethod
    def _line(line: int, piece: Piece | None) -> str:
        lines = piece.lines if piece else ()
        return lines[line - 1].strip()[:_TEXT] if 0 < line <= len(lines) else ""
