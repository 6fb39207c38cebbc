"""What the loader's answers mean, name by name: the ground on which the checks of libraries stand."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from provision.model.doctor import Clue
from provision.model.environment_facts import Answered, EnvironmentFacts, GateFacts
from provision.model.snapshot import Snapshot
from provision.model.versions import CudaVersion, CudnnVersion

_NOT_FOUND = re.compile(r"(?P<name>\S+?\.so[.\w]*): cannot open shared object file: No such file or directory")
_DENIED = re.compile(r"cannot open shared object file: Permission denied")
_MAPPING = re.compile(r"failed to map segment|cannot allocate memory|Cannot allocate memory")
_MIXED = re.compile(r"undefined symbol|symbol lookup error|version `[^']*' not found|no version information")
_BLAMED = re.compile(r"(/\S+?\.so[.\w]*): ")
_CUDA = re.compile(r"lib(cuda|cublas|cudnn|cufft|cupti|curand|cusolver|cusparse|nccl|nvrtc|nvJitLink)")
_LONGEST = 300


@dataclass(frozen=True)
class Lost:
    """A name that TensorFlow's loader opens and does not get.

    Attributes:
        item: the loader's answer.
        name: what is really missing: the name itself, or a library that it needs.
        kind: ``unsearched`` (the environment has it), ``elsewhere`` (the machine has it), ``other`` (another version of
            it is installed), ``absent``, ``damaged``, ``denied``, ``mixed`` (of libraries that do not fit together),
            ``mapping`` (the kernel refused to map it).
        where: the file that is meant by that, empty for ``absent``.
    """

    item: Answered
    name: str
    kind: str
    where: str = ""

    @property
    def clue(self) -> Clue:
        """The loader's own words."""
        return Clue("loader", (self.item.error or f"{self.item.soname}: not found")[:_LONGEST])

    @property
    def cudnn(self) -> bool:
        """Whether it is cuDNN itself."""
        return stem(self.name) == "libcudnn"


@dataclass(frozen=True)
class View:
    """A CUDA build of TensorFlow in an environment whose loader was asked.

    Attributes:
        snapshot: the whole.
        seen: its environment.
        gate: the answer that counts: under the user's variables, or under none where those killed the child.
        bare: the answer under no variables.
    """

    snapshot: Snapshot
    seen: EnvironmentFacts
    gate: GateFacts
    bare: GateFacts

    @property
    def user(self) -> GateFacts:
        """The answer under the user's variables, whatever it is."""
        return self.seen.gate or self.gate

    @property
    def built_cuda(self) -> CudaVersion | None:
        """The CUDA version of the build: of the matrix, else what the build itself says."""
        return self.seen.row.cuda if self.seen.row else self.seen.built_cuda

    @property
    def built_cudnn(self) -> CudnnVersion | None:
        """The same for cuDNN."""
        return self.seen.row.cudnn if self.seen.row else self.seen.built_cudnn

    @property
    def release(self) -> str:
        """``TensorFlow 2.16.1``."""
        found = self.seen.distribution
        version = found.version if found else str(self.seen.row.release) if self.seen.row else ""
        return f"TensorFlow {version}".rstrip()

    @property
    def source(self) -> str:
        """How a claim of the matrix is called as a source."""
        return f"matrix {self.seen.row.release}" if self.seen.row else "build_info.py"

    def bare_file(self, soname: str) -> str | None:
        """Return what answers without the user's variables."""
        return next((item.file for item in self.bare.libraries if item.soname == soname), None)

    def lost(self) -> tuple[Lost, ...]:
        """Return what is not found, less what the user's variables alone keep from being found."""
        return tuple(self._lost(item) for item in self.gate.missing if self.bare_file(item.soname) is None)

    def shown(self, path: str) -> str:
        """Return a path relative to the environment where it lies in it."""
        return path[len(self.seen.path) + 1 :] if path.startswith(f"{self.seen.path}/") else path

    def _lost(self, item: Answered) -> Lost:
        match = _NOT_FOUND.search(item.error)
        name = posixpath.basename(match["name"]) if match else item.soname
        if not match and item.error:
            # What the loader complains about may be a library that the one asked for needs.
            blamed = _BLAMED.match(item.error)
            file = posixpath.normpath(blamed[1]) if blamed else self.seen.provided.get(name) or item.reached
            return Lost(item, name, _kind_of(item.error), file)
        own = self.seen.provided.get(self.alias(name))
        if own and name == item.soname and posixpath.dirname(own) in self.seen.search and name in own:
            # It lies where is searched: the loader passes over files that are made for another machine.
            return Lost(item, name, "damaged", own)
        if own:
            return Lost(item, name, "unsearched", own)
        if name in self.seen.elsewhere:
            return Lost(item, name, "elsewhere", self.seen.elsewhere[name])
        other = next((path for soname, path in self.seen.provided.items() if stem(soname) == stem(name)), "")
        return Lost(item, name, "other" if other else "absent", other)

    def alias(self, soname: str) -> str:
        """Return the name under which sets have what the release asks for."""
        row = self.seen.row
        return row.aliases.get(soname, soname) if row and soname not in self.seen.provided else soname


def view_of(snapshot: Snapshot) -> View | None:
    """Return the view, None where there is nothing to say: no environment, no CUDA build, no answer of the loader."""
    seen = snapshot.environment
    if seen is None or seen.gate is None or seen.cuda_build is False:
        return None
    bare = seen.gate_bare or seen.gate
    broken = seen.gate.ended or seen.gate.unloadable
    return View(snapshot, seen, bare if broken and not (bare.ended or bare.unloadable) else seen.gate, bare)


def stem(soname: str) -> str:
    """Return ``libcudnn`` for ``libcudnn.so.8``."""
    return soname.split(".so", maxsplit=1)[0]


def is_cuda(name: str) -> bool:
    """Whether a library is one of NVIDIA's."""
    return bool(_CUDA.match(name))


def short(names: Mapping[str, object] | tuple[str, ...] | list[str]) -> str:
    """Return names in one line, each once."""
    return ", ".join(dict.fromkeys(names))


def package_of(view: View, path: str) -> str:
    """Return ``name version`` of the distribution that brings a file of an NVIDIA wheel, empty where none is known."""
    match = re.search(r"/nvidia/([^/]+)/lib/(lib[^/]+)$", path)
    if not match:
        return ""
    prefix = f"nvidia-{match[1].replace('_', '-')}"
    found = [item for item in view.seen.packages if item.name == prefix or item.name.rpartition("-cu")[0] == prefix]
    return f"{found[0].name} {found[0].version}" if len(found) == 1 else ""


def older(found: str | None, wanted: str | None, parts: int = 2) -> bool:
    """Whether a version is older than another by its first parts; False where either is not known."""
    one, two = _numbers(found), _numbers(wanted)
    return bool(one and two) and one[:parts] < two[:parts]


def _numbers(text: str | None) -> tuple[int, ...]:
    match = re.match(r"\d+(?:\.\d+)*", text or "")
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _kind_of(error: str) -> str:
    for pattern, kind in ((_DENIED, "denied"), (_MAPPING, "mapping"), (_MIXED, "mixed")):
        if pattern.search(error):
            return kind
    return "damaged"


def clues(losses: tuple[Lost, ...], limit: int = 8) -> Iterator[Clue]:
    """Yield the loader's words about each, a few of them."""
    yield from dict.fromkeys(item.clue for item in losses[:limit])
    if len(losses) > limit:
        yield Clue("loader", f"and {len(losses) - limit} more: {short([item.name for item in losses[limit:]])}"[:300])
