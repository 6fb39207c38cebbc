"""What repair can do to an environment, as values: doctor names the steps of a fix, repair carries them out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Install:
    """Bring distributions to what is asked for, with what they need.

    Attributes:
        requirements: as pip reads them, each with a name.
        again: replace the files of what is there already, at the version that is there.
        alone: leave what they need as it is.
    """

    requirements: tuple[str, ...]
    again: bool = False
    alone: bool = False


@dataclass(frozen=True)
class Uninstall:
    """Take distributions away, by their normalised names."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class CondaInstall:
    """Bring conda packages of a conda prefix to these specifications.

    Attributes:
        specs: as conda reads them.
        channel: where they come from; empty for the channels that the prefix has its packages from.
        again: replace the files of what is there already, at the version and build that are there.
    """

    specs: tuple[str, ...]
    channel: str = "conda-forge"
    again: bool = False


@dataclass(frozen=True)
class Wire:
    """Make the CUDA libraries visible to TensorFlow; links and aliases that no longer fit give way."""


@dataclass(frozen=True)
class Remove:
    """Take away files, links or folders, each an absolute path inside the environment."""

    paths: tuple[str, ...]


@dataclass(frozen=True)
class Relocate:
    """Let scripts, activation scripts and the record name the folder where the environment stands now.

    Attributes:
        former: the folder that they name.
    """

    former: str


@dataclass(frozen=True)
class Unset:
    """Take the lines that set a variable out of a script of the environment.

    Attributes:
        file: absolute, inside the environment.
        variable: its name.
    """

    file: str
    variable: str


@dataclass(frozen=True)
class PointKernel:
    """Let a Jupyter kernel start the Python of this environment. It lies outside, so it is asked for separately.

    Attributes:
        file: absolute path of its ``kernel.json``.
    """

    file: str


Step = Install | Uninstall | CondaInstall | Wire | Remove | Relocate | Unset | PointKernel
