"""One CUDA library of the gate, as the receipt shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provision.verify.answer import Premises


def library_document(premises: Premises, item: Mapping[str, Any]) -> dict[str, Any]:
    """Return one library as the receipt shows it: paths relative to the environment, and whether it is the one meant.

    ``meant`` is None where nothing says which file ought to answer.
    """
    file, tried = item.get("file"), item.get("tried")
    # A link of the environment may lead to a file elsewhere (uv's cache): where it was found counts as well.
    answered = next((path for path in (file, tried) if path and premises.inside(path)), file)
    inside = bool(item["found"] and answered and premises.inside(answered))
    own = premises.files.get(item["soname"])
    pin = premises.library_set.provider(alias_of(premises, item["soname"])) if premises.library_set else None
    meant: bool | None = None
    if item["found"] and inside:
        meant = pin is None or is_version(premises.wheels.get(pin.name), pin.version)
    elif item["found"] and (own or pin):
        meant = False
    return {
        "soname": item["soname"],
        "found": item["found"],
        "file": premises.shown(answered) if answered else None,
        "inside": inside,
        "version": item.get("version"),
        "version_problem": item.get("version_problem"),
        "wheel": wheel_of(premises, premises.shown(answered)) if inside and answered else None,
        "meant": meant,
        "dlerror": item.get("dlerror"),
        "searched": [
            {"why": why_shown(premises, step["why"]), "folders": [premises.shown(folder) for folder in step["folders"]]}
            for step in item.get("searched") or ()
        ],
    }


def alias_of(premises: Premises, soname: str) -> str:
    """Return the name under which a set has what the release asks for; the same where no alias is needed."""
    return premises.row.aliases.get(soname, soname) if premises.row else soname


def is_version(found: str | None, wanted: str) -> bool:
    """Whether a version is the one that a pin names: exactly, or by a prefix ``8.9.*`` as conda's pins have it."""
    if wanted.endswith(".*"):
        return f"{found or ''}.".startswith(wanted[:-1])
    return found == wanted


def why_shown(premises: Premises, why: str) -> str:
    """Return the loader's reason for looking somewhere, with the file in it made relative."""
    kind, mark, file = why.partition(" from file ")
    return f"{kind} of {premises.shown(file)}" if mark else why


def wheel_of(premises: Premises, path: str) -> str | None:
    """Return ``name version`` of the installed wheel or conda package that brings a path, None for any other."""
    for pin in premises.library_set.conda if premises.library_set else ():
        if path in pin.libraries.values() and pin.name in premises.wheels:
            return f"{pin.name} {premises.wheels[pin.name]}"
    parts = path.split("/")
    if parts[0] != "nvidia" or len(parts) < 3:  # noqa: PLR2004 - nvidia/<part>/lib/…
        return None
    stem = f"nvidia-{parts[1].replace('_', '-')}"
    for name, version in premises.wheels.items():
        if name == stem or name.rpartition("-cu")[0] == stem:
            return f"{name} {version}"
    return None
