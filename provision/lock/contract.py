"""The GPU contract as data: `Contract` ⇄ a document of plain values that TOML and JSON can both hold.

It also carries what a requirements file has no other place for: which packages are built, and with what. No version of
a tool, no date and no path of a machine is in it, so that the same inputs give the same bytes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from packaging.version import InvalidVersion, Version

from provision.errors import UsageError
from provision.lock.refusing import bad
from provision.lock.tables import Table
from provision.model.lock import Contract, GpuFloor, Lock, Locked, LockRequest, normalised
from provision.model.versions import (
    ComputeCapability,
    CudaVersion,
    CudnnVersion,
    DriverVersion,
    GlibcVersion,
    PythonVersion,
    TfVersion,
)

SCHEMA = 1
"""Version of the document; another one is refused."""
CONTRACT_MARK = "# tfgpu-contract: "
"""What the comment line begins with that holds the document in formats without a place for it."""
MAX_CONTRACT = 64 << 10
"""Characters of that line."""
TARGET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\Z")
"""What the name of a target may be: it becomes part of a file name."""
SHA256 = re.compile(r"[0-9a-f]{64}\Z")

_WORD = re.compile(r"[a-z0-9][a-z0-9_.-]{0,79}\Z")
_DATE = re.compile(r"(?:\d{4}-\d{2}-\d{2})?\Z", re.ASCII)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?\Z")
_BACKENDS = ("venv", "conda")
_DISTRIBUTIONS = ("tensorflow", "tensorflow-gpu")
_CREDENTIALS = re.compile(r"://[^/\s?#]*@|://[^\s?#]*/t/[^/\s]+/")
"""``https://user:word@host`` and anaconda's ``/t/TOKEN/``."""


@dataclass(frozen=True)
class ContractParts:
    """What a contract document holds."""

    contract: Contract
    source_only: tuple[str, ...]
    build_tools: tuple[Locked, ...]


def contract_document(lock: Lock) -> dict[str, Any]:
    """Return the contract of ``lock`` as dicts, lists, text, booleans and numbers, without None, keys in fixed order.

    Raises:
        UsageError: code ``credentials-in-lock``, where what was asked for names an address with a password or token.
    """
    contract = lock.contract
    request = contract.request
    asked = (*request.requirements, *request.conda, *request.channels, contract.machine_text)
    if any(_CREDENTIALS.search(text) for text in asked):
        raise UsageError(
            "an address with credentials cannot stand in a lock",
            code="credentials-in-lock",
            why=("a lock is committed and read by others",),
            hint="leave them out of the address: uv, pip and conda read them from netrc and from their own settings",
        )
    return {
        "schema": SCHEMA,
        "request": {
            "tf": request.tf,
            "python": request.python,
            "requirements": list(request.requirements),
            "conda": list(request.conda),
            "channels": list(request.channels),
            "as_of": request.as_of,
            "allow_source": request.allow_source,
        },
        "target": contract.target,
        "machine_text": contract.machine_text,
        "made_for": [item.text for item in sorted(set(contract.made_for))],
        "without_gpu": contract.without_gpu,
        "backend": contract.backend,
        "distribution": contract.distribution,
        "release": contract.release.text,
        "python": contract.python.text,
        "library_set": contract.library_set,
        "cuda": contract.cuda.text,
        "cudnn": contract.cudnn.text,
        "driver_floor": contract.driver_floor.text,
        "gpus": [
            {"compute_capability": item.compute_capability.text, "driver": item.driver.text, "derived": item.derived}
            for item in sorted(contract.gpus, key=lambda item: item.compute_capability.parts)
        ],
        "system": contract.system,
        "machine": contract.machine,
        "glibc": contract.glibc.text,
        "cpu_features": sorted(set(contract.cpu_features)),
        "row_digest": contract.row_digest,
        "matrix_digest": contract.matrix_digest,
        "derived": sorted(set(contract.derived)),
        "source_only": sorted(set(lock.source_only)),
        "build_tools": [
            {"name": item.name, "version": item.version, "hashes": sorted(set(item.hashes))}
            for item in sorted(lock.build_tools, key=lambda item: item.name)
        ],
    }


