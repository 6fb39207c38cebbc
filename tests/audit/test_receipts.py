"""Which receipts prove a row, and why the others do not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from audit.receipt_lab import MAPPED, computed, receipt
from hypothesis import given, settings
from hypothesis import strategies as st

import provision.verify
from provision.audit.receipts.held import certify
from provision.matrix import load
from provision.matrix.attach import attach
from provision.matrix.loading import read
from provision.matrix.tree import Problems
from provision.model.certified import Certified
from provision.model.level import Level
from provision.model.matrix import Matrix

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
MATRIX = load()
TEXT = Path(MATRIX.path).read_text()
SCHEMA = json.loads((Path(provision.verify.__file__).parent / "receipt.schema.json").read_text())
Spoil = Callable[[dict[str, Any]], Any]


def held(document: Any, matrix: Matrix = MATRIX) -> Certified:
    return certify("r.json", json.dumps(document).encode(), matrix, NOW)


def codes(document: Any, matrix: Matrix = MATRIX) -> set[str]:
    return {item.code for item in held(document, matrix).objections}


def changed(text: str) -> Matrix:
    problems = Problems("matrix")
    matrix = read(text.encode(), "matrix.yaml", problems)
    assert matrix is not None, problems.lines
    return matrix


def test_a_sound_receipt_measures_its_row() -> None:
    document = receipt(MATRIX, level=Level.TRAIN)
    jsonschema.validate(document, SCHEMA)
    found = held(document)
    assert (found.objections, found.known, found.release) == ((), False, "tensorflow==2.20.0")
    (one,) = found.measurements
    assert (one.gpu, one.compute_capability.text, one.driver.text) == ("NVIDIA H200", "9.0", "570.86.15")
    assert (one.level, one.date, one.library_set) == (Level.TRAIN, "2026-11-20", "cu125-cudnn93")


def test_each_model_of_gpu_is_measured_once() -> None:
    found = held(
        receipt(MATRIX, gpus=(("NVIDIA H200", "9.0"), ("NVIDIA A100-SXM4-40GB", "8.0"), ("NVIDIA H200", "9.0")))
    )
    assert [item.gpu for item in found.measurements] == ["NVIDIA H200", "NVIDIA A100-SXM4-40GB"]
    assert [item.ident[-2:] for item in found.measurements] == ["-1", "-2"]


def stage(document: dict[str, Any], level: str) -> dict[str, Any]:
    return next(item for item in document["stages"] if item["level"] == level)


def data(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = stage(document, "compute")["data"]["devices"][0]
    return found


FORGED: dict[str, tuple[str, Spoil]] = {
    "a word more": ("no-receipt", lambda it: it.update(note="trust me")),
    "no proof, proved": ("proves-nothing", lambda it: it.update(outcome="passed")),
    "a stage that failed": ("contradicts-itself", lambda it: stage(it, "import").update(status="failed", cause="hung")),
    "compute skipped": ("contradicts-itself", lambda it: stage(it, "compute").update(status="skipped")),
    "a stage left out": ("contradicts-itself", lambda it: it["stages"].pop(1)),
    "a level raised": ("contradicts-itself", lambda it: it.update(level="perf")),
    "a wrong product": ("contradicts-itself", lambda it: data(it)["modes"]["float32"].update(largest=0.5)),
    "TF32 where it was off": ("contradicts-itself", lambda it: data(it)["modes"]["float32"].update(rms=3e-4)),
    "too exact": ("contradicts-itself", lambda it: data(it)["modes"]["float32"].update(rms=0.0)),
    "on the CPU": ("contradicts-itself", lambda it: data(it).update(placed="/device:CPU:0")),
    "in no time": ("contradicts-itself", lambda it: data(it)["seconds"].update(start=0.0)),
    "another size": ("contradicts-itself", lambda it: data(it).update(size=4096)),
    "another GPU": ("contradicts-itself", lambda it: it["machine"]["gpus"][0].update(name="NVIDIA A100")),
    "not yet": ("contradicts-itself", lambda it: it.update(created="2027-01-01T00:00:00Z")),
    "before the release": ("contradicts-itself", lambda it: it.update(created="2020-01-01T00:00:00Z")),
    "no day": ("contradicts-itself", lambda it: it.update(created="2026-02-31T00:00:00Z")),
    "no driver in the process": (
        "contradicts-itself",
        lambda it: stage(it, "compute")["data"]["mapped"].update(outside=[]),
    ),
    "a driver too old for its CUDA": ("contradicts-itself", lambda it: it["machine"].update(driver_cuda="11.4")),
    "a driver too old for the GPU": ("contradicts-itself", lambda it: it["machine"].update(driver="450.80.02")),
    "no machine": ("redacted", lambda it: it.update(machine=None)),
    "no driver": ("redacted", lambda it: it["machine"].update(driver=None)),
    "a placeholder": ("redacted", lambda it: it["machine"]["gpus"][0].update(name="<user> H200")),
    "no capability": ("redacted", lambda it: it["machine"]["gpus"][0].update(compute_capability=None)),
    "no measurements": ("redacted", lambda it: stage(it, "compute").update(data={})),
    "another release": ("other-row", lambda it: it["matrix"].update(release="2.19.1")),
    "another row": ("other-row", lambda it: it["matrix"].update(row="0" * 64)),
    "another matrix, no row": ("other-row", lambda it: it["matrix"].update(row=None, sha256="0" * 64)),
    "another Python": ("other-row", lambda it: it["environment"].update(python="3.7.9")),
    "a release nobody knows": ("unknown-release", lambda it: it["environment"].update(tensorflow="2.99.0")),
    "a mixture": ("other-libraries", lambda it: it["matrix"].update(set=None)),
    "another set": ("other-libraries", lambda it: it["matrix"].update(set="cu118-cudnn86")),
    "another cuDNN": (
        "other-libraries",
        lambda it: it["environment"]["packages"].update({"nvidia-cudnn-cu12": "9.9.9.9"}),
    ),
    "no cuBLAS": ("other-libraries", lambda it: stage(it, "compute")["data"]["mapped"].update(inside=[])),
}


@pytest.mark.parametrize(("code", "spoil"), FORGED.values(), ids=FORGED)
def test_what_is_forged_redacted_or_of_something_else_is_refused(code: str, spoil: Spoil) -> None:
    document = receipt(MATRIX)
    assert codes(document) == set()
    spoil(document)
    found = held(document)
    assert code in {item.code for item in found.objections}
    assert found.measurements == ()


def test_what_proved_nothing_is_refused() -> None:
    assert codes(receipt(MATRIX, working=False)) == {"proves-nothing"}
    assert codes(receipt(MATRIX, level=Level.IMPORT)) == {"proves-nothing"}
    failed = receipt(MATRIX, devices=(computed(exact_product=False),))
    assert codes(failed) == {"proves-nothing"}
    lies = {**failed, "outcome": "proved", "proved": True}
    assert codes(lies) == {"contradicts-itself"}


def test_cards_without_tf32_do_not_use_it() -> None:
    card = (("NVIDIA GeForce GTX 1080 Ti", "6.1"),)
    exact = {"default": {"largest": 2e-7, "rms": 6e-7, "tf32": True}}
    assert codes(receipt(MATRIX, gpus=card)) == {"contradicts-itself"}
    assert codes(receipt(MATRIX, gpus=card, devices=(computed(modes=exact),))) == set()


def test_a_product_has_the_capability_that_it_has() -> None:
    assert codes(receipt(MATRIX, gpus=(("NVIDIA H200", "8.6"),))) == {"contradicts-itself"}


def test_a_library_of_the_system_in_place_of_the_sets() -> None:
    assert "other-libraries" in codes(receipt(MATRIX, mapped=(*MAPPED, "/usr/local/cuda/lib64/libcudnn.so.9")))


def test_a_name_that_verify_itself_took_out() -> None:
    """A user called nvidia: the scrubber cannot know that it stands for the maker."""
    assert codes(receipt(MATRIX, user="NVIDIA")) == {"redacted"}


def test_the_row_counts_and_not_the_whole_matrix() -> None:
    document = receipt(MATRIX)
    found = held(document)
    text = attach(TEXT, {found.release: found.measurements})
    again = changed(text)
    assert again.digest != MATRIX.digest
    assert held(document, again).known
    other = receipt(MATRIX, "2.19.1")
    assert codes(other, again) == set()
    row = TEXT.index("  tensorflow==2.20.0:\n")
    moved = TEXT[:row] + TEXT[row:].replace("    cudnn: 9.3\n", "    cudnn: 9.2\n", 1)
    assert moved != TEXT
    assert codes(document, changed(moved)) == {"other-row"}
    assert codes(other, changed(moved)) == set()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"nonsense",
        b"\xff\xfe",
        b'{"schema": NaN}',
        b'{"schema": 1, "schema": 1}',
        b"[" * 100_000,
        b'"' + b"x" * (5 << 20) + b'"',
        b"1" * 10_000,
    ],
)
def test_what_is_no_receipt_at_all(raw: bytes) -> None:
    found = certify("r.json", raw, MATRIX, NOW)
    assert [item.code for item in found.objections] == ["no-receipt"]
    assert len(found.objections[0].what) < 300


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, inner in items for found in ((*path, key), *places(inner, (*path, key)))]


SOUND = receipt(MATRIX)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(places(SOUND)),
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False) | st.just([]) | st.just({}),
)
def test_nothing_in_a_receipt_breaks_the_judge(path: tuple[Any, ...], value: Any) -> None:
    document = copy.deepcopy(SOUND)
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    found = held(document)
    assert bool(found.objections) != bool(found.measurements)
    if not jsonschema.Draft202012Validator(SCHEMA).is_valid(document):
        assert found.objections
    if found.measurements:
        changed(attach(TEXT, {found.release: found.measurements}))
