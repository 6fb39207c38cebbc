"""What audit has read of a wheel, as a person reads it, or as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from provision.audit.contents.search import searched
from provision.errors import ExitCode
from provision.model.artifact import Artifact, Cost
from provision.model.document import SCHEMA_VERSION, jsonable
from provision.model.wheel import (
    CodeCount,
    CodeFacts,
    FrameworkFacts,
    GuardFacts,
    MetadataFacts,
    NameFacts,
    SearchFacts,
    SymbolFacts,
    WheelFacts,
    choices,
)
from provision.report.words import printable

_LABEL, _LINE = 16, 100
_NAMES = 8
_MIB = 1 << 20


def wheel_exit_code(facts: WheelFacts) -> ExitCode:
    """Return 0, or 4 where it is a CUDA build of TensorFlow whose gate could not be read."""
    cuda = facts.metadata is not None and facts.metadata.cuda_build
    unread = facts.framework is not None and facts.framework.gate is None
    return ExitCode.CANNOT_TELL if cuda and unread else ExitCode.DONE


def wheel_document(facts: WheelFacts) -> dict[str, Any]:
    """Return the JSON document; every key is there whatever was read."""
    return {"schema": SCHEMA_VERSION, **facts_document(facts), "exit_code": int(wheel_exit_code(facts))}


def facts_document(facts: WheelFacts) -> dict[str, Any]:
    """Return the facts as JSON-ready data, with what follows from the file name and the symbol versions."""
    artifact = facts.artifact
    said: dict[str, Any] = jsonable(facts)
    said["artifact"] |= {
        "tags": list(artifact.tags),
        "pythons": list(artifact.pythons),
        "platforms": list(artifact.platforms),
        "glibc": artifact.glibc or None,
    }
    if facts.framework is not None:
        dynamic = facts.framework.dynamic
        said["framework"]["needs"] = {name: dynamic.needs(name) or None for name in ("GLIBC", "GLIBCXX", "CXXABI")}
    return said


def wheel_text(facts: WheelFacts) -> str:
    """Return the facts in plain lines."""
    return "\n".join(line.rstrip() for line in _lines(facts))


def cost_text(cost: Cost, whole: int = 0) -> str:
    """Return what reading has cost in words: ``2.1 MiB of 571.9 MiB (0.37 %), 7 requests, 1.2 s``."""
    if cost.cached:
        return f"nothing, the cache has it, {cost.seconds:.1f} s"
    share = f" of {whole / _MIB:.1f} MiB ({100 * cost.bytes_read / whole:.2f} %)" if whole else ""
    requests = f", {cost.requests} requests" if cost.requests else ""
    return f"{cost.bytes_read / _MIB:.1f} MiB{share}{requests}, {cost.seconds:.1f} s"


def _lines(facts: WheelFacts) -> Iterator[str]:
    yield printable(facts.artifact.filename)
    yield from _identity(facts.artifact)
    yield from fact_lines(facts)
    yield ""
    yield from row_lines("read", cost_text(facts.cost, 0 if facts.symbols else facts.artifact.size))


def fact_lines(facts: WheelFacts, *, installed: bool = False) -> Iterator[str]:
    """Yield what was read; of an ``installed`` one, with the libraries that are there and not those of its extra."""
    if facts.metadata:
        yield from _metadata(facts.metadata, facts.framework)
    if facts.names:
        yield from _names(facts.names)
    if facts.framework:
        yield from _framework(facts.framework)
    if facts.guard:
        yield from row_lines("CPU", _guard(facts.guard))
    if facts.search:
        yield from _search(facts.search, installed=installed)
    if facts.code is not None:
        yield from _code(facts.code)
    if facts.symbols:
        yield from _symbols(facts.symbols)
    yield from _rows(row_lines("not read", f"{item.what}: {item.why}") for item in facts.unread)


def _identity(artifact: Artifact) -> Iterator[str]:
    yield from row_lines("sha256", artifact.sha256 or "not stated")
    yield from row_lines("Python", " ".join(artifact.pythons) or "any")
    yield from row_lines("platform", " ".join(artifact.platforms))
    if artifact.glibc:
        yield from row_lines("glibc", f"{artifact.glibc} or newer, by its tag")
    if artifact.yanked:
        yield from row_lines("withdrawn", "the index says that it was yanked")


def _metadata(metadata: MetadataFacts, framework: FrameworkFacts | None) -> Iterator[str]:
    yield from row_lines(
        "metadata", f"{metadata.name} {metadata.version}, Python {metadata.requires_python or 'not limited'}"
    )
    yield from row_lines("requires", f"{len(metadata.requires_dist)} packages")
    yield from _rows(
        row_lines("", _list(wanted, f"[{extra}]: ")) for extra, wanted in metadata.extras.items() if wanted
    )
    info = metadata.build_info
    if info is None:
        return
    built = [f"{label} {info[key]}" for key, label in _BUILT if info.get(key)]
    words = {True: "with CUDA", False: "without CUDA", None: "does not say whether with CUDA"}[metadata.cuda_build]
    versions = "" if built or not framework else " (it names no version)"
    yield from row_lines("built", ", ".join([words + versions, *built]))


_BUILT = (
    ("cuda_version", "CUDA"),
    ("cudnn_version", "cuDNN"),
    ("cuda_compute_capabilities", "for"),
    ("cpu_compiler", "by"),
)


def _names(names: NameFacts) -> Iterator[str]:
    yield from row_lines(
        "holds", f"{names.files} files, {len(names.libraries)} shared libraries, {names.unpacked / _MIB:.0f} MiB"
    )
    tools = [path for path in (names.ptxas, names.libdevice) if path]
    if tools:
        yield from row_lines("", ", ".join(tools))


def _framework(framework: FrameworkFacts) -> Iterator[str]:
    dynamic = framework.dynamic
    yield from row_lines("framework", f"{framework.path}{' (read without its kernels)' if framework.in_part else ''}")
    needs = [f"{label} {dynamic.needs(name)}" for name, label in _NEEDS if dynamic.needs(name)]
    yield from row_lines("really needs", ", ".join(needs) or "no symbol version")
    if framework.gate is not None:
        yield from row_lines("GPU gate", " ".join(" else ".join(names) for names in framework.gate_choices))
    yield from _rows(row_lines("", f"{name}: {' then '.join(tried)}") for name, tried in framework.optional.items())
    if framework.nccl_inside:
        yield from row_lines("", f"NCCL {framework.nccl_inside} is inside")
    folders = searched(dynamic, framework.path)
    yield from row_lines("looks in", f"{dynamic.kind}: {', '.join(folders)}" if folders else "no folder of its own")


_NEEDS = (("GLIBC", "glibc"), ("GLIBCXX", "GLIBCXX"), ("CXXABI", "CXXABI"))


def _guard(guard: GuardFacts) -> str:
    if guard.features is None:
        return f"what it refuses to run without is not known: {guard.why}"
    return f"refuses to run without {' '.join(guard.features)}"


def _search(search: SearchFacts, *, installed: bool) -> Iterator[str]:
    beside = "beside it" if installed else "with and-cuda"
    yield from row_lines(beside, _list(search.wheels) or "nothing that brings CUDA libraries")
    total = len(search.found) + len(choices([*search.unfound, *search.absent]))
    if not search.unfound and not search.absent:
        yield from row_lines("", f"finds all {total} libraries of the GPU gate")
        return
    # What is installed may be found by a variable as well; of a wheel nothing else is known.
    none = "nothing here" if installed else "no wheel"
    so = " by its own search path" if installed else ": no GPU is registered"
    yield from row_lines("", f"finds {len(search.found)} of {total} libraries of the GPU gate{so}")
    yield from _rows(
        row_lines("", f"NOT FOUND {name}: {path} is where nobody looks") for name, path in _sorted(search.unfound)
    )
    yield from _rows(row_lines("", f"NOT FOUND {name}: {none} has it") for name in search.absent)


def _code(code: Iterable[CodeFacts]) -> Iterator[str]:
    libraries = tuple(code)
    if not libraries:
        yield from row_lines("GPU code", "none in any library")
    for library in libraries:
        yield from row_lines("GPU code", f"{library.path}: {_modules(library.modules)}")
        yield from _rows(row_lines("", f"machine code for {counts}") for counts in [_counts(library.sass)] if counts)
        for ptx in library.ptx:
            beside = (
                f"beside machine code for {' '.join(ptx.native)}" if ptx.native else "with no machine code beside it"
            )
            yield from row_lines("", f"PTX {ptx.isa} for {ptx.target} in {ptx.count}, {beside}")
        if library.linked:
            yield from row_lines("", f"{_modules(library.linked)} of PTX alone, linked elsewhere into machine code")
        if library.damaged:
            yield from row_lines("", f"DAMAGED: fields out of range in {_modules(library.damaged)}")


def _modules(count: int) -> str:
    return f"{count} module{'s' * (count != 1)}"


def _counts(counts: Iterable[CodeCount]) -> str:
    return ", ".join(f"{count.target} in {count.count}" for count in counts)


def _symbols(symbols: SymbolFacts) -> Iterator[str]:
    yield from row_lines("CUDA names", f"looks up {symbols.looked_up}, held against {_list(symbols.wheels)}")
    for family, names in symbols.missing.items():
        more = f" … (and {len(names) - _NAMES} more)" if len(names) > _NAMES else ""
        yield from row_lines("", f"{family} lacks {len(names)}: {' '.join(names[:_NAMES])}{more}")
    yield from _rows(
        row_lines("", f"{family}: {count} names, and none of these wheels has that library")
        for family, count in symbols.unpinned.items()
    )
    if not symbols.missing and not symbols.unpinned:
        yield from row_lines("", "these libraries have every one")


def _rows(rows: Iterable[list[str]]) -> Iterator[str]:
    for row in rows:
        yield from row


def _sorted(table: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted(table.items())


def _list(items: Iterable[str], head: str = "") -> str:
    return f"{head}{', '.join(items)}"


def row_lines(label: str, text: str) -> list[str]:
    """Return a labelled text, in several lines where one is too short for it."""
    lines = textwrap.wrap(printable(text), _LINE, break_on_hyphens=False) or [""]
    return [f"  {name:<{_LABEL}}{line}" for name, line in zip([label, *[""] * len(lines)], lines, strict=False)]
