"""The import: does TensorFlow come up, is it the build meant, and does the CPU compute correctly?"""

from __future__ import annotations

import math
from typing import Any

from provision.model.verdict import Level, Stage, StageStatus
from provision.model.versions import CudaVersion, CudnnVersion
from provision.verify.answer import Premises, Said
from provision.verify.causes import Cause, cause_in_text, cause_of_ending
from provision.verify.gate import failed
from provision.verify.numerics import float32_tolerance


def judge_import(premises: Premises, said: Said) -> Stage:
    """Judge the import probe's answer."""
    versions = said.get("versions") or {}
    data = {key: said.get(key) for key in ("versions", "product", "losses", "import_seconds", "fit_seconds", "step")}
    cause = _crash(said) or _mismatch(premises, versions) or _miscomputed(said)
    if cause:
        return failed(Level.IMPORT, cause, said, data)
    details = []
    if premises.others:
        details.append(f"{', '.join(premises.others)} is installed as well and overwrites files of the same package")
    fit = ", Keras fits" if said.get("losses") else ""
    return Stage(
        Level.IMPORT,
        StageStatus.PASSED,
        f"TensorFlow {versions.get('tensorflow')} imports in {said.get('import_seconds'):.1f} s "
        f"({_build(versions)}), CPU product right{fit}",
        details=tuple(details),
        data=data,
        seconds=said.seconds,
    )


def _build(versions: dict[str, Any]) -> str:
    build = versions.get("build") or {}
    return f"built with CUDA {build.get('cuda_version', '?')}, cuDNN {build.get('cudnn_version', '?')}"


def _crash(said: Said) -> Cause | None:
    error = said.get("error")
    if error:
        text = f"{said.get('traceback') or ''}\n{said.log}"
        named = cause_in_text(text)
        step = {"import": "import-failed", "product": "cpu-compute-failed", "fit": "keras-fit-failed"}
        if named:
            return named
        code = step.get(str(said.get("step")), "import-failed")
        return Cause(code, f"{said.get('step')} of TensorFlow fails: {str(error)[:200]}", evidence=_tail(said))
    ending = cause_of_ending(said)
    if ending and said.get("step") not in (None, "import"):
        return Cause(ending.code, f"{ending.what}, after the import, in step {said.get('step')!r}", ending.hint)
    if ending is None and said.get("step") != "done":
        return Cause("no-answer", "the check in the environment ended without an answer", evidence=_tail(said))
    return ending


def _tail(said: Said) -> tuple[str, ...]:
    text = str(said.get("traceback") or said.log).strip()
    return tuple(line.strip() for line in text.splitlines()[-3:])


def _mismatch(premises: Premises, versions: dict[str, Any]) -> Cause | None:
    """Compare what the build says about itself with the matrix row and with what is installed."""
    build = versions.get("build") or {}
    imported = str(versions.get("tensorflow"))
    if premises.tensorflow and not _same_release(imported, premises.tensorflow):
        return Cause(
            "tensorflow-shadowed",
            f"the import gives TensorFlow {imported}, the environment has {premises.tensorflow} installed",
            "something stands before it on the path",
            (str(versions.get("file")),),
        )
    if versions.get("built_with_cuda") is False:
        return Cause(
            "cpu-only-build",
            f"TensorFlow {imported} is a build without CUDA: it can never use a GPU",
            "install `tensorflow` for Linux x86_64 instead",
        )
    row = premises.row
    if row is None:
        return None
    wrong = []
    cuda, cudnn = CudaVersion.parse(build.get("cuda_version", "")), CudnnVersion.parse(build.get("cudnn_version", ""))
    if cuda and (cuda.major, cuda.minor) != (row.cuda.major, row.cuda.minor):
        wrong.append(f"it says CUDA {cuda}; the matrix has {row.cuda} (line {row.line})")
    if cudnn and cudnn.major != row.cudnn.major:
        wrong.append(f"it says cuDNN {cudnn}; the matrix has {row.cudnn} (line {row.line})")
    if wrong:
        return Cause("other-build", f"this is not the build of {row.release} that the matrix describes", "", (*wrong,))
    return None


def _same_release(imported: str, installed: str) -> bool:
    """TensorFlow's own version leaves out a post release: 2.15.0.post1 says 2.15.0."""
    return imported == installed or installed.startswith(f"{imported}.post") or imported.startswith(f"{installed}-")


def _miscomputed(said: Said) -> Cause | None:
    product, losses = said.get("product") or {}, said.get("losses")
    if product and product.get("exact") is not True:
        return Cause("wrong-result", "a product of whole numbers on the CPU is wrong")
    error, limit = product.get("error"), float32_tolerance(int(product.get("size", 1)))
    if product and not (error is not None and error <= limit):
        shown = "not finite" if error is None else f"off by {error:.1e}"
        return Cause("wrong-result", f"a float32 product on the CPU is {shown}; at most {limit:.1e} is right")
    if losses and not (all(loss is not None and math.isfinite(loss) for loss in losses) and losses[-1] < losses[0]):
        return Cause("loss-does-not-fall", f"the loss of a small Keras model goes from {losses[0]} to {losses[-1]}")
    return None
