"""Make the CUDA libraries of an environment visible to its TensorFlow, without activation and without a trace left."""

from provision.wiring.apply import inspect, unwire, wire
from provision.wiring.libraries import FrameworkSearch, search_path
from provision.wiring.report import WiringReport

__all__ = ["FrameworkSearch", "WiringReport", "inspect", "search_path", "unwire", "wire"]
