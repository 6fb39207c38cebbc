"""The claims of a set of NVIDIA wheels, and those of a row about the sets that serve it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from provision.audit.claims.row import Read
from provision.audit.claims.verdicts import INDEX, Judge
from provision.audit.contents.demands import admits, pinned
from provision.audit.contents.search import search
from provision.model.audit import Claim
from provision.model.facts import Certainty
from provision.model.matrix import LibrarySet, Row, WheelPin
from provision.model.versions import ComputeCapability, Dotted, GlibcVersion
from provision.model.wheel import CodeFacts, FrameworkFacts, NameFacts, SymbolFacts

AND_CUDA = "and-cuda"
SEARCH_FAULT = "search-path"
_RUNTIME, _CUDNN = "nvidia-cuda-runtime-cu", "nvidia-cudnn-cu"
MEASURED = ("nvidia-cublas-", "nvidia-cudnn-")
"""The set's ``sass`` and ``ptx`` are what all of cuBLAS and cuDNN carry."""

_NAMED = 6
"""Missing names that are shown; JSON of `audit wheel --deep` has them all."""


def set_claims(library_set: LibrarySet, read: Read) -> tuple[Claim, ...]:
    """Return every claim of a set, each with a verdict; those of conda packages no wheel decides."""
    evidence = library_set.evidence
    judge = Judge(library_set.ident, "names in its wheels", evidence=dict.fromkeys(_KINDS, evidence))
    if library_set.conda:
        packages = ", ".join(pin.requirement for pin in library_set.conda)
        return (judge.undecidable("conda", f"{library_set.channel}: {packages}", note="audit reads wheels"),)
    names = {pin.requirement: read.wheels[pin.requirement].names for pin in library_set.pins if _has(read, pin)}
    paths = {path for found in names.values() if found for path in (found.ptxas, found.libdevice)}
    tools = (("ptxas", library_set.ptxas), ("libdevice", library_set.libdevice))
    return (
        *(claim for pin in library_set.pins for claim in _pin(judge, pin, read)),
        _version(judge, "cuda", library_set.cuda, _pinned(library_set, _RUNTIME)),
        _version(judge, "cudnn", library_set.cudnn, _pinned(library_set, _CUDNN)),
        *(_tool(judge, kind, path, paths, complete=len(names) == len(library_set.pins)) for kind, path in tools),
        *_code(judge, library_set, read),
    )


_KINDS = ("arch", "build", "cudnn", "conda", "libdevice", "library", "pin", "ptxas")


def _has(read: Read, pin: WheelPin) -> bool:
    return pin.requirement in read.wheels and read.wheels[pin.requirement].names is not None


def _pin(judge: Judge, pin: WheelPin, read: Read) -> Iterator[Claim]:
    """That there is a wheel, and that each library lies where the matrix says."""
    release = read.releases.get(pin.requirement)
    if pin.requirement not in read.releases:
        yield judge.not_read("pin", pin.requirement)
    else:
        files = [item.filename for item in release.linux()] if release else []
        found = ", ".join(files) or "the index has no such wheel for Linux on x86_64"
        yield judge.hold("pin", pin.requirement, found, agrees=bool(files), wheel=INDEX)
    facts = read.wheels.get(pin.requirement)
    for soname, path in pin.libraries.items():
        claimed = f"{soname}: {path}"
        if facts is None or facts.names is None:
            yield judge.not_read("library", claimed, read.unread.get(pin.requirement, ""))
            continue
        found = facts.names.libraries.get(soname, "")
        words = f"{soname}: {found}" if found else f"{pin.requirement} has no {soname}"
        yield judge.hold("library", claimed, words, agrees=found == path, wheel=facts.artifact.filename)


def _pinned(library_set: LibrarySet, prefix: str) -> WheelPin | None:
    return next((pin for pin in library_set.pins if pin.name.startswith(prefix)), None)


def _version(judge: Judge, kind: str, claimed: Dotted, pin: WheelPin | None) -> Claim:
    version = type(claimed).parse(pin.version) if pin else None
    if pin is None or version is None:
        return judge.undecidable(kind, claimed.text)
    same = (version.major, version.minor) == (claimed.major, claimed.minor)
    return judge.hold(kind, claimed.text, pin.requirement, agrees=same, wheel=pin.requirement)


def _tool(judge: Judge, kind: str, path: str | None, found: Collection[str], *, complete: bool) -> Claim:
    claimed = path or "none"
    if path and path in found:
        return judge.hold(kind, claimed, path, agrees=True)
    if not complete:
        return judge.not_read(kind, claimed)
    name = {"libdevice": "libdevice.10.bc"}.get(kind, kind)
    others = " ".join(sorted(item for item in found if item.endswith(f"/{name}")))
    return judge.hold(kind, claimed, others or "none", agrees=path is None and not others)


