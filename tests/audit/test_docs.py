"""What docs/audit.md, CONTRIBUTING.md and the scheduled workflow tell people and machines to type exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

import provision.audit
from provision.cli.main import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "audit.md"
WORKFLOW = ROOT / ".github" / "workflows" / "matrix.yml"
TYPED = re.compile(r"(?:^|`|\| )\$? ?tfgpu-provision ([a-z][^`#|\n]*)", re.MULTILINE)


def steps() -> Iterator[dict[str, Any]]:
    for job in yaml.safe_load(WORKFLOW.read_text())["jobs"].values():
        yield from job["steps"]


def typed() -> list[str]:
    runs = "\n".join(line.strip() for step in steps() for line in str(step.get("run", "")).splitlines())
    texts = (DOCS.read_text(), (ROOT / "CONTRIBUTING.md").read_text(), runs)
    return sorted({match[1].strip() for text in texts for match in TYPED.finditer(text)})


@pytest.mark.parametrize("line", typed())
def test_what_is_to_be_typed_exists(line: str) -> None:
    command: Any = typer.main.get_command(app)
    words = shlex.split(line)
    while words and hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts}
    assert [word for word in words if word.startswith("--") and word not in known] == []


def test_enough_is_looked_at() -> None:
    named = {" ".join(line.split()[:2]) for line in typed()}
    commands = {"wheel", "matrix", "propose", "env"}
    assert named >= {*(f"audit {name}" for name in commands), "matrix certify", "matrix list"}


def test_every_reason_to_refuse_a_receipt_is_described() -> None:
    folder = Path(provision.audit.__file__).parent / "receipts"
    code = "".join((folder / name).read_text() for name in ("held.py", "measured.py"))
    raised = set(re.findall(r"(?:Objection\(|_refused\(file, )\"([a-z-]+)\"", code))
    table = DOCS.read_text().split("| refused as |")[1].split("\n\n")[0]
    assert raised == {name for row in table.splitlines() for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])}


def test_the_workflow_puts_nothing_from_outside_into_a_script() -> None:
    assert [step["run"] for step in steps() if "${{" in str(step.get("run", ""))] == []
