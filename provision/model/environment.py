"""An environment on disk, ours or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class EnvRef:
    """A Python environment.

    Attributes:
        prefix: its root (``sys.prefix``).
        python: its interpreter.
        site_packages: where its distributions are (``purelib`` of the interpreter; ``platlib`` is the same for the
            environments we support).
        kind: ``venv``, ``conda`` or ``system``.
        managed: whether this tool created it (its record is below the prefix).
    """

    prefix: PurePosixPath
    python: PurePosixPath
    site_packages: PurePosixPath
    kind: str
    managed: bool

    @property
    def tensorflow(self) -> PurePosixPath:
        """The tensorflow package folder."""
        return self.site_packages / "tensorflow"


RECORD_FOLDER = ".tfgpu"
"""The folder at the root of an environment in which this tool keeps what it knows about it: ``environment.json`` (plan,
pins, caveats), ``lock.txt`` (every distribution with its hashes), ``wiring.json`` and ``receipt.json``."""
