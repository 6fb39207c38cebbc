"""Values of the command line arrive as with Typer's own conversion, without its import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from provision.cli.light import LightCommand, LightGroup

SEEN: list[Any] = []


def command(  # noqa: PLR0917 - as commands are written
    place: Annotated[str | None, typer.Argument()] = None,
    text: Annotated[str | None, typer.Option("--text")] = None,
    many: Annotated[list[str] | None, typer.Option("--many")] = None,
    file: Annotated[Path | None, typer.Option("--file")] = None,
    flag: Annotated[bool, typer.Option("--flag")] = False,  # noqa: FBT002 - as commands are written
    number: Annotated[float, typer.Option("--number")] = 1.5,
) -> None:
    SEEN.append((place, text, list(many or ()), file, flag, number))


def app(cls: Any, group: Any) -> typer.Typer:
    made = typer.Typer(cls=group, add_completion=False, rich_markup_mode=None)
    made.command("run", cls=cls)(command)
    made.command("other")(lambda: None)
    return made


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["here"],
        ["--text", "", "--file", "a/b"],
        ["--many", "a", "--many", "b,c", "--flag"],
        ["--text", "2.10", "--number", "2"],
        ["--", "--text"],
    ],
)
def test_the_same_values_as_with_typer(arguments: Any) -> None:
    SEEN.clear()
    for made in (app(LightCommand, LightGroup), app(None, None)):
        made(["run", *arguments], standalone_mode=False)
    assert SEEN[0] == SEEN[1]
    assert [type(value) for value in SEEN[0]] == [type(value) for value in SEEN[1]]


@pytest.mark.parametrize(
    "arguments", [["run", "--number", "x"], ["run", "--no-such"], ["run", "a", "b"], ["run", "--text"]]
)
def test_the_same_complaints_as_with_typer(arguments: Any) -> None:
    said = []
    for made in (app(LightCommand, LightGroup), app(None, None)):
        with pytest.raises(typer.exceptions.TyperException) as caught:
            made(arguments, standalone_mode=False)
        said.append(caught.value.format_message())
    assert said[0] == said[1]


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help_is_still_there(arguments: Any, capsys: Any) -> None:
    app(LightCommand, LightGroup)(arguments, standalone_mode=False)
    assert "--help" in capsys.readouterr().out
