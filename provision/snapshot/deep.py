"""Questions that `verify` and ``doctor --deep`` both put: does TensorFlow import, and which GPUs does it list?

Each is asked in a child inside the environment with ``TF_CPP_VMODULE=dso_loader=1``, so that TensorFlow says which
library it did not find.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.model.host import HostFacts
from provision.model.verdict import Level, Stage, StageStatus
from provision.probes.environment import Inventory
from provision.probes.hygiene import GuestEnviron, guest_environ
from provision.probes.launcher import run_probe
from provision.system import System
from provision.verify.answer import Premises, Said
from provision.verify.device import judge_device
from provision.verify.imports import judge_import
from provision.verify.verdict import skipped

LIMITS: Mapping[Level, float] = {
    Level.GATE: 120.0,
    Level.IMPORT: 300.0,
    Level.DEVICE: 300.0,
    Level.COMPUTE: 1200.0,
    Level.TRAIN: 1200.0,
    Level.PERF: 900.0,
}
"""Seconds per stage; generous, because compiling PTX on first use can take many minutes."""


@dataclass(frozen=True)
class Run:
    """What every stage of one run needs."""

    system: System
    seen: Inventory
    premises: Premises
    environ: GuestEnviron
    host: HostFacts | None
    timeout: float | None
    patience: float = 1.0

    def ask(
        self,
        level: Level,
        probe: str,
        arguments: Mapping[str, Any],
        environ: Mapping[str, str] | None = None,
        limit: float | None = None,
    ) -> Said:
        """Run one probe under its time limit: the user's; or its own or the level's, longer by the run's patience."""
        answer = run_probe(
            self.system,
            Path(self.seen.env.python),
            probe,
            arguments,
            timeout=self.timeout or (limit or LIMITS[level]) * self.patience,
            environ=self.environ.values if environ is None else environ,
        )
        return Said(answer.data, answer.failure, answer.completed.stderr, answer.completed.seconds)


def import_stage(run: Run) -> Stage:
    """Import TensorFlow and let it compute on the CPU."""
    # Hidden GPUs keep a sick driver out of a question that is not about it.
    environ = {**run.environ.values, "CUDA_VISIBLE_DEVICES": "-1"}
    return judge_import(run.premises, run.ask(Level.IMPORT, "import_check", {}, environ))


def device_stage(run: Run) -> Stage:
    """Ask TensorFlow for its GPUs."""
    said = run.ask(Level.DEVICE, "device", {})
    unhidden = None
    if not said.get("listed") and "CUDA_VISIBLE_DEVICES" in run.environ.values:
        # Asked again without the variable: it explains what the first answer means, it never proves anything.
        environ = {name: value for name, value in run.environ.values.items() if name != "CUDA_VISIBLE_DEVICES"}
        unhidden = run.ask(Level.DEVICE, "device", {}, environ)
    return judge_device(said, run.host, unhidden)


def import_and_list(
    system: System, seen: Inventory, premises: Premises, host: HostFacts | None, timeout: float | None = None
) -> tuple[Stage, Stage]:
    """Return the import stage and the device stage of an environment, as `verify` judges them.

    Args:
        system: the door; its environment is the user's.
        seen: what the environment's interpreter sees.
        premises: what is installed, as for `verify`.
        host: what the driver lists; None where it was not read.
        timeout: seconds for each child, by default those of `LIMITS`.

    The device stage is skipped, with cause ``after-import``, where TensorFlow does not import.
    """
    run = Run(system, seen, premises, guest_environ(system.environ), host, timeout)
    imported = import_stage(run)
    if imported.status is not StageStatus.PASSED and (imported.data or {}).get("import_seconds") is None:
        return imported, skipped(Level.DEVICE, "not run: import failed", "after-import")
    return imported, device_stage(run)