def _code(judge: Judge, library_set: LibrarySet, read: Read) -> Iterator[Claim]:
    """Machine code that serves in all of cuBLAS and cuDNN, and the newest PTX of each."""
    pins = [pin for pin in library_set.pins if pin.name.startswith(MEASURED)]
    wheels = [read.wheels[pin.requirement] for pin in pins if pin.requirement in read.wheels]
    code = [wheel.code for wheel in wheels if wheel.code is not None]
    if len(code) < len(pins) or not code:
        for kind, claimed in (("sass", library_set.sass), ("ptx", library_set.ptx)):
            yield judge.not_read(kind, _words(claimed), "--deep reads it")
        return
    names = " ".join(item.artifact.filename for item in wheels)
    served, newest = common_code(code), {found for mine in code if (found := newest_ptx(mine))}
    sass, ptx = set(library_set.sass), set(library_set.ptx)
    # GPUs beyond are reached by what every wheel has; newer PTX in one of them may be left out.
    reaches = bool(newest) and min(newest) in ptx and ptx <= newest
    yield judge.hold("sass", _words(library_set.sass), _words(served), agrees=sass == served, wheel=names)
    yield judge.hold("ptx", _words(library_set.ptx), _words(newest), agrees=reaches, wheel=names)


def _words(capabilities: Iterable[ComputeCapability]) -> str:
    return " ".join(item.text for item in sorted(capabilities)) or "none"


def common_code(wheels: Iterable[Iterable[CodeFacts]]) -> set[ComputeCapability]:
    """Return the capabilities for which every wheel has machine code, and which every library with kernels serves.

    A library serves a GPU with machine code of its major version and no newer minor one (7.0 runs on 7.5).
    """
    libraries = [[_machine(item) for item in mine if item.sass] for mine in wheels]
    common = set.intersection(*(set().union(*mine) for mine in libraries)) if all(libraries) else set()
    return {
        wanted
        for wanted in common
        if all(
            any(has.major == wanted.major and has <= wanted for has in library)
            for mine in libraries
            for library in mine
        )
    }


def _machine(code: CodeFacts) -> set[ComputeCapability]:
    return {ComputeCapability(count.target.rstrip("af")) for count in code.sass}


def newest_ptx(code: Iterable[CodeFacts]) -> ComputeCapability | None:
    """Return the newest PTX for GPUs in general, None where there is none."""
    found = [ComputeCapability(count.target) for item in code for count in item.ptx if count.target[-1].isdigit()]
    return max(found) if found else None


def served_claims(row: Row, read: Read) -> tuple[Claim, ...]:
    """Return the claims of a row about its sets: every library of the gate is there, and what is found unaided."""
    facts = read.wheels.get(row.requirement)
    judge = Judge(row.requirement, row.wheel, read.unread.get(row.requirement, ""), row.evidence)
    framework = facts.framework if facts else None
    metadata = facts.metadata if facts else None
    extra = metadata.extras.get(AND_CUDA, ()) if metadata else ()
    claims: list[Claim] = []
    for library_set in row.sets:
        names = {pin.requirement: found for pin in library_set.pins if (found := _names(read, pin))}
        complete = len(names) == len(library_set.pins)
        if framework is None or framework.gate is None or not complete:
            claims += [judge.not_read(kind, library_set.ident) for kind in ("sets", "reach")]
        else:
            claims += [
                _covers(judge, row, library_set, names, framework),
                _reaches(judge, row, library_set, names, framework),
            ]
        claims += _aliases(judge, row, library_set, names, framework)
        claims += _glibc(judge, row, library_set, read)
        if extra:
            claims.append(_extra(judge, row, library_set, extra))
        claims.append(_symbols(judge, library_set, read.symbols.get((row.requirement, library_set.ident))))
    claims += [judge.undecidable("conda", item.ident, note="audit reads wheels") for item in row.conda_sets]
    return tuple(claims)


def _names(read: Read, pin: WheelPin) -> NameFacts | None:
    facts = read.wheels.get(pin.requirement)
    return facts.names if facts else None


def _covers(
    judge: Judge, row: Row, library_set: LibrarySet, names: Mapping[str, NameFacts], framework: FrameworkFacts
) -> Claim:
    present = {soname for found in names.values() for soname in found.libraries}
    answers = {name: given for name in framework.gate or () if (given := _answer(name, row, present))}
    missing = [names[0] for names in framework.gate_choices if not any(name in answers for name in names)]
    total = len(framework.gate_choices)
    claimed = f"{library_set.ident} has every library of the gate"
    aliased = ", ".join(f"{given} as {name}" for name, given in answers.items() if given != name)
    found = f"it lacks {' '.join(missing)}" if missing else f"{total} of {total}"
    return judge.hold("sets", claimed, found, agrees=not missing, note=aliased)


