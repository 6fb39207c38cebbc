"""An environment with a tiny framework library and tiny CUDA libraries: real loader, real search path, real crashes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from verify.samples import Environment

from provision.model.environment_facts import LibraryFacts
from provision.model.matrix import Matrix
from provision.probes.environment import inspect
from provision.snapshot.libraries import read_libraries
from provision.snapshot.premises import find_row, premises_of
from provision.system import System

SOURCE = Path(__file__).parent.parent / "verify/tiny_framework.c"
CUDART, CUDNN = "libcudart.so.12", "libcudnn.so.9"
FOLDERS = {CUDART: "cuda_runtime", CUDNN: "cudnn"}
BOTH = "$ORIGIN/../nvidia/cuda_runtime/lib:$ORIGIN/../nvidia/cudnn/lib"
CODE = {
    CUDART: "int cudaRuntimeGetVersion(int *v) { *v = 12050; return 0; }",
    CUDNN: "unsigned long cudnnGetVersion(void) { return 90300; }",
}
TRUNCATABLE = (
    '__attribute__((section(".data"))) char big[1 << 20] = {1}; unsigned long cudnnGetVersion(void) { return 90300; }\n'
    "__attribute__((constructor)) static void touch(void) { int i; for (i = 0; i < (1 << 20); i += 4096) big[i]++; }"
)


@dataclass
class Tiny:
    """A virtual environment of TensorFlow 2.20.0 in name, and the compiler to put libraries into it."""

    environment: Environment
    compiler: str

    def compile(self, code: str, output: Path, *options: str) -> Path:
        output.parent.mkdir(parents=True, exist_ok=True)
        source = output.with_suffix(".c")
        source.write_text(code)
        command = [self.compiler, "-shared", "-fPIC", "-o", str(output), str(source), *options]
        subprocess.run(command, check=True, timeout=60)
        source.unlink()
        return output

    def framework(self, *names: str, runpath: str = BOTH, options: tuple[str, ...] = ()) -> Path:
        listed = ", ".join(f'"{name}"' for name in names)
        return self.compile(
            f"#define NAMES {listed}\n{SOURCE.read_text()}",
            self.environment.site / "tensorflow/libtensorflow_framework.so.2",
            "-Wl,-soname,libtensorflow_framework.so.2",
            f"-Wl,-rpath,{runpath}",
            "-Wl,--enable-new-dtags",
            "-ldl",
            *options,
        )

    def library(self, soname: str, folder: Path | None = None, code: str | None = None) -> Path:
        where = folder or self.environment.site / f"nvidia/{FOLDERS[soname]}/lib"
        return self.compile(CODE[soname] if code is None else code, where / soname, f"-Wl,-soname,{soname}")

    def read(self, matrix: Matrix, root: Path = Path("/"), **variables: str) -> LibraryFacts:
        system = System({"PATH": os.defpath, **variables}, root)
        seen = inspect(System({"PATH": os.defpath}), self.environment.prefix)
        row = find_row(seen, matrix)
        premises = premises_of(System(), seen, row, None)
        return read_libraries(system, seen, premises, variables=system.environ)


def make(prefix: Path, compiler: str) -> Tiny:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True, timeout=120)
    environment = Environment(prefix)
    environment.tensorflow("raise SystemExit('doctor must not import TensorFlow')")
    return Tiny(environment, compiler)


def compiler() -> str | None:
    return shutil.which("gcc") or shutil.which("cc")
