"""Is there a Python that runs, made to its end, on a platform and of a version that TensorFlow has wheels for?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from provision.doctor.check import Check
from provision.doctor.checks.package_fixes import create_anew, newest_row
from provision.doctor.checks.typed import fix, folder_of, python_of, taken_out
from provision.model.doctor import Certainty, Clue, Finding, Fix
from provision.model.environment import RECORD_FOLDER
from provision.model.environment_facts import EnvironmentFacts
from provision.model.matrix import Matrix
from provision.model.remedy import CondaInstall, Install, Relocate, Remove, Wire
from provision.model.snapshot import Snapshot
from provision.model.versions import Dotted, PythonVersion

_BUILDING = re.compile(r"\.(?P<name>.+)\.tfgpu-(?:old-)?[0-9a-f]{8}\Z")


def _broken(snapshot: Snapshot) -> Iterator[Finding]:
    seen = snapshot.environment
    if seen is None or not seen.broken:
        return
    again = create_anew(seen)
    yield Finding(
        "broken_interpreter",
        Certainty.CERTAIN,
        f"the Python of {seen.path} does not run: {seen.broken[-1]}",
        tuple(Clue(seen.path, line[:300]) for line in seen.broken),
        (
            again,
            Fix(
                "Or put the Python back that it was made from, then refresh the links to it",
                (f"python3 -m venv --upgrade {folder_of(seen)}",),
            ),
        ),
        data={"said": list(seen.broken)},
    )


_OF_INCOMPLETE = (
    "tensorflow_missing",
    "tensorflow_remnants",
    "dependency_conflict",
    "damaged_install",
    "missing_cuda_library",
    "missing_cudnn",
    "wheel_rpath_bug",
    "wiring_lost",
    "ptxas_libdevice_missing",
)
"""Where not everything is in its place, any of these may follow."""


def _incomplete(snapshot: Snapshot) -> Iterator[Finding]:
    seen = snapshot.environment
    if seen is not None and seen.cut_off:
        yield _cut_off(seen)
        return
    if seen is None or seen.record != "incomplete":
        return
    path = PurePosixPath(seen.path)
    match = _BUILDING.match(path.name)
    if match:
        target = path.with_name(match["name"])
        what = f"{seen.path} is what an interrupted create left beside {target}"
        fixes: tuple[Fix, ...] = (
            Fix(
                "Run the create again; it clears away what the interrupted one left",
                (f"tfgpu-provision create {target}",),
            ),
        )
    else:
        what = f"{seen.path} has no readable record of its creation, which is written last"
        fixes = (create_anew(seen), *_finished(seen))
    yield Finding(
        "environment_incomplete",
        Certainty.CERTAIN,
        what,
        (Clue(f"{seen.path}/.tfgpu", "no environment.json that can be read"),),
        fixes,
        explains=_OF_INCOMPLETE,
    )


def _cut_off(seen: EnvironmentFacts) -> Finding:
    """Return what a repair that was cut off has left: some files may be new and some old, and nothing is proved."""
    return Finding(
        "environment_incomplete",
        Certainty.CERTAIN,
        f"{seen.cut_off}: it is neither as it was before nor known to be better",
        (Clue(f"{seen.path}/.tfgpu/repairs", seen.cut_off),),
        (
            Fix("Walk the repair back", (f"tfgpu-provision repair --undo {folder_of(seen)}",)),
            Fix("Or finish it", (f"tfgpu-provision repair --resume {folder_of(seen)}",)),
        ),
        explains=_OF_INCOMPLETE,
    )


def _finished(seen: EnvironmentFacts) -> tuple[Fix, ...]:
    """Return how an interrupted creation is brought to its end, or stops to count as one where nobody knows how."""
    if seen.env is None:
        return ()
    if seen.unfinished is None:
        what = "Take its record away, which cannot be read: it is an environment like others then"
        return (fix(seen, what, Remove((f"{seen.path}/{RECORD_FOLDER}/environment.json",))),)
    missing = (Install(seen.unfinished, alone=True),) if seen.unfinished else ()
    what = "Install what its lock names and it does not have, wire it, and write its record"
    # Only repair writes a record; the packages alone would leave it as unfinished as it is.
    return (Fix(what, (f"tfgpu-provision repair {folder_of(seen)}",), steps=(*missing, Wire())),)


def _moved(snapshot: Snapshot) -> Iterator[Finding]:
    """A moved environment runs when it is called by its path; its scripts and its activation do not."""
    seen = snapshot.environment
    if seen is None or seen.record != "moved":
        return
    active = snapshot.variables.get("VIRTUAL_ENV") == seen.recorded_prefix
    clues = [Clue(f"{seen.path}/bin", f"its scripts start {seen.recorded_prefix}/bin/python, which is gone")]
    if active:
        clues.append(Clue("variable VIRTUAL_ENV", seen.recorded_prefix))
    yield Finding(
        "environment_moved",
        Certainty.CERTAIN if active else Certainty.POSSIBLE,
        f"it was made at {seen.recorded_prefix} and stands at {seen.path} now",
        tuple(clues),
        (
            Fix("Move it back", (f"mv {folder_of(seen)} {seen.recorded_prefix}",)),
            fix(seen, "Let its scripts name the place where it stands now", Relocate(seen.recorded_prefix)),
            create_anew(seen, seen.distribution.version if seen.distribution else ""),
        ),
        data={"found": seen.path, "built": seen.recorded_prefix},
    )


def _python_version(snapshot: Snapshot) -> Iterator[Finding]:
    seen = snapshot.environment
    if seen is None or seen.env is None or seen.python is None:
        return
    why, certainty, clue = _wrong_python(seen, snapshot.matrix)
    if not why:
        return
    release = seen.distribution.version if seen.distribution else ""
    row = seen.row or newest_row(snapshot.matrix, None)
    fixes = []
    if row is not None:
        wanted, tf = row.pythons[-1], release or row.release
        fixes.append(
            Fix(
                f"Make the environment with Python {wanted}",
                (f"tfgpu-provision create {folder_of(seen)} --tf {tf} --python {wanted} --replace",),
            )
        )
    yield Finding(
        "python_version_unsupported",
        certainty,
        why,
        (Clue(str(seen.env.python), f"{seen.implementation} {seen.python}{seen.abiflags}"), clue),
        tuple(fixes),
        explains=("tensorflow_missing", "dependency_conflict"),
        data={"found": seen.python.text, "needs": [item.text for item in row.pythons] if row else []},
    )


def _wrong_python(seen: EnvironmentFacts, matrix: Matrix) -> tuple[str, Certainty, Clue]:
    """Return why no wheel of TensorFlow fits this Python, empty where one does or nobody knows."""
    none = ("", Certainty.POSSIBLE, Clue("", ""))
    python = seen.python
    if python is None:
        return none
    newest = newest_row(matrix, None)
    series = sorted({item for row in matrix.rows for item in row.pythons}, key=lambda item: item.parts)
    known = Clue("matrix", f"wheels for CPython {series[0]} to {series[-1]}") if series else Clue("matrix", "no row")
    if seen.implementation != "cpython":
        return (
            f"the wheels are for CPython; this is {seen.implementation} {python}",
            Certainty.CERTAIN,
            known,
        )
    if "t" in seen.abiflags:
        return f"the wheels are not for the free-threaded build of Python {python.series}", Certainty.CERTAIN, known
    tags = seen.wheel_tags
    if tags and not any(_fits(tag, python) for tag in tags):
        name = f"{seen.distribution.name} {seen.distribution.version}" if seen.distribution else "TensorFlow"
        said = Clue(f"WHEEL of {name}", ", ".join(tags)[:300])
        return f"{name} was built for {tags[0].split('-')[0]}, this is Python {python}", Certainty.CERTAIN, said
    if seen.distribution is None and not seen.tensorflow and series and newest is not None:
        if python.series > series[-1]:
            why = f"no release that is known has a wheel for Python {python.series}; the newest is for {series[-1]}"
            return why, Certainty.LIKELY, known
        if python.series < series[0]:
            return f"no release that is known has a wheel for Python {python.series}", Certainty.LIKELY, known
    return none


def _fits(tag: str, python: PythonVersion) -> bool:
    interpreter, _, rest = tag.partition("-")
    own = f"cp{python.major}{python.minor}"
    return any(
        item in (own, f"py{python.major}", f"py{python.major}{python.minor}") for item in interpreter.split(".")
    ) or (rest.startswith("abi3"))


def _old_glibc(snapshot: Snapshot) -> Iterator[Finding]:
    """The C library of the system is older than the wheel's platform tag admits."""
    seen = snapshot.environment
    if seen is None or seen.distribution is None:
        return
    row = seen.row
    release = f"{seen.distribution.name} {seen.distribution.version}"
    if row and seen.glibc and seen.glibc < row.glibc and seen.distribution.installer != "conda" and seen.wheel_tags:
        older = [item for item in snapshot.matrix.rows if item.sets and item.glibc <= seen.glibc]
        best = max(older, key=lambda item: item.release.release, default=None)
        fixes = [Fix("Use a newer operating system, or a container of one")]
        if best is not None:
            fixes.insert(0, create_anew(seen, best.release.text))
        yield Finding(
            "glibc_too_old",
            Certainty.CERTAIN,
            f"{release} needs glibc {row.glibc}; this system has {seen.glibc}",
            (
                Clue("C library", f"glibc {seen.glibc}"),
                Clue(f"{snapshot.matrix.path}:{row.line}", f"{row.platform}: glibc {row.glibc}"),
            ),
            tuple(fixes),
            data={"needs": row.glibc.text, "found": seen.glibc.text},
        )


