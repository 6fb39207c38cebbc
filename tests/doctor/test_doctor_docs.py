"""Every cause has its check or log rule and its page, and every page its cause. TFGPU_UPDATE=1 writes the pages anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provision.doctor.causes import CAUSES, code, libraries, log, machine, packages
from provision.doctor.checks import CHECKS
from provision.doctor.log import rules
from provision.model.doctor import Cause, Effect
from provision.report.doctor import by_category
from provision.report.pages import index, page, page_path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "doctor"
OF_CHECKS = {name for check in CHECKS for name in check.codes}
OF_LOGS = set(rules.CODES)


def pages() -> dict[str, str]:
    found = {f"{item.code}.md": page(item) + "\n" for item in CAUSES.values()}
    return {**found, "README.md": index(by_category()) + "\n"}


def test_every_cause_can_be_found_and_whatever_is_found_is_a_cause() -> None:
    assert set(CAUSES) - OF_CHECKS - OF_LOGS == set(), "causes that nothing finds"
    assert (OF_CHECKS | OF_LOGS) - set(CAUSES) == set(), "codes that are in no table"


def test_no_code_has_two_rows() -> None:
    rows = [item.code for area in (machine, packages, libraries, code, log) for item in area.CAUSES]
    assert len(rows) == len(set(rows))


def test_the_pages_are_those_of_the_table() -> None:
    wanted = pages()
    if os.environ.get("TFGPU_UPDATE"):
        FOLDER.mkdir(exist_ok=True)
        for stale in {path.name for path in FOLDER.glob("*.md")} - set(wanted):
            (FOLDER / stale).unlink()
        for name, text in wanted.items():
            (FOLDER / name).write_text(text)
    behind = [
        name for name, text in wanted.items() if not (FOLDER / name).is_file() or (FOLDER / name).read_text() != text
    ]
    assert behind == [], "run this test with TFGPU_UPDATE=1"
    assert {path.name for path in FOLDER.glob("*.md")} == set(wanted)


@pytest.mark.parametrize("item", CAUSES.values(), ids=lambda item: item.code)
def test_a_row_says_what_a_person_needs(item: Cause) -> None:
    assert item.title
    assert not item.title.endswith(".")
    assert item.explanation.endswith(".")
    assert item.explanation.count(". ") >= 2, "three sentences: what it is, why it does that, what makes it go away"
    assert item.effect is not Effect.NONE or not item.repairable
    assert page_path(item.code) == f"docs/doctor/{item.code}.md"


def test_the_guide_names_options_and_exit_codes() -> None:
    text = (ROOT / "docs" / "doctor.md").read_text()
    for word in (
        "--log",
        "--script",
        "--deep",
        "--for",
        "--report",
        "--only",
        "--list",
        "--explain",
        "doctor/README.md",
    ):
        assert word in text
    for code_ in (0, 1, 2, 4):
        assert f"| {code_} |" in text
