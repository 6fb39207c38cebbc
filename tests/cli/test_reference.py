"""docs/commands.md and README say what ``--help`` says. TFGPU_UPDATE=1 writes them anew."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from provision.cli.main import app

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "commands.md"
README = ROOT / "README.md"
BLOCK = re.compile(r"(?<=<!-- commands -->\n).*?(?=<!-- /commands -->)", re.DOTALL)
WIDTH = 100


def contexts() -> Iterator[Any]:
    group = typer.main.get_command(app)
    top = group.make_context("tfgpu-provision", ["--help"], resilient_parsing=True, terminal_width=WIDTH)
    yield top
    yield from below(top)


def below(context: Any) -> Iterator[Any]:
    for name, command in getattr(context.command, "commands", {}).items():
        if command.hidden:
            continue
        inner = type(context)(command, info_name=name, parent=context, terminal_width=WIDTH)
        yield inner
        yield from below(inner)


def reference() -> str:
    parts = ["# Commands\n", "What `--help` prints; a test keeps this page in step.\n"]
    for context in contexts():
        text = "\n".join(line.rstrip() for line in context.get_help().splitlines())
        parts.append(f"## {context.command_path}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def summary() -> str:
    lines = ["| command | |", "|---|---|"]
    for context in contexts():
        if context.parent is not None and not hasattr(context.command, "commands"):
            first = (context.command.help or "").strip().splitlines()[0].rstrip(".")
            lines.append(f"| `{context.command_path.removeprefix('tfgpu-provision ')}` | {first} |")
    return "\n".join(lines) + "\n"


def hold(path: Path, expected: str) -> None:
    if os.environ.get("TFGPU_UPDATE"):
        path.write_text(expected)
    assert path.read_text() == expected, f"{path.name} is behind: run this test with TFGPU_UPDATE=1"


def test_the_reference_is_what_help_prints() -> None:
    hold(REFERENCE, reference())


def test_readme_lists_every_command() -> None:
    text = README.read_text()
    assert BLOCK.search(text), "README has no commands block"
    hold(README, BLOCK.sub(lambda _: summary(), text))


@pytest.mark.parametrize("option", ["--tf", "--python", "--for", "--json", "--replace", "--no-verify", "--require-gpu"])
def test_options_that_readme_promises_exist(option: str) -> None:
    assert option in reference()


def test_readme_names_every_exit_code() -> None:
    from provision.errors import ExitCode

    text = README.read_text()
    for code in ExitCode:
        assert f"| {int(code)} |" in text, f"README does not name exit code {int(code)}"
