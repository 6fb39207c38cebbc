"""The canonical form: one spelling, nothing lost, writing it again changes nothing."""

from __future__ import annotations

import random
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provision.errors import InvalidFileError
from provision.matrix import canonical, default_path
from provision.matrix.writer import natural

MINIMAL = (Path(__file__).parent / "minimal.yaml").read_text()


def plain(text: str) -> object:
    return yaml.load(text, yaml.BaseLoader)  # noqa: S506 - BaseLoader makes nothing but text


def test_the_shipped_matrix_is_canonical() -> None:
    text = default_path().read_text(encoding="utf-8")
    assert canonical(text) == text, "write it with `tfgpu-provision matrix format matrix.yaml`"


def test_the_minimal_matrix_is_canonical() -> None:
    again = canonical(MINIMAL)
    assert plain(again) == plain(MINIMAL)
    assert canonical(again) == again
    assert again.startswith("# A whole matrix, as small as one can be")


def shuffled(value: object, dice: random.Random) -> object:
    if isinstance(value, dict):
        items = [(key, shuffled(item, dice)) for key, item in value.items()]
        dice.shuffle(items)
        return dict(items)
    return [shuffled(item, dice) for item in value] if isinstance(value, list) else value


@given(
    seed=st.integers(0, 10_000), flow=st.sampled_from(["block", "flow", "mixed"]), width=st.sampled_from([20, 80, 1000])
)
@settings(max_examples=40, deadline=None)
def test_however_it_was_written_the_form_is_one(seed: int, flow: str, width: int) -> None:
    document = plain(canonical(MINIMAL))
    text = yaml.safe_dump(
        shuffled(document, random.Random(seed)),  # noqa: S311 - a shuffle that can be repeated
        default_flow_style={"block": False, "flow": True, "mixed": None}[flow],
        width=width,
        sort_keys=False,
        allow_unicode=True,
    )
    written = canonical(text)
    assert plain(written) == document
    assert canonical(written) == written
    bare = "".join(line for line in MINIMAL.splitlines(keepends=True) if not line.startswith("#"))
    assert written == canonical(bare)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_survives(text: str) -> None:
    document = {"evidence": {"page": {"source": text}}, "gpus": {"8.0": {"architecture": text}}}
    written = canonical(yaml.safe_dump(document, sort_keys=False))
    back = plain(written)
    assert isinstance(back, dict)
    assert back["evidence"]["page"]["source"] == text
    assert back["gpus"]["8.0"]["architecture"] == text, "also within braces"
    assert canonical(written) == written


@pytest.mark.parametrize("text", [f"0{first}{then}" for first in string.printable for then in "0 ?:#,"])
def test_every_printable_character_survives_within_braces(text: str) -> None:
    written = canonical(yaml.safe_dump({"gpus": {"8.0": {"architecture": text}}}))
    assert plain(written) == {"gpus": {"8.0": {"architecture": text}}}


def test_comments_stay_above_their_key() -> None:
    text = MINIMAL.replace("  cu118:\n", "  # the only one\n  # so far\n  cu118:\n").replace(
        "  520: {", "  # newest\n  520: {"
    )
    lines = canonical(text + "# the end\n").splitlines()
    place = lines.index("  cu118:")
    assert lines[place - 2 : place] == ["  # the only one", "  # so far"]
    assert lines[lines.index("  # newest") + 1].startswith("  520: {")
    assert lines[-1] == "# the end"


def test_unknown_keys_are_kept_after_the_known_ones() -> None:
    lines = canonical(MINIMAL.replace("schema: 1\n", "zebra: 1\nschema: 1\n")).splitlines()
    assert "schema: 1" in lines
    assert lines.index("zebra: 1") > lines.index("unserved:")


def test_rows_stand_in_the_order_of_their_versions() -> None:
    lines = canonical(MINIMAL).splitlines()
    assert lines.index("  tensorflow==2.9.3:") < lines.index("  tensorflow==2.10.0:")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2.9.3", "2.10.0"),
        ("a9", "a10"),
        ("450", "1000"),
        ("3.7", "5.0"),
        ("cu118-cudnn86", "cu125-cudnn93"),
        ("9", "a"),
    ],
)
def test_numbers_inside_names_count_as_numbers(first: str, second: str) -> None:
    assert natural(first) < natural(second)


@pytest.mark.parametrize("text", ["", "- a\n", "a: &b c\n", "a: [\n", "a: b\n---\nc: d\n"])
def test_what_is_no_matrix_has_no_form(text: str) -> None:
    with pytest.raises(InvalidFileError) as caught:
        canonical(text)
    assert caught.value.code == "invalid-matrix"
    assert caught.value.why
