"""The matrix as a person reads it, or as JSON: all releases against a machine, or one with its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from provision.model.document import SCHEMA_VERSION, jsonable
from provision.model.facts import Certainty, Evidence
from provision.model.judged import Judged, MatrixList, MatrixShow
from provision.model.matrix import LibrarySet, Row, Unserved
from provision.model.plan import Plan, Refusal
from provision.plan.naming import machine_name
from provision.report.plan import refusal_lines
from provision.report.words import in_words


def verdict(answer: Plan | Refusal) -> str:
    """Return ``runs``, ``runs, with a caveat: …`` or ``cannot: …``."""
    codes = reason_codes(answer)
    if isinstance(answer, Refusal):
        return f"cannot: {in_words(codes[0]) if codes else 'refused'}"
    return f"runs, with a caveat: {in_words(codes[0])}" if codes else "runs"


def reason_codes(answer: Plan | Refusal) -> tuple[str, ...]:
    """Return the codes that decide: obstacles of a refusal, notable caveats of a plan."""
    if isinstance(answer, Refusal):
        return tuple(dict.fromkeys(reason.code for reason in answer.reasons))
    return tuple(dict.fromkeys(caveat.code for caveat in answer.caveats if caveat.notable))


def list_document(result: MatrixList) -> dict[str, Any]:
    """Return the JSON document of ``matrix list``."""
    return {
        "schema": SCHEMA_VERSION,
        "matrix": {"path": result.matrix.path, "sha256": result.matrix.digest},
        "described": result.host.described,
        "releases": [_line_document(judged) for judged in result.releases],
        "unserved": [_unserved_document(entry) for entry in result.matrix.unserved],
    }


def _line_document(judged: Judged) -> dict[str, Any]:
    row, answer = judged.row, judged.answer
    plan = answer if isinstance(answer, Plan) else None
    return {
        "release": row.release.text,
        "distribution": row.distribution,
        "released": row.released,
        "cuda": row.cuda.text,
        "cudnn": row.cudnn.text,
        "pythons": jsonable(row.pythons),
        "backends": list(_backends(row)),
        "outcome": answer.outcome,
        "verdict": verdict(answer),
        "codes": list(reason_codes(answer)),
        "python": plan.python.text if plan else None,
        "library_set": plan.library_set.ident if plan else None,
    }


def _backends(row: Row) -> Iterator[str]:
    """Yield the backends that serve a row."""
    if row.sets:
        yield "venv"
    if row.conda_sets:
        yield "conda"


def list_text(result: MatrixList) -> str:
    """Return every release on one line, newest first, then what is not served."""
    return "\n".join(_list_lines(result))


def _list_lines(result: MatrixList) -> Iterator[str]:
    where = machine_name(result.host)
    rows = [("TensorFlow", "CUDA", "cuDNN", "Python", "backends", where)]
    for judged in result.releases:
        row = judged.row
        pythons = f"{row.pythons[0]} to {row.pythons[-1]}" if len(row.pythons) > 1 else str(row.pythons[0])
        name = row.release.text if row.distribution == "tensorflow" else f"{row.distribution} {row.release}"
        rows.append((name, row.cuda.text, row.cudnn.text, pythons, _joined(_backends(row)), verdict(judged.answer)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row_cells in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row_cells, widths, strict=True)).rstrip()
    outcomes = [judged.answer.outcome for judged in result.releases]
    yield ""
    yield (
        f"{len(outcomes)} releases: {outcomes.count('ok')} run, {outcomes.count('caveat')} with a caveat, "
        f"{outcomes.count('refused')} cannot"
    )
    if result.matrix.unserved:
        yield ""
        yield "not served by any wheel (`tfgpu-provision matrix show NAME` says what would):"
        width = max(len(entry.ident) for entry in result.matrix.unserved)
        yield from (f"  {entry.ident:<{width}}  {entry.title}" for entry in result.matrix.unserved)


def show_document(result: MatrixShow) -> dict[str, Any]:
    """Return the JSON document of ``matrix show``: ``row`` and ``answer``, or ``unserved``."""
    found = result.found
    judged = found if isinstance(found, Judged) else None
    return {
        "schema": SCHEMA_VERSION,
        "matrix": {"path": result.matrix.path, "sha256": result.matrix.digest},
        "described": result.host.described,
        "row": jsonable(judged.row) if judged else None,
        "answer": _answer_document(judged.answer) if judged else None,
        "others": jsonable(result.others),
        "unserved": _unserved_document(found) if isinstance(found, Unserved) else None,
    }


def _answer_document(answer: Plan | Refusal) -> dict[str, Any]:
    return {
        "outcome": answer.outcome,
        "verdict": verdict(answer),
        "codes": list(reason_codes(answer)),
        "caveats": jsonable(answer.caveats) if isinstance(answer, Plan) else [],
        "reasons": jsonable(answer.reasons) if isinstance(answer, Refusal) else [],
    }


def _unserved_document(entry: Unserved) -> dict[str, Any]:
    document: dict[str, Any] = jsonable(entry)
    return document


def show_text(result: MatrixShow) -> str:
    """Return one release with everything the matrix says of it, each claim with how it is known."""
    found = result.found
    lines = _unserved_lines(found) if isinstance(found, Unserved) else _row_lines(result, found)
    return "\n".join(lines)


def _unserved_lines(entry: Unserved) -> Iterator[str]:
    yield f"{entry.title}: not served here"
    yield f"  why: {entry.why}"
    yield f"  instead: {entry.instead}"
    yield f"  known from: {_known(entry.evidence)}"


def _row_lines(result: MatrixShow, judged: Judged) -> Iterator[str]:
    row, answer = judged.row, judged.answer
    yield f"{row.requirement}, uploaded {row.released}"
    yield f"on {machine_name(result.host)}: {verdict(answer)}"
    if isinstance(answer, Refusal):
        yield from ("  " + line for line in list(refusal_lines(answer))[1:] if line)
    else:
        yield from (f"  {caveat.what}" for caveat in answer.caveats if caveat.notable)
    yield ""
    claims = list(_claims(row))
    width = max(len(name) for name, _, _ in claims)
    for name, text, group in claims:
        yield f"{name:<{width}}  {text}  ({row.certainty(group).value})"
    yield from _sets(row)
    if row.measurements:
        yield ""
        yield "measured (receipts of verify):"
        yield from (
            f"  {item.gpu} ({item.compute_capability}), driver {item.driver}: level {item.level.value}, "
            f"set {item.library_set}, {item.date}"
            for item in row.measurements
        )
    yield from _faults(row)
    yield ""
    yield "evidence:"
    groups: dict[Evidence, list[str]] = {}
    for group, evidence in row.evidence.items():
        groups.setdefault(evidence, []).append(group)
    for evidence, names in groups.items():
        yield f"  {', '.join(names)}: {_known(evidence)}"
    if result.others:
        yield ""
        yield f"also in the matrix: {', '.join(str(other) for other in result.others)}"


def _claims(row: Row) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and claim group of everything simple that a row says."""
    yield "Python", _joined(row.pythons), "python"
    yield "platform", f"{row.platform}, glibc {row.glibc} or newer", "platform"
    yield "CPU", _joined(row.cpu_features), "cpu"
    yield "built with", f"CUDA {row.cuda}", "build"
    yield "", f"cuDNN {row.cudnn}", "cudnn"
    yield "must open", _joined(row.gate), "gate"
    for purpose, sonames in row.optional.items():
        yield f"for {purpose}", " or ".join(sonames), "optional"
    yield "machine code", _joined(row.sass), "arch"
    yield "PTX", _joined(row.ptx) or "none", "arch"
    for modules in row.ptx_modules:
        beside = f"beside machine code for {_joined(modules.native)}" if modules.native else "alone"
        yield (
            "",
            f"{modules.count or 'some'} modules: sm_{modules.target.replace('.', '')}, ISA {modules.isa}, {beside}",
            "arch",
        )
    folders = (["its own folder"] if row.search.origin else []) + [f"nvidia/{name}" for name in row.search.nvidia]
    yield "searches", f"{_joined(folders, ', ') or 'nothing of its own'} ({row.search.kind})", "search"
    for asked, given in row.aliases.items():
        yield "alias", f"{asked} is answered by {given}", "aliases"
    yield (
        "XLA",
        "knows where the wheel keeps ptxas and libdevice" if row.xla_finds_wheels else "needs help to find them",
        "xla",
    )
    for constraint in row.constraints:
        yield "needs also", f"{constraint.requirement}: {constraint.why}", "constraints"


