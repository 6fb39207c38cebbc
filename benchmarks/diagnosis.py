"""How many logs of a labelled collection are explained rightly.

    python benchmarks/diagnosis.py [FOLDER] [--all]

FOLDER holds one folder for each case with ``log.txt`` and ``label.yaml`` (``root_cause``, ``log_sufficient``); the
default is ``../shared/corpus/cases`` beside the project. Only the log is read, as ``doctor --log`` does.

Targets: where the log suffices the primary cause is right in at least 95 %; no cause is named on a healthy case
(``none``; for ``cpu_only_machine`` the answer is that there is no GPU); a wrong cause in at most 2 % of the others.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from provision import matrix
from provision.doctor.diagnose import diagnose
from provision.doctor.log.read import read_log
from provision.model.matrix import Matrix
from provision.model.snapshot import Snapshot

CASES = Path(__file__).parents[2] / "shared" / "corpus" / "cases"
HEALTHY = ("none", "cpu_only_machine")
RIGHT, WRONG, OPEN = "right", "wrong", "cannot tell"
SHARE_RIGHT, SHARE_WRONG = 0.95, 0.02


@dataclass(frozen=True)
class Judged:
    """One case: what its label says, what was named, and how that is to be called."""

    name: str
    cause: str
    sufficient: bool
    named: str | None
    call: str

    @property
    def healthy(self) -> bool:
        return self.cause in HEALTHY


def judge(folder: Path, table: Matrix) -> Judged:
    label = (folder / "label.yaml").read_text(encoding="utf-8")
    cause = _field(label, "root_cause")
    snapshot = Snapshot(matrix=table, log=read_log("log.txt", (folder / "log.txt").read_bytes()))
    answer = diagnose(snapshot, subject="log.txt")
    named = answer.primary.code if answer.primary else None
    return Judged(folder.name, cause, _field(label, "log_sufficient") == "true", named, _call(cause, named))


def _call(cause: str, named: str | None) -> str:
    if cause == "none":
        return RIGHT if named is None else WRONG
    if named is None:
        return OPEN
    return RIGHT if named == cause else WRONG


def _field(label: str, key: str) -> str:
    """Return a scalar; the labels are not all valid YAML, and these two stand on lines of their own."""
    found = re.search(rf"^{key}: *['\"]?(\w+)", label, re.MULTILINE)
    if found is None:
        msg = f"label without {key}"
        raise ValueError(msg)
    return found[1]


def table_of(judged: list[Judged]) -> str:
    width = max(len(item.cause) for item in judged)
    lines = [f"{'cause':{width}}   n  {RIGHT}  {WRONG}  {OPEN}"]
    for cause in sorted({item.cause for item in judged}):
        calls = Counter(item.call for item in judged if item.cause == cause)
        lines.append(f"{cause:{width}} {calls.total():3}  {calls[RIGHT]:5}  {calls[WRONG]:5}  {calls[OPEN]:11}")
    return "\n".join(lines)


def targets(judged: list[Judged]) -> list[tuple[str, bool]]:
    """Return each target as a sentence with its figures, and whether it is met."""
    enough = [item for item in judged if item.sufficient]
    rest = [item for item in judged if not item.sufficient]
    right = sum(item.call == RIGHT for item in enough)
    alarms = sum(item.call == WRONG for item in judged if item.healthy)
    wrong = sum(item.call == WRONG for item in rest)
    return [
        (f"log suffices: {right} of {len(enough)} right", right >= SHARE_RIGHT * len(enough)),
        (f"healthy: {alarms} of {sum(item.healthy for item in judged)} with a cause named", alarms == 0),
        (f"log does not suffice: {wrong} of {len(rest)} wrong", wrong <= SHARE_WRONG * len(rest)),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=CASES)
    parser.add_argument("--all", action="store_true", help="also list cases where nothing could be told, rightly")
    options = parser.parse_args()
    table = matrix.load()
    folders = sorted(path.parent for path in options.folder.glob("*/label.yaml"))
    if not folders:
        print(f"no case in {options.folder}")
        return 1
    judged = [judge(folder, table) for folder in folders]
    print(table_of(judged))
    print()
    for item in judged:
        missed = item.call == WRONG or (item.sufficient and item.call == OPEN)
        if missed or (options.all and item.call == OPEN):
            what = f"{item.cause}, named: {item.named or 'nothing'}"
            print(f"{item.call}: {item.name}: {what}{'' if item.sufficient else ' (log does not suffice)'}")
    met = targets(judged)
    for sentence, kept in met:
        print(f"{'kept  ' if kept else 'MISSED'} {sentence}")
    return 0 if all(kept for _, kept in met) else 1


if __name__ == "__main__":
    raise SystemExit(main())
