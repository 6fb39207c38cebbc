"""Machines that are read and machines that are described, and what the checks say of them."""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from pathlib import Path
from typing import Any

from host.conftest import Machine

from provision import matrix
from provision.doctor.checks.machine import CHECKS
from provision.host import detect
from provision.host.description import describe
from provision.model.doctor import Certainty, Finding
from provision.model.host import HostFacts
from provision.model.machine import MachineFacts
from provision.model.matrix import Matrix
from provision.model.plan import Plan, Refusal
from provision.model.snapshot import Snapshot
from provision.model.versions import TfVersion
from provision.plan.judging import judge
from provision.snapshot.machine import read_machine
from provision.system import System

MATRIX_FILE = Path(__file__).parents[2] / "matrix.yaml"
KERNEL = "6.8.0-40-generic"


@cache
def real_matrix() -> Matrix:
    return matrix.load(MATRIX_FILE)


def working_machine(folder: Path) -> Machine:
    """Return an ordinary Ubuntu machine with an RTX 3090 and driver 550.54.14, in working order."""
    made = Machine(folder)
    made.file("/proc/sys/kernel/osrelease", f"{KERNEL}\n")
    made.file("/etc/os-release", "ID=ubuntu\nVERSION_ID=22.04\n")
    made.file("/proc/cpuinfo", "flags : sse4_2 avx avx2 fma\n")
    made.pci("0000:01:00.0", "0x2204", driver="nvidia")
    made.file("/proc/modules", "nvidia_uvm 1 0 - Live 0x0\nnvidia 1 1 nvidia_uvm, Live 0x0\n")
    made.file("/sys/module/nvidia/version", "550.54.14\n")
    made.file(f"/lib/modules/{KERNEL}/modules.dep", "updates/dkms/nvidia.ko:\n")
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm"):
        made.file(f"/dev/{name}")
    return made


def unload(machine: Machine, driver: str = "") -> None:
    """Take the kernel module away; ``driver`` then holds the GPU."""
    for path in ("sys/module/nvidia/version", "dev/nvidia0", "dev/nvidiactl", "dev/nvidia-uvm"):
        (machine.root / path).unlink()
    (machine.root / "sys/bus/pci/devices/0000:01:00.0/driver").unlink()
    machine.file("/proc/modules", f"{driver or 'i915'} 1 0 - Live 0x0\n")
    if driver:
        machine.pci("0000:01:00.0", "0x2204", driver=driver)


UNLOADED = {"FAKEGPU_ERRORS": "nvmlInitWithFlags=9;nvmlInit_v2=9;cuInit=100"}


def read(machine: Machine, fake_driver: Path | None, **environ: str) -> list[Finding]:
    """Return what is found on a machine that is really read, with the fake driver answering where one is given."""
    told = {"FAKEGPU_DRIVER": "550.54.14", "FAKEGPU_CUDA": "12.4", **environ}
    if fake_driver is not None:
        told["LD_LIBRARY_PATH"] = f"{fake_driver}:{environ.get('LD_LIBRARY_PATH', '')}".rstrip(":")
    system = machine.system(**told)
    host = detect(system, wide=False, limit=20)
    facts = read_machine(system, host, variables=system.environ, prefix=None)
    return found(Snapshot(real_matrix(), host, variables=system.environ, machine=facts))


def found(snapshot: Snapshot) -> list[Finding]:
    findings = [finding for check in CHECKS for finding in check.run(snapshot)]
    for finding in findings:
        assert finding.evidence, finding
        assert all(clue.what and len(clue.what) <= 300 for clue in finding.evidence), finding
        assert all(fix.root for fix in finding.fixes if any("sudo " in command for command in fix.commands)), finding
        json.dumps(finding.data)
    return findings


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def one(findings: list[Finding], code: str, certainty: Certainty = Certainty.CERTAIN) -> Finding:
    assert codes(findings) == [code], findings
    assert findings[0].certainty is certainty
    return findings[0]


def described(*texts: str, **changes: Any) -> HostFacts:
    return dataclasses.replace(describe(texts, System(environ={})), **changes)


def live(*texts: str, **changes: Any) -> HostFacts:
    """Return a machine as if it had been read."""
    return described(*texts, **{"described": False, **changes})


def look(host: HostFacts, machine: MachineFacts | None = None, **rest: Any) -> list[Finding]:
    return found(Snapshot(real_matrix(), host, machine=machine or MachineFacts(), **rest))


def judged(host: HostFacts, release: str) -> Plan | Refusal:
    row = real_matrix().row(TfVersion(release))
    assert row is not None
    return judge(row, host, real_matrix())
