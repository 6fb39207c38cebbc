"""Commands that start fast: words of the command line are taken as they are.

Typer converts every value through pydantic, and importing that takes longer than making a whole plan. Texts, lists of
texts, paths and flags need no conversion, so for those it is left out; what else an option may be goes Typer's way.

It also works out the options of every command before it looks which one was typed; `only_named` spares it the others.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer import Typer
from typer.core import TyperCommand, TyperGroup

_AS_IT_IS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    *((str, str), (list[str], str)),
    *((Path, Path), (list[Path], Path)),
    (bool, bool),
)


@dataclass(frozen=True)
class _Plain:
    """Stands where Typer keeps its conversion; the parser has already split and counted the values."""

    convert: Callable[[Any], Any]

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ARG002 - Typer's signature
        """Return the value of one option, or of all its occurrences."""
        if param.multiple or param.nargs == -1:
            return [self.convert(item) for item in value or ()]
        return None if value is None else self.convert(value)


def _lighten(parameter: Any) -> Any:
    """Return a parameter, without Typer's conversion where its values need none.

    Where a later Typer keeps its conversion elsewhere, this has no effect but the time it saves.
    """
    kind = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
    convert = next((convert for known, convert in _AS_IT_IS if kind == known), None)
    if convert is not None and hasattr(parameter, "_runtime_param"):
        parameter._runtime_param = _Plain(convert)  # noqa: SLF001 - Typer has no public place for it
    return parameter


class LightCommand(TyperCommand):
    """Use as ``app.command("name", cls=LightCommand)(function)``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            _lighten(parameter)

    def get_help_option(self, ctx: Any) -> Any:
        """Return the help flag."""
        return _lighten(super().get_help_option(ctx))


class LightGroup(TyperGroup):
    """Use as ``typer.Typer(cls=LightGroup)``: the group's own flags."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return the help flag."""
        return _lighten(super().get_help_option(ctx))


def only_named(app: Typer, words: Sequence[str]) -> Typer:
    """Return a copy of an app in which commands that are not among the words of a command line have no options.

    What is not named cannot run; of those, ``--help`` shows the name and the first line, which stay.
    """
    spared = copy.copy(app)
    alone = [item for item in app.registered_commands if item.name in words[:1]]
    if alone:
        # Where the line begins with a command, nothing can show or run another one.
        spared.registered_commands, spared.registered_groups = alone, []
        return spared
    spared.registered_commands = [_spared(item, words) for item in app.registered_commands]
    spared.registered_groups = []
    for item in app.registered_groups:
        group = copy.copy(item)
        if group.typer_instance is not None and group.name not in words:
            group.typer_instance = only_named(group.typer_instance, ())
        spared.registered_groups.append(group)
    return spared


def _spared(command: Any, words: Sequence[str]) -> Any:
    if command.name in words or command.callback is None:
        return command

    def nothing() -> None:
        pass

    nothing.__name__, nothing.__doc__ = command.callback.__name__, command.callback.__doc__
    short = copy.copy(command)
    short.callback = nothing
    return short
