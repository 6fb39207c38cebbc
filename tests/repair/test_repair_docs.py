"""docs/repair.md says of every cause what repair does, or what it prints instead. TFGPU_UPDATE=1 writes it anew."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from provision.doctor.causes import CAUSES
from provision.errors import ExitCode
from provision.repair.planning.remedies import INSTEAD, REPAIRED
from provision.report.doctor import by_category

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "repair.md"
BLOCK = re.compile(r"(?<=<!-- causes -->\n).*?(?=<!-- /causes -->)", re.DOTALL)


def tables() -> Iterator[str]:
    for title, does in (("repaired, by a repair that", REPAIRED), ("not repaired; what is printed", INSTEAD)):
        yield f"\n| cause | what it is | {title} |\n|---|---|---|\n"
        for cause in by_category():
            if cause.code in does:
                yield f"| [`{cause.code}`](doctor/{cause.code}.md) | {cause.title} | {does[cause.code]} |\n"
    yield "\n"


def test_every_cause_is_in_the_guide_with_what_happens() -> None:
    text = GUIDE.read_text()
    wanted = BLOCK.sub(lambda _: "".join(tables()), text)
    if os.environ.get("TFGPU_UPDATE"):
        GUIDE.write_text(wanted)
    assert GUIDE.read_text() == wanted, "run this test with TFGPU_UPDATE=1"
    assert set(CAUSES) == {*REPAIRED, *INSTEAD}
    assert all(f"`{code}`" in wanted for code in CAUSES)


def test_the_guide_names_exit_codes_and_options() -> None:
    text = GUIDE.read_text()
    for code in (0, 1, 2, 3, 5, 6, 7):
        assert f"| {int(ExitCode(code))} |" in text
    for option in ("--dry-run", "--yes", "--only", "--level", "--kernels", "--into", "--undo", "--resume", "--history"):
        assert option in text
