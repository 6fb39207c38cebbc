"""Claims of a row about what else it needs: constraints, source archives, faults. Pure.

Whether a requirement can be met at all the index says (`Read.answers`); whether a release imports only an installation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from provision.audit.claims.row import Read
from provision.audit.claims.sets import AND_CUDA, SEARCH_FAULT
from provision.audit.claims.verdicts import Judge, words
from provision.model.audit import Claim, ClaimVerdict
from provision.model.matrix import Constraint, Fault, Row, SourceOnly
from provision.model.wheel import MetadataFacts

EXTRA_FAULT = "and-cuda-unresolvable"
_NO_WHEELS = "-without-wheels"


def asked_of_index(row: Row, metadata: MetadataFacts | None) -> tuple[tuple[str, str], ...]:
    """Return what the claims of a row depend on: requirement and Python series."""
    if metadata is None:
        return ()
    asked = [(text, python.text) for text in metadata.extras.get(AND_CUDA, ()) for python in row.pythons]
    for item in row.source_only:
        asked += [(text, python.text) for text in _demands(metadata, item.name) for python in row.pythons]
    for fault in row.faults:
        if fault.code.endswith(_NO_WHEELS):
            asked += [(text, _series(fault)) for text in metadata.requires_dist]
    return tuple(dict.fromkeys(asked))


def demand_claims(row: Row, read: Read) -> tuple[Claim, ...]:
    """Return the claims of a row about constraints, source archives and faults, each with a verdict."""
    facts = read.wheels.get(row.requirement)
    metadata = facts.metadata if facts else None
    judge = Judge(row.requirement, row.wheel, read.unread.get(row.requirement, ""), row.evidence)
    return (
        *(_constraint(judge, item, metadata) for item in row.constraints),
        *(_source_only(judge, row, item, metadata, read) for item in row.source_only),
        *_extra(judge, row, metadata, read),
        *(_fault(judge, item, metadata, read) for item in row.faults if item.code not in {EXTRA_FAULT, SEARCH_FAULT}),
    )


def _constraint(judge: Judge, item: Constraint, metadata: MetadataFacts | None) -> Claim:
    """That it imports only with the constraint an installation shows; that it does not say so itself, the wheel."""
    name = Requirement(item.requirement).name
    if metadata is None:
        return judge.not_read("constraints", item.requirement)
    said = _demands(metadata, name)
    bound = Requirement(item.requirement).specifier
    # The constraint would be idle if the wheel itself forbade the first version that the constraint forbids.
    first = [spec.version for spec in bound if spec.operator == "<"]
    forbids = [text for text in said if any(not Requirement(text).specifier.contains(version) for version in first)]
    found = f"METADATA: {', '.join(said) or f'{name} is not named'}"
    if forbids:
        note = "idle: the wheel itself demands as much"
        return judge.hold("constraints", item.requirement, found, agrees=False, note=note)
    return judge.undecidable(
        "constraints", item.requirement, found, note="it sets no such bound; that it needs one, an import shows"
    )


def _source_only(judge: Judge, row: Row, item: SourceOnly, metadata: MetadataFacts | None, read: Read) -> Claim:
    claimed = f"it demands {item.name} {item.version}, which has no wheel"
    if metadata is None:
        return judge.not_read("source_only", claimed)
    said = [text for text in _demands(metadata, item.name) if Requirement(text).specifier.contains(item.version)]
    if not said:
        others = ", ".join(_demands(metadata, item.name)) or "nothing of that name"
        return judge.hold("source_only", claimed, f"it demands {others}", agrees=False)
    met = _met(said, (python.text for python in row.pythons), read)
    if met is None:
        return judge.not_read("source_only", claimed)
    found = f"{said[0]}: {', '.join(sorted(set(met))) or 'no wheel for its Pythons'}"
    return judge.hold("source_only", claimed, found, agrees=not met, note="the sha256 holds where it is installed")


def _met(requirements: Iterable[str], pythons: Iterable[str], read: Read) -> list[str] | None:
    """Return the wheels that meet the requirements, None where the index was not asked."""
    asked = [(text, python) for python in pythons for text in requirements]
    if any(question not in read.answers for question in asked):
        return None
    return [name for question in asked if (name := read.answers[question])]


def _extra(judge: Judge, row: Row, metadata: MetadataFacts | None, read: Read) -> Iterator[Claim]:
    """That the extra resolves, or where a fault says so that it does not."""
    extra = metadata.extras.get(AND_CUDA, ()) if metadata else ()
    fault = next((item for item in row.faults if item.code == EXTRA_FAULT), None)
    if not extra:
        if fault and metadata is None:
            yield judge.not_read("faults", fault.code)
        elif fault:
            yield judge.hold("faults", fault.code, f"it has no extra {AND_CUDA}", agrees=False)
        return
    asked = [(text, python.text) for python in row.pythons for text in extra]
    if any(question not in read.answers for question in asked):
        yield judge.not_read("faults", fault.code if fault else f"{AND_CUDA} can be met")
        return
    missing: dict[str, list[str]] = {}
    for text, python in asked:
        if read.answers[text, python] is None:
            missing.setdefault(text, []).append(python)
    found = "; ".join(f"no wheel of {text} for Python {' '.join(series)}" for text, series in missing.items())
    claimed = f"{fault.code}: {fault.what}" if fault else f"every requirement of {AND_CUDA} has a wheel for each Python"
    yield judge.hold("faults", claimed, found or "each has one", agrees=bool(missing) == bool(fault))


def _fault(judge: Judge, fault: Fault, metadata: MetadataFacts | None, read: Read) -> Claim:
    claimed = f"{fault.code}: {fault.what}"
    if not fault.code.endswith(_NO_WHEELS):
        return Claim(judge.row, "faults", claimed, "", ClaimVerdict.UNDECIDABLE, words(fault.evidence))
    series = _series(fault)
    asked = [(text, series) for text in metadata.requires_dist] if metadata else []
    if metadata is None or any(question not in read.answers for question in asked):
        return judge.not_read("faults", claimed)
    missing = [text for text, _ in asked if read.answers[text, series] is None]
    found = f"no wheel for Python {series}: {', '.join(missing)}" if missing else f"all has wheels for Python {series}"
    return judge.hold("faults", claimed, found, agrees=bool(missing))


def _series(fault: Fault) -> str:
    return fault.code.removeprefix("python-").removesuffix(_NO_WHEELS)


def _demands(metadata: MetadataFacts, name: str) -> list[str]:
    """Return the requirements of a wheel on a distribution."""
    found = []
    for text in metadata.requires_dist:
        try:
            demand = Requirement(text)
        except InvalidRequirement:
            continue
        if canonicalize_name(demand.name) == canonicalize_name(name):
            found.append(text)
    return found
