"""One table of a document that somebody else may have written: each value is taken by name and type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from provision.errors import InvalidFileError
from provision.lock.refusing import MAX_PACKAGES, bad
from provision.model.versions import Dotted

_D = TypeVar("_D", bound=Dotted)
_T = TypeVar("_T")

_MAX_TEXT = 500
_MAX_ITEMS = 200
_TYPES: Mapping[type, str] = {int: "whole number", bool: "true or false", str: "text", list: "list", dict: "table"}


class Table:
    """A table whose values are taken one by one; `finish` refuses what is left over.

    Every method raises InvalidFileError, code ``bad-lock``, naming file and key.

    Args:
        where: name of the file.
        name: of the table, for messages.
        value: what should be a table.
    """

    def __init__(self, where: str, name: str, value: object) -> None:
        self._where = where
        self._name = name
        if not isinstance(value, Mapping):
            raise bad(where, f"{name} is not a table")
        self._values: Mapping[object, object] = value
        self._taken: set[str] = set()

    def wrong(self, key: str, reason: str, *, shown: str = "", hint: str | None = None) -> InvalidFileError:
        """Return the error for a value; ``reason`` is one line."""
        return bad(self._where, f"{self._name}.{key}: {reason}", shown=shown, hint=hint)

    def get(self, key: str, kind: type[_T]) -> _T:
        """Take a value of exactly this type."""
        if key not in self._values:
            raise self.wrong(key, "it is missing")
        self._taken.add(key)
        value = self._values[key]
        if type(value) is not kind:  # a bool is no int here
            raise self.wrong(key, f"it is not of the type {_TYPES[kind]}")
        return value

    def text(self, key: str, pattern: re.Pattern[str] | None = None) -> str:
        """Take printable text, held against ``pattern`` from its start."""
        return self._checked(key, self.get(key, str), pattern)

    def one_of(self, key: str, allowed: tuple[str, ...]) -> str:
        """Take one of the texts that are allowed."""
        value = self.text(key)
        if value not in allowed:
            raise self.wrong(key, f"it is none of {', '.join(allowed)}", shown=value)
        return value

    def texts(self, key: str, pattern: re.Pattern[str] | None = None, most: int = _MAX_ITEMS) -> tuple[str, ...]:
        """Take a list of printable texts."""
        values = self.get(key, list)
        if len(values) > most:
            raise self.wrong(key, f"it has {len(values)} items; {most} are allowed")
        if not all(type(value) is str for value in values):
            raise self.wrong(key, "it holds something that is not text")
        return tuple(self._checked(key, value, pattern) for value in values)

    def words(self, key: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
        """Take a list of texts, sorted and each once."""
        values = self.texts(key, pattern)
        self.in_order(key, list(values))
        return values

    def parsed(self, key: str, kind: Callable[[str], _T]) -> _T:
        """Take a text that ``kind`` reads; it raises ValueError for what it does not."""
        return self._parse(key, self.text(key), kind)

    def ordered(self, key: str, kind: type[_D]) -> tuple[_D, ...]:
        """Take a list of versions, oldest first and each once."""
        values = tuple(self._parse(key, text, kind) for text in self.texts(key))
        self.in_order(key, [value.parts for value in values])
        return values

    def in_order(self, key: str, values: Iterable[Any]) -> None:
        """Refuse values that are not sorted or stand twice."""
        items = list(values)
        if items != sorted(set(items)):
            raise self.wrong(key, "it is not in order, or names something twice")

    def table(self, key: str) -> Table:
        """Take a table."""
        return Table(self._where, f"{self._name}.{key}", self.get(key, dict))

    def tables(self, key: str) -> list[Table]:
        """Take a list of tables."""
        values = self.get(key, list)
        if len(values) > MAX_PACKAGES:
            raise self.wrong(key, f"it has {len(values)} items; {MAX_PACKAGES} are allowed")
        return [Table(self._where, f"{self._name}.{key}[{at}]", value) for at, value in enumerate(values)]

    def finish(self) -> None:
        """Refuse every key that was not taken."""
        for key in self._values:
            if key not in self._taken:
                raise bad(self._where, f"{self._name} has a key that is not known", shown=str(key)[:200])

    def _parse(self, key: str, text: str, kind: Callable[[str], _T]) -> _T:
        try:
            return kind(text)
        except ValueError:
            raise self.wrong(key, "it is no version", shown=text) from None

    def _checked(self, key: str, value: str, pattern: re.Pattern[str] | None) -> str:
        if len(value) > _MAX_TEXT:
            raise self.wrong(key, f"it has {len(value)} characters; {_MAX_TEXT} are allowed")
        if not value.isprintable():
            raise self.wrong(key, "it holds a character that cannot be printed", shown=value)
        if pattern is not None and not pattern.match(value):
            raise self.wrong(key, "it is not what stands there", shown=value)
        return value
