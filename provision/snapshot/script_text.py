"""What single lines of user code say where the file is no Python of today; nothing is known about their order."""

from __future__ import annotations

import re
from collections.abc import Sequence

from provision.model.script import Remark

_PLAIN_SET = re.compile(
    r"(?:environ(?:\[|\.setdefault\(|\.update\(\s*\{?)|putenv\()\s*['\"](\w+)['\"]\s*[\],:]\s*=?\s*(?:['\"]([^'\"]*)['\"])?"
)
_PLAIN_DEVICE = re.compile(r"\bdevice\(\s*['\"][^'\"]*?\bcpu\b[^'\"]*['\"]", re.IGNORECASE)


def remarks_of_text(lines: Sequence[str], file: str) -> tuple[Remark, ...]:
    """Return what single lines say of a file that is no Python of today; nothing is known about their order."""
    found = []
    for place, line in enumerate(lines, 1):
        plain = line.strip()[:300]
        if plain.startswith("#"):
            continue
        match = _PLAIN_SET.search(plain)
        if match and match[1] == "CUDA_VISIBLE_DEVICES" and match[2] is not None:
            fields = {"variable": match[1], "value": match[2], "certain": "text"}
            found.append(Remark("visible-devices-env", file, place, plain, fields))
        if _PLAIN_DEVICE.search(plain):
            found.append(
                Remark("cpu-device", file, place, plain, {"device": "CPU:0", "share": "part", "certain": "text"})
            )
    return tuple(found)
