"""Locks for tests: one as it would be made for TensorFlow 2.4.1, and any valid one."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import strategies as st

from provision.model.lock import Contract, GpuFloor, Lock, Locked, LockRequest
from provision.model.versions import (
    ComputeCapability,
    CudaVersion,
    CudnnVersion,
    DriverVersion,
    GlibcVersion,
    PythonVersion,
    TfVersion,
)

A, B, C, D = (letter * 64 for letter in "abcd")


def floor(capability: str, driver: str = "450.80.02", *, derived: bool = False) -> GpuFloor:
    return GpuFloor(ComputeCapability(capability), DriverVersion(driver), derived)


def contract(**changed: Any) -> Contract:
    plain = Contract(
        request=LockRequest(tf="2.4.1", requirements=("pandas<2",)),
        target="",
        machine_text="",
        made_for=(),
        without_gpu=False,
        backend="venv",
        distribution="tensorflow",
        release=TfVersion("2.4.1"),
        python=PythonVersion("3.8"),
        library_set="cu11-cudnn86",
        cuda=CudaVersion("11.8"),
        cudnn=CudnnVersion("8.6.0.163"),
        driver_floor=DriverVersion("450.80.02"),
        gpus=(floor("7.5"), floor("8.6", "455.23"), floor("9.0", "520.61.05", derived=True)),
        system="linux",
        machine="x86_64",
        glibc=GlibcVersion("2.12"),
        cpu_features=("avx",),
        row_digest=C,
        matrix_digest=D,
        derived=("library-alias",),
    )
    return dataclasses.replace(plain, **changed)


def lock(**changed: Any) -> Lock:
    packages = (
        Locked("absl-py", "0.15.0", (A, B)),
        Locked("tensorflow", str(changed.get("release", "2.4.1")), (B,)),
        Locked("termcolor", "1.1.0", (C,)),
    )
    tools = (Locked("setuptools", "75.3.4", (D,)),)
    return Lock(contract(**changed), packages, source_only=("termcolor",), build_tools=tools)


def uv_says(item: Lock) -> str:
    """Return what uv writes about the files of a lock: two wheels and a source archive where there are three hashes."""
    lines = ['lock-version = "1.0"', 'created-by = "uv"', 'requires-python = ">=3.8"']
    for package in item.packages:
        lines += ["", "[[packages]]", f'name = "{package.name}"', f'version = "{package.version}"']
        stem = f"https://files.example.org/packages/{package.name.replace('-', '_')}-{package.version}"
        files = [
            f'{{ url = "{stem}{end}", upload-time = 2021-01-01T00:00:00Z, size = {100 + at}, hashes = {{ sha256 = "{digest}" }} }}'
            for at, (digest, end) in enumerate(
                zip(
                    package.hashes, [f"-{at}-py3-none-any.whl" for at in range(1, len(package.hashes) + 1)], strict=True
                )
            )
        ]
        if package.name in item.source_only:
            lines.append("sdist = " + files[0].replace("-1-py3-none-any.whl", ".tar.gz"))
        else:
            lines.append("wheels = [\n    " + ",\n    ".join(files) + ",\n]")
    return "\n".join(lines) + "\n"


_HASHES = st.lists(st.from_regex(r"[0-9a-f]{64}", fullmatch=True), min_size=1, max_size=3, unique=True).map(
    lambda found: tuple(sorted(found))
)
_NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,5})?", fullmatch=True)
_VERSIONS = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}(\.post1)?(\+cu118)?", fullmatch=True)
_NUMBERS = st.from_regex(r"[1-9][0-9]{0,2}(\.[0-9]{1,3}){1,2}", fullmatch=True)
_TEXT = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")).filter(str.isprintable), max_size=20
).filter(lambda text: "@" not in text and "/t/" not in text)
_TEXTS = st.lists(_TEXT, max_size=3).map(tuple)
_WORDS = st.lists(st.from_regex(r"[a-z][a-z0-9_.-]{0,9}", fullmatch=True), max_size=3, unique=True).map(
    lambda found: tuple(sorted(found))
)
_CAPABILITIES = st.lists(
    st.builds(lambda major, minor: ComputeCapability(f"{major}.{minor}"), st.integers(1, 30), st.integers(0, 9)),
    max_size=5,
    unique=True,
).map(lambda found: tuple(sorted(found)))


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    """Any valid lock of the package index, in canonical order."""
    gpus = tuple(GpuFloor(item, DriverVersion(draw(_NUMBERS)), draw(st.booleans())) for item in draw(_CAPABILITIES))
    made_for = draw(_CAPABILITIES)
    release = draw(st.sampled_from(["2.4.1", "2.15.0.post1", "2.21.0"]))
    found = contract(
        request=LockRequest(
            draw(_TEXT),
            draw(_TEXT),
            draw(_TEXTS),
            draw(_TEXTS),
            draw(_TEXTS),
            draw(st.sampled_from(["", "2021-03-01"])),
            draw(st.booleans()),
        ),
        target=draw(st.from_regex(r"([a-z0-9][a-z0-9-]{0,39})?", fullmatch=True)),
        machine_text=draw(_TEXT),
        made_for=made_for,
        without_gpu=not made_for and draw(st.booleans()),
        release=TfVersion(release),
        cuda=CudaVersion(draw(_NUMBERS)),
        gpus=gpus,
        cpu_features=draw(_WORDS),
        derived=draw(_WORDS),
    )
    packages = draw(st.dictionaries(_NAMES, st.tuples(_VERSIONS, _HASHES), max_size=4))
    packages["tensorflow"] = (release, draw(_HASHES))
    sdists = tuple(name for name, (_, hashes) in sorted(packages.items()) if len(hashes) == 1 and name != "tensorflow")
    tools = draw(st.dictionaries(_NAMES, st.tuples(_VERSIONS, _HASHES), max_size=2))
    return Lock(
        found,
        tuple(Locked(name, *packages[name]) for name in sorted(packages)),
        source_only=sdists,
        build_tools=tuple(Locked(name, *tools[name]) for name in sorted(tools)),
    )
