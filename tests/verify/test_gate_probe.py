"""The gate probe on a tiny framework library and tiny CUDA libraries: real loader, real search path, real crashes."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from verify.samples import Environment

from provision.model.verdict import Level, Outcome, Stage, StageStatus
from provision.system import System
from provision.workflows.verify import verify

SOURCE = Path(__file__).with_name("tiny_framework.c")
CUDART, CUDNN = "libcudart.so.12", "libcudnn.so.9"
VERSION_FUNCTIONS = {
    CUDART: "int cudaRuntimeGetVersion(int *v) { *v = 12090; return 0; }",
    CUDNN: "unsigned long cudnnGetVersion(void) { return 90300; }",
}
FOLDERS = {CUDART: "cuda_runtime", CUDNN: "cudnn"}


@dataclass
class Tiny:
    """An environment with a tiny framework library, and the compiler to put libraries beside it."""

    environment: Environment
    compiler: str

    def compile(self, code: str, output: Path, *options: str) -> Path:
        output.parent.mkdir(parents=True, exist_ok=True)
        source = output.with_suffix(".c")
        source.write_text(code)
        subprocess.run(
            [self.compiler, "-shared", "-fPIC", "-o", str(output), str(source), *options], check=True, timeout=60
        )
        source.unlink()
        return output

    def framework(
        self, *names: str, runpath: str = "$ORIGIN", rpath: bool = False, options: tuple[str, ...] = ()
    ) -> Path:
        listed = ", ".join(f'"{name}"' for name in names)
        return self.compile(
            f"#define NAMES {listed}\n{SOURCE.read_text()}",
            self.environment.site / "tensorflow/libtensorflow_framework.so.2",
            "-Wl,-soname,libtensorflow_framework.so.2",
            f"-Wl,-rpath,{runpath}",
            "-Wl,--disable-new-dtags" if rpath else "-Wl,--enable-new-dtags",
            "-ldl",
            *options,
        )

    def library(self, soname: str, folder: Path | None = None, code: str | None = None, *options: str) -> Path:
        where = folder or self.environment.site / f"nvidia/{FOLDERS[soname]}/lib"
        text = VERSION_FUNCTIONS[soname] if code is None else code
        return self.compile(text, where / soname, f"-Wl,-soname,{soname}", *options)

    def gate(self, timeout: float = 30.0, **environ: str) -> Stage:
        system = System(environ={"PATH": os.defpath, **environ})
        return verify(system, self.environment.prefix, Level.GATE, timeout=timeout).verdict.stages[0]


@pytest.fixture
def tiny(environment: Environment, compiler: str) -> Tiny:
    environment.tensorflow("raise SystemExit('the gate must not import TensorFlow')")
    environment.distribution("nvidia-cudnn-cu12", "9.3.0.75")
    environment.distribution("nvidia-cuda-runtime-cu12", "12.9.79")
    return Tiny(environment, compiler)


BOTH = "$ORIGIN/../nvidia/cuda_runtime/lib:$ORIGIN/../nvidia/cudnn/lib"


def libraries(stage: Stage) -> dict[str, dict[str, Any]]:
    return {item["soname"]: item for item in stage.data["libraries"]}


def test_found_with_file_version_and_wheel(tiny: Tiny) -> None:
    tiny.framework(CUDART, CUDNN, runpath=BOTH)
    tiny.library(CUDART)
    tiny.library(CUDNN)
    stage = tiny.gate()
    assert stage.status is StageStatus.PASSED, stage
    assert stage.summary == "all 2 CUDA libraries found in the environment, cuDNN 9.3.0"
    cudnn = libraries(stage)[CUDNN]
    assert cudnn["file"] == "nvidia/cudnn/lib/libcudnn.so.9"
    assert cudnn["wheel"] == "nvidia-cudnn-cu12 9.3.0.75"
    assert libraries(stage)[CUDART]["version"] == "12.9"
    assert stage.data["search"] == {
        "kind": "RUNPATH",
        "entries": ["$ORIGIN/../nvidia/cuda_runtime/lib", "$ORIGIN/../nvidia/cudnn/lib"],
    }
    assert stage.data["status_ok"] is True
    assert [item["soname"] for item in stage.data["beside"]] == ["libcupti.so.12"]


def test_missing_says_who_looked_and_where_in_order(tiny: Tiny) -> None:
    tiny.framework(CUDART, CUDNN, runpath="$ORIGIN/../nvidia/cuda_runtime/lib:$ORIGIN")
    tiny.library(CUDART)
    tiny.library(CUDNN)
    stage = tiny.gate()
    assert (stage.status, stage.cause) == (StageStatus.FAILED, "library-not-found")
    assert stage.summary == "1 of 2 CUDA libraries not found: libcudnn.so.9"
    assert stage.details[:2] == (
        "libcudnn.so.9: not found by tensorflow/libtensorflow_framework.so.2: cannot open shared object file: No such file or directory",
        "  the environment has nvidia/cudnn/lib/libcudnn.so.9 (nvidia-cudnn-cu12 9.3.0.75), but not where is searched",
    )
    searched = [line for line in stage.details if line.startswith("  RUNPATH of")]
    assert searched == ["  RUNPATH of tensorflow/libtensorflow_framework.so.2: nvidia/cuda_runtime/lib, tensorflow"]
    assert any("loader cache" in line for line in stage.details)
    assert stage.data["status_ok"] is False


def test_rpath_is_called_rpath(tiny: Tiny) -> None:
    tiny.framework(CUDNN, rpath=True)
    stage = tiny.gate()
    assert any(
        line.startswith("  RPATH of tensorflow/libtensorflow_framework.so.2: tensorflow") for line in stage.details
    )


def test_a_link_on_the_search_path_answers_with_the_wheels_file(tiny: Tiny) -> None:
    tiny.framework(CUDNN)
    tiny.library(CUDNN)
    (tiny.environment.site / "tensorflow" / CUDNN).symlink_to(f"../nvidia/cudnn/lib/{CUDNN}")
    assert libraries(tiny.gate())[CUDNN]["file"] == "nvidia/cudnn/lib/libcudnn.so.9"


def test_an_alias_answers(tiny: Tiny) -> None:
    tiny.framework("libcudnn.so.8")
    tiny.library(CUDNN)
    (tiny.environment.site / "tensorflow/libcudnn.so.8").symlink_to(f"../nvidia/cudnn/lib/{CUDNN}")
    stage = tiny.gate()
    assert stage.status is StageStatus.PASSED, stage
    assert libraries(stage)["libcudnn.so.8"]["version"] == "9.3.0"


def test_a_stale_ld_library_path_is_seen(tiny: Tiny, tmp_path: Path) -> None:
    tiny.framework(CUDART, CUDNN, runpath=BOTH)
    tiny.library(CUDART)
    tiny.library(CUDNN)
    tiny.library(CUDNN, tmp_path / "old", "unsigned long cudnnGetVersion(void) { return 8600; }")
    stage = tiny.gate(LD_LIBRARY_PATH=str(tmp_path / "old"))
    old = tmp_path / "old" / CUDNN
    assert (
        f"libcudnn.so.9: this shell's LD_LIBRARY_PATH puts {old} in the place of nvidia/cudnn/lib/libcudnn.so.9"
        in stage.details
    )
    assert libraries(stage)[CUDNN]["version"] == "8.6.0"
    assert libraries(stage)[CUDNN]["meant"] is False


def test_a_bogus_library_is_unmasked(tiny: Tiny, tmp_path: Path) -> None:
    tiny.framework(CUDART, CUDNN, runpath=BOTH)
    tiny.library(CUDART)
    tiny.library(CUDNN)
    tiny.library(CUDNN, tmp_path / "bogus", "int nothing;")
    stage = tiny.gate(LD_LIBRARY_PATH=str(tmp_path / "bogus"))
    assert (stage.status, stage.cause) == (StageStatus.FAILED, "not-the-library")


def test_what_only_ld_library_path_finds_is_told(tiny: Tiny) -> None:
    tiny.framework(CUDNN)
    folder = tiny.library(CUDNN).parent
    stage = tiny.gate(LD_LIBRARY_PATH=str(folder))
    assert stage.status is StageStatus.PASSED
    assert stage.details == (
        "only this shell's LD_LIBRARY_PATH leads to libcudnn.so.9: cron, an IDE or Jupyter lack it",
    )


def test_a_truncated_library_is_named_and_kills_only_its_child(tiny: Tiny) -> None:
    tiny.framework(CUDART, CUDNN, runpath=BOTH)
    tiny.library(CUDART)
    whole = tiny.library(
        CUDNN, None, '__attribute__((section(".data"))) char big[1 << 20] = {1}; unsigned long cudnnGetVersion(void) { return 90300; }\n'
        "__attribute__((constructor)) static void touch(void) { int i; for (i = 0; i < (1 << 20); i += 4096) big[i]++; }"
    )  # fmt: skip
    with whole.open("r+b") as stream:
        stream.truncate(whole.stat().st_size // 2)
    stage = tiny.gate()
    assert (stage.status, stage.cause) == (StageStatus.FAILED, "library-truncated"), stage
    assert stage.summary == "opening nvidia/cudnn/lib/libcudnn.so.9 kills the process (signal SIGBUS)"
    assert "it belongs to nvidia-cudnn-cu12 9.3.0.75" in stage.details


def test_a_library_cut_to_nothing_is_a_plain_dlerror(tiny: Tiny) -> None:
    tiny.framework(CUDNN, runpath=BOTH)
    tiny.library(CUDNN).write_bytes(b"")
    stage = tiny.gate()
    assert stage.cause == "library-not-found"
    assert "file too short" in stage.details[0]


def test_a_missing_dependency_is_named_by_dlerror(tiny: Tiny) -> None:
    tiny.framework(CUDNN, runpath=BOTH)
    helper = tiny.compile(
        "int helper(void) { return 1; }", tiny.environment.prefix / "libhelper.so", "-Wl,-soname,libhelper.so"
    )
    tiny.library(
        CUDNN, None, "int helper(void); unsigned long cudnnGetVersion(void) { return helper(); }",
        f"-L{helper.parent}", "-lhelper",
    )  # fmt: skip
    helper.unlink()
    stage = tiny.gate()
    assert stage.cause == "library-not-found"
    assert stage.details[0].startswith(
        "libcudnn.so.9: not found by tensorflow/libtensorflow_framework.so.2: libhelper.so: "
    )


def test_a_library_that_crashes_when_asked_its_version_is_found_all_the_same(tiny: Tiny) -> None:
    tiny.framework(CUDART, CUDNN, runpath=BOTH)
    tiny.library(CUDART, None, "int cudaRuntimeGetVersion(int *v) { return *(volatile int *)0; }")
    tiny.library(CUDNN)
    stage = tiny.gate()
    assert stage.status is StageStatus.PASSED, stage
    assert stage.data["version_crash"] == {"soname": CUDART, "ended": "signal SIGSEGV"}
    assert libraries(stage)[CUDNN]["version"] == "9.3.0"


def test_a_hang_ends_with_the_time_limit(tiny: Tiny) -> None:
    tiny.framework(CUDNN, options=("-DHANG",))
    stage = tiny.gate(timeout=1.0)
    assert (stage.status, stage.cause) == (StageStatus.FAILED, "hung")


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"not a library at all", b"\x7fELF\x02\x01" + b"\xff" * 200])
def test_a_framework_library_that_is_none(tiny: Tiny, content: bytes) -> None:
    file = tiny.environment.site / "tensorflow/libtensorflow_framework.so.2"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    stage = tiny.gate()
    assert (stage.status, stage.cause) == (StageStatus.FAILED, "framework-unreadable")


def test_a_framework_library_without_the_loader(tiny: Tiny) -> None:
    tiny.compile("int nothing;", tiny.environment.site / "tensorflow/libtensorflow_framework.so.2")
    stage = tiny.gate()
    assert (stage.status, stage.cause) == (StageStatus.SKIPPED, "no-loader")


def test_no_framework_library(tiny: Tiny) -> None:
    assert tiny.gate().cause == "framework-missing"


def test_conda_keeps_the_framework_library_in_its_own_lib(tiny: Tiny) -> None:
    (tiny.environment.prefix / "conda-meta").mkdir()
    framework = tiny.framework(CUDNN)
    framework.rename(tiny.environment.prefix / "lib/libtensorflow_framework.so.2")
    tiny.library(CUDNN, tiny.environment.prefix / "lib")
    stage = tiny.gate()
    assert stage.status is StageStatus.PASSED, stage
    assert libraries(stage)[CUDNN]["file"] == "lib/libcudnn.so.9"
    assert libraries(stage)[CUDNN]["inside"] is True


def test_the_environments_own_hook_is_asked(tiny: Tiny, tmp_path: Path) -> None:
    """A hook that loads the right file early beats LD_LIBRARY_PATH; the gate sees what an import would see."""
    tiny.framework(CUDNN, runpath=BOTH)
    right = tiny.library(CUDNN)
    tiny.library(CUDNN, tmp_path / "bogus", "int nothing;")
    tiny.environment.write(
        "_tfgpu_hook.py",
        f"""
        import os, sys
        HERE = os.path.dirname(os.path.abspath(__file__))
        PRELOAD = ({os.path.relpath(right, tiny.environment.site)!r},)
        SEARCHED_FIRST = os.environ.get("LD_LIBRARY_PATH", "")
        class Finder:
            @staticmethod
            def find_spec(name, path=None, target=None):
                return None
        def prepare():
            sys.meta_path.remove(Finder)
        sys.meta_path.insert(0, Finder)
        """,
    )
    tiny.environment.write("_tfgpu.pth", "import _tfgpu_hook\n")
    stage = tiny.gate(LD_LIBRARY_PATH=str(tmp_path / "bogus"))
    assert stage.status is StageStatus.PASSED, stage
    assert libraries(stage)[CUDNN]["file"] == "nvidia/cudnn/lib/libcudnn.so.9"


def test_gate_alone_passes_without_proving(tiny: Tiny) -> None:
    tiny.framework(CUDNN, runpath=BOTH)
    tiny.library(CUDNN)
    verdict = verify(System(environ={}), tiny.environment.prefix, Level.GATE).verdict
    assert (verdict.outcome, verdict.proved) == (Outcome.PASSED, False)
