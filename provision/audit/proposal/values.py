"""What the facts of a wheel come to as values of a row, and the names of table entries that hold them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from provision.audit.contents.search import search, searched
from provision.matrix.build import FIRST_COMPATIBLE_MAJOR
from provision.model.versions import CudaVersion, CudnnVersion
from provision.model.wheel import CodeFacts, FrameworkFacts, MetadataFacts, NameFacts

AND_CUDA = "and-cuda"
_NVIDIA = "nvidia/"
_CUPTI = "cupti"
"""Every release has it, whether a wheel brings it or not."""


@dataclass
class Tables:
    """The tables of a matrix as they are written, and what is added to them.

    An entry with the value that is wanted is used under the name that it has, before one that is only alike.
    """

    known: Mapping[str, Any]
    added: dict[str, dict[str, Any]] = field(default_factory=dict)

    def name(self, table: str, value: Any, wanted: str, alike: Callable[[Any], bool] | None = None) -> str:
        """Return the name of the entry with this value; where there is none, add it as ``wanted``, or a free name."""
        entries = {**self.known.get(table, {}), **self.added.get(table, {})}
        for same in (lambda entry: entry == value, alike):
            for name, entry in entries.items():
                if same is not None and same(entry):
                    return str(name)
        return self.add(table, value, wanted)

    def add(self, table: str, value: Any, wanted: str) -> str:
        """Add an entry under a free name and return that."""
        taken = {*self.known.get(table, {}), *self.added.get(table, {})}
        name = next(name for number in range(len(taken) + 1) if (name := _numbered(wanted, number)) not in taken)
        self.added.setdefault(table, {})[name] = value
        return name


def _numbered(name: str, number: int) -> str:
    return f"{name}.{number + 1}" if number else name


def gate_of(framework: FrameworkFacts, there: Iterable[str]) -> tuple[str, ...]:
    """Return the gate with one name per library: of several the first that is there, else the first."""
    known = set(there)
    return tuple(next((name for name in names if name in known), names[0]) for names in framework.gate_choices)


def optional_of(
    framework: FrameworkFacts, wheels: Mapping[str, NameFacts]
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Return purpose to SONAMEs of what a row names, and the purposes that it leaves out, with why.

    What is inside (NCCL), and what no wheel brings to where the release looks, CUPTI apart, is left out.

    Args:
        framework: what asks for them.
        wheels: requirement to the names in it, of what would be installed.
    """
    kept, left_out = {}, []
    for purpose, names in framework.optional.items():
        if purpose == "nccl" and framework.nccl_inside:
            continue
        found = search(framework, wheels, names)
        if purpose == _CUPTI or found.found:
            kept[purpose] = names
        elif found.unfound:
            left_out.append(f"{purpose} is left out: it does not look where pip puts {' or '.join(found.unfound)}")
        else:
            left_out.append(f"{purpose} is left out: no wheel of its extra has {' or '.join(names)}")
    return kept, left_out


def versions_of(
    metadata: MetadataFacts, gate: Iterable[str]
) -> tuple[CudaVersion | None, str, CudnnVersion | None, str]:
    """Return CUDA and cuDNN of a build, each with the evidence that says so; None and "" where nothing does.

    build_info.py names CUDA, and the major version of cuDNN alone; what the extra demands at least names the rest.
    """
    info = metadata.build_info or {}
    floors = _floors(metadata.extras.get(AND_CUDA, ()))
    said, how = CudaVersion.parse(info.get("cuda_version", "")), "wheel-build-info"
    opened = next((name.rpartition(".so.")[2] for name in gate if name.startswith("libcudart.so.")), "")
    if said is None and (floor := _floor(floors, "nvidia-cuda-runtime", opened)):
        said, how = CudaVersion.parse(floor), "wheel-metadata"
    if said is None or (opened and not _leads(opened, said.text)):
        # Before 11 the name of the runtime is the whole version, and build_info may say less.
        said, how = (CudaVersion.parse(opened), "wheel-loaders") if "." in opened else (None, "")
    cudnn = next((name.rpartition(".so.")[2] for name in gate if name.startswith("libcudnn.so.")), "")
    floor = _floor(floors, "nvidia-cudnn", cudnn)
    return said, how if said else "", CudnnVersion.parse(floor), "wheel-metadata" if floor else ""


def _leads(opened: str, version: str) -> bool:
    """Whether the version in the name of the runtime is that of a build: all of it up to CUDA 10, then the major."""
    exact = int(opened.split(".", maxsplit=1)[0]) < FIRST_COMPATIBLE_MAJOR
    return opened == version if exact else opened.split(".", maxsplit=1)[0] == version.split(".", maxsplit=1)[0]


