"""Propose a row: read the wheel of a release that the matrix does not know, and write it into the matrix's text."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from provision.audit.claims.cpu import highest
from provision.audit.contents.demands import admits, applies, meeting, pinned
from provision.audit.contents.extra import AND_CUDA, chosen, read_names_of
from provision.audit.contents.search import search
from provision.audit.contents.strings import knows_nvcc
from provision.audit.contents.wheel import DEEP, PLAIN, OpenWheel, wheel_facts
from provision.audit.matrix import audit_matrix
from provision.audit.proposal.draft import draft
from provision.audit.proposal.material import Material, nearest
from provision.audit.proposal.scratch import Tried
from provision.audit.proposal.text import difference, tables_of, with_entries
from provision.audit.reading.reader import Reader
from provision.errors import InvalidFileError, UsageError
from provision.matrix.loading import read as read_matrix
from provision.matrix.tree import Problems
from provision.model.artifact import Cost
from provision.model.audit import Proposal
from provision.model.matrix import Matrix
from provision.model.wheel import WheelFacts

_AT_ONCE = 4


@dataclass(frozen=True)
class Known:
    """The matrix that a row is proposed for, read and as it is written."""

    matrix: Matrix
    text: str


def material_of(
    reader: Reader, known: Known, distribution: str, version: str, *, today: str, deep: bool = False
) -> Material:
    """Return everything that a row of a release is made of.

    Args:
        reader: session and cache.
        known: the matrix.
        distribution: ``tensorflow`` or ``tf-nightly``.
        version: of the release.
        today: ISO date.
        deep: whether every library is read whole: GPU code, and whether XLA knows the folder of ptxas.

    Raises:
        UsageError: code ``unknown-release`` or ``no-wheel``.
        InvalidFileError: code ``hostile-wheel``.
        ToolFailedError: the index or a server cannot be read.
    """
    found = reader.find(distribution, version)
    near = nearest(known.matrix, version)
    located = found.best(_series(near.wheel)) or found.best()
    if located is None:
        raise UsageError(f"{distribution} {version} has no wheel for Linux on x86_64", code="no-wheel")
    facts = wheel_facts(reader, located, DEEP if deep else PLAIN)
    resolved, oldest = _resolved(reader, facts), _resolved(reader, facts, newest_first=False)
    named = {f"{item.artifact.distribution}=={item.artifact.version}": item.names for item in resolved if item.names}
    if facts.framework and facts.framework.gate is not None and named:
        facts = dataclasses.replace(facts, search=search(facts.framework, named))
    return Material(
        matrix=known.matrix,
        tables=tables_of(known.text),
        release=dataclasses.replace(found.release, version=version),
        facts=facts,
        resolved=resolved,
        oldest=oldest,
        unmet=_unmet(reader, facts, found.release.pythons()),
        today=today,
        xla=knows_nvcc(OpenWheel(reader, located)) if deep else None,
    )


def _series(wheel: str) -> str:
    """Return the Python series of the wheel that the nearest row cites: what is read stays comparable with it."""
    tag = wheel.split("-")[2]
    return f"{tag[2]}.{tag[3:]}"


def _resolved(reader: Reader, facts: WheelFacts, *, newest_first: bool = True) -> tuple[WheelFacts, ...]:
    """Return the NVIDIA wheels that the extra resolves to, or those at the lower ends of its ranges, with names."""
    extra = facts.metadata.extras.get(AND_CUDA, ()) if facts.metadata else ()
    wanted = [text for text in extra if text.startswith("nvidia-")]
    places, _ = chosen(reader, wanted, python=next(iter(facts.artifact.pythons), ""), newest_first=newest_first)
    return read_names_of(reader, places)


def _unmet(reader: Reader, facts: WheelFacts, pythons: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """Return each requirement that nothing on the index meets, with the Python series for which that is so."""
    if facts.metadata is None:
        return {}
    texts = (*facts.metadata.requires_dist, *facts.metadata.extras.get(AND_CUDA, ()))
    asked = [(text, python, demand) for text in texts for python in pythons if (demand := applies(text, python))]
    names = dict.fromkeys(str(canonicalize_name(demand.name)) for _, _, demand in asked)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="audit-index") as pool:
        found = dict(zip(names, pool.map(reader.versions, names), strict=True))
    pages = {name: {version: item.release for version, item in page.items()} for name, page in found.items()}
    unmet: dict[str, list[str]] = {}
    for text, python, demand in asked:
        if meeting(demand, python, pages[str(canonicalize_name(demand.name))]) is None:
            unmet.setdefault(text, []).append(python)
    return {text: tuple(series) for text, series in unmet.items()}


def propose(material: Material, text: str, tried: Iterable[Tried] = ()) -> Proposal:
    """Return a row in the canonical text of a matrix. Pure.

    Args:
        material: what was read.
        text: the matrix as it is written.
        tried: the imports that were tried.

    Raises:
        InvalidFileError: code ``no-cuda-build``, ``gate-unread`` or ``invalid-matrix``.
    """
    tried = tuple(tried)
    worked = [item for item in tried if not item.failure]
    if worked:
        names = dict.fromkeys(name for item in worked for name in item.constraints)
        xla = next((item.xla for item in worked if item.xla is not None), None)
        material = dataclasses.replace(
            material, constraints=tuple(names), xla=material.xla if material.xla is not None else xla
        )
    made = draft(material)
    entries = {**made.added, "releases": {made.key: made.values}}
    added = {
        table: {name: entry for name, entry in rows.items() if name not in material.tables.get(table, {})}
        for table, rows in entries.items()
    }
    new = with_entries(text, added)
    return Proposal(
        row=made.key,
        text=new,
        diff=difference(text, new),
        facts=material.facts,
        notes=(*made.notes, *_untried(material, worked)),
        breaking=breaking(material),
        imported={item.python: item.failure for item in tried},
        cost=Cost.total((material.facts.cost, *(item.cost for item in material.resolved))),
    )


def _untried(material: Material, worked: Iterable[Tried]) -> Iterable[str]:
    there = {item.python for item in worked}
    others = [series for series in material.pythons if series not in there]
    if there and others:
        yield f"on Python {' '.join(others)} it was not imported and may need constraints: --every-python tries"


def checked(reader: Reader, proposal: Proposal, path: str) -> Proposal:
    """Return a proposal with what keeps its text from being a matrix, and its row held against the wheel.

    Raises:
        ToolFailedError: code ``index-not-readable``.
    """
    start = time.monotonic()
    problems = Problems(path)
    matrix = read_matrix(proposal.text.encode(), path, problems)
    if matrix is None or problems:
        return dataclasses.replace(proposal, problems=problems.lines)
    row = next((row for row in matrix.rows if row.requirement == proposal.row), None)
    held = audit_matrix(reader, matrix, [row] if row else [])
    cost = proposal.cost + dataclasses.replace(held.cost, seconds=time.monotonic() - start)
    return dataclasses.replace(proposal, cost=cost, claims=held.claims)


def breaking(material: Material) -> tuple[str, ...]:
    """Return what is otherwise in a release than in the nearest one that is known, in sentences. Pure.

    Raises:
        InvalidFileError: code ``no-cuda-build`` or ``gate-unread``.
    """
    near, facts, framework = material.near, material.facts, material.facts.framework
    if framework is None or framework.gate is None or facts.metadata is None:
        raise InvalidFileError("nothing can be said about it", code="gate-unread")
    found: list[str] = []
    choices = {name for names in framework.gate_choices for name in names}
    gone = [name for name in near.gate if name not in choices]
    new = [name for name in framework.gate or () if name not in near.gate]
    found += [f"it no longer opens {' '.join(gone)}"] if gone else []
    found += [f"it also opens {' '.join(new)}"] if new else []
    shelves = {name for item in material.resolved if item.names for name in item.names.libraries}
    nowhere = [name for names in framework.gate_choices if shelves and not shelves & set(names) for name in names]
    found += [f"no wheel of its extra has {' '.join(nowhere)}: no GPU is registered"] if nowhere else []
    if facts.search and facts.search.unfound:
        found.append(f"it does not look where pip puts {' '.join(facts.search.unfound)}: no GPU is registered")
    elif facts.search and any(fault.code == "search-path" for fault in near.faults):
        found.append(f"it finds all of its libraries by itself: the search-path fault of {near.requirement} is gone")
    pythons = material.release.pythons()
    lost = [series.text for series in near.pythons if series.text not in pythons]
    more = [series for series in pythons if series not in {item.text for item in near.pythons}]
    found += [f"it has no wheel for Python {' '.join(lost)}"] if lost else []
    found += [f"it has wheels for Python {' '.join(more)}"] if more else []
    if facts.artifact.glibc != near.glibc.text:
        found.append(f"it needs glibc {facts.artifact.glibc} (it was {near.glibc})")
    needed = highest(facts.guard.features or ()) if facts.guard else ()
    if needed and set(needed) != set(near.cpu_features):
        found.append(
            f"it refuses to run without {' '.join(needed)} (it was {' '.join(near.cpu_features) or 'nothing'})"
        )
    if not (facts.metadata.build_info or {}).get("cuda_version"):
        found.append("its build_info names no CUDA version: who decides by that takes it for a build without CUDA")
    found += _floors(material)
    return tuple(found)


def _floors(material: Material) -> Iterable[str]:
    """Yield what its extra demands and the sets of the nearest release do not have."""
    extra = material.facts.metadata.extras.get(AND_CUDA, ()) if material.facts.metadata else ()
    for item in material.near.sets:
        outside = [
            f"{demand.name}{demand.specifier} (it has {version})"
            for demand, version in pinned(extra, ((pin.name, pin.version) for pin in item.pins))
            if version and not admits(demand, version)
        ]
        if outside:
            yield f"set {item.ident} of {material.near.requirement} is not what it demands: {', '.join(outside)}"