def _answer(soname: str, row: Row, present: Collection[str]) -> str:
    """Return what of a set answers a name: the library itself or its alias; empty where neither is there."""
    return next((name for name in (soname, row.aliases.get(soname, "")) if name in present), "")


def _reaches(
    judge: Judge, row: Row, library_set: LibrarySet, names: Mapping[str, NameFacts], framework: FrameworkFacts
) -> Claim:
    """Whether the release finds the libraries of a set by itself; it does not where a fault says so."""
    found = search(framework, names)
    missing = (*found.unfound, *found.absent)
    faulty = any(fault.code == SEARCH_FAULT for fault in row.faults)
    alone = bool(row.search.nvidia) and not faulty
    claimed = f"{library_set.ident} is found {'by itself' if alone else 'only when it is wired'}"
    words = f"not found: {' '.join(missing)}" if missing else "all of the gate is found"
    return judge.hold("reach", claimed, words, agrees=alone != bool(missing))


def _aliases(
    judge: Judge, row: Row, library_set: LibrarySet, names: Mapping[str, NameFacts], framework: FrameworkFacts | None
) -> Iterator[Claim]:
    asked = (
        {*(framework.gate or ()), *(name for tried in framework.optional.values() for name in tried)}
        if framework
        else set()
    )
    present = {soname for found in names.values() for soname in found.libraries}
    for wanted, given in row.aliases.items():
        claimed = f"{wanted} is asked for, {library_set.ident} has {given}"
        if framework is None or framework.gate is None or len(names) < len(library_set.pins):
            yield judge.not_read("aliases", claimed)
            continue
        asks, has = wanted in asked, given in present and wanted not in present
        shelf = "has" if given in present else "lacks"
        found = f"it {'asks' if asks else 'does not ask'} for {wanted}, the set {shelf} {given}"
        note = "that the one serves as the other, a machine with a GPU decides"
        yield judge.hold("aliases", claimed, found, agrees=asks and has, note=note)


def _glibc(judge: Judge, row: Row, library_set: LibrarySet, read: Read) -> Iterator[Claim]:
    """That no wheel of a set asks for a newer glibc than the release, or than the set says."""
    tags = {
        pin.requirement: GlibcVersion(facts.artifact.glibc)
        for pin in library_set.pins
        if (facts := read.wheels.get(pin.requirement)) and facts.artifact.glibc
    }
    if not tags:
        return
    admitted = max(row.glibc, library_set.glibc or row.glibc)
    newer = [f"{name} {glibc}" for name, glibc in tags.items() if glibc > admitted]
    yield judge.hold(
        "glibc",
        f"{library_set.ident} admits glibc {admitted}",
        f"newer: {', '.join(newer)}" if newer else f"{max(tags.values())} by its tags",
        agrees=not newer,
        wheel=library_set.ident,
    )


def _symbols(judge: Judge, library_set: LibrarySet, symbols: SymbolFacts | None) -> Claim:
    """Whether the libraries of a set give every CUDA name that the release could look up."""
    claimed = f"{library_set.ident} gives every CUDA name that it looks up"
    if symbols is None:
        return judge.not_read("symbols", claimed, judge.unread or "--deep reads it")
    lacking = [name for names in symbols.missing.values() for name in names]
    named = f": {' '.join(lacking[:_NAMED])}{' …' if len(lacking) > _NAMED else ''}" if lacking else ""
    found = f"{len(lacking)} of {symbols.looked_up} are missing{named}"
    note = ", ".join(f"no wheel of {family}: {count} names" for family, count in symbols.unpinned.items())
    if lacking:
        why = "its table may list names that nothing calls"
        return judge.undecidable("symbols", claimed, found, note="; ".join(filter(None, (why, note))))
    return judge.hold("symbols", claimed, found, agrees=True, note=note)


def _extra(judge: Judge, row: Row, library_set: LibrarySet, extra: Iterable[str]) -> Claim:
    """Whether the pins are what the extra of the wheel admits; only where the row says that they come from it."""
    outside, left_out = [], []
    for demand, version in pinned(extra, ((pin.name, pin.version) for pin in library_set.pins)):
        if version is None:
            left_out.append(demand.name)
        elif not admits(demand, version):
            outside.append(f"{demand.name}=={version} (it wants {demand.specifier})")
    claimed = f"{library_set.ident} is what its extra {AND_CUDA} admits"
    words = f"outside: {', '.join(outside)}" if outside else "every pin is admitted"
    note = f"left out: {' '.join(left_out)}" if left_out else ""
    if outside and row.certainty("sets") is not Certainty.ARTIFACT:
        return judge.undecidable("extra", claimed, words, note=note)
    return judge.hold("extra", claimed, words, agrees=not outside, note=note)
