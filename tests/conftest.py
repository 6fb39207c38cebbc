"""Fixtures that every folder of tests may use."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent / "fakedriver"))
import build as fakedriver_build

# It must not stand in the way of the package of that name, which conda-lock imports.
sys.path.remove(str(Path(__file__).parent / "fakedriver"))
sys.modules.pop("build")

# A shell starts what it puts in the background deaf to Ctrl-C, and children inherit that: the tests that press it
# would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The gate must say the same of the same files. TFGPU_FUZZ=1 looks for what nobody has seen yet.
settings.register_profile("same", derandomize=True)
settings.register_profile("search", derandomize=False)
settings.load_profile("search" if os.environ.get("TFGPU_FUZZ") else "same")


@pytest.fixture(scope="session")
def fake_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a fake libcuda.so.1 and libnvidia-ml.so.1; give it to a child as LD_LIBRARY_PATH.

    What the driver says is described by the child's environment variables, see ``fakedriver/fake_driver.c``. Skips
    where there is no C compiler.
    """
    if fakedriver_build.compiler() is None:
        pytest.skip("no C compiler on PATH to build the fake driver")
    return fakedriver_build.build(tmp_path_factory.mktemp("fake-driver"))
