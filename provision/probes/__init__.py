"""Scripts that run inside environments, as guests, and their launcher."""

from provision.probes.launcher import ProbeAnswer, run_probe

__all__ = ["ProbeAnswer", "run_probe"]
