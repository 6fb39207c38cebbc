"""Receipts of verify held against the matrix: which of them prove a row, and on which GPU.

A receipt is a file that anybody can write. It is not signed, so nobody can tell a careful forgery from the truth; what
is looked at is whether it says the same everywhere, whether its measurements can be (they are judged again, by the
rules of verify), and whether it is about this row. Whoever certifies answers for where the receipts come from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from provision.audit.receipts.form import ReceiptForm
from provision.audit.receipts.measured import Measured, driver_objections, measured_of
from provision.matrix.shape import PROVING
from provision.model.certified import Certified, Objection
from provision.model.level import Level
from provision.model.matrix import LibrarySet, Matrix, Row
from provision.model.measurement import Measurement
from provision.model.verdict import Stage, StageStatus
from provision.model.versions import ComputeCapability, DriverVersion, PythonVersion, TfVersion
from provision.verify.libraries import is_version
from provision.verify.row_digest import row_digest
from provision.verify.verdict import conclude

LIMIT = 4 << 20
"""Bytes of a receipt; one of eight GPUs has some 60 KiB."""
_SHOWN = 60
_MOST_DIFFERENCES = 4
_IDENT = 12


def certify(file: str, data: bytes, matrix: Matrix, now: datetime) -> Certified:
    """Return what a receipt measures of the matrix, or every reason why it measures nothing.

    Args:
        file: its name, for the answer.
        data: its bytes.
        matrix: to whose rows it is to be attached.
        now: aware; a receipt from later is none.
    """
    try:
        document = _document(data)
        form = ReceiptForm.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:_SHOWN]
        return _refused(file, "no-receipt", f"it has not the form of a receipt: {where or 'it'}: {first['msg']}")
    except (ValueError, RecursionError) as error:
        return _refused(file, "no-receipt", f"it is not JSON: {str(error)[:_SHOWN]!a}")
    release, row, library_set = _row(form, matrix)
    found = measured_of(form)
    objections = [
        *_no_proof(form),
        *found.objections,
        *driver_objections(form, found, matrix),
        *_time(form, row, now),
        *_of_another(form, matrix, row, library_set),
        *(_libraries(form, library_set, found) if library_set else ()),
    ]
    if objections or row is None or library_set is None:
        return Certified(file, release, objections=tuple(dict.fromkeys(objections)))
    digest = hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return Certified(
        file,
        release,
        _measurements(form, row, library_set, found, digest),
        known=any(item.sha256 == digest for item in row.measurements),
    )


def _document(data: bytes) -> Any:
    if len(data) > LIMIT:
        msg = f"larger than {LIMIT} bytes"
        raise ValueError(msg)

    def refuse(word: str) -> None:
        msg = f"JSON has no {word}"
        raise ValueError(msg)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            msg = "a key stands twice"
            raise ValueError(msg)
        return dict(pairs)

    return json.loads(data.decode("utf-8"), parse_constant=refuse, object_pairs_hook=once)


def _refused(file: str, code: str, what: str) -> Certified:
    return Certified(file, objections=(Objection(code, what),))


def _row(form: ReceiptForm, matrix: Matrix) -> tuple[str, Row | None, LibrarySet | None]:
    """Return what was installed, its row, and the set that was compared with."""
    version, distribution = form.environment.tensorflow or "", form.environment.distribution or "tensorflow"
    try:
        release = TfVersion(version)
    except ValueError:
        return "", None, None
    # tensorflow and tensorflow-gpu of one release are the same build under two names.
    row = matrix.row(release, distribution) or matrix.row(release)
    sets = (*row.sets, *row.conda_sets) if row else ()
    named = next((item for item in sets if item.ident == form.matrix.set), None)
    return (row.requirement if row else f"{distribution}=={version}"[:_SHOWN]), row, named


def _no_proof(form: ReceiptForm) -> Iterator[Objection]:
    """What is not a proof by its own words, and what says so without having the stages of one."""
    if form.outcome != "proved" or not form.proved:
        words = "it claims a proof and" if form.proved else "it"
        yield Objection("proves-nothing", f"{words} ended with {form.outcome!r}: {form.summary[:_SHOWN]!a}")
        return
    level = Level(form.level)
    if level not in PROVING:
        yield Objection("proves-nothing", f"level {level.value} proves no GPU; compute is the least that does")
    if [stage.level for stage in form.stages] != [item.value for item in level.upto]:
        yield Objection("contradicts-itself", f"its stages are not those of level {level.value}")
        return
    stages = tuple(Stage(Level(item.level), StageStatus(item.status), item.summary, item.cause) for item in form.stages)
    if not conclude(level, stages, {}).proved:
        yield Objection("contradicts-itself", "it says that it proves a GPU, and its stages do not")
    if any(item.status == "passed" and item.cause for item in form.stages):
        yield Objection("contradicts-itself", "a stage that passed names the cause of a failure")


def _time(form: ReceiptForm, row: Row | None, now: datetime) -> Iterator[Objection]:
    try:
        created = datetime.fromisoformat(form.created.replace("Z", "+00:00"))
    except ValueError:
        yield Objection("contradicts-itself", f"{form.created} is no time")
        return
    if created > now:
        yield Objection("contradicts-itself", f"it was made at {form.created}, which has not come yet")
    if row is not None and form.created[:10] < row.released:
        yield Objection("contradicts-itself", f"{row.requirement} was uploaded on {row.released}, after the receipt")


def _of_another(
    form: ReceiptForm, matrix: Matrix, row: Row | None, library_set: LibrarySet | None
) -> Iterator[Objection]:
    """What is about another release, another set, or the row as it was before it was changed."""
    if row is None:
        named = f"{form.environment.distribution} {form.environment.tensorflow}"[:_SHOWN]
        yield Objection("unknown-release", f"the matrix has no row of {named!a}")
        return
    if form.matrix.release != row.release.text:
        said = str(form.matrix.release)[:_SHOWN]
        yield Objection("other-row", f"it was compared with the row {said!a}, and {row.requirement} was installed")
    if library_set is None:
        what = f"it holds the set {form.matrix.set[:_SHOWN]!a}" if form.matrix.set else "it holds no set of the matrix"
        yield Objection("other-libraries", f"{what}, and {row.requirement} has {_names(row)}")
        return
    same = matrix.digest == form.matrix.sha256 if form.matrix.row is None else None
    if same is False or (same is None and form.matrix.row != row_digest(row, library_set)):
        what = "what it was compared with is not what the matrix says today of the row and its set"
        yield Objection("other-row", f"{what}: measure again")
    python = PythonVersion.parse(form.environment.python)
    if python is None or (library_set.pins and python.series not in row.pythons):
        yield Objection("other-row", f"the row has no wheel for Python {form.environment.python[:_SHOWN]!a}")


def _libraries(form: ReceiptForm, library_set: LibrarySet, found: Measured) -> Iterator[Objection]:
    """Whether it was this set that computed: its packages installed, its files mapped and no others in their place."""
    packages = form.environment.packages
    wrong = [
        f"{pin.name} {packages.get(pin.name, 'is not installed')[:_SHOWN]}, the set has {pin.version}"
        for pin in library_set.pins
        if not is_version(packages.get(pin.name), pin.version)
    ]
    if wrong:
        more = f" and {len(wrong) - _MOST_DIFFERENCES} more" if len(wrong) > _MOST_DIFFERENCES else ""
        yield Objection("other-libraries", f"{'; '.join(wrong[:_MOST_DIFFERENCES])}{more}")
    if library_set.conda and form.environment.kind != "conda":
        yield Objection(
            "other-libraries", f"{library_set.ident} is of conda packages, and this is no conda environment"
        )
    if found.mapped is None:
        return
    tables = [pin.libraries for pin in library_set.pins] + [pin.libraries for pin in library_set.conda]
    own = {_stem(name) for table in tables for name in table}
    foreign = [path for path in found.mapped.outside if _stem(path) in own]
    if foreign:
        yield Objection("other-libraries", f"{foreign[0][:_SHOWN]!a} computed, which is not the environment's own")
    if not any(_stem(path).startswith("libcublas") for path in found.mapped.inside):
        yield Objection("other-libraries", "no cuBLAS of the environment was in the process that multiplied matrices")


def _measurements(
    form: ReceiptForm, row: Row, library_set: LibrarySet, found: Measured, digest: str
) -> tuple[Measurement, ...]:
    kinds = found.gpus
    return tuple(
        Measurement(
            ident=digest[:_IDENT] + (f"-{place}" if len(kinds) > 1 else ""),
            library_set=library_set.ident,
            gpu=name,
            compute_capability=ComputeCapability(capability),
            driver=DriverVersion(found.driver),
            level=Level(form.level),
            date=form.created[:10],
            python=PythonVersion(form.environment.python),
            tool=form.tool,
            row=row_digest(row, library_set),
            sha256=digest,
        )
        for place, (name, capability) in enumerate(kinds, 1)
    )


def _names(row: Row) -> str:
    return ", ".join(item.ident for item in (*row.sets, *row.conda_sets))


def _stem(path: str) -> str:
    return path.rsplit("/", 1)[-1].partition(".so")[0]
