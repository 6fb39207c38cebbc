"""The text form, from diagnoses made by hand."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import provision.report.doctor
from provision import matrix
from provision.doctor import diagnose as room
from provision.doctor.check import Check
from provision.doctor.diagnose import diagnose
from provision.errors import ExitCode
from provision.model.doctor import Category, Certainty, Clue, Diagnosis, Effect, Finding, Fix, Line, Noise, Role, Unsure
from provision.model.snapshot import Snapshot
from provision.report.doctor import doctor_document, doctor_exit_code, doctor_text

SCHEMA = json.loads(Path(provision.report.doctor.__file__).with_name("doctor.schema.json").read_text())
LIBRARY = Finding(
    "wheel_rpath_bug",
    Certainty.CERTAIN,
    "needs libcusolver.so.11, found none",
    (Clue("loader", "libcusolver.so.11: cannot open"), Clue("/env/x.log", "Cannot dlopen", 7)),
    (
        Fix("Put links where TensorFlow looks", ("tfgpu-provision wire /env",)),
        Fix("Ask whoever may", ("sudo ldconfig",), root=True),
    ),
    role=Role.PRIMARY,
    title="The libraries are not found",
    category=Category.CUDA,
    explanation="One. Two. Three.",
    repairable=True,
)
OTHER = dataclasses.replace(
    LIBRARY, code="driver_too_old", role=Role.CONTRIBUTING, certainty=Certainty.POSSIBLE, summary="the driver is 450"
)
QUIET = dataclasses.replace(
    LIBRARY, code="cpu_only_machine", role=Role.HARMLESS, effect=Effect.NONE, summary="no GPU is here"
)
WHOLE = Diagnosis(
    "/env",
    LIBRARY,
    (LIBRARY, OTHER, QUIET),
    (Unsure("whether it rains", "look out"),),
    (Line(Category.DRIVER, "ok", "535.183.06"), Line(Category.CUDA, "fault", "needs libcusolver.so.11, found none")),
    sound=False,
    summary="/env: The libraries are not found [wheel_rpath_bug]",
    facts={"machine": None, "environment": None, "planner": None, "log": None, "script": None, "deep": False},
    noise=(Noise(3, "Unable to register cuDNN factory", "two parts announce one plugin", 2),),
)


def test_text() -> None:
    assert doctor_text(WHOLE) == (
        "/env\n"
        "  driver          ok       535.183.06\n"
        "  cuda-libraries  FAULT    needs libcusolver.so.11, found none\n"
        "\n"
        "root cause: The libraries are not found [wheel_rpath_bug]\n"
        "  needs libcusolver.so.11, found none\n"
        "\n"
        "  One. Two. Three.\n"
        "  how it is known:\n"
        "    loader: libcusolver.so.11: cannot open\n"
        "    /env/x.log, line 7: Cannot dlopen\n"
        "  what to do: Put links where TensorFlow looks\n"
        "    tfgpu-provision wire /env\n"
        "  or: Ask whoever may (needs root)\n"
        "    sudo ldconfig\n"
        "  more: tfgpu-provision doctor --explain wheel_rpath_bug\n"
        "\n"
        "also found:\n"
        "  the driver is 450 (possible) [driver_too_old]; tfgpu-provision wire /env\n"
        "\n"
        "harmless:\n"
        "  no GPU is here [cpu_only_machine]\n"
        "  line 3, 2 times: Unable to register cuDNN factory\n"
        "    two parts announce one plugin\n"
        "\n"
        "could not be told:\n"
        "  whether it rains\n"
        "    look out\n"
        "\n"
        "/env: The libraries are not found [wheel_rpath_bug]"
    )


def test_colour_changes_no_word() -> None:
    coloured = doctor_text(WHOLE, colour=True)
    assert "\x1b[2m" in coloured
    for code in ("\x1b[2m", "\x1b[1m", "\x1b[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == doctor_text(WHOLE)


def test_document() -> None:
    document = doctor_document(WHOLE, 0.5)
    jsonschema.validate(document, SCHEMA)
    assert document["primary"] == document["findings"][0]
    assert [item["role"] for item in document["findings"]] == ["primary", "contributing", "harmless"]


@pytest.mark.parametrize(
    ("primary", "sound", "code"),
    [
        (LIBRARY, False, ExitCode.CHECK_FAILED),
        (None, True, ExitCode.DONE),
        (None, False, ExitCode.CANNOT_TELL),
    ],
)
def test_exit_codes(primary: Finding | None, sound: bool, code: ExitCode) -> None:  # noqa: FBT001
    assert doctor_exit_code(dataclasses.replace(WHOLE, primary=primary, sound=sound)) == code


@given(st.text())
def test_nothing_that_was_read_moves_the_cursor_or_makes_lines(text: str) -> None:
    finding = dataclasses.replace(
        LIBRARY, summary=f"x{text}", evidence=(Clue(text, text, 1),), fixes=(Fix(text, (text,)),)
    )
    plain = doctor_text(dataclasses.replace(WHOLE, primary=finding, findings=(finding,), noise=(Noise(1, text, text),)))
    assert all(line.isprintable() for line in plain.split("\n"))
    assert "how it is known:" in plain


def test_a_check_that_fails_is_named_and_keeps_no_other_from_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def bad(_: Snapshot) -> Iterator[Finding]:
        raise ZeroDivisionError("oops")
        yield

    checks = (
        Check(("driver_missing",), bad),
        Check(
            ("driver_too_old",),
            lambda _: iter([Finding("not_in_the_table", Certainty.CERTAIN, "x", (Clue("a", "b"),))]),
        ),
        Check(("driver_hung",), lambda _: iter([Finding("driver_hung", Certainty.CERTAIN, "x", ())])),
        Check(("wheel_rpath_bug",), lambda _: iter([LIBRARY])),
    )
    monkeypatch.setattr(room, "CHECKS", checks)
    found = diagnose(Snapshot(matrix.load()), subject="x")
    assert [item.code for item in found.findings] == ["wheel_rpath_bug"]
    assert sum("bug of this tool" in item.what for item in found.unsure) == 3
    assert any("ZeroDivisionError: oops" in item.what for item in found.unsure)
    assert not found.sound
