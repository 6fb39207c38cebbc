"""What doctor finds: causes as rows of a table, findings with their evidence, and the diagnosis of them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from provision.model.remedy import Step


class Category(str, Enum):
    """The lines of the terminal form, in their order."""

    DRIVER = "driver"
    GPU = "gpu"
    PYTHON = "python"
    PACKAGES = "packages"
    CUDA = "cuda-libraries"
    CUDNN = "cudnn"
    XLA = "xla-tools"
    VARIABLES = "variables"
    CONTAINER = "container-wsl"
    RESOURCES = "resources"
    CODE = "code"


class Effect(str, Enum):
    """What a cause does to a TensorFlow program."""

    STOPS = "stops"
    """TensorFlow does not import or the program dies."""
    CPU = "cpu"
    """It runs on the CPU."""
    DEGRADES = "degrades"
    """The GPU is used, and something fails or is slow later on."""
    NONE = "none"
    """Nothing: healthy, or noise."""


class Certainty(str, Enum):
    """How sure a finding is."""

    CERTAIN = "certain"
    """Read from a file, the loader, the driver, or said in so many words by the log."""
    LIKELY = "likely"
    """Follows from what was read by a rule that has exceptions, or by a claim that is itself derived."""
    POSSIBLE = "possible"
    """Fits, and other causes fit too. Never the primary cause."""


class Role(str, Enum):
    """The place of a finding in the diagnosis."""

    PRIMARY = "primary"
    CONTRIBUTING = "contributing"
    HARMLESS = "harmless"
    """Looks alarming and is none; named so that nobody chases it."""


@dataclass(frozen=True)
class Cause:
    """One row of the table of causes.

    Attributes:
        code: stable, lower case with underscores; also the name of its page in ``docs/doctor/``.
        category: the line of the terminal form it belongs to.
        title: a few words without a full stop.
        explanation: three sentences: what it is, why TensorFlow then behaves as it does, what makes it go away.
        effect: what it does.
        repairable: whether ``repair`` can remove it inside the environment.
        depth: smaller is nearer to the root: among causes that are there at once the smallest is named first.
    """

    code: str
    category: Category
    title: str
    explanation: str
    effect: Effect
    repairable: bool
    depth: int


@dataclass(frozen=True)
class Clue:
    """One piece of evidence.

    Attributes:
        source: a path, ``variable LD_LIBRARY_PATH``, ``log``, ``loader``, ``driver``, ``matrix 2.21.0`` …
        what: the value or the line, as found, at most 300 characters.
        line: its number in the file or log, from 1; None where there are no lines.
    """

    source: str
    what: str
    line: int | None = None


@dataclass(frozen=True)
class Fix:
    """One way to remove a cause.

    Attributes:
        what: one sentence without a full stop.
        commands: what to type, in this order, exactly; empty where nothing typed helps.
        root: whether it needs rights that this program never asks for.
        steps: the same for `repair`, which carries them out and can undo them; empty where it does not.
    """

    what: str
    commands: tuple[str, ...] = ()
    root: bool = False
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One cause that was found.

    Attributes:
        code: of the cause.
        certainty: how sure.
        summary: one line with the values at hand: what was found, what is needed, what TensorFlow was built against.
        evidence: never empty.
        fixes: the best first.
        explains: codes of findings that are consequences of this one.
        role: its place; set when all findings are known.
        data: the values, JSON-ready: ``built``, ``needs``, ``found``, ``libraries`` …
        parts: what this one was made of, where a cause was found in several places; each has its own fixes.
        title, category, explanation, effect, repairable: those of the cause, filled in from the table.
    """

    code: str
    certainty: Certainty
    summary: str
    evidence: tuple[Clue, ...]
    fixes: tuple[Fix, ...] = ()
    explains: tuple[str, ...] = ()
    role: Role = Role.CONTRIBUTING
    data: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Finding, ...] = ()
    title: str = ""
    category: Category | None = None
    explanation: str = ""
    effect: Effect = Effect.CPU
    repairable: bool = False

    @property
    def is_fault(self) -> bool:
        """Whether it does harm, and is more than one of several things that would fit."""
        harmless = self.effect is Effect.NONE or self.role is Role.HARMLESS
        return not harmless and self.certainty is not Certainty.POSSIBLE


@dataclass(frozen=True)
class Unsure:
    """Something that could not be told, and the command that would tell."""

    what: str
    command: str = ""


@dataclass(frozen=True)
class Noise:
    """A line of a log that looks alarming and is none: ``times`` lines like it, the first is number ``line``."""

    line: int
    text: str
    meaning: str
    times: int = 1


@dataclass(frozen=True)
class Line:
    """One category of the terminal form: ``state`` is ``ok``, ``fault``, ``note`` or ``unknown``."""

    category: Category
    state: str
    text: str


@dataclass(frozen=True)
class Diagnosis:
    """The answer of doctor.

    Attributes:
        subject: what was looked at: the environment's path, ``this machine``, or the log's name.
        primary: the root cause; None where nothing is wrong or nothing can be told.
        findings: all of them, the primary first, then contributing, then harmless ones.
        unsure: what could not be told.
        lines: one for each category that was looked at.
        sound: whether everything that was looked at is in order.
        summary: the last line.
        facts: versions and the like that were read, JSON-ready.
        noise: harmless lines of the log, with what they mean.
    """

    subject: str
    primary: Finding | None
    findings: tuple[Finding, ...]
    unsure: tuple[Unsure, ...]
    lines: tuple[Line, ...]
    sound: bool
    summary: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    noise: tuple[Noise, ...] = ()
