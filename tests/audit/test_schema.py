"""The JSON documents of audit and of receipts fit the schema that is published. TFGPU_UPDATE=1 writes it anew."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from audit.receipt_lab import receipt
from pydantic import TypeAdapter

import provision.report
from provision.audit.contents.wheel import wheel_facts
from provision.audit.matrix import audit_matrix
from provision.audit.reading.reader import Reader
from provision.audit.receipts.held import certify
from provision.matrix import load
from provision.model.audit import MatrixAudit, Proposal
from provision.model.certified import Certification
from provision.model.installed import InstalledFacts
from provision.model.measurement import Measurement
from provision.model.versions import Dotted, TfVersion
from provision.model.wheel import GuardFacts, WheelFacts
from provision.report.audit_env import env_document
from provision.report.audit_matrix import matrix_document
from provision.report.audit_propose import proposal_document
from provision.report.audit_wheel import wheel_document
from provision.report.certify import certify_document, receipts_document
from provision.system import System

KEPT = Path(provision.report.__file__).with_name("audit.schema.json")
TEXTS = {kind.__name__ for kind in (*Dotted.__subclasses__(), TfVersion)}
WORDS = {"type": "array", "items": {"type": "string"}}
SOME = {"type": ["string", "null"]}


def closed(properties: dict[str, Any], about: str = "") -> dict[str, Any]:
    """An object with exactly these keys."""
    said = {"description": about} if about else {}
    return {
        **said,
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def expected() -> dict[str, Any]:
    """The schema that follows from the dataclasses, with what the reports add to them."""
    defs: dict[str, Any] = {}
    for kind in (WheelFacts, MatrixAudit, Proposal, InstalledFacts, Certification, Measurement):
        made = TypeAdapter(kind).json_schema(mode="serialization", ref_template="#/$defs/{model}")
        defs |= made.pop("$defs", {})
        defs[kind.__name__] = made
    for name, item in defs.items():
        if name in TEXTS:
            defs[name] = {"type": "string"}
        elif "properties" in item:
            properties = {key: without_defaults(value) for key, value in item["properties"].items()}
            defs[name] = closed(properties, item.get("description", "").split("\n")[0])
        else:
            defs[name] = without_defaults(item)
            defs[name].pop("description", None)
    defs["Artifact"] = closed(
        {**defs["Artifact"]["properties"], "tags": WORDS, "pythons": WORDS, "platforms": WORDS, "glibc": SOME},
        "A wheel; what follows from its file name stands with it.",
    )
    needs = closed(dict.fromkeys(("GLIBC", "GLIBCXX", "CXXABI"), SOME))
    defs["FrameworkFacts"] = closed(
        {**defs["FrameworkFacts"]["properties"], "needs": needs}, defs["FrameworkFacts"]["description"]
    )
    counts = {verdict: {"type": "integer", "minimum": 0} for verdict in defs["ClaimVerdict"]["enum"]}
    listed = closed(
        {
            "release": {"type": "string"},
            "distribution": {"type": "string"},
            "known": {"enum": ["measured", "outdated", "derived"]},
            "receipts": {
                "type": "array",
                "items": closed({**defs["Measurement"]["properties"], "holds": {"type": "boolean"}}),
            },
        }
    )
    head = {"schema": {"const": 1}}
    code = {"exit_code": {"enum": [0, 1, 3, 4]}}

    def document(kind: str, **more: Any) -> dict[str, Any]:
        return closed({**head, **defs[kind]["properties"], **more, **code})

    documents = {
        "wheel": ("audit wheel", document("WheelFacts")),
        "matrix": ("audit matrix", document("MatrixAudit", counts=closed(counts))),
        "propose": ("audit propose", document("Proposal", counts=closed(counts))),
        "env": ("audit env", document("InstalledFacts")),
        "certify": ("matrix certify", document("Certification")),
        "receipts": (
            "matrix list --receipts",
            closed(
                {
                    **head,
                    "matrix": closed({"path": {"type": "string"}, "sha256": {"type": "string"}}),
                    "releases": {"type": "array", "items": listed},
                }
            ),
        ),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What tfgpu-provision audit, matrix certify and matrix list --receipts print with --json",
        "oneOf": [{"title": title, "$ref": f"#/$defs/{name}-document"} for name, (title, _) in documents.items()],
        "$defs": {
            **{f"{name}-document": made for name, (_, made) in documents.items()},
            **dict(sorted(defs.items())),
        },
    }


def without_defaults(value: Any) -> Any:
    """A document has every key: defaults and titles say nothing about it."""
    if isinstance(value, dict):
        return {key: without_defaults(item) for key, item in value.items() if key not in {"default", "title"}}
    return [without_defaults(item) for item in value] if isinstance(value, list) else value


def test_the_kept_schema_is_in_step() -> None:
    text = json.dumps(expected(), indent=2, ensure_ascii=True) + "\n"
    if os.environ.get("TFGPU_UPDATE"):
        KEPT.write_text(text)
    assert KEPT.read_text() == text, "run this test with TFGPU_UPDATE=1"
    jsonschema.Draft202012Validator.check_schema(expected())


def fits(document: Any, name: str) -> None:
    jsonschema.validate(
        json.loads(json.dumps(document)), {**expected(), "oneOf": [{"$ref": f"#/$defs/{name}-document"}]}
    )
    jsonschema.validate(document, expected())


def test_documents_fit(reader: Reader, tensorflow: Path) -> None:
    facts = wheel_facts(reader, reader.locate(str(tensorflow)))
    fits(wheel_document(facts), "wheel")
    for guard in (GuardFacts(("sse", "avx")), GuardFacts(None, "it is stripped")):
        fits(wheel_document(dataclasses.replace(facts, guard=guard)), "wheel")
    fits(env_document(InstalledFacts("/env", "venv", "3.12.1", facts)), "env")
    fits(proposal_document(Proposal("tensorflow==2.99.0", "", "", facts, imported={"3.12": ""})), "propose")
    matrix = load()
    found = audit_matrix(reader, matrix, matrix.rows[-1:], lambda _: None)
    assert found.claims
    fits(matrix_document(found), "matrix")


@pytest.mark.parametrize("working", [True, False])
def test_receipts_fit(*, working: bool) -> None:
    matrix = load()
    one = certify("r.json", json.dumps(receipt(matrix, working=working)).encode(), matrix, System().now())
    fits(certify_document(Certification("matrix.yaml", (one,), "", written=False)), "certify")
    fits(receipts_document(matrix), "receipts")
