"""When a repair is kept, and when it goes back."""

from __future__ import annotations

import dataclasses
from typing import Any

from provision.doctor.causes import CAUSES
from provision.model.doctor import Certainty, Clue, Diagnosis, Finding, Fix
from provision.model.level import Level
from provision.model.remedy import Install, Relocate, Step, Unset, Wire
from provision.model.repair import Repairing, RepairPlan
from provision.model.verdict import Outcome, Stage, StageStatus, Verdict
from provision.repair.better import complaint, needed_level

_NUMPY = Install(("numpy<2",))


def finding(code: str, *steps: Step, certainty: Certainty = Certainty.CERTAIN, **changes: Any) -> Finding:
    cause = CAUSES[code]
    fixes = (Fix("Do it", steps=steps),) if steps else (Fix("Do it by hand"),)
    made = Finding(code, certainty, f"{code} is so", (Clue("x", "y"),), fixes, effect=cause.effect)
    return dataclasses.replace(made, title=cause.title, category=cause.category, **changes)


def diagnosis(*findings: Finding) -> Diagnosis:
    return Diagnosis("env", next(iter(findings), None), findings, (), (), sound=not findings, summary="")


def verdict(level: Level = Level.IMPORT, cause: str = "") -> Verdict:
    status = StageStatus.FAILED if cause else StageStatus.PASSED
    outcome = Outcome.FAILED if cause else Outcome.PASSED
    return Verdict(outcome, level, (Stage(level, status, f"{level.value} ended", cause),), "")


def plan(*repaired: Finding, by_hand: tuple[Finding, ...] = ()) -> RepairPlan:
    repairs = (Repairing(item.code, item.summary, fix.what, fix.steps) for item in repaired for fix in item.fixes)
    return RepairPlan(tuple(repairs), by_hand)


NUMPY = finding("numpy_abi_conflict", _NUMPY)
LOST = finding("wiring_lost", Wire())
SOUND = diagnosis()


def test_what_is_gone_and_proved_is_kept() -> None:
    assert complaint(diagnosis(NUMPY), SOUND, verdict(), plan(NUMPY)) == ""
    assert complaint(diagnosis(NUMPY), SOUND, None, plan(NUMPY)) == ""


def test_the_loader_gate_proves_links_and_scripts_and_an_import_proves_packages() -> None:
    hidden = finding("visible_devices_hidden", Unset("/env/bin/activate", "CUDA_VISIBLE_DEVICES"))
    assert needed_level(plan(LOST, hidden)) is Level.GATE
    assert needed_level(plan(LOST, NUMPY)) is Level.IMPORT
    assert needed_level(plan(finding("environment_moved", Relocate("/old")))) is Level.IMPORT


def test_what_is_still_so_goes_back() -> None:
    assert "numpy_abi_conflict is so" in complaint(diagnosis(NUMPY), diagnosis(NUMPY), verdict(), plan(NUMPY))
    moved = finding("environment_moved", Relocate("/old"), certainty=Certainty.POSSIBLE)
    assert "[environment_moved]" in complaint(diagnosis(moved), diagnosis(moved), verdict(), plan(moved))


def test_what_was_only_possible_and_stays_is_no_complaint() -> None:
    possible = dataclasses.replace(NUMPY, certainty=Certainty.POSSIBLE)
    assert complaint(diagnosis(NUMPY), diagnosis(possible), verdict(), plan(NUMPY)) == ""


def test_the_variable_of_the_shell_that_repair_runs_in_is_no_complaint() -> None:
    inside = finding("visible_devices_hidden", Unset("/env/bin/activate", "CUDA_VISIBLE_DEVICES"))
    in_force = finding("visible_devices_hidden")
    both = dataclasses.replace(inside, parts=(inside, in_force))
    assert complaint(diagnosis(both), diagnosis(in_force), verdict(), plan(inside)) == ""
    assert complaint(diagnosis(both), diagnosis(both), verdict(), plan(inside)) != ""


def test_a_new_fault_as_bad_as_the_old_one_goes_back_and_a_lesser_one_was_hidden() -> None:
    worse = diagnosis(finding("protobuf_conflict", Install(("protobuf<5",))))
    assert "protobuf_conflict" in complaint(diagnosis(LOST), worse, verdict(), plan(LOST))
    assert "protobuf_conflict" in complaint(diagnosis(NUMPY), worse, verdict(), plan(NUMPY))
    assert complaint(diagnosis(NUMPY), diagnosis(LOST), verdict(), plan(NUMPY)) == ""
    # What was possible before and breaks now is new.
    possible = finding("protobuf_conflict", certainty=Certainty.POSSIBLE)
    assert "protobuf_conflict" in complaint(diagnosis(NUMPY, possible), worse, verdict(), plan(NUMPY))


def test_what_comes_and_goes_around_an_environment_is_not_the_repairs_doing() -> None:
    busy = diagnosis(finding("gpu_busy_other_process"), finding("driver_hung"))
    assert complaint(diagnosis(NUMPY), busy, verdict(), plan(NUMPY)) == ""


def test_a_level_that_fails_goes_back_unless_what_was_left_to_the_user_explains_it() -> None:
    failed = verdict(Level.IMPORT, "protobuf-mismatch")
    assert "import stage fails" in complaint(diagnosis(NUMPY), SOUND, failed, plan(NUMPY))
    assert "[protobuf_conflict]" in complaint(diagnosis(NUMPY), SOUND, failed, plan(NUMPY))
    shadow = finding("stale_import_shadow")
    left = plan(NUMPY, by_hand=(shadow,))
    assert complaint(diagnosis(NUMPY, shadow), diagnosis(shadow), failed, left) == ""
    # A missing driver does not keep TensorFlow from being imported, but its GPU from being listed.
    driver = finding("driver_missing")
    left = plan(NUMPY, by_hand=(driver,))
    assert complaint(diagnosis(driver, NUMPY), diagnosis(driver), failed, left) != ""
    unlisted = verdict(Level.DEVICE, "no-gpu-listed")
    assert complaint(diagnosis(driver, NUMPY), diagnosis(driver), unlisted, left) == ""
    assert complaint(diagnosis(NUMPY), SOUND, unlisted, plan(NUMPY)) != ""


def test_what_only_left_out_is_not_held_against_the_repair() -> None:
    protobuf = finding("protobuf_conflict", Install(("protobuf<5",)))
    failed = verdict(Level.IMPORT, "protobuf-mismatch")
    assert complaint(diagnosis(protobuf, LOST), diagnosis(protobuf), failed, plan(LOST)) == ""
