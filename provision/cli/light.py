"""Commands that start fast: words of the command line are taken as they are.

Typer converts every value through pydantic, and importing that takes longer than making a whole plan. Texts, lists of
texts, paths and flags need no conversion, so for those it is left out; what else an option may be goes Typer's way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
