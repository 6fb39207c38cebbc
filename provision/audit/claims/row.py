"""The claims of a row held against what was read of its wheel. Pure: nothing here reads anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from provision.audit.claims.code import code_claims
from provision.audit.claims.cpu import cpu_claims
from provision.audit.claims.verdicts import INDEX, Judge
from provision.audit.contents.search import searched
from provision.model.artifact import Artifact, Release
from provision.model.audit import Claim
from provision.model.matrix import Row
from provision.model.versions import CudaVersion, CudnnVersion, GlibcVersion
from provision.model.wheel import FrameworkFacts, MetadataFacts, SymbolFacts, WheelFacts

_NVIDIA = "nvidia/"


@dataclass(frozen=True)
class Read:
    """Everything that was read, by what the matrix calls it.

    Attributes:
        wheels: requirement (``tensorflow==2.21.0``, ``nvidia-cublas-cu12==12.5.3.2``) to the facts of its wheel.
        releases: requirement to every wheel that the index has of that version; None where it has none.
        answers: requirement and Python series to the file name of a wheel that meets it there, None where none does.
        unread: requirement to why its wheel was not read.
        symbols: requirement of a row and name of a set to how the set covers the names that the row looks up.
        nvcc: requirement to whether XLA inside knows the folder of the nvcc wheel.
    """

    wheels: Mapping[str, WheelFacts] = field(default_factory=dict)
    releases: Mapping[str, Release | None] = field(default_factory=dict)
    answers: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    symbols: Mapping[tuple[str, str], SymbolFacts] = field(default_factory=dict)
    nvcc: Mapping[str, bool] = field(default_factory=dict)


def row_claims(row: Row, read: Read) -> tuple[Claim, ...]:
    """Return every claim of a row about its own wheel, each with a verdict.

    Args:
        row: of the matrix.
        read: what was read; what it lacks makes claims that were not read.
    """
    facts = read.wheels.get(row.requirement)
    judge = Judge(row.requirement, row.wheel, read.unread.get(row.requirement, ""), row.evidence)
    metadata, framework = (facts.metadata, facts.framework) if facts else (None, None)
    return (
        *_release(
            replace(judge, wheel=INDEX), row, read.releases.get(row.requirement), known=row.requirement in read.releases
        ),
        *_glibc(judge, row, facts.artifact if facts else None, framework),
        *_build(judge, row, metadata, framework),
        *_gate(judge, row, framework),
        *_optional(judge, row, framework),
        *_search(judge, row, framework),
        *code_claims(judge, row, facts),
        *cpu_claims(judge, row, facts),
        _xla(judge, row, read.nvcc.get(row.requirement)),
        judge.undecidable("import", "it imports today", note="to be seen by installing it: audit propose does"),
    )


def _xla(judge: Judge, row: Row, known: bool | None) -> Claim:  # noqa: FBT001 - a fact that may be unknown
    claimed, other = ("knows", "does not know") if row.xla_finds_wheels else ("does not know", "knows")
    folder = "the folder of the nvcc wheel"
    if known is None:
        return judge.not_read("xla", f"XLA {claimed} {folder}", judge.unread or "--deep reads it")
    agrees = known == row.xla_finds_wheels
    return judge.hold("xla", f"XLA {claimed} {folder}", f"it {claimed if agrees else other} it", agrees=agrees)


def _release(judge: Judge, row: Row, release: Release | None, *, known: bool) -> Iterator[Claim]:
    """What the index says: the wheel by its hash, the day of upload, Pythons and platforms of all wheels."""
    wheels = release.linux() if release else ()
    cited = next((item for item in wheels if item.filename == row.wheel), None)
    claimed = f"{row.wheel}, sha256 {row.wheel_sha256[:12]}…"
    if not known:
        yield from (judge.not_read(kind, "") for kind in ("wheel", "released", "python", "platform"))
        return
    found = (f"sha256 {cited.sha256[:12]}…" if cited.sha256 else "no sha256") if cited else "no such wheel"
    agrees = None if cited and not cited.sha256 else bool(cited and cited.sha256 == row.wheel_sha256)
    yield judge.hold(
        "wheel", claimed, found, agrees=agrees, note="the index says that it was withdrawn" if _yanked(cited) else ""
    )
    days = sorted({item.uploaded for item in wheels if item.uploaded})
    yield judge.hold("released", row.released, " ".join(days), agrees=row.released in days if days else None)
    pythons = release.pythons() if release else ()
    claimed_pythons = tuple(python.text for python in row.pythons)
    codes = {fault.code for fault in row.faults}
    left_out = [series for series in pythons if f"python-{series}-without-wheels" in codes]
    yield judge.hold(
        "python",
        " ".join(claimed_pythons),
        " ".join(pythons),
        agrees=claimed_pythons == tuple(series for series in pythons if series not in left_out),
        note=f"{' '.join(left_out)} is left out for a fault" if left_out else "",
    )
    platforms = sorted({".".join(item.platforms) for item in wheels})
    yield judge.hold("platform", row.platform, " ".join(platforms), agrees=platforms == [row.platform])


def _yanked(artifact: Artifact | None) -> bool:
    return artifact is not None and artifact.yanked


def _glibc(judge: Judge, row: Row, artifact: Artifact | None, framework: FrameworkFacts | None) -> Iterator[Claim]:
    if artifact is None:
        yield judge.not_read("glibc", row.glibc.text)
        return
    needed = framework.dynamic.glibc if framework else ""
    said = [f"{artifact.glibc or 'none'} by the tag"] + ([f"{needed} really needed"] if needed else [])
    tag, need = GlibcVersion.parse(artifact.glibc), GlibcVersion.parse(needed)
    yield judge.hold(
        "glibc",
        row.glibc.text,
        ", ".join(said),
        agrees=tag == row.glibc and (need is None or need <= row.glibc),
    )


def _build(judge: Judge, row: Row, metadata: MetadataFacts | None, framework: FrameworkFacts | None) -> Iterator[Claim]:
    """CUDA and cuDNN of the build: as build_info.py says, before 2.3 as far as the SONAMEs say."""
    if metadata is None:
        yield judge.not_read("cuda", row.cuda.text)
        yield judge.not_read("cudnn", row.cudnn.text)
        return
    info = metadata.build_info or {}
    gate = (framework.gate if framework else None) or ()
    if metadata.cuda_build is False:
        yield judge.hold("cuda", row.cuda.text, "built without CUDA", agrees=False)
        return
    version = CudaVersion.parse(info.get("cuda_version", ""))
    runtime = CudaVersion.parse(_version_of("libcudart", gate))
    if version is not None:
        yield judge.hold("cuda", row.cuda.text, version.text, agrees=version == row.cuda)
    elif runtime is not None:
        # From 11 on the SONAME of the runtime names the major version alone.
        exact = runtime.major < 11  # noqa: PLR2004 - see above
        agrees = runtime == row.cuda if exact else (None if runtime.major == row.cuda.major else False)
        yield judge.hold("cuda", row.cuda.text, f"libcudart.so.{runtime}", agrees=agrees, note="by its SONAME")
    else:
        yield judge.hold("cuda", row.cuda.text, "", agrees=None)
    yield from _cudnn(judge, row, info.get("cudnn_version", ""), _version_of("libcudnn", gate))


def _cudnn(judge: Judge, row: Row, said: str, opened: str) -> Iterator[Claim]:
    """Two claims: the major version, which the wheel names, and the minor one, which it names as a rule not."""
    found = [version for version in map(CudnnVersion.parse, (said, opened)) if version]
    words = ", ".join([f"build_info {said}"] * bool(said) + [f"libcudnn.so.{opened}"] * bool(opened))
    majors = {version.major for version in found}
    yield judge.hold("cudnn", str(row.cudnn.major), words, agrees=majors == {row.cudnn.major} if majors else None)
    fuller = next((version for version in found if len(said.split(".")) > 1 and version.text == said), None)
    if fuller is None:
        yield judge.undecidable("cudnn", f"minor version: {row.cudnn}", words, note="it names the major version alone")
    else:
        agrees = (fuller.major, fuller.minor) == (row.cudnn.major, row.cudnn.minor)
        yield judge.hold("cudnn", f"minor version: {row.cudnn}", words, agrees=agrees)


def _version_of(stem: str, sonames: Iterable[str]) -> str:
    return next((name.removeprefix(f"{stem}.so.") for name in sonames if name.startswith(f"{stem}.so.")), "")


def _gate(judge: Judge, row: Row, framework: FrameworkFacts | None) -> Iterator[Claim]:
    gate = framework.gate if framework else None
    if gate is None:
        yield from (judge.not_read("gate", soname) for soname in row.gate)
        return
    for soname in row.gate:
        found = soname if soname in gate else _sibling(soname, gate)
        yield judge.hold("gate", soname, found or "it does not ask for it", agrees=soname in gate)
    siblings = {_stem(soname) for soname in row.gate}
    for soname in gate:
        if soname not in row.gate and _stem(soname) not in siblings:
            yield judge.hold("gate", "no other library", soname, agrees=False)


def _sibling(soname: str, gate: Iterable[str]) -> str:
    """Return the name that is asked for of the same library: what stands in place of the one that was claimed."""
    return next((name for name in gate if _stem(name) == _stem(soname)), "")


def _stem(soname: str) -> str:
    return soname.partition(".so")[0]


def _optional(judge: Judge, row: Row, framework: FrameworkFacts | None) -> Iterator[Claim]:
    if framework is None or framework.gate is None:
        yield from (judge.not_read("optional", _tried(purpose, row.optional[purpose])) for purpose in row.optional)
        return
    for purpose in sorted({*row.optional, *framework.optional}):
        claimed, found = row.optional.get(purpose, ()), framework.optional.get(purpose, ())
        if purpose == "nccl" and framework.nccl_inside:
            # The function is still exported then, and nobody calls it.
            words = f"NCCL {framework.nccl_inside} is inside"
            yield judge.hold("optional", _tried(purpose, claimed), words, agrees=not claimed)
        elif not claimed:
            note = (
                f"the row does not name it, and without it only {purpose} is missing; whether it is called was not read"
            )
            yield judge.undecidable("optional", _tried(purpose, ()), _tried(purpose, found), note=note)
        else:
            yield judge.hold("optional", _tried(purpose, claimed), _tried(purpose, found), agrees=claimed == found)


def _tried(purpose: str, names: tuple[str, ...]) -> str:
    return f"{purpose}: {' then '.join(names) or 'none'}"


def _search(judge: Judge, row: Row, framework: FrameworkFacts | None) -> Iterator[Claim]:
    """Three claims: whether RPATH or RUNPATH, whether its own folder, and which of NVIDIA's folders."""
    claimed = (
        row.search.kind,
        f"{'' if row.search.origin else 'not '}its own folder",
        " ".join(row.search.nvidia) or "no folder of NVIDIA's wheels",
    )
    if framework is None:
        yield from (judge.not_read("search", words) for words in claimed)
        return
    folders = searched(framework.dynamic, framework.path)
    own = PurePosixPath(framework.path).parent.as_posix() in folders
    nvidia = tuple(folder.removeprefix(_NVIDIA) for folder in folders if folder.startswith(_NVIDIA))
    kind = framework.dynamic.kind or "neither"
    yield judge.hold("search", claimed[0], kind, agrees=kind == row.search.kind)
    yield judge.hold("search", claimed[1], f"{'' if own else 'not '}its own folder", agrees=own == row.search.origin)
    yield judge.hold(
        "search",
        claimed[2],
        " ".join(nvidia) or "no folder of NVIDIA's wheels",
        agrees=set(nvidia) == set(row.search.nvidia),
        note="" if nvidia == row.search.nvidia else "in another order" * (set(nvidia) == set(row.search.nvidia)),
    )
