"""Everything that doctor judges, in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from provision.model.environment_facts import EnvironmentFacts
from provision.model.host import HostFacts
from provision.model.log import LogFacts
from provision.model.machine import MachineFacts
from provision.model.matrix import Matrix
from provision.model.plan import Plan, Refusal
from provision.model.script import ScriptFacts


@dataclass(frozen=True)
class Snapshot:
    """What doctor judges.

    Attributes:
        matrix: the matrix in force.
        host: this machine, or the one described; None where only a log is read.
        environment: None where there is none to look at.
        judged: the planner's answer for the installed release on this host, None where there is no row or host.
        variables: the user's environment variables.
        log, script: None where none was given.
        deep: whether TensorFlow was imported.
        machine: what else was read of the machine; None where only a log is read.
    """

    matrix: Matrix
    host: HostFacts | None = None
    environment: EnvironmentFacts | None = None
    judged: Plan | Refusal | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    log: LogFacts | None = None
    script: ScriptFacts | None = None
    deep: bool = False
    machine: MachineFacts | None = None