def _old_cxx(snapshot: Snapshot) -> Iterator[Finding]:
    """A C++ library that stands before the system's is older than TensorFlow's libraries ask for."""
    seen = snapshot.environment
    cxx = seen.cxx if seen else None
    if seen is None or cxx is None:
        return
    short = [kind for kind, wanted in cxx.needs.items() if _older(cxx.has.get(kind, "0"), wanted)]
    if not short:
        return
    kind = short[0]
    has = f"{kind}_{cxx.has.get(kind, '?')}"
    fixes: tuple[Fix, ...]
    if cxx.why == "conda":
        fixes = (fix(seen, "Update the C++ library of the environment", CondaInstall(("libstdcxx-ng",))),)
    else:
        command = f"env -u LD_LIBRARY_PATH {python_of(seen)} your_script.py"
        fixes = (
            Fix("Take the folder out of LD_LIBRARY_PATH; for one command", (command,)),
            *taken_out(seen, "LD_LIBRARY_PATH", str(PurePosixPath(cxx.path).parent)),
        )
    yield Finding(
        "glibc_too_old",
        Certainty.LIKELY if cxx.why == "conda" else Certainty.CERTAIN,
        f"{cxx.needed_by} needs {kind}_{cxx.needs[kind]}; {cxx.path}, found first ({cxx.why}), has up to {has}",
        (Clue(cxx.path, f"newest: {has}"), Clue(cxx.needed_by, f"asks for {kind}_{cxx.needs[kind]}")),
        fixes,
        data={"needs": dict(cxx.needs), "found": dict(cxx.has), "libraries": [cxx.path]},
    )


def _older(one: str, other: str) -> bool:
    return Dotted(one) < Dotted(other)


CHECKS: tuple[Check, ...] = (
    Check(("broken_interpreter",), _broken),
    Check(("environment_incomplete",), _incomplete),
    Check(("environment_moved",), _moved),
    Check(("python_version_unsupported",), _python_version),
    Check(("glibc_too_old",), _old_glibc),
    Check(("glibc_too_old",), _old_cxx),
)
