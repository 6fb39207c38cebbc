"""Claims about GPU code: by every module that was read (``--deep``), else by what the build says of itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from provision.audit.verdicts import Judge
from provision.model.audit import Claim
from provision.model.matrix import PtxModules, Row
from provision.model.versions import ComputeCapability
from provision.model.wheel import CodeCount, CodeFacts, WheelFacts

_KEY = "cuda_compute_capabilities"


def code_claims(judge: Judge, row: Row, facts: WheelFacts | None) -> Iterator[Claim]:
    """Yield the claims of a row about the code inside its wheel.

    ``build_info.py`` names what the build was configured for (``sm_80``: machine code, ``compute_80``: machine code and
    PTX); modules and their PTX versions are in the fatbins alone.
    """
    if facts is not None and facts.code is not None:
        yield from held_code(judge, row.sass, row.ptx, facts.code)
        yield from _modules(judge, row.ptx_modules, facts.code)
        return
    said = ((facts.metadata.build_info if facts and facts.metadata else None) or {}).get(_KEY, "").split()
    by_build = "as build_info.py says; the code itself was not read: --deep does"
    for kind, claimed, found in (
        ("sass", row.sass, [_capability(word) for word in said]),
        ("ptx", row.ptx, [_capability(word) for word in said if word.startswith("compute_")]),
    ):
        if facts is None or not said:
            yield judge.not_read(kind, _words(claimed), "" if facts is None else "--deep reads it")
        else:
            agrees = {item.text for item in claimed} == set(found)
            yield judge.hold(kind, _words(claimed), " ".join(found), agrees=agrees, note=by_build)
    for module in row.ptx_modules:
        yield judge.not_read("modules", _module(module), "" if facts is None else "--deep reads it")


def held_code(
    judge: Judge,
    sass: Iterable[ComputeCapability],
    ptx: Iterable[ComputeCapability],
    code: Iterable[CodeFacts],
    *,
    wheel: str = "",
) -> Iterator[Claim]:
    """Yield two claims, machine code and PTX, against all the libraries of a wheel taken together."""
    libraries = tuple(code)
    for kind, claimed, counts in (
        ("sass", sass, (count for library in libraries for count in library.sass)),
        ("ptx", ptx, (count for library in libraries for count in library.ptx)),
    ):
        # What is specific to an architecture (9.0a) is claimed by module, and is no PTX for later GPUs.
        found = {count.target for count in counts if count.target[-1].isdigit()}
        agrees = {item.text for item in claimed} == found
        yield judge.hold(kind, _words(claimed), " ".join(sorted(found, key=float)), agrees=agrees, wheel=wheel)


def _modules(judge: Judge, claimed: Iterable[PtxModules], code: Iterable[CodeFacts]) -> Iterator[Claim]:
    found = _summed(count for library in code for count in library.ptx)
    for module in claimed:
        counts = {isa: count for (target, isa), count in found.items() if target == module.target}
        number = counts.get(module.isa.text)
        words = ", ".join(f"{module.target} in PTX {isa}: {count}" for isa, count in sorted(counts.items()))
        agrees = number is not None and module.count in {None, number}
        yield judge.hold("modules", _module(module), words or f"no PTX for {module.target}", agrees=agrees)


def _summed(counts: Iterable[CodeCount]) -> Mapping[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for count in counts:
        found[count.target, count.isa] = found.get((count.target, count.isa), 0) + count.count
    return found


def _module(module: PtxModules) -> str:
    return f"{module.target} in PTX {module.isa}" + (f": {module.count}" if module.count is not None else "")


def _words(capabilities: Iterable[ComputeCapability]) -> str:
    return " ".join(item.text for item in capabilities) or "none"


def _capability(word: str) -> str:
    number = word.partition("_")[2]
    return f"{number[:-1]}.{number[-1]}" if number.isdigit() and len(number) > 1 else word
