"""What is said about the wiring of an environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from provision.wiring.links import Unfound


@dataclass(frozen=True)
class WiringReport:
    """The wiring of an environment as it is; paths are relative to the environment's root.

    Attributes:
        state: ``unwired`` (no record), ``whole``, ``damaged`` (see the lists), or ``stale`` (another framework library
            than the one that was wired).
        tensorflow: the release that was wired, empty where none was.
        library_set: key of the set, the same.
        links: each link of ours and what it points at.
        files: the hook's files.
        cuda_data_dir: what XLA is told, below site-packages; empty for nothing.
        missing: recorded and gone.
        changed: recorded, there, and not as we made it; never touched.
        dangling: links whose library is gone.
        foreign: somebody's own file where one of ours would have to be; never touched (told by `wire`, as the rest).
        unfound: names that nothing in the environment answers.
        unreadable: libraries that are no whole files, with the reason.
        system: SONAMEs that have to come from the machine, such as ``libz.so.1`` for cuDNN.
    """

    state: str
    tensorflow: str = ""
    library_set: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    cuda_data_dir: str = ""
    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    dangling: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    unfound: tuple[Unfound, ...] = ()
    unreadable: tuple[str, ...] = ()
    system: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the wiring is whole and nothing that gates the GPU stays unfound."""
        return self.state == "whole" and not self.foreign and not any(item.gate for item in self.unfound)