def _floors(extra: Iterable[str]) -> Mapping[str, str]:
    """Return distribution to the oldest version that an extra admits."""
    found = {}
    for text in extra:
        try:
            demand = Requirement(text)
        except InvalidRequirement:
            continue
        lowest = [spec.version for spec in demand.specifier if spec.operator in {"==", ">=", "~="}]
        if lowest:
            found[demand.name.lower()] = lowest[0]
    return found


def _floor(floors: Mapping[str, str], prefix: str, major: str) -> str:
    """Return the first two parts of a floor whose major version is the one that is opened."""
    texts = [text for name, text in floors.items() if name.startswith(prefix)]
    found = next((text for text in texts if not major or text.split(".")[0] == major.split(".", maxsplit=1)[0]), "")
    return ".".join(found.split(".")[:2])


def gate_name(tables: Tables, gate: tuple[str, ...], cudnn: str) -> str:
    """Return the name of the entry of ``gates``."""
    runtime = next((name.rpartition(".so.")[2] for name in gate if name.startswith("libcudart.so.")), "none")
    return tables.name("gates", " ".join(gate), f"cuda-{runtime}-cudnn-{cudnn}")


def optional_name(tables: Tables, optional: Mapping[str, tuple[str, ...]]) -> str:
    """Return the name of the entry of ``optional``: ``cupti-12-nccl``."""
    parts = [
        f"{purpose}-{names[0].rpartition('.so.')[2]}" if purpose == _CUPTI else purpose
        for purpose, names in sorted(optional.items())
    ]
    return tables.name("optional", {key: " ".join(names) for key, names in optional.items()}, "-".join(parts))


def search_name(tables: Tables, framework: FrameworkFacts, release: str) -> str:
    """Return the name of the entry of ``search_paths``; the order of the folders counts for nothing."""
    folders = searched(framework.dynamic, framework.path)
    own = PurePosixPath(framework.path).parent.as_posix() in folders
    nvidia = [folder.removeprefix(_NVIDIA) for folder in folders if folder.startswith(_NVIDIA)]
    kind = framework.dynamic.kind or "RUNPATH"
    value = {"kind": kind, "origin": "yes" if own else "no", **({"nvidia": " ".join(nvidia)} if nvidia else {})}

    def alike(entry: Mapping[str, str]) -> bool:
        same = entry["kind"] == kind and entry["origin"] == value["origin"]
        return same and set(entry.get("nvidia", "").split()) == set(nvidia)

    return tables.name("search_paths", value, f"{kind.lower()}-{release}", alike)


def configured(metadata: MetadataFacts) -> tuple[str, str] | None:
    """Return machine code and PTX that build_info.py says it was configured for, as a row has them."""
    words = (metadata.build_info or {}).get("cuda_compute_capabilities", "").split()
    found = {word: word.partition("_")[2] for word in words}
    if not words or not all(number.isdigit() and len(number) > 1 for number in found.values()):
        return None
    texts = {word: f"{number[:-1]}.{number[-1]}" for word, number in found.items()}
    return " ".join(texts.values()), " ".join(text for word, text in texts.items() if word.startswith("compute"))


def code_name(tables: Tables, code: Iterable[CodeFacts], minor: str) -> str:
    """Return the name of the entry of ``code`` for what was read of every module."""
    libraries = tuple(code)
    sass = _targets(count.target for library in libraries for count in library.sass)
    counts: dict[tuple[str, str], list[Any]] = {}
    for library in libraries:
        for count in library.ptx:
            known = counts.setdefault((count.target, count.isa), [0, 0, ()])
            known[0] += count.count
            if count.count > known[1]:
                known[1:] = [count.count, count.native]
    modules = [
        {"target": target, "isa": isa, "count": str(number), "native": " ".join(native)}
        for (target, isa), (number, _, native) in sorted(counts.items())
    ]
    for module in modules:
        if not module["native"]:
            del module["native"]
    ptx = _targets(target for target, _ in counts)
    value: dict[str, Any] = {"sass": sass, **({"ptx": ptx} if ptx else {}), **({"modules": modules} if modules else {})}

    def alike(entry: Mapping[str, Any]) -> bool:
        if (entry["sass"], entry.get("ptx", "")) != (sass, ptx):
            return False
        mine = {(item["target"], item["isa"]): item["count"] for item in modules}
        theirs = {(item["target"], item["isa"]): item.get("count") for item in entry.get("modules", ())}
        return mine == theirs

    return tables.name("code", value, f"tensorflow-{minor}", alike)


def _targets(found: Iterable[str]) -> str:
    return " ".join(sorted({target for target in found if target[-1].isdigit()}, key=Version))
