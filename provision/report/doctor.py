"""A diagnosis as a person reads it, and as JSON."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from provision.doctor.causes import CAUSES
from provision.errors import ExitCode
from provision.model.doctor import Category, Cause, Certainty, Diagnosis, Effect, Finding, Fix, Noise, Role
from provision.model.document import SCHEMA_VERSION, jsonable
from provision.report.pages import page_path
from provision.report.words import printable

KIND = "tfgpu-diagnosis"
_WIDTH = 16
_TEXT = 100
_MOST_CLUES = 12
_MOST_NOISE = 12
_LONGEST = 200
_STATES = {"ok": "ok", "fault": "FAULT", "note": "note", "unknown": "unknown"}
_DIM, _BOLD, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"


def doctor_exit_code(diagnosis: Diagnosis) -> ExitCode:
    """Return 0 sound, 1 findings, 4 nothing wrong was found and something could not be told."""
    if diagnosis.primary is not None and diagnosis.primary.effect is not Effect.NONE:
        return ExitCode.CHECK_FAILED
    return ExitCode.DONE if diagnosis.sound else ExitCode.CANNOT_TELL


def doctor_document(diagnosis: Diagnosis, seconds: float) -> dict[str, Any]:
    """Return the JSON document (``provision/report/doctor.schema.json``); every key is there whatever the outcome."""
    findings = [finding_document(item) for item in diagnosis.findings]
    return {
        "schema": SCHEMA_VERSION,
        "kind": KIND,
        "subject": diagnosis.subject,
        "sound": diagnosis.sound,
        "summary": diagnosis.summary,
        "primary": findings[0] if diagnosis.primary is not None else None,
        "findings": findings,
        "unsure": jsonable(diagnosis.unsure),
        "lines": jsonable(diagnosis.lines),
        "noise": jsonable(diagnosis.noise),
        "facts": jsonable(diagnosis.facts),
        "seconds": round(seconds, 3),
        "exit_code": int(doctor_exit_code(diagnosis)),
    }


def causes_document(causes: Iterable[Cause] | None = None) -> dict[str, Any]:
    """Return the table of causes, or some of its rows."""
    rows = by_category() if causes is None else tuple(causes)
    return {"schema": SCHEMA_VERSION, "causes": [{**jsonable(item), "page": page_path(item.code)} for item in rows]}


def by_category() -> tuple[Cause, ...]:
    """Return every cause, in the order of the categories and within one from the root outwards."""
    places = {category: place for place, category in enumerate(Category)}
    return tuple(sorted(CAUSES.values(), key=lambda item: (places[item.category], item.depth, item.code)))


def causes_text() -> str:
    """Return every code with its title under its category."""
    width = max((len(code) for code in CAUSES), default=0)
    lines: list[str] = []
    last: Category | None = None
    for item in by_category():
        if item.category is not last:
            lines += [*([""] if lines else []), item.category.value]
            last = item.category
        mark = "*" if item.repairable else " "
        lines.append(f"  {item.code:<{width}} {mark} {item.title}")
    return "\n".join([*lines, "", "* can be removed inside the environment; --explain CODE says more"])


def doctor_text(diagnosis: Diagnosis, *, colour: bool = False) -> str:
    """Return one line for each category, the root cause in full, the rest shortly, and last the summary."""
    lines = [*_head(diagnosis)]
    if diagnosis.primary is not None:
        lines += ["", *_primary(diagnosis.primary, diagnosis.subject, colour=colour)]
    others = [item for item in diagnosis.findings if item.role is Role.CONTRIBUTING]
    if others:
        lines += ["", "also found:", *(f"  {_short(item)}" for item in others)]
    quiet = [*_harmless(diagnosis.findings), *_noise(diagnosis.noise)]
    if quiet:
        lines += ["", *(_styled(line, _DIM, colour=colour) for line in ("harmless:", *quiet))]
    if diagnosis.unsure:
        lines += ["", "could not be told:", *_unsure(diagnosis)]
    lines += ["", _styled(printable(diagnosis.summary), _BOLD, colour=colour)]
    return "\n".join(lines)


def _head(diagnosis: Diagnosis) -> Iterator[str]:
    yield printable(diagnosis.subject)
    for line in diagnosis.lines:
        yield f"  {line.category.value:<{_WIDTH}}{_STATES[line.state]:<8} {_cut(line.text)}"


def _primary(finding: Finding, subject: str, *, colour: bool) -> Iterator[str]:
    sure = "" if finding.certainty is Certainty.CERTAIN else f" ({finding.certainty.value})"
    word = "no fault" if finding.effect is Effect.NONE else "root cause"
    yield _styled(f"{word}{sure}: {finding.title} [{finding.code}]", _BOLD, colour=colour)
    yield from _wrapped(finding.summary)
    yield ""
    yield from _wrapped(finding.explanation)
    yield "  how it is known:"
    for clue in finding.evidence[:_MOST_CLUES]:
        place = clue.source if clue.line is None else f"{clue.source}, line {clue.line}"
        yield f"    {printable(place)}: {printable(clue.what)}"
    if len(finding.evidence) > _MOST_CLUES:
        yield f"    and {len(finding.evidence) - _MOST_CLUES} more, which --json shows"
    yield from _fixes(finding.fixes)
    if finding.repairable and any(fix.steps for fix in finding.fixes):
        yield "  or have it done, proved, and taken back if it does not help"
        yield f"    tfgpu-provision repair {shlex.quote(printable(subject))}"
    yield f"  more: tfgpu-provision doctor --explain {finding.code}"


def _fixes(fixes: Sequence[Fix]) -> Iterator[str]:
    for place, fix in enumerate(fixes):
        root = " (needs root)" if fix.root else ""
        yield f"  {'what to do' if place == 0 else 'or'}: {printable(fix.what)}{root}"
        yield from (f"    {printable(command)}" for command in fix.commands)


def _short(finding: Finding) -> str:
    sure = "" if finding.certainty is Certainty.CERTAIN else f" ({finding.certainty.value})"
    first = next((fix for fix in finding.fixes if fix.commands), None)
    todo = f"; {printable(first.commands[0])}" if first else ""
    return f"{_cut(finding.summary)}{sure} [{finding.code}]{todo}"


def _harmless(findings: Iterable[Finding]) -> Iterator[str]:
    yield from (f"  {_cut(item.summary)} [{item.code}]" for item in findings if item.role is Role.HARMLESS)


def _noise(noise: Sequence[Noise]) -> Iterator[str]:
    for item in noise[:_MOST_NOISE]:
        more = f", {item.times} times" if item.times > 1 else ""
        yield f"  line {item.line}{more}: {_cut(item.text, _TEXT)}"
        yield f"    {printable(item.meaning)}"
    if len(noise) > _MOST_NOISE:
        yield f"  and {len(noise) - _MOST_NOISE} more, which --json shows"


def _unsure(diagnosis: Diagnosis) -> Iterator[str]:
    for item in diagnosis.unsure:
        yield f"  {printable(item.what)}"
        if item.command:
            yield f"    {printable(item.command)}"


def _wrapped(text: str) -> Iterator[str]:
    yield from textwrap.wrap(printable(text), _TEXT, initial_indent="  ", subsequent_indent="  ")


def _cut(text: str, longest: int = _LONGEST) -> str:
    text = printable(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _styled(text: str, style: str, *, colour: bool) -> str:
    return f"{style}{text}{_PLAIN}" if colour else text


def finding_document(finding: Finding) -> dict[str, Any]:
    """Return one finding as JSON."""
    return {
        "code": finding.code,
        "title": finding.title,
        "category": jsonable(finding.category),
        "role": finding.role.value,
        "certainty": finding.certainty.value,
        "effect": finding.effect.value,
        "repairable": finding.repairable,
        "summary": finding.summary,
        "explanation": finding.explanation,
        "evidence": jsonable(finding.evidence),
        # Steps are for repair; in words they are the commands.
        "fixes": [{"what": fix.what, "commands": list(fix.commands), "root": fix.root} for fix in finding.fixes],
        "explains": list(finding.explains),
        "data": jsonable(finding.data),
        "page": page_path(finding.code),
    }
