"""The form of a receipt, as `provision/verify/receipt.schema.json` has it, so that one can be read without trust."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

_DIGEST = r"^[0-9a-f]{64}$"
_CAPABILITY = r"^[0-9]{1,2}\.[0-9]$"
_MOST_GPUS = 64
LevelName = Literal["gate", "import", "device", "compute", "train", "perf"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Open(BaseModel):
    """What probes say may grow; only what is judged here has to be there."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class GpuForm(_Strict):
    """A GPU as the driver lists it."""

    name: str
    compute_capability: str | None
    memory_mib: int | None
    mig: bool | None
    uuid: str | None = None


class MachineForm(_Strict):
    """The machine."""

    system: str | None
    machine: str | None
    distribution: str | None
    glibc: str | None
    wsl: bool | None
    container: str | None
    driver_state: str
    driver: str | None
    driver_cuda: str | None
    gpus: Annotated[list[GpuForm], Field(max_length=_MOST_GPUS)]


class EnvironmentForm(_Strict):
    """What was verified."""

    kind: Literal["venv", "conda", "system"]
    managed: bool
    python: str
    tensorflow: str | None
    distribution: str | None
    path: str | None = None
    packages: dict[str, str]


class MatrixForm(_Strict):
    """What it was compared with."""

    sha256: str | None
    release: str | None
    set: str | None
    row: Annotated[str, Field(pattern=_DIGEST)] | None = None


class VariablesForm(_Strict):
    """The user's variables."""

    kept: dict[str, str]
    dropped: dict[str, str]


class StageForm(_Strict):
    """One level."""

    level: LevelName
    status: Literal["passed", "failed", "skipped", "cannot-tell"]
    summary: Annotated[str, Field(min_length=1)]
    cause: Annotated[str, Field(pattern=r"^[a-z0-9-]*$")]
    details: list[str]
    data: dict[str, Any]
    seconds: Annotated[FiniteFloat, Field(ge=0)]


class ReceiptForm(_Strict):
    """The whole receipt."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    kind: Literal["tfgpu-receipt"]
    tool: Annotated[str, Field(pattern=r"^[0-9A-Za-z.+-]{1,40}$")]
    created: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]
    level: LevelName
    outcome: Literal["proved", "passed", "failed", "cannot-tell"]
    proved: bool
    summary: Annotated[str, Field(min_length=1)]
    environment: EnvironmentForm
    lock_sha256: Annotated[str, Field(pattern=_DIGEST)] | None
    matrix: MatrixForm
    machine: MachineForm | None
    variables: VariablesForm
    stages: Annotated[list[StageForm], Field(min_length=1, max_length=6)]


class ListedForm(_Open):
    """A GPU as TensorFlow lists it; releases before 2.4 name no model."""

    model: str | None = None
    compute_capability: Annotated[str, Field(pattern=_CAPABILITY)] | None = None


class DeviceForm(_Open):
    """What the device stage measured."""

    listed: Annotated[list[ListedForm], Field(min_length=1, max_length=_MOST_GPUS)]


class ModeForm(_Open):
    """How exact a product was."""

    largest: FiniteFloat
    rms: Annotated[FiniteFloat, Field(ge=0)]


class ComputedForm(_Open):
    """What one GPU computed."""

    device: Annotated[str, Field(pattern=r"^GPU:[0-9]{1,2}$")]
    size: Annotated[int, Field(ge=1, le=1 << 20)]
    seconds: dict[str, FiniteFloat]
    own_kernels: bool
    exact_product: bool
    placed: str
    backing: str
    modes: Annotated[dict[str, ModeForm], Field(min_length=1)]


class MappedForm(_Open):
    """Library files in the process, those of the environment apart."""

    inside: list[str]
    outside: list[str]


class ComputeForm(_Open):
    """What the compute stage measured."""

    devices: Annotated[list[ComputedForm], Field(min_length=1, max_length=_MOST_GPUS)]
    mapped: MappedForm
    tolerance: dict[str, FiniteFloat]
