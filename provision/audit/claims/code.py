"""Claims about GPU code: by every module that was read (``--deep``), else by what the build says of itself. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from provision.audit.claims.verdicts import Judge
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
        beside = {module.target for module in row.ptx_modules}
        yield from _held(judge, row.sass, row.ptx, facts.code, beside=beside)
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


def _held(
    judge: Judge,
    sass: Sequence[ComputeCapability],
    ptx: Sequence[ComputeCapability],
    code: Iterable[CodeFacts],
    *,
    beside: Collection[str] = (),
) -> Iterator[Claim]:
    """Yield two claims, machine code and PTX, against all the libraries of a wheel taken together.

    Args:
        judge: of the row.
        sass: claimed.
        ptx: claimed.
        code: what was read.
        beside: targets of PTX that other claims name, so that ``ptx`` may leave them out.
    """
    libraries = tuple(code)
    # Machine code for 9.0a runs on 9.0; PTX for 9.0a is claimed by module, and is none for later GPUs.
    machine = {count.target.rstrip("af") for library in libraries for count in library.sass}
    general = {count.target for library in libraries for count in library.ptx if count.target[-1].isdigit()}
    named = {item.text for item in ptx}
    for kind, claimed, found, agrees in (
        ("sass", sass, machine, {item.text for item in sass} == machine),
        ("ptx", ptx, general, named <= general <= named | set(beside)),
    ):
        yield judge.hold(kind, _words(claimed), " ".join(sorted(found, key=float)), agrees=agrees)


def _modules(judge: Judge, claimed: Iterable[PtxModules], code: Iterable[CodeFacts]) -> Iterator[Claim]:
    found = _summed(count for library in code for count in library.ptx)
    for module in claimed:
        same = {isa: number for (target, isa), (number, _) in found.items() if target == module.target}
        number, native = found.get((module.target, module.isa.text), (0, frozenset()))
        words = ", ".join(f"{module.target} in PTX {isa}: {count}" for isa, count in sorted(same.items()))
        stated = None if module.native is None else {item.text for item in module.native}
        agrees = bool(number) and module.count in {None, number} and stated in (None, native)
        if number and stated not in (None, native):
            words += f", beside machine code for {' '.join(sorted(native, key=float)) or 'none'}"
        yield judge.hold("modules", _module(module), words or f"no PTX for {module.target}", agrees=agrees)


def _summed(counts: Iterable[CodeCount]) -> Mapping[tuple[str, str], tuple[int, frozenset[str]]]:
    """Return target and PTX version to how many modules there are, and the machine code that is beside all of them."""
    found: dict[tuple[str, str], tuple[int, frozenset[str]]] = {}
    for count in counts:
        native = frozenset(item.rstrip("af") for item in count.native)
        number, common = found.get((count.target, count.isa), (0, native))
        found[count.target, count.isa] = number + count.count, common & native
    return found


def _module(module: PtxModules) -> str:
    words = f"{module.target} in PTX {module.isa}" + (f": {module.count}" if module.count is not None else "")
    return words if module.native is None else f"{words}, beside machine code for {_words(module.native)}"


def _words(capabilities: Iterable[ComputeCapability]) -> str:
    return " ".join(item.text for item in capabilities) or "none"


def _capability(word: str) -> str:
    number = word.partition("_")[2]
    return f"{number[:-1]}.{number[-1]}" if number.isdigit() and len(number) > 1 else word
