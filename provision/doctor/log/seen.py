"""What a log shows, asked for by name: which messages, which libraries, which GPU, which platform."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.log import LogFacts, Signal
from provision.model.matrix import Matrix
from provision.model.versions import ComputeCapability, PythonVersion

SURE, LIKELY, MAYBE = Certainty.CERTAIN, Certainty.LIKELY, Certainty.POSSIBLE
_CONTAINER_HOST = re.compile(r"[0-9a-f]{12}\Z")
_TOOLKIT = re.compile(r"(?:cudart|cublas|cublasLt|cufft|curand|cusolver|cusparse|nvrtc|nvJitLink)\w*", re.IGNORECASE)
_MAJOR_NAMES = 11.0
_ASIDE = ("nvinfer", "cupti", "nccl", "hdfs", "jvm")

# Compute capability by product name; https://developer.nvidia.com/cuda-gpus, November 2026.
_MODELS: tuple[tuple[str, float], ...] = (
    (r"RTX (?:PRO )?(?:50[5-9]0|[2-6]000 Blackwell)|B300", 12.0),
    (r"\bB[12]00\b|GB200", 10.0),
    (r"\bH[12]00\b|GH200|\bH800\b", 9.0),
    (r"RTX 40[5-9]0|\bL40?S?\b|RTX \d000 Ada|\bL4\b", 8.9),
    (r"RTX 30[5-9]0|RTX A\d000|\bA(?:10|16|2|40)G?\b", 8.6),
    (r"\bA100\b|\bA30\b|\bA800\b", 8.0),
    (r"RTX 20[6-8]0|GTX 16[5-6]0|\bT4\b|Quadro RTX|TITAN RTX|\bT[46]00\b|\bMX450\b", 7.5),
    (r"V100|TITAN V|GV100", 7.0),
    (r"GTX 10[1-8]0|TITAN X(?:p| ?\(Pascal\))|\bP4\b|\bP40\b|Quadro P|\bMX[1-3]\d0\b|\bGT 1030", 6.1),
    (r"\bP100\b|GP100", 6.0),
    (r"GTX 9[5-8]0|TITAN X\b|\bM[46]0\b|Quadro M|\b9[4-8]0MX?\b", 5.2),
    (r"GTX 75[0]|GTX 8[5-6]0M|GTX 745", 5.0),
    (r"\bK80\b", 3.7),
    (r"\bK[24]0\w?\b|GTX 7[8]0|TITAN\b(?! [VXR])", 3.5),
    (r"GTX 6\d0|GTX 7[67]0|GT 6[45]0|GT 7[3-5]0M|\bK[1-5]\d00\b|GTX 7[67]5M|\bK10\b|\bK520\b", 3.0),
    (r"GTX [45]\d0|GT 6[1-3]0|\bM20[57]0|\bC20[57]0|GT 5\d0|GT 4\d0", 2.1),
)


@dataclass(frozen=True)
class Library:
    """A library that a loader did not find, or did: ``family`` is ``cuda``, ``cudnn``, ``driver`` or ``other``."""

    name: str
    family: str
    signal: Signal

    @property
    def toolkit(self) -> float | None:
        """The CUDA version that a name of this form belongs to (``libcudart.so.10.1``, ``cublas64_100.dll``)."""
        unix = re.search(r"\.so\.(\d+)(?:\.(\d+))?", self.name)
        if unix:
            return float(f"{unix[1]}.{unix[2] or 0}")
        windows = re.search(r"64_(\d{2,3})\.dll", self.name, re.IGNORECASE)
        if windows:
            digits = windows[1]
            return float(digits) if digits in {"10", "11", "12", "13"} else float(f"{digits[:-1]}.{digits[-1]}")
        return None


class Seen:
    """Questions to the signals of a log."""

    def __init__(self, log: LogFacts, matrix: Matrix) -> None:
        self.log = log
        self.matrix = matrix
        self._by_family: dict[str, list[Signal]] = {}
        for signal in log.signals:
            self._by_family.setdefault(signal.family, []).append(signal)

    def all(self, *families: str) -> list[Signal]:
        """Return the signals of some families, in the order of the families."""
        return [signal for family in families for signal in self._by_family.get(family, ())]

    def first(self, *families: str) -> Signal | None:
        """Return the first signal of the first family that is there."""
        return next(iter(self.all(*families)), None)

    def has(self, *families: str) -> bool:
        """Whether one of the families is there."""
        return any(family in self._by_family for family in families)

    def says(self, family: str, field: str, pattern: str) -> Signal | None:
        """Return the first signal of a family whose field matches a pattern."""
        return next(
            (item for item in self.all(family) if re.search(pattern, item.fields.get(field, ""), re.IGNORECASE)), None
        )

    # -- libraries --------------------------------------------------------------------------------------------------
    @cached_property
    def missing(self) -> tuple[Library, ...]:
        """Libraries that a loader did not find, each once; TensorRT and its like left out."""
        found = list(self._libraries("dlopen-failed", "import-so", "import-dll", "unfound-so", "dso-symbol"))
        return tuple({item.name: item for item in reversed(found)}.values())[::-1]

    @cached_property
    def opened(self) -> tuple[Library, ...]:
        """Libraries that were opened."""
        return tuple({item.name: item for item in self._libraries("dlopen-ok")}.values())

    def _libraries(self, *families: str) -> Iterator[Library]:
        for signal in self.all(*families):
            name = signal.fields.get("library", "")
            error = signal.fields.get("error", "")
            if any(part in name.lower() for part in _ASIDE) or re.search("undefined symbol|version `", error):
                continue
            # what the loader lacked may be another library that this one needs
            needed = re.match(r"\s*([\w+\-]+\.so[\d.]*): cannot open", error)
            for each in dict.fromkeys((name, needed[1] if needed else name)):
                if family := family_of(each):
                    yield Library(each, family, signal)

    def missing_of(self, family: str) -> tuple[Library, ...]:
        """Return the missing ones of a family."""
        return tuple(item for item in self.missing if item.family == family)

    @cached_property
    def toolkit(self) -> float | None:
        """The CUDA version whose libraries were opened or asked for, the runtime's first."""
        named = [item for item in (*self.opened, *self.missing) if item.family == "cuda" and item.toolkit]
        named.sort(key=lambda item: "cudart" not in item.name.lower())
        return named[0].toolkit if named else None

    # -- GPUs -------------------------------------------------------------------------------------------------------
    @cached_property
    def works(self) -> bool:
        """Whether TensorFlow registered a GPU."""
        return self.has("created", "adding", "listed")

    @cached_property
    def capability(self) -> float | None:
        """The compute capability of the newest GPU that the log names, in its words or by product name."""
        found = [float(item.fields["cc"].rstrip("a")) for item in self.all(*_WITH_CC) if item.fields.get("cc")]
        found += [
            float(f"{item.fields['major']}.{item.fields['minor']}")
            for item in self.all("gpu-name")
            if "major" in item.fields
        ]
        if not found:
            names = [item.fields.get("name", "") for item in self.all("created", "gpu-model")]
            found = [cc for name in names for pattern, cc in _MODELS if re.search(pattern, name, re.IGNORECASE)][:1]
        return max(found, default=None)

    @property
    def newer_than_toolkit(self) -> bool:
        """Whether the GPU is newer than what the opened toolkit has machine code for."""
        if self.toolkit is None or self.capability is None:
            return False
        generation = self.matrix.generations.get(ComputeCapability(str(self.capability)))
        if generation is None or generation.first_cuda is None:
            return False
        first = float(f"{generation.first_cuda.major}.{generation.first_cuda.minor}")
        # from 11 on the names of the libraries only tell the major version
        return int(self.toolkit) < int(first) if self.toolkit >= _MAJOR_NAMES else self.toolkit < first

    # -- platform ---------------------------------------------------------------------------------------------------
    @cached_property
    def container(self) -> bool:
        """Whether the log comes out of a container: an engine's words, or a host name that is a container's ID."""
        hosts = [item.fields.get("host", "") for item in self.all("no-kernel-driver", "diagnostic-host")]
        return any(_CONTAINER_HOST.match(host or "") for host in hosts) or self.has(
            "docker-run", "docker-daemon", "container-cli", "banner-no-driver", "in-container"
        )

    @cached_property
    def windows(self) -> bool:
        """Whether the log comes from Windows itself."""
        return self.has("on-windows", "windows-native") or any(
            item.name.lower().endswith(".dll") for item in self.missing
        )

    @cached_property
    def wsl(self) -> bool:
        """Whether it comes from WSL."""
        return self.has("wsl") and not self.windows

    @cached_property
    def conda(self) -> bool:
        """Whether it comes from a conda environment."""
        return self.has("in-conda")

    @property
    def module_loaded(self) -> bool:
        """Whether the kernel's NVIDIA module answered."""
        versions = [item for item in self.all("kernel-version") if "version" in item.fields]
        return bool(versions) or self.has("nvrm-version", "version-match", "version-mismatch", "smi-table")

    @property
    def enumerated(self) -> bool:
        """Whether the driver told TensorFlow of a GPU, whatever became of it then."""
        listed = ("no-numa", "found", "gpu-name", "smi-table", "skipping-gpus", "too-old-gpu", "runtime-version-unread")
        return self.works or self.has(*listed)

    @cached_property
    def pythons(self) -> frozenset[PythonVersion]:
        """Pythons for which some release has a wheel."""
        return frozenset(python for row in self.matrix.rows for python in row.pythons)

    # -- findings ---------------------------------------------------------------------------------------------------
    @staticmethod
    def clue(signal: Signal) -> Clue:
        """Return a signal as evidence."""
        return Clue("log", signal.text, signal.line)

    def finding(
        self,
        code: str,
        certainty: Certainty,
        summary: str,
        signals: list[Signal],
        *fixes: Fix,
        **data: object,
    ) -> Finding:
        """Return a finding that rests on some lines, each named once."""
        clues = tuple(dict.fromkeys(self.clue(item) for item in signals[:12]))
        return Finding(
            code,
            certainty,
            summary,
            clues,
            fixes,
            data={key: value for key, value in data.items() if value is not None},
        )


_WITH_CC = ("created", "gpu-name", "jit-from-ptx", "not-built-for-gpu", "too-old-gpu")


def family_of(name: str) -> str:
    """Return ``cuda``, ``cudnn``, ``driver``, ``driver-part`` or nothing for the name of a library."""
    bare = name.lower()
    if re.match(r"(?:lib)?cudnn|zlibwapi", bare):
        return "cudnn"
    if re.match(r"libcuda\.so|nvcuda", bare):
        return "driver"
    if re.match(r"libnvidia-", bare):
        return "driver-part"
    return "cuda" if _TOOLKIT.match(bare.removeprefix("lib")) else ""