def read_contract(document: object, where: str) -> ContractParts:
    """Read what `contract_document` gave, and nothing else.

    Args:
        document: plain values, as JSON and TOML give them.
        where: name of the file, for the error.

    Raises:
        InvalidFileError: code ``bad-lock``, naming the key: one that is not known or missing, a value of another type,
            a version that is none, text that is too long or cannot be printed, a list that is not in order.
    """
    top = Table(where, "contract", document)
    schema = top.get("schema", int)
    if schema != SCHEMA:
        raise top.wrong("schema", f"it is {schema}; this program reads {SCHEMA}", hint="update tfgpu-provision")
    asked = top.table("request")
    request = LockRequest(
        tf=asked.text("tf"),
        python=asked.text("python"),
        requirements=asked.texts("requirements"),
        conda=asked.texts("conda"),
        channels=asked.texts("channels"),
        as_of=asked.text("as_of", _DATE),
        allow_source=asked.get("allow_source", bool),
    )
    asked.finish()
    contract = Contract(
        request=request,
        target=top.text("target", re.compile(rf"(?:{TARGET_NAME.pattern})?\Z")),
        machine_text=top.text("machine_text"),
        made_for=top.ordered("made_for", ComputeCapability),
        without_gpu=top.get("without_gpu", bool),
        backend=top.one_of("backend", _BACKENDS),
        distribution=top.one_of("distribution", _DISTRIBUTIONS),
        release=top.parsed("release", TfVersion),
        python=top.parsed("python", PythonVersion),
        library_set=top.text("library_set", _WORD),
        cuda=top.parsed("cuda", CudaVersion),
        cudnn=top.parsed("cudnn", CudnnVersion),
        driver_floor=top.parsed("driver_floor", DriverVersion),
        gpus=tuple(_gpu_floor(item) for item in top.tables("gpus")),
        system=top.text("system", _WORD),
        machine=top.text("machine", _WORD),
        glibc=top.parsed("glibc", GlibcVersion),
        cpu_features=top.words("cpu_features", _WORD),
        row_digest=top.text("row_digest", SHA256),
        matrix_digest=top.text("matrix_digest", SHA256),
        derived=top.words("derived", _WORD),
    )
    parts = ContractParts(
        contract,
        source_only=top.words("source_only", _NAME),
        build_tools=tuple(_build_tool(item) for item in top.tables("build_tools")),
    )
    top.finish()
    _judge(parts, top)
    return parts


def contract_line(lock: Lock) -> str:
    """Return the comment line, in ASCII and without an end of line."""
    return CONTRACT_MARK + json.dumps(contract_document(lock), separators=(",", ":"))


def read_contract_line(line: str, where: str, number: int) -> ContractParts:
    """Read what `contract_line` gave.

    Raises:
        InvalidFileError: code ``bad-lock``: too long, no JSON, the same key twice, or as for `read_contract`.
    """
    if len(line) > MAX_CONTRACT:
        raise bad(where, f"the contract has {len(line)} characters; {MAX_CONTRACT} are allowed", line=number)
    try:
        document = json.loads(
            line[len(CONTRACT_MARK) :], object_pairs_hook=_once, parse_constant=_never, parse_float=_never
        )
    except (ValueError, RecursionError) as error:
        text = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]
        raise bad(where, f"the contract cannot be read: {text}", line=number) from None
    return read_contract(document, where)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the same key stands in it twice")
    return found


def _never(text: str) -> Any:
    raise ValueError(f"{text[:20]} is no value of a contract")


def _gpu_floor(table: Table) -> GpuFloor:
    floor = GpuFloor(
        table.parsed("compute_capability", ComputeCapability),
        table.parsed("driver", DriverVersion),
        table.get("derived", bool),
    )
    table.finish()
    return floor


def _build_tool(table: Table) -> Locked:
    tool = Locked(table.text("name", _NAME), table.text("version"), table.words("hashes", SHA256))
    try:
        Version(tool.version)
    except InvalidVersion:
        raise table.wrong("version", "it is no version", shown=tool.version) from None
    if normalised(tool.name) != tool.name:
        raise table.wrong("name", "it is not normalised", shown=tool.name)
    if not tool.hashes:
        raise table.wrong("hashes", "it is empty")
    table.finish()
    return tool


def _judge(parts: ContractParts, top: Table) -> None:
    """Hold the values against each other."""
    contract = parts.contract
    if contract.python.series.text != contract.python.text:
        raise top.wrong("python", "it is not a series like 3.11", shown=contract.python.text)
    top.in_order("gpus", [item.compute_capability.parts for item in contract.gpus])
    top.in_order("build_tools", [item.name for item in parts.build_tools])
    if contract.without_gpu and contract.made_for:
        raise top.wrong("without_gpu", "it cannot be true beside made_for")
    asked = contract.request
    for text in (*asked.requirements, *asked.conda, *asked.channels, contract.machine_text):
        if _CREDENTIALS.search(text):
            raise top.wrong("request", "it names an address with credentials")
