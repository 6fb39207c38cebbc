"""What audit has read of a wheel, as a person reads it, or as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from provision.audit.search import searched
from provision.errors import ExitCode
from provision.model.artifact import Artifact, Cost
from provision.model.document import SCHEMA_VERSION, jsonable
from provision.model.wheel import FrameworkFacts, MetadataFacts, NameFacts, SearchFacts, WheelFacts, choices
from provision.report.words import printable

_LABEL, _LINE = 16, 100
_MIB = 1 << 20


def wheel_exit_code(facts: WheelFacts) -> ExitCode:
    """Return 0, or 4 where it is a CUDA build of TensorFlow whose gate could not be read."""
    cuda = facts.metadata is not None and facts.metadata.cuda_build
    unread = facts.framework is not None and facts.framework.gate is None
    return ExitCode.CANNOT_TELL if cuda and unread else ExitCode.DONE


def wheel_document(facts: WheelFacts) -> dict[str, Any]:
    """Return the JSON document; every key is there whatever was read."""
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
    return {"schema": SCHEMA_VERSION, **said, "exit_code": int(wheel_exit_code(facts))}


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
    if facts.metadata:
        yield from _metadata(facts.metadata, facts.framework)
    if facts.names:
        yield from _names(facts.names)
    if facts.framework:
        yield from _framework(facts.framework)
    if facts.search:
        yield from _search(facts.search)
    yield from _rows(_row("not read", f"{item.what}: {item.why}") for item in facts.unread)
    yield ""
    yield from _row("read", cost_text(facts.cost, facts.artifact.size))


def _identity(artifact: Artifact) -> Iterator[str]:
    yield from _row("sha256", artifact.sha256 or "not stated")
    yield from _row("Python", " ".join(artifact.pythons) or "any")
    yield from _row("platform", " ".join(artifact.platforms))
    if artifact.glibc:
        yield from _row("glibc", f"{artifact.glibc} or newer, by its tag")
    if artifact.yanked:
        yield from _row("withdrawn", "the index says that it was yanked")


def _metadata(metadata: MetadataFacts, framework: FrameworkFacts | None) -> Iterator[str]:
    yield from _row(
        "metadata", f"{metadata.name} {metadata.version}, Python {metadata.requires_python or 'not limited'}"
    )
    yield from _row("requires", f"{len(metadata.requires_dist)} packages")
    yield from _rows(_row("", _list(wanted, f"[{extra}]: ")) for extra, wanted in metadata.extras.items() if wanted)
    info = metadata.build_info
    if info is None:
        return
    built = [f"{label} {info[key]}" for key, label in _BUILT if info.get(key)]
    words = {True: "with CUDA", False: "without CUDA", None: "does not say whether with CUDA"}[metadata.cuda_build]
    versions = "" if built or not framework else " (it names no version)"
    yield from _row("built", ", ".join([words + versions, *built]))


_BUILT = (
    ("cuda_version", "CUDA"),
    ("cudnn_version", "cuDNN"),
    ("cuda_compute_capabilities", "for"),
    ("cpu_compiler", "by"),
)


def _names(names: NameFacts) -> Iterator[str]:
    yield from _row(
        "holds", f"{names.files} files, {len(names.libraries)} shared libraries, {names.unpacked / _MIB:.0f} MiB"
    )
    tools = [path for path in (names.ptxas, names.libdevice) if path]
    if tools:
        yield from _row("", ", ".join(tools))


def _framework(framework: FrameworkFacts) -> Iterator[str]:
    dynamic = framework.dynamic
    yield from _row("framework", f"{framework.path}{' (read without its kernels)' if framework.in_part else ''}")
    needs = [f"{label} {dynamic.needs(name)}" for name, label in _NEEDS if dynamic.needs(name)]
    yield from _row("really needs", ", ".join(needs) or "no symbol version")
    if framework.gate is not None:
        yield from _row("GPU gate", " ".join(" else ".join(names) for names in framework.gate_choices))
    yield from _rows(_row("", f"{name}: {' then '.join(tried)}") for name, tried in framework.optional.items())
    if framework.nccl_inside:
        yield from _row("", f"NCCL {framework.nccl_inside} is inside")
    folders = searched(dynamic, framework.path)
    yield from _row("looks in", f"{dynamic.kind}: {', '.join(folders)}" if folders else "no folder of its own")


_NEEDS = (("GLIBC", "glibc"), ("GLIBCXX", "GLIBCXX"), ("CXXABI", "CXXABI"))


def _search(search: SearchFacts) -> Iterator[str]:
    yield from _row("with and-cuda", _list(search.wheels))
    total = len(search.found) + len(choices([*search.unfound, *search.absent]))
    if not search.unfound and not search.absent:
        yield from _row("", f"finds all {total} libraries of the GPU gate")
        return
    yield from _row("", f"finds {len(search.found)} of {total} libraries of the GPU gate: no GPU is registered")
    yield from _rows(
        _row("", f"NOT FOUND {name}: {path} is where nobody looks") for name, path in _sorted(search.unfound)
    )
    yield from _rows(_row("", f"NOT FOUND {name}: no wheel has it") for name in search.absent)


def _rows(rows: Iterable[list[str]]) -> Iterator[str]:
    for row in rows:
        yield from row


def _sorted(table: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted(table.items())


def _list(items: Iterable[str], head: str = "") -> str:
    return f"{head}{', '.join(items)}"


def _row(label: str, text: str) -> list[str]:
    """Return a labelled text, in several lines where one is too short for it."""
    lines = textwrap.wrap(printable(text), _LINE, break_on_hyphens=False) or [""]
    return [f"  {name:<{_LABEL}}{line}" for name, line in zip([label, *[""] * len(lines)], lines, strict=False)]
