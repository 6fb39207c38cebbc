"""The labelled logs that lie beside the project, where they do: the targets of benchmarks/diagnosis.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from provision import matrix

ROOT = Path(__file__).parents[2]
CASES = ROOT.parent / "shared" / "corpus" / "cases"


def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("diagnosis_benchmark", ROOT / "benchmarks" / "diagnosis.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not CASES.is_dir(), reason=f"no labelled logs in {CASES.name}")
def test_the_targets_are_met() -> None:
    module = benchmark()
    table = matrix.load(ROOT / "matrix.yaml")
    judged = [module.judge(folder, table) for folder in sorted(path.parent for path in CASES.glob("*/label.yaml"))]
    assert [sentence for sentence, kept in module.targets(judged) if not kept] == []
