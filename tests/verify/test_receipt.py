"""The document that is kept: its schema, and what must not be in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from verify.samples import gpu, host_of

import provision.verify
from provision.model.host import DriverState
from provision.model.verdict import Level, Stage, StageStatus
from provision.verify.receipt import Circumstances, Identity, Scrubber, receipt_document
from provision.verify.verdict import conclude

SCHEMA = json.loads((Path(provision.verify.__file__).parent / "receipt.schema.json").read_text())
WHO = Identity("/home/anna", "anna", "gpubox01")
ENVIRONMENT = {
    "kind": "venv",
    "managed": True,
    "prefix": "/home/anna/project/.venv",
    "python": "3.12.1",
    "tensorflow": "2.20.0",
    "distribution": "tensorflow",
}
AROUND = Circumstances(
    tool="0.1.0",
    when="2026-11-21T10:00:00Z",
    prefix="/home/anna/project/.venv",
    packages={"numpy": "2.3.0", "absl-py": "2.5.1"},
    lock_sha256="0" * 64,
    host=host_of(DriverState.WORKING, (gpu(uuid="GPU-1234"),)),
    row=None,
    library_set=None,
    matrix_digest="f" * 64,
    kept={"LD_LIBRARY_PATH": "/home/anna/lib:/home/bob/lib"},
    dropped={},
)
STAGES = (
    Stage(
        Level.GATE, StageStatus.PASSED, "all 7 found", data={"file": "/home/anna/project/.venv/lib/x.so"}, seconds=0.5
    ),
    Stage(Level.IMPORT, StageStatus.PASSED, "imports", details=("hostname: gpubox01", "read /home/anna/.cache/uv/x")),
    Stage(Level.DEVICE, StageStatus.CANNOT_TELL, "no GPU", "no-gpu"),
    Stage(Level.COMPUTE, StageStatus.SKIPPED, "not run: device could not be told", "after-device"),
)


def document(identity: Identity | None = WHO, stages: tuple[Stage, ...] = STAGES, **more: Any) -> dict[str, Any]:
    return receipt_document(conclude(Level.COMPUTE, stages, ENVIRONMENT), replace(AROUND, **more), identity)


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "stages",
    [
        STAGES,
        tuple(Stage(level, StageStatus.PASSED, "right") for level in Level.COMPUTE.upto),
        (Stage(Level.GATE, StageStatus.FAILED, "1 of 7 missing", "library-not-found", ("a", "b")),),
    ],
)
@pytest.mark.parametrize("identity", [WHO, None])
@pytest.mark.parametrize("host", [AROUND.host, None])
def test_every_receipt_fits_the_schema(stages: tuple[Stage, ...], identity: Identity | None, host: Any) -> None:
    made = document(identity, stages, host=host)
    jsonschema.validate(made, SCHEMA)
    json.dumps(made, allow_nan=False)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda made: made.pop("lock_sha256"),
        lambda made: made.update(user="anna"),
        lambda made: made.update(proved=True),
        lambda made: made.update(schema=2),
        lambda made: made["stages"][0].update(status="ok"),
        lambda made: made["stages"][0].update(cause="spaces are no code"),
        lambda made: made["stages"][0].update(status="failed", cause=""),
        lambda made: made["stages"].clear(),
        lambda made: made.update(created="yesterday"),
    ],
)
def test_the_schema_refuses_what_is_wrong(spoil: Any) -> None:
    made = document()
    spoil(made)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(made, SCHEMA)


def test_no_names_of_people_or_machines() -> None:
    text = json.dumps(document())
    for name in ("anna", "bob", "gpubox01", "GPU-1234", "/home/anna"):
        assert name not in text, name
    made = document()
    assert made["stages"][0]["data"]["file"] == "{env}/lib/x.so"
    assert made["stages"][1]["details"] == ["hostname: <host>", "read ~/.cache/uv/x"]
    assert made["variables"]["kept"]["LD_LIBRARY_PATH"] == "~/lib:/home/<user>/lib"
    assert "path" not in made["environment"]


def test_names_stay_where_they_were_asked_for() -> None:
    made = document(None)
    assert made["environment"]["path"] == "/home/anna/project/.venv"
    assert made["machine"]["gpus"][0]["uuid"] == "GPU-1234"
    assert made["stages"][1]["details"][0] == "hostname: gpubox01"
    assert made["stages"][0]["data"]["file"] == "{env}/lib/x.so"


def test_packages_are_sorted_and_the_verdict_is_there() -> None:
    made = document()
    assert list(made["environment"]["packages"]) == ["absl-py", "numpy"]
    assert (made["outcome"], made["proved"], made["level"]) == ("cannot-tell", False, "compute")
    assert made["machine"]["gpus"] == [
        {"name": "NVIDIA H200", "compute_capability": "9.0", "memory_mib": 143771, "mig": None}
    ]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/home/anna/project/.venv/bin/python", "{env}/bin/python"),
        ("/home/anna/project/.venv", "{env}"),
        ("/home/anna/project/.venv2/x", "~/project/.venv2/x"),
        ("/home/annabel/x", "/home/<user>/x"),
        ("user anna logged in", "user <user> logged in"),
        ("johanna stays", "johanna stays"),
        ("host gpubox01.example.org", "host <host>.example.org"),
        ("/dev/gpubox01x", "/dev/gpubox01x"),
        ("nothing here", "nothing here"),
    ],
)
def test_scrubbing(text: str, clean: str) -> None:
    assert Scrubber("/home/anna/project/.venv", WHO).text(text) == clean


def test_root_and_localhost_are_words_not_names() -> None:
    plain = Scrubber("/env", Identity("/srv/home0", "root", "localhost"))
    assert (
        plain.text("the root of localhost is /srv/home0/.cache, tensor/root")
        == "the root of localhost is ~/.cache, tensor/root"
    )


def test_a_prefix_of_nothing_is_not_replaced_everywhere() -> None:
    assert Scrubber("/", Identity("/", "", "")).text("/usr/lib") == "/usr/lib"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_scrubbing_keeps_the_shape(value: Any) -> None:
    plain = Scrubber("/env", WHO)
    once = plain.value(value)
    assert type(once) is type(value)
    assert plain.value(once) == once
