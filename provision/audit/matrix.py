"""The whole matrix held against the wheels: read what its rows and sets name, then judge every claim."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import TypeAdapter, ValidationError

from provision.audit.claims.demands import asked_of_index, demand_claims
from provision.audit.claims.row import Read, row_claims
from provision.audit.claims.sets import MEASURED, served_claims, set_claims
from provision.audit.claims.tables import table_claims
from provision.audit.contents.cover import with_symbols
from provision.audit.contents.demands import applies, meeting
from provision.audit.contents.strings import knows_nvcc
from provision.audit.contents.wheel import DEEP, PLAIN, OpenWheel, wheel_facts
from provision.audit.reading.index import Found, Located
from provision.audit.reading.reader import Reader
from provision.errors import ProvisionError
from provision.model.artifact import Cost, Release
from provision.model.audit import Claim, MatrixAudit
from provision.model.matrix import LibrarySet, Matrix, Row
from provision.model.wheel import SymbolFacts, WheelFacts

_AT_ONCE = 4
_ANSWERS = "answers-"
Tell = Callable[[str], None]
"""Told the requirement whose wheel was just read."""


def _nobody(_: str) -> None:
    pass


def audit_matrix(
    reader: Reader, matrix: Matrix, rows: Sequence[Row], tell: Tell = _nobody, *, deep: bool = False
) -> MatrixAudit:
    """Return every claim of some rows and of the sets that serve them, each with a verdict.

    What no wheel decides at all (drivers, GPUs) is added where every row was asked for. A wheel that cannot be read
    leaves its claims unread; an index that cannot, raises.

    Args:
        reader: session and cache.
        matrix: the whole of it.
        rows: of it, those that are wanted.
        tell: told what was read.
        deep: whether GPU code is read too: every library, whole.

    Raises:
        ToolFailedError: code ``index-not-readable``.
    """
    start = time.monotonic()
    shelf = _Shelf(reader, tell)
    sets = {item.ident: item for row in rows for item in (*row.sets, *row.conda_sets)}
    shelf.ask_releases(dict.fromkeys([*_own(rows), *_pins(sets.values())]))
    pins = _pins(sets.values())
    code = ("code",) if deep else ()
    shelf.read({row.requirement: row.wheel for row in rows}, DEEP if deep else PLAIN)
    shelf.read({pin: "" for pin in pins if pin.startswith(MEASURED)}, ("names", *code))
    shelf.read({pin: "" for pin in pins if not pin.startswith(MEASURED)}, ("names",))
    shelf.ask_index(_questions(rows, shelf.wheels))
    if deep:
        shelf.read_symbols(rows)
        shelf.read_strings(rows)
    read = Read(shelf.wheels, shelf.releases, shelf.answers, shelf.unread, shelf.symbols, shelf.nvcc)
    claims: list[Claim] = []
    for row in rows:
        claims += (*row_claims(row, read), *served_claims(row, read), *demand_claims(row, read))
    for library_set in sets.values():
        claims += set_claims(library_set, read)
    if len(rows) == len(matrix.rows):
        claims += table_claims(matrix)
    cost = Cost.total(facts.cost for facts in shelf.wheels.values())
    return MatrixAudit(
        rows=tuple(row.requirement for row in rows),
        claims=tuple(claims),
        cost=Cost(cost.bytes_read, cost.requests, time.monotonic() - start, cost.cached),
        wheel_bytes=sum(facts.artifact.size for facts in shelf.wheels.values()),
    )


def _own(rows: Iterable[Row]) -> list[str]:
    return [row.requirement for row in rows]


def _pins(sets: Iterable[LibrarySet]) -> list[str]:
    return list(dict.fromkeys(pin.requirement for item in sets for pin in item.pins))


def _questions(rows: Iterable[Row], wheels: Mapping[str, WheelFacts]) -> Iterable[tuple[str, str]]:
    found = ((row, wheels.get(row.requirement)) for row in rows)
    return dict.fromkeys(
        item for row, facts in found for item in asked_of_index(row, facts.metadata if facts else None)
    )


@dataclass
class _Shelf:
    """What was read so far."""

    reader: Reader
    tell: Tell
    wheels: dict[str, WheelFacts] = field(default_factory=dict)
    releases: dict[str, Release | None] = field(default_factory=dict)
    answers: dict[tuple[str, str], str | None] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    symbols: dict[tuple[str, str], SymbolFacts] = field(default_factory=dict)
    nvcc: dict[str, bool] = field(default_factory=dict)
    _located: dict[str, Located] = field(default_factory=dict)
    _found: dict[str, Found] = field(default_factory=dict)

    def ask_releases(self, requirements: Iterable[str]) -> None:
        """Learn which wheels each release has."""
        wanted = list(requirements)
        self._list(_name(item) for item in wanted)
        for requirement in wanted:
            version = Version(requirement.partition("==")[2])
            known = self.reader.versions(_name(requirement))
            found = known.get(version)
            self.releases[requirement] = found.release if found else None
            if found:
                self._found[requirement] = found

    def _list(self, names: Iterable[str]) -> None:
        """Have the index asked for several distributions at a time; raises what it raises."""
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="audit-index") as pool:
            list(pool.map(self.reader.versions, dict.fromkeys(names)))

    def read(self, wanted: Mapping[str, str], sections: Collection[str]) -> None:
        """Read the wheels of requirements, by file name or, without one, the best one; a few at a time."""
        located: dict[str, Located] = {}
        for requirement, filename in wanted.items():
            found = self._found.get(requirement)
            place = (found.named(filename) if filename else found.best()) if found else None
            if place is None:
                self.unread[requirement] = "the index has no such wheel"
            else:
                located[requirement] = place
        self._located |= located
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="audit-wheel") as pool:
            results = pool.map(lambda place: self._one(place, sections), located.values())
            for requirement, facts in zip(located, results, strict=True):
                if isinstance(facts, str):
                    self.unread[requirement] = facts
                else:
                    self.wheels[requirement] = facts
                self.tell(requirement)

    def _one(self, place: Located, sections: Collection[str]) -> WheelFacts | str:
        """Return the facts of a wheel, or why they could not be read."""
        try:
            return wheel_facts(self.reader, place, sections)
        except ProvisionError as error:
            return f"{error.what}{f' ({error.why[0]})' if error.why else ''}"

    def read_symbols(self, rows: Iterable[Row]) -> None:
        """Hold the names that each release looks up against the libraries of its sets, where all were read."""
        for row in rows:
            facts = self.wheels.get(row.requirement)
            for library_set in row.sets if facts else ():
                pins = [pin.requirement for pin in library_set.pins]
                if facts is None or not set(pins) <= self.wheels.keys():
                    continue
                beside = [self._located[pin] for pin in pins]
                try:
                    facts = with_symbols(self.reader, facts, self._located[row.requirement], beside)
                except ProvisionError as error:
                    self.tell(f"{library_set.ident}: {error.what}")
                    continue
                if facts.symbols is not None:
                    self.symbols[row.requirement, library_set.ident] = facts.symbols
            if facts:
                self.wheels[row.requirement] = facts

    def read_strings(self, rows: Iterable[Row]) -> None:
        """Learn whether XLA in each release knows the folder of the nvcc wheel."""
        for row in rows:
            if row.requirement in self.wheels:
                self._read_strings(row.requirement)

    def _read_strings(self, requirement: str) -> None:
        wheel, facts = OpenWheel(self.reader, self._located[requirement]), self.wheels[requirement]
        start = time.monotonic()
        try:
            self.nvcc[requirement] = knows_nvcc(wheel)
        except ProvisionError as error:
            self.tell(f"{requirement}: {error.what}")
        cost = facts.cost + wheel.cost(time.monotonic() - start)
        self.wheels[requirement] = dataclasses.replace(facts, cost=cost)

    def ask_index(self, questions: Iterable[tuple[str, str]]) -> None:
        """Learn whether a wheel meets each requirement on a Python series; empty where its marker leaves it out."""
        asked = tuple(questions)
        known = {(text, python): answer for text, python, answer in self._kept_answers()}
        if not known.keys() >= set(asked):
            known = self._answered(asked)
            self.reader.remember(_ANSWERS, [[*question, answer] for question, answer in known.items()])
        self.answers = {question: known[question] for question in asked}

    def _kept_answers(self) -> Iterable[tuple[str, str, str | None]]:
        """What was asked within the last hour: the lists that it was worked out of are long."""
        kept = self.reader.recall(_ANSWERS)
        try:
            return TypeAdapter(tuple[tuple[str, str, str | None], ...]).validate_python(kept or ())
        except ValidationError:
            return ()

    def _answered(self, asked: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str | None]:
        demands = {(text, python): applies(text, python) for text, python in asked}
        self._list(str(canonicalize_name(demand.name)) for demand in demands.values() if demand)
        found: dict[tuple[str, str], str | None] = {}
        for question, demand in demands.items():
            found[question] = ""
            if demand:
                known = self.reader.versions(str(canonicalize_name(demand.name)))
                releases = {version: item.release for version, item in known.items()}
                found[question] = meeting(demand, question[1], releases)
        return found


def _name(requirement: str) -> str:
    return str(canonicalize_name(requirement.partition("==")[0]))
