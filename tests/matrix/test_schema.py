"""The JSON Schema for editors follows the reader: what it admits and what it refuses."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from provision import matrix
from provision.matrix import default_path, schema

KEPT = Path(matrix.__file__).with_name("matrix.schema.json")
MINIMAL = (Path(__file__).parent / "minimal.yaml").read_text()


@pytest.fixture
def validator() -> Any:
    return jsonschema.Draft202012Validator(schema())


def test_the_kept_file_is_in_step() -> None:
    expected = json.dumps(schema(), indent=2, ensure_ascii=True) + "\n"
    assert KEPT.read_text(encoding="utf-8") == expected, "write it with `tfgpu-provision matrix schema`"


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", [default_path(), Path(__file__).parent / "minimal.yaml"], ids=["shipped", "minimal"])
@pytest.mark.parametrize("numbers", [False, True], ids=["as text", "as an editor reads it"])
def test_good_files_are_admitted(validator: Any, path: Path, *, numbers: bool) -> None:
    text = path.read_text(encoding="utf-8")
    loader = yaml.SafeLoader if numbers else yaml.BaseLoader
    document = json.loads(json.dumps(yaml.load(text, loader), default=str))  # noqa: S506 - both are safe loaders
    assert [error.message for error in validator.iter_errors(document)] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("evidence", "page", "kind"), "hearsay"),
        (("evidence", "page", "date"), "yesterday"),
        (("evidence", "page", "extra"), "x"),
        (("sets", "cu118", "pins", "nvidia-blue-cu11"), ">=11"),
        (("sets", "cu118", "gpus"), ["3.5", "9.0"]),
        (("gates", "eleven"), "libblue.dll"),
        (("wheels", "nvidia-blue-cu11", "folder"), "../etc"),
        (("search_paths", "runpath", "kind"), "PATH"),
        (("constraints", "numpy-1", "requirement"), "numpy @ https://example.org/x.whl"),
        (("releases", "tensorflow==2.9.3", "pythons"), "2.7"),
        (("releases", "tensorflow 2.9.3"), {}),
        (("sets", "conda-cu118", "conda", "blue"), "11.8.0 [url=x]"),
        (("sets", "conda-cu118", "channel"), "https://example.org/channel"),
        (("schema",), "2"),
    ],
)
def test_wrong_values_are_refused(validator: Any, path: tuple[str, ...], value: object) -> None:
    document = copy.deepcopy(yaml.load(MINIMAL, yaml.BaseLoader))  # noqa: S506 - BaseLoader makes nothing but text
    assert validator.is_valid(document)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert not validator.is_valid(document)


def test_a_missing_key_is_refused(validator: Any) -> None:
    document = yaml.load(MINIMAL, yaml.BaseLoader)  # noqa: S506 - BaseLoader makes nothing but text
    del document["releases"]["tensorflow==2.9.3"]["gate"]
    assert not validator.is_valid(document)
