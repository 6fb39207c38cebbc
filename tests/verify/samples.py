"""Values and stand-in environments for the tests of verify."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provision.model.facts import Fact
from provision.model.host import DriverState, Gpu, HostFacts
from provision.model.versions import ComputeCapability
from provision.verify.answer import Premises, Said

SITE = "/env/lib/python3.12/site-packages"
FRAMEWORK = f"{SITE}/tensorflow/libtensorflow_framework.so.2"
GATE_12 = (
    "libcudart.so.12",
    "libcublas.so.12",
    "libcublasLt.so.12",
    "libcufft.so.11",
    "libcusolver.so.11",
    "libcusparse.so.12",
    "libcudnn.so.9",
)
_FOLDERS = {
    "libcudart": "cuda_runtime",
    "libcublasLt": "cublas",
    "libcublas": "cublas",
    "libcufft": "cufft",
    "libcusolver": "cusolver",
    "libcusparse": "cusparse",
    "libcudnn": "cudnn",
}
WHEELS = {
    "nvidia-cuda-runtime-cu12": "12.5.82",
    "nvidia-cublas-cu12": "12.5.3.2",
    "nvidia-cufft-cu12": "11.2.3.61",
    "nvidia-cusolver-cu12": "11.6.3.83",
    "nvidia-cusparse-cu12": "12.5.1.3",
    "nvidia-cudnn-cu12": "9.3.0.75",
}


def wheel_path(soname: str) -> str:
    return f"nvidia/{_FOLDERS[soname.split('.so', maxsplit=1)[0]]}/lib/{soname}"


def found(soname: str, file: str | None = None, version: str = "1.2.3", **more: Any) -> dict[str, Any]:
    """One library as the probe reports it where dlopen succeeded."""
    path = file or f"{SITE}/{wheel_path(soname)}"
    return {
        "soname": soname,
        "found": True,
        "file": path,
        "dlerror": None,
        "version": "9.3.0" if soname.startswith("libcudnn") and version == "1.2.3" else version,
        "version_problem": None,
        "searched": [],
        "tried": path,
        **more,
    }


def missing(soname: str, dlerror: str | None = None) -> dict[str, Any]:
    """One library as the probe reports it where dlopen failed."""
    return {
        "soname": soname,
        "found": False,
        "file": None,
        "dlerror": dlerror or f"{soname}: cannot open shared object file: No such file or directory",
        "searched": [
            {"why": f"RUNPATH from file {FRAMEWORK}", "folders": [f"{SITE}/nvidia/cublas/lib", f"{SITE}/tensorflow"]},
            {"why": "loader cache", "folders": ["/etc/ld.so.cache"]},
            {"why": "system search path", "folders": ["/lib", "/usr/lib"]},
        ],
        "tried": f"/usr/lib/{soname}",
    }


def gate_said(libraries: list[dict[str, Any]], **more: Any) -> Said:
    """The gate probe's answer."""
    gate = {
        "libraries": libraries,
        "ended": "",
        "log": "",
        "status_ok": all(item["found"] for item in libraries),
        "mapped": [],
        **more.pop("gate", {}),
    }
    return Said(
        {
            "framework": FRAMEWORK,
            "soname": "libtensorflow_framework.so.2",
            "search": {"kind": "RUNPATH", "entries": ["$ORIGIN/../nvidia/cublas/lib"]},
            "functions": {"Cudnn": "_ZN3tsl8internal9DsoLoader17GetCudnnDsoHandleEv"},
            "gate": gate,
            "calls": {},
            **more,
        },
        seconds=0.5,
    )


def premises(**more: Any) -> Premises:
    """An environment of TensorFlow 2.20.0 with its wheels."""
    values: dict[str, Any] = {
        "prefix": "/env",
        "site_packages": SITE,
        "tensorflow": "2.20.0",
        "distribution": "tensorflow",
        "cuda_build": True,
        "wheels": WHEELS,
        "files": {soname: wheel_path(soname) for soname in GATE_12},
        **more,
    }
    return Premises(**values)


def said(data: Mapping[str, Any] | None = None, failure: str = "", log: str = "", **values: Any) -> Said:
    """An answer of any probe."""
    return Said({**data, **values} if data is not None else (values or None), failure, log, 1.0)


def host_of(state: DriverState, gpus: tuple[Gpu, ...] = (), why: str = "") -> HostFacts:
    """A machine of which only the driver and the GPUs matter."""
    unknown: Any = Fact(None)
    return HostFacts(
        described=False,
        system=Fact("linux", "test"),
        machine=Fact("x86_64", "test"),
        distribution=unknown,
        wsl=Fact(False, "test"),
        glibc=unknown,
        cpu_features=unknown,
        driver_state=state,
        driver_state_why=why,
        driver=unknown,
        kernel_module=unknown,
        driver_cuda=unknown,
        gpus=Fact(gpus, "test"),
        device_nodes=unknown,
        container=unknown,
    )


def gpu(name: str = "NVIDIA H200", capability: str = "9.0", **more: Any) -> Gpu:
    return Gpu(name, ComputeCapability(capability), **{"index": 0, "memory_mib": 143771, **more})


class Environment:
    """A real virtual environment without packages, into which a test puts what it needs."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self.python = prefix / "bin/python"
        self.site = next(prefix.glob("lib/python*/site-packages"))

    def write(self, path: str, text: str = "") -> Path:
        file = self.site / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    def distribution(self, name: str, version: str) -> None:
        self.write(f"{name.replace('-', '_')}-{version}.dist-info/METADATA", f"Name: {name}\nVersion: {version}\n")

    def tensorflow(self, code: str, version: str = "2.20.0", *, cuda: bool = True) -> None:
        """Install a stub tensorflow whose __init__ is ``code``."""
        self.distribution("tensorflow", version)
        self.write("tensorflow/__init__.py", code)
        self.write(
            "tensorflow/python/platform/build_info.py",
            f'import collections\nbuild_info = collections.OrderedDict([("is_cuda_build", {cuda})])\n',
        )
