"""From stages to one verdict: never proved without `compute`, never success without a GPU."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.model.verdict import Level, Outcome, Stage, StageStatus
from provision.verify.verdict import conclude, skipped

P, F, S, C = StageStatus.PASSED, StageStatus.FAILED, StageStatus.SKIPPED, StageStatus.CANNOT_TELL


def stages(*statuses: StageStatus) -> tuple[Stage, ...]:
    return tuple(
        Stage(level, status, f"{level.value} says so", "" if status is P else "a-cause")
        for level, status in zip(Level, statuses, strict=False)
    )


@pytest.mark.parametrize(
    ("level", "statuses", "outcome", "last"),
    [
        (Level.GATE, (P,), Outcome.PASSED, "no GPU was proved: level gate needs none; what it checks is in order"),
        (
            Level.IMPORT,
            (P, P),
            Outcome.PASSED,
            "no GPU was proved: level import needs none; what it checks is in order",
        ),
        (Level.GATE, (F,), Outcome.FAILED, "no GPU was proved: gate failed: gate says so"),
        (Level.IMPORT, (F, P), Outcome.FAILED, "no GPU was proved: gate failed: gate says so"),
        (
            Level.IMPORT,
            (S, P),
            Outcome.PASSED,
            "no GPU was proved: level import needs none; what it checks is in order",
        ),
        (
            Level.DEVICE,
            (P, P, P),
            Outcome.PASSED,
            "no GPU was proved: TensorFlow lists it, which is weak proof; level compute proves",
        ),
        (Level.DEVICE, (P, P, C), Outcome.CANNOT_TELL, "no GPU was proved: device says so"),
        (Level.COMPUTE, (P, P, C, S), Outcome.CANNOT_TELL, "no GPU was proved: device says so"),
        (Level.COMPUTE, (P, P, P, P), Outcome.PROVED, "proved on a GPU: compute says so"),
        (Level.COMPUTE, (S, P, P, P), Outcome.PROVED, "proved on a GPU: compute says so"),
        (Level.COMPUTE, (P, P, P, F), Outcome.FAILED, "no GPU was proved: compute failed: compute says so"),
        (Level.COMPUTE, (P, P, P, S), Outcome.CANNOT_TELL, "no GPU was proved: the stage that proves one did not run"),
        (Level.TRAIN, (P, P, P, P, P), Outcome.PROVED, "proved on a GPU: compute says so"),
        (
            Level.TRAIN,
            (P, P, P, P, F),
            Outcome.FAILED,
            "a GPU was proved to compute, but train failed: train says so",
        ),
        (Level.PERF, (P, P, P, P, P, P), Outcome.PROVED, "proved on a GPU: compute says so"),
    ],
)
def test_table(level: Level, statuses: tuple[StageStatus, ...], outcome: Outcome, last: str) -> None:
    verdict = conclude(level, stages(*statuses), {})
    assert verdict.outcome is outcome
    assert verdict.summary == last
    assert verdict.proved is (outcome is Outcome.PROVED)


@given(st.sampled_from(list(Level)), st.data())
def test_laws(level: Level, data: st.DataObject) -> None:
    statuses = data.draw(st.tuples(*(st.sampled_from(list(StageStatus)) for _ in level.upto)))
    verdict = conclude(level, stages(*statuses), {})
    if F in statuses:
        assert verdict.outcome is Outcome.FAILED
    elif C in statuses:
        assert verdict.outcome is Outcome.CANNOT_TELL
    if verdict.proved:
        assert statuses[list(Level).index(Level.COMPUTE)] is P
        assert F not in statuses
        assert C not in statuses
    assert verdict.summary.startswith("proved on a GPU") is verdict.proved
    assert verdict.proved or verdict.summary.startswith(("no GPU was proved", "a GPU was proved to compute, but"))


def test_every_combination_of_three_stages_without_compute_is_unproved() -> None:
    for statuses in itertools.product(StageStatus, repeat=3):
        assert not conclude(Level.DEVICE, stages(*statuses), {}).proved


def test_a_skipped_stage_says_why() -> None:
    stage = skipped(Level.PERF, "not run: gate failed", "after-gate")
    assert (stage.status, stage.cause, stage.summary) == (S, "after-gate", "not run: gate failed")
