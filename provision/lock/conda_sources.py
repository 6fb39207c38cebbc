"""The files beside a conda lock: what was asked for, in the words of conda and conda-lock.

conda-lock hashes them, so that ``conda-lock lock --check-input-hash`` can tell whether a lock is up to date, and
``conda-lock lock`` can make it anew without us (the GPU contract is then void, see `provision.lock.conda_lock`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from provision.lock.conda_parts import PLATFORM
from provision.lock.contract import contract_document
from provision.model.lock import Lock, normalised

_CUDA_NAMES = ("cudatoolkit", "cuda-version", "cudnn", "cuda-nvcc", "cudatoolkit-dev")
"""Packages that decide which CUDA an environment has (conda-forge's names)."""
_LINUX = "5.10"
"""What conda-lock itself assumes of the kernel (default-virtual-packages.yaml of 4.0.3)."""


@dataclass(frozen=True)
class Sources:
    """What the files beside a conda lock say.

    Attributes:
        channels: names or addresses, the first is preferred.
        conda: MatchSpecs.
        pip: PEP 508 requirements.
        cuda: version of ``__cuda`` that was solved for; empty for none.
        glibc: version of ``__glibc``.
        target: name of the target, part of the files' names; empty for none.
    """

    channels: tuple[str, ...]
    conda: tuple[str, ...]
    pip: tuple[str, ...]
    cuda: str
    glibc: str
    target: str = ""

    @property
    def environment_name(self) -> str:
        """File name of the environment, beside the lock."""
        return _named("environment", self.target)

    @property
    def virtual_packages_name(self) -> str:
        """File name of the virtual packages; conda-lock finds it by itself where there is no target."""
        return _named("virtual-packages", self.target)


def sources_of(lock: Lock) -> Sources:
    """Return what the files beside a lock say, from the lock alone.

    Python and the packages that decide about CUDA are held at the version of the lock, and so is TensorFlow; the
    user's own packages stand as they were asked for.
    """
    contract = lock.contract
    held = [f"{item.name} {item.version}" for item in lock.conda if item.name in (*_CUDA_NAMES, "tensorflow")]
    pip = [item.requirement for item in lock.packages if item.name == normalised(contract.distribution)]
    return Sources(
        channels=contract.request.channels or tuple(sorted({item.channel for item in lock.conda})),
        conda=(f"python {contract.python.series.text}.*", *held, *contract.request.conda),
        pip=(*pip, *contract.request.requirements),
        cuda=contract.cuda.text,
        glibc=contract.glibc.text,
        target=contract.target,
    )


def companions(lock: Lock, sources: Sources | None = None) -> Mapping[str, str]:
    """Return file name → text of the files beside a lock, the same for the same lock.

    Raises:
        UsageError: code ``credentials-in-lock``, where what was asked for names an address with a password or token.
    """
    contract_document(lock)  # raises for credentials: these files are committed as well
    said = sources or sources_of(lock)
    dependencies: list[object] = list(said.conda)
    if said.pip:
        dependencies += ["pip", {"pip": list(said.pip)}]
    environment = {
        "channels": [*said.channels, "nodefaults"],
        "platforms": [PLATFORM],
        "dependencies": dependencies,
    }
    virtual = {
        "__unix": "0",
        "__linux": _LINUX,
        "__glibc": said.glibc,
        **({"__cuda": said.cuda} if said.cuda else {}),
        "__archspec": "1 x86_64",
    }
    return {
        said.environment_name: _dumped("what the conda lock beside it was made from", environment),
        said.virtual_packages_name: _dumped(
            "the machine that the conda lock beside it was solved for", {"subdirs": {PLATFORM: {"packages": virtual}}}
        ),
    }


def _dumped(remark: str, document: object) -> str:
    return f"# Written by tfgpu-provision: {remark}.\n" + yaml.safe_dump(document, sort_keys=False, width=1000)


def _named(stem: str, target: str) -> str:
    safe = re.sub(r"[^0-9A-Za-z_-]+", "-", target)
    return f"{stem}.{safe}.yml" if safe else f"{stem}.yml"
