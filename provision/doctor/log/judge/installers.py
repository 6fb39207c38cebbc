"""Findings from pip, uv and conda."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from provision.doctor.log import fixes
from provision.doctor.log.seen import LIKELY, MAYBE, SURE, Seen
from provision.model.doctor import Finding, Fix
from provision.model.log import Signal
from provision.model.versions import PythonVersion

_TENSORFLOW = re.compile(r"(?:(?:intel[-_])?tensorflow|tf[-_]nightly|tflite)(?:[-_]\w+)*\Z", re.IGNORECASE)
_LATE = PythonVersion("3.12")
_CUDA_PARTS = re.compile(r"nvidia-|tensorrt", re.IGNORECASE)
_NEEDED = (
    ("protobuf", "protobuf_conflict"),
    ("numpy", "numpy_abi_conflict"),
    ("keras", "keras_conflict"),
    ("typing", "typing_extensions_conflict"),
)
_ONE_PLACE = frozenset({"tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tf-nightly", "tf-nightly-cpu"})
_BOUNDS = frozenset({"==", "~=", ">=", "<=", "<", "===", ">"})


def installation(seen: Seen) -> Iterator[Finding]:
    """Yield why an installer found nothing to install."""
    if stub := seen.all("stub-package"):
        what = "tensorflow-gpu is an empty package since 2.12: tensorflow brings the GPU support"
        fix = fixes.pip("install TensorFlow with its CUDA libraries", "tensorflow[and-cuda]")
        yield seen.finding("tensorflow_gpu_package_removed", SURE, what, stub, fix)
    for item in seen.all("no-version"):
        yield from _no_version(seen, item)
    if refused := [item for item in seen.all("wheel-refused") if _TENSORFLOW.match(item.fields["package"])]:
        tag = refused[0].fields["tag"]
        what = f"the wheel is for {tag}, and this Python or system is another"
        yield seen.finding("python_version_unsupported", SURE, what, refused, fixes.other_python(seen), needs=tag)
    for item in seen.all("requires-python", "poetry-python"):
        package, found = item.fields.get("package", ""), item.fields.get("found")
        if found or _TENSORFLOW.match(package):
            needs = item.fields.get("needs", "of another version")
            what = f"{package} needs Python {needs}{f', found {found}' if found else ''}"
            yield seen.finding("python_version_unsupported", LIKELY, what, [item], fixes.other_python(seen))
    for item in seen.all("uv-wheel-tags"):
        yield from _no_wheel(seen, item)
    if clash := seen.all("conda-python"):
        what = "conda has no TensorFlow for the Python of this environment"
        fresh = Fix("create an environment with a Python that it has", ("conda create -n tf python=3.11 tensorflow",))
        yield seen.finding("python_version_unsupported", LIKELY, what, clash, fresh)


def _no_wheel(seen: Seen, item: Signal) -> Iterator[Finding]:
    package = item.fields["package"]
    if not _TENSORFLOW.match(package):
        return
    platform = "platform" in item.fields.get("what", "").lower()
    code = "platform_unsupported" if platform else "python_version_unsupported"
    what = f"{package} has no wheel for this {'platform' if platform else 'Python'}"
    yield seen.finding(code, LIKELY, what, [item], fixes.other_python(seen))


def _no_version(seen: Seen, item: Signal) -> Iterator[Finding]:
    package, wanted_text = item.fields["package"], item.fields["wanted"]
    if _CUDA_PARTS.match(package) and ("by" in item.fields or "and-cuda" in item.text):
        asked = f"{package}{wanted_text.split(';')[0]}"
        what = f"the extra and-cuda asks for {asked}, which the index does not have for this Python and system"
        other = Fix("use a release whose extra can be met", ("tfgpu-provision create",))
        yield seen.finding("and_cuda_extra_unsatisfiable", SURE, what, [item], other)
        return
    versions, wanted = _versions(item.fields["versions"]), _specifiers(wanted_text)
    if not _TENSORFLOW.match(package):
        return
    if not versions:
        yield from _none_at_all(seen, item)
        return
    asked_for = [Version(spec.version.removesuffix(".*")) for spec in wanted if spec.operator in _BOUNDS]
    if not asked_for:
        return
    edge = ("oldest", versions[0]) if max(asked_for) < versions[0] else ("newest", versions[-1])
    if max(asked_for) < versions[0] or min(asked_for) > versions[-1]:
        what = f"{package}{wanted} has no wheel for this Python: the {edge[0]} release that has one is {edge[1]}"
        found = {"found": str(edge[1]), "needs": str(wanted)}
        yield seen.finding("python_version_unsupported", LIKELY, what, [item], fixes.other_python(seen), **found)


def _none_at_all(seen: Seen, item: Signal) -> Iterator[Finding]:
    """No version of TensorFlow at all: Python, its word size or the platform; only named where the log says which."""
    if bits := seen.all("python-32-bit"):
        what = "this Python is a 32-bit program, and TensorFlow only has wheels for 64 bits"
        yield seen.finding("python_version_unsupported", LIKELY, what, [*bits, item], fixes.other_python(seen))
        return
    # a Python that no release knows, or so new that releases had no wheels for it for months
    known = {python.text for python in seen.pythons if python < _LATE}
    pythons = [told for told in seen.all("python-version") if told.fields["version"] not in known]
    sure = LIKELY if pythons and len(pythons) == len(seen.all("python-version")) else MAYBE
    what = "no release of TensorFlow has a wheel for this Python, or for this system"
    yield seen.finding("python_version_unsupported", sure, what, [item, *pythons[:2]], fixes.other_python(seen))


def _specifiers(text: str) -> SpecifierSet:
    try:
        return SpecifierSet(re.sub(r"[;\[].*", "", text).strip())
    except InvalidSpecifier:
        return SpecifierSet()


def _versions(text: str) -> list[Version]:
    found = []
    for part in text.split(","):
        with contextlib.suppress(InvalidVersion):
            found.append(Version(part.strip()))
    return sorted(found)


def conflicts(seen: Seen) -> Iterator[Finding]:
    """Yield what an installer says of versions that do not fit; a warning, where the program then works."""
    for item in seen.all("conflict"):
        package, needs = item.fields["package"].lower(), item.fields["needs"].lower()
        what = f"{package} needs {needs}, found {item.fields['found']}"
        if package.startswith(("torch", "jax")) and needs.startswith("nvidia-"):
            yield seen.finding("framework_conflict_pytorch", LIKELY, what, [item], fixes.OWN_ENVIRONMENT)
            continue
        code = _code(needs)
        beside = code != "dependency_conflict" or _TENSORFLOW.match(package)
        sure = LIKELY if beside and not seen.works else MAYBE
        want = re.sub(r"\s", "", needs)
        yield seen.finding(code, sure, what, [item], fixes.pip("install what it needs", want))
    if stuck := seen.all("unresolvable"):
        yield from _unresolvable(seen, stuck)


def _unresolvable(seen: Seen, stuck: list[Signal]) -> Iterator[Finding]:
    """Yield what a resolver could not bring together, where TensorFlow has a part in it."""
    asks = [item for item in seen.all("depends") if _TENSORFLOW.match(item.fields["package"])]
    needs = [item.fields["needs"].lower() for item in (*asks, *stuck) if "needs" in item.fields]
    counted = Counter(item.fields["needs"].lower() for item in seen.all("depends"))
    if not needs:
        return
    most = max(needs, key=lambda name: counted[name])
    if _CUDA_PARTS.match(most):
        return
    python = most == "python"
    code = "python_version_unsupported" if python else _code(most)
    what = f"no version of {most} is one that TensorFlow and the other packages both take"
    apart = Fix("give the packages that do not fit an environment of their own", ("tfgpu-provision create",))
    yield seen.finding(code, LIKELY, what, [*stuck[:1], *asks[:4]], fixes.other_python(seen) if python else apart)


def _code(needs: str) -> str:
    return next((code for name, code in _NEEDED if needs.startswith(name)), "dependency_conflict")


def builds(seen: Seen) -> Iterator[Finding]:
    """Yield that the installed build has no GPU support, or that several share one place."""
    listed = seen.all("listed-package")
    names = {item.fields["package"].lower().replace("_", "-") for item in listed}
    shared = sorted(names & _ONE_PLACE)
    if len(shared) > 1 and seen.has("package-list"):
        what = f"{' and '.join(shared)} are installed into one folder"
        again = f"python -m pip uninstall -y {' '.join(shared)}"
        fix = Fix("remove all of them, then install one", (again, 'python -m pip install "tensorflow[and-cuda]"'))
        yield seen.finding("conflicting_tf_packages", LIKELY, what, listed, fix)
        return
    cpu = [item for item in seen.all("cuda-build") if item.fields["value"].lower() == "false"]
    cpu += seen.all("cpu-build")
    if not cpu and shared == ["tensorflow-cpu"] and seen.has("none-listed", "package-list"):
        cpu = listed
    if cpu and not seen.works and not seen.has("metal", "windows-native"):
        what = "the installed TensorFlow was built without GPU support"
        gone = "python -m pip uninstall -y tensorflow-cpu tensorflow"
        fix = Fix("install the build with GPU support", (gone, 'python -m pip install "tensorflow[and-cuda]"'))
        yield seen.finding("cpu_only_package", SURE, what, cpu, fix)
