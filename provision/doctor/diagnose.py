"""A snapshot → the diagnosis: run every check, make one finding of what speaks of one cause, and rank them."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from provision.doctor.causes import CAUSES
from provision.doctor.check import Check
from provision.doctor.checks import CHECKS
from provision.doctor.facts import facts_of, noise_of
from provision.doctor.lines import lines_of
from provision.doctor.open_questions import Question, questions
from provision.model.doctor import Cause, Certainty, Clue, Diagnosis, Effect, Finding, Fix, Role, Unsure
from provision.model.snapshot import Snapshot

_SURENESS = {Certainty.CERTAIN: 0, Certainty.LIKELY: 1, Certainty.POSSIBLE: 2}
_MOST_CLUES = 40
_MOST_NAMED = 3
FROM_LOG = "log"
"""The source of every clue that a log gave."""


def diagnose(snapshot: Snapshot, *, subject: str, only: Collection[str] = ()) -> Diagnosis:
    """Return what is wrong, ranked, and what could not be told; pure.

    Args:
        snapshot: what was looked at.
        subject: how to call it.
        only: codes to look for; empty for all.
    """
    failed: list[Question] = []
    found = [item for item in _found(snapshot, only, failed) if not only or item.code in only]
    findings = _with_answer(ranked(found), snapshot)
    # Who asks about one cause is not told what else nobody knows.
    open_ones = [*failed, *(() if only else questions(snapshot, findings))]
    wrong = [item for item in findings if item.is_fault]
    primary = next((item for item in findings if item.role is Role.PRIMARY), None)
    sound = not wrong and not any(item.decides for item in open_ones)
    return Diagnosis(
        subject=subject,
        primary=primary,
        findings=findings,
        unsure=tuple(item.unsure for item in open_ones),
        lines=lines_of(snapshot, findings),
        sound=sound,
        summary=_summary(subject, findings, open_ones, only),
        facts=facts_of(snapshot),
        noise=noise_of(snapshot),
    )


def _with_answer(findings: tuple[Finding, ...], snapshot: Snapshot) -> tuple[Finding, ...]:
    """Return the findings with a first one where a log alone says that there is no GPU, which is what explains it."""
    alone = snapshot.log is not None and snapshot.environment is None and snapshot.host is None
    if not alone or not findings or findings[0].role is not Role.HARMLESS:
        return findings
    answer = next((item for item in findings if item.code == "cpu_only_machine"), None)
    if answer is None or answer.certainty is Certainty.POSSIBLE:
        return findings
    return (dataclasses.replace(answer, role=Role.PRIMARY), *(item for item in findings if item is not answer))


def ranked(found: Iterable[Finding], causes: Mapping[str, Cause] = CAUSES) -> tuple[Finding, ...]:
    """Return one finding for each code, with its row of the table and its place: primary, contributing, harmless.

    Nearest to the root comes first. What another finding says it explains is no root, neither is what only fits
    (``possible``) and what does no harm.
    """
    groups: dict[str, list[Finding]] = {}
    for item in found:
        groups.setdefault(item.code, []).append(item)
    filled = [_filled(_merged(group), causes[code]) for code, group in groups.items()]
    filled.sort(key=lambda item: _place(item, causes[item.code]))
    explained = _explained(filled)
    harmless = [dataclasses.replace(item, role=Role.HARMLESS) for item in filled if _harmless(item)]
    faults = [item for item in filled if not _harmless(item)]
    sure = [item for item in faults if item.certainty is not Certainty.POSSIBLE]
    # Findings that explain one another in a ring have no root among them: the deepest of them stands for it.
    root = next((item for item in sure if item.code not in explained), sure[0] if sure else None)
    others = [dataclasses.replace(item, role=Role.CONTRIBUTING) for item in faults if item is not root]
    others.sort(key=lambda item: item.certainty is Certainty.POSSIBLE)
    first = [dataclasses.replace(root, role=Role.PRIMARY)] if root else []
    return (*first, *others, *harmless)


def _found(snapshot: Snapshot, only: Collection[str], failed: list[Question]) -> Iterator[Finding]:
    """Yield what every check finds, and the log; a check that fails is noted and keeps no other from its answer."""
    for check in (*CHECKS, *_of_log(snapshot)):
        if only and not set(check.codes) & set(only):
            continue
        try:
            items = tuple(check.run(snapshot))
            unknown = [item.code for item in items if item.code not in CAUSES or not item.evidence]
            if unknown:
                failed.append(_bug(check, f"{unknown[0]} is in no table, or was found without evidence"))
            yield from (item for item in items if item.code not in unknown)
        except Exception as error:  # noqa: BLE001 - one wrong check must not take the other answers with it
            failed.append(_bug(check, f"{type(error).__name__}: {error}"))


def _bug(check: Check, why: str) -> Question:
    names = ", ".join(check.codes[:_MOST_NAMED]) + (" …" if len(check.codes) > _MOST_NAMED else "")
    return Question(
        Unsure(f"whether there is {names}: a check failed, which is a bug of this tool: {why}"), decides=True
    )


def _of_log(snapshot: Snapshot) -> tuple[Check, ...]:
    """Return the rules of logs as one check; their tables are only compiled where there is a log."""
    if snapshot.log is None:
        return ()
    from provision.doctor.log import rules  # noqa: PLC0415 - see above

    return (Check(rules.CODES, rules.findings),)


def _merged(group: Sequence[Finding]) -> Finding:
    """Return one finding of several of one code; files, loader and driver speak before a log."""
    best = min(group, key=lambda item: (_only_log(item), _SURENESS[item.certainty]))
    if len(group) == 1:
        return best
    rest = [item for item in group if item is not best]
    clues: dict[Clue, None] = dict.fromkeys(clue for item in (best, *rest) for clue in item.evidence)
    fixes: dict[tuple[str, ...], Fix] = {}
    for item in (best, *rest):
        for fix in item.fixes:
            fixes.setdefault(fix.commands or (fix.what,), fix)
    data = {key: value for item in (*reversed(rest), best) for key, value in item.data.items()}
    return dataclasses.replace(
        best,
        certainty=min((item.certainty for item in group), key=_SURENESS.__getitem__),
        evidence=tuple(clues)[:_MOST_CLUES],
        fixes=tuple(fixes.values()),
        explains=tuple(dict.fromkeys(code for item in (best, *rest) for code in item.explains)),
        data=data,
        parts=tuple(group),
    )


def _only_log(finding: Finding) -> bool:
    return all(clue.source == FROM_LOG for clue in finding.evidence)


def _filled(finding: Finding, cause: Cause) -> Finding:
    return dataclasses.replace(
        finding,
        title=cause.title,
        category=cause.category,
        explanation=cause.explanation,
        effect=cause.effect,
        repairable=cause.repairable,
    )


def _place(finding: Finding, cause: Cause) -> tuple[bool, int, int, int, str]:
    """Return what findings are sorted by: of equally deep and sure ones that of which more sources speak is first."""
    sources = len({clue.source for clue in finding.evidence})
    return (cause.effect is Effect.NONE, cause.depth, _SURENESS[finding.certainty], -sources, finding.code)


def _harmless(finding: Finding) -> bool:
    return finding.effect is Effect.NONE or finding.role is Role.HARMLESS


def _explained(findings: Sequence[Finding]) -> set[str]:
    """Return codes that another finding explains.

    Of two that explain one another the deeper one is the root. A log explains away nothing that was read here: it may
    be of yesterday.
    """
    places = {item.code: place for place, item in enumerate(findings)}
    explaining = [item for item in findings if not _harmless(item) and item.certainty is not Certainty.POSSIBLE]
    pairs = [(item, findings[places[code]]) for item in explaining for code in item.explains if code in places]
    return {
        what.code
        for item, what in pairs
        if what is not item
        and not (item.code in what.explains and places[what.code] < places[item.code])
        and not (_only_log(item) and not _only_log(what))
    }


def _summary(subject: str, findings: Sequence[Finding], open_ones: Sequence[Question], only: Collection[str]) -> str:
    if findings and findings[0].role is Role.PRIMARY:
        primary = findings[0]
        others = sum(item.is_fault for item in findings if item is not primary)
        more = f", and {others} more" if others else ""
        return f"{subject}: {primary.title} [{primary.code}]{more}"
    deciding = [item.unsure.what for item in open_ones if item.decides]
    if deciding:
        return f"{subject}: nothing wrong was found; cannot tell {deciding[0].partition(';')[0]}"
    if only:
        return f"{subject}: {', '.join(only)} {'was' if len(only) == 1 else 'were'} not found"
    return f"{subject}: nothing is wrong"
