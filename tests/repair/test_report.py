"""What a user sees of repair: text, JSON, exit codes, for every outcome."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

import provision.report.repair
from provision.errors import ExitCode
from provision.model.created import Denial
from provision.model.doctor import Category, Certainty, Clue, Diagnosis, Finding, Fix, Role
from provision.model.level import Level
from provision.model.remedy import (
    CondaInstall,
    Install,
    PointKernel,
    Relocate,
    Remove,
    Step,
    Uninstall,
    Unset,
    Wire,
)
from provision.model.repair import (
    NOTHING,
    Entry,
    EntryState,
    PackageChange,
    Patch,
    PathChange,
    PathState,
    Repairing,
    RepairOutcome,
    RepairPlan,
    RepairResult,
)
from provision.model.verdict import Outcome, Stage, StageStatus, Verdict
from provision.report.repair import plan_text, repair_exit_code, repair_text
from provision.report.repair_document import repair_document
from provision.report.repair_steps import step_words

SCHEMA = json.loads(Path(provision.report.repair.__file__).with_name("repair.schema.json").read_text())
ENV = "/home/you/project/.venv"
STEPS: tuple[Step, ...] = (
    Install(("protobuf==3.20.3",)),
    Install(("numpy==1.26.4",), again=True),
    Uninstall(("tensorflow-cpu",)),
    CondaInstall(("cudnn=8.9",)),
    Wire(),
    Remove((f"{ENV}/lib/python3.12/site-packages/tensorflow.py",)),
    Relocate("/home/you/old"),
    Unset(f"{ENV}/bin/activate", "LD_LIBRARY_PATH"),
    PointKernel("/home/you/.local/share/jupyter/kernels/tf/kernel.json"),
)
DRIVER = Finding(
    "driver_too_old",
    Certainty.CERTAIN,
    "driver 470.57.02 is older than 525.60.13",
    (Clue("driver", "470.57.02"),),
    (Fix("Install a newer driver", ("apt-get install nvidia-driver-535", "reboot"), root=True),),
    role=Role.PRIMARY,
    title="The NVIDIA driver is too old",
    category=Category.DRIVER,
    explanation="An explanation.",
)
PLAN = RepairPlan((Repairing("protobuf_conflict", "protobuf 6 is too new", "Install one that fits", STEPS),), (DRIVER,))
SICK = Diagnosis(ENV, DRIVER, (DRIVER,), (), (), sound=False, summary="the driver is too old [driver_too_old]")
SOUND = Diagnosis(ENV, None, (), (), (), sound=True, summary="everything is in order")
PATCH = Patch((
    PathChange("bin/tool", NOTHING, PathState("file", 0o755, 3, "0" * 64)),
    PathChange("lib/gone", PathState("link", target="x"), NOTHING),
))  # fmt: skip
ENTRY = Entry(
    *("01234567", "2026-11-21T20:00:00Z", "0.1.0", EntryState.DONE, (("protobuf_conflict", "Install one that fits"),)),
    (PackageChange("protobuf", "6.0", "3.20.3"),),
    PATCH,
    5 << 20,
)
PASSED = Verdict(Outcome.PASSED, Level.IMPORT, (Stage(Level.IMPORT, StageStatus.PASSED, "it imports"),), "passed")
FAILED = replace(PASSED, outcome=Outcome.FAILED)
DONE = RepairResult(
    *(RepairOutcome.REPAIRED, ENV, PLAN, SICK, SOUND, PASSED, ENTRY.packages, PATCH, None, ENTRY),
    remarks=("12 python uses this environment now",),
    seconds={"apply": 1.25},
)
RESULTS = {
    "sound": (RepairResult(RepairOutcome.SOUND, ENV, RepairPlan(), SOUND), 0, "nothing to repair"),
    "planned": (RepairResult(RepairOutcome.PLANNED, ENV, PLAN, SICK), 1, f"repair --yes {ENV}`"),
    "dry": (replace(DONE, outcome=RepairOutcome.DRY_RUN, entry=None, after=None), 0, "nothing was changed"),
    "repaired": (DONE, 0, f"repair --undo {ENV} 01234567`"),
    "by hand": (replace(DONE, outcome=RepairOutcome.BY_HAND, after=SICK), 1, "apt-get install nvidia-driver-535"),
    "only by hand": (RepairResult(RepairOutcome.BY_HAND, ENV, RepairPlan((), (DRIVER,)), SICK), 1, "not repaired"),
    "refused": (
        RepairResult(RepairOutcome.REFUSED, ENV, denial=Denial("system-python", "it is a system's", ("why",), "hint")),
        3,
        "error: it is a system's [system-python]",
    ),
    "built": (
        RepairResult(RepairOutcome.BUILT, ENV, replace(PLAN, beside="2.21.0"), SICK, into="/home/you/new"),
        0,
        "/home/you/new/bin/python",
    ),
    "undone": (replace(DONE, outcome=RepairOutcome.UNDONE, plan=None), 0, "~ protobuf 3.20.3 -> 6.0"),
    "finished": (replace(DONE, outcome=RepairOutcome.FINISHED, plan=None), 0, "finished the repair that was cut off"),
    "finished badly": (replace(DONE, outcome=RepairOutcome.FINISHED, verdict=FAILED), 1, "cut off"),
    "history": (RepairResult(RepairOutcome.HISTORY, ENV, history=(ENTRY,)), 0, "in force; 2 paths, 1 packages, 5 MiB"),
    "no history": (RepairResult(RepairOutcome.HISTORY, ENV), 0, "no repairs"),
}  # fmt: skip


@pytest.mark.parametrize(("result", "code", "said"), RESULTS.values(), ids=RESULTS)
def test_every_outcome_has_its_words_its_code_and_its_document(result: RepairResult, code: int, said: str) -> None:
    assert said in repair_text(result)
    assert repair_exit_code(result) is ExitCode(code)
    document = json.loads(json.dumps(repair_document(result)))
    jsonschema.validate(document, SCHEMA)
    assert document["exit_code"] == code
    assert document["outcome"] == result.outcome.value


def test_every_outcome_is_tried_and_in_the_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert {result.outcome for result, _, _ in RESULTS.values()} == set(RepairOutcome)
    assert SCHEMA["properties"]["outcome"]["enum"] == [item.value for item in RepairOutcome]


def test_what_is_to_be_done_by_hand_comes_first_with_its_commands_and_how_to_check() -> None:
    lines = plan_text(RESULTS["planned"][0]).splitlines()
    places = [next(at for at, line in enumerate(lines) if part in line) for part in (
        "to be done by hand", "Install a newer driver (needs root)", "apt-get install", f"doctor {ENV}", "1. ",
        "protobuf 6 is too new", "repair: Install one that fits", "--undo",
    )]  # fmt: skip
    assert places == sorted(places)


def test_every_step_says_what_it_touches_in_one_line() -> None:
    text = plan_text(RESULTS["planned"][0])
    for step in STEPS:
        words = step_words(step, ENV)
        assert words in text
        assert "\n" not in words
        assert not words.endswith(".")
    assert "lib/python3.12/site-packages/tensorflow.py" in text
    assert f"removes {ENV}" not in text, "inside the environment a path is short"


def test_a_repair_that_carries_packages_over_names_them() -> None:
    plan = replace(PLAN, beside="2.21.0", carry=("pandas==2.2.0",), left_out=("mine 1.0 (editable)",))
    text = plan_text(RepairResult(RepairOutcome.PLANNED, ENV, plan, SICK, into="/home/you/new"))
    for part in ("/home/you/new", "2.21.0", "pandas==2.2.0", "mine 1.0 (editable)"):
        assert part in text
    assert "by hand" not in text, "what cannot be mended here is why there is another one"
    made = tuple(PackageChange(name, "", "1.0") for name in ("tensorflow", "pandas"))
    dry = RepairResult(RepairOutcome.DRY_RUN, ENV, plan, SICK, into="/home/you/new", packages=made)
    assert "would build beside: /home/you/new with TensorFlow 2.21.0, 2 packages" in repair_text(dry)
    assert f"repair --yes --into /home/you/new {ENV}" in repair_text(dry)


def test_where_the_driver_is_too_old_another_release_is_offered() -> None:
    text = plan_text(RepairResult(RepairOutcome.PLANNED, ENV, replace(PLAN, beside="2.14.1"), SICK))
    assert "TensorFlow 2.14.1 runs here" in text
    assert f"tfgpu-provision repair {ENV} --into PATH" in text


def test_names_from_files_cannot_write_to_the_terminal() -> None:
    wild = PackageChange("x", "", "1\x1b[31m")
    change = PathChange("lib/\x1b]0;title\x07", NOTHING, PathState("link", target="x"))
    text = repair_text(replace(DONE, packages=(wild,), patch=Patch((change,)), remarks=("a\x1bb",)))
    assert "\x1b" not in text
    assert "\x07" not in text