def _sets(row: Row) -> Iterator[str]:
    if row.sets:
        yield ""
        yield f"library sets, preferred first ({row.certainty('sets').value}):"
        yield from _set_lines(row.sets)
    if row.conda_sets:
        yield ""
        yield f"with `--backend conda`, preferred first ({row.certainty('conda').value}):"
        yield from _set_lines(row.conda_sets)


def _set_lines(sets: Sequence[LibrarySet]) -> Iterator[str]:
    for library_set in sets:
        last = f" to {library_set.last_cc}" if library_set.last_cc else " and later"
        yield (
            f"  {library_set.ident}: CUDA {library_set.cuda}, cuDNN {library_set.cudnn}, "
            f"compute capability {library_set.first_cc}{last}"
        )
        if library_set.note:
            yield f"    {library_set.note}"
        of = f" of {library_set.channel}" if library_set.channel else ""
        yield from (f"    {pin.requirement}" for pin in library_set.pins)
        yield from (f"    {pin.requirement}{of}" for pin in library_set.conda)


def _faults(row: Row) -> Iterator[str]:
    if row.source_only:
        yield ""
        yield "built from source, since no wheel was ever published:"
        yield from (f"  {item.name} {item.version}, sha256 {item.sha256}" for item in row.source_only)
    if row.faults:
        yield ""
        yield "known faults:"
    for fault in row.faults:
        yield f"  {fault.code}: {fault.what}"
        yield f"    {fault.handled or 'nothing can be done about it here'}"
        yield f"    known from: {_known(fault.evidence)}"


def _known(evidence: Evidence) -> str:
    derived = ", not tried on hardware" if evidence.certainty is Certainty.DERIVED else ""
    how = f": {evidence.how}" if evidence.how else ""
    return f"{evidence.certainty.value}{derived}, {evidence.source}, {evidence.date}{how}"


def _joined(values: Any, between: str = " ") -> str:
    return between.join(str(value) for value in values)
